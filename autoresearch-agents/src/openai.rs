//! Proposals by models of OpenAI over its Responses interface, and by any server with Chat Completions.

mod chat;
mod responses;
mod settings;

use async_trait::async_trait;
use autoresearch_core::{Context, Experiment, Patch, Proposal, Proposer, ProposerError, RejectedDraft, Wave};

use crate::http::{Request, Secret};
use crate::model::{Caps, Conversation, DryRun, Mode, ModelProposer, ReplyBuilder, Surroundings, Vendor, read_key};
pub use settings::{Api, OpenAiSettings};

/// OpenAI's server.
const SERVER: &str = "https://api.openai.com/v1";

/// Models whose tools need the Responses interface.
const RESPONSES_ONLY: [&str; 2] = ["gpt-6-astra", "gpt-6.1-sol"];

/// Asks a model of OpenAI, or of a compatible server, for proposals.
///
/// ```
/// use autoresearch_agents::model::Surroundings;
/// use autoresearch_agents::openai::Api;
/// use autoresearch_agents::{OpenAiProposer, OpenAiSettings};
/// use autoresearch_core::EditablePaths;
/// let mut settings = OpenAiSettings { model: "my-model".into(), api: Api::Chat, ..Default::default() };
/// settings.options.base_url = Some("http://localhost:8000/v1".into());
/// let proposer = OpenAiProposer::new(settings, Surroundings::new(EditablePaths::new(["train.rs"])))?;
/// assert_eq!(proposer.run_caps().to_string(), "no limit", "a server of one's own without a price");
/// # Ok::<(), autoresearch_core::ProposerError>(())
/// ```
pub struct OpenAiProposer(ModelProposer);

impl OpenAiProposer {
    /// A proposer for one run. Reads the key and opens the cassette.
    pub fn new(settings: OpenAiSettings, surroundings: Surroundings) -> Result<OpenAiProposer, ProposerError> {
        let key = read_key(&settings.options, "OPENAI_API_KEY")?;
        OpenAiProposer::with_key(settings, surroundings, key)
    }

    /// Returns the request that a proposer of these settings would send next, and its greatest cost. Reads no key, opens no
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
        let unknown: Vec<&str> = settings.unknown.keys().map(String::as_str).collect();
        if !unknown.is_empty() {
            return Err(ProposerError::Fatal(format!("unknown settings of the proposer: {}", unknown.join(", "))));
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

    /// Returns the first request of the next proposal and its greatest cost, without sending anything.
    pub fn dry_run(&self, context: &Context<'_>) -> DryRun {
        self.0.dry_run(context)
    }

    /// Replaces the limits of the run.
    pub fn set_run_caps(&mut self, caps: Caps) {
        self.0.set_run_caps(caps);
    }

    /// Returns the limits of the run as they are enforced, the default in dollars included. No limit in dollars holds for a
    /// server of one's own whose model has no price.
    pub fn run_caps(&self) -> Caps {
        self.0.run_caps()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Proposer<Patch> for OpenAiProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        self.0.propose(context).await
    }

    async fn propose_wave(&mut self, context: &Context<'_, Patch>, most: usize) -> Result<Wave, ProposerError> {
        self.0.propose_wave(context, most).await
    }

    fn observe(&mut self, experiment: &Experiment) {
        self.0.observe(experiment);
    }

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        self.0.unreported()
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

    fn reply_builder(&self, input: u64) -> Box<dyn ReplyBuilder> {
        match self.settings.api {
            Api::Responses => Box::new(responses::Response::new(input)),
            Api::Chat => Box::new(chat::Completion::new(input)),
        }
    }
}
