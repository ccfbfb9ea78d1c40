//! Attacks carried out, each in a slot of the executor that runs candidates, with the walls that these get.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::attack::{Attack, AttackVerdict, Proof};
use super::canaries::{AttackFolders, Canaries, SECRET};
use super::numbers::EVALUATE;
use super::proposals::EDITABLE;
use crate::cancel::Cancel;
use crate::change::{EditablePaths, FileEdit, Patch};
use crate::command::isolation::Isolation;
use crate::command::{
    CommandSandbox, Commands, Executor, Job, JobEvaluation, JobName, JobStep, LocalExecutor, Provision, Tree,
};
use crate::experiment_id::ExperimentId;
use crate::metric::{Direction, LogMetric, MAX_ITEM_BYTES, Metric};
use crate::sandbox::{Outcome, Sandbox, SandboxError, StageError};

/// Limit of a program that is to end by itself, and of one that is not.
const LIMIT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(1);
const DAEMON: Duration = Duration::from_secs(15);
/// Time after its limit in which a trial has ended: the grace of those that ignore signals, and some for a busy machine.
const LATE: Duration = Duration::from_secs(9);
/// Bytes that a log has at most, with some to spare.
const LOG: u64 = 16 << 20;

/// The end of one attack.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The verdict on it.
    pub verdict: AttackVerdict,
    /// The reason for which nothing is known, or the end of the attack's output.
    pub note: String,
    /// True if honest work that every machine can do fails: the walls are too narrow.
    pub is_broken: bool,
}

/// Carries attacks out, one after the other.
#[derive(Debug)]
pub struct AttackSuite {
    folders: AttackFolders,
    evaluates: bool,
    executor: LocalExecutor,
    /// True once the baseline has left its build.
    is_primed: AtomicBool,
    count: AtomicU32,
    /// Failures of honest work, by its program; `None` for work that goes on.
    controls: Mutex<HashMap<&'static str, Option<String>>>,
}

impl AttackSuite {
    /// Attacks with this isolation around candidates. `evaluates` tells whether a command measures what a run leaves.
    pub fn new(folders: AttackFolders, isolation: Isolation, evaluates: bool) -> AttackSuite {
        let slots = [folders.work.join("slots/0"), folders.work.join("slots/1")];
        let target = folders.target();
        let isolation = match isolation.pristine.is_empty() {
            true => isolation.write(target),
            false => isolation.pristine(target),
        };
        let executor = LocalExecutor::new(slots, folders.work.join("logs")).isolated(isolation);
        AttackSuite {
            folders,
            evaluates,
            executor,
            is_primed: AtomicBool::default(),
            count: AtomicU32::new(0),
            controls: Mutex::default(),
        }
    }

    /// Carries one attack out, after its honest work.
    ///
    /// # Errors
    /// If the victims cannot be made, or the executor fails, as it does where strict isolation is not to be had.
    pub async fn try_attack(&self, attack: &'static Attack, cancel: &Cancel) -> Result<Tried, SandboxError> {
        let untested = |note: String, is_broken| Tried { verdict: AttackVerdict::Untested, note, is_broken };
        if let Some(program) = attack.programs().into_iter().find(|program| !is_installed(program)) {
            return Ok(untested(format!("{program} is not installed"), false));
        }
        let (succeeded, noticed, note) = match attack.proof {
            Proof::Number(files) => self.number(attack.script, files, cancel).await?,
            Proof::Accepted(path, content) => self.proposal(path, content).await?,
            _ => {
                let canaries = self.canaries()?;
                if !self.is_primed.swap(true, Ordering::Relaxed) {
                    self.build_baseline(&canaries, cancel).await?;
                }
                if let Some(failed) = self.control(&canaries, attack.control, cancel).await? {
                    return Ok(untested(format!("honest work fails: {failed}"), true));
                }
                self.script(&canaries, attack, cancel).await?
            }
        };
        let verdict = match (succeeded, noticed) {
            (true, _) => AttackVerdict::Open,
            (false, true) => AttackVerdict::Detected,
            (false, false) => AttackVerdict::Contained,
        };
        Ok(Tried { verdict, note, is_broken: false })
    }

    fn canaries(&self) -> Result<Canaries, SandboxError> {
        let failed = |e| SandboxError::io("making the victims of an attack".to_owned(), e);
        Canaries::new(&self.folders).map_err(failed)
    }

    fn job(&self, canaries: &Canaries, script: &str, limit: Duration) -> Result<Job, SandboxError> {
        let failed = |e: io::Error| SandboxError::io("making an attack".to_owned(), e);
        let program = format!("{}{script}\n", canaries.prelude().map_err(failed)?);
        let tree = Tree::new([("run.sh", program), ("data", "1\n".to_owned())])?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let argv = ["bash", "run.sh"].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("attack", number.to_string()), tree, argv, limit);
        job.provisions = vec![Provision::link(self.folders.user.join("train.py"), "train.py")];
        Ok(job)
    }

    /// Lets the baseline leave a build in the folder that all builds share.
    async fn build_baseline(&self, canaries: &Canaries, cancel: &Cancel) -> Result<(), SandboxError> {
        let target = self.folders.target();
        fs::create_dir_all(&target).map_err(|e| SandboxError::io(format!("making {}", target.display()), e))?;
        let mut job = self.job(canaries, "echo built > $TARGET/left", LIMIT)?;
        job.is_baseline = true;
        match self.executor.run(&job, cancel).await? {
            Outcome::Completed(_) => Ok(()),
            failed => Err(SandboxError::Other(format!("the baseline of the attacks fails: {}", failed.describe()))),
        }
    }

    /// Does honest work, once for all attacks that share it. Returns the failure.
    async fn control(
        &self,
        canaries: &Canaries,
        script: &'static str,
        cancel: &Cancel,
    ) -> Result<Option<String>, SandboxError> {
        let known = self.controls.lock().unwrap_or_else(PoisonError::into_inner).get(script).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let job = self.job(canaries, &format!("set -e\n{script}"), LIMIT)?;
        let outcome = self.executor.run(&job, cancel).await?;
        let failed = (!matches!(outcome, Outcome::Completed(_)))
            .then(|| format!("{}: {}", outcome.describe(), outcome.log().tail.trim_end()));
        self.controls.lock().unwrap_or_else(PoisonError::into_inner).insert(script, failed.clone());
        Ok(failed)
    }

    /// Runs the program of an attack, and looks at what it did: true if it succeeded, true if it was noticed, its output.
    async fn script(
        &self,
        canaries: &Canaries,
        attack: &Attack,
        cancel: &Cancel,
    ) -> Result<(bool, bool, String), SandboxError> {
        let limit = match attack.proof {
            Proof::Overruns => SHORT,
            Proof::Survives => DAEMON,
            _ => LIMIT,
        };
        let mut job = self.job(canaries, attack.script, limit)?;
        if matches!(attack.proof, Proof::Results) {
            job.results.written = vec!["result.json".into()];
            job.results.counted = vec!["counted".into()];
        }
        let (before, began) = (canaries.snapshot(), Instant::now());
        let Ok(outcome) = tokio::time::timeout(limit + LATE * 2, self.executor.run(&job, cancel)).await else {
            return Ok((true, false, format!("the trial has not ended {} s after its limit", (LATE * 2).as_secs())));
        };
        let outcome = outcome?;
        let (log, completed) = (outcome.log(), matches!(outcome, Outcome::Completed(_)));
        let (succeeded, noticed) = match attack.proof {
            Proof::Ends => (completed, false),
            Proof::Changes => (canaries.snapshot() != before, false),
            Proof::Leaves => (canaries.is_left(), false),
            Proof::Sends => (canaries.is_reached(), false),
            Proof::Next(script) => {
                let next = self.executor.run(&self.job(canaries, script, LIMIT)?, cancel).await?;
                (matches!(next, Outcome::Completed(_)), false)
            }
            Proof::Survives => (canaries.survivors() > 0, false),
            Proof::Overruns => (began.elapsed() > limit + LATE, matches!(outcome, Outcome::TimedOut { .. })),
            Proof::Floods => {
                let size = log.path.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |found| found.len());
                (size > LOG, false)
            }
            Proof::Results => (log.artifacts.values().any(|kept| is_no_result(kept)), false),
            Proof::Forges => canaries.journal(),
            Proof::Number(_) | Proof::Accepted(..) => (false, false),
        };
        Ok((succeeded, noticed, log.tail.clone()))
    }

    /// Measures a candidate that cheats: true if its number is better than that of an honest one.
    async fn number(
        &self,
        script: &str,
        files: &[(&str, &str)],
        cancel: &Cancel,
    ) -> Result<(bool, bool, String), SandboxError> {
        const HONEST: f64 = 1.0;
        let canaries = self.canaries()?;
        let mut tree = vec![("run.sh", script), ("evaluate.sh", EVALUATE)];
        tree.retain(|(path, _)| files.iter().all(|(other, _)| other != path));
        tree.extend(files);
        let mut job = self.job(&canaries, "", LIMIT)?;
        job.provisions.clear();
        job.tree = Tree::new(tree)?;
        if self.evaluates {
            let argv = ["sh", "evaluate.sh", "{inputs}"].map(str::to_owned).to_vec();
            let step = JobStep { argv, limit: LIMIT, ..JobStep::default() };
            let mut evaluation =
                JobEvaluation::new(step, Tree::new([("evaluate.sh", EVALUATE)])?, vec!["out/*".into()]);
            evaluation.provisions = vec![Provision::link(self.folders.user.join("data"), "data")];
            job.evaluation = Some(evaluation);
        }
        let outcome = self.executor.run(&job, cancel).await?;
        let read = LogMetric::new("score", Direction::Maximise).read(&outcome);
        Ok(match read {
            Ok(read) => (read.score.get() > HONEST, false, outcome.log().tail.clone()),
            Err(error) => (false, true, error.to_string()),
        })
    }

    /// Stages a proposal in a repository of its own: true if it is accepted.
    async fn proposal(&self, path: &str, content: &str) -> Result<(bool, bool, String), SandboxError> {
        let repository = self.folders.work.join("repository");
        if !repository.exists() {
            make_repository(&repository)
                .map_err(|error| SandboxError::Other(format!("making {}: {error}", repository.display())))?;
        }
        let commands = Commands {
            editable: EditablePaths::new(["code/**"]),
            run: ["sh", EDITABLE].map(str::to_owned).to_vec(),
            ..Commands::default()
        };
        let work = &self.folders.work;
        let sandbox =
            CommandSandbox::local(&repository, "attack", commands, [work.join("slots/0")], work.join("logs"))?;
        let base = sandbox.base().clone();
        let edit = |path: &str, content: &str| Patch {
            edits: vec![match content.starts_with("diff ") {
                true => FileEdit::Diff { diff: content.to_owned() },
                false => FileEdit::Write { path: path.to_owned(), text: content.to_owned() },
            }],
        };
        let number = self.count.fetch_add(2, Ordering::Relaxed);
        match sandbox.stage(ExperimentId(number), &base, &edit(EDITABLE, "echo score: 2\n"), "honest").await {
            Ok(_) => {}
            Err(StageError::Failed(error)) => return Err(error),
            Err(StageError::Rejected(why)) => return Ok((false, false, format!("honest work fails: {why}"))),
        }
        match sandbox.stage(ExperimentId(number + 1), &base, &edit(path, content), "hostile").await {
            Ok(_) => Ok((true, false, String::new())),
            Err(StageError::Rejected(why)) => Ok((false, true, why)),
            Err(StageError::Failed(error)) => Err(error),
        }
    }
}

/// Tells whether a file that was kept as a result is none.
fn is_no_result(kept: &std::path::Path) -> bool {
    let is_large = fs::symlink_metadata(kept).map_or(true, |found| !found.is_file() || found.len() > MAX_ITEM_BYTES);
    is_large || fs::read(kept).is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
}

fn make_repository(folder: &std::path::Path) -> Result<(), git2::Error> {
    let mut options = git2::RepositoryInitOptions::new();
    let repository = git2::Repository::init_opts(folder, options.external_template(false))?;
    let mut index = repository.index()?;
    for (path, text) in [(EDITABLE, "echo score: 1\n"), ("evaluate.sh", EVALUATE)] {
        let place = folder.join(path);
        let written = place.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&place, text));
        written.map_err(|error| git2::Error::from_str(&error.to_string()))?;
        index.add_path(std::path::Path::new(path))?;
    }
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = git2::Signature::now("autoresearch", "autoresearch@localhost")?;
    repository.commit(Some("HEAD"), &author, &author, "start", &tree, &[]).map(drop)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
