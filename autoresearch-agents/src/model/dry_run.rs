//! The next request, without sending it.

use autoresearch_core::Cost;
use serde_json::Value;

/// The request for the next proposal and its greatest cost. Nothing is sent to make one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DryRun {
    /// Rules and programme. `None` for agents, which have system prompts of their own.
    pub system: Option<String>,
    /// Files, history and question; the whole task of an agent.
    pub user: String,
    /// Names of the tools. Empty for agents, which have their own.
    pub tools: Vec<&'static str>,
    /// Whole body of the first request. `None` for agents, which write their own.
    pub body: Option<Value>,
    /// Tokens of the prompt, estimated from above.
    pub input_tokens: u64,
    /// Greatest cost of the first call; of an agent the cost of its prompt.
    pub worst: Cost,
    /// True if the model's price is known. If not, the dollars of `worst` are 0.
    pub priced: bool,
}
