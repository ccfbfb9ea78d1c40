//! The proposer that the configuration names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use autoresearch_agents::http::{KeySource, Retry, Timeouts};
use autoresearch_agents::model::{Caps, CommandCheck, Options, Surroundings};
use autoresearch_agents::{ClaudeProposer, ClaudeSettings, KnobProposer, OpenAiProposer, OpenAiSettings};
use autoresearch_core::Proposer;
use autoresearch_core::git::Lineage;
use serde::Deserialize;

use crate::config::{Config, Places};
use crate::run::RunError;

/// `[proposer]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProposerConfig {
    /// Searches over the constants that carry a `knob:` range.
    Knobs {},
    /// Asks Claude, over the Messages interface.
    Claude(Box<ClaudeSettings>),
    /// Asks a model of OpenAI, or of a server that is compatible.
    Openai(Box<OpenAiSettings>),
}

impl Default for ProposerConfig {
    fn default() -> Self {
        ProposerConfig::Knobs {}
    }
}

impl ProposerConfig {
    /// The settings that all language models share.
    fn options(&self) -> Option<&Options> {
        match self {
            ProposerConfig::Knobs {} => None,
            ProposerConfig::Claude(settings) => Some(&settings.options),
            ProposerConfig::Openai(settings) => Some(&settings.options),
        }
    }

    /// Finds the mistakes that can be found before anything is asked.
    pub fn check(&self, environment: &BTreeMap<String, String>) -> Result<(), String> {
        let (unknown, usual) = match self {
            ProposerConfig::Knobs {} => return Ok(()),
            ProposerConfig::Claude(settings) => (&settings.unknown, "ANTHROPIC_API_KEY"),
            ProposerConfig::Openai(settings) => (&settings.unknown, "OPENAI_API_KEY"),
        };
        if let Some(name) = unknown.keys().next() {
            return Err(format!("[proposer] has no setting `{name}`"));
        }
        let Some(options) = self.options() else { return Ok(()) };
        let named = match &options.key {
            Some(KeySource::Env(name)) => name.as_str(),
            _ => usual,
        };
        // Experiments run code that a model wrote.
        if let Some(name) = [named, usual].into_iter().find(|name| environment.contains_key(*name)) {
            return Err(format!("[environment] would give {name}, the proposer's key, to every experiment; remove it"));
        }
        let Timeouts { connect, first_byte, between_bytes, whole } = options.timeouts;
        let Retry { first, most, patience, .. } = options.retry;
        if [connect, first_byte, between_bytes, whole].into_iter().any(|limit| !(limit > 0.0 && limit < 1e9)) {
            return Err("[proposer.timeouts] takes positive numbers of seconds".into());
        }
        if [first, most, patience].into_iter().any(|pause| !(0.0..1e9).contains(&pause)) {
            return Err("[proposer.retry] takes numbers of seconds that are not negative".into());
        }
        if options.max_tokens == 0 || options.max_tokens > 10_000_000 {
            return Err(format!("[proposer] max_tokens is {}; give a positive number of tokens", options.max_tokens));
        }
        dollars("[proposer.per_proposal]", options.per_proposal.dollars)
    }
}

/// Refuses an amount that is none.
pub fn dollars(place: &str, dollars: Option<f64>) -> Result<(), String> {
    match dollars.filter(|dollars| !(*dollars > 0.0 && *dollars < 1e9)) {
        Some(dollars) => Err(format!("{place} dollars is {dollars}; give a positive number of US dollars")),
        None => Ok(()),
    }
}

/// Makes it for the run `tag` of the repository at `root`.
pub fn proposer(
    config: &Config,
    places: &Places,
    root: &Path,
    tag: &str,
    seed: u64,
) -> Result<Box<dyn Proposer>, RunError> {
    Ok(match &config.proposer {
        ProposerConfig::Knobs {} => Box::new(KnobProposer::new(seed)),
        ProposerConfig::Claude(settings) => {
            let mut settings = (**settings).clone();
            fill(&mut settings.options, places);
            Box::new(ClaudeProposer::new(settings, surroundings(config, places, root, tag)?)?)
        }
        ProposerConfig::Openai(settings) => {
            let mut settings = (**settings).clone();
            fill(&mut settings.options, places);
            Box::new(OpenAiProposer::new(settings, surroundings(config, places, root, tag)?)?)
        }
    })
}

/// What a model's proposer must know of the run.
fn surroundings(config: &Config, places: &Places, root: &Path, tag: &str) -> Result<Surroundings, RunError> {
    let mut surroundings = Surroundings::new(config.editable.clone());
    surroundings.night = Caps { dollars: config.stop.dollars, tokens: config.stop.tokens, calls: None };
    if !config.check.command.is_empty() {
        let lineage = Lineage::open(root, tag)?;
        let argv = places.fill_all(&config.check.command);
        let limit = Duration::try_from_secs_f64(config.check.limit_seconds).unwrap_or(Duration::from_secs(600));
        let check = CommandCheck::new(lineage, argv, places.slots(tag).join("check"))
            .with_environment(places.environment(&config.environment))
            .with_limits(limit, config.limits());
        surroundings.check = Some(Arc::new(check));
    }
    Ok(surroundings)
}

/// Fills in the placeholders of paths; relative ones are below the repository's root.
fn fill(options: &mut Options, places: &Places) {
    let fill = |path: &mut PathBuf| *path = places.repo.join(places.fill(&path.to_string_lossy()));
    [&mut options.record, &mut options.replay].into_iter().flatten().for_each(fill);
    if let Some(KeySource::File(path)) = &mut options.key {
        fill(path);
    }
}
