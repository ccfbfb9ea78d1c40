//! A candidate's command in a container: the command line of its engine, and the words for what holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use super::super::environment::is_secret;
use super::super::limits::Limits;
use super::allowed::Allowed;
use super::container::{Container, ContainerEnd, Kind, LABEL};
use super::enforcement::{Protection, hosts, protection};
use super::hosts::Network;
use super::settings::Isolation;

/// The command that goes into a container.
pub(super) struct Inside<'a> {
    pub(super) argv: &'a [String],
    pub(super) environment: &'a [(String, OsString)],
    pub(super) allowed: &'a Allowed,
    pub(super) limits: Limits,
    pub(super) network: bool,
}

/// A command that a container engine runs.
#[derive(Debug, Clone)]
pub(crate) struct Contained {
    /// The engine's command line.
    pub(crate) argv: Vec<String>,
    /// Variables of the engine's own that it passes on without showing them.
    pub(crate) variables: Vec<(String, OsString)>,
    container: Container,
    name: String,
}

impl Contained {
    /// The command in a container of this name.
    pub(super) fn new(container: &Container, name: String, inside: &Inside<'_>) -> io::Result<Contained> {
        let argv = command_line(container, &name, inside)?;
        let variables = match container.kind {
            Kind::Apptainer => passed_on(inside.environment),
            // They take them from their own environment by name.
            _ => Vec::new(),
        };
        Ok(Contained { argv, variables, container: container.clone(), name })
    }

    /// Asks for the end of the container, and removes it with all that still runs in it.
    pub(crate) fn finish(&self) -> ContainerEnd {
        self.container.finish(&self.name)
    }
}

/// The secrets among the variables of a command, by the names under which apptainer passes them on.
fn passed_on(environment: &[(String, OsString)]) -> Vec<(String, OsString)> {
    let secrets = environment.iter().filter(|(name, _)| is_secret(name));
    let by =
        |prefix: &'static str| move |(name, value): &(String, OsString)| (format!("{prefix}_{name}"), value.clone());
    secrets.clone().map(by("APPTAINERENV")).chain(secrets.map(by("SINGULARITYENV"))).collect()
}

/// The command line by which the engine runs a command in a container of this name.
fn command_line(container: &Container, name: &str, inside: &Inside<'_>) -> io::Result<Vec<String>> {
    let (program, arguments) = inside.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = text(&inside.allowed.directory)?;
    let mut line: Vec<String> = vec![container.program.clone()];
    let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
    // Others on the machine see command lines.
    let variables = inside.environment.iter().filter_map(|(name, value)| match (is_secret(name), container.kind) {
        (false, _) => Some(text(value).map(|value| format!("{name}={value}"))),
        (true, Kind::Apptainer) => None,
        (true, _) => Some(Ok(name.clone())),
    });
    let variables = variables.collect::<io::Result<Vec<_>>>()?;
    if container.kind == Kind::Apptainer {
        add(&["exec", "--containall", "--no-home", "--drop-caps", "all", "--pwd", directory]);
        if !inside.network {
            add(&["--net", "--network", "none"]);
        }
        for (from, to, writable) in mounts(inside.allowed)? {
            add(&["--bind", &format!("{from}:{to}:{}", if writable { "rw" } else { "ro" })]);
        }
        variables.iter().for_each(|variable| add(&["--env", variable]));
        add(&[&container.image, program]);
    } else {
        add(&["run", "--name", name, "--label", &format!("{LABEL}={directory}"), "--pull", "never", "--init"]);
        add(&["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]);
        add(&["--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777", "--workdir", directory]);
        if !inside.network {
            add(&["--network", "none"]);
        }
        let (user, group) = user();
        match container.kind {
            // Files that it makes are the user's, as those outside of containers.
            Kind::Podman if user != 0 => add(&["--userns", "keep-id"]),
            _ => add(&["--user", &format!("{user}:{group}")]),
        }
        for (from, to, writable) in mounts(inside.allowed)? {
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
        add(&["--entrypoint", program, &container.image]);
    }
    line.extend_from_slice(arguments);
    Ok(line)
}

/// The mounts, each with its place and true if it may be written: exactly the allow-list of the job.
fn mounts(allowed: &Allowed) -> io::Result<Vec<(&str, &str, bool)>> {
    let layers = allowed.layers.iter().map(|layer| (&layer.own, &layer.folder, true));
    let own = allowed.write.iter().map(|path| (path, path, true));
    let read = allowed.read.iter().filter(|path| !allowed.write.contains(*path));
    let mounts = layers.chain(own).chain(read.map(|path| (path, path, false)));
    let mut mounts: Vec<_> =
        mounts.map(|(from, to, write)| Ok((plain(from)?, plain(to)?, write))).collect::<io::Result<_>>()?;
    // What lies in another one comes after it; of the same place a layer comes first, and stays.
    mounts.sort_by(|(_, to, _), (_, other, _)| (to.len(), to).cmp(&(other.len(), other)));
    mounts.dedup_by_key(|(_, to, _)| *to);
    Ok(mounts)
}

/// The protections, as this engine has them.
pub(super) fn protections_of(container: &Container, isolation: &Isolation) -> Vec<Protection> {
    let here = container.is_here();
    let by = |how: &str| match &here {
        Ok(_) => Ok(format!("{}: {how}", container.name())),
        Err(why) => Err(why.clone()),
    };
    let filter = match container.kind {
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
    all.extend((isolation.network != Network::Machine).then(|| protection("network", by("none"))));
    all.extend(hosts(&isolation.network, "that of a container is its engine's"));
    let user = match user().0 {
        0 => Err("commands run as root, without its capabilities; start the lab as another user".to_owned()),
        _ => Ok("the lab's own, which is not root".to_owned()),
    };
    all.push(protection("user", user));
    all
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
        command_line(&container, "autoresearch-1", &inside).unwrap().join(" ")
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
        assert!(line.ends_with(" --env SEED=7 localhost/trainer sh -c echo a b"), "{line}");
        assert!(!line.contains("0123456789"), "{line}");
        let secret = [("API_TOKEN".to_owned(), "0123456789".into())];
        assert_eq!(passed_on(&secret)[0], ("APPTAINERENV_API_TOKEN".to_owned(), "0123456789".into()));
    }

    #[test]
    fn what_an_engine_cannot_mount_is_told() {
        let container = Container::new("podman", "i").unwrap();
        let allowed = Allowed { read: [PathBuf::from("/a,b")].into(), ..Allowed::default() };
        let argv = ["true".to_owned()];
        let inside =
            Inside { argv: &argv, environment: &[], allowed: &allowed, limits: Limits::default(), network: true };
        let error = command_line(&container, "n", &inside).unwrap_err().to_string();
        assert!(error.contains("/a,b has a comma or a colon"), "{error}");
    }
}
