//! `[limits]`: what each command may use of the machine.

use autoresearch_core::internal::process::Limits;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{schema, values};

/// The section; without a key there is no limit of that kind.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Bytes of data of each process; written in GiB.
    #[serde(default, rename = "memory_gb", deserialize_with = "values::gibibytes")]
    #[schemars(with = "Option<schema::Positive>")]
    pub memory: Option<u64>,
    /// Bytes of each file that is written; written in GiB.
    #[serde(default, rename = "file_gb", deserialize_with = "values::gibibytes")]
    #[schemars(with = "Option<schema::Positive>")]
    pub file_size: Option<u64>,
    /// Processes and threads of the user altogether; of each command alone where it is isolated.
    pub processes: Option<u64>,
}

impl LimitsSection {
    /// The limits as the sandbox takes them.
    pub fn limits(&self) -> Limits {
        let LimitsSection { memory, file_size, processes } = *self;
        Limits { memory, file_size, processes, ..Limits::default() }
    }
}
