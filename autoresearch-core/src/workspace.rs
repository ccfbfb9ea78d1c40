//! The sandbox for code in a git repository: a candidate is a commit, built and run by command lines in a slot.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::cancel::Cancel;
use crate::change::{EditablePaths, Patch, PatchError};
use crate::git::{GitError, Lineage};
use crate::machine::Machine;
use crate::metric::ITEMS;
use crate::process::{self, Command, Cpus, Limits, outcome};
use crate::sandbox::{
    Candidate, Outcome, Phase, Progress, Repeat, Revision, RunLog, Sandbox, SandboxError, StageError, Trial,
};
use crate::slot::Slot;

/// Names the slot that a process belongs to, so that leftovers of a harness that died can be found.
const SLOT: &str = "AUTORESEARCH_SLOT";

/// How candidates of a repository are built and run.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// What proposals may change.
    pub editable: EditablePaths,
    /// The build, in the candidate's directory. Empty for none.
    pub build: Vec<String>,
    /// The run, in the candidate's directory. It may write a number for each item of an evaluation set into the file that
    /// `AUTORESEARCH_ITEMS` names, for [`crate::ItemMetric`].
    pub run: Vec<String>,
    /// Variables for both, beside the few that are inherited. Both also get `AUTORESEARCH_SEED`, and the run gets
    /// `AUTORESEARCH_FIDELITY`, the share of the full budget that it is to take.
    pub environment: Vec<(String, OsString)>,
    /// Variables for the run alone.
    pub run_environment: Vec<(String, OsString)>,
    /// What each of both may use.
    pub limits: Limits,
    /// The processors that the run is pinned to; all of them if the set is empty. A build may use all that there are.
    pub cpus: Cpus,
    /// How often the run's command is repeated, at least once; its limit is for all repeats together.
    pub repeats: u32,
}

/// Stages candidates as commits, and builds and runs them in a directory of their own.
#[derive(Debug)]
pub struct CommandSandbox {
    lineage: Mutex<Lineage>,
    base: Revision,
    preset: Option<(Patch, String)>,
    commands: Commands,
    slot: Slot,
    logs: PathBuf,
}

impl CommandSandbox {
    /// A sandbox that starts from the commit `base`, fills `slot`, and writes the logs of experiments into `logs`.
    pub fn new(lineage: Lineage, base: Revision, commands: Commands, slot: Slot, logs: PathBuf) -> CommandSandbox {
        CommandSandbox { lineage: Mutex::new(lineage), base, preset: None, commands, slot, logs }
    }

    /// Lets the search start from `base` with `patch` applied, which becomes the first commit of the lineage.
    pub fn with_preset(mut self, patch: Patch, description: impl Into<String>) -> CommandSandbox {
        self.preset = Some((patch, description.into()));
        self
    }

    fn lineage<T>(&self, work: impl FnOnce(&Lineage) -> Result<T, GitError>) -> Result<T, GitError> {
        // A panic in one git call leaves the repository itself as it was.
        work(&self.lineage.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn read_editable(&self, revision: &Revision) -> Result<BTreeMap<String, String>, GitError> {
        self.lineage(|git| {
            let tree = git.tree(revision)?;
            let editable = tree.iter().filter(|(path, _)| self.commands.editable.allows(path));
            let texts = editable.map(|(path, file)| Ok((path.clone(), String::from_utf8(git.blob(file.blob)?).ok())));
            // A binary file cannot be edited as text, so proposers do not see it.
            texts
                .filter_map(|file: Result<_, GitError>| file.map(|(path, text)| Some((path, text?))).transpose())
                .collect()
        })
    }

    fn commit(
        &self,
        experiment: u32,
        parent: &Revision,
        patch: &Patch,
        message: &str,
    ) -> Result<Candidate, StageError> {
        let files = self.read_editable(parent).map_err(SandboxError::from)?;
        let rejected = |error: PatchError| StageError::Rejected(error.to_string());
        let changed = patch.apply(&files, &self.commands.editable).map_err(rejected)?;
        let tree = self.lineage(|git| git.tree(parent)).map_err(SandboxError::from)?;
        for path in changed.keys().filter(|path| !files.contains_key(*path)) {
            if tree.contains_key(path) {
                return Err(rejected(PatchError::NotText(path.clone())));
            }
            let below =
                |file: &String, folder: &str| file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            if let Some(other) = tree.keys().find(|other| below(other, path) || below(path, other)) {
                return Err(rejected(PatchError::Collides { path: path.clone(), with: other.clone() }));
            }
        }
        let candidate = self.lineage(|git| {
            let revision = git.commit_changes(parent, &changed, message)?;
            git.pin(experiment, &revision)?;
            let added_lines = git.added_lines(parent, &revision)?;
            Ok(Candidate { fingerprint: git.fingerprint(&revision, &self.commands.editable)?, revision, added_lines })
        });
        Ok(candidate.map_err(SandboxError::from)?)
    }

    /// Where a run writes the scores of items: in its own scratch folder, like all that it writes.
    fn items(&self) -> PathBuf {
        self.slot.scratch().join(ITEMS)
    }

    /// Takes the scores of items out of the slot, which the next run empties. A link, or whatever else a candidate may put in
    /// their place, is no list of scores, and neither is a file too long for one.
    fn keep_items(&self, log: &mut RunLog) -> Result<(), SandboxError> {
        let (from, Some(to)) = (self.items(), log.path.as_ref().map(|path| path.with_extension(ITEMS))) else {
            return Ok(());
        };
        let is_list = |found: std::fs::Metadata| found.is_file() && found.len() <= crate::metric::MAX_ITEM_BYTES;
        if std::fs::symlink_metadata(&from).is_ok_and(is_list) {
            std::fs::copy(&from, &to).map_err(|e| SandboxError::io(format!("writing {}", to.display()), e))?;
            log.artifacts.insert(ITEMS.into(), to);
        }
        Ok(())
    }

    async fn phase(
        &self,
        phase: Phase,
        argv: &[String],
        log: &RunLog,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<process::Finished, SandboxError> {
        (trial.progress)(Progress::Phase(phase));
        let mut environment = self.commands.environment.clone();
        environment.push(("AUTORESEARCH_SEED".into(), trial.seed.to_string().into()));
        environment.push((SLOT.into(), self.slot.path().into()));
        environment.push(("TMPDIR".into(), self.slot.scratch().into()));
        let mut limits = self.commands.limits;
        let budget = trial.budget.at(trial.fidelity);
        if phase == Phase::Run {
            environment.push(("AUTORESEARCH_FIDELITY".into(), trial.fidelity.to_string().into()));
            environment.push(("AUTORESEARCH_ITEMS".into(), self.items().into()));
            environment.extend(self.commands.run_environment.iter().cloned());
            limits.cpus = self.commands.cpus;
        }
        let command = Command {
            argv: argv.to_vec(),
            directory: self.slot.path().to_owned(),
            environment,
            log: log.path.clone().unwrap_or_default(),
            limit: match phase {
                Phase::Build => budget.build,
                Phase::Run => budget.run.saturating_sub(log.elapsed),
            },
            grace: process::GRACE,
            limits,
        };
        let progress = trial.progress.clone();
        command.run(cancel, &move |line| progress(Progress::Line(line))).await
    }
}

#[async_trait]
impl Sandbox<Patch> for CommandSandbox {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        if let Some((patch, description)) = &self.preset {
            return self.commit(0, &self.base, patch, description);
        }
        let candidate = self.lineage(|git| {
            git.pin(0, &self.base)?;
            let fingerprint = git.fingerprint(&self.base, &self.commands.editable)?;
            Ok(Candidate { fingerprint, revision: self.base.clone(), added_lines: 0 })
        });
        Ok(candidate.map_err(SandboxError::from)?)
    }

    async fn stage(
        &self,
        experiment: u32,
        parent: &Revision,
        patch: &Patch,
        description: &str,
    ) -> Result<Candidate, StageError> {
        self.commit(experiment, parent, patch, description)
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        std::fs::create_dir_all(&self.logs).map_err(|e| SandboxError::io("making the folder for logs", e))?;
        let name = match trial.attempt {
            1 => format!("{:04}.log", trial.experiment),
            attempt => format!("{:04}-{attempt}.log", trial.experiment),
        };
        let path = self.logs.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::io("removing an old log", error));
            }
            _ => {}
        }
        let mut log = RunLog { path: Some(path.clone()), phase: Phase::Build, ..RunLog::default() };

        self.lineage(|git| Ok(self.slot.fill(git, &candidate.revision)))??;
        if !self.commands.build.is_empty() {
            let build = self.phase(Phase::Build, &self.commands.build, &log, trial, cancel).await?;
            log.build = build.elapsed;
            log.cpu = build.cpu;
            if !build.succeeded() {
                return outcome(&build, "the build", log);
            }
        }
        log.phase = Phase::Run;
        log.machine = Some(Machine::here());
        let repeats = self.commands.repeats.max(1);
        loop {
            // What the build or the repeat before wrote is not this one's.
            let _ = std::fs::remove_file(self.items());
            let run = self.phase(Phase::Run, &self.commands.run, &log, trial, cancel).await?;
            log.elapsed += run.elapsed;
            log.peak_memory = log.peak_memory.max(run.peak_memory);
            if repeats > 1 {
                log.repeats.push(Repeat { wall: run.elapsed, cpu: run.cpu });
            }
            if !run.succeeded() {
                return outcome(&run, "the run", log);
            }
            if repeats == 1 || log.repeats.len() == repeats as usize {
                self.keep_items(&mut log)?;
                return outcome(&run, "the run", log);
            }
        }
    }

    async fn clean(&self) -> Result<(), SandboxError> {
        process::sweep(SLOT, self.slot.path().as_os_str());
        Ok(())
    }

    async fn seal(&self, candidate: &Candidate, message: &str) -> Result<Revision, SandboxError> {
        // The baseline without a preset is the user's own commit and keeps its name.
        if candidate.revision == self.base {
            return Ok(self.base.clone());
        }
        Ok(self.lineage(|git| git.reword(&candidate.revision, message))?)
    }

    async fn seal_onto(
        &self,
        incumbent: &Revision,
        candidate: &Candidate,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        Ok(self.lineage(|git| git.squash(&candidate.revision, incumbent, message))?)
    }

    async fn promote(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        Ok(self.lineage(|git| git.advance(from, to))?)
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok(self.read_editable(revision)?)
    }
}
