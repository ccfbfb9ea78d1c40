//! The user's repository and the runs in it.

use std::path::{Path, PathBuf};

use autoresearch_core::internal::git::{GitError, Lineage, root_of};
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::Entry;
use autoresearch_core::{Journal, SandboxError, State};

use crate::config::GitSection;
use crate::error::CommandError;

/// The name of the folder in the repository that holds the runs.
const FOLDER: &str = ".autoresearch";

/// The repository with its runs.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The root of the working tree.
    pub root: PathBuf,
}

impl Repository {
    /// Finds the repository around the current folder.
    pub fn find() -> Result<Repository, CommandError> {
        let here = std::env::current_dir()
            .map_err(|e| CommandError::Other(format!("the current folder is gone: {e}; go to another one")))?;
        let root = root_of(&here).map_err(|error| explain(&here, error))?;
        // Without a slash at its end, for messages.
        Ok(Repository { root: root.components().collect() })
    }

    /// The folder of one run.
    pub fn run_folder(&self, tag: &str) -> PathBuf {
        self.root.join(FOLDER).join(tag)
    }

    /// The folder of files that are attacked in place of a run's, by this process.
    pub fn attacked_folder(&self) -> PathBuf {
        // No run's name begins with a dot.
        self.root.join(FOLDER).join(format!(".attack-{}", std::process::id()))
    }

    /// The journal of one run, whether it exists or not.
    pub fn journal_path(&self, tag: &str) -> PathBuf {
        self.run_folder(tag).join("journal.jsonl")
    }

    /// The journal of a run that exists.
    pub fn journal(&self, tag: &str) -> Result<PathBuf, CommandError> {
        let path = self.journal_path(tag);
        match path.is_file() {
            true => Ok(path),
            false => Err(CommandError::NoRun { tag: tag.into(), known: self.known_tags() }),
        }
    }

    /// The records of a run.
    pub fn entries(&self, tag: &str) -> Result<Vec<Entry>, CommandError> {
        Ok(Journal::read(&self.journal(tag)?)?)
    }

    /// The state that the records of a run add up to.
    pub fn state(&self, tag: &str) -> Result<State, CommandError> {
        Ok(State::replay(&self.entries(tag)?)?)
    }

    /// True while a command holds the lock of a run's journal. Nothing is changed.
    pub fn is_locked(&self, tag: &str) -> bool {
        let journal = std::fs::File::open(self.journal_path(tag));
        // A shared lock for an instant: whoever opens the journal then waits for longer.
        journal.is_ok_and(|journal| matches!(journal.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// The branch that a run with a measured baseline is on. A journal that cannot be read is told of where it is opened.
    pub fn bound_branch(&self, tag: &str) -> Option<String> {
        let state = self.state(tag).ok().filter(State::is_bound)?;
        state.header.map(|header| header.branch())
    }

    /// The names of all runs, the one written last at the end.
    pub fn tags(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.root.join(FOLDER)).into_iter().flatten().flatten();
        let written = folders.filter_map(|entry| {
            let modified = entry.path().join("journal.jsonl").metadata().and_then(|m| m.modified()).ok()?;
            // No run's name begins with a dot; folders that are attacked in place of a run's do.
            let name = entry.file_name().to_str().filter(|name| !name.starts_with('.'))?.to_owned();
            Some((modified, name))
        });
        let mut tags: Vec<_> = written.collect();
        tags.sort();
        tags.into_iter().map(|(_, tag)| tag).collect()
    }

    fn known_tags(&self) -> String {
        match self.tags() {
            tags if tags.is_empty() => "none".into(),
            tags => tags.join(", "),
        }
    }

    /// The run that a report is about when none is named: the one written last.
    pub fn latest(&self) -> Result<String, CommandError> {
        self.tags().pop().ok_or(CommandError::NoRuns)
    }

    /// `tag`, or the latest run without one.
    pub fn tag_or_latest(&self, tag: Option<String>) -> Result<String, CommandError> {
        tag.map_or_else(|| self.latest(), Ok)
    }

    /// The run that the same command goes on with: the latest unfinished one, else a new one named after today.
    pub fn tag_to_run(&self, experiments: Option<usize>, git: &GitSection) -> Result<String, CommandError> {
        let mut latest: Option<(String, State)> = None;
        for tag in self.tags().into_iter().rev() {
            let state = match self.state(&tag) {
                Ok(state) => state,
                Err(error) if latest.is_none() => return Err(error),
                Err(_) => continue,
            };
            // Neither an import nor an audit of an older run hides the run that it came after.
            if !is_imported(&state) && latest.as_ref().is_none_or(|(_, latest)| latest.latest < state.latest) {
                latest = Some((tag, state));
            }
        }
        // A run whose baseline never worked is not worth going on with: the next one starts from the last commit.
        let unfinished = |state: &State| experiments.is_none_or(|count| state.finished() < count);
        if let Some((tag, _)) = latest.filter(|(_, state)| unfinished(state) && state.incumbent.is_some()) {
            return Ok(tag);
        }
        let today = jiff::Zoned::now().strftime("%b%-d").to_string().to_lowercase();
        let free = |tag: &String| {
            let lineage = Lineage::open(&self.root, tag).and_then(|lineage| lineage.on_branch(&git.branch(tag)));
            lineage.and_then(|lineage| lineage.tip()).is_ok_and(|tip| tip.is_none())
        };
        let names = std::iter::once(today.clone()).chain((2..).map(|n| format!("{today}-{n}")));
        names
            .filter(|tag| !self.run_folder(tag).exists())
            .find(free)
            .ok_or_else(|| CommandError::Other("no name for a run is free; give one with --tag".into()))
    }

    /// Makes the run's folder, invisible to git without touching any file of the user's.
    pub fn make_run_folder(&self, tag: &str) -> Result<PathBuf, CommandError> {
        let folder = self.run_folder(tag);
        let failed = |e| SandboxError::io(format!("making {}", folder.display()), e);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let ignore = folder.with_file_name(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n").map_err(failed)?;
        }
        Ok(folder)
    }
}

/// Says what to do about a repository that cannot be opened.
fn explain(here: &Path, error: GitError) -> CommandError {
    let bare = here.ancestors().find(|folder| {
        folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
    });
    if let Some(bare) = bare {
        let bare = bare.display();
        return CommandError::Other(format!(
            "{bare} is the folder of a git repository without its files, and a run needs the files beside it; go to a working \
             tree, or make one: git clone {bare} FOLDER"
        ));
    }
    error.into()
}
