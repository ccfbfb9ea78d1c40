//! The seam between a sandbox and the machines: where and how the build and the run of a candidate happen.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::devices::Device;
use super::limits::Limits;
use super::provision::Provision;
use super::tree::Tree;
use crate::cancel::Cancel;
use crate::sandbox::{Outcome, Progress, ResultFiles, SandboxError};

/// The stable name of a job, made of its run, experiment and trial and of what it executes, by which it is found again after a
/// restart.
///
/// ```
/// use autoresearch_core::JobName;
/// assert_eq!(JobName::new("faster", "0007-2").to_string(), "faster-0007-2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName {
    /// The tag of the run: letters, digits, `-`, `_` and `.`.
    pub run: String,
    /// The [name](crate::sandbox::Trial::name) of the trial within its run, made of the same characters.
    pub trial: String,
    /// A digest of what the job executes, in hexadecimal digits; empty for none. A job of other files or commands has another
    /// name, so that the outcome of an earlier run of the same tag is never taken for its.
    #[doc(hidden)]
    pub content: String,
}

impl JobName {
    /// Names the job of a trial of a run, whatever it executes.
    pub fn new(run: impl Into<String>, trial: impl Into<String>) -> JobName {
        JobName { run: run.into(), trial: trial.into(), content: String::new() }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.trial)?;
        match self.content.as_str() {
            "" => Ok(()),
            content => write!(f, "-{content}"),
        }
    }
}

/// One phase of a job: a command with its surroundings.
#[derive(Debug, Clone, Default)]
pub struct JobStep {
    /// The program and its arguments. Empty for nothing to do.
    pub argv: Vec<String>,
    /// Variables beside those that the executor's machine passes on.
    pub environment: Vec<(String, OsString)>,
    /// Wall clock after which it is killed.
    pub limit: Duration,
    /// Limits on its use of the machine.
    pub limits: Limits,
}

/// The evaluation of one job, as an executor gets it.
///
/// ```
/// use std::time::Duration;
/// use autoresearch_core::{JobEvaluation, JobStep, Tree};
/// let tree = Tree::new([("evaluate.sh", "wc -l < $1/model > $AUTORESEARCH_RESULT\n")])?;
/// let argv = ["sh", "evaluate.sh", "{inputs}"].map(str::to_owned).to_vec();
/// let step = JobStep { argv, limit: Duration::from_secs(60), ..JobStep::default() };
/// let evaluation = JobEvaluation::new(step, tree, vec!["model".into()]);
/// # Ok::<(), autoresearch_core::SandboxError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobEvaluation {
    /// The command.
    pub step: JobStep,
    /// The files that it runs in.
    pub tree: Tree,
    /// Files and folders of the lab's machine that its folder gets.
    pub provisions: Vec<Provision>,
    /// Files and folders that it may read at their own paths, where commands are isolated.
    pub reads: Vec<PathBuf>,
    /// The files that the run leaves for it, as in [`Evaluation::inputs`](crate::Evaluation::inputs).
    pub inputs: Vec<String>,
}

impl JobEvaluation {
    /// An evaluation that runs `step` in the files of `tree` over `inputs`.
    pub fn new(step: JobStep, tree: Tree, inputs: Vec<String>) -> JobEvaluation {
        JobEvaluation { step, tree, provisions: Vec::new(), reads: Vec::new(), inputs }
    }
}

/// A trial as an executor gets it: the files of a candidate, the commands to run in them, and what they may use.
///
/// ```
/// use std::time::Duration;
/// use autoresearch_core::{Job, JobName, Tree};
/// let tree = Tree::new([("score.sh", "echo score: 1\n")])?;
/// let argv = ["sh", "score.sh"].map(str::to_owned).to_vec();
/// let mut job = Job::new(JobName::new("may1", "0003-1"), tree, argv, Duration::from_secs(60));
/// job.repeats = 3;
/// # Ok::<(), autoresearch_core::SandboxError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Job {
    /// Its stable name.
    pub name: JobName,
    /// The candidate's files.
    pub tree: Tree,
    /// Files and folders of the lab's machine that the candidate's folder gets before the build. An executor that cannot provide
    /// them fails.
    pub provisions: Vec<Provision>,
    /// The build. An empty command line for none.
    pub build: JobStep,
    /// Files that the build leaves elsewhere and the run needs, relative to the candidate's folder. They are copied right after
    /// the build into a folder that the run's arguments call `{built}`.
    pub keeps: Vec<PathBuf>,
    /// The run. Its limit is for all repeats together.
    pub run: JobStep,
    /// Executions of the run's command, at least 1.
    pub repeats: u32,
    /// The measurement of what the run leaves, by files that are not the candidate's. An executor that cannot provide it fails.
    pub evaluation: Option<JobEvaluation>,
    /// Guards before the run. One that fails is a crash in [`Phase::Guard`](crate::sandbox::Phase::Guard), and there is no run.
    pub before: Vec<JobStep>,
    /// Guards after a run that succeeded. One that fails makes the job a crash in the same phase.
    pub after: Vec<JobStep>,
    /// Files that the run writes, or that are counted after it.
    pub results: ResultFiles,
    /// Completes the job if the run ends by itself with an exit code other than 0, too.
    pub any_exit_code: bool,
    /// The accelerators that the run may use, as variables that show them. An executor that assigns devices itself ignores them.
    pub devices: Device,
    /// True for the files that the search starts from: what their build leaves in folders that are kept
    /// [pristine](crate::internal::isolation::Isolation::pristine) is what the builds of candidates find there.
    #[doc(hidden)]
    pub is_baseline: bool,
    /// A number, from 0, that no other job of this sandbox has at the same time: a place that an executor may keep prepared.
    pub slot: u32,
    /// Told the phases and the newest output.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Job {
    /// A job that runs `argv` once in the files of `tree` for at most `limit`. It has slot 0, no build and no listener.
    pub fn new(name: JobName, tree: Tree, argv: Vec<String>, limit: Duration) -> Job {
        Job {
            name,
            tree,
            provisions: Vec::new(),
            build: JobStep { limit, ..JobStep::default() },
            keeps: Vec::new(),
            run: JobStep { argv, limit, ..JobStep::default() },
            repeats: 1,
            evaluation: None,
            before: Vec::new(),
            after: Vec::new(),
            results: ResultFiles::default(),
            any_exit_code: false,
            devices: Device::default(),
            is_baseline: false,
            slot: 0,
            progress: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).field("tree", self.tree.revision()).finish_non_exhaustive()
    }
}

/// The state of a job that an executor knows.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "looked up rarely, and matched on")]
pub enum JobStatus {
    /// It waits for a machine, builds or runs.
    Running,
    /// It has ended.
    Ended(Outcome),
}

/// Builds and runs jobs somewhere: on this machine, in a container, or by an engine such as Slurm, Kubernetes or SSH.
///
/// # Contract
/// - `run` returns `Ok` however badly the job behaves: a failed build, a crash, a program of the candidate that cannot be
///   started, an exceeded limit are outcomes. `Err` means that the executor itself failed.
/// - When `run` returns, nothing of the job runs any more, on whichever machine that was. After a timeout or a cancellation that
///   holds for the whole tree of its processes.
/// - Guards run once each, in their order: those of `before` ahead of the run, those of `after` when it has succeeded. The first one
///   that fails ends the job; its output is not the run's, which the metric reads.
/// - An evaluation runs once after a run that succeeded, when nothing of that runs any more, in a folder of its own that no process of
///   the candidate ever saw. The outcome's log is then what it wrote into `AUTORESEARCH_RESULT`, and nothing of what the run
///   printed. One that fails, or for which the run left no file, is a crash in [`Phase::Evaluation`](crate::sandbox::Phase::Evaluation).
/// - The limits are kept by whatever supervises the job, with its own monotonic clock, also while the caller is blocked. A job
///   that took longer than its limit has timed out, even if it ended by itself afterwards.
/// - A job sees its own files, the variables of its steps, and the variables that its machine passes on; never a key of the lab,
///   and nothing that another job left behind.
/// - `TMPDIR` names a folder for temporary files that is the job's own and empty at its start. The run may write the scores of
///   items into the file that `AUTORESEARCH_ITEMS` names; the executor keeps it as an artifact of the outcome.
/// - The files that [`Job::results`] names are removed before the run, and those that the run wrote are artifacts of the outcome,
///   each under its path. A link is none of them, nor is a file of the candidate that the run did not change.
/// - The output that is kept is bounded, however much a job writes; its beginning and its end are kept.
/// - A cancelled job ends with [`SandboxError::Cancelled`]. Cancelling a job that has ended, or that is unknown, succeeds.
/// - Jobs of different names run at the same time if they have different slots.
/// - A job is known by its name, also to an executor that was made anew after a restart: a job that has ended is found with the
///   outcome that it had. A job that was running is found running, or is lost with its machine and not found; it is never found
///   with an outcome that it did not have.
///
/// `testkit::conformance::executor` checks all of this for an implementation.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use autoresearch_core::{Executor, Job, JobName, JobStatus, LocalExecutor, Tree};
/// use autoresearch_core::Cancel;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let folder = std::env::temp_dir().join(format!("executor-example-{}", std::process::id()));
/// let executor = LocalExecutor::new([folder.join("slot")], folder.join("logs"));
/// let tree = Tree::new([("value", "score: 4\n")])?;
/// let name = JobName::new("faster", "0001");
/// let job = Job::new(name.clone(), tree, vec!["cat".into(), "value".into()], Duration::from_secs(10));
///
/// let outcome = executor.run(&job, &Cancel::new()).await?;
/// assert_eq!(outcome.log().tail, "score: 4\n");
/// assert_eq!(executor.find(&name).await?, Some(JobStatus::Ended(outcome)));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync {
    /// Builds and runs a job, and waits for its end. A build made ahead for this very job is used.
    ///
    /// An ended job of the same name is forgotten; one that still runs is an error.
    async fn run(&self, job: &Job, cancel: &Cancel) -> Result<Outcome, SandboxError>;

    /// Builds a job ahead of its run, while others run. Returns the outcome if the build failed: then there is no run.
    ///
    /// An executor that builds in [`Executor::run`] leaves this out.
    async fn build(&self, _job: &Job, _cancel: &Cancel) -> Result<Option<Outcome>, SandboxError> {
        Ok(None)
    }

    /// Looks a job up by its name, also one that an earlier process started. `None` if it was never started, or is lost.
    async fn find(&self, name: &JobName) -> Result<Option<JobStatus>, SandboxError>;

    /// Waits for the end of a job that runs already, and returns its outcome; at once if it has ended.
    ///
    /// # Errors
    /// If there is no such job, or it was cancelled. When `cancel` is cancelled, so is the job.
    async fn attach(&self, name: &JobName, cancel: &Cancel) -> Result<Outcome, SandboxError>;

    /// Ends a job and waits until nothing of it runs. Succeeds if it has ended already or was never started.
    async fn cancel(&self, name: &JobName) -> Result<(), SandboxError>;

    /// Ends all jobs of the run `run` that an earlier process left running, except `keep`. Called before anything else when a
    /// run starts or is resumed.
    async fn recover(&self, run: &str, keep: &[JobName]) -> Result<(), SandboxError>;
}
