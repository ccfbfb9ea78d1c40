//! The settings of a proposer that asks Claude.

use serde::Deserialize;

use crate::model::Options;

/// Settings of a [`ClaudeProposer`](super::ClaudeProposer).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClaudeSettings {
    /// Name of the model. Default: `claude-opus-5-5`.
    pub model: String,
    /// Version of the interface: `2023-06-01`, the default, which compatible servers expect, or `2026-10-21`.
    pub version: String,
    /// Header that carries the key. Default: by the version.
    pub auth: Option<Auth>,
    /// Effort of the model. Default: its own.
    pub effort: Option<Effort>,
    /// Thinking before the answer. Default: the model's own.
    pub thinking: Option<Thinking>,
    /// Time for which the beginning of the prompt is cached. Default: five minutes.
    pub cache: CacheTime,
    /// Settings that all vendors share.
    #[serde(flatten)]
    pub options: Options,
    /// Keys that belong to no setting; any is an error.
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

/// Header that carries the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `x-api-key: …`
    ApiKey,
    /// `Authorization: Bearer …`
    Bearer,
}

/// Effort of the model, in the vendor's words.
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

/// Thinking before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum Thinking {
    /// As much as it finds right.
    Adaptive {},
    /// Up to a number of tokens.
    Enabled {
        /// Most tokens of thinking, at least 1024 and fewer than `max_tokens`.
        budget_tokens: u64,
    },
    /// Between the calls of tools only.
    BetweenTools {},
    /// Not at all.
    Disabled {},
}

/// Time for which the beginning of the prompt is cached.
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
