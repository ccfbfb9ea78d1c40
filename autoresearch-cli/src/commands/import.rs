//! `autoresearch import`: makes a run of a table that somebody else wrote.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::import::{Imported, parse};
use autoresearch_core::internal::results;
use autoresearch_core::{Direction, Journal, JournalError, State};
use clap::Args;

use crate::config::parse_direction;
use crate::error::CommandError;
use crate::repository::Repository;
use crate::text::terminal;

/// Make a run of a results.tsv that was written by hand or by another program, for `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is measured or judged again; the run can only be reported and verified.\n\nExample:\n  autoresearch import results.tsv --metric val_bpb\n  autoresearch report"
)]
pub struct ImportArgs {
    /// The table, separated by tabs or commas: with a line of names, or karpathy's five columns.
    file: PathBuf,
    /// Name of the run [default: the file's name]
    #[arg(long)]
    tag: Option<String>,
    /// Column with the metric [default: the first column with no other meaning]
    #[arg(long, value_name = "COLUMN")]
    metric: Option<String>,
    /// minimise if lower scores are better, else maximise.
    #[arg(long, default_value = "minimise", value_parser = parse_direction)]
    direction: Direction,
}

/// Reads the table, makes a run of it, and says what could not be read.
pub fn import(repository: &Repository, args: ImportArgs) -> Result<ExitCode, CommandError> {
    let shown = args.file.display();
    let tag = args.tag.clone().unwrap_or_else(|| tag_of(&args.file));
    // Only a name that a run could have.
    Lineage::open(&repository.root, &tag)?;
    let (folder, journal) = (repository.run_folder(&tag), repository.journal_path(&tag));
    if journal.exists() {
        return Err(CommandError::RunExists(tag, folder));
    }
    let bytes = std::fs::read(&args.file).map_err(|e| CommandError::Other(format!("reading {shown}: {e}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CommandError::Other(format!("{shown} is not UTF-8; save it as UTF-8 and import it again")))?;
    let table = parse(&text, args.metric.as_deref());
    if table.rows.is_empty() {
        let problems: String = table.problems.iter().take(10).map(|problem| format!("\n  {problem}")).collect();
        return Err(CommandError::Other(format!(
            "{shown} has no keep with a number, so there is no baseline{problems}"
        )));
    }
    repository.make_run_folder(&tag)?;
    // Under a name of its own until it is whole: what a crash leaves of an import is no run.
    let partial = folder.join(format!("journal.import-{}", std::process::id()));
    let written = write(&partial, &table, &tag, args.direction).and_then(|state| {
        std::fs::rename(&partial, &journal).map_err(|source| JournalError::Io { path: journal.clone(), source })?;
        Ok(state)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    results::write(&folder.join("results.tsv"), &written?)?;
    show(&table, &tag, args.direction);
    Ok(ExitCode::SUCCESS)
}

fn show(table: &Imported, tag: &str, direction: Direction) {
    for problem in &table.problems {
        terminal::err(problem);
    }
    let way = if direction == Direction::Minimise { "lower" } else { "higher" };
    let (rows, problems) = (table.rows.len(), table.problems.len());
    terminal::out(format_args!("experiments: {rows}; problems: {problems}; metric: {}, {way} is better", table.metric));
    terminal::out(format_args!("report: autoresearch report --tag {tag}"));
}

fn write(path: &Path, table: &Imported, tag: &str, direction: Direction) -> Result<State, JournalError> {
    let mut journal = Journal::open(path)?;
    let mut state = State::default();
    for record in table.records(tag, direction) {
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
