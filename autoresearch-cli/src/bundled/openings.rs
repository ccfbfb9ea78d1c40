//! Openings in the walls around the commands of a bundle: somebody else wrote its configuration.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use autoresearch_core::Commands;

use crate::placeholders::Provided;
use crate::session::Session;

/// Places of the system in which nothing is private. Terminals are somebody's.
const SYSTEM: [&str; 18] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/opt",
    "/nix",
    "/gnu",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/dri",
    "/dev/kfd",
];

/// Entries of a process in `/proc` that lead to files elsewhere.
const LEADS_ELSEWHERE: [&str; 5] = ["root", "cwd", "fd", "exe", "map_files"];

/// Lists what a configuration asks for outside of its walls and of the bundle's folder `own`. The commit of its base must be checked
/// out there: a committed link may lead anywhere.
///
/// `[holdout]` and `[check]` are not looked at, since no repetition runs their commands.
pub fn openings(session: &Session, commands: &Commands, own: &Path) -> Vec<String> {
    let (config, placeholders) = (&session.config, &session.placeholders);
    let (isolation, place) = (&config.isolation, Place::new(own));
    let mut openings: Vec<String> = Vec::new();
    openings.extend(isolation.read.iter().map(|path| format!("reads {path}")));
    openings.extend(isolation.write.iter().map(|path| format!("writes {path}")));
    // A build in the bundle's own folder changes nothing else, unless that holds the slots or the repository.
    let kept = [session.slots(), placeholders.repo.clone()];
    let is_for_builds = |path: &&String| {
        let path = placeholders.place(path);
        place.is_own(&path) && !kept.iter().any(|kept| kept.starts_with(&path))
    };
    let pristine = isolation.pristine.iter().filter(|path| !is_for_builds(path));
    openings.extend(pristine.map(|path| format!("writes {path}")));
    // The engine's program would run outside of all walls.
    openings.extend(isolation.container.iter().map(|engine| format!("runs in containers of {engine}")));
    openings.extend(isolation.network.is_machines().then(|| "uses the network".to_owned()));
    openings.extend(isolation.network.hosts().iter().map(|host| format!("reaches {host}")));
    let evaluated = config.evaluate.iter().flat_map(|evaluate| &evaluate.share);
    let elsewhere = |path: &&String| matches!(placeholders.provided(path), Provided::Elsewhere(_));
    let shared = config.workspace.share.iter().chain(evaluated).filter(elsewhere);
    openings.extend(shared.map(|path| format!("reads {path}")));
    openings
        .extend(named(commands).filter(|path| place.is_foreign(path)).map(|path| format!("reads {}", path.display())));
    openings.dedup();
    openings
}

/// The paths that commands name, and those that links in their folders lead to: behind walls they are there to be read.
fn named(commands: &Commands) -> impl Iterator<Item = PathBuf> {
    let evaluation = commands.evaluation.iter();
    let guards = commands.guards.iter().flat_map(|guard| &guard.argv);
    let arguments = commands.build.iter().chain(&commands.run).chain(guards);
    let arguments = arguments.chain(evaluation.clone().flat_map(|evaluation| &evaluation.argv)).map(OsStr::new);
    let variables = commands.environment.iter().chain(&commands.run_environment);
    let variables = variables.chain(commands.devices.iter().flat_map(|device| &device.environment));
    let variables = variables.chain(evaluation.clone().flat_map(|evaluation| &evaluation.environment));
    let texts = arguments.chain(variables.map(|(_, value)| value.as_os_str()));
    // An argument may be `--data=/x`; the name of a file may have a sign like that, too.
    let paths = texts.flat_map(|text| {
        let behind = text.to_str().and_then(|text| text.split_once('=')).map(|(_, path)| PathBuf::from(path));
        [PathBuf::from(text)].into_iter().chain(behind)
    });
    let provided = evaluation.flat_map(|evaluation| &evaluation.provisions).chain(&commands.provisions);
    paths.chain(commands.keeps.iter().cloned()).chain(provided.map(|provision| provision.source.clone()))
}

/// The bundle's own folder, as it is written and as it is.
struct Place<'a> {
    own: &'a Path,
    real: PathBuf,
}

impl Place<'_> {
    fn new(own: &Path) -> Place<'_> {
        Place { own, real: own.canonicalize().unwrap_or_else(|_| own.to_owned()) }
    }

    /// Tells whether a path is in the bundle's folder, and cannot be anywhere else later.
    fn is_own(&self, path: &Path) -> bool {
        !goes_up(path) && path.starts_with(self.own) && real(path).is_some_and(|real| real.starts_with(&self.real))
    }

    /// Tells whether a path may lead to files of whoever repeats the bundle. One that leads nowhere does not.
    fn is_foreign(&self, path: &Path) -> bool {
        if !path.is_absolute() {
            return false;
        }
        if goes_up(path) || leads_elsewhere(path) {
            return true;
        }
        // What it leads to is not known yet.
        let Some(real) = real(path) else { return true };
        let is_usual = SYSTEM.iter().any(|folder| real.starts_with(folder)) && !leads_elsewhere(&real);
        let is_own = real.starts_with(&self.real);
        // A virtual environment opens the folder of the Python that it names.
        path.exists() && !is_usual && !is_own || is_own && path.join("pyvenv.cfg").exists()
    }
}

/// The path without links. `None` if one of them leads to nothing: something may come to be there.
fn real(path: &Path) -> Option<PathBuf> {
    let there = path.ancestors().find(|above| above.symlink_metadata().is_ok())?;
    Some(there.canonicalize().ok()?.join(path.strip_prefix(there).ok()?))
}

fn goes_up(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// Tells whether a path leads through a process to where that is, or to what it has open.
fn leads_elsewhere(path: &Path) -> bool {
    let Ok(below) = path.strip_prefix("/proc") else { return false };
    let mut parts = below.components().map(Component::as_os_str);
    let is_process = parts
        .next()
        .and_then(OsStr::to_str)
        .is_some_and(|name| ["self", "thread-self"].contains(&name) || name.bytes().all(|byte| byte.is_ascii_digit()));
    is_process && parts.any(|part| LEADS_ELSEWHERE.iter().any(|name| part == *name))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let (own, secret) = (folder.path().join("own"), folder.path().join("secret"));
        std::fs::create_dir_all(own.join("work")).unwrap();
        std::fs::write(&secret, "1").unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, own.join("work").join(at)).unwrap();
        link(secret.to_str().unwrap(), "link");
        // The slots are made later: then it leads out.
        link("../cache/slots/../../../secret", "later");
        link(".", "here");
        let place = Place::new(&own);
        let foreign = |path: String| place.is_foreign(Path::new(&path));
        let (own_path, secret) = (own.display(), secret.display());
        for path in [
            format!("{secret}"),
            format!("/usr/..{secret}"),
            format!("{own_path}/../secret"),
            format!("{own_path}/cache/slots/../../../secret"),
            format!("/proc/self/root{secret}"),
            format!("/proc/thread-self/root{secret}"),
            "/proc/1/fd/0".to_owned(),
            "/proc/self/task/1/cwd/x".to_owned(),
            format!("{own_path}/work/link"),
            format!("{own_path}/work/later"),
            format!("{own_path}/work/later/more"),
        ] {
            assert!(foreign(path.clone()), "{path}");
            assert!(!place.is_own(Path::new(&path)), "{path}");
        }
        for path in [
            "relative/../x".to_owned(),
            "/usr/bin/env".to_owned(),
            "/dev/null".to_owned(),
            "/proc/cpuinfo".to_owned(),
            "/nowhere/at/all".to_owned(),
            format!("{own_path}/cache/target"),
            format!("{own_path}/work/here/work"),
        ] {
            assert!(!foreign(path.clone()), "{path}");
        }
        for path in ["/dev/shm", "/dev/pts", "/dev/ptmx"] {
            assert!(!Path::new(path).exists() || foreign(path.to_owned()), "{path}");
        }
        assert!(place.is_own(&own.join("cache/target")) && place.is_own(&own.join("work/here/new")));
        std::fs::write(own.join("work/pyvenv.cfg"), "home = /home/u/private").unwrap();
        assert!(foreign(format!("{own_path}/work")), "a virtual environment opens another folder");
    }
}
