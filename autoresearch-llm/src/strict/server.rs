//! The side of the evaluation: a server that computes logits behind walls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::StrictError;
use super::memory::{Memory, Shape};
use super::nats::Logits;
use super::serve::{CHANNEL, READY, SERVE};
use super::walls::{Walls, libraries};

/// Beginnings of the names of variables that a server gets: how many threads compute, on which device, and where libraries are.
const PASSED: &[&str] = &[
    "AUTORESEARCH_DEVICE",
    "AUTORESEARCH_OPERATIONS",
    "AUTORESEARCH_THREADS",
    "CUDA_",
    "GOMP_",
    "KMP_",
    "LANG",
    "LD_LIBRARY_PATH",
    "MKL_",
    "NVIDIA_",
    "OMP_",
    "PATH",
];
/// Bytes of a server's output that are kept.
const KEPT: usize = 4096;

/// A program of a candidate that computes logits of its model.
#[derive(Debug)]
pub struct Server {
    child: Child,
    memory: Memory,
    /// Dropped first at the end, so that the server ends by itself.
    requests: Option<File>,
    replies: File,
    output: Arc<Mutex<Output>>,
    reader: Option<JoinHandle<()>>,
    limit: Duration,
}

/// Output of a server from the time before it knew validation data.
#[derive(Debug, Default)]
struct Output {
    kept: Vec<u8>,
    is_closed: bool,
}

impl Server {
    /// Starts `program` behind walls with the weights of `model`, waits until it has them, and lets it answer a batch that
    /// says nothing. Each answer may take `limit`.
    ///
    /// # Errors
    ///
    /// The program ends, answers nonsense, or takes longer; or this machine has no walls.
    pub fn start(program: &Path, model: &Path, shape: Shape, limit: Duration) -> Result<Server, StrictError> {
        let failed = StrictError::machine("cannot prepare the model's server");
        // The server starts in another folder than this process.
        let [program, model] = [program, model].map(std::path::absolute);
        let (program, model) = (&program.map_err(&failed)?, &model.map_err(&failed)?);
        let (memory, file) = Memory::create(shape)?;
        let (requests_end, requests) = io::pipe().map_err(&failed)?;
        let (replies, replies_end) = io::pipe().map_err(&failed)?;
        let (output, output_end) = io::pipe().map_err(&failed)?;
        let own: Vec<PathBuf> = [program, model].map(PathBuf::clone).into_iter().chain(libraries()).collect();
        let walls = Walls::new(&own).map_err(|error| {
            StrictError::Machine(format!("the model's server has no walls on this machine; it needs {error}"))
        })?;
        let mut command = Command::new(program);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| {
            name.to_str().is_some_and(|name| PASSED.iter().any(|passed| name.starts_with(passed)))
        }));
        command.env(SERVE, model).current_dir("/");
        command.stdin(Stdio::null()).stdout(output_end.try_clone().map_err(&failed)?).stderr(output_end);
        let child = pass(&mut command, walls, file, File::from(own_fd(requests_end)), File::from(own_fd(replies_end)))
            .spawn()
            .map_err(|error| {
                StrictError::server(format!("the model's server, {}, cannot be started: {error}", program.display()))
            })?;
        // With it goes this side's copy of what was passed on.
        drop(command);
        let kept = Arc::new(Mutex::new(Output::default()));
        let reader = read_into(output, kept.clone());
        let mut server = Server {
            child,
            memory,
            requests: Some(File::from(own_fd(requests))),
            replies: File::from(own_fd(replies)),
            output: kept,
            reader: Some(reader),
            limit,
        };
        server.expect(READY, "loaded its weights")?;
        server.send(0, &vec![0; shape.positions()])?;
        server.receive(0)?;
        if let Ok(mut output) = server.output.lock() {
            output.is_closed = true;
        }
        Ok(server)
    }

    /// The sizes of a batch.
    pub fn shape(&self) -> Shape {
        self.memory.shape()
    }

    /// Asks for the logits of a batch of tokens, row by row.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub fn send(&mut self, slot: usize, tokens: &[u16]) -> Result<(), StrictError> {
        let Shape { vocab_size, .. } = self.shape();
        let (of_slot, logits) = (self.memory.tokens(slot), self.memory.logits(slot));
        for (at, token) in tokens.iter().take(self.shape().positions()).enumerate() {
            // SAFETY: within the slot. What is not answered must not count.
            unsafe {
                of_slot.add(at).write(i64::from(*token));
                logits.add(at * vocab_size).write(f32::NAN);
            }
        }
        let sent = self.requests.as_mut().map(|requests| requests.write_all(&[slot as u8]));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended("was asked for logits")),
        }
    }

    /// Waits for the logits of a batch.
    ///
    /// # Errors
    ///
    /// The server ends, answers out of turn, or takes longer than it may.
    pub fn receive(&mut self, slot: usize) -> Result<Logits, StrictError> {
        self.expect(slot as u8, "computed logits")?;
        let shape = self.shape();
        // SAFETY: the slot has as many, as long as this server is there; whoever gets them borrows nothing, and uses them at once.
        Ok(unsafe { Logits::new(self.memory.logits(slot), shape.positions(), shape.vocab_size) })
    }

    fn expect(&mut self, reply: u8, until: &str) -> Result<(), StrictError> {
        if !is_readable(&self.replies, self.limit) {
            let seconds = self.limit.as_secs_f64();
            return Err(StrictError::server(format!("the model's server took more than {seconds} s until it {until}")));
        }
        let mut byte = [0];
        match self.replies.read(&mut byte) {
            Ok(1) if byte[0] == reply => Ok(()),
            Ok(1) => Err(StrictError::server("the model's server answered what it was not asked for")),
            _ => Err(self.ended(&format!("had {until}"))),
        }
    }

    /// The error of a server that is no more.
    fn ended(&mut self, before: &str) -> StrictError {
        let status = end(&mut self.child);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.output.lock().map(|output| String::from_utf8_lossy(&output.kept).trim().to_owned());
        let said =
            said.ok().filter(|said| !said.is_empty()).map_or(String::new(), |said| format!("; it said:\n{said}"));
        StrictError::server(format!("the model's server ended ({how}) before it {before}{said}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Waits a moment for a program that closed its side, and then ends it.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()
}

/// Reads all output, and keeps the beginning of what comes before validation data is sent: what is printed later could hold some.
fn read_into(mut output: io::PipeReader, kept: Arc<Mutex<Output>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            let Ok(mut kept) = kept.lock() else { return };
            let room = KEPT.saturating_sub(kept.kept.len()).min(count);
            if !kept.is_closed {
                kept.kept.extend_from_slice(&buffer[..room]);
            }
        }
    })
}

#[cfg(unix)]
fn own_fd(pipe: impl Into<std::os::fd::OwnedFd>) -> std::os::fd::OwnedFd {
    pipe.into()
}

#[cfg(unix)]
fn is_readable(file: &File, limit: Duration) -> bool {
    use std::os::fd::AsRawFd;
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now()).as_millis().min(1 << 30) as libc::c_int;
        let mut wanted = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure on this stack.
        match unsafe { libc::poll(&raw mut wanted, 1, left) } {
            0 => return false,
            1.. => return true,
            // Interrupted by a signal.
            _ if left > 0 => {}
            _ => return false,
        }
    }
}

/// Lets a command start behind walls, with the memory, the requests and the replies.
#[cfg(target_os = "linux")]
fn pass(command: &mut Command, walls: Walls, memory: File, requests: File, replies: File) -> &mut Command {
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    let numbers = [memory.as_raw_fd(), requests.as_raw_fd(), replies.as_raw_fd()];
    command.env(CHANNEL, numbers.map(|number| number.to_string()).join(","));
    let kept = [memory, requests, replies];
    // SAFETY: plain system calls between fork and exec; the files live as long as the command.
    unsafe { command.pre_exec(move || walls.enter(&[kept[0].as_raw_fd(), kept[1].as_raw_fd(), kept[2].as_raw_fd()])) }
}

#[cfg(not(target_os = "linux"))]
fn pass(command: &mut Command, _: Walls, _: File, _: File, _: File) -> &mut Command {
    command
}
