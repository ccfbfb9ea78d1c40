//! The evaluation: a command that measures what the run of a candidate left, with files that are not the candidate's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::provision::Provision;

/// A command that turns what a run leaves into the number that decides, so that no candidate can print it.
///
/// It runs once after each run that ended well, when nothing of that runs any more, in the files of the commit that the search
/// started from: whatever a candidate changes, this is never the candidate's copy. It finds the files that the run left in the
/// folder that its arguments call `{inputs}` and its environment `AUTORESEARCH_INPUTS`, and writes its result as the metric
/// reads it into `AUTORESEARCH_RESULT`, the path of a descriptor that no other process ever had. Whatever the run printed is
/// nothing to the metric.
///
/// ```
/// use std::time::Duration;
/// use autoresearch_core::Evaluation;
/// let evaluation = Evaluation::new(["python3", "evaluate.py"], ["model.bin"], Duration::from_secs(60));
/// assert_eq!(evaluation.inputs, ["model.bin"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The files that the run leaves for it, by their paths below the candidate's folder, with `*`, `?` and `**` as in
    /// [`ResultFiles`](crate::ResultFiles). A run that leaves one of them out has crashed.
    pub inputs: Vec<String>,
    /// Variables that it gets beside those of the run.
    pub environment: Vec<(String, OsString)>,
    /// Files and folders that its folder gets and no candidate's does, such as the data that it measures on.
    pub provisions: Vec<Provision>,
    /// Files and folders that it alone may read at their own paths, where commands are isolated.
    pub reads: Vec<PathBuf>,
    /// Wall clock after which it is killed.
    pub limit: Duration,
}

impl Evaluation {
    /// An evaluation that runs `argv` over `inputs` for at most `limit`.
    pub fn new<S: Into<String>, P: Into<String>>(
        argv: impl IntoIterator<Item = S>,
        inputs: impl IntoIterator<Item = P>,
        limit: Duration,
    ) -> Evaluation {
        Evaluation {
            argv: argv.into_iter().map(Into::into).collect(),
            inputs: inputs.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            provisions: Vec::new(),
            reads: Vec::new(),
            limit,
        }
    }
}
