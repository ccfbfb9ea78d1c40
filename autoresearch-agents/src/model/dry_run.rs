//! What would be asked, without asking.

use autoresearch_core::Cost;
use serde_json::Value;

/// What would be sent for the next proposal, and what that may cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DryRun {
    /// The rules and the programme; agents have system prompts of their own.
    pub system: Option<String>,
    /// The files and what happened so far.
    pub user: String,
    /// The tools, by name; agents have their own.
    pub tools: Vec<&'static str>,
    /// The whole body of the first request; agents write their own.
    pub body: Option<Value>,
    /// The tokens of the prompt, estimated, and rather too many.
    pub input_tokens: u64,
    /// The most that the first call can cost; for agents what the prompt costs.
    pub worst: Cost,
    /// Whether the model's price is known. If not, the dollars of `worst` are 0.
    pub priced: bool,
}
