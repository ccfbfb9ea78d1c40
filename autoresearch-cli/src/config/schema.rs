//! The forms of values whose types belong to other crates, for the JSON Schema alone: the types themselves are read by serde.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A positive number.
#[allow(dead_code, reason = "a form alone")]
pub struct Positive;

impl JsonSchema for Positive {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Positive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

/// The better direction of the metric.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Direction {
    Minimise,
    Minimize,
    Maximise,
    Maximize,
}

/// The number of several repeats that counts.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Repeats {
    Median,
    Mean,
    Min,
    Last,
}

/// The number of an output that counts, where it has several.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Which {
    Last,
    First,
    Min,
    Max,
    Mean,
    Median,
    Only,
}

/// The format of a file with a number.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Format {
    Json,
    Jsonl,
    Yaml,
    Toml,
    Csv,
    Tsv,
    Safetensors,
}

/// A quantity of the run itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code, reason = "a form alone")]
pub enum Quantity {
    ExitCode,
    Wall,
    Cpu,
    MaxRss,
    LinesOfCode,
    BinarySize,
}

/// The least that an isolation must be.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "a form alone")]
pub enum IsolationLevel {
    None,
    BestEffort,
    Strict,
}

/// A tool whose results are read.
#[allow(dead_code, reason = "a form alone")]
pub struct Tool;

impl JsonSchema for Tool {
    fn schema_name() -> Cow<'static, str> {
        "Tool".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = autoresearch_metrics::TOOLS.map(autoresearch_metrics::Tool::name);
        json_schema!({ "description": "A tool whose results are read.", "type": "string", "enum": names })
    }
}

/// The sample of a trial that counts.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Statistic {
    Median,
    Minimum,
}

/// The clock that measures a time.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "a form alone")]
pub enum Clock {
    Printed,
    Wall,
    Cpu,
}

/// A limit on a secondary metric.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a form alone")]
pub struct Limit {
    /// The most that it may be.
    at_most: Option<f64>,
    /// The least that it may be.
    at_least: Option<f64>,
    /// The share of the incumbent's value by which it may grow.
    grows_at_most: Option<f64>,
}

/// The strategy of a search over constants.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "a form alone")]
pub enum Search {
    Neighbour,
    Random,
    Grid,
    Tpe,
}

/// Treatment of new files outside the editable paths.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "a form alone")]
pub enum Outside {
    Drop,
    Reject,
}

/// Limits on spending.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a form alone")]
pub struct Caps {
    /// US dollars.
    dollars: Option<f64>,
    /// Tokens, read and written.
    tokens: Option<u64>,
    /// Calls of a model.
    calls: Option<u64>,
}

/// Prices of a model in US dollars per million tokens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a form alone")]
pub struct Price {
    /// Input that is not cached.
    input: f64,
    /// Output, thinking included.
    output: f64,
    /// Input read from the cache.
    cache_read: Option<f64>,
    /// Input written to the cache for minutes.
    cache_write: Option<f64>,
    /// Input written to the cache for an hour.
    cache_write_long: Option<f64>,
}
