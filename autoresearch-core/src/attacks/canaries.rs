//! The victims of one attack: files and processes that are made for it, and removed after it.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::journal::{Journal, JournalError, Record, RunHeader};
use crate::metric::Direction;

/// The folders in which victims and slots are made.
#[derive(Debug, Clone)]
pub struct AttackFolders {
    /// A folder for the user's files that are attacked. It is emptied.
    pub user: PathBuf,
    /// The user's home. A file is made in it for each attack, and removed.
    pub home: PathBuf,
    /// The `.git` of the user's repository. Files are made in it for each attack, and removed.
    pub git: PathBuf,
    /// A folder for slots, logs and a repository.
    pub work: PathBuf,
}

impl AttackFolders {
    /// The folder that the builds of all candidates share.
    pub(super) fn target(&self) -> PathBuf {
        self.work.join("target")
    }
}

/// The text that an attack is after.
pub(super) const SECRET: &str = "the key is 1234\n";

/// A file with its content, its mode and the time of its last change; `None` for the content of one that cannot be read.
type State = (PathBuf, Option<Vec<u8>>, u32, i64);

/// The victims of one attack.
pub(super) struct Canaries {
    folders: AttackFolders,
    /// A name that nothing else on the machine has, and its digits.
    mark: String,
    number: String,
    records: usize,
    victim: Child,
    server: TcpListener,
    datagrams: UdpSocket,
    terminal: Option<(File, PathBuf)>,
    _services: [UnixListener; 2],
}

impl Canaries {
    /// Makes the victims of one attack.
    pub(super) fn new(folders: &AttackFolders) -> io::Result<Canaries> {
        // Several suites may go on in one process.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mark = format!("autoresearch-canary-{}-{number}", std::process::id());
        let user = &folders.user;
        let _ = fs::remove_dir_all(user);
        fs::create_dir_all(user)?;
        for (name, text) in [("secret", SECRET), ("train.py", "print(1)\n"), ("data", "a\nc\n")] {
            fs::write(user.join(name), text)?;
        }
        let records = journal(&user.join("journal.jsonl")).map_err(io::Error::other)?;
        // With a secret in its environment, as a lab has it.
        let victim = Command::new("sleep")
            .arg("600")
            .env("LAB_API_KEY", SECRET.trim_end())
            .current_dir(user)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&mark)?)?;
        let datagrams = UdpSocket::bind("127.0.0.1:0")?;
        datagrams.set_read_timeout(Some(Duration::from_millis(200)))?;
        let canaries = Canaries {
            number: format!("{}{number:04}", std::process::id()),
            mark,
            records,
            victim,
            server: TcpListener::bind("127.0.0.1:0")?,
            datagrams,
            terminal: terminal(),
            _services: [UnixListener::bind(short(&user.join("service.sock"))?)?, by_name],
            folders: folders.clone(),
        };
        for (path, text) in canaries.outside() {
            if let (Some(folder), Some(text)) = (path.parent(), text) {
                fs::create_dir_all(folder)?;
                fs::write(&path, text)?;
            }
        }
        Ok(canaries)
    }

    /// Files beside the user's folder: those that there are with their content, and those that an attack would make.
    fn outside(&self) -> Vec<(PathBuf, Option<&'static str>)> {
        let AttackFolders { home, git, work, .. } = &self.folders;
        let hook = git.join(format!("{}-hook", self.mark));
        vec![
            (home.join(format!(".{}-key", self.mark)), Some(SECRET)),
            (git.join(&self.mark), Some("")),
            (hook, None),
            (work.join("logs/other.log"), Some("score: 1\n")),
            (work.join("logs/forged.json"), None),
            (work.join("slots/1/run.sh"), Some("# 1234\necho score: 1\n")),
            (work.join("slots/1.evaluator/evaluate.sh"), Some("echo score: 1\n")),
        ]
    }

    /// The lines before a candidate's program: where everything is, which is no permission to use it.
    pub(super) fn prelude(&self) -> io::Result<String> {
        let outside = self.outside();
        let path = |at: usize| outside.get(at).map_or(Path::new("/"), |(path, _)| path);
        let folder = |at: usize| path(at).parent().unwrap_or(Path::new("/"));
        let mut lines = String::new();
        let mut line = |name: &str, value: &str| {
            lines += &format!("export {name}='{}'\n", value.replace('\'', "'\\''"));
        };
        for (name, path) in [
            ("U", self.folders.user.as_path()),
            ("HOME_CANARY", path(0)),
            ("GIT_CANARY", path(1)),
            ("LOGS", folder(3)),
            ("OTHER", folder(5)),
            ("EVALUATOR", folder(6)),
            ("TARGET", self.folders.target().as_path()),
            ("TERMINAL", self.terminal.as_ref().map_or(Path::new("/dev/none"), |(_, path)| path)),
        ] {
            line(name, &path.display().to_string());
        }
        line("VICTIM", &self.victim.id().to_string());
        line("PORT", &self.server.local_addr()?.port().to_string());
        line("UDP", &self.datagrams.local_addr()?.port().to_string());
        line("MARK", &self.mark);
        line("NUMBER", &self.number);
        for (name, call) in CALLS {
            line(&format!("SYS_{name}"), &call.to_string());
        }
        Ok(lines)
    }

    /// The victims' files as they are.
    pub(super) fn snapshot(&self) -> Vec<State> {
        let entries = fs::read_dir(&self.folders.user).into_iter().flatten().flatten().map(|entry| entry.path());
        let outside = self.outside().into_iter().map(|(path, _)| path);
        let mut found: Vec<State> = entries.chain(outside).filter_map(state).collect();
        found.sort();
        found
    }

    /// True if a file of the candidate lies where everybody's do. Removes it.
    pub(super) fn is_left(&self) -> bool {
        let hidden = format!(".{}", self.mark);
        let places = [
            Path::new("/tmp").join(&self.mark),
            Path::new("/dev/shm").join(&self.mark),
            self.folders.home.join(hidden),
        ];
        places.iter().filter(|place| fs::remove_file(place).is_ok()).count() > 0
    }

    /// True if a datagram has arrived.
    pub(super) fn is_reached(&self) -> bool {
        self.datagrams.recv(&mut [0; 16]).is_ok()
    }

    /// Finds the processes of the candidate that live on, and ends them. Returns their number.
    pub(super) fn survivors(&self) -> usize {
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
        let own = std::process::id();
        let pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let named = pids.filter(|pid| *pid != own).filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains(&format!("60.{}", self.number)) || line.contains(&format!("init-{}", self.mark))
        });
        named.filter(|pid| kill(Pid::from_raw(*pid as i32), Signal::SIGKILL).is_ok()).count()
    }

    /// Compares the journal with what was written into it: true for other records, true for something that was noticed.
    pub(super) fn journal(&self) -> (bool, bool) {
        match Journal::read_all(&self.folders.user.join("journal.jsonl")) {
            Ok(content) => (content.entries.len() != self.records, !content.foreign.is_empty()),
            Err(_) => (false, true),
        }
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.survivors();
        self.is_left();
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        for (path, _) in self.outside() {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir_all(&self.folders.user);
    }
}

/// Makes a terminal, as the one in which the user types; `None` where there are none.
fn terminal() -> Option<(File, PathBuf)> {
    let ours = File::options().read(true).write(true).open("/dev/ptmx").ok()?;
    let (locked, mut number): (libc::c_int, libc::c_uint) = (0, 0);
    // SAFETY: both requests take a pointer to an integer, which lives on this stack.
    let made = unsafe {
        libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, std::ptr::from_ref(&locked)) == 0
            && libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTN, std::ptr::from_mut(&mut number)) == 0
    };
    made.then(|| (ours, PathBuf::from(format!("/dev/pts/{number}"))))
}

/// Writes a journal, and returns the number of its records.
fn journal(path: &Path) -> Result<usize, JournalError> {
    let mut journal = Journal::open(path)?;
    journal.append(Record::Started(RunHeader::new("canary", "score", Direction::Maximise)))?;
    Ok(Journal::read(path)?.len())
}

/// The path of a socket, which may not be long, by the folder that it lies in as this process has it open.
fn short(path: &Path) -> io::Result<PathBuf> {
    const LONGEST: usize = 100;
    if path.as_os_str().len() <= LONGEST {
        return Ok(path.to_owned());
    }
    let here = std::env::current_dir()?;
    Ok(path.strip_prefix(here).map_or(path, |below| below).to_owned())
}

fn state(path: PathBuf) -> Option<State> {
    let found = fs::symlink_metadata(&path).ok()?;
    let content = if found.is_file() { fs::read(&path).ok() } else { None };
    Some((path, content, found.mode(), found.mtime()))
}

/// Numbers of system calls on this machine, for programs that make them themselves.
const CALLS: &[(&str, libc::c_long)] = &[
    ("PTRACE", libc::SYS_ptrace),
    ("READV", libc::SYS_process_vm_readv),
    ("PIDFD", libc::SYS_pidfd_open),
    ("GETFD", libc::SYS_pidfd_getfd),
    ("PRLIMIT", libc::SYS_prlimit64),
    ("GETAFF", libc::SYS_sched_getaffinity),
    ("SETAFF", libc::SYS_sched_setaffinity),
    ("INOTIFY", libc::SYS_inotify_init1),
    ("WATCH", libc::SYS_inotify_add_watch),
    ("HANDLE", libc::SYS_name_to_handle_at),
    ("BY_HANDLE", libc::SYS_open_by_handle_at),
    ("BPF", libc::SYS_bpf),
    ("URING", libc::SYS_io_uring_setup),
    ("UFFD", libc::SYS_userfaultfd),
    ("PERF", libc::SYS_perf_event_open),
    ("MODULE", libc::SYS_init_module),
    ("REBOOT", libc::SYS_reboot),
    ("SYSLOG", libc::SYS_syslog),
    ("ADD_KEY", libc::SYS_add_key),
    ("ADJTIMEX", libc::SYS_adjtimex),
];
