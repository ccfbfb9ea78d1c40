//! The sandbox for code in a git repository: a candidate is a commit, built and run by command lines wherever an [`Executor`]
//! puts it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::cancel::Cancel;
use crate::change::Patch;
use crate::experiment_id::ExperimentId;
use crate::git::Lineage;
use crate::revision::Revision;
use crate::sandbox::{Candidate, Outcome, Purpose, Rebase, Rebased, Sandbox, SandboxError, StageError, Trial};

mod commands;
mod cpus;
mod devices;
pub mod environment;
mod evaluation;
mod executor;
mod failing_test;
mod guard;
pub mod isolation;
mod limits;
mod local;
mod locks;
pub mod process;
mod provision;
mod tree;
mod trial;
mod workspace;

pub use commands::Commands;
pub use cpus::Cpus;
pub use devices::Device;
pub use evaluation::Evaluation;
pub use executor::{Executor, Job, JobEvaluation, JobName, JobStatus, JobStep};
pub use guard::{Guard, GuardTime};
pub use limits::Limits;
pub use local::{LocalExecutor, Slot};
use locks::Locks;
pub use locks::digest;
pub use provision::Provision;
pub use tree::Tree;
use workspace::{Move, Workspace};

/// Stages candidates as commits, rebases them, and lets an executor build and run them.
///
/// ```
/// use std::{process::Command, time::Duration};
/// use autoresearch_core::{Cancel, CommandSandbox, Commands, EditablePaths, ExperimentId, Patch, Sandbox, Trial};
///
/// # let folder = std::env::temp_dir().join(format!("sandbox-example-{}", std::process::id()));
/// # let repository = folder.join("repository");
/// # std::fs::create_dir_all(&repository)?;
/// # std::fs::write(repository.join("value"), "score: 5\n")?;
/// # for arguments in ["init -q", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
/// #     assert!(Command::new("git").args(arguments.split(' ')).current_dir(&repository).status()?.success());
/// # }
/// let commands = Commands {
///     editable: EditablePaths::new(["value"]),
///     run: vec!["cat".into(), "value".into()],
///     ..Commands::default()
/// };
/// let sandbox = CommandSandbox::local(&repository, "faster", commands, [folder.join("slot")], folder.join("logs"))?;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let baseline = sandbox.baseline().await?;
/// let change = Patch::replace("value", "5", "4");
/// let candidate = sandbox.stage(ExperimentId(1), &baseline.revision, &change, "lower it").await?;
/// let trial = Trial::new(ExperimentId(1), 1, 0, Duration::from_secs(10).into());
/// let outcome = sandbox.run(&candidate, &trial, &Cancel::new()).await?;
/// assert_eq!(outcome.log().tail, "score: 4\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CommandSandbox {
    workspace: Arc<Workspace>,
    executor: Arc<dyn Executor>,
    /// Files that decide the number.
    locks: Arc<Locks>,
    /// Fingerprints of the candidates that have passed their guards.
    guarded: Mutex<HashSet<String>>,
}

impl CommandSandbox {
    /// Opens the repository that holds `repository`, for the run `tag`, and starts from the commit that is checked out there.
    /// Trials go to `executor`.
    ///
    /// The kept changes become the branch `autoresearch/<tag>`. The user's branch, index and working tree are never touched.
    /// libgit2 is told to sync every object and ref that this process writes, since the journal relies on them.
    ///
    /// # Errors
    /// If there is no repository, it has no commit, it belongs to another user, it uses an unsupported feature, or the tag
    /// cannot name a branch.
    pub fn new(
        repository: &Path,
        tag: &str,
        commands: Commands,
        executor: Arc<dyn Executor>,
    ) -> Result<CommandSandbox, SandboxError> {
        let lineage = Lineage::open(repository, tag)?;
        let (base, lineage, tag) = (lineage.head()?, Arc::new(Mutex::new(lineage)), tag.to_owned());
        let locks = Arc::new(Locks::new(&commands.locked));
        let workspace = Arc::new(Workspace { lineage, tag, base, preset: None, commands });
        Ok(CommandSandbox { workspace, executor, locks, guarded: Mutex::default() })
    }

    /// The same on this machine, with a [`LocalExecutor`]: `slots` are folders at different places, one for each
    /// [`Trial::slot`] that there may be; the output of trials goes into the folder `logs`.
    ///
    /// # Errors
    /// Those of [`CommandSandbox::new`].
    pub fn local<S: Into<Slot>>(
        repository: &Path,
        tag: &str,
        commands: Commands,
        slots: impl IntoIterator<Item = S>,
        logs: impl Into<PathBuf>,
    ) -> Result<CommandSandbox, SandboxError> {
        CommandSandbox::new(repository, tag, commands, Arc::new(LocalExecutor::new(slots, logs)))
    }

    /// Moves the branch of this name, as a user types it, in place of `autoresearch/<tag>`.
    ///
    /// # Errors
    /// If git takes it for no name of a branch.
    #[doc(hidden)]
    pub fn with_branch(self, branch: &str) -> Result<CommandSandbox, SandboxError> {
        self.workspace.lineage.lock().unwrap_or_else(PoisonError::into_inner).set_branch(branch)?;
        Ok(self)
    }

    /// Starts from the commit `base` in place of the one that is checked out.
    pub fn with_base(mut self, base: Revision) -> CommandSandbox {
        Arc::make_mut(&mut self.workspace).base = base;
        self
    }

    /// The commit that the search starts from, for [`LabBuilder::base`](crate::LabBuilder::base).
    pub fn base(&self) -> &Revision {
        &self.workspace.base
    }

    /// Lists the tracked files that differ from the checked-out commit: a search that starts there does not have these edits.
    pub fn uncommitted(&self) -> Result<Vec<String>, SandboxError> {
        Ok(self.workspace.with_lineage(Lineage::uncommitted)?)
    }

    /// Lets the search start from `base` with `patch` applied, which becomes the first commit of the lineage.
    #[doc(hidden)]
    pub fn with_preset(mut self, patch: Patch, description: impl Into<String>) -> CommandSandbox {
        Arc::make_mut(&mut self.workspace).preset = Some((patch, description.into()));
        self
    }

    /// Returns warnings about the repository for the user: parts of it that candidates' folders lack.
    #[doc(hidden)]
    pub async fn warnings(&self) -> Result<Vec<String>, SandboxError> {
        self.with_workspace(|workspace| Ok(workspace.with_lineage(|git| git.check_files(&workspace.base))?)).await
    }

    /// Does git work on a thread of its own, so that no limit and no completion waits for it.
    async fn with_workspace<T: Send + 'static, E: From<SandboxError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let workspace = self.workspace.clone();
        let ended = tokio::task::spawn_blocking(move || work(&workspace)).await;
        ended.unwrap_or_else(|error| {
            Err(SandboxError::Other(format!("work on the repository ended badly: {error}")).into())
        })
    }

    fn job(&self, candidate: &Candidate, trial: &Trial) -> Result<Job, SandboxError> {
        let Workspace { lineage, tag, commands, .. } = &*self.workspace;
        let tree = |revision: &Revision| {
            Tree::of_commit(lineage.clone(), revision.clone()).with_repository(commands.repository)
        };
        let base = &self.workspace.base;
        let mut job = trial::job(commands, tag.clone(), (tree(&candidate.revision), tree(base)), trial)?;
        // Experiment 0 is the baseline, which has other constants than the base where a preset says so. A measurement beside the
        // search leaves nothing to candidates, whichever files it is of.
        let is_base = candidate.revision == *base || trial.experiment.is_baseline();
        job.is_baseline = is_base && trial.purpose == Purpose::Search;
        if trial.purpose != Purpose::Search || self.guarded().contains(&candidate.fingerprint) {
            (job.before, job.after) = Default::default();
        }
        Ok(job)
    }

    async fn check_locks(&self) -> Result<(), SandboxError> {
        let locks = self.locks.clone();
        let checked = tokio::task::spawn_blocking(move || locks.check()).await;
        checked
            .unwrap_or_else(|error| Err(SandboxError::Other(format!("the look at locked files ended badly: {error}"))))
    }

    fn guarded(&self) -> MutexGuard<'_, HashSet<String>> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sandbox<Patch> for CommandSandbox {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.with_workspace(Workspace::baseline).await
    }

    async fn stage(
        &self,
        experiment: ExperimentId,
        parent: &Revision,
        patch: &Patch,
        description: &str,
    ) -> Result<Candidate, StageError> {
        let (parent, patch, description) = (parent.clone(), patch.clone(), description.to_owned());
        self.with_workspace(move |workspace| workspace.stage(experiment, &parent, &patch, &description)).await
    }

    async fn rebase(&self, rebase: Rebase<'_, Patch>) -> Result<Rebased, SandboxError> {
        let rebase = Move {
            experiment: rebase.experiment,
            times: rebase.times,
            candidate: rebase.candidate.revision.clone(),
            from: rebase.from.clone(),
            onto: rebase.onto.clone(),
        };
        self.with_workspace(move |workspace| workspace.rebase(&rebase)).await
    }

    async fn build(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        // It may change what a trial beside it is measured over.
        let _turn = self.locks.begin();
        self.executor.build(&self.job(candidate, trial)?, cancel).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let job = self.job(candidate, trial)?;
        self.check_locks().await?;
        let turn = self.locks.begin();
        let outcome = self.executor.run(&job, cancel).await?;
        let was_alone = turn.was_alone();
        let outcome = match self.check_locks().await {
            Ok(()) => outcome,
            // Nobody else can have done it: the run goes on once the file is put back, and without this candidate.
            Err(SandboxError::LockedChanged { path }) if was_alone => Outcome::Crashed {
                message: format!("{}, which decides the number, changed while it ran", path.display()),
                log: outcome.log().clone(),
            },
            // A number that was measured over other data is none.
            Err(error) => return Err(error),
        };
        if matches!(outcome, Outcome::Completed(_)) && !(job.before.is_empty() && job.after.is_empty()) {
            self.guarded().insert(candidate.fingerprint.clone());
        }
        Ok(outcome)
    }

    fn keeps_budget(&self) -> bool {
        true
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        self.resume(&[]).await.map(drop)
    }

    async fn resume(&self, interrupted: &[(Candidate, Trial)]) -> Result<Vec<usize>, SandboxError> {
        self.with_workspace(|workspace| Ok::<_, SandboxError>(workspace.with_lineage(|git| git.check_names())?))
            .await?;
        let (mut places, mut names) = (Vec::new(), Vec::new());
        for (place, (candidate, trial)) in interrupted.iter().enumerate() {
            let name = self.job(candidate, trial)?.name;
            if self.executor.find(&name).await?.is_some() {
                places.push(place);
                names.push(name);
            }
        }
        self.executor.recover(&self.workspace.tag, &names).await?;
        Ok(places)
    }

    async fn attach(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.executor.attach(&self.job(candidate, trial)?.name, cancel).await
    }

    async fn commit(
        &self,
        candidate: &Candidate,
        incumbent: Option<&Revision>,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        let (candidate, incumbent) = (candidate.revision.clone(), incumbent.cloned());
        let message = message.to_owned();
        self.with_workspace(move |workspace| {
            // The baseline without a preset is the user's own commit and keeps its name.
            if candidate == workspace.base {
                return Ok(candidate);
            }
            Ok(workspace.with_lineage(|git| match &incumbent {
                Some(incumbent) if !git.tree_and_parents(&candidate)?.1.contains(incumbent) => {
                    git.squash(&candidate, incumbent, &message)
                }
                _ => git.reword(&candidate, &message),
            })?)
        })
        .await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        let (from, to) = (from.cloned(), to.clone());
        self.with_workspace(move |workspace| Ok(workspace.with_lineage(|git| git.advance(from.as_ref(), &to))?)).await
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        let revision = revision.clone();
        self.with_workspace(move |workspace| Ok(workspace.read_editable(&revision)?)).await
    }
}
