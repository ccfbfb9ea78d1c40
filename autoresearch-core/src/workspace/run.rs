//! Building and running a candidate in a slot: at once, or the build ahead of the run.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{CommandSandbox, Device, SLOT};
use crate::cancel::Cancel;
use crate::machine::Machine;
use crate::metric::ITEMS;
use crate::process::{self, Command, Cpus, outcome};
use crate::sandbox::{Candidate, Outcome, Phase, Progress, Repeat, Revision, RunLog, SandboxError, Trial};
use crate::slot::Slot;

/// Stands in the run's command for the folder with what its build left outside the slot.
const BUILT: &str = "{built}";

/// A slot, and what was built in it ahead of a run.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Slot,
    built: Mutex<Option<Built>>,
}

/// A finished build, for this run and no other.
#[derive(Debug)]
struct Built {
    candidate: Revision,
    trial: String,
    log: RunLog,
}

impl Place {
    pub(super) fn new(slot: Slot) -> Place {
        Place { slot, built: Mutex::new(None) }
    }

    fn remember(&self, built: Built) {
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(built);
    }

    /// What was built ahead for this run. Whatever else was built here is forgotten: the slot is used otherwise now.
    fn take(&self, candidate: &Candidate, trial: &Trial) -> Option<RunLog> {
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let is_for_it = built.candidate == candidate.revision && built.trial == trial.name();
        is_for_it.then_some(built.log)
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
}

impl CommandSandbox {
    fn place(&self, trial: &Trial) -> Result<&Place, SandboxError> {
        self.places.get(trial.slot as usize).ok_or_else(|| {
            SandboxError::Other(format!(
                "there is no slot {}: this sandbox has {}; give it one for each worker and each build ahead",
                trial.slot,
                self.places.len()
            ))
        })
    }

    /// What the trial's worker has for itself.
    fn device(&self, trial: &Trial) -> Result<Option<&Device>, SandboxError> {
        let devices = &self.commands.devices;
        match trial.worker {
            Some(worker) if !devices.is_empty() => match devices.get(worker as usize) {
                Some(device) => Ok(Some(device)),
                None => Err(SandboxError::Other(format!(
                    "worker {worker} has no devices: there are those of {} workers; name some for each worker",
                    devices.len()
                ))),
            },
            _ => Ok(None),
        }
    }

    /// Builds a candidate and remembers that for its run. Returns how it ended if it failed.
    pub(super) async fn build_ahead(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        let place = self.place(trial)?;
        place.take(candidate, trial);
        match self.fill_and_build(place, candidate, trial, cancel).await? {
            ControlFlow::Break(failed) => Ok(Some(failed)),
            ControlFlow::Continue(log) => {
                place.remember(Built { candidate: candidate.revision.clone(), trial: trial.name(), log });
                Ok(None)
            }
        }
    }

    /// Builds a candidate, if that was not done ahead, and runs it.
    pub(super) async fn build_and_run(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        let place = self.place(trial)?;
        let log = match place.take(candidate, trial) {
            Some(log) => log,
            None => match self.fill_and_build(place, candidate, trial, cancel).await? {
                ControlFlow::Break(failed) => return Ok(failed),
                ControlFlow::Continue(log) => log,
            },
        };
        self.run_built(place, log, trial, cancel).await
    }

    async fn fill_and_build(
        &self,
        place: &Place,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<ControlFlow<Outcome, RunLog>, SandboxError> {
        let mut log = RunLog { path: Some(self.new_log(trial)?), phase: Phase::Build, ..RunLog::default() };
        let (slot, lineage, revision) = (place.slot.clone(), self.lineage.clone(), candidate.revision.clone());
        // Not on the thread that also tells when others' runs end.
        blocking(move || slot.fill(&lineage.lock().unwrap_or_else(PoisonError::into_inner), &revision)).await?;
        if self.commands.build.is_empty() {
            return Ok(ControlFlow::Continue(log));
        }
        // Builds share caches and take all processors that they may have: two at a time would only be slower, and what one
        // leaves in a shared folder must be copied before the next one writes there.
        let _turn = tokio::select! {
            turn = self.builds.lock() => turn,
            () = cancel.cancelled() => return Err(SandboxError::Cancelled),
        };
        let build = self.phase(place, Phase::Build, &self.commands.build, &log, trial, cancel).await?;
        log.build = build.elapsed;
        log.cpu = build.cpu;
        if !build.succeeded() {
            return Ok(ControlFlow::Break(outcome(&build, "the build", log)?));
        }
        let (from, to, keeps) = (place.slot.path().to_owned(), place.slot.built(), self.commands.keeps.clone());
        if let Some(message) = blocking(move || keep(&from, &to, &keeps)).await? {
            let Outcome::Completed(log) = outcome(&build, "the build", log)? else {
                return Err(SandboxError::Other("a build that succeeded counts as failed".into()));
            };
            return Ok(ControlFlow::Break(Outcome::Crashed { message, log }));
        }
        Ok(ControlFlow::Continue(log))
    }

    async fn run_built(
        &self,
        place: &Place,
        mut log: RunLog,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        let built = place.slot.built();
        let built = built.to_str().ok_or_else(|| {
            SandboxError::Other(format!("{} is not UTF-8; put the slots into another folder", built.display()))
        })?;
        let argv: Vec<String> = self.commands.run.iter().map(|argument| argument.replace(BUILT, built)).collect();
        log.phase = Phase::Run;
        log.machine = Some(Machine::here());
        let repeats = self.commands.repeats.max(1);
        loop {
            // What the build or the repeat before wrote is not this one's.
            let _ = std::fs::remove_file(place.items());
            let run = self.phase(place, Phase::Run, &argv, &log, trial, cancel).await?;
            log.elapsed += run.elapsed;
            log.peak_memory = log.peak_memory.max(run.peak_memory);
            if repeats > 1 {
                log.repeats.push(Repeat { wall: run.elapsed, cpu: run.cpu });
            }
            if !run.succeeded() {
                return outcome(&run, "the run", log);
            }
            if repeats == 1 || log.repeats.len() == repeats as usize {
                place.keep_items(&mut log)?;
                return outcome(&run, "the run", log);
            }
        }
    }

    /// Where a trial's output goes: an empty file, or none yet.
    fn new_log(&self, trial: &Trial) -> Result<PathBuf, SandboxError> {
        std::fs::create_dir_all(&self.logs).map_err(|e| SandboxError::io("making the folder for logs", e))?;
        let path = self.logs.join(format!("{}.log", trial.name()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(SandboxError::io("removing an old log", error))
            }
            _ => Ok(path),
        }
    }

    async fn phase(
        &self,
        place: &Place,
        phase: Phase,
        argv: &[String],
        log: &RunLog,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<process::Finished, SandboxError> {
        let device = self.device(trial)?;
        (trial.progress)(Progress::Phase(phase));
        let mut environment = self.commands.environment.clone();
        environment.push(("AUTORESEARCH_SEED".into(), trial.seed.to_string().into()));
        environment.push((SLOT.into(), place.slot.path().into()));
        environment.push(("TMPDIR".into(), place.slot.scratch().into()));
        let mut limits = self.commands.limits;
        let budget = trial.budget.at(trial.fidelity);
        let of_worker = device.map(|device| device.cpus).unwrap_or_default();
        let or = |cpus: Cpus, otherwise: Cpus| if cpus.is_empty() { otherwise } else { cpus };
        limits.cpus = match phase {
            Phase::Build if trial.worker.is_none() => or(self.commands.build_cpus, limits.cpus),
            Phase::Build => or(of_worker, limits.cpus),
            Phase::Run => or(of_worker, self.commands.cpus),
        };
        if phase == Phase::Run {
            environment.push(("AUTORESEARCH_FIDELITY".into(), trial.fidelity.to_string().into()));
            environment.push(("AUTORESEARCH_ITEMS".into(), place.items().into()));
            environment.extend(self.commands.run_environment.iter().cloned());
            environment.extend(device.into_iter().flat_map(|device| device.environment.iter().cloned()));
        }
        let command = Command {
            argv: argv.to_vec(),
            directory: place.slot.path().to_owned(),
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

/// Copies what a build left into the folder `to`, and says what is missing. Paths are relative to `from`.
fn keep(from: &Path, to: &Path, files: &[PathBuf]) -> Result<Option<String>, SandboxError> {
    if files.is_empty() {
        return Ok(None);
    }
    std::fs::create_dir_all(to).map_err(|e| SandboxError::io(format!("making {}", to.display()), e))?;
    let mut names = BTreeSet::new();
    for file in files {
        let name = file.file_name().filter(|name| names.insert(name.to_owned())).ok_or_else(|| {
            let file = file.display();
            SandboxError::Other(format!("{file} cannot be kept: each file needs a name, and another than the others"))
        })?;
        let source = from.join(file);
        if !source.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(Some(format!("the build ended well, but left no file {}", file.display())));
        }
        std::fs::copy(&source, to.join(name))
            .map_err(|e| SandboxError::io(format!("copying {} to {}", source.display(), to.display()), e))?;
    }
    Ok(None)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(SandboxError::Other(format!("work on files ended badly: {error}"))))
}
