//! Running one command with a limit, its output in a bounded file, and nothing of it left afterwards.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::sandbox::SandboxError;

mod cpus;
mod log;
mod outcome;
mod sweep;
#[cfg(not(target_os = "linux"))]
#[path = "process/group.rs"]
mod tree;
#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
mod tree;

pub use cpus::Cpus;
use log::Pump;
pub use log::log_tail;
pub use outcome::outcome;
pub use sweep::sweep;
use tree::Tree;

/// Variables that a command inherits; everything else of the harness's environment, keys above all, stays out of its sight.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "LIBTORCH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "OMP_NUM_THREADS",
    "SYSTEMROOT",
    "CC",
    "CXX",
];

/// How often a running command is looked at, and every how many looks its memory is: looking must cost it nothing.
const POLL: Duration = Duration::from_millis(200);
const LOOKS_AT_MEMORY: u32 = 5;
/// Between the request to end and the kill, unless a command says otherwise.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a killed tree may take to be gone before that is a failure of the machine.
const GONE: Duration = Duration::from_secs(10);
/// Names a command's processes, so that they can be found even if they escaped.
const RUN: &str = "AUTORESEARCH_RUN";

/// A command with its surroundings.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables beside the inherited ones.
    pub environment: Vec<(String, OsString)>,
    /// Its standard output and error, appended: the first and the last 4 MiB of them.
    pub log: PathBuf,
    /// Wall clock until it is asked to end.
    pub limit: Duration,
    /// From then until it is killed.
    pub grace: Duration,
    /// What it may use.
    pub limits: Limits,
}

/// What a command may use of the machine. Enforced by the kernel on Linux, not elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of data of each of its processes (`RLIMIT_DATA`, which leaves an accelerator's reservations alone).
    pub memory: Option<u64>,
    /// Bytes of each file that it writes.
    pub file_size: Option<u64>,
    /// Processes and threads of this user altogether, the harness's included. Does not bind root.
    pub processes: Option<u64>,
    /// The processors that it runs on; all of them if the set is empty.
    pub cpus: Cpus,
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exit(ExitStatus),
    /// Killed by the kernel because memory ran out.
    OutOfMemory,
    /// Killed at its limit.
    Limit,
}

/// What a command used, with all its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    cpu: Duration,
    peak_memory: u64,
    survivors: u32,
}

/// A finished command. Nothing of it runs any more.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Why it ended.
    pub ending: Ending,
    /// Wall clock.
    pub elapsed: Duration,
    /// The peak resident memory in bytes, where the system tells: of all its processes together as seen once a second, or
    /// of the largest one if that was more (which counts the harness's own few megabytes, before it becomes the command).
    pub peak_memory: Option<u64>,
    /// Processor time of all its processes, where the system tells.
    pub cpu: Option<Duration>,
}

impl Finished {
    /// Whether it ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        describe(self.ending).is_none()
    }
}

impl Command {
    /// Runs it to its end. `on_line` is told the newest line of output now and then.
    ///
    /// When this returns, nothing of the command runs any more, its descendants included (on Linux; elsewhere those in its
    /// process group). When the future is dropped, they are killed within moments, without anybody waiting for it.
    pub async fn run(
        &self,
        cancel: &Cancel,
        on_line: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Finished, SandboxError> {
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| SandboxError::Other("the command is empty; give a program".into()))?;
        self.limits.cpus.check().map_err(SandboxError::Other)?;
        let failed = |what: &str, e| SandboxError::io(format!("{what} for `{program}`"), e);
        let (output, input) = std::io::pipe().map_err(|e| failed("making a pipe", e))?;
        let error = input.try_clone().map_err(|e| failed("making a pipe", e))?;
        let mut pump = Pump::start(self.log.clone(), output)
            .map_err(|e| SandboxError::io(format!("opening the log {}", self.log.display()), e))?;

        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let name = run_name();
        command.env(RUN, &name).stdin(Stdio::null()).stdout(input).stderr(error);
        let (mut tree, ends) =
            Tree::prepare(&mut command, self.limits).map_err(|e| failed("preparing a process", e))?;

        let killed_before = kernel_kills();
        let started = Instant::now();
        let mut child =
            command.spawn().map_err(|source| SandboxError::CannotStart { command: program.clone(), source })?;
        tree.started(child.id());
        // Ours of the pipes' other ends: as long as they are open, nobody sees the end of the output.
        drop((command, ends));

        let mut poll = tokio::time::interval(POLL);
        let (mut looks, mut last, mut peak) = (0u32, String::new(), None);
        let stopped = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Stopped::Itself(status.map_err(|e| failed("waiting", e))?),
                () = cancel.cancelled() => break Stopped::Cancelled,
                () = tokio::time::sleep(self.limit.saturating_sub(started.elapsed())) => break Stopped::Limit,
                _ = poll.tick() => {
                    looks += 1;
                    if looks.is_multiple_of(LOOKS_AT_MEMORY) {
                        peak = peak.max(tree.memory());
                    }
                    report(&pump, &mut last, on_line);
                }
            }
        };
        let elapsed = started.elapsed();
        if !matches!(stopped, Stopped::Itself(_)) {
            tree.terminate();
            if tokio::time::timeout(self.grace, child.wait()).await.is_err() {
                tree.kill();
                if tokio::time::timeout(GONE, child.wait()).await.is_err() {
                    return Err(SandboxError::Other(format!(
                        "`{program}` cannot be killed: it is stuck in the kernel"
                    )));
                }
            }
        }
        let told = tree.finished();
        if told.is_none() {
            // Nobody watched over the tree to its end: the supervisor was killed, or the system has none.
            sweep(RUN, &name);
        }
        let (status, usage) = told.map_or((None, None), |(status, usage)| (status, Some(usage)));
        pump.finish().map_err(|e| SandboxError::io(format!("writing the log {}", self.log.display()), e))?;
        report(&pump, &mut last, on_line);
        if let Some(survivors @ 1..) = usage.map(|usage| usage.survivors) {
            return Err(SandboxError::Other(format!("{survivors} processes of `{program}` cannot be killed")));
        }
        let ending = match stopped {
            Stopped::Cancelled => return Err(SandboxError::Cancelled),
            Stopped::Limit => Ending::Limit,
            Stopped::Itself(watcher) => match status.unwrap_or(watcher) {
                status if was_killed(status) && kernel_kills() > killed_before => Ending::OutOfMemory,
                status => Ending::Exit(status),
            },
        };
        let peak_memory = peak.max(usage.map(|usage| usage.peak_memory));
        Ok(Finished { ending, elapsed, peak_memory, cpu: usage.map(|usage| usage.cpu) })
    }
}

/// What ended a command.
enum Stopped {
    Itself(ExitStatus),
    Limit,
    Cancelled,
}

/// A name that no other running command has.
fn run_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = jiff::Timestamp::now().as_nanosecond();
    format!("{}-{}-{now}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Passes the newest line on if it is new.
fn report(pump: &Pump, last: &mut String, on_line: &(dyn Fn(String) + Send + Sync)) {
    if let Some(line) = pump.newest_line().filter(|line| line != last) {
        last.clone_from(&line);
        on_line(line);
    }
}

/// How many processes the kernel has killed since the machine began because memory ran out.
fn kernel_kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// How an unsuccessful command ended, for a person, or `None` if it succeeded.
pub fn describe(ending: Ending) -> Option<String> {
    match ending {
        Ending::Exit(status) if status.success() => None,
        Ending::Exit(status) => Some(describe_status(status)),
        Ending::OutOfMemory => Some("was killed because the machine ran out of memory".into()),
        Ending::Limit => Some("was killed at its time limit".into()),
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(nix::sys::signal::Signal::SIGKILL as i32)
}

#[cfg(not(unix))]
fn was_killed(_status: ExitStatus) -> bool {
    false
}

#[cfg(unix)]
fn describe_status(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal().map(|number| (number, nix::sys::signal::Signal::try_from(number))) {
        Some((_, Ok(signal))) => format!("was ended by {signal}"),
        Some((number, Err(_))) => format!("was ended by signal {number}"),
        None => format!("ended with exit code {}", status.code().unwrap_or(-1)),
    }
}

#[cfg(not(unix))]
fn describe_status(status: ExitStatus) -> String {
    format!("ended with {status}")
}

#[cfg(all(test, unix))]
mod tests;
