//! `[proposer] kind = "agent"`: an agent's command line, and the source of the key that it must not see.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoresearch_agents::agent_cli::{Auth, DescriptionPattern, Outside};
use autoresearch_agents::http::KeySource;
use autoresearch_agents::model::{Caps, Price};
use schemars::JsonSchema;
use serde::Deserialize;

use super::costs::{check_dollars, check_not_shared, check_prices};
use super::error::KeyError;
use super::schema;
use super::values::Seconds;

/// The keys of `kind = "agent"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSection {
    /// An agent whose command line is known.
    pub agent: Option<KnownAgent>,
    /// The program of a known agent, or the whole command line of any other.
    #[serde(default)]
    pub command: Vec<String>,
    /// The model that it is told to use.
    pub model: Option<String>,
    /// Further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Further variables. Nothing else of the outer environment reaches the agent.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files that it may read beside the editable ones, relative to the repository's root.
    #[serde(default)]
    pub references: Vec<String>,
    /// Treatment of new files that it leaves outside the editable paths; they are dropped by default.
    #[serde(default)]
    #[schemars(with = "schema::Outside")]
    pub outside: Outside,
    /// Pattern that chooses the description out of its output.
    #[schemars(with = "Option<String>")]
    pub description: Option<DescriptionPattern>,
    /// Wall clock for one proposal; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// The caps on the cost of one proposal.
    #[serde(default)]
    #[schemars(with = "schema::Caps")]
    pub per_proposal: Caps,
    /// The source of the key; by default the variable that the vendor's own tools read.
    key: Option<KeyOrLogin>,
    /// The server; by default the vendor's.
    base_url: Option<String>,
    /// The header in which the server is shown the key.
    auth: Option<AuthKind>,
    /// Prices by model, instead of those that are compiled in.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, schema::Price>")]
    prices: BTreeMap<String, Price>,
}

/// An agent whose command line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KnownAgent {
    ClaudeCode,
    Codex,
}

/// A [`KeySource`], or the agent's own login.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum KeyOrLogin {
    /// The agent's own login, which it then sees.
    Login,
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum AuthKind {
    XApiKey,
    Bearer,
}

impl AgentSection {
    /// Finds the mistakes that can be found without opening anything. `key` is where the section stands, `for_experiments` the
    /// variables of experiments, with the key that names each.
    pub fn check(&self, key: &str, for_experiments: &BTreeMap<String, String>) -> Result<(), KeyError> {
        let wrong = |name: &str, why: &str| Err(KeyError::new(format!("{key}.{name}"), why));
        let named = if let Some(KeyOrLogin::Env(name)) = &self.key { name.as_str() } else { self.usual_key().0 };
        check_not_shared([named], for_experiments)?;
        if self.agent.is_none() && self.command.is_empty() {
            return wrong("agent", "names no agent; give agent = \"claude-code\" or \"codex\", or a command");
        }
        if self.agent.is_some() && self.command.len() > 1 {
            return wrong("command", "is the program alone for an agent that is known; its arguments are `arguments`");
        }
        if self.has_login() && self.per_proposal != Caps::default() {
            let why = "is kept by the port that adds the key to the agent's requests, and with key = \"login\" there is none; \
                       name the key, or leave the caps out";
            return wrong("per_proposal", why);
        }
        check_prices(key, &self.prices)?;
        check_dollars(&format!("{key}.per_proposal.dollars"), self.per_proposal.dollars)
    }

    /// The program that is started.
    pub fn program(&self) -> &str {
        match (self.command.first(), self.agent) {
            (Some(program), _) => program,
            (None, Some(KnownAgent::ClaudeCode)) => "claude",
            (None, Some(KnownAgent::Codex)) => "codex",
            (None, None) => "",
        }
    }

    /// Prices by model, instead of those that are compiled in.
    pub fn prices(&self) -> &BTreeMap<String, Price> {
        &self.prices
    }

    /// The model that it is told to use.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns whether the agent uses a login of its own.
    pub fn has_login(&self) -> bool {
        self.key == Some(KeyOrLogin::Login)
    }

    /// The header in which the server is shown the key.
    pub fn auth(&self) -> Auth {
        match (self.auth, self.agent) {
            (Some(AuthKind::XApiKey), _) | (None, Some(KnownAgent::ClaudeCode)) => Auth::XApiKey,
            (Some(AuthKind::Bearer), _) | (None, _) => Auth::Bearer,
        }
    }

    /// The server that the key is for.
    pub fn server(&self) -> &str {
        self.base_url.as_deref().unwrap_or(self.usual_key().1)
    }

    /// The source of the key; `None` for the agent's own login. Paths are as they are written.
    pub fn key_source(&self) -> Option<KeySource> {
        match self.key.clone() {
            Some(KeyOrLogin::Login) => None,
            None => Some(KeySource::Env(self.usual_key().0.to_owned())),
            Some(KeyOrLogin::Env(name)) => Some(KeySource::Env(name)),
            Some(KeyOrLogin::File(path)) => Some(KeySource::File(path)),
            Some(KeyOrLogin::Command(argv)) => Some(KeySource::Command(argv)),
        }
    }

    /// The variable that usually holds the key, and the server that it is for.
    fn usual_key(&self) -> (&'static str, &'static str) {
        match self.auth() {
            Auth::XApiKey => ("ANTHROPIC_API_KEY", "https://api.anthropic.com"),
            _ => ("OPENAI_API_KEY", "https://api.openai.com"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AgentSection, String> {
        let section: AgentSection = toml::from_str(text).map_err(|e| e.to_string())?;
        let environment = BTreeMap::from([("OWN_KEY".into(), "environment.OWN_KEY".into())]);
        section.check("proposer", &environment).map_err(|e| e.to_string())?;
        Ok(section)
    }

    #[test]
    fn an_agent_is_known_or_has_a_command() {
        for (text, program) in [
            ("agent = 'claude-code'\nkey = { file = 'key' }\nmodel = 'm'", "claude"),
            (
                "agent = 'codex'\nkey = 'login'\nprices = { own = { input = 2.0, cache_read = 0.1, output = 10.0 } }",
                "codex",
            ),
            (
                "agent = 'codex'\nkey = { command = ['echo', 'abc'] }\nper_proposal = { dollars = 1.5, calls = 20 }",
                "codex",
            ),
            ("command = ['aider', '--message-file', '{prompt_file}']\nkey = 'login'", "aider"),
        ] {
            assert_eq!(read(text).unwrap().program(), program);
        }
        let section = read("agent = 'codex'\noutside = 'reject'\ndescription = '^SUMMARY: (.*)$'").unwrap();
        assert_eq!(section.outside, Outside::Reject);
        assert_eq!(section.description.unwrap().choose("SUMMARY: lower A"), Some("lower A"));
        let section = read("agent = 'claude-code'").unwrap();
        assert_eq!((section.outside, section.description.is_none()), (Outside::Drop, true));
        assert_eq!(section.key_source(), Some(KeySource::Env("ANTHROPIC_API_KEY".into())));
        assert_eq!((section.server(), section.has_login()), ("https://api.anthropic.com", false));
        for (text, word) in [
            ("", "names no agent"),
            ("agent = 'copilot'", "copilot"),
            ("agent = 'codex'\ncommand = ['codex', '-m']", "arguments"),
            ("agent = 'codex'\nlimit_seconds = 0.0", "a positive number of seconds"),
            ("agent = 'codex'\nprices = { own = { input = -1.0, output = 0.0 } }", "prices"),
            ("agent = 'codex'\nper_proposal = { dollars = -1.0 }", "per_proposal"),
            ("agent = 'codex'\nkey = 'login'\nper_proposal = { calls = 3 }", "login"),
            ("agent = 'codex'\nkey = 'longin'", "longin"),
            ("agent = 'codex'\nlimits = 3", "limits"),
            ("agent = 'codex'\noutside = 'keep'", "keep"),
            ("agent = 'codex'\ndescription = '('", "unclosed group"),
            ("agent = 'codex'\nkey = { env = 'OWN_KEY' }", "to every experiment"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
