//! Running one command with a limit, its output in a file, and nothing of it left afterwards.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::sandbox::SandboxError;

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

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(5);
/// A log that grows past this is a failure of the candidate, not a reason to fill the disk.
const LOG_LIMIT: u64 = 256 << 20;
/// How much of the end of a log is read for the metric and for messages.
const TAIL: u64 = 64 << 10;

/// A command with its surroundings.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables beside the inherited ones.
    pub environment: Vec<(String, OsString)>,
    /// Its standard output and error, appended.
    pub log: PathBuf,
    /// Wall clock until it is killed.
    pub limit: Duration,
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exit(ExitStatus),
    /// Killed at its limit.
    Limit,
    /// Killed because its log grew without end.
    LogFlood,
}

/// A finished command.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Why it ended.
    pub ending: Ending,
    /// Wall clock.
    pub elapsed: Duration,
    /// The peak resident memory of its first process, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

impl Command {
    /// Runs it to its end. `on_line` is told the newest line of output now and then.
    ///
    /// Dropping the future kills the command's process group.
    pub async fn run(
        &self,
        cancel: &Cancel,
        on_line: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Finished, SandboxError> {
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| SandboxError::Other("the command is empty; give a program".into()))?;
        let open = || File::options().create(true).append(true).open(&self.log);
        let failed = |e| SandboxError::io(format!("opening the log {}", self.log.display()), e);
        let (out, err) = (open().map_err(failed)?, open().map_err(failed)?);
        let skip = out.metadata().map_err(failed)?.len();

        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);

        let started = Instant::now();
        let mut child =
            command.spawn().map_err(|source| SandboxError::CannotStart { command: program.clone(), source })?;
        let group = Group::of(child.id());

        let mut watch = Watch { log: &self.log, skip, last: String::new(), peak: None };
        let mut poll = tokio::time::interval(POLL);
        let mut looks = 0u32;
        let ending = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Ending::Exit(status.map_err(|e| SandboxError::io(format!("waiting for `{program}`"), e))?),
                () = cancel.cancelled() => {
                    group.end(&mut child).await;
                    return Err(SandboxError::Cancelled);
                }
                _ = poll.tick() => {
                    looks += 1;
                    if started.elapsed() >= self.limit {
                        break Ending::Limit;
                    }
                    // The log five times a second, memory less often: looking must cost the candidate nothing.
                    if looks.is_multiple_of(2) && watch.look(on_line) > LOG_LIMIT {
                        break Ending::LogFlood;
                    }
                    if looks.is_multiple_of(5) {
                        watch.memory(child.id());
                    }
                }
            }
        };
        let elapsed = started.elapsed();
        if !matches!(ending, Ending::Exit(_)) {
            group.end(&mut child).await;
        }
        // Also after a clean exit: what it left in its group must not run on beside the next experiment.
        group.kill();
        watch.look(on_line);
        Ok(Finished { ending, elapsed, peak_memory: watch.peak })
    }
}

/// The process group of a child; killed when dropped.
struct Group(Option<i32>);

impl Group {
    fn of(pid: Option<u32>) -> Group {
        Group(pid.and_then(|pid| i32::try_from(pid).ok()))
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) {
        if let Some(pid) = self.0 {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    #[cfg(unix)]
    fn kill(&self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
    }

    #[cfg(not(unix))]
    fn kill(&self) {}

    /// Asks the group to end, waits, then kills it.
    async fn end(&self, child: &mut tokio::process::Child) {
        #[cfg(unix)]
        {
            self.signal(nix::sys::signal::Signal::SIGTERM);
            if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
                self.kill();
                return;
            }
            self.kill();
        }
        let _ = child.kill().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks at a running command from outside.
struct Watch<'a> {
    log: &'a Path,
    skip: u64,
    last: String,
    peak: Option<u64>,
}

impl Watch<'_> {
    /// Reports the newest line if it is new, and returns the size of the log that this command wrote.
    fn look(&mut self, on_line: &(dyn Fn(String) + Send + Sync)) -> u64 {
        let size = std::fs::metadata(self.log).map_or(0, |m| m.len()).saturating_sub(self.skip);
        let tail = tail(self.log, size.min(4096)).unwrap_or_default();
        if let Some(line) = tail.split(['\n', '\r']).map(str::trim).rfind(|line| !line.is_empty())
            && line != self.last
        {
            line.clone_into(&mut self.last);
            on_line(line.to_owned());
        }
        size
    }

    #[cfg(target_os = "linux")]
    fn memory(&mut self, pid: Option<u32>) {
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let line = status.as_deref().and_then(|s| s.lines().find_map(|line| line.strip_prefix("VmHWM:")));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        self.peak = self.peak.max(kilobytes.map(|kb| kb * 1024));
    }

    #[cfg(not(target_os = "linux"))]
    fn memory(&mut self, _pid: Option<u32>) {}
}

/// The last `bytes` of a file, as text.
fn tail(path: &Path, bytes: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(bytes)))?;
    let mut buffer = Vec::new();
    file.take(bytes).read_to_end(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

/// The end of a log, for metrics and messages: some tens of kilobytes, progress lines that were overwritten by `\r` left out.
pub fn log_tail(path: &Path) -> std::io::Result<String> {
    let text = tail(path, TAIL)?;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let body = body.strip_suffix('\r').unwrap_or(body);
        kept.push_str(body.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or(""));
        kept.push_str(end);
    }
    Ok(kept)
}

/// How an unsuccessful command ended, for a person, or `None` if it succeeded.
pub fn describe(ending: Ending) -> Option<String> {
    match ending {
        Ending::Exit(status) if status.success() => None,
        Ending::Exit(status) => Some(describe_status(status)),
        Ending::Limit => Some("was killed at its time limit".into()),
        Ending::LogFlood => Some(format!("was killed because it wrote more than {} MB of output", LOG_LIMIT >> 20)),
    }
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
mod tests {
    use super::*;

    async fn run(script: &str, limit: Duration, cancel: &Cancel) -> (Result<Finished, SandboxError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let command = Command {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            directory: folder.path().into(),
            environment: vec![("GIVEN".into(), "yes".into())],
            log: folder.path().join("log"),
            limit,
        };
        let finished = command.run(cancel, &|_| {}).await;
        (finished, log_tail(&command.log).unwrap_or_default())
    }

    #[tokio::test]
    async fn output_and_exit_code_are_seen() {
        let (finished, log) = run("echo out; echo err >&2; exit 3", Duration::from_secs(20), &Cancel::new()).await;
        assert_eq!(describe(finished.unwrap().ending).unwrap(), "ended with exit code 3");
        assert_eq!(log, "out\nerr\n");
    }

    #[tokio::test]
    async fn the_harness_s_environment_stays_out_of_sight() {
        let (finished, log) = run("env", Duration::from_secs(20), &Cancel::new()).await;
        assert!(describe(finished.unwrap().ending).is_none());
        assert!(log.contains("GIVEN=yes"));
        assert!(!log.contains("CARGO_MANIFEST_DIR"), "{log}");
    }

    #[tokio::test]
    async fn the_limit_kills_children_too() {
        let (finished, log) = run("sleep 60 & echo $!; sleep 60", Duration::from_millis(300), &Cancel::new()).await;
        assert_eq!(finished.unwrap().ending, Ending::Limit);
        assert_gone(log.trim().parse().unwrap());
    }

    #[tokio::test]
    async fn what_is_left_after_a_clean_exit_is_swept() {
        let (finished, log) = run("sleep 60 & echo $!", Duration::from_secs(20), &Cancel::new()).await;
        assert!(describe(finished.unwrap().ending).is_none());
        assert_gone(log.trim().parse().unwrap());
    }

    #[tokio::test]
    async fn a_cancelled_run_ends_at_once() {
        let cancel = Cancel::new();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        };
        let ((finished, _), ()) = tokio::join!(run("sleep 60", Duration::from_secs(60), &cancel), stop);
        assert!(matches!(finished, Err(SandboxError::Cancelled)));
    }

    #[test]
    fn overwritten_progress_is_left_out_of_the_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "\rstep 1   \rstep 2   \n---\r\nval_bpb: 1\n").unwrap();
        assert_eq!(log_tail(&path).unwrap(), "step 2   \n---\nval_bpb: 1\n");
    }

    fn assert_gone(pid: i32) {
        // A killed orphan is a zombie until init reaps it: that counts as gone.
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => return,
                Ok(stat) if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')) => return,
                Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        panic!("process {pid} is still running");
    }
}
