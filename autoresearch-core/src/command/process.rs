//! Running one command with a limit, its output in a bounded file, and nothing of it left afterwards.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::environment::{inherited, secrets};
use super::isolation::{Contained, ContainerEnd, Entrance, Walls, of_engines};
use crate::cancel::Cancel;
use crate::sandbox::SandboxError;

mod channel;
mod ending;
#[cfg(not(target_os = "linux"))]
mod group;
#[cfg(target_os = "linux")]
mod linux;
mod log;
mod outcome;
mod sweep;
mod usage;

pub use super::cpus::Cpus;
pub use super::isolation::Isolated;
pub use super::limits::Limits;
use channel::Channel;
pub use ending::{Ending, Finished, describe};
#[cfg(not(target_os = "linux"))]
use group::Tree;
#[cfg(target_os = "linux")]
use linux::Tree;
use log::Pump;
pub use log::log_tail;
pub use outcome::outcome;
pub use sweep::sweep;

/// Interval at which a running command is polled, and the number of polls for each reading of its memory: rare enough to cost the
/// command nothing.
const POLL: Duration = Duration::from_millis(200);
const LOOKS_AT_MEMORY: u32 = 5;
/// Time between the request to end and the kill, unless a command says otherwise.
pub const GRACE: Duration = Duration::from_secs(5);
/// Time that a killed tree may take to be gone before that is a failure of the machine.
const GONE: Duration = Duration::from_secs(10);
/// Number of further tries to start a program that is open for writing, and the wait before each.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Names a command's processes, so that they can be found even if they escaped.
const RUN: &str = "AUTORESEARCH_RUN";

/// A command with its surroundings.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The folder that it runs in.
    pub directory: PathBuf,
    /// Variables beside the inherited ones.
    pub environment: Vec<(String, OsString)>,
    /// File that its standard output and error are appended to: the first and the last 4 MiB of them, with the keys hidden that
    /// this process or the command has in its environment.
    pub log: PathBuf,
    /// Wall clock until it is asked to end.
    pub limit: Duration,
    /// Time from then until it is killed.
    pub grace: Duration,
    /// Limits on its use of the machine.
    pub limits: Limits,
    /// The walls around it, if it is not trusted.
    pub isolation: Option<Isolated>,
    /// File for what it writes into `AUTORESEARCH_RESULT`, bounded like the log: the path of a descriptor that it alone has. None by
    /// default.
    pub results: Option<PathBuf>,
}

/// The reason why the wait for a command ended.
enum Stopped {
    Itself(ExitStatus),
    Limit,
    Cancelled,
}

impl Command {
    /// Runs it to its end. `on_line` is told the newest line of output now and then.
    ///
    /// When this returns, nothing of the command runs any more, its descendants included (on Linux; elsewhere those in its
    /// process group). When the future is dropped, they are killed within moments, without anybody waiting for it.
    ///
    /// On Linux a supervisor keeps the limit and measures the time, so that neither depends on when this future is polled: a
    /// command that took longer than its limit has [`Ending::Limit`], even if it ended by itself afterwards.
    ///
    /// # Errors
    /// [`SandboxError::CannotStart`] if the program cannot be started, [`SandboxError::Cancelled`] after a cancellation, and
    /// others if the machine fails.
    pub async fn run(
        &self,
        cancel: &Cancel,
        on_line: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Finished, SandboxError> {
        for _ in 0..BUSY_TRIES {
            match self.run_once(cancel, on_line).await {
                // Another thread forked while this program was being written: for a moment its child holds the file open.
                Err(SandboxError::CannotStart { source, .. })
                    if source.kind() == std::io::ErrorKind::ExecutableFileBusy =>
                {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                ended => return ended,
            }
        }
        self.run_once(cancel, on_line).await
    }

    async fn run_once(
        &self,
        cancel: &Cancel,
        on_line: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Finished, SandboxError> {
        let is_empty = || SandboxError::Other("the command is empty; give a program".into());
        let program = self.argv.first().ok_or_else(is_empty)?;
        self.limits.cpus.check().map_err(SandboxError::Other)?;
        let failed = |what: &str, e| SandboxError::io(format!("{what} for `{program}`"), e);
        let (output, input) = std::io::pipe().map_err(|e| failed("making a pipe", e))?;
        let error = input.try_clone().map_err(|e| failed("making a pipe", e))?;
        let own = self.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.to_str()?.to_owned())));
        let mut pump = Pump::start(self.log.clone(), output, secrets(own))
            .map_err(|e| SandboxError::io(format!("opening the log {}", self.log.display()), e))?;

        let walled = |e| failed("preparing its isolation", e);
        let name = run_name();
        let contained = self.contained(&name).map_err(walled)?;
        let argv = contained.as_ref().map_or_else(|| self.argv.clone(), |contained| contained.argv.clone());
        let (first, arguments) = argv.split_first().ok_or_else(is_empty)?;
        let mut command = tokio::process::Command::new(first);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(inherited());
        let mut limits = self.limits;
        let mut walls = match &self.isolation {
            None => None,
            Some(_) if contained.is_some() => {
                // The engine's own program is trusted, and keeps the limits inside.
                limits = Limits { cpus: limits.cpus, ..Limits::default() };
                command.envs(of_engines());
                command.envs(contained.iter().flat_map(|contained| contained.variables.clone()));
                None
            }
            Some(isolated) => {
                command.envs(isolated.environment().map_err(walled)?);
                Some(isolated.walls(&self.argv, &self.environment, &self.directory).map_err(walled)?)
            }
        };
        // An engine takes those of the command as options; its home is the user's.
        let is_given = |name: &String| contained.is_none() || !KEPT.contains(&name.as_str());
        command.envs(self.environment.iter().filter(|(name, _)| is_given(name)).map(|(name, value)| (name, value)));
        let entrance = walls.as_mut().and_then(Walls::take_entrance);
        // Another proxy is nowhere in its network.
        command.envs(entrance.iter().flat_map(Entrance::variables));
        let results = self.results.as_deref().filter(|_| contained.is_none());
        let channel = results.map(Channel::open).transpose();
        let channel = channel.map_err(|e| failed("opening the channel of results", e))?;
        command.env(RUN, &name).stdin(Stdio::null()).stdout(input).stderr(error);
        let (mut tree, ends) = Tree::prepare(&mut command, limits, (self.limit, self.grace), walls)
            .map_err(|e| failed("preparing a process", e))?;
        // Behind the supervisor, who closes all that the command has not been given.
        let results = channel.map(|channel| channel.pass_to(&mut command));

        let killed_before = kernel_kills();
        let started = Instant::now();
        let mut child = command.spawn().map_err(|source| match Walls::failed(&source) {
            // Not the program's fault.
            true => SandboxError::Other(format!("the isolation of `{program}` cannot be set up on this machine")),
            false => SandboxError::CannotStart { command: first.clone(), source },
        })?;
        let mut contained = contained.map(Running::new);
        tree.started(child.id());
        let proxy = entrance.map(Entrance::serve).transpose();
        let proxy = proxy.map_err(|e| failed("opening the way to the hosts of its isolation", e))?;
        // Our copies of the pipes' write ends: the output would not end while they are open.
        drop((command, ends));

        // Where a supervisor keeps the limit, this is for one that was itself stopped.
        let patience = if Tree::KEEPS_TIME { self.grace.saturating_add(GONE) } else { Duration::ZERO };
        let patience = self.limit.saturating_add(patience);
        let mut poll = tokio::time::interval(POLL);
        let (mut looks, mut last, mut peak) = (0u32, String::new(), None);
        let stopped = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Stopped::Itself(status.map_err(|e| failed("waiting", e))?),
                () = cancel.cancelled() => break Stopped::Cancelled,
                () = tokio::time::sleep(patience.saturating_sub(started.elapsed())) => break Stopped::Limit,
                _ = poll.tick() => {
                    looks += 1;
                    if looks.is_multiple_of(LOOKS_AT_MEMORY) {
                        peak = peak.max(tree.memory());
                    }
                    report(&pump, &mut last, on_line);
                }
            }
        };
        let measured_here = started.elapsed();
        if !matches!(stopped, Stopped::Itself(_)) {
            self.end(&mut tree, &mut child, &name).await?;
        }
        let container = match contained.take() {
            Some(running) => Some(running.finish().await?),
            None => None,
        };
        let told = tree.finished();
        if told.is_none() {
            // Nobody watched over the tree to its end: the supervisor was killed, or the system has none.
            sweep(RUN, &name);
        }
        // Its listener kept the network of the command.
        drop(proxy);
        let (status, usage) = told.map_or((None, None), |(status, usage)| (status, Some(usage)));
        pump.finish().map_err(|e| SandboxError::io(format!("writing the log {}", self.log.display()), e))?;
        if let Some(results) = results {
            let failed = |e| SandboxError::io(format!("writing the results of `{program}`"), e);
            results.finish().map_err(failed)?;
        }
        if let (Some(path), true) = (&self.results, container.is_some()) {
            // As long as a log may be.
            let cut = std::fs::File::options().write(true).open(path).and_then(|file| {
                let length = file.metadata()?.len();
                file.set_len(length.min(log::LONGEST))
            });
            cut.map_err(|e| failed("reading the results", e))?;
        }
        report(&pump, &mut last, on_line);
        if let Some(survivors @ 1..) = usage.map(|usage| usage.survivors) {
            return Err(SandboxError::Other(format!("{survivors} processes of `{program}` cannot be killed")));
        }
        let elapsed = usage.map_or(measured_here, |usage| usage.elapsed);
        let is_late = elapsed > self.limit || usage.is_some_and(|usage| usage.overrun);
        let ending = match stopped {
            Stopped::Cancelled => return Err(SandboxError::Cancelled),
            Stopped::Limit => Ending::Limit,
            Stopped::Itself(_) if is_late => Ending::Limit,
            Stopped::Itself(_) if container.is_some_and(|end| end.is_out_of_memory) => Ending::OutOfMemory,
            Stopped::Itself(watcher) if container.is_some_and(|end| !end.has_started) => {
                return Err(not_contained(program, first, status.unwrap_or(watcher), &self.log));
            }
            Stopped::Itself(watcher) => match status.unwrap_or(watcher) {
                status if ending::was_killed(status) && kernel_kills() > killed_before => Ending::OutOfMemory,
                status => Ending::Exit(status),
            },
        };
        // Those of an engine's program are not the command's.
        let usage = usage.filter(|_| container.is_none());
        let peak_memory = peak.max(usage.map(|usage| usage.peak_memory)).filter(|_| container.is_none());
        Ok(Finished { ending, elapsed, peak_memory, cpu: usage.map(|usage| usage.cpu) })
    }

    /// The command in a container, if its isolation has one.
    fn contained(&self, name: &std::ffi::OsStr) -> std::io::Result<Option<Contained>> {
        let Some(isolated) = &self.isolation else { return Ok(None) };
        if let (Some(results), true) = (&self.results, isolated.isolation.container.is_some()) {
            std::fs::write(results, "")?;
        }
        let what = (self.argv.as_slice(), self.directory.as_path());
        isolated.contained(&name.to_string_lossy(), what, &self.environment, self.limits, self.results.as_deref())
    }

    /// Ends the tree: by a request, by a kill, and at last without its supervisor, which may have been stopped by the command.
    async fn end(
        &self,
        tree: &mut Tree,
        child: &mut tokio::process::Child,
        name: &std::ffi::OsStr,
    ) -> Result<(), SandboxError> {
        tree.terminate();
        if tokio::time::timeout(self.grace, child.wait()).await.is_ok() {
            return Ok(());
        }
        tree.kill();
        if tokio::time::timeout(GONE, child.wait()).await.is_ok() {
            return Ok(());
        }
        // It fails only if the supervisor is gone already.
        let _ = child.start_kill();
        sweep(RUN, name);
        match tokio::time::timeout(GONE, child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(SandboxError::Other(format!(
                "`{}` cannot be killed: it is stuck in the kernel",
                self.argv.first().map_or("", String::as_str)
            ))),
        }
    }
}

/// Variables of a command that its container engine's own program must not take for its own.
const KEPT: [&str; 4] = ["HOME", "PATH", "TMPDIR", "LD_LIBRARY_PATH"];

/// A container whose command runs. It is removed when this is dropped before its end.
struct Running(Option<Contained>);

impl Running {
    fn new(contained: Contained) -> Running {
        Running(Some(contained))
    }

    async fn finish(mut self) -> Result<ContainerEnd, SandboxError> {
        let Some(contained) = self.0.take() else { return Ok(ContainerEnd::default()) };
        let ended = tokio::task::spawn_blocking(move || contained.finish()).await;
        ended.map_err(|error| SandboxError::Other(format!("the end of a container is not known: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(contained) = self.0.take() {
            // Nobody waits for it.
            std::thread::spawn(move || contained.finish());
        }
    }
}

/// The error of a command that its container engine did not start, with the engine's last words.
fn not_contained(program: &str, engine: &str, status: ExitStatus, log: &std::path::Path) -> SandboxError {
    let said = log_tail(log).unwrap_or_default();
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    let kind = match status.code() {
        Some(126) => std::io::ErrorKind::PermissionDenied,
        Some(127) => std::io::ErrorKind::NotFound,
        _ => return SandboxError::Other(format!("{engine} starts no container for `{program}`: {said}")),
    };
    SandboxError::CannotStart { command: program.to_owned(), source: std::io::Error::new(kind, said) }
}

/// Keeps other processes of the same user, trials above all, from reading this process's memory and environment, where keys are.
///
/// A program calls it once at its start, if it wants that; the library never does. It holds for the whole process: there is no
/// core dump any more, and a debugger of the same user cannot attach. It does not bind root, so a lab that runs as root must
/// keep its keys elsewhere. Does nothing on other systems than Linux.
pub fn hide_memory() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::hide_memory()?;
    Ok(())
}

/// Makes a name that no other running command has.
fn run_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{}-{now}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Passes the newest line on if it is new.
fn report(pump: &Pump, last: &mut String, on_line: &(dyn Fn(String) + Send + Sync)) {
    if let Some(line) = pump.newest_line().filter(|line| line != last) {
        last.clone_from(&line);
        on_line(line);
    }
}

/// Counts the processes that the kernel has killed since the machine started because memory ran out.
fn kernel_kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests;
