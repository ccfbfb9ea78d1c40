//! `autoresearch import`: makes a run of a table that somebody else wrote.

use std::path::{Path, PathBuf};

use autoresearch_core::git::Lineage;
use autoresearch_core::import::{Imported, parse};
use autoresearch_core::{Direction, Journal, JournalError, State, results};

use crate::run::{Home, RunError, make_folder};

/// What `import` is asked for.
pub struct Request {
    pub file: PathBuf,
    pub tag: Option<String>,
    pub metric: Option<String>,
    pub direction: Direction,
}

/// Reads the table and makes a run of it. Returns the run's name and what was read.
pub fn import(home: &Home, request: &Request) -> Result<(String, Imported), RunError> {
    let shown = request.file.display();
    let tag = request.tag.clone().unwrap_or_else(|| tag_of(&request.file));
    // Only a name that a run could have.
    Lineage::open(&home.root, &tag)?;
    let folder = home.run(&tag);
    let journal = folder.join("journal.jsonl");
    if journal.exists() {
        return Err(RunError::RunExists(tag, folder));
    }
    let bytes = std::fs::read(&request.file).map_err(|e| RunError::Other(format!("reading {shown}: {e}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| RunError::Other(format!("{shown} is not UTF-8; save it as UTF-8 and import it again")))?;
    let table = parse(&text, request.metric.as_deref());
    if table.rows.is_empty() {
        let problems: String = table.problems.iter().take(10).map(|problem| format!("\n  {problem}")).collect();
        return Err(RunError::Other(format!("{shown} has no keep with a number, so there is no baseline{problems}")));
    }
    make_folder(&folder)?;
    // Under a name of its own until it is whole: what a crash leaves of an import is no run.
    let partial = folder.join(format!("journal.import-{}", std::process::id()));
    let written = write(&partial, &table, &tag, request.direction).and_then(|state| {
        std::fs::rename(&partial, &journal).map_err(|source| JournalError::Io { path: journal.clone(), source })?;
        Ok(state)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    results::write(&folder.join("results.tsv"), &written?)?;
    Ok((tag, table))
}

fn write(path: &Path, table: &Imported, tag: &str, direction: Direction) -> Result<State, JournalError> {
    let mut journal = Journal::open(path)?;
    let mut state = State::default();
    for record in table.records(tag, direction) {
        state.apply(&journal.append(record)?)?;
    }
    Ok(state)
}

/// A run's name made of the file's.
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
