//! Proposals by models of OpenAI, over its Responses interface, and by any server that has Chat Completions.

mod chat;
mod responses;

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoresearch_core::{Context, Patch, Proposal, Proposer, ProposerError};
use serde::Deserialize;

use crate::http::{Request, Secret};
use crate::model::options::{Surroundings, key};
use crate::model::{Caps, Conversation, DryRun, Fold, Mode, ModelProposer, Options, Vendor};

/// OpenAI's server.
const SERVER: &str = "https://api.openai.com/v1";

/// Models that take tools over Responses only.
const RESPONSES_ONLY: [&str; 2] = ["gpt-6-astra", "gpt-6.1-sol"];

/// Asks a model of OpenAI, or of a compatible server, for proposals.
pub struct OpenAiProposer(ModelProposer);

/// What is asked, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct OpenAiSettings {
    /// The model.
    pub model: String,
    /// The interface.
    pub api: Api,
    /// How hard it tries, in the model's own words; its default if it is missing.
    pub effort: Option<String>,
    /// What all vendors share.
    #[serde(flatten)]
    pub options: Options,
    /// What is none of these.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, toml::Value>,
}

/// The interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// OpenAI's own.
    #[default]
    Responses,
    /// What compatible servers have: vLLM, Ollama, llama.cpp, OpenRouter.
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

impl OpenAiProposer {
    /// A proposer for one run. Reads the key.
    pub fn new(settings: OpenAiSettings, surroundings: Surroundings) -> Result<OpenAiProposer, ProposerError> {
        let key = key(&settings.options, "OPENAI_API_KEY")?;
        OpenAiProposer::with_key(settings, surroundings, key)
    }

    /// What a proposer of these settings would send for the next proposal, and what that may cost. Reads no key, opens no
    /// cassette and sends nothing.
    pub fn dry_run_of(
        mut settings: OpenAiSettings,
        surroundings: Surroundings,
        context: &Context<'_>,
    ) -> Result<DryRun, ProposerError> {
        (settings.options.record, settings.options.replay) = (None, None);
        Ok(OpenAiProposer::with_key(settings, surroundings, None)?.dry_run(context))
    }

    fn with_key(
        settings: OpenAiSettings,
        surroundings: Surroundings,
        key: Option<Secret>,
    ) -> Result<OpenAiProposer, ProposerError> {
        let known: Vec<&str> = settings.unknown.keys().map(String::as_str).collect();
        if !known.is_empty() {
            return Err(ProposerError::Fatal(format!("unknown settings of the proposer: {}", known.join(", "))));
        }
        let ours = settings.options.base_url.is_none() && settings.api == Api::Chat;
        if ours
            && settings.options.mode == Mode::Agentic
            && RESPONSES_ONLY.iter().any(|m| settings.model.starts_with(m))
        {
            let why =
                format!("{} takes tools over the Responses interface only; set api = \"responses\"", settings.model);
            return Err(ProposerError::Fatal(why));
        }
        let options = settings.options.clone();
        let base = options.base_url.clone().unwrap_or_else(|| SERVER.into());
        let path = match settings.api {
            Api::Responses => "responses",
            Api::Chat => "chat/completions",
        };
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        let vendor = OpenAi { url: url.clone(), key, settings };
        Ok(OpenAiProposer(ModelProposer::new(Box::new(vendor), &url, options, surroundings)?))
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
impl Proposer<Patch> for OpenAiProposer {
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

struct OpenAi {
    url: String,
    key: Option<Secret>,
    settings: OpenAiSettings,
}

impl Vendor for OpenAi {
    fn model(&self) -> &str {
        &self.settings.model
    }

    fn request(&self, conversation: &Conversation) -> Request {
        let body = match self.settings.api {
            Api::Responses => responses::body(&self.settings, conversation),
            Api::Chat => chat::body(&self.settings, conversation),
        };
        let key = self.key.clone().map(|key| ("authorization", "Bearer ", key));
        Request { url: self.url.clone(), headers: Vec::new(), key, body }
    }

    fn fold(&self, input: u64) -> Box<dyn Fold> {
        match self.settings.api {
            Api::Responses => Box::new(responses::Response::new(input)),
            Api::Chat => Box::new(chat::Completion::new(input)),
        }
    }
}
