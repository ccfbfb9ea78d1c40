//! `autoresearch verify`: checks that a run is valid.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_core::internal::git::{GitError, Lineage};
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::{Entry, JournalContent};
use autoresearch_core::internal::verify;
use autoresearch_core::internal::verify::{View, Violation};
use autoresearch_core::{Journal, State};
use clap::Args;

use super::args::WorkersArgs;
use crate::config::Config;
use crate::error::CommandError;
use crate::json::{self, CheckAnswer, VerifyAnswer};
use crate::removed;
use crate::repository::Repository;
use crate::session::Session;
use crate::text::{count, terminal};

/// Checks of a run that goes on meanwhile before its violations are believed.
const TRIES: usize = 10;

/// One kind of check: its subject, its violations, and notes on it.
struct Check {
    what: String,
    violations: Vec<Violation>,
    notes: Vec<String>,
}

impl Check {
    fn new(what: impl Into<String>, violations: Vec<Violation>) -> Check {
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
struct Report {
    checks: Vec<Check>,
    /// Checks that were left out, with the reason.
    skipped: Vec<String>,
}

impl Report {
    /// The number of violations.
    fn violations(&self) -> usize {
        self.checks.iter().map(|check| check.violations.len()).sum()
    }

    /// The report as JSON.
    fn answer(&self, tag: &str) -> VerifyAnswer {
        let check = |check: &Check| CheckAnswer {
            subject: check.what.clone(),
            wrong: check.violations.iter().map(ToString::to_string).collect(),
            notes: check.notes.clone(),
        };
        VerifyAnswer {
            version: json::VERSION,
            tag: tag.to_owned(),
            violations: self.violations(),
            checks: self.checks.iter().map(check).collect(),
            skipped: self.skipped.clone(),
        }
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

/// Check that a run is valid: its journal, its commits and its results.tsv.
#[derive(Debug, Args)]
#[command(
    after_help = "Changes nothing without --set-aside, and takes no lock: it works also while the run goes on. Exits with\n0 only without a violation.\n\nExample:\n  autoresearch verify --tag mar8 --config autoresearch.toml"
)]
pub struct VerifyArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// The run's configuration: with it every decision is judged again from its measurements.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The preset that lay over it.
    #[arg(long, value_name = "NAME", requires = "config")]
    preset: Option<String>,
    #[command(flatten)]
    workers: WorkersArgs,
    /// Take lines out of the journal that something else wrote. A copy of the file is kept.
    #[arg(long)]
    set_aside: bool,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// Checks a run and prints what was found.
pub fn verify(repository: Repository, args: VerifyArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    let path = repository.journal(&tag)?;
    if args.set_aside
        && let Some(copy) = Journal::set_aside(&path)?
    {
        terminal::note(format_args!("set aside: the journal as it was is {}", copy.display()));
    }
    let read = |path: PathBuf| Config::read(&path, args.preset.as_deref(), &args.workers.table());
    let config = args.config.map(read).transpose()?;
    let session = config.map(|config| Session::new(repository.clone(), config, tag.clone())).transpose()?;
    let report = check(&repository, &tag, &path, session.as_ref())?;
    match args.json {
        true => json::print(&report.answer(&tag))?,
        false => terminal::out(&report),
    }
    Ok(if report.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(repository: &Repository, tag: &str, path: &Path, session: Option<&Session>) -> Result<Report, CommandError> {
    for _ in 1..TRIES {
        let (report, length) = check_once(repository, tag, path, session)?;
        // A run that goes on is ahead of the records that were read before: those are read again.
        if report.violations() == 0 || Journal::read(path).map_or(0, |entries| entries.len()) == length {
            return Ok(report);
        }
    }
    Ok(check_once(repository, tag, path, session)?.0)
}

/// Checks the run once. Returns the number of records as well.
fn check_once(
    repository: &Repository,
    tag: &str,
    path: &Path,
    session: Option<&Session>,
) -> Result<(Report, usize), CommandError> {
    let mut report = Report::default();
    let JournalContent { entries, is_torn, foreign } = match Journal::read_all(path) {
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
    let views = state.as_ref().ok().map(|state| Views::of(repository, tag, state)).transpose()?;

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
    if let Some(session) = session {
        report.checks.push(decisions(session, state, &entries)?);
    }
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
fn decisions(session: &Session, state: &State, entries: &[Entry]) -> Result<Check, CommandError> {
    let (config, tag, policy) = (&session.config, &session.tag, session.policy()?);
    let differences = state.header.as_ref().map(|header| header.policy.differences(&policy)).unwrap_or_default();
    if !differences.is_empty() {
        let differences: String = differences.iter().map(|line| format!("\n  {line}")).collect();
        let why = format!(
            "this is not the configuration that the run {tag} was made with; give the one that was:{differences}"
        );
        return Err(CommandError::Other(why));
    }
    let rule = config.ratchet.ratchet(config.metric.is_time()).map_err(|error| config.locate(error))?;
    let (judged, wrong) = verify::decisions(entries, &rule);
    Ok(Check::new(format!("decisions: {judged} judged again"), wrong))
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
    removed: BTreeSet<u32>,
}

impl Views {
    fn of(repository: &Repository, tag: &str, state: &State) -> Result<Views, CommandError> {
        let table = verify::results(state, &repository.run_folder(tag).join("results.tsv"));
        if is_imported(state) {
            return Ok(Views { table, git: None });
        }
        let lineage = Lineage::open(&repository.root, tag)?;
        let lineage = match &state.header {
            Some(header) => lineage.on_branch(&header.branch())?,
            None => lineage,
        };
        let removed = removed::experiments(&repository.run_folder(tag));
        let refs = verify::refs(state, &lineage, &removed);
        Ok(Views { table, git: Some(Git { lineage, refs, removed }) })
    }
}

fn check_repository(report: &mut Report, state: &State, Git { lineage, refs, removed }: Git) {
    let candidates = state.experiments.len() + state.open.len() - removed.len();
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
