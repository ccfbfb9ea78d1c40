//! The files that a build leaves for the run, copied out of the folders that the next build may change.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::executor::JobStep;
use super::super::isolation::IsolationLevel;
use super::super::process::describe;
use super::phases::{Ended, Phases, Room};
use super::place::blocking;
use crate::sandbox::{Phase, RunLog, SandboxError};

impl Phases<'_> {
    /// Copies the files that the build left and the run needs, and says so if one is missing.
    ///
    /// What is isolated is copied by a command behind the same walls: a link leads to what the candidate may read, and to nothing else,
    /// and of a pristine folder it sees the candidate's.
    pub(super) async fn keep(&self, log: &RunLog) -> Result<Option<String>, SandboxError> {
        let (slot, to) = (&self.place.slot, self.place.slot.built());
        let (from, files) = (slot.path().to_owned(), self.job.keeps.clone());
        if files.is_empty() {
            return Ok(None);
        }
        let names = kept_names(&files)?;
        std::fs::create_dir_all(&to).map_err(|e| SandboxError::io(format!("making {}", to.display()), e))?;
        if self.isolation.level == IsolationLevel::None {
            return blocking(move || copy_kept(&from, &to, &files)).await;
        }
        let mut argv = ["cp", "-L", "--"].map(str::to_owned).to_vec();
        argv.extend(files.iter().chain([&to]).map(|path| path.to_string_lossy().into_owned()));
        let JobStep { limit, limits, .. } = self.job.build;
        let step = JobStep { argv, limit, limits, ..JobStep::default() };
        let writes = std::slice::from_ref(&to);
        let room = Room { slot, provisions: &self.job.provisions, reads: &[], writes, results: None };
        let ended = self.execute_in(&room, Phase::Build, &step, log).await?;
        let is_missing = |name: &OsString| !std::fs::symlink_metadata(to.join(name)).is_ok_and(|kept| kept.is_file());
        let missing = files.iter().zip(&names).find(|(_, name)| is_missing(name));
        Ok(match (missing, ended) {
            (Some((file, _)), _) => Some(left_out(file)),
            (None, Ended::NotStarted(why)) => Some(why),
            // A part of a file is no program that its build made.
            (None, Ended::Finished(copied)) if !copied.succeeded() => Some(format!(
                "what the build left could not be copied: {}",
                describe(copied.ending).unwrap_or_default()
            )),
            (None, Ended::Finished(_)) => None,
        })
    }
}

/// The names of the files that a build leaves for the run, which share one folder there.
fn kept_names(files: &[PathBuf]) -> Result<Vec<OsString>, SandboxError> {
    let mut names = Vec::new();
    for file in files {
        let name = file.file_name().map(ToOwned::to_owned).filter(|name| !names.contains(name)).ok_or_else(|| {
            let file = file.display();
            SandboxError::Other(format!("{file} cannot be kept: each file needs a name, and another than the others"))
        })?;
        names.push(name);
    }
    Ok(names)
}

/// Copies the files that a build left into the folder `to`, and names one that is missing. Paths are relative to `from`.
fn copy_kept(from: &Path, to: &Path, files: &[PathBuf]) -> Result<Option<String>, SandboxError> {
    for (file, name) in files.iter().zip(kept_names(files)?) {
        let source = from.join(file);
        if !source.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(Some(left_out(file)));
        }
        std::fs::copy(&source, to.join(name))
            .map_err(|e| SandboxError::io(format!("copying {} to {}", source.display(), to.display()), e))?;
    }
    Ok(None)
}

fn left_out(file: &Path) -> String {
    format!("the build ended well, but left no file {}", file.display())
}
