//! `autoresearch verify`: whether a run is as it must be.

use std::fmt;
use std::path::Path;

use autoresearch_core::git::{GitError, Lineage};
use autoresearch_core::import::is_imported;
use autoresearch_core::verify::{self, View, Violation};
use autoresearch_core::{Journal, JournalError, State};

use crate::config::Config;
use crate::places::Places;
use crate::run::{Home, RunError};

/// So often a run that goes on meanwhile is looked at again before its violations are believed.
const TRIES: usize = 10;

/// One kind of check: what was looked at, what is wrong with it, and what else is worth saying.
struct Check {
    what: String,
    violations: Vec<Violation>,
    notes: Vec<String>,
}

impl Check {
    fn new(what: impl Into<String>, violations: Vec<Violation>) -> Check {
        Check { what: what.into(), violations, notes: vec![] }
    }

    /// Of git: what cannot even be looked at is a violation, and the other checks go on.
    fn of_git<T>(name: &str, found: Result<T, GitError>, check: impl FnOnce(T) -> Check) -> Check {
        match found {
            Ok(found) => check(found),
            Err(error) => Check::new(name, vec![error.into()]),
        }
    }
}

/// What was found.
#[derive(Default)]
pub struct Report {
    checks: Vec<Check>,
    /// What was not checked, and why.
    skipped: Vec<String>,
}

impl Report {
    /// How many violations there are.
    pub fn violations(&self) -> usize {
        self.checks.iter().map(|check| check.violations.len()).sum()
    }
}

fn verdict(violations: usize) -> String {
    match violations {
        0 => "sound".into(),
        1 => "1 violation".into(),
        more => format!("{more} violations"),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{}: {}", check.what, verdict(check.violations.len()))?;
        }
        for skipped in &self.skipped {
            writeln!(f, "{skipped}")?;
        }
        for check in &self.checks {
            let name = check.what.split(':').next().unwrap_or_default();
            for note in &check.notes {
                writeln!(f, "note: {name}: {note}")?;
            }
            for violation in &check.violations {
                writeln!(f, "{name}: {}", violation.to_string().replace('\n', " "))?;
            }
        }
        writeln!(f, "{}", verdict(self.violations()))
    }
}

/// Checks everything about a run, without locking it and without changing anything.
///
/// With the configuration of the run, whose rule says so, every decision is judged again as well.
pub fn verify(home: &Home, tag: &str, config: Option<&Config>) -> Result<Report, RunError> {
    let path = home.journal(tag)?;
    for _ in 1..TRIES {
        let (report, length) = look(home, tag, &path, config)?;
        // A run that goes on is ahead of the records that were read before: those are read again.
        if report.violations() == 0 || Journal::read(&path).map_or(0, |entries| entries.len()) == length {
            return Ok(report);
        }
    }
    Ok(look(home, tag, &path, config)?.0)
}

/// One look, and how many records there were.
fn look(home: &Home, tag: &str, path: &Path, config: Option<&Config>) -> Result<(Report, usize), RunError> {
    let mut report = Report::default();
    let (entries, torn) = match Journal::read_with_tail(path) {
        Ok(read) => read,
        Err(error @ (JournalError::Damaged { .. } | JournalError::Version { .. })) => {
            report.checks.push(Check::new("journal: not readable", vec![error.into()]));
            report
                .skipped
                .push("repository, results.tsv: not checked, since the journal says what they must be".into());
            return Ok((report, 0));
        }
        Err(error) => return Err(error.into()),
    };
    let state = State::replay(&entries);
    // What a run that goes on changes meanwhile is looked at first, right after the records that it is compared with.
    let views = state.as_ref().ok().map(|state| Views::of(home, tag, state)).transpose()?;

    let experiments =
        state.as_ref().map_or(String::new(), |state| format!(", {}", count(state.finished(), "experiment")));
    let what = format!("journal: {}{experiments}", count(entries.len(), "record"));
    let mut journal = Check::new(what, verify::journal(&entries));
    journal.notes = verify::notes(&entries);
    if torn {
        journal.notes.push("its last line is torn, or just being written; the next run cuts it off".into());
    }
    report.checks.push(journal);
    let (Ok(state), Some(Views { table, git })) = (state, views) else {
        report.skipped.push("repository, results.tsv: not checked, since the journal contradicts itself".into());
        return Ok((report, entries.len()));
    };
    if let Some(config) = config {
        let policy = config.policy(&Places::find(home.root.clone(), &config.preset)?)?;
        if state.header.as_ref().is_some_and(|header| header.policy != policy) {
            let why = format!("this is not the configuration that the run {tag} was made with; give the one that was");
            return Err(RunError::Other(why));
        }
        let rule = config.ratchet.ratchet(config.metric.is_time()).map_err(RunError::Other)?;
        let (judged, wrong) = verify::decisions(&entries, &rule);
        report.checks.push(Check::new(format!("decisions: {judged} judged again"), wrong));
    }
    match git {
        Some((lineage, refs)) => repository(&mut report, &state, &lineage, refs),
        None => report.skipped.push("repository: imported: no commits to check".into()),
    }
    let what = format!("results.tsv: {}", count(state.experiments.len(), "row"));
    let mut results = Check::new(what, table.clone().err().into_iter().collect());
    if table == Ok(View::Behind) {
        results
            .notes
            .push("the last decision is missing, since a crash came between; the next run writes it anew".into());
    }
    report.checks.push(results);
    Ok((report, entries.len()))
}

/// What follows the journal while a run goes on.
struct Views {
    table: Result<View, Violation>,
    /// Nothing for an imported run.
    git: Option<(Lineage, Result<Vec<Violation>, GitError>)>,
}

impl Views {
    fn of(home: &Home, tag: &str, state: &State) -> Result<Views, RunError> {
        let table = verify::results(state, &home.run(tag).join("results.tsv"));
        if is_imported(state) {
            return Ok(Views { table, git: None });
        }
        let lineage = Lineage::open(&home.root, tag)?;
        let refs = verify::refs(state, &lineage);
        Ok(Views { table, git: Some((lineage, refs)) })
    }
}

fn repository(report: &mut Report, state: &State, lineage: &Lineage, refs: Result<Vec<Violation>, GitError>) {
    let candidates = state.experiments.len() + state.open.len();
    let keeps = state.experiments.iter().filter(|experiment| experiment.kept_as.is_some()).count();
    let branch = format!("autoresearch/{}", lineage.tag());
    let what = format!("repository: {}, {}, branch {branch}", count(candidates, "candidate"), count(keeps, "keep"));
    report.checks.push(Check::of_git("repository", refs, |found| Check::new(what, found)));
    report.checks.push(Check::of_git("objects", verify::objects(state, lineage), |(whole, found)| {
        Check::new(format!("objects: {whole} read"), found)
    }));
    match verify::fsck(lineage) {
        Some(found) => report.checks.push(Check::new("git fsck", found)),
        None => report.skipped.push("git fsck: not checked, since there is no git on PATH".into()),
    }
}
