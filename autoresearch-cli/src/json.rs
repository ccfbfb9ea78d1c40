//! The answers of the reading commands as JSON. Each has a schema (`autoresearch schema NAME`), and docs/json.md tells of them.

mod bundle;
mod checks;
mod experiment;
mod knobs;
mod report;
mod runs;
mod status;
mod transfer;
mod version;

use schemars::JsonSchema;
use serde::Serialize;

pub use bundle::{BundleAnswer, BundleChecked};
pub use checks::{DoctorAnswer, VerifyAnswer, verify_answer};
pub use experiment::{BestAnswer, Detail, DiffAnswer, ExperimentAnswer, LogAnswer, ShowAnswer, header};
pub use knobs::KnobsAnswer;
pub use report::ReportAnswer;
pub use runs::{GcAnswer, GcRun};
pub use status::{Activity, Limits, Now, StatusAnswer, Totals};
pub use transfer::TransferAnswer;
pub use version::VERSION;

use crate::error::CommandError;
use crate::text::terminal;

/// Prints an answer.
pub fn print(answer: &impl Serialize) -> Result<(), CommandError> {
    terminal::out(text(answer)?);
    Ok(())
}

/// Formats an answer.
pub fn text(answer: &impl Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(answer)
        .map_err(|error| CommandError::Other(format!("the answer cannot be written as JSON: {error}")))
}

/// The names of all answers with their schemas.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("status", schema::<StatusAnswer>()),
        ("log", schema::<LogAnswer>()),
        ("show", schema::<ShowAnswer>()),
        ("diff", schema::<DiffAnswer>()),
        ("best", schema::<BestAnswer>()),
        ("report", schema::<ReportAnswer>()),
        ("verify", schema::<VerifyAnswer>()),
        ("bundle", schema::<BundleAnswer>()),
        ("doctor", schema::<DoctorAnswer<'_>>()),
        ("gc", schema::<GcAnswer>()),
        ("knobs", schema::<KnobsAnswer>()),
        ("transfer", schema::<TransferAnswer>()),
    ]
}

fn schema<T: JsonSchema>() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
