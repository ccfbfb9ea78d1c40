//! A bundle that was unpacked: a run without the repository around it.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use autoresearch_core::internal::git::{Lineage, make_repository};
use autoresearch_core::{Journal, State};
use tempfile::TempDir;

use super::collect::private_folder;
use crate::bundle::{
    ARGUMENTS, BundleError, CONFIGURATION, Contents, MACHINE, PRESET, REPOSITORY, check_sizes, unpack,
};
use crate::config::{Config, ConfigTexts};
use crate::error::CommandError;
use crate::verification::StoredRun;

/// An unpacked bundle, in a folder of its own that is removed in the end.
pub struct Unpacked {
    folder: TempDir,
    /// Path of the bundle's file.
    pub path: PathBuf,
    /// The list of its members, and its digest.
    pub contents: Contents,
    /// The run's configuration.
    pub config: Config,
    /// The run, with a bare repository.
    pub run: StoredRun,
    /// The name of the run's branch, as a user types it.
    pub branch: String,
    /// The machine that it was bundled on.
    pub machine: String,
}

impl Unpacked {
    /// Unpacks a bundle that has no byte without a checksum, and makes a bare repository of its commits. Nothing of it is executed.
    pub fn open(path: &Path) -> Result<Unpacked, CommandError> {
        let file = File::open(path).map_err(|error| BundleError::io(path, error))?;
        let folder = private_folder(&std::env::temp_dir())?;
        let (members, repository) = (folder.path().join("members"), folder.path().join("repository.git"));
        std::fs::create_dir(&members).map_err(|error| BundleError::io(&members, error))?;
        let contents = unpack(file, path, &members)?;
        let text = |name: &'static str| match std::fs::read(members.join(name)) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| CommandError::from(BundleError::NotText { path: path.to_owned(), name })),
            Err(_) => Ok(None),
        };
        let texts = ConfigTexts {
            file: text(CONFIGURATION)?.unwrap_or_default(),
            preset: text(PRESET)?,
            arguments: text(ARGUMENTS)?,
        };
        let config = Config::from_texts(texts, &contents.manifest.preset)?;
        let machine = text(MACHINE)?.and_then(|text| {
            let machine: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(machine.get("machine")?.as_str()?.to_owned())
        });
        let run = StoredRun { tag: contents.manifest.tag.clone(), folder: members, repository };
        // A journal that is not valid is told of by the checks.
        let state = Journal::read(&run.journal()).ok().and_then(|entries| State::replay(&entries).ok());
        let header = state.and_then(|state| state.header);
        let branch = header.map_or_else(|| format!("autoresearch/{}", run.tag), |header| header.branch());
        let unpacked = Unpacked {
            folder,
            path: path.to_owned(),
            contents,
            config,
            run,
            branch,
            machine: machine.unwrap_or_else(|| "an unknown machine".into()),
        };
        check_sizes(&unpacked.run.folder.join(REPOSITORY), path)?;
        unpacked.repository_in(&unpacked.run.repository, true)?;
        Ok(unpacked)
    }

    /// The folder in which everything lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a repository of the run's commits in `folder`.
    pub fn repository_in(&self, folder: &Path, is_bare: bool) -> Result<Lineage, CommandError> {
        make_repository(folder, is_bare)?;
        let lineage = Lineage::open(folder, &self.run.tag)?.on_branch(&self.branch)?;
        let path = self.run.folder.join(REPOSITORY);
        let file = File::open(&path).map_err(|error| BundleError::io(&path, error))?;
        lineage.read_bundle(&mut BufReader::with_capacity(1 << 20, file))?;
        Ok(lineage)
    }
}
