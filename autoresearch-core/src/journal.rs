//! The journal of a run: an append-only file of JSON lines, each with a checksum, each on the disk before the next step.
//!
//! A line is `{"crc":"…","body":{"v":2,"seq":0,"at":"…","record":{…}}}`; the checksum is CRC-32C over the bytes of `body`.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::failpoint;

mod entry;
mod error;
mod lines;
mod moment;
mod record;
mod step;
mod suspend;

pub use entry::Entry;
use error::io;
pub use error::{JournalError, JournalFault};
pub use lines::ForeignLine;
use lines::{Lines, format_line};
pub use moment::Moment;
pub use record::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart, VERSION};
pub use step::{ExcursionStep, Promotion, Status};
use suspend::SuspendClock;

/// Storage for a journal's bytes: a file, unless a test wants otherwise.
pub trait Medium: Send {
    /// Reads all bytes that were written.
    fn read(&mut self) -> std::io::Result<Vec<u8>>;

    /// Cuts the bytes after the first `length` off, durably.
    fn truncate(&mut self, length: u64) -> std::io::Result<()>;

    /// Adds bytes at the end. They need not be durable before [`Medium::sync`].
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// Returns when everything appended is durable.
    fn sync(&mut self) -> std::io::Result<()>;
}

/// An open journal with the entries that it holds, locked against other writers as long as it lives.
///
/// ```
/// use autoresearch_core::Journal;
/// use autoresearch_core::internal::journal::{Record, RunHeader};
/// use autoresearch_core::{Direction, State};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("journal.jsonl");
/// let mut journal = Journal::open(&path)?;
/// journal.append(Record::Started(RunHeader::new("may1", "loss", Direction::Minimise)))?;
/// drop(journal);
///
/// let journal = Journal::open(&path)?;
/// let state = State::replay(journal.entries())?;
/// assert_eq!(state.header.map(|header| header.tag).as_deref(), Some("may1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Journal {
    medium: Option<Box<dyn Medium>>,
    path: PathBuf,
    entries: Vec<Entry>,
    next: u64,
    /// True if it holds a decision: from then on the run cannot start anew.
    is_bound: bool,
    failed: bool,
    clock: SuspendClock,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal without a file, for searches that need not survive the process.
    #[doc(hidden)]
    pub fn in_memory() -> Journal {
        let clock = SuspendClock::start();
        Journal {
            medium: None,
            path: PathBuf::new(),
            entries: Vec::new(),
            next: 0,
            is_bound: false,
            failed: false,
            clock,
        }
    }

    /// The entries that the journal held when it was opened.
    #[doc(hidden)]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Moves the entries out of the journal, since a state keeps them in another form.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Opens or makes the journal at `path`.
    ///
    /// A torn last line, left by a power cut in the middle of a write, was never acknowledged and is cut off. Damage
    /// before a valid line is an error.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        // A bare file name has an empty parent.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| io(path, e))?;
        let file = open_locked(path, File::options().read(true).append(true).create(true))?;
        failpoint::point("journal: locked");
        let opened = Journal::over(Box::new(OnDisk(file)), path)?;
        // The file's own directory entry must survive a power cut as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io(path, e))?;
        failpoint::point("journal: opened");
        Ok(opened)
    }

    /// A journal over any medium; `path` names it in messages. The medium keeps other writers away.
    #[doc(hidden)]
    pub fn over(mut medium: Box<dyn Medium>, path: &Path) -> Result<Journal, JournalError> {
        let bytes = medium.read().map_err(|e| io(path, e))?;
        let Lines { entries, valid, foreign, .. } = Lines::parse(path, &bytes)?;
        if let Some(first) = foreign.first() {
            let (line, count) = (first.number, foreign.len());
            return Err(JournalFault::Foreign { path: path.to_owned(), line, count, why: first.why.clone() }.into());
        }
        if valid < bytes.len() {
            medium.truncate(valid as u64).map_err(|e| io(path, e))?;
        }
        medium.sync().map_err(|e| io(path, e))?;
        let next = entries.len() as u64;
        let is_bound = entries.iter().any(|entry| matches!(entry.record, Record::Decided(_)));
        let clock = SuspendClock::start();
        Ok(Journal { medium: Some(medium), path: path.to_owned(), entries, next, is_bound, failed: false, clock })
    }

    /// Reads a journal without locking it, for reports on a run that may still be running. Lines of somebody else are passed over.
    #[doc(hidden)]
    pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
        Ok(Journal::read_all(path)?.entries)
    }

    /// Like [`Journal::read`]; also returns what else is in the file.
    #[doc(hidden)]
    pub fn read_all(path: &Path) -> Result<JournalContent, JournalError> {
        let bytes = std::fs::read(path).map_err(|e| io(path, e))?;
        let Lines { entries, valid, foreign, .. } = Lines::parse(path, &bytes)?;
        let is_torn = foreign.is_empty() && valid < bytes.len();
        Ok(JournalContent { entries, is_torn, foreign })
    }

    /// Takes the lines of somebody else out of the journal at `path`, and keeps the file as it was beside it. Returns the path of
    /// that copy, or `None` if there is no such line.
    ///
    /// # Errors
    /// If a record is missing or damaged, if another process writes the journal, or if the disk fails; the journal is as it was
    /// then.
    #[doc(hidden)]
    pub fn set_aside(path: &Path) -> Result<Option<PathBuf>, JournalError> {
        let _locked = open_locked(path, File::options().read(true).append(true))?;
        let bytes = std::fs::read(path).map_err(|e| io(path, e))?;
        let Lines { places, foreign, .. } = Lines::parse(path, &bytes)?;
        if foreign.is_empty() {
            return Ok(None);
        }
        let names = (1u32..).map(|number| path.with_extension(format!("with-foreign-lines-{number}")));
        let copy = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| path.with_extension("copy"));
        write_durably(&copy, &bytes).map_err(|e| io(&copy, e))?;
        let kept: Vec<u8> = places.into_iter().flat_map(|place| bytes[place].to_vec()).collect();
        let new = path.with_extension("new");
        write_durably(&new, &kept).and_then(|()| std::fs::rename(&new, path)).map_err(|e| io(path, e))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io(path, e))?;
        Ok(Some(copy))
    }

    /// Writes a record and waits until it is on the disk.
    ///
    /// A record that could not be read back, as one with a number that is not finite, is rejected before it is written, and
    /// so is a second start over a measured baseline. After any other error nothing is written any more, since the content
    /// of the disk is only known when it is read again.
    #[doc(hidden)]
    pub fn append(&mut self, record: Record) -> Result<Entry, JournalError> {
        if self.is_bound && matches!(record, Record::Started(_)) {
            return Err(JournalFault::AlreadyStarted(self.path.clone()).into());
        }
        let is_decision = matches!(record, Record::Decided(_));
        let suspended = self.clock.suspended();
        let entry = Entry { v: VERSION, seq: self.next, at: Moment::now(), suspended, record };
        if let Some(medium) = &mut self.medium {
            if self.failed {
                return Err(JournalFault::Failed(self.path.clone()).into());
            }
            let line = format_line(&entry).map_err(|why| JournalFault::Unreadable { seq: self.next, why })?;
            // Failed until the write has succeeded, also if it never returns.
            self.failed = true;
            medium.append(&line).and_then(|()| medium.sync()).map_err(|e| io(&self.path, e))?;
            self.failed = false;
        }
        self.next += 1;
        self.is_bound |= is_decision;
        Ok(entry)
    }
}

/// Everything in the file of a journal.
#[derive(Debug)]
pub struct JournalContent {
    /// The records.
    pub entries: Vec<Entry>,
    /// True if the last line is torn, by a crash in the middle of a write or because it is just being written. Opening the journal
    /// cuts it off.
    pub is_torn: bool,
    /// Lines that are no record, among which no record is missing.
    pub foreign: Vec<ForeignLine>,
}

/// Writes a new file. Whatever is there already, such as a link to elsewhere, is removed.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(path)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file on the disk, locked by [`lock`].
struct OnDisk(File);

impl Medium for OnDisk {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        failpoint::point("journal: before cutting a torn tail");
        self.0.set_len(length)?;
        failpoint::point("journal: after cutting a torn tail");
        self.0.sync_all()
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        failpoint::point("journal: before a line");
        if failpoint::ENABLED {
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            failpoint::point("journal: half a line");
            return self.0.write_all(&bytes[bytes.len() / 2..]);
        }
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        failpoint::point("journal: before the fsync");
        self.0.sync_data()?;
        failpoint::point("journal: after the fsync");
        Ok(())
    }
}

/// Number of tries to lock a journal, and the wait after each: a second together, in which a busy machine starts a process.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Opens a file and locks it against other writers. While the lock is waited for, its holder may put another file in its place: a
/// record that is written into the old one would be lost.
fn open_locked(path: &Path, options: &std::fs::OpenOptions) -> Result<File, JournalError> {
    loop {
        let file = options.open(path).map_err(|e| io(path, e))?;
        lock(&file, path)?;
        if is_at(&file, path).map_err(|e| io(path, e))? {
            return Ok(file);
        }
    }
}

/// Tells whether a path still leads to an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> std::io::Result<bool> {
    Ok(true)
}

/// Locks the file against other writers.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    // A process that is just being started holds a copy of every descriptor, and with it the lock, until its exec: a
    // short wait tells it from a second writer.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(io(path, error)),
        }
    }
    Err(JournalFault::Locked(path.to_owned()).into())
}

#[cfg(test)]
mod tests;
