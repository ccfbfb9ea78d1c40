//! `autoresearch import`: makes a run of what another tool wrote.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::journal::JournalFault;
use autoresearch_core::internal::results;
use autoresearch_core::{Direction, Journal, JournalError, State};
use clap::Args;

use crate::config::parse_direction;
use crate::error::CommandError;
use crate::import::{Choices, Imported, read, records};
use crate::repository::Repository;
use crate::text::terminal;

/// Make a run of another tool's results: tables, JSON, Optuna, MLflow, W&B, OpenEvolve, ShinkaEvolve.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is measured again. The run can be reported, compared and verified, and `run --history TAG` shows it\nto models and agents.\n\nExample:\n  autoresearch import results.tsv --metric val_bpb --direction minimise"
)]
pub struct ImportArgs {
    /// The file or folder; several, such as one for each phase, are one run in this order.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Name of the run [default: the file's name]
    #[arg(long)]
    tag: Option<String>,
    /// Column with the metric [default: the file's, or its first column of numbers]
    #[arg(long, value_name = "COLUMN")]
    metric: Option<String>,
    /// minimise or maximise the metric [default: the file's, if it says so]
    #[arg(long, value_parser = parse_direction)]
    direction: Option<Direction>,
    /// The study or experiment, if there are several.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The segment of an autoresearch.jsonl, from 0 [default: the last one]
    #[arg(long, value_name = "N")]
    segment: Option<usize>,
}

/// Reads the files, makes a run of them, and says what could not be read.
pub fn import(repository: &Repository, args: &ImportArgs) -> Result<ExitCode, CommandError> {
    let tag = args.tag.clone().unwrap_or_else(|| tag_of(args.files.first().map_or(Path::new(""), PathBuf::as_path)));
    // Only a name that a run could have.
    Lineage::open(&repository.root, &tag)?;
    let (folder, journal) = (repository.run_folder(&tag), repository.journal_path(&tag));
    if journal.exists() {
        return Err(CommandError::RunExists(tag, folder));
    }
    let choices = Choices {
        metric: args.metric.as_deref(),
        direction: args.direction,
        name: args.name.as_deref(),
        segment: args.segment,
    };
    let table = read(&args.files, choices).map_err(CommandError::Other)?;
    repository.make_run_folder(&tag)?;
    // Under a name of its own until it is whole: what a crash leaves of an import is no run.
    let partial = folder.join(format!("journal.import-{}", std::process::id()));
    let written = write(&partial, &table, &tag).and_then(|state| {
        std::fs::rename(&partial, &journal).map_err(|source| JournalFault::Io { path: journal.clone(), source })?;
        Ok(state)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    results::write(&folder.join("results.tsv"), &written?)?;
    show(&table, &tag);
    Ok(ExitCode::SUCCESS)
}

fn show(table: &Imported, tag: &str) {
    for problem in &table.problems {
        terminal::err(problem);
    }
    let way = if table.direction == Direction::Minimise { "lower" } else { "higher" };
    let (rows, problems) = (table.rows.len(), table.problems.len());
    terminal::note(format_args!("format: {}", table.format));
    terminal::out(format_args!("experiments: {rows}; problems: {problems}; metric: {}, {way} is better", table.metric));
    if !table.others.is_empty() {
        terminal::note(format_args!("other columns of numbers, for --metric: {}", table.others.join(", ")));
    }
    if table.is_judged {
        terminal::note("it does not say what was kept: a keep is what was better than everything before it");
    }
    terminal::note(format_args!("report: autoresearch report --tag {tag}"));
}

fn write(path: &Path, table: &Imported, tag: &str) -> Result<State, JournalError> {
    let mut journal = Journal::open(path)?;
    let mut state = State::default();
    for record in records(table, tag) {
        state.apply(&journal.append(record)?)?;
    }
    Ok(state)
}

/// Makes a run's name of a file's.
fn tag_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    match stem.chars().map(fits).collect::<String>().trim_matches('-') {
        "" => "imported".into(),
        tag => tag.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_run() {
        for (file, tag) in
            [("a/mar8.tsv", "mar8"), ("my results (2).v1.tsv", "my-results--2--v1"), ("....", "imported")]
        {
            assert_eq!(tag_of(Path::new(file)), tag);
        }
    }
}
