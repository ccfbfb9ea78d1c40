//! The isolation of one command: what it gets in place of the user's own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::environment::RESULT;
use super::super::limits::Limits;
use super::allowed::{Allowed, Surroundings, tool_homes};
use super::contained::{Contained, Inside, protections_of};
use super::enforcement::Enforcement;
use super::hosts::Network;
use super::layer::{Layer, copy_folder};
#[cfg(target_os = "linux")]
use super::linux::{Walls, prepare, protections};
#[cfg(not(target_os = "linux"))]
use super::none::{Walls, prepare, protections};
use super::settings::{Isolation, IsolationLevel};

/// An isolation, and the folders of the command that it is for.
#[derive(Debug, Clone, Default)]
pub struct Isolated {
    /// The isolation.
    pub isolation: Isolation,
    /// Folders of the command's own, which it writes to.
    pub own: Vec<PathBuf>,
    /// Files and folders that it reads, beside those that it is given.
    pub reads: Vec<PathBuf>,
    /// Folders that it sees as others left them, and changes for itself alone.
    pub layers: Vec<Layer>,
    /// Files and folders that its own folder has links to.
    pub provided: Vec<PathBuf>,
    /// The folder that takes the place of the user's home; one of its own.
    pub home: PathBuf,
}

impl Isolated {
    /// The variables that take the place of the user's: the home, and what lies in it by default. Makes that home.
    fn homes(&self) -> io::Result<Vec<(&'static str, OsString)>> {
        let home = &self.home;
        fs::create_dir_all(home)?;
        let below = [
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ];
        let below = below.into_iter().map(|(name, below)| (name, home.join(below).into()));
        Ok([("HOME", home.into())].into_iter().chain(below).collect())
    }

    /// The same, with those of tool chains that are found by the home otherwise.
    pub(crate) fn environment(&self) -> io::Result<Vec<(&'static str, OsString)>> {
        let user = std::env::var_os("HOME").map(PathBuf::from);
        let tools = tool_homes(&|name| std::env::var_os(name), user.as_deref());
        let tools = tools.into_iter().map(|(name, folder)| (name, folder.into_os_string()));
        Ok(self.homes()?.into_iter().chain(tools).collect())
    }

    /// Prepares the places for changes to pristine folders, unless an earlier command of the same candidate did.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        self.isolation.pristine.iter().try_for_each(fs::create_dir_all)?;
        for layer in &self.layers {
            match layer.upper().exists() || layer.copy().exists() {
                true => {}
                false if self.isolation.container.is_some() => copy_folder(&layer.folder, &layer.copy())?,
                false => prepare(layer)?,
            }
        }
        Ok(())
    }

    fn surroundings<'a>(
        &self,
        argv: &'a [String],
        environment: &'a [(String, OsString)],
        directory: &Path,
    ) -> Surroundings<'a> {
        Surroundings {
            argv,
            environment,
            provided: self.provided.clone(),
            own: self.own.clone(),
            layers: self.layers.clone(),
            reads: self.reads.clone(),
            directory: directory.to_owned(),
        }
    }

    /// The walls around a command line with these variables, in this folder.
    pub(crate) fn walls(
        &self,
        argv: &[String],
        environment: &[(String, OsString)],
        directory: &Path,
    ) -> io::Result<Walls> {
        let around = self.surroundings(argv, environment, directory);
        Walls::new(&self.isolation, &Allowed::new(&self.isolation, &around, &|name| std::env::var_os(name)))
    }

    /// The command line in a container, if the isolation has one. `name` becomes part of the container's; `results` is a file for what
    /// it writes into its channel of results.
    pub(crate) fn contained(
        &self,
        name: &str,
        (argv, directory): (&[String], &Path),
        environment: &[(String, OsString)],
        limits: Limits,
        results: Option<&Path>,
    ) -> io::Result<Option<Contained>> {
        let Some(container) = &self.isolation.container else { return Ok(None) };
        // Made before it is mounted.
        let homes = self.homes()?;
        let around = self.surroundings(argv, environment, directory);
        let mut allowed = Allowed::of_job(&self.isolation, &around, &|name| std::env::var_os(name));
        allowed.layers.iter_mut().for_each(|layer| layer.own = layer.copy());
        allowed.write.extend(results.map(Path::to_owned));
        let mut inside: Vec<(String, OsString)> =
            homes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        inside.extend(environment.iter().cloned());
        inside.extend(results.map(|path| (RESULT.to_owned(), path.into())));
        let name = format!("autoresearch-{name}");
        let network = self.isolation.network == Network::Machine;
        let inside = Inside { argv, environment: &inside, allowed: &allowed, limits, network };
        Contained::new(container, name, &inside).map(Some)
    }
}

impl Isolation {
    /// Says which protections hold on this machine. Each was tried in a process of its own, once.
    pub fn enforcement(&self) -> Enforcement {
        if self.level == IsolationLevel::None {
            return Enforcement { protections: Vec::new() };
        }
        let protections = match &self.container {
            Some(container) => protections_of(container, self),
            None => protections(self),
        };
        Enforcement { protections }
    }
}
