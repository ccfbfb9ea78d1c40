//! Proposals by Claude, over the Messages interface of Anthropic or of a server that is compatible with it.

mod fold;
mod request;

use async_trait::async_trait;
use autoresearch_core::{Context, Patch, Proposal, Proposer, ProposerError};
use serde::Deserialize;

use crate::http::{Request, Secret};
use crate::model::options::{Surroundings, key};
use crate::model::{Caps, Conversation, DryRun, Fold, ModelProposer, Options, Vendor};

/// Anthropic's server.
const SERVER: &str = "https://api.anthropic.com";
/// From this version on the key is a bearer token.
const BEARER_VERSION: &str = "2026-10-21";

/// Asks Claude for proposals.
pub struct ClaudeProposer(ModelProposer);

/// What is asked, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClaudeSettings {
    /// The model.
    pub model: String,
    /// The interface's version: `2023-06-01`, which compatible servers expect, or `2026-10-21`.
    pub version: String,
    /// How the key is sent; by the version if it is missing.
    pub auth: Option<Auth>,
    /// How hard it tries.
    pub effort: Option<Effort>,
    /// Whether it thinks first; the model's own default if it is missing.
    pub thinking: Option<Thinking>,
    /// How long the beginning of the prompt is cached.
    pub cache: CacheTime,
    /// What all vendors share.
    #[serde(flatten)]
    pub options: Options,
    /// What is none of these.
    #[serde(flatten)]
    pub unknown: std::collections::BTreeMap<String, toml::Value>,
}

impl Default for ClaudeSettings {
    fn default() -> Self {
        ClaudeSettings {
            model: "claude-opus-5-5".into(),
            version: "2023-06-01".into(),
            auth: None,
            effort: None,
            thinking: None,
            cache: CacheTime::default(),
            options: Options::default(),
            unknown: std::collections::BTreeMap::new(),
        }
    }
}

/// How the key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `x-api-key: …`
    ApiKey,
    /// `Authorization: Bearer …`
    Bearer,
}

/// How hard the model tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the vendor's words")]
pub enum Effort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// Whether the model thinks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum Thinking {
    /// As much as it finds right.
    Adaptive {},
    /// Up to so many tokens, 1024 at least.
    Enabled {
        /// The tokens.
        budget_tokens: u64,
    },
    /// Between the calls of tools only.
    BetweenTools {},
    /// Not at all.
    Disabled {},
}

/// How long the beginning of the prompt is cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum CacheTime {
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// Five minutes.
    #[default]
    #[serde(rename = "5m")]
    Minutes,
    /// An hour: right where an experiment takes longer than five minutes.
    #[serde(rename = "1h")]
    Hour,
}

impl ClaudeProposer {
    /// A proposer for one run. Reads the key.
    pub fn new(settings: ClaudeSettings, surroundings: Surroundings) -> Result<ClaudeProposer, ProposerError> {
        let key = key(&settings.options, "ANTHROPIC_API_KEY")?;
        ClaudeProposer::with_key(settings, surroundings, key)
    }

    /// What a proposer of these settings would send for the next proposal, and what that may cost. Reads no key, opens no
    /// cassette and sends nothing.
    pub fn dry_run_of(
        mut settings: ClaudeSettings,
        surroundings: Surroundings,
        context: &Context<'_>,
    ) -> Result<DryRun, ProposerError> {
        (settings.options.record, settings.options.replay) = (None, None);
        Ok(ClaudeProposer::with_key(settings, surroundings, None)?.dry_run(context))
    }

    fn with_key(
        settings: ClaudeSettings,
        surroundings: Surroundings,
        key: Option<Secret>,
    ) -> Result<ClaudeProposer, ProposerError> {
        let known: Vec<&str> = settings.unknown.keys().map(String::as_str).collect();
        if !known.is_empty() {
            return Err(ProposerError::Fatal(format!("unknown settings of the proposer: {}", known.join(", "))));
        }
        if let Some(Thinking::Enabled { budget_tokens }) = settings.thinking
            && !(1024..settings.options.max_tokens).contains(&budget_tokens)
        {
            let why = "thinking takes a budget_tokens of 1024 at least, and less than max_tokens";
            return Err(ProposerError::Fatal(why.into()));
        }
        let options = settings.options.clone();
        let base = options.base_url.clone().unwrap_or_else(|| SERVER.into());
        let url = format!("{}/v1/messages", base.trim_end_matches('/').trim_end_matches("/v1"));
        let vendor = Claude { url: url.clone(), key, settings };
        Ok(ClaudeProposer(ModelProposer::new(Box::new(vendor), &url, options, surroundings)?))
    }

    /// The first request of the next proposal and what it may cost, without sending anything.
    pub fn dry_run(&self, context: &Context<'_>) -> DryRun {
        self.0.dry_run(context)
    }

    /// Replaces what all proposals together may cost.
    pub fn set_night(&mut self, caps: Caps) {
        self.0.set_night(caps);
    }
}

#[async_trait]
impl Proposer<Patch> for ClaudeProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        self.0.propose(context).await
    }

    async fn propose_wave(
        &mut self,
        context: &Context<'_, Patch>,
        most: usize,
    ) -> Result<Vec<Proposal>, ProposerError> {
        self.0.propose_wave(context, most).await
    }
}

struct Claude {
    url: String,
    key: Option<Secret>,
    settings: ClaudeSettings,
}

impl Vendor for Claude {
    fn model(&self) -> &str {
        &self.settings.model
    }

    fn request(&self, conversation: &Conversation) -> Request {
        let auth = self.settings.auth.unwrap_or(match self.settings.version.as_str() >= BEARER_VERSION {
            true => Auth::Bearer,
            false => Auth::ApiKey,
        });
        Request {
            url: self.url.clone(),
            headers: vec![("anthropic-version", self.settings.version.clone())],
            key: self.key.clone().map(|key| match auth {
                Auth::ApiKey => ("x-api-key", "", key),
                Auth::Bearer => ("authorization", "Bearer ", key),
            }),
            body: request::body(&self.settings, conversation),
        }
    }

    fn fold(&self, _input: u64) -> Box<dyn Fold> {
        Box::new(fold::Message::new(self.settings.cache == CacheTime::Hour))
    }
}
