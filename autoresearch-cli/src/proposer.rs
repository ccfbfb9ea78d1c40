//! The proposer that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use autoresearch_agents::http::KeySource;
use autoresearch_agents::model::options::Surroundings;
use autoresearch_agents::model::{Caps, CommandCheck, Options};
use autoresearch_agents::{ClaudeProposer, KnobProposer, OpenAiProposer};
use autoresearch_core::Proposer;
use autoresearch_core::git::Lineage;

use crate::config::{Config, Places, ProposerConfig};
use crate::run::RunError;

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
