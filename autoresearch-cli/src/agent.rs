//! `[proposer] kind = "agent"`: an agent's command line, and where the key comes from that it must not see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoresearch_agents::agent_cli::{Auth, DescriptionPattern, Outside, Upstream};
use autoresearch_agents::http::KeySource;
use autoresearch_agents::model::{Backoff, Caps, Price};
use autoresearch_agents::{Agent, AgentCliProposer, AgentSettings};
use autoresearch_core::EditablePaths;
use serde::Deserialize;

use crate::places::Places;
use crate::proposer::{dollars, prices};

/// The keys of this kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// One that is known.
    agent: Option<Known>,
    /// The known one's program, or any other agent's whole command line.
    #[serde(default)]
    command: Vec<String>,
    model: Option<String>,
    /// More arguments.
    #[serde(default)]
    arguments: Vec<String>,
    /// More variables. Nothing else of the outer environment reaches the agent.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// What it may read beside the editable files, relative to the repository's root.
    #[serde(default)]
    references: Vec<String>,
    /// Treatment of new files outside the editable paths.
    #[serde(default)]
    outside: Outside,
    /// Waits after proposals in a row that came to nothing.
    #[serde(default)]
    backoff: Backoff,
    /// Pattern that chooses the description out of the output.
    description: Option<DescriptionPattern>,
    /// Wall clock for one proposal.
    #[serde(default = "ten_minutes")]
    limit_seconds: f64,
    /// What one proposal may cost.
    #[serde(default)]
    per_proposal: Caps,
    /// Where the key is; by default in the variable that the vendor's own tools read.
    key: Option<KeyConfig>,
    /// The server.
    base_url: Option<String>,
    /// How the server is shown the key.
    auth: Option<AuthConfig>,
    /// Prices by model, instead of those that are compiled in.
    #[serde(default)]
    prices: BTreeMap<String, Price>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Known {
    ClaudeCode,
    Codex,
}

/// A [`KeySource`], or none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum KeyConfig {
    /// The agent's own, which it then sees.
    Login,
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AuthConfig {
    XApiKey,
    Bearer,
}

fn ten_minutes() -> f64 {
    600.0
}

impl AgentConfig {
    /// What can be checked without opening anything.
    pub fn check(&self, for_experiments: &BTreeMap<String, String>) -> Result<(), String> {
        let named = if let Some(KeyConfig::Env(name)) = &self.key { name.as_str() } else { self.usual().0 };
        // Experiments run code that a model wrote.
        if for_experiments.contains_key(named) {
            return Err(format!(
                "[environment] would give {named}, the proposer's key, to every experiment; remove it"
            ));
        }
        if self.agent.is_none() && self.command.is_empty() {
            return Err("[proposer] names no agent; give agent = \"claude-code\" or \"codex\", or a command".into());
        }
        if self.agent.is_some() && self.command.len() > 1 {
            return Err(
                "[proposer] command is the program alone for an agent that is known; its arguments are `arguments`"
                    .into(),
            );
        }
        if !(self.limit_seconds > 0.0 && self.limit_seconds < 1e9) {
            let seconds = self.limit_seconds;
            return Err(format!("[proposer] limit_seconds is {seconds}; give a positive number of seconds"));
        }
        if self.key == Some(KeyConfig::Login) && self.per_proposal != Caps::default() {
            return Err(
                "[proposer.per_proposal] is kept by the port that adds the key to the agent's requests, and with \
                        key = \"login\" there is none; name the key, or leave the caps out"
                    .into(),
            );
        }
        prices(&self.prices)?;
        dollars("[proposer.per_proposal]", self.per_proposal.dollars)
    }

    /// The proposer, with its scratch copies in `scratch`.
    pub fn make(
        &self,
        places: &Places,
        editable: &EditablePaths,
        night: Caps,
        scratch: &Path,
    ) -> Result<AgentCliProposer, String> {
        let mut settings = self.settings(places, editable, night, scratch);
        settings.upstream = self.upstream(places)?;
        Ok(AgentCliProposer::new(settings))
    }

    /// The same without a key, which can only show what it would ask.
    pub fn rehearsed(&self, places: &Places, editable: &EditablePaths, scratch: &Path) -> AgentCliProposer {
        AgentCliProposer::new(self.settings(places, editable, Caps::default(), scratch))
    }

    fn settings(&self, places: &Places, editable: &EditablePaths, night: Caps, scratch: &Path) -> AgentSettings {
        let program = self.command.first().cloned();
        let agent = match self.agent {
            Some(Known::ClaudeCode) => program.map_or_else(Agent::claude_code, Agent::ClaudeCode),
            Some(Known::Codex) => program.map_or_else(Agent::codex, Agent::Codex),
            None => Agent::Command(self.command.clone()),
        };
        let mut settings = AgentSettings::new(agent, editable.clone(), scratch);
        settings.references = self.references.iter().map(|path| (path.clone(), places.repo.join(path))).collect();
        settings.model = self.model.clone();
        settings.arguments = self.arguments.clone();
        settings.environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        settings.limit = Duration::try_from_secs_f64(self.limit_seconds).unwrap_or(Duration::from_secs(600));
        settings.per_proposal =
            Caps { calls: self.per_proposal.calls.or(settings.per_proposal.calls), ..self.per_proposal };
        settings.run_caps = night;
        settings.repository = Some(places.repo.clone());
        settings.outside = self.outside;
        settings.backoff = self.backoff;
        settings.description = self.description.clone();
        settings.prices = self.prices.clone();
        settings
    }

    /// How the key is shown.
    fn shown(&self) -> Auth {
        match (self.auth, self.agent) {
            (Some(AuthConfig::XApiKey), _) | (None, Some(Known::ClaudeCode)) => Auth::XApiKey,
            (Some(AuthConfig::Bearer), _) | (None, _) => Auth::Bearer,
        }
    }

    /// The variable that usually holds the key, and the server that it is for.
    fn usual(&self) -> (&'static str, &'static str) {
        match self.shown() {
            Auth::XApiKey => ("ANTHROPIC_API_KEY", "https://api.anthropic.com"),
            Auth::Bearer => ("OPENAI_API_KEY", "https://api.openai.com"),
        }
    }

    /// The server with its key, unless the agent has a login of its own.
    fn upstream(&self, places: &Places) -> Result<Option<Upstream>, String> {
        let (auth, (variable, server)) = (self.shown(), self.usual());
        let source = match self.key.clone() {
            Some(KeyConfig::Login) => return Ok(None),
            None => KeySource::Env(variable.to_owned()),
            Some(KeyConfig::Env(name)) => KeySource::Env(name),
            Some(KeyConfig::File(path)) => KeySource::File(places.repo.join(places.fill(&path.to_string_lossy()))),
            Some(KeyConfig::Command(argv)) => KeySource::Command(argv),
        };
        let key = source.read().map_err(|e| format!("{e}; or use the agent's own login: key = \"login\""))?;
        Ok(Some(Upstream::new(self.base_url.as_deref().unwrap_or(server), key, auth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AgentConfig, String> {
        let config: AgentConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check(&BTreeMap::from([("OWN_KEY".into(), String::new())])).map(|()| config)
    }

    #[test]
    fn an_agent_is_known_or_has_a_command() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "abc\n").unwrap();
        let places = Places { repo: folder.path().into(), cache: "/c".into(), preset: String::new() };
        let make =
            |text: &str| read(text).unwrap().make(&places, &EditablePaths::new(["a"]), Caps::default(), folder.path());
        for text in [
            "agent = 'claude-code'\nkey = { file = 'key' }\nmodel = 'm'",
            "agent = 'codex'\nkey = 'login'\nprices = { own = { input = 2.0, cache_read = 0.1, output = 10.0 } }",
            "agent = 'codex'\nkey = { command = ['echo', 'abc'] }\nper_proposal = { dollars = 1.5, calls = 20 }",
            "command = ['aider', '--message-file', '{prompt_file}']\nkey = 'login'",
        ] {
            let made = format!("{:?}", make(text).unwrap());
            assert!(!made.contains("abc"), "{made}");
        }
        let missing = "agent = 'codex'\nkey = { env = 'NO_SUCH_KEY_ANYWHERE' }";
        assert!(make(missing).unwrap_err().contains("NO_SUCH_KEY_ANYWHERE is not set"));
        assert!(make("agent = 'codex'\nkey = { file = 'nokey' }").unwrap_err().contains("nokey"));
        for (text, word) in [
            ("", "names no agent"),
            ("agent = 'copilot'", "copilot"),
            ("agent = 'codex'\ncommand = ['codex', '-m']", "arguments"),
            ("agent = 'codex'\nlimit_seconds = 0.0", "limit_seconds"),
            ("agent = 'codex'\nprices = { own = { input = -1.0, output = 0.0 } }", "prices.own"),
            ("agent = 'codex'\nper_proposal = { dollars = -1.0 }", "per_proposal"),
            ("agent = 'codex'\nkey = 'login'\nper_proposal = { calls = 3 }", "login"),
            ("agent = 'codex'\nkey = 'longin'", "longin"),
            ("agent = 'codex'\nlimits = 3", "limits"),
            ("agent = 'codex'\ndescription = '('", "regular expression"),
            ("agent = 'codex'\noutside = 'keep'", "keep"),
            ("agent = 'codex'\nkey = { env = 'OWN_KEY' }", "to every experiment"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
