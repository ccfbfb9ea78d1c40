//! `autoresearch schema`: the JSON Schemas of the configuration and of the answers.

use std::process::ExitCode;

use clap::Args;

use crate::config;
use crate::error::CommandError;
use crate::json;

/// Print the JSON Schema of autoresearch.toml, or of the JSON answer of a command.
#[derive(Debug, Args)]
#[command(
    after_help = "Editors complete and check autoresearch.toml by it.\n\nExample:\n  autoresearch schema > autoresearch.schema.json\n  autoresearch schema status"
)]
pub struct SchemaArgs {
    /// config, or a command that answers as JSON.
    #[arg(value_name = "NAME", default_value = "config")]
    name: String,
}

/// Prints a schema.
pub fn schema(args: &SchemaArgs) -> Result<ExitCode, CommandError> {
    let mut all = json::schemas();
    all.push(("config", config::schema()));
    match all.iter().find(|(name, _)| *name == args.name) {
        Some((_, schema)) => {
            json::print(schema)?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            let known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            Err(CommandError::Other(format!("there is no schema {}; give one of {known}", args.name)))
        }
    }
}
