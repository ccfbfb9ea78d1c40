//! Container engines, called by their command lines: what a candidate's command becomes, and the words for what holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::environment::is_secret;
use super::super::limits::Limits;
use super::allowed::Allowed;
use super::enforcement::{Protection, protection};
use super::settings::Isolation;

/// Label of a container with the folder of its command, by which it is found after a crash of the lab.
const LABEL: &str = "autoresearch.folder";

/// The kinds of engines, which differ in their command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
    kind: Kind,
    /// The engine's program.
    program: String,
    image: String,
}

/// The command that goes into a container.
pub(super) struct Inside<'a> {
    pub(super) argv: &'a [String],
    pub(super) environment: &'a [(String, OsString)],
    pub(super) allowed: &'a Allowed,
    pub(super) limits: Limits,
    pub(super) network: bool,
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

    /// The command line by which the engine runs a command in a container of this name.
    pub(super) fn command_line(&self, name: &str, inside: &Inside<'_>) -> io::Result<Vec<String>> {
        let (program, arguments) = inside.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = text(&inside.allowed.directory)?;
        let mut line: Vec<String> = vec![self.program.clone()];
        let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
        let variables = inside.environment.iter().map(|(name, value)| {
            // Others on the machine see command lines.
            let is_shown = self.kind == Kind::Apptainer || !is_secret(name);
            if is_shown { Ok(format!("{name}={}", text(value)?)) } else { Ok(name.clone()) }
        });
        let variables = variables.collect::<io::Result<Vec<_>>>()?;
        if self.kind == Kind::Apptainer {
            add(&["exec", "--containall", "--no-home", "--drop-caps", "all", "--pwd", directory]);
            if !inside.network {
                add(&["--net", "--network", "none"]);
            }
            for (from, to, writable) in self.mounts(inside.allowed)? {
                add(&["--bind", &format!("{from}:{to}:{}", if writable { "rw" } else { "ro" })]);
            }
            variables.iter().for_each(|variable| add(&["--env", variable]));
            add(&[&self.image, program]);
        } else {
            add(&["run", "--name", name, "--label", &format!("{LABEL}={directory}"), "--pull", "never", "--init"]);
            add(&["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]);
            add(&["--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777", "--workdir", directory]);
            if !inside.network {
                add(&["--network", "none"]);
            }
            let (user, group) = user();
            match self.kind {
                // Files that it makes are the user's, as those outside of containers.
                Kind::Podman if user != 0 => add(&["--userns", "keep-id"]),
                _ => add(&["--user", &format!("{user}:{group}")]),
            }
            for (from, to, writable) in self.mounts(inside.allowed)? {
                let end = if writable { "" } else { ",readonly" };
                add(&["--mount", &format!("type=bind,source={from},target={to}{end}")]);
            }
            variables.iter().for_each(|variable| add(&["--env", variable]));
            let limits = inside.limits;
            for (name, limit) in [("data", limits.memory), ("fsize", limits.file_size)] {
                if let Some(limit) = limit {
                    add(&["--ulimit", &format!("{name}={limit}:{limit}")]);
                }
            }
            if let Some(processes) = limits.processes {
                add(&["--pids-limit", &processes.to_string()]);
            }
            let cpus: Vec<String> = limits.cpus.iter().map(|cpu| cpu.to_string()).collect();
            if !cpus.is_empty() {
                add(&["--cpuset-cpus", &cpus.join(",")]);
            }
            // In place of whatever the image would start.
            add(&["--entrypoint", program, &self.image]);
        }
        line.extend_from_slice(arguments);
        Ok(line)
    }

    /// The mounts, each with its place and true if it may be written: exactly the allow-list of the job.
    fn mounts<'a>(&self, allowed: &'a Allowed) -> io::Result<Vec<(&'a str, &'a str, bool)>> {
        let layers = allowed.layers.iter().map(|layer| (&layer.own, &layer.folder, true));
        let own = allowed.write.iter().map(|path| (path, path, true));
        let read = allowed.read.iter().filter(|path| !allowed.write.contains(*path));
        let mounts = layers.chain(own).chain(read.map(|path| (path, path, false)));
        let mut mounts: Vec<_> =
            mounts.map(|(from, to, write)| Ok((plain(from)?, plain(to)?, write))).collect::<io::Result<_>>()?;
        // What lies in another one comes after it.
        mounts.sort_by_key(|(_, to, _)| to.len());
        mounts.dedup_by_key(|(_, to, _)| *to);
        Ok(mounts)
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

    /// The protections, as this engine has them.
    pub(super) fn protections(&self, isolation: &Isolation) -> Vec<Protection> {
        let here = self.is_here();
        let by = |how: &str| match &here {
            Ok(_) => Ok(format!("{}: {how}", self.name())),
            Err(why) => Err(why.clone()),
        };
        let filter = match self.kind {
            Kind::Apptainer => Err("apptainer filters no system calls by itself".to_owned()),
            _ => by("its own filter"),
        };
        let mut all = vec![
            protection("container", here.clone()),
            protection("files", by("a read-only image, and mounts of the allow-list")),
            protection("what can be seen", by("nothing else")),
            protection("other processes", by("a process namespace")),
            protection("process namespace", by("one for each command")),
            protection("system calls", filter),
            protection("capabilities", by("none are left")),
            protection("descriptors", by("none is inherited")),
            protection("environment", by("a list, and an empty HOME")),
        ];
        all.extend((!isolation.pristine.is_empty()).then(|| protection("pristine", by("a copy for each candidate"))));
        all.extend((!isolation.network).then(|| protection("network", by("none"))));
        let user = match user().0 {
            0 => Err("commands run as root, without its capabilities; start the lab as another user".to_owned()),
            _ => Ok("the lab's own, which is not root".to_owned()),
        };
        all.push(protection("user", user));
        all
    }

    /// The engine with its version, if it has the image.
    fn is_here(&self) -> Result<String, String> {
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

    fn name(&self) -> &'static str {
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

fn text<S: AsRef<OsStr> + ?Sized>(value: &S) -> io::Result<&str> {
    value.as_ref().to_str().ok_or_else(|| {
        let shown = value.as_ref().to_string_lossy().into_owned();
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{shown} is not UTF-8, and a container engine takes text alone"),
        )
    })
}

/// A path without the signs that have a meaning in the options of engines.
fn plain(path: &PathBuf) -> io::Result<&str> {
    let path = text(path)?;
    match path.contains([',', ':']) {
        false => Ok(path),
        true => {
            let why = format!("{path} has a comma or a colon, and a container engine cannot mount it; rename it");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

#[cfg(unix)]
fn user() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

#[cfg(not(unix))]
fn user() -> (u32, u32) {
    (1000, 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::isolation::Layer;

    /// The command line of an engine for a command that uses everything.
    fn line(program: &str) -> String {
        let container = Container::new(program, "localhost/trainer").unwrap();
        let allowed = Allowed {
            read: ["/data", "/slot/in"].map(PathBuf::from).into(),
            write: ["/slot"].map(PathBuf::from).into(),
            layers: vec![Layer { folder: "/target".into(), own: "/layers/copy".into() }],
            directory: "/slot".into(),
            ..Allowed::default()
        };
        let environment =
            [("SEED", "7"), ("API_TOKEN", "0123456789")].map(|(name, value)| (name.to_owned(), value.into()));
        let argv = ["sh", "-c", "echo a b"].map(str::to_owned);
        let limits = Limits { memory: Some(1 << 30), processes: Some(100), ..Limits::default() };
        let inside = Inside { argv: &argv, environment: &environment, allowed: &allowed, limits, network: false };
        container.command_line("autoresearch-1", &inside).unwrap().join(" ")
    }

    #[test]
    fn engines_get_exactly_the_mounts_and_the_limits_of_a_command() {
        for engine in ["podman", "/opt/bin/docker"] {
            let line = line(engine);
            assert!(
                line.starts_with(&format!("{engine} run --name autoresearch-1 --label autoresearch.folder=/slot ")),
                "{line}"
            );
            assert!(line.ends_with(" --entrypoint sh localhost/trainer -c echo a b"), "{line}");
            for part in [
                "--pull never --init --read-only --cap-drop all --security-opt no-new-privileges",
                "--network none",
                "--mount type=bind,source=/data,target=/data,readonly --mount type=bind,source=/slot,target=/slot --mount \
                 type=bind,source=/layers/copy,target=/target --mount type=bind,source=/slot/in,target=/slot/in,readonly",
                "--env SEED=7 --env API_TOKEN --ulimit data=1073741824:1073741824 --pids-limit 100",
            ] {
                assert!(line.contains(part), "{part}: {line}");
            }
            assert_eq!(line.matches("--mount").count(), 4, "{line}");
            assert!(!line.contains("0123456789"), "{line}");
        }
        let line = line("apptainer");
        assert!(
            line.starts_with("apptainer exec --containall --no-home --drop-caps all --pwd /slot --net --network none "),
            "{line}"
        );
        assert!(line.contains("--bind /data:/data:ro --bind /slot:/slot:rw --bind /layers/copy:/target:rw"), "{line}");
        assert!(line.ends_with(" localhost/trainer sh -c echo a b"), "{line}");
    }

    #[test]
    fn what_an_engine_cannot_mount_is_told() {
        let container = Container::new("podman", "i").unwrap();
        let allowed = Allowed { read: [PathBuf::from("/a,b")].into(), ..Allowed::default() };
        let argv = ["true".to_owned()];
        let inside =
            Inside { argv: &argv, environment: &[], allowed: &allowed, limits: Limits::default(), network: true };
        let error = container.command_line("n", &inside).unwrap_err().to_string();
        assert!(error.contains("/a,b has a comma or a colon"), "{error}");
    }
}
