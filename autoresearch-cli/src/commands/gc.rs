//! `autoresearch gc`: removes what old runs no longer need.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::{ExperimentId, Journal, SandboxError, State, Status};
use clap::Args;

use crate::error::CommandError;
use crate::json::{self, GcAnswer, GcRun};
use crate::placeholders::Placeholders;
use crate::removed;
use crate::repository::Repository;
use crate::slots;
use crate::text::terminal;

/// Remove refs of discarded candidates, logs and working folders of old runs. Without --yes it only lists them.
#[derive(Debug, Args)]
#[command(
    after_help = "The latest run stays whole unless --tag names it; one in progress always does. Journals, results, reports,\nkept changes and branches stay: remove those by hand.\n\nExample:\n  autoresearch gc\n  autoresearch gc --yes"
)]
pub struct GcArgs {
    /// This run alone [default: all but the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Remove them.
    #[arg(long)]
    yes: bool,
    /// Only list them, which is the default.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// The parts of one run that go.
struct Plan {
    run: GcRun,
    refs: Vec<String>,
    /// The experiments whose refs go.
    experiments: BTreeSet<ExperimentId>,
    logs: PathBuf,
    slots: PathBuf,
}

/// Lists or removes what old runs no longer need.
pub fn gc(repository: &Repository, args: &GcArgs) -> Result<ExitCode, CommandError> {
    let mut kept = BTreeMap::new();
    let tags = match &args.tag {
        Some(tag) => {
            repository.journal(tag)?;
            vec![tag.clone()]
        }
        None => {
            let mut tags = repository.tags();
            kept.extend(tags.pop().map(|latest| (latest, "it is the latest run".to_owned())));
            tags
        }
    };
    let mut plans = Vec::new();
    for tag in tags {
        match plan(repository, &tag)? {
            Ok(plan) if plan.run == (GcRun { tag: tag.clone(), ..GcRun::default() }) => {}
            Ok(plan) => plans.push(plan),
            Err(why) => drop(kept.insert(tag, why)),
        }
    }
    if args.yes {
        plans.iter().try_for_each(|plan| remove(repository, plan))?;
    }
    let answer = GcAnswer {
        version: json::VERSION,
        removed: args.yes,
        runs: plans.into_iter().map(|plan| plan.run).collect(),
        kept,
    };
    match args.json {
        true => json::print(&answer)?,
        false => print(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

/// Plans the removal of one run's parts, or says why it stays.
fn plan(repository: &Repository, tag: &str) -> Result<Result<Plan, String>, CommandError> {
    if repository.is_locked(tag) {
        return Ok(Err("it is in progress".into()));
    }
    let state = match repository.state(tag) {
        Ok(state) => state,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let logs = repository.run_folder(tag).join("logs");
    let slots = Placeholders::find(repository.root.clone(), "")?.slots().join(tag);
    let (mut refs, mut experiments) = (Vec::new(), BTreeSet::new());
    if !is_imported(&state) {
        let lineage = Lineage::open(&repository.root, tag)?;
        let present = lineage.refs()?;
        for id in unneeded(&state) {
            let (first, rebased) = (lineage.pin_of(id), format!("{}.", lineage.pin_of(id)));
            let found = present.keys().filter(|name| **name == first || name.starts_with(&rebased));
            let before = refs.len();
            refs.extend(found.cloned());
            if refs.len() > before {
                experiments.insert(id);
            }
        }
    }
    let run =
        GcRun { tag: tag.to_owned(), refs: refs.len(), log_bytes: slots::size(&logs), slot_bytes: slots::size(&slots) };
    Ok(Ok(Plan { run, refs, experiments, logs, slots }))
}

/// The experiments whose candidates nothing needs any more: discarded or crashed, and on no side line.
fn unneeded(state: &State) -> impl Iterator<Item = ExperimentId> {
    let side_line = state.side_line.as_ref().map(|line| line.sacrifices.as_slice()).unwrap_or_default();
    let of_excursions = state.excursions.iter().filter(|excursion| excursion.kept);
    let needed: BTreeSet<ExperimentId> =
        side_line.iter().chain(of_excursions.flat_map(|excursion| &excursion.sacrifices)).copied().collect();
    let made = state.experiments.iter().filter(|made| made.status != Status::Keep).map(|made| made.id);
    made.filter(move |id| !needed.contains(id))
}

/// Removes what was planned. The note of what is gone is written first, so that `verify` never misses it.
fn remove(repository: &Repository, plan: &Plan) -> Result<(), CommandError> {
    let Plan { run, refs, experiments, logs, slots } = plan;
    // Held to the end, so that no run starts meanwhile.
    let _lock = Journal::open(&repository.journal(&run.tag)?)?;
    if !experiments.is_empty() {
        removed::add(&repository.run_folder(&run.tag), experiments)?;
    }
    let mut git = Command::new("git");
    git.args(["update-ref", "--stdin"]).current_dir(&repository.root).stdin(Stdio::piped()).stdout(Stdio::null());
    let failed = |e| CommandError::Sandbox(SandboxError::io("removing refs by git update-ref".to_owned(), e));
    let mut child = git.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        let commands: String = refs.iter().map(|name| format!("delete {name}\n")).collect();
        input.write_all(commands.as_bytes()).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(CommandError::Other(format!("git update-ref ended with {status}; the refs of {} stay", run.tag)));
    }
    for folder in [logs, slots].into_iter().filter(|folder| folder.exists()) {
        slots::remove(folder).map_err(|e| SandboxError::io(format!("removing {}", folder.display()), e))?;
    }
    Ok(())
}

fn print(answer: &GcAnswer) {
    for GcRun { tag, refs, log_bytes, slot_bytes } in &answer.runs {
        let [logs, slots] = [*log_bytes, *slot_bytes].map(|bytes| bytes as f64 / 1e6);
        terminal::out(format_args!("{tag}: {refs} refs, {logs:.1} MB of logs, {slots:.1} MB of working folders"));
    }
    for (tag, why) in &answer.kept {
        terminal::note(format_args!("{tag} stays: {why}"));
    }
    terminal::note(match (answer.runs.is_empty(), answer.removed) {
        (true, _) => "there is nothing to remove",
        (false, true) => "removed; git drops the commits with its next `git gc`",
        (false, false) => "nothing is removed yet; `autoresearch gc --yes` does it",
    });
}
