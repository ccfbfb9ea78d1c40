//! The JSON Schema of `autoresearch.toml`, by which editors complete and check it.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::agent::AgentSection;
use super::file::Config;
use super::proposer::{DesignSection, KnobsSection, MergeSection, ReplaySection};
use super::schema::{Caps, Price};

/// The schema of the whole file.
pub fn schema() -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    // Read apart from the rest of the file, so that its errors have lines, too.
    let proposer = generator.subschema_for::<Proposer>();
    let mut schema = generator.into_root_schema_for::<Config>();
    schema.insert("title".into(), "autoresearch.toml".into());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("proposer".into(), proposer.to_value());
    }
    schema
}

/// The proposer: each kind has its own keys.
#[derive(JsonSchema)]
#[schemars(tag = "kind", rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
enum Proposer {
    /// Searches over the constants that carry a `knob:` range.
    Knobs(KnobsSection),
    /// Measures the points of a factorial design over constants.
    Design(DesignSection),
    /// Combines changes that failed narrowly.
    Merge(MergeSection),
    /// Makes the proposals of a recorded run again.
    Replay(ReplaySection),
    /// Asks Claude.
    Claude(Box<Claude>),
    /// Asks a model of OpenAI, or of a server that is compatible.
    Openai(Box<Openai>),
    /// Lets an agent edit a scratch copy.
    Agent(Box<AgentSection>),
    /// Lets several take turns by what they bring.
    Portfolio(Portfolio),
}

/// The keys of `kind = "portfolio"`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a form alone")]
struct Portfolio {
    /// The proposers by the names under which the journal remembers them.
    members: BTreeMap<String, Proposer>,
    /// The price of a minute of the machine.
    dollars_per_minute: Option<f64>,
}

/// The keys of `kind = "claude"`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "a form alone")]
struct Claude {
    /// Name of the model.
    model: Option<String>,
    /// Version of the interface.
    version: Option<String>,
    /// Header that carries the key: `api-key` or `bearer`.
    auth: Option<String>,
    /// Effort of the model: `low`, `medium`, `high`, `xhigh` or `max`.
    effort: Option<String>,
    /// Thinking before the answer.
    thinking: Option<BTreeMap<String, Value>>,
    /// Time for which the beginning of the prompt is cached: `none`, `5m` or `1h`.
    cache: Option<String>,
    #[schemars(flatten)]
    options: Options,
}

/// The keys of `kind = "openai"`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "a form alone")]
struct Openai {
    /// Name of the model.
    model: Option<String>,
    /// Interface of the server: `responses` or `chat`.
    api: Option<String>,
    /// Effort, in the model's own words.
    effort: Option<String>,
    #[schemars(flatten)]
    options: Options,
}

/// The keys that models of all vendors share.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "a form alone")]
struct Options {
    /// Way in which a proposal is made.
    mode: Option<Mode>,
    /// Base URL of the server.
    base_url: Option<String>,
    /// Source of the key: `env`, `file` or `command`.
    key: Option<BTreeMap<String, Value>>,
    /// Longest reply in tokens, thinking included.
    max_tokens: Option<u64>,
    /// Most calls of the model for one proposal.
    turns: Option<u32>,
    /// Most repairs of an answer that cannot be used.
    repairs: Option<u32>,
    /// Longest history in the prompt, in bytes.
    history: Option<usize>,
    /// Has the server enforce the form of the answer.
    structured: Option<bool>,
    /// Limits of one proposal.
    per_proposal: Option<Caps>,
    /// Prices by model.
    prices: Option<BTreeMap<String, Price>>,
    /// Time limits of one request, in seconds: `connect`, `first_byte`, `between_bytes`, `whole`.
    timeouts: Option<BTreeMap<String, f64>>,
    /// Retries of one request: `times`, `first`, `most`, `patience`.
    retry: Option<BTreeMap<String, f64>>,
    /// Waits after proposals in a row that came to nothing.
    backoff: Option<BTreeMap<String, f64>>,
    /// Path of a cassette that records every request and response, without keys.
    record: Option<String>,
    /// Path of a cassette that answers in place of the server.
    replay: Option<String>,
}

/// Way in which a model makes a proposal.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "a form alone")]
enum Mode {
    SingleShot,
    Agentic,
}

#[cfg(test)]
mod tests;
