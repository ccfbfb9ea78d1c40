//! The phases of a job on this machine: fill the slot, build, run, empty the slot.

use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::super::executor::{Job, JobStep};
use super::super::failing_test::failing_test;
use super::super::isolation::{Isolated, Isolation, IsolationLevel, Layer};
use super::super::process::{Command, Finished, GRACE, describe, outcome};
use super::super::provision::Provision;
use super::place::{Place, SLOT, blamed, blocking, has_space, items, keep_items};
use super::slot::Slot;
use super::{record, results};
use crate::cancel::Cancel;
use crate::machine::MachineId;
use crate::sandbox::{Outcome, Phase, Progress, Repeat, RunLog, SandboxError};
use crate::text::one_line;

/// Stands in the run's command for the folder with the files that its build left outside the slot.
const BUILT: &str = "{built}";

/// Length to which a guard's command line is cut where its failure is told, in characters.
const GUARD_NAME: usize = 60;

/// One job on its way through a slot.
pub(super) struct Phases<'a> {
    pub(super) place: &'a Place,
    pub(super) builds: &'a tokio::sync::Mutex<()>,
    pub(super) logs: &'a Path,
    pub(super) isolation: &'a Isolation,
    /// True if the job leaves pristine folders as later ones are to find them.
    pub(super) primes: bool,
    pub(super) job: &'a Job,
    pub(super) cancel: &'a Cancel,
}

/// The place in which a command of a job runs.
pub(super) struct Room<'a> {
    pub(super) slot: &'a Slot,
    pub(super) provisions: &'a [Provision],
    pub(super) reads: &'a [PathBuf],
    pub(super) writes: &'a [PathBuf],
    /// The file for what it writes into its channel of results, if it gets one.
    pub(super) results: Option<PathBuf>,
}

/// The end of one command of a job.
pub(super) enum Ended {
    /// It was started, and ended.
    Finished(Finished),
    /// It is the candidate's own program, and cannot be started.
    NotStarted(String),
}

impl Phases<'_> {
    /// Builds the job and remembers that for its run. Returns the outcome if the build failed.
    pub(super) async fn build_ahead(&self) -> Result<Option<Outcome>, SandboxError> {
        self.place.take(self.job);
        let failed = match self.fill_and_build().await {
            Ok(ControlFlow::Continue(log)) => {
                self.place.remember(self.job, log);
                return Ok(None);
            }
            Ok(ControlFlow::Break(failed)) => Ok(Some(failed)),
            Err(error) => Err(error),
        };
        self.empty_slot().await?;
        match failed {
            Err(error) => Err(self.blamed(error).await),
            failed => failed,
        }
    }

    async fn empty_slot(&self) -> Result<(), SandboxError> {
        let (slot, tree) = (self.place.slot.clone(), self.job.tree.clone());
        blocking(move || {
            slot.empty(&tree);
            Ok(())
        })
        .await
    }

    /// Once the slot is empty, a disk that is full no more was filled by the candidate: that is no reason to end the run.
    async fn blamed(&self, error: SandboxError) -> SandboxError {
        let logs = self.logs.to_owned();
        let has_space = blocking(move || Ok(has_space(&logs))).await;
        blamed(error, has_space.unwrap_or(false))
    }

    /// Builds the job, if that was not done ahead, and runs it. Its leftovers are removed at once, so that they fill no disk.
    pub(super) async fn build_and_run(&self) -> Result<Outcome, SandboxError> {
        let ended = match self.place.take(self.job) {
            Some(log) => self.run_built(log).await,
            None => match self.fill_and_build().await {
                Ok(ControlFlow::Continue(log)) => self.run_built(log).await,
                Ok(ControlFlow::Break(failed)) => Ok(failed),
                Err(error) => Err(error),
            },
        };
        self.empty_slot().await?;
        self.empty_evaluator().await?;
        match ended {
            Err(error) => Err(self.blamed(error).await),
            ended => ended,
        }
    }

    async fn fill_and_build(&self) -> Result<ControlFlow<Outcome, RunLog>, SandboxError> {
        let path = record::forget(self.logs, &self.job.name)?;
        let mut log = RunLog { path: Some(path), phase: Phase::Build, ..RunLog::default() };
        let (slot, tree) = (self.place.slot.clone(), self.job.tree.clone());
        let provisions = self.job.provisions.clone();
        blocking(move || {
            slot.fill(&tree)?;
            provisions.iter().try_for_each(|provision| provision.put_into(slot.path()))
        })
        .await?;
        if self.job.build.argv.is_empty() {
            return Ok(ControlFlow::Continue(log));
        }
        // Builds share caches and take all processors that they may have: two at a time would only be slower, and what one
        // leaves in a shared folder must be copied before the next one writes there.
        let _turn = tokio::select! {
            turn = self.builds.lock() => turn,
            () = self.cancel.cancelled() => return Err(SandboxError::Cancelled),
        };
        let build = match self.execute(Phase::Build, &self.job.build, &log).await? {
            Ended::NotStarted(message) => return Ok(ControlFlow::Break(Outcome::Crashed { message, log })),
            Ended::Finished(build) => build,
        };
        log.build = build.elapsed;
        log.cpu = build.cpu;
        if !build.succeeded() {
            return Ok(ControlFlow::Break(outcome(&build, "the build", log)?));
        }
        if let Some(message) = self.keep(&log).await? {
            let Outcome::Completed(log) = outcome(&build, "the build", log)? else {
                return Err(SandboxError::Other("a build that succeeded counts as failed".into()));
            };
            return Ok(ControlFlow::Break(Outcome::Crashed { message, log }));
        }
        Ok(ControlFlow::Continue(log))
    }

    async fn run_built(&self, mut log: RunLog) -> Result<Outcome, SandboxError> {
        let built = self.place.slot.built();
        let built = built.to_str().ok_or_else(|| {
            SandboxError::Other(format!("{} is not UTF-8; put the slots into another folder", built.display()))
        })?;
        let mut step = self.job.run.clone();
        step.argv = step.argv.iter().map(|argument| argument.replace(BUILT, built)).collect();
        step.environment.extend(self.job.devices.environment.iter().cloned());
        if self.job.evaluation.is_none() {
            step.environment.push(("AUTORESEARCH_ITEMS".into(), items(&self.place.slot).into()));
        }
        if let Some(failed) = self.guard(&self.job.before, &log).await? {
            return Ok(failed);
        }
        log.phase = Phase::Run;
        log.machine = Some(MachineId::here());
        let repeats = self.job.repeats.max(1);
        let mut of_repeats = Duration::ZERO;
        loop {
            // What the build or the repeat before wrote is not this one's.
            let (scores, slot, job) = (items(&self.place.slot), self.place.slot.clone(), self.job.clone());
            blocking(move || {
                let _ = std::fs::remove_file(scores);
                results::remove(&slot, &job)
            })
            .await?;
            step.limit = self.job.run.limit.saturating_sub(log.elapsed);
            let run = match self.execute(Phase::Run, &step, &log).await? {
                Ended::NotStarted(message) => return Ok(Outcome::Crashed { message, log }),
                Ended::Finished(run) => run,
            };
            log.elapsed += run.elapsed;
            log.peak_memory = log.peak_memory.max(run.peak_memory);
            log.cpu = run.cpu.map(|cpu| cpu + std::mem::take(&mut of_repeats));
            of_repeats = log.cpu.unwrap_or_default();
            if repeats > 1 {
                log.repeats.push(Repeat { wall: run.elapsed, cpu: run.cpu });
            }
            let code = run.exit_code();
            let is_result = self.job.any_exit_code && code.is_some();
            if !run.succeeded() && !is_result {
                return outcome(&run, "the run", log);
            }
            log.exit_code = code.filter(|_| self.job.any_exit_code);
            if repeats == 1 || log.repeats.len() == repeats as usize {
                let (slot, job) = (self.place.slot.clone(), self.job.clone());
                log = blocking(move || {
                    if job.evaluation.is_none() {
                        keep_items(&items(&slot), &mut log)?;
                    }
                    results::collect(&slot, &job, &mut log)?;
                    Ok(log)
                })
                .await?;
                let ended = match outcome(&run, "the run", log)? {
                    Outcome::Crashed { log, .. } if is_result => Outcome::Completed(log),
                    ended => ended,
                };
                return self.judge(ended).await;
            }
        }
    }

    /// Evaluates and guards a run that has ended.
    async fn judge(&self, ended: Outcome) -> Result<Outcome, SandboxError> {
        let evaluated = match (ended, &self.job.evaluation) {
            (Outcome::Completed(log), Some(evaluation)) => self.evaluate(evaluation, log).await?,
            (ended, _) => ended,
        };
        match &evaluated {
            Outcome::Completed(log) => {
                let failed = self.guard(&self.job.after, log).await?;
                Ok(failed.unwrap_or(evaluated))
            }
            _ => Ok(evaluated),
        }
    }

    /// Runs guards until one fails, and returns the outcome of that. Their output goes to a log of its own: the metric is read
    /// from the run's.
    ///
    /// Guards find the files of the commit, whatever the build or the run made of them; the run after them finds what the build made.
    async fn guard(&self, guards: &[JobStep], log: &RunLog) -> Result<Option<Outcome>, SandboxError> {
        if guards.is_empty() {
            return Ok(None);
        }
        let (slot, tree) = (self.place.slot.clone(), self.job.tree.clone());
        let replaced = match blocking(move || slot.restore(&tree)).await {
            Ok(replaced) => replaced,
            // Something of the candidate is in the way.
            Err(error @ SandboxError::Io { .. }) => {
                let message = format!("guard failed: the committed files cannot be put back: {error}");
                let log = RunLog { phase: Phase::Guard, ..log.clone() };
                return Ok(Some(Outcome::Crashed { message, log }));
            }
            Err(error) => return Err(error),
        };
        for guard in guards {
            let mut step = guard.clone();
            step.environment.extend(self.job.devices.environment.iter().cloned());
            let path = log.path.as_ref().map(|path| record::guard_log(path));
            let log = RunLog { path, phase: Phase::Guard, artifacts: Default::default(), ..log.clone() };
            match self.execute(Phase::Guard, &step, &log).await? {
                Ended::NotStarted(message) => {
                    let message = format!("guard failed: {message}");
                    return Ok(Some(Outcome::Crashed { message, log }));
                }
                Ended::Finished(ended) if ended.succeeded() => {}
                Ended::Finished(ended) => return failed_guard(&step.argv, &ended, log).map(Some),
            }
        }
        blocking(move || {
            let failed = |e| SandboxError::io("putting the build's files back".to_owned(), e);
            replaced.put_back().map(|()| None).map_err(failed)
        })
        .await
    }

    async fn execute(&self, phase: Phase, step: &JobStep, log: &RunLog) -> Result<Ended, SandboxError> {
        let (slot, provisions) = (&self.place.slot, self.job.provisions.as_slice());
        let room = Room { slot, provisions, reads: &[], writes: &[], results: None };
        self.execute_in(&room, phase, step, log).await
    }

    pub(super) async fn execute_in(
        &self,
        room: &Room<'_>,
        phase: Phase,
        step: &JobStep,
        log: &RunLog,
    ) -> Result<Ended, SandboxError> {
        (self.job.progress)(Progress::Phase(phase));
        let slot = room.slot;
        let isolation = self.isolated(room);
        let prepared = isolation.clone();
        blocking(move || {
            let failed = |e| SandboxError::io("preparing pristine folders".to_owned(), e);
            prepared.map_or(Ok(()), |isolated| isolated.prepare()).map_err(failed)
        })
        .await?;
        let mut environment = step.environment.clone();
        environment.push((SLOT.into(), slot.path().into()));
        environment.push(("TMPDIR".into(), slot.scratch().into()));
        let command = Command {
            argv: step.argv.clone(),
            directory: slot.path().to_owned(),
            environment,
            log: log.path.clone().unwrap_or_default(),
            limit: step.limit,
            grace: GRACE,
            limits: step.limits,
            isolation,
            results: room.results.clone(),
        };
        let progress = self.job.progress.clone();
        match command.run(self.cancel, &move |line| progress(Progress::Line(line))).await {
            Ok(finished) => Ok(Ended::Finished(finished)),
            Err(SandboxError::CannotStart { command, source })
                if phase != Phase::Evaluation && self.is_candidates(&command) =>
            {
                let file = slot.path().join(&command);
                Ok(Ended::NotStarted(not_started(phase, &command, file.exists(), &source)))
            }
            Err(error) => Err(error),
        }
    }

    /// The walls around a command in this room; `None` for a job that is trusted.
    fn isolated(&self, room: &Room<'_>) -> Option<Isolated> {
        let slot = room.slot;
        let is_link = |provision: &&Provision| !provision.copied;
        let pristine = &self.isolation.pristine;
        let layers = pristine.iter().zip(0..).map(|(folder, number): (&PathBuf, u32)| Layer {
            folder: folder.clone(),
            own: slot.layers().join(number.to_string()),
        });
        let own = [slot.path().to_owned(), slot.scratch(), slot.home()];
        (self.isolation.level != IsolationLevel::None).then(|| Isolated {
            isolation: self.isolation.clone(),
            own: own.iter().chain(room.writes).chain(pristine.iter().filter(|_| self.primes)).cloned().collect(),
            layers: layers.filter(|_| !self.primes).collect(),
            reads: [vec![slot.built()], room.reads.to_vec()].concat(),
            provided: room.provisions.iter().filter(is_link).map(|provision| provision.source.clone()).collect(),
            home: slot.home(),
        })
    }

    /// Tells whether a program is one of the candidate's files, so that the candidate is to blame if it cannot be started. A
    /// plain name is searched for on PATH, which is not the candidate's.
    fn is_candidates(&self, program: &str) -> bool {
        let slot = &self.place.slot;
        let file = normalised(&slot.path().join(program));
        program.contains('/')
            && [slot.path().to_owned(), slot.scratch(), slot.built()]
                .iter()
                .any(|own| file.starts_with(normalised(own)))
    }
}

/// The outcome of a guard that failed, with the test that did if its output names one.
fn failed_guard(argv: &[String], ended: &Finished, log: RunLog) -> Result<Outcome, SandboxError> {
    let command = format!("`{}`", one_line(&argv.join(" "), GUARD_NAME));
    let how = format!("{command} {}", describe(ended.ending).unwrap_or_default());
    let outcome = outcome(ended, &command, log)?;
    let mut log = outcome.log().clone();
    log.repeats.clear();
    let message = match (failing_test(&log.tail), outcome) {
        (Some(test), _) => format!("guard failed: {test} ({how})"),
        // It ends with the line of the output that says most.
        (None, Outcome::Crashed { message, .. }) => format!("guard failed: {message}"),
        (None, _) => format!("guard failed: {how}"),
    };
    Ok(Outcome::Crashed { message, log })
}

/// Resolves `.` and `..` by the text alone.
fn normalised(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(result.pop()),
            part => result.push(part),
        }
    }
    result
}

/// Describes why a program of the candidate cannot be started.
fn not_started(phase: Phase, program: &str, exists: bool, error: &std::io::Error) -> String {
    let who = match phase {
        Phase::Build => "the build",
        Phase::Run => "the run",
        Phase::Evaluation => "the evaluation",
        Phase::Guard => "the guard",
    };
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound if exists => "its first line names a program that is not there",
        std::io::ErrorKind::NotFound => "there is no such file",
        std::io::ErrorKind::PermissionDenied => {
            "it has no executable bit (`git update-index --chmod=+x` sets it), or a folder above it cannot be entered"
        }
        _ => "the system does not accept it as a program",
    };
    format!("{who} cannot start `{program}`: {hint} ({error})")
}
