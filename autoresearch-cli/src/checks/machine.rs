//! The machine: room on the disk, git, processors, the clock, accelerators.

use std::path::Path;
use std::process::Command;

use super::subject::{Finding, Subject};
use crate::placeholders::Provided;

/// Bytes below which a disk counts as full: logs, journal and temporary files need room, too.
const LEAST: u64 = 64 << 20;

/// The run's commits go into the repository, and its journal beside the files.
pub fn repository(subject: &Subject<'_>) -> Vec<Finding> {
    let (root, git) = (&subject.session.repository.root, subject.lineage.git_folder());
    let places =
        [(root.clone(), "its journal"), (git.join("objects"), "its commits"), (git.join("refs"), "its branch")];
    let wrong = places.into_iter().find_map(|(folder, what)| Some((writable(&folder).err()?, folder, what)));
    wrong.map_or_else(Vec::new, |(error, folder, what)| {
        let message = format!(
            "the folder {} cannot be written ({error}), and a run keeps {what} there; give yourself the right to write to it, or \
             start the run in a clone of your own: git clone {} FOLDER",
            folder.display(),
            root.display()
        );
        vec![Finding::error("repository", message)]
    })
}

/// Asks whether a folder of the user's may be written, without a trace in it.
#[cfg(unix)]
fn writable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a NUL.
    match unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn writable(folder: &Path) -> std::io::Result<()> {
    probe(folder)
}

/// Makes a file in a folder, and removes it again.
fn probe(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe))
}

/// The cache folder must be writable, and have room for a slot of each worker.
pub fn space(subject: &Subject<'_>) -> Vec<Finding> {
    const NAME: &str = "disk";
    let session = subject.session;
    let cache = &session.placeholders.cache;
    if let Err(error) = std::fs::create_dir_all(cache).and_then(|()| probe(cache)) {
        let cache = cache.display();
        let message = format!(
            "the cache folder {cache} cannot be written ({error}); set AUTORESEARCH_CACHE to a folder of yours"
        );
        return vec![Finding::error(NAME, message)];
    }
    let copies: u64 = session
        .config
        .workspace
        .copy
        .iter()
        .map(|path| match session.placeholders.provided(path) {
            Provided::Below(below) => size_of(&session.repository.root.join(below)),
            Provided::Elsewhere(_) => 0,
        })
        .fold(0, u64::saturating_add);
    let needed = copies.saturating_mul(session.plan.workers.slots() as u64).saturating_add(LEAST);
    let Some(free) = free_bytes(cache) else { return Vec::new() };
    let (cache, megabytes) = (cache.display(), |bytes: u64| bytes >> 20);
    match free < needed {
        true => vec![Finding::error(
            NAME,
            format!(
                "{} MiB are free in {cache}, and the folders of candidates need {} MiB there; free some, {}or set \
                 AUTORESEARCH_CACHE to a folder on another disk",
                megabytes(free),
                megabytes(needed),
                if copies > 0 { "let [workspace] copy less, " } else { "" }
            ),
        )],
        false => vec![Finding::fine(NAME, format!("{} MiB are free in {cache}", megabytes(free)))],
    }
}

/// The bytes of a file, or of all files below a folder; links are not followed.
fn size_of(path: &Path) -> u64 {
    let (mut bytes, mut left) = (0u64, vec![path.to_owned()]);
    while let Some(path) = left.pop() {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        match found.is_dir() {
            true => left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path())),
            false => bytes = bytes.saturating_add(found.len()),
        }
    }
    bytes
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL, and the call fills the structure when it returns 0.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    // The types differ from system to system.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    Some((found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Git, processors, control group and clock of this machine.
pub fn machine() -> Vec<Finding> {
    vec![git(), processors(), control_group(), clock()]
}

fn git() -> Finding {
    match first_line("git", &["--version"]) {
        Some(version) => Finding::fine("git", version),
        None => Finding::warning(
            "git",
            "there is no program `git` on PATH: a run needs none, and you need it to commit and to take over kept changes; install it",
        ),
    }
}

/// The same without the load, which changes by the minute.
pub fn lasting() -> Vec<Finding> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    vec![git(), Finding::fine("processors", count.to_string()), control_group(), clock()]
}

fn processors() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load: Option<f64> = load.and_then(|text| text.split(' ').next()?.parse().ok());
    match load {
        Some(load) if load > 0.5 * count as f64 => Finding::warning(
            "processors",
            format!(
                "{count}, and their load is {load:.1}: other programs disturb a time that is measured now; end them first"
            ),
        ),
        _ => Finding::fine("processors", count.to_string()),
    }
}

/// The limits that a container or a service manager has put on this shell.
fn control_group() -> Finding {
    const NAME: &str = "control group";
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Finding::fine(NAME, "no control group of version 2 limits this shell");
    };
    let folder = Path::new("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok().filter(|text| !text.starts_with("max"));
    let memory = read("memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let processors = read("cpu.max").and_then(|text| {
        let (quota, period) = text.trim().split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    match (processors, memory) {
        (Some(quota), _) => Finding::warning(
            NAME,
            format!(
                "this shell may use {quota:.1} processors, and is paused when it uses more: a time that is measured jumps; lift the quota, or pin the run with [run] cpus"
            ),
        ),
        (None, Some(bytes)) => Finding::fine(NAME, format!("this shell may use {} MiB of memory", bytes >> 20)),
        (None, None) => Finding::fine(NAME, "no limit on processors or memory"),
    }
}

fn clock() -> Finding {
    const NAME: &str = "clock";
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    match (source.as_deref(), governor.as_deref()) {
        (_, Some("powersave" | "ondemand" | "conservative")) => Finding::warning(
            NAME,
            format!(
                "the processors change their speed (governor {}): a time that is measured changes with it; sudo cpupower \
                 frequency-set -g performance",
                governor.unwrap_or_default()
            ),
        ),
        (Some(source), _) => Finding::fine(NAME, source),
        (None, _) => Finding::fine(NAME, "monotonic"),
    }
}

/// The accelerators that the configuration names must be there.
pub fn devices(subject: &Subject<'_>) -> Finding {
    const NAME: &str = "devices";
    let listed = Command::new("nvidia-smi").arg("-L").output().ok().filter(|output| output.status.success());
    let names = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let found = names.lines().filter(|line| line.starts_with("GPU ")).count();
    let wanted = subject.session.plan.hardware().iter().map(|hardware| hardware.resources.gpus).max().unwrap_or(0);
    match (wanted, found) {
        (0, 0) => Finding::fine(NAME, "no NVIDIA GPU was found, and the configuration names none"),
        (0, found) => {
            let message = format!("{found} GPUs; [workers] devices names none, so that all workers see all of them");
            Finding::fine(NAME, message)
        }
        (_, 0) => Finding::warning(
            NAME,
            "[workers] devices names GPUs, and `nvidia-smi -L` lists none; install the driver, or name what is there",
        ),
        (_, found) => Finding::fine(NAME, format!("{found} GPUs")),
    }
}

/// The first line that a program prints; `None` if it cannot be started or fails.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
