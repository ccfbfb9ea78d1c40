//! `[proposer]`: who has the ideas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoresearch_agents::{KnobProposer, MergeProposer, Portfolio, ReplayProposer, Search};
use autoresearch_core::{EditablePaths, Journal, Proposer};
use serde::Deserialize;

use crate::agent::AgentConfig;
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
    /// What can be checked without opening anything.
    pub fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(format!("[proposer] {name} is {value}; give a number that is not negative")),
        };
        match self {
            ProposerConfig::Knobs { .. } | ProposerConfig::Replay { .. } => Ok(()),
            ProposerConfig::Merge { margin } => positive("margin", *margin),
            ProposerConfig::Agent(agent) => agent.check(),
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
                    member.check()?;
                }
                positive("dollars_per_minute", dollars_per_minute.unwrap_or(0.0))
            }
        }
    }

    /// The proposer. Agents have their scratch copies in `scratch`.
    pub fn make(
        &self,
        seed: u64,
        root: &Path,
        editable: &EditablePaths,
        scratch: &Path,
    ) -> Result<Box<dyn Proposer>, RunError> {
        Ok(match self {
            ProposerConfig::Knobs { strategy } => Box::new(KnobProposer::new(seed).with_search(*strategy)),
            ProposerConfig::Merge { margin } => Box::new(MergeProposer::new(*margin)),
            ProposerConfig::Agent(agent) => Box::new(agent.make(root, editable, scratch).map_err(RunError::Other)?),
            ProposerConfig::Replay { journal } => {
                let path = root.join(journal);
                let replay = ReplayProposer::new(&Journal::read(&path)?);
                Box::new(replay.map_err(|e| RunError::Other(format!("{}: {e}", path.display())))?)
            }
            ProposerConfig::Portfolio { members, dollars_per_minute } => {
                let made = members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), member.make(seed, root, editable, &scratch.join(name))?)));
                let portfolio = Portfolio::new(seed, made.collect::<Result<_, RunError>>()?);
                match dollars_per_minute {
                    Some(price) => Box::new(portfolio.with_price(*price)),
                    None => Box::new(portfolio),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProposerConfig, String> {
        let config: ProposerConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map(|()| config)
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
        assert!(read(portfolio).unwrap().make(0, Path::new("/"), &EditablePaths::default(), Path::new("/")).is_ok());
        for (text, word) in [
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

    #[test]
    fn a_journal_that_is_missing_is_named() {
        let replay = read("kind = 'replay'\njournal = 'nights/1.jsonl'").unwrap();
        assert!(
            replay
                .make(0, Path::new("/nowhere"), &EditablePaths::default(), Path::new("/"))
                .err()
                .unwrap()
                .to_string()
                .contains("/nowhere/nights/1.jsonl")
        );
    }
}
