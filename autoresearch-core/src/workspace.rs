//! The sandbox for code in a git repository: a candidate is a commit, built and run by command lines in one of its
//! slots.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::cancel::Cancel;
use crate::change::{EditablePaths, Patch, PatchError};
use crate::git::{Conflict, GitError, Lineage, collides};
use crate::process::{self, Cpus, Limits};
use crate::sandbox::{Candidate, Outcome, Rebase, Rebased, Revision, Sandbox, SandboxError, StageError, Trial};
use crate::slot::Slot;

mod devices;
mod run;

pub use devices::Device;
use run::Place;

/// Names the slot that a process belongs to, so that leftovers of a harness that died can be found.
const SLOT: &str = "AUTORESEARCH_SLOT";

/// How candidates of a repository are built and run.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// What proposals may change.
    pub editable: EditablePaths,
    /// The build, in the candidate's directory. Empty for none.
    pub build: Vec<String>,
    /// Files that the build leaves outside the candidate's directory, in a cache that other builds share for instance, and that
    /// the run needs. They are copied right after the build, before another one begins, into a folder of the slot, which the
    /// run's arguments call `{built}`. Relative paths are relative to the candidate's directory.
    pub keeps: Vec<PathBuf>,
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
    /// The processors that the run is pinned to, unless its worker has some of its own; all of them if the set is empty. The
    /// build before it may use all that there are.
    pub cpus: Cpus,
    /// The processors that builds ahead are pinned to, so that they disturb no run; all of them if the set is empty.
    pub build_cpus: Cpus,
    /// What each worker has for itself. If this is empty, all workers have the same.
    pub devices: Vec<Device>,
    /// How often the run's command is repeated, at least once; its limit is for all repeats together.
    pub repeats: u32,
}

/// Stages candidates as commits, moves them onto others, and builds and runs each in a slot.
#[derive(Debug)]
pub struct CommandSandbox {
    lineage: Arc<Mutex<Lineage>>,
    base: Revision,
    preset: Option<(Patch, String)>,
    commands: Commands,
    places: Vec<Place>,
    /// Whose turn it is to build.
    builds: tokio::sync::Mutex<()>,
    logs: PathBuf,
}

impl CommandSandbox {
    /// A sandbox that starts from the commit `base`, and writes the logs of experiments into `logs`. `slots`: one for each
    /// [`Trial::slot`] that there may be, at different places.
    pub fn new(
        lineage: Lineage,
        base: Revision,
        commands: Commands,
        slots: Vec<Slot>,
        logs: PathBuf,
    ) -> CommandSandbox {
        CommandSandbox {
            lineage: Arc::new(Mutex::new(lineage)),
            base,
            preset: None,
            commands,
            places: slots.into_iter().map(Place::new).collect(),
            builds: tokio::sync::Mutex::default(),
            logs,
        }
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

    fn stage_patch(
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
            if let Some(other) = collides(&tree, path) {
                return Err(rejected(PatchError::Collides { path: path.clone(), with: other.to_owned() }));
            }
        }
        let candidate = self.lineage(|git| {
            let revision = git.commit_changes(parent, &changed, message)?;
            git.pin(experiment, &revision)?;
            self.candidate(git, parent, revision)
        });
        Ok(candidate.map_err(SandboxError::from)?)
    }

    fn candidate(&self, git: &Lineage, parent: &Revision, revision: Revision) -> Result<Candidate, GitError> {
        let added_lines = git.added_lines(parent, &revision)?;
        Ok(Candidate { fingerprint: git.fingerprint(&revision, &self.commands.editable)?, revision, added_lines })
    }

    /// Makes a candidate's change to what was kept meanwhile: from the three states' files alone, since a candidate that was
    /// moved before, or was made from another one, has other ancestors than the state that its change is counted from.
    fn merge(&self, rebase: &Rebase<'_, Patch>) -> Result<Rebased, SandboxError> {
        let Rebase { experiment, times, candidate, from, onto, .. } = *rebase;
        let merge = self.lineage(|git| git.merge(from, onto, &candidate.revision))?;
        if !merge.conflicts.is_empty() {
            return Ok(Rebased::Conflict(Conflict::describe(&merge.conflicts)));
        }
        if let Some(path) = merge.changed.keys().find(|path| !self.commands.editable.allows(path)) {
            return Err(SandboxError::Other(format!(
                "experiment {experiment} cannot be moved: {} and {from}, which it was made from, differ in {path}, which may \
                 not be edited",
                candidate.revision
            )));
        }
        let candidate = self.lineage(|git| {
            let revision = git.commit_merge(onto, &merge.changed, &candidate.revision)?;
            git.pin_rebase(experiment, times, &revision)?;
            self.candidate(git, onto, revision)
        });
        Ok(Rebased::Candidate(candidate?))
    }
}

#[async_trait]
impl Sandbox<Patch> for CommandSandbox {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        if let Some((patch, description)) = &self.preset {
            return self.stage_patch(0, &self.base, patch, description);
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
        self.stage_patch(experiment, parent, patch, description)
    }

    async fn rebase(&self, rebase: Rebase<'_, Patch>) -> Result<Rebased, SandboxError> {
        self.merge(&rebase)
    }

    async fn build(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        self.build_ahead(candidate, trial, cancel).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.build_and_run(candidate, trial, cancel).await
    }

    fn keeps_budget(&self) -> bool {
        true
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        for place in &self.places {
            process::sweep(SLOT, place.slot.path().as_os_str());
        }
        Ok(())
    }

    async fn commit(
        &self,
        candidate: &Candidate,
        incumbent: Option<&Revision>,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        // The baseline without a preset is the user's own commit and keeps its name.
        if candidate.revision == self.base {
            return Ok(self.base.clone());
        }
        Ok(self.lineage(|git| match incumbent {
            Some(incumbent) if !git.tree_and_parents(&candidate.revision)?.1.contains(incumbent) => {
                git.squash(&candidate.revision, incumbent, message)
            }
            _ => git.reword(&candidate.revision, message),
        })?)
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        Ok(self.lineage(|git| git.advance(from, to))?)
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok(self.read_editable(revision)?)
    }
}
