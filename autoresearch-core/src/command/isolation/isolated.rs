//! The isolation of one command: what it gets in place of the user's own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::allowed::{Allowed, Surroundings, tool_homes};
use super::enforcement::Enforcement;
use super::layer::Layer;
#[cfg(target_os = "linux")]
use super::linux::{Walls, protections};
#[cfg(not(target_os = "linux"))]
use super::none::{Walls, protections};
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
    pub(crate) fn environment(&self) -> io::Result<Vec<(&'static str, OsString)>> {
        let home = &self.home;
        fs::create_dir_all(home)?;
        let mut variables: Vec<(&'static str, OsString)> = vec![("HOME", home.into())];
        for (name, below) in [
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ] {
            variables.push((name, home.join(below).into()));
        }
        // Tool chains that are found by the home otherwise.
        let user = std::env::var_os("HOME").map(PathBuf::from);
        let homes = tool_homes(&|name| std::env::var_os(name), user.as_deref());
        variables.extend(homes.into_iter().map(|(name, folder)| (name, folder.into_os_string())));
        Ok(variables)
    }

    /// The walls around a command line with these variables, in this folder.
    pub(crate) fn walls(
        &self,
        argv: &[String],
        environment: &[(String, OsString)],
        directory: &Path,
    ) -> io::Result<Walls> {
        let around = Surroundings {
            argv,
            environment,
            provided: self.provided.clone(),
            own: self.own.clone(),
            layers: self.layers.clone(),
            reads: self.reads.clone(),
            directory: directory.to_owned(),
        };
        Walls::new(&self.isolation, &Allowed::new(&self.isolation, &around, &|name| std::env::var_os(name)))
    }
}

impl Isolation {
    /// Says which protections hold on this machine. Each was tried in a process of its own, once.
    pub fn enforcement(&self) -> Enforcement {
        if self.level == IsolationLevel::None {
            return Enforcement { protections: Vec::new() };
        }
        Enforcement { protections: protections(self) }
    }
}
