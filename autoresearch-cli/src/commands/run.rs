//! `autoresearch run`: begins a run, or goes on with one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use autoresearch_core::internal::git::{GitError, Lineage};
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::isolation::IsolationLevel;
use autoresearch_core::internal::process::Cpus;
use autoresearch_core::internal::{Policy, Settings};
use autoresearch_core::{Cancel, Journal, Lab, LabError, Patch, Program, Proposer, Revision, State, StopReason};
use clap::Args;
use toml::{Table, Value};

use super::args::ConfigArgs;
use super::dry_run::dry_run;
use super::report::write_report;
use super::signals::cancel_on_signal;
use crate::config::{DefaultCap, GitSection};
use crate::display::{Display, Options};
use crate::error::CommandError;
use crate::repository::Repository;
use crate::session::Session;
use crate::text::terminal;
use crate::{baseline, checks, control, history, proposers, report, slots};

/// Begin a run, or go on with one that was interrupted.
#[derive(Debug, Args)]
#[command(
    after_help = "It works on the branch autoresearch/TAG. Ctrl-C ends it; the same command goes on with it.\n\nExample:\n  autoresearch run --experiments 100 --hours 8"
)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Name of the run [default: the unfinished run, or the date]
    #[arg(long)]
    tag: Option<String>,
    /// End after N experiments beside the baseline.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    experiments: Option<i64>,
    /// End after H hours, between two experiments.
    #[arg(long, value_name = "H", allow_negative_numbers = true)]
    hours: Option<f64>,
    /// End when the score is at least as good as this.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    target: Option<f64>,
    /// Seed of the proposer and of the trials.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Start from the last commit although there are uncommitted changes.
    #[arg(long)]
    allow_dirty: bool,
    /// Show models and agents what the run TAG tried, an imported one for instance.
    #[arg(long, value_name = "TAG")]
    history: Option<String>,
    /// Show what the next proposal would ask a model, and its cost. Starts nothing.
    #[arg(long)]
    dry_run: bool,
}

impl RunArgs {
    /// The arguments as keys of a configuration, whose checks they pass like those of the file.
    fn table(&self) -> Table {
        let mut stop = Table::new();
        let mut set = |name: &str, value: Option<Value>| value.map(|value| stop.insert(name.into(), value));
        set("experiments", self.experiments.map(Value::Integer));
        set("hours", self.hours.map(Value::Float));
        set("target", self.target.map(Value::Float));
        match stop.is_empty() {
            true => Table::new(),
            false => Table::from_iter([("stop".to_owned(), Value::Table(stop))]),
        }
    }
}

/// Runs the search to its end, or until a signal, and writes the report.
pub async fn run(repository: Repository, args: RunArgs) -> Result<ExitCode, CommandError> {
    let mut config = args.config.read_with(args.table())?;
    let tag = match args.tag {
        Some(tag) => tag,
        None => repository.tag_to_run(config.stop.experiments, &config.git)?,
    };
    let default_cap = match (config.proposer.asks(), config.proposer.reports_costs()) {
        (true, true) => config.stop.cap_by_default(config.proposer.is_priced()),
        // A run with an end of its own needs no other.
        (true, false) => Some(DefaultCap::Unknown).filter(|_| !config.stop.ends()),
        (false, _) => None,
    };
    let mut session = Session::new(repository, config, tag)?;
    session.history = history(&session, args.history.as_deref())?;
    if args.dry_run {
        terminal::out(dry_run(&session, args.seed)?);
        return Ok(ExitCode::SUCCESS);
    }
    if !session.config.run.cpus.is_empty() && !Cpus::SUPPORTED {
        terminal::err("[run] cpus has no effect: this system cannot pin a command to processors");
    }
    let program = session.program()?;
    let prepared = prepare(&session, args.allow_dirty, args.seed).await?;
    let config = &session.config;
    let announced = control::announce(&session.folder(), config.stop.limits(), !config.proposer.asks())?;
    if args.history.is_some() {
        history::store(&session.folder(), &session.history)?;
    }
    for warning in &prepared.warnings {
        terminal::err(format_args!("warning: {warning}"));
    }
    terminal::note(format_args!("run: {} ({})", session.tag, program.title));
    terminal::note(format_args!("results: {}", session.folder().join("results.tsv").display()));
    if let Some(cap) = default_cap {
        terminal::note(format_args!("limit: {cap}"));
    }
    let removed = slots::remove_ended(&session.repository, &session.placeholders.slots(), &session.tag);
    if removed.runs > 0 {
        terminal::note(removed);
    }

    let display = Display::new(Options {
        tag: session.tag.clone(),
        metric: session.config.metric.name.clone(),
        total: session.config.stop.experiments,
        workers: session.plan.workers.classes.len(),
        ahead: session.plan.prepares_ahead(),
    });
    let (cancel, finish) = (cancel_on_signal(), Cancel::new());
    let mut lab = lab(&session, program.clone(), prepared, args.seed)?.finishing_on(finish.clone());
    if !terminal::is_quiet() {
        lab = lab.observed_by(Arc::new(display));
    }
    let requests = tokio::spawn(announced.follow(finish, cancel.clone()));
    let reason = lab.run(&cancel).await;
    requests.abort();
    drop(announced);
    let reason = match reason {
        Err(error @ LabError::Baseline { .. }) => {
            let remedies = baseline::remedies(&session, lab.state(), &error);
            return Err(CommandError::Baseline { error, remedies });
        }
        ended => ended?,
    };
    let (state, entries) = (lab.state(), session.repository.entries(&session.tag)?);
    terminal::out(report::summary(state) + &report::workers(state, &entries));
    // The run has ended as it should, whatever becomes of its picture.
    if let Err(error) = write_report(&session.repository, &session.tag, &program.title, state, &entries) {
        terminal::err(format_args!(
            "warning: the report is not written: {error}; later: autoresearch report --tag {}",
            session.tag
        ));
    }
    Ok(ExitCode::from(exit_code(&reason, state.finished())))
}

/// The exit code of a run that ended in order after so many experiments. One whose proposals were all rejected did nothing of what
/// it was asked for: a person must act, and a script must not go on.
fn exit_code(reason: &StopReason, experiments: usize) -> u8 {
    match reason {
        StopReason::Cancelled => 130,
        StopReason::Rejected { .. } if experiments == 0 => 1,
        _ => 0,
    }
}

/// The past that the proposer is shown: of the run `tag`, else the one that this run was begun with.
fn history(session: &Session, tag: Option<&str>) -> Result<String, CommandError> {
    let stored = history::stored(&session.folder());
    let Some(tag) = tag else { return Ok(stored.unwrap_or_default()) };
    if !session.config.proposer.asks() {
        let why = "--history is shown to models and agents, and the configured proposer asks none; give another [proposer] kind, or \
                   leave --history out";
        return Err(CommandError::Other(why.into()));
    }
    let section = history::section(tag, &session.repository.state(tag)?);
    match stored.filter(|stored| *stored != section) {
        None => Ok(section),
        Some(_) => Err(CommandError::Other(format!(
            "the run {} was begun with another history, and goes on with it; leave --history out, or give another --tag",
            session.tag
        ))),
    }
}

/// A run that was checked and is locked.
struct Prepared {
    proposer: Box<dyn Proposer>,
    journal: Journal,
    lineage: Lineage,
    base: Revision,
    policy: Policy,
    /// Warnings to print before it starts.
    warnings: Vec<String>,
}

/// Checks everything that can be checked before the first trial, and opens the journal.
async fn prepare(session: &Session, allow_dirty: bool, seed: u64) -> Result<Prepared, CommandError> {
    let (tag, lineage) = (&session.tag, session.lineage()?);
    let policy = session.policy()?;
    // A run that failed before its first record has not begun.
    let is_new = session.repository.journal_path(tag).metadata().map_or(0, |m| m.len()) == 0;
    let mut warnings = Vec::new();
    if is_new {
        check_new(session, &lineage, allow_dirty)?;
        warnings = checks::before_run(session, &lineage, &lineage.head()?).await?;
    }
    // It may lack its key: then the run has not begun.
    let proposer = proposers::proposer(session, seed)?;
    session.repository.make_run_folder(tag)?;
    let journal = Journal::open(&session.repository.journal_path(tag))?;
    control::clear(&session.folder());
    let state = State::replay(journal.entries())?;
    if is_imported(&state) {
        return Err(CommandError::Imported(tag.clone()));
    }
    let nothing_started = state.open.iter().all(|open| open.trials_started == 0);
    let enough = session.config.stop.experiments.is_some_and(|count| state.finished() >= count);
    if nothing_started && enough && state.incumbent.is_some() {
        return Err(CommandError::Complete(tag.clone()));
    }
    // A run with a measured baseline goes on from the commit that it began with, wherever the user is today. Nothing binds one
    // without: the lab starts it anew from here.
    let bound = state.header.as_ref().filter(|_| state.is_bound()).and_then(|header| header.base.clone());
    let base = match bound {
        Some(base) => base,
        None => lineage.head()?,
    };
    if state.is_bound() {
        warnings = lineage.check_files(&base)?;
        if session.branch != session.config.git.branch(tag) {
            warnings
                .push(format!("this run goes on with its branch, {}; [git] branch is for new runs", session.branch));
        }
    } else if let Some(header) = &state.header {
        warnings = checks::before_run(session, &lineage, &base).await?;
        if header.base.as_ref() != Some(&base) || header.policy != policy {
            warnings.push(
                "the baseline of this run was never measured: it begins anew with the last commit and this configuration"
                    .into(),
            );
        }
    }
    Ok(Prepared { proposer, journal, lineage, base, policy, warnings })
}

/// Puts the lab together.
fn lab(session: &Session, program: Program, prepared: Prepared, seed: u64) -> Result<Lab<Patch>, CommandError> {
    let Prepared { proposer, journal, base, policy, lineage, .. } = prepared;
    drop(lineage);
    let config = &session.config;
    let sandbox = Arc::new(session.sandbox(session.commands(), &base, "logs")?);
    let ratchet = config.ratchet.ratchet(config.metric.is_time()).map_err(|error| config.locate(error))?;
    let mut settings = Settings::new(session.tag.clone(), config.budget());
    settings.base = Some(base);
    settings.branch =
        Some(session.branch.clone()).filter(|branch| *branch != GitSection::default().branch(&session.tag));
    let isolation = session.isolation();
    settings.enforcement = (isolation.level != IsolationLevel::None).then(|| isolation.enforcement().to_string());
    settings.policy = policy;
    settings.seed = seed;
    settings.stop = config.stop.stop();
    settings.results = Some(session.folder().join("results.tsv"));
    settings.hints = Some(session.folder().join(control::HINTS));
    settings.remeasure_every = config.ratchet.remeasure_every();
    settings.screening = config.screening.as_ref().map(|section| section.screening());
    settings.workers = session.plan.workers.clone();
    settings.excursion = config.excursion.as_ref().map(|section| section.rule());
    let lab = Lab::builder(sandbox, proposer, config.metric()?).ratchet(Arc::new(ratchet)).program(program);
    Ok(lab.settings(settings).open_journal(journal).build()?)
}

/// A run that begins must not build on what the user did not commit, nor take over somebody's branch.
fn check_new(session: &Session, lineage: &Lineage, allow_dirty: bool) -> Result<(), CommandError> {
    lineage.check_names().map_err(|error| match error {
        GitError::Ref { ref name, .. } if name.starts_with("refs/heads/") => CommandError::BranchInTheWay(error),
        error => error.into(),
    })?;
    if lineage.tip()?.is_some() {
        let is_there = |root: &PathBuf| Repository { root: root.clone() }.journal_path(&session.tag).exists();
        if let Some(other) = lineage.other_working_trees().into_iter().find(is_there) {
            return Err(CommandError::RunElsewhere { tag: session.tag.clone(), other });
        }
        return Err(CommandError::BranchExists(session.branch.clone()));
    }
    let changed = if allow_dirty { Vec::new() } else { lineage.uncommitted()? };
    if !changed.is_empty() {
        let shown = changed.iter().take(10).map(|path| format!("  {path}")).collect::<Vec<_>>().join("\n");
        return Err(CommandError::Dirty { files: shown });
    }
    lineage.head().map(drop).map_err(CommandError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_whose_proposals_were_all_rejected_did_not_do_its_work() {
        let rejected = StopReason::Rejected { count: 20, last: String::new() };
        let exhausted = StopReason::Exhausted("the grid is searched".into());
        let code =
            |experiments: usize| [&rejected, &StopReason::Cancelled, &exhausted].map(|why| exit_code(why, experiments));
        assert_eq!((code(0), code(7)), ([1, 130, 0], [0, 130, 0]));
    }
}
