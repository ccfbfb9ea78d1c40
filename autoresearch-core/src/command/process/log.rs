//! The log of a command: its first and its last megabytes, however much it writes.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::environment::censor;

mod censor;

use censor::Censor;

/// Bytes that are kept of the beginning and of the end.
const HEAD: u64 = 4 << 20;
const RING: u64 = 4 << 20;
/// Bytes that a log has at most.
pub(super) const LONGEST: u64 = HEAD + RING;
/// Bytes of the end of a log that are read for the metric and for messages.
const TAIL: u64 = 64 << 10;
/// Bytes of the newest output that are searched for its last line.
const RECENT: usize = 4096;
/// Time that an escaped writer is listened to after the command's end.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A file that keeps the head and the tail of what is written to it. Until it is finished the tail stands in it as a ring.
struct RingLog {
    file: File,
    start: u64,
    written: u64,
    head: u64,
    ring: u64,
}

impl RingLog {
    /// Appends to what the file holds already.
    fn open(path: &Path, head: u64, ring: u64) -> io::Result<RingLog> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let start = file.seek(SeekFrom::End(0))?;
        Ok(RingLog { file, start, written: 0, head, ring })
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (offset, room) = match self.written.checked_sub(self.head) {
                None => (self.written, self.head - self.written),
                Some(beyond) => (self.head + beyond % self.ring, self.ring - beyond % self.ring),
            };
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.file.seek(SeekFrom::Start(self.start + offset))?;
            self.file.write_all(now)?;
            self.written += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Puts the ring in order, with a line about what is missing.
    fn finish(mut self) -> io::Result<()> {
        let Some(lost @ 1..) = self.written.checked_sub(self.head + self.ring) else { return Ok(()) };
        let at = (self.written - self.head) % self.ring;
        let mut ring = vec![0; usize::try_from(self.ring).unwrap_or_default()];
        self.file.seek(SeekFrom::Start(self.start + self.head))?;
        self.file.read_exact(&mut ring)?;
        ring.rotate_left(usize::try_from(at).unwrap_or_default());
        self.file.seek(SeekFrom::Start(self.start + self.head))?;
        self.file.write_all(format!("\n[... {lost} bytes left out ...]\n").as_bytes())?;
        self.file.write_all(&ring)
    }
}

/// Reads a command's output on a thread of its own, so that the command never waits for a reader.
pub(super) struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Shared {
    recent: Mutex<Vec<u8>>,
    stop: AtomicBool,
}

impl Pump {
    /// Starts reading into the log at `path`. The values of `secrets`, each with its name, are hidden there.
    pub(super) fn start(
        path: PathBuf,
        output: PipeReader,
        secrets: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> io::Result<Pump> {
        let log = RingLog::open(&path, HEAD, RING)?;
        let censor = Censor::new(secrets);
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name("log".into()).spawn(move || pump(log, censor, output, &for_thread))?;
        Ok(Pump { shared, thread: Some(thread) })
    }

    /// Returns the newest line of the output.
    pub(super) fn newest_line(&self) -> Option<String> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&recent);
        let line = text.split(['\n', '\r']).map(str::trim).rfind(|line| !line.is_empty());
        line.map(str::to_owned)
    }

    /// Waits for the rest of the output. To be called when the command has ended and is swept away: a writer that escaped
    /// nevertheless is listened to for a moment only.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the log's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn pump(mut log: RingLog, mut censor: Censor, mut output: PipeReader, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut stopped: Option<Instant> = None;
    // A full disk must not stop the reading: the command would hang on its output.
    let mut result = Ok(());
    loop {
        if shared.stop.load(Ordering::Acquire) {
            let since = *stopped.get_or_insert_with(Instant::now);
            if since.elapsed() > LAST_WORDS || !readable(&output, 0) {
                break;
            }
        } else if !readable(&output, 200) {
            continue;
        }
        match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let bytes = censor.push(&buffer[..count]);
                if result.is_ok() {
                    result = log.write(&bytes);
                }
                let mut recent = shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.extend_from_slice(&bytes[bytes.len().saturating_sub(RECENT)..]);
                let old = recent.len().saturating_sub(RECENT);
                recent.drain(..old);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    result.and_then(|()| log.write(&censor.finish())).and_then(|()| log.finish())
}

/// Waits so many milliseconds for something to read, or for the end of it.
#[cfg(unix)]
fn readable(output: &PipeReader, milliseconds: u16) -> bool {
    use nix::poll::{PollFd, PollFlags, poll};
    use std::os::fd::AsFd;
    let mut watched = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, milliseconds).is_ok_and(|ready| ready > 0)
}

#[cfg(not(unix))]
fn readable(_output: &PipeReader, _milliseconds: u16) -> bool {
    true
}

/// Reads the end of a log, for metrics and messages: some tens of kilobytes, progress lines that were overwritten by `\r` left
/// out, and keys of this process hidden.
pub fn log_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let start = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The end of a line is another line: `loss=0.9` of `train_loss=0.9`.
    let whole_lines = text.split_once('\n').map(|(_, rest)| rest).filter(|rest| start > 0 && !rest.trim().is_empty());
    let text = whole_lines.unwrap_or(&text);
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let body = body.strip_suffix('\r').unwrap_or(body);
        kept.push_str(body.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or(""));
        kept.push_str(end);
    }
    Ok(censor(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tail_begins_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let rest = "-\n".repeat(TAIL as usize / 2 - 4);
        std::fs::write(&path, format!("loss=0.5\ntrain_loss=0.9\n{rest}")).unwrap();
        assert_eq!(log_tail(&path).unwrap(), rest);
        // One line alone is better than nothing.
        std::fs::write(&path, "x".repeat(TAIL as usize + 9) + "\n").unwrap();
        assert_eq!(log_tail(&path).unwrap().len() as u64, TAIL);
    }

    #[test]
    fn overwritten_progress_is_left_out_of_the_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "\rstep 1   \rstep 2   \n---\r\nval_bpb: 1\n").unwrap();
        assert_eq!(log_tail(&path).unwrap(), "step 2   \n---\nval_bpb: 1\n");
    }

    proptest! {
        #[test]
        fn a_ring_log_keeps_head_and_tail(before in 0usize..20, chunks in prop::collection::vec(0usize..40, 0..20)) {
            const HEAD: usize = 16;
            const RING: usize = 32;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            std::fs::write(&path, "b".repeat(before)).unwrap();
            let mut log = RingLog::open(&path, HEAD as u64, RING as u64).unwrap();
            let mut all = Vec::new();
            for chunk in chunks {
                let bytes: Vec<u8> = (0..chunk).map(|i| b'A' + ((all.len() + i) % 53) as u8).collect();
                log.write(&bytes).unwrap();
                all.extend(bytes);
                prop_assert!(std::fs::metadata(&path).unwrap().len() <= (before + HEAD + RING) as u64);
            }
            log.finish().unwrap();
            let found = std::fs::read(&path).unwrap();
            let expected = match all.len() <= HEAD + RING {
                true => all,
                false => {
                    let note = format!("\n[... {} bytes left out ...]\n", all.len() - HEAD - RING);
                    [&all[..HEAD], note.as_bytes(), &all[all.len() - RING..]].concat()
                }
            };
            prop_assert_eq!(&found[before..], &expected[..]);
        }
    }
}
