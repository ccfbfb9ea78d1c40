//! The commands that build and run candidates.

use std::ffi::OsString;
use std::path::PathBuf;

use super::cpus::Cpus;
use super::devices::Device;
use super::evaluation::Evaluation;
use super::guard::Guard;
use super::limits::Limits;
use super::provision::Provision;
use crate::change::EditablePaths;
use crate::sandbox::ResultFiles;

/// The commands that build and run candidates of a repository, and what they may use.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// Paths that proposals may change.
    pub editable: EditablePaths,
    /// Files and folders beside the commit that a candidate's folder gets before each build. They never become part of a
    /// candidate's commit.
    pub provisions: Vec<Provision>,
    /// Files and folders beside the commit that decide the number. One that changes while the run goes on ends it with
    /// [`SandboxError::LockedChanged`](crate::SandboxError::LockedChanged).
    pub locked: Vec<PathBuf>,
    /// Makes a candidate's folder a git repository of its own, in which the candidate's commit is checked out: for programs that ask
    /// git about themselves. The whole history can be read there.
    pub repository: bool,
    /// Program and arguments of the build, in the candidate's folder. Empty for none.
    pub build: Vec<String>,
    /// Files that the build leaves outside the candidate's folder, in a cache that other builds share for instance, and that
    /// the run needs. They are copied right after the build, before another one starts, into a folder that the run's arguments
    /// call `{built}`. Relative paths are relative to the candidate's folder.
    pub keeps: Vec<PathBuf>,
    /// Program and arguments of the run, in the candidate's folder. It may write a number for each item of an evaluation set
    /// into the file that `AUTORESEARCH_ITEMS` names, for [`crate::ItemMetric`].
    pub run: Vec<String>,
    /// The command that measures what the run leaves. Without it the metric reads what the run prints.
    pub evaluation: Option<Evaluation>,
    /// Commands that a candidate must pass beside its run, in this order.
    pub guards: Vec<Guard>,
    /// Variables for the build and the run, beside the inherited ones ([`INHERITED`](super::environment::INHERITED)). Both
    /// also get `AUTORESEARCH_SEED` and `AUTORESEARCH_COMMIT`, the candidate's revision; the run gets `AUTORESEARCH_FIDELITY`, the share of the full budget that it is to
    /// take.
    pub environment: Vec<(String, OsString)>,
    /// Variables for the run alone.
    pub run_environment: Vec<(String, OsString)>,
    /// Names of further variables of this process that the build and the run inherit, where they are set.
    pub pass: Vec<String>,
    /// Limits of the build and of the run, each.
    pub limits: Limits,
    /// Processors that the run is pinned to, unless its worker has some of its own; all of them if the set is empty. The build
    /// before it may use all of them.
    pub cpus: Cpus,
    /// Processors that builds ahead are pinned to, so that they disturb no run; all of them if the set is empty.
    pub build_cpus: Cpus,
    /// Devices of each worker. If this is empty, all workers share the machine.
    pub devices: Vec<Device>,
    /// Files that the run writes, or that are counted after it, for metrics.
    pub results: ResultFiles,
    /// Completes a trial whose run ends by itself with an exit code other than 0, too: the code is a result.
    pub any_exit_code: bool,
    /// Executions of the run's command in one trial, at least 1; the time limit is for all of them together.
    pub repeats: u32,
}
