//! Container engines, called by their command lines.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Label of a container with the folder of its command, by which it is found after a crash of the lab.
pub(super) const LABEL: &str = "autoresearch.folder";

/// The kinds of engines, which differ in their command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Podman,
    Docker,
    Apptainer,
}

/// A container engine, and the image that commands run in.
///
/// ```
/// use autoresearch_core::internal::isolation::Container;
/// assert!(Container::new("podman", "localhost/trainer").is_ok());
/// assert!(Container::new("make", "localhost/trainer").unwrap_err().contains("apptainer"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub(super) kind: Kind,
    /// The engine's program.
    pub(super) program: String,
    pub(super) image: String,
}

/// The end of a container, as its engine tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ContainerEnd {
    /// False if the program was never started.
    pub(crate) has_started: bool,
    /// True if the kernel killed it because memory ran out.
    pub(crate) is_out_of_memory: bool,
}

impl Container {
    /// The engine of this name, or of this path with it, and an image that it has.
    ///
    /// # Errors
    /// If the name is none of podman, docker and apptainer.
    pub fn new(program: &str, image: impl Into<String>) -> Result<Container, String> {
        let kind = match Path::new(program).file_name().and_then(OsStr::to_str) {
            Some("podman") => Kind::Podman,
            Some("docker") => Kind::Docker,
            Some("apptainer" | "singularity") => Kind::Apptainer,
            _ => {
                return Err(format!(
                    "is {program:?}; give \"podman\", \"docker\" or \"apptainer\", or a path to one of them"
                ));
            }
        };
        Ok(Container { kind, program: program.to_owned(), image: image.into() })
    }

    fn call(&self, arguments: &[&str]) -> io::Result<std::process::Output> {
        Command::new(&self.program).args(arguments).stdin(Stdio::null()).output()
    }

    /// Asks for the end of a container, and removes it with all that still runs in it.
    pub(crate) fn finish(&self, name: &str) -> ContainerEnd {
        if self.kind == Kind::Apptainer {
            // It is no service: its processes are those of the command, and end with them.
            return ContainerEnd { has_started: true, is_out_of_memory: false };
        }
        let format = "{{.State.Status}} {{.State.OOMKilled}}";
        let told = self.call(&["inspect", "--format", format, name]).map(|output| output.stdout).unwrap_or_default();
        let told = String::from_utf8_lossy(&told);
        self.remove(&[name]);
        ContainerEnd {
            has_started: ["exited", "running", "stopped", "dead", "removing"].iter().any(|word| told.starts_with(word)),
            is_out_of_memory: told.contains("true"),
        }
    }

    fn remove(&self, names: &[&str]) {
        let mut arguments = vec!["rm", "--force"];
        if self.kind == Kind::Podman {
            arguments.extend(["--time", "0"]);
        }
        arguments.extend(names);
        // One that is not there is gone.
        let _ = self.call(&arguments);
    }

    /// Removes the containers that a lab which died left in this folder, with all that still runs in them.
    pub(crate) fn sweep(&self, folder: &Path) {
        if self.kind == Kind::Apptainer {
            return;
        }
        let filter = format!("label={LABEL}={}", folder.display());
        let Ok(found) = self.call(&["ps", "--all", "--quiet", "--filter", &filter]) else { return };
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let names: Vec<&str> = found.split_whitespace().collect();
        if !names.is_empty() {
            self.remove(&names);
        }
    }

    /// The engine with its version, if it has the image.
    pub(super) fn is_here(&self) -> Result<String, String> {
        let program = &self.program;
        let version =
            self.call(&["--version"]).map_err(|error| format!("{program} cannot be started ({error}); install it"))?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let has_image = match self.kind {
            Kind::Apptainer => Path::new(&self.image).exists(),
            _ => self.call(&["image", "inspect", &self.image]).is_ok_and(|output| output.status.success()),
        };
        match has_image {
            true => Ok(format!("{version}, image {}", self.image)),
            false => {
                Err(format!("{program} has no image {}; pull or build it first, since a run pulls none", self.image))
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Podman => "podman",
            Kind::Docker => "docker",
            Kind::Apptainer => "apptainer",
        }
    }
}

/// Variables by which the engines' own programs find their services and settings.
pub(crate) fn of_engines() -> impl Iterator<Item = (OsString, OsString)> {
    const NAMES: [&str; 2] = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    const BEGINNINGS: [&str; 4] = ["CONTAINERS_", "DOCKER_", "APPTAINER_", "SINGULARITY_"];
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        NAMES.contains(&name.as_ref()) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    })
}
