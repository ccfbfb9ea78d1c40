//! The checks that a stored run is valid, wherever it is stored: beside its repository, or unpacked from a bundle.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use autoresearch_core::internal::git::{GitError, Lineage};
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::{Entry, JournalContent, RunHeader};
use autoresearch_core::internal::verify;
use autoresearch_core::internal::verify::{View, Violation};
use autoresearch_core::internal::{DecisionRule, Difference};
use autoresearch_core::{ExperimentId, Journal, State};

use crate::config::Config;
use crate::error::CommandError;
use crate::policy;
use crate::removed;
use crate::repository::Repository;
use crate::session::Session;
use crate::text::count;

/// Name of the journal in the folder of a run.
pub const JOURNAL: &str = "journal.jsonl";
/// Name of the table of results there.
pub const RESULTS: &str = "results.tsv";

/// Checks of a run that goes on meanwhile before its violations are believed.
const TRIES: usize = 50;

/// A run on the disk.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// Its name.
    pub tag: String,
    /// The folder with its journal and its table of results.
    pub folder: PathBuf,
    /// A folder of the repository that has its commits.
    pub repository: PathBuf,
}

impl StoredRun {
    /// A run as it lies in its repository.
    pub fn here(repository: &Repository, tag: &str) -> StoredRun {
        StoredRun { tag: tag.to_owned(), folder: repository.run_folder(tag), repository: repository.root.clone() }
    }

    /// The path of the journal.
    pub fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }
}

/// The configuration whose rule judges the decisions again.
#[derive(Clone, Copy)]
pub enum Judge<'a> {
    /// None: the decisions are not judged.
    Nobody,
    /// The user's own. One of another run is an error.
    Own(&'a Session),
    /// That of a bundle. One of another run is a violation, and what depends on the machine is not compared.
    Bundled(&'a Config),
}

/// One kind of check: its subject, its violations, and notes on it.
pub struct Check {
    pub what: String,
    pub violations: Vec<Violation>,
    pub notes: Vec<String>,
}

impl Check {
    pub fn new(what: impl Into<String>, violations: Vec<Violation>) -> Check {
        Check { what: what.into(), violations, notes: vec![] }
    }

    /// A check of git. An object that cannot be read is a violation, and the other checks go on.
    fn of_git<T>(name: &str, found: Result<T, GitError>, check: impl FnOnce(T) -> Check) -> Check {
        match found {
            Ok(found) => check(found),
            Err(error) => Check::new(name, vec![error.into()]),
        }
    }
}

/// The result of all checks.
#[derive(Default)]
pub struct Report {
    pub checks: Vec<Check>,
    /// Checks that were left out, with the reason.
    pub skipped: Vec<String>,
}

impl Report {
    /// The number of violations.
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

/// Checks a run. One that goes on meanwhile is checked again where it was ahead of the records that were read.
pub fn check(run: &StoredRun, judge: Judge<'_>) -> Result<Report, CommandError> {
    for _ in 1..TRIES {
        let (report, length) = check_once(run, judge)?;
        // A run that goes on is ahead of the records that were read before: those are read again.
        if report.violations() == 0 || Journal::read(&run.journal()).map_or(0, |entries| entries.len()) == length {
            return Ok(report);
        }
    }
    Ok(check_once(run, judge)?.0)
}

/// Checks the run once. Returns the number of records as well.
pub fn check_once(run: &StoredRun, judge: Judge<'_>) -> Result<(Report, usize), CommandError> {
    let mut report = Report::default();
    let JournalContent { entries, is_torn, foreign } = match Journal::read_all(&run.journal()) {
        Ok(read) => read,
        Err(error) if error.fault().is_content() => {
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
    let views = state.as_ref().ok().map(|state| Views::of(run, state)).transpose()?;

    let experiments =
        state.as_ref().map_or(String::new(), |state| format!(", {}", count(state.finished(), "experiment")));
    let what = format!("journal: {}{experiments}", count(entries.len(), "record"));
    let mut journal = Check::new(what, [verify::foreign(&foreign), verify::journal(&entries)].concat());
    journal.notes = verify::notes(&entries);
    if is_torn {
        journal.notes.push("its last line is torn, or just being written; the next run cuts it off".into());
    }
    report.checks.push(journal);
    let (Ok(state), Some(Views { table, git })) = (&state, views) else {
        report.skipped.push("repository, results.tsv: not checked, since the journal contradicts itself".into());
        return Ok((report, entries.len()));
    };
    report.checks.extend(decisions(&run.tag, judge, state, &entries)?);
    match git {
        Some(git) => check_repository(&mut report, state, git),
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

/// Judges every decision again by the rule of the run's configuration.
fn decisions(tag: &str, judge: Judge<'_>, state: &State, entries: &[Entry]) -> Result<Vec<Check>, CommandError> {
    let mut checks = Vec::new();
    let config = match judge {
        Judge::Nobody => return Ok(checks),
        Judge::Own(session) => {
            bound(session, state, tag)?;
            &session.config
        }
        Judge::Bundled(config) => {
            let differences = match &state.header {
                Some(header) => differences(config, header)?,
                None => Vec::new(),
            };
            let differs =
                |difference| Violation::new(format!("it is not the one that the run was made with: {difference}"));
            let mut wrong: Vec<Violation> = differences.into_iter().map(differs).collect();
            if state.incumbent.is_none() {
                wrong.push(Violation::new("the journal has no measured baseline, so there is nothing to check"));
            }
            checks.push(Check::new("configuration", wrong));
            config
        }
    };
    let rule = config.ratchet.ratchet(config.metric.is_time()).map_err(|error| config.locate(error))?;
    let (judged, wrong) = verify::decisions(entries, &rule);
    checks.push(Check::new(format!("decisions: {judged} judged again"), wrong));
    Ok(checks)
}

/// Lists the differences between the header of a run and a bundled configuration.
fn differences(config: &Config, header: &RunHeader) -> Result<Vec<Difference>, CommandError> {
    let (metric, is_time) = (config.metric()?, config.metric.is_time());
    let rule = config.ratchet.ratchet(is_time).map_err(|error| config.locate(error))?;
    let mut now = RunHeader::new(&header.tag, metric.name(), metric.direction());
    now.rule = DecisionRule::of(&rule);
    now.budget = config.budget();
    // These are the run's own, and no configuration has them.
    (now.base, now.seed, now.branch) = (header.base.clone(), header.seed, header.branch.clone());
    now.policy = header.policy.clone();
    let mut differences = header.differences(&now);
    differences.extend(policy::elsewhere(config, &header.policy)?);
    Ok(differences)
}

/// Fails if a configuration is not the one that its run was made with.
pub fn bound(session: &Session, state: &State, tag: &str) -> Result<(), CommandError> {
    let policy = session.policy()?;
    let differences = state.header.as_ref().map(|header| header.policy.differences(&policy)).unwrap_or_default();
    if differences.is_empty() {
        return Ok(());
    }
    let differences: String = differences.iter().map(|line| format!("\n  {line}")).collect();
    let why =
        format!("this is not the configuration that the run {tag} was made with; give the one that was:{differences}");
    Err(CommandError::Other(why))
}

/// The parts of a run that follow the journal while it goes on.
struct Views {
    table: Result<View, Violation>,
    /// Nothing for an imported run.
    git: Option<Git>,
}

/// The repository of a run that was not imported.
struct Git {
    lineage: Lineage,
    refs: Result<Vec<Violation>, GitError>,
    /// The experiments whose candidates `gc` has removed.
    removed: BTreeSet<ExperimentId>,
}

impl Views {
    fn of(run: &StoredRun, state: &State) -> Result<Views, CommandError> {
        let table = verify::results(state, &run.folder.join(RESULTS));
        if is_imported(state) {
            return Ok(Views { table, git: None });
        }
        let lineage = Lineage::open(&run.repository, &run.tag)?;
        let lineage = match &state.header {
            Some(header) => lineage.on_branch(&header.branch())?,
            None => lineage,
        };
        let removed = removed::experiments(&run.folder);
        let refs = verify::refs(state, &lineage, &removed);
        Ok(Views { table, git: Some(Git { lineage, refs, removed }) })
    }
}

fn check_repository(report: &mut Report, state: &State, Git { lineage, refs, removed }: Git) {
    let candidates = (state.experiments.len() + state.open.len()).saturating_sub(removed.len());
    let keeps = state.experiments.iter().filter(|experiment| experiment.kept_as.is_some()).count();
    let branch = lineage.short_branch();
    let what = format!("repository: {}, {}, branch {branch}", count(candidates, "candidate"), count(keeps, "keep"));
    report.checks.push(Check::of_git("repository", refs, |found| Check::new(what, found)));
    report.checks.push(Check::of_git("objects", verify::objects(state, &lineage, &removed), |(whole, found)| {
        Check::new(format!("objects: {whole} read"), found)
    }));
    match verify::fsck(&lineage) {
        Some(found) => report.checks.push(Check::new("git fsck", found)),
        None => report.skipped.push("git fsck: not checked, since there is no git on PATH".into()),
    }
}
