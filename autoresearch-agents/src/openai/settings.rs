//! The settings of a proposer that asks a model of OpenAI or of a compatible server.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Options;

/// Settings of an [`OpenAiProposer`](super::OpenAiProposer).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct OpenAiSettings {
    /// Name of the model. Default: `gpt-6.1-sol`.
    pub model: String,
    /// Interface of the server. Default: Responses.
    pub api: Api,
    /// Effort, in the model's own words. Default: its own.
    pub effort: Option<String>,
    /// Settings that all vendors share.
    #[serde(flatten)]
    pub options: Options,
    /// Keys that belong to no setting; any is an error.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, toml::Value>,
}

/// Interface of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// OpenAI's Responses.
    #[default]
    Responses,
    /// Chat Completions, which compatible servers have: vLLM, Ollama, llama.cpp, OpenRouter.
    Chat,
}

impl Default for OpenAiSettings {
    fn default() -> Self {
        OpenAiSettings {
            model: "gpt-6.1-sol".into(),
            api: Api::default(),
            effort: None,
            options: Options::default(),
            unknown: BTreeMap::new(),
        }
    }
}
