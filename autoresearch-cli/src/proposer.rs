//! `[proposer]`: who has the ideas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use autoresearch_agents::http::{KeySource, Retry, Timeouts};
use autoresearch_agents::model::{CommandCheck, Options, Price, Surroundings};
use autoresearch_agents::{
    ClaudeProposer, ClaudeSettings, DesignProposer, Factorial, KnobProposer, MergeProposer, OpenAiProposer,
    OpenAiSettings, Portfolio, ReplayProposer, Search,
};
use autoresearch_core::git::Lineage;
use autoresearch_core::{Journal, Proposer};
use serde::Deserialize;

use crate::agent::AgentConfig;
use crate::config::Config;
use crate::places::Places;
use crate::run::RunError;

/// Each kind with its own keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProposerConfig {
    /// Searches over the constants that carry a `knob:` range.
    Knobs {
        #[serde(default)]
        strategy: Search,
    },
    /// Measures the points of a factorial design over constants.
    Design {
        /// Its name in the journal and in the report.
        name: String,
        /// The levels of each factor, a constant of an editable file, as literals.
        factors: BTreeMap<String, Vec<String>>,
        /// Generators such as `WARMDOWN = DEPTH * LR`, for a fraction of a two-level design.
        #[serde(default)]
        fraction: Vec<String>,
    },
    /// Puts changes together that failed narrowly.
    Merge {
        /// By how much a change may have been worse, in the metric's unit.
        margin: f64,
    },
    /// Makes a recorded night again.
    Replay {
        /// The journal of that night, relative to the repository's root.
        journal: PathBuf,
    },
    /// Asks Claude, over the Messages interface.
    Claude(Box<ClaudeSettings>),
    /// Asks a model of OpenAI, or of a server that is compatible.
    Openai(Box<OpenAiSettings>),
    /// Lets an agent edit a scratch copy.
    Agent(Box<AgentConfig>),
    /// Lets several take turns by what they bring.
    Portfolio {
        /// By name, under which the journal remembers whose idea it was.
        members: BTreeMap<String, ProposerConfig>,
        /// What a minute of the machine costs.
        dollars_per_minute: Option<f64>,
    },
}

impl Default for ProposerConfig {
    fn default() -> Self {
        ProposerConfig::Knobs { strategy: Search::default() }
    }
}

impl ProposerConfig {
    /// Whether it asks a model or an agent, which takes long enough to do something else meanwhile.
    pub fn asks(&self) -> bool {
        match self {
            ProposerConfig::Claude(_) | ProposerConfig::Openai(_) | ProposerConfig::Agent(_) => true,
            ProposerConfig::Portfolio { members, .. } => members.values().any(ProposerConfig::asks),
            ProposerConfig::Knobs { .. }
            | ProposerConfig::Design { .. }
            | ProposerConfig::Merge { .. }
            | ProposerConfig::Replay { .. } => false,
        }
    }

    /// Finds the mistakes that can be found before anything is opened or asked.
    pub fn check(&self, environment: &BTreeMap<String, String>) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(format!("[proposer] {name} is {value}; give a number that is not negative")),
        };
        match self {
            ProposerConfig::Knobs { .. } | ProposerConfig::Replay { .. } => Ok(()),
            ProposerConfig::Design { name, factors, fraction } => design(name, factors, fraction).map(drop),
            ProposerConfig::Merge { margin } => positive("margin", *margin),
            ProposerConfig::Claude(settings) => {
                check_model(&settings.options, &settings.unknown, "ANTHROPIC_API_KEY", environment)
            }
            ProposerConfig::Openai(settings) => {
                check_model(&settings.options, &settings.unknown, "OPENAI_API_KEY", environment)
            }
            ProposerConfig::Agent(agent) => agent.check(environment),
            ProposerConfig::Portfolio { members, dollars_per_minute } => {
                if members.is_empty() {
                    return Err("[proposer.members] is empty; add a table for each proposer, by name".into());
                }
                for (name, member) in members {
                    if matches!(member, ProposerConfig::Replay { .. } | ProposerConfig::Portfolio { .. }) {
                        return Err(format!(
                            "[proposer.members.{name}] cannot take turns with others; make it the only proposer"
                        ));
                    }
                    member.check(environment)?;
                }
                positive("dollars_per_minute", dollars_per_minute.unwrap_or(0.0))
            }
        }
    }
}

/// The same for a language model, whose key is usually in the variable `usual`.
fn check_model(
    options: &Options,
    unknown: &BTreeMap<String, toml::Value>,
    usual: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    if let Some(name) = unknown.keys().next() {
        return Err(format!("[proposer] has no setting `{name}`"));
    }
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
    prices(&options.prices)?;
    dollars("[proposer.per_proposal]", options.per_proposal.dollars)
}

/// The design that is configured.
fn design(name: &str, factors: &BTreeMap<String, Vec<String>>, fraction: &[String]) -> Result<Factorial, String> {
    Factorial::new(name, factors.clone(), fraction).map_err(|e| format!("[proposer] {e}"))
}

/// Refuses prices that are none.
pub fn prices(prices: &BTreeMap<String, Price>) -> Result<(), String> {
    for (model, price) in prices {
        let Price { input, output, cache_read, cache_write, cache_write_long } = *price;
        let all = [Some(input), Some(output), cache_read, cache_write, cache_write_long];
        if all.into_iter().flatten().any(|price| !(0.0..1e9).contains(&price)) {
            return Err(format!(
                "[proposer.prices.{model}] takes US dollars for a million tokens, none of them negative"
            ));
        }
    }
    Ok(())
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
    let make = |settings: &ProposerConfig, name: &str| make(settings, name, config, places, root, tag, seed);
    Ok(match &config.proposer {
        ProposerConfig::Portfolio { members, dollars_per_minute } => {
            let made = members.iter().map(|(name, member)| Ok((name.clone(), make(member, name)?)));
            let portfolio = Portfolio::new(seed, made.collect::<Result<_, RunError>>()?);
            match dollars_per_minute {
                Some(price) => Box::new(portfolio.with_price(*price)),
                None => Box::new(portfolio),
            }
        }
        single => make(single, "0")?,
    })
}

/// One that is no portfolio. An agent of this name has its scratch copies to itself.
fn make(
    settings: &ProposerConfig,
    name: &str,
    config: &Config,
    places: &Places,
    root: &Path,
    tag: &str,
    seed: u64,
) -> Result<Box<dyn Proposer>, RunError> {
    Ok(match settings {
        ProposerConfig::Knobs { strategy } => Box::new(KnobProposer::new(seed).with_search(*strategy)),
        ProposerConfig::Design { name, factors, fraction } => {
            Box::new(DesignProposer::new(design(name, factors, fraction).map_err(RunError::Other)?, seed))
        }
        ProposerConfig::Merge { margin } => Box::new(MergeProposer::new(*margin)),
        ProposerConfig::Replay { journal } => {
            let path = root.join(journal);
            let replay = ReplayProposer::new(&Journal::read(&path)?);
            Box::new(replay.map_err(|e| RunError::Other(format!("{}: {e}", path.display())))?)
        }
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
        ProposerConfig::Agent(agent) => {
            let scratch = places.slots(tag).join("agents").join(name);
            let agent = agent.make(places, &config.editable, config.caps(), &scratch).map_err(RunError::Other)?;
            Box::new(agent.with_check(surroundings(config, places, root, tag)?.check))
        }
        ProposerConfig::Portfolio { .. } => {
            return Err(RunError::Other("a portfolio cannot be a member of a portfolio".into()));
        }
    })
}

/// What a model's proposer must know of the run.
pub fn surroundings(config: &Config, places: &Places, root: &Path, tag: &str) -> Result<Surroundings, RunError> {
    let mut surroundings = Surroundings::new(config.editable.clone());
    surroundings.run_caps = config.caps();
    if !config.check.command.is_empty() {
        let lineage = Lineage::open(root, tag)?;
        let argv = places.fill_all(&config.check.command);
        let limit = Duration::try_from_secs_f64(config.check.limit_seconds).unwrap_or(Duration::from_secs(600));
        let (mut limits, plan) = (config.limits(), config.plan()?);
        if plan.workers.ahead {
            // Beside runs, like a build ahead.
            limits.cpus = plan.build_cpus;
        }
        let check = CommandCheck::new(lineage, argv, places.slots(tag).join("check"))
            .with_editable(config.editable.clone())
            .with_environment(places.environment(&config.environment))
            .with_limits(limit, limits);
        surroundings.check = Some(Arc::new(check));
    }
    Ok(surroundings)
}

/// Fills in the placeholders of paths; relative ones are below the repository's root.
pub fn fill(options: &mut Options, places: &Places) {
    let fill = |path: &mut PathBuf| *path = places.repo.join(places.fill(&path.to_string_lossy()));
    [&mut options.record, &mut options.replay].into_iter().flatten().for_each(fill);
    if let Some(KeySource::File(path)) = &mut options.key {
        fill(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProposerConfig, String> {
        let config: ProposerConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check(&BTreeMap::new()).map(|()| config)
    }

    #[test]
    fn every_kind_has_its_own_keys() {
        assert!(matches!(read("kind = 'knobs'"), Ok(ProposerConfig::Knobs { strategy: Search::Neighbour })));
        for (name, search) in
            [("neighbour", Search::Neighbour), ("random", Search::Random), ("grid", Search::Grid), ("tpe", Search::Tpe)]
        {
            let config = read(&format!("kind = 'knobs'\nstrategy = '{name}'")).unwrap();
            assert!(matches!(config, ProposerConfig::Knobs { strategy } if strategy == search));
        }
        assert!(matches!(read("kind = 'agent'\nagent = 'codex'\nkey = 'login'"), Ok(ProposerConfig::Agent(_))));
        let portfolio = "kind = 'portfolio'\n[members.tpe]\nkind = 'knobs'\nstrategy = 'tpe'\n[members.merge]\nkind = 'merge'\nmargin = 0.001\n";
        assert!(matches!(read(portfolio), Ok(ProposerConfig::Portfolio { members, .. }) if members.len() == 2));
        let design = "kind = 'design'\nname = 'd'\n[factors]\nA = ['1', '2']\nB = ['1', '2']\n";
        assert!(matches!(read(design), Ok(ProposerConfig::Design { factors, .. }) if factors.len() == 2));
        for (text, word) in [
            ("kind = 'design'\n[factors]\nA = ['1', '2']", "name"),
            ("kind = 'design'\nname = 'd'\n[factors]\nA = ['1', '1.0']", "factors.A"),
            ("kind = 'design'\nname = 'd'\nfraction = ['A = X * Y']\n[factors]\nA = ['1', '2']", "fraction"),
            ("kind = 'design'\nname = 'd'\nlevels = 2\n[factors]\nA = ['1', '2']", "levels"),
            ("kind = 'knobs'\nstrategy = 'luck'", "luck"),
            ("kind = 'knobs'\njournal = 'x'", "journal"),
            ("kind = 'replay'", "journal"),
            ("kind = 'agent'", "names no agent"),
            ("kind = 'agent'\nagent = 'codex'\nmargin = 1.0", "margin"),
            ("kind = 'merge'\nmargin = -1.0", "margin"),
            ("kind = 'portfolio'\n[members]", "members"),
            ("kind = 'portfolio'\n[members.night]\nkind = 'replay'\njournal = 'x'", "members.night"),
            ("kind = 'magic'", "magic"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
