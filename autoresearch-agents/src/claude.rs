//! Proposals by Claude, over the Messages interface of Anthropic or of a compatible server.

mod reply;
mod request;
mod settings;

use async_trait::async_trait;
use autoresearch_core::{Context, Experiment, Patch, Proposal, Proposer, ProposerError, RejectedDraft, Wave};

use crate::http::{Request, Secret};
use crate::model::{Caps, Conversation, DryRun, ModelProposer, ReplyBuilder, Surroundings, Vendor, read_key};
pub use settings::{Auth, CacheTime, ClaudeSettings, Effort, Thinking};

/// Anthropic's server.
const SERVER: &str = "https://api.anthropic.com";
/// First version in which the key is a bearer token.
const BEARER_VERSION: &str = "2026-10-21";

/// Asks Claude for proposals.
///
/// ```no_run
/// use autoresearch_agents::model::Surroundings;
/// use autoresearch_agents::{ClaudeProposer, ClaudeSettings};
/// use autoresearch_core::EditablePaths;
/// let surroundings = Surroundings::new(EditablePaths::new(["train.rs"]));
/// let proposer = ClaudeProposer::new(ClaudeSettings::default(), surroundings)?;
/// println!("the run may spend {}", proposer.run_caps());
/// # Ok::<(), autoresearch_core::ProposerError>(())
/// ```
pub struct ClaudeProposer(ModelProposer);

impl ClaudeProposer {
    /// A proposer for one run. Reads the key and opens the cassette.
    pub fn new(settings: ClaudeSettings, surroundings: Surroundings) -> Result<ClaudeProposer, ProposerError> {
        let key = read_key(&settings.options, "ANTHROPIC_API_KEY")?;
        ClaudeProposer::with_key(settings, surroundings, key)
    }

    /// Returns the request that a proposer of these settings would send next, and its greatest cost. Reads no key, opens no
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
        let unknown: Vec<&str> = settings.unknown.keys().map(String::as_str).collect();
        if !unknown.is_empty() {
            return Err(ProposerError::Fatal(format!("unknown settings of the proposer: {}", unknown.join(", "))));
        }
        if let Some(Thinking::Enabled { budget_tokens }) = settings.thinking
            && !(1024..settings.options.max_tokens).contains(&budget_tokens)
        {
            let most = settings.options.max_tokens;
            let why = format!(
                "thinking has budget_tokens = {budget_tokens}; give at least 1024 and fewer than max_tokens = {most}"
            );
            return Err(ProposerError::Fatal(why));
        }
        let options = settings.options.clone();
        let base = options.base_url.clone().unwrap_or_else(|| SERVER.into());
        let url = format!("{}/v1/messages", base.trim_end_matches('/').trim_end_matches("/v1"));
        let vendor = Claude { url: url.clone(), key, settings };
        Ok(ClaudeProposer(ModelProposer::new(Box::new(vendor), &url, options, surroundings)?))
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
impl Proposer<Patch> for ClaudeProposer {
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

    fn reply_builder(&self, _input: u64) -> Box<dyn ReplyBuilder> {
        Box::new(reply::Message::new(self.settings.cache == CacheTime::Hour))
    }
}
