//! The truth of a run: an append-only file of JSON lines, each with a checksum, each on the disk before the next step.
//!
//! A line is `{"crc":"…","body":{"v":1,"seq":0,"at":"…","record":{…}}}`; the checksum is CRC-32C over the bytes of `body`.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::crash;
use crate::metric::{Direction, Measurement};
use crate::proposer::Cost;
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Revision};
use crate::state::Status;

/// The version of the format that is written.
pub const VERSION: u32 = 1;
const VERSION_AFTER: u32 = VERSION + 1;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The run begins. Always the first record.
    Started {
        /// Its name.
        tag: String,
        /// What the search starts from, if that has a name before it is staged.
        base: Option<Revision>,
        /// The metric's name.
        metric: String,
        /// Which way is better.
        direction: Direction,
        /// A hash of everything that decides the number; it may not change within a run.
        policy: String,
        /// The run's seed.
        seed: u64,
    },
    /// An experiment is going to be made.
    Intent {
        /// Its number; 0 is the baseline.
        experiment: u32,
        /// The incumbent that it changes; `None` for the baseline.
        parent: Option<Revision>,
        /// What will run.
        candidate: Candidate,
        /// One line.
        description: String,
        /// Why it should help.
        hypothesis: String,
        /// The change itself.
        change: serde_json::Value,
        /// What the proposal cost.
        cost: Cost,
    },
    /// A run of an experiment begins.
    Attempt {
        /// Of which experiment.
        experiment: u32,
        /// Counts its runs, from 1.
        attempt: u32,
        /// Which revision runs.
        side: Side,
        /// The seed given to it.
        seed: u64,
    },
    /// A run ended by itself or was killed at its limit.
    Measured {
        /// Of which experiment.
        experiment: u32,
        /// Which run.
        attempt: u32,
        /// Which revision ran.
        side: Side,
        /// How it ended, with only the last lines of its log.
        outcome: Outcome,
        /// The number, or why there is none.
        result: Result<Measurement, String>,
    },
    /// The decision on an experiment: from here on it is final.
    Decision {
        /// Which experiment.
        experiment: u32,
        /// Keep, discard or crash.
        status: Status,
        /// Why, in one line.
        reason: String,
        /// The incumbent from now on, if it was kept.
        to: Option<Revision>,
    },
    /// A kept revision has become the incumbent outside of the journal, too.
    Applied {
        /// Which experiment.
        experiment: u32,
    },
    /// A proposal was refused without an experiment.
    Refused {
        /// What it was.
        description: String,
        /// Why.
        reason: String,
        /// The change itself.
        #[serde(default)]
        change: serde_json::Value,
        /// What it cost.
        cost: Cost,
    },
    /// After several crashes in a row the incumbent was run again, to see whether the machine is at fault.
    Checked {
        /// Why the incumbent gave no number, if it gave none.
        failure: Option<String>,
    },
    /// The run stopped in an orderly way; it can be continued.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// A record as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format's version.
    pub v: u32,
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub record: Record,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    crc: String,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process writes it.
    #[error(
        "{0} is in use: this run is already going on in another process; stop that one, or start a run with another tag"
    )]
    Locked(PathBuf),
    /// A line in the middle is damaged.
    #[error(
        "line {line} of {path} is damaged ({why}), and valid lines follow it; restore the file from a copy, or start a run with another tag"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A newer version wrote it.
    #[error("{path} was written in format {found}, this program knows {VERSION}; use the newer program")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The records contradict each other.
    #[error("the journal contradicts itself at record {seq}: {why}")]
    Contradiction {
        /// The record's number.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// The disk is full.
    #[error(
        "no space is left on the disk for the journal {0}; free some and run the same command again, nothing is lost"
    )]
    DiskFull(PathBuf),
    /// A write failed before; the journal must be opened anew.
    #[error("the journal {0} failed before and must be opened anew: run the same command again")]
    Failed(PathBuf),
    /// Reading or writing failed.
    #[error("the journal {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A record cannot be written as JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn io(path: &Path, source: std::io::Error) -> JournalError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => JournalError::DiskFull(path.to_owned()),
        _ => JournalError::Io { path: path.to_owned(), source },
    }
}

/// Where a journal's bytes are kept: a file, unless a test wants otherwise.
pub trait Medium: Send {
    /// Everything that was written.
    fn read(&mut self) -> std::io::Result<Vec<u8>>;

    /// Cuts off what follows the first `length` bytes, durably.
    fn truncate(&mut self, length: u64) -> std::io::Result<()>;

    /// Adds bytes at the end. They need not be durable before [`Medium::sync`].
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// Returns when everything appended is durable.
    fn sync(&mut self) -> std::io::Result<()>;
}

/// An open journal, locked against other writers as long as it lives.
pub struct Journal {
    medium: Option<Box<dyn Medium>>,
    path: PathBuf,
    next: u64,
    failed: bool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal that is kept nowhere, for searches that need not survive.
    pub fn in_memory() -> Journal {
        Journal { medium: None, path: PathBuf::new(), next: 0, failed: false }
    }

    /// Opens or makes the journal at `path`, and returns what it holds.
    ///
    /// A torn last line, left by a power cut in the middle of a write, was never acknowledged and is cut off. Damage
    /// before a valid line is an error.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Entry>), JournalError> {
        // A bare file name has an empty parent.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| io(path, e))?;
        let file = File::options().read(true).append(true).create(true).open(path).map_err(|e| io(path, e))?;
        lock(&file, path)?;
        crash::point("journal: locked");
        let opened = Journal::over(Box::new(OnDisk(file)), path)?;
        // The file's own directory entry must survive a power cut as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io(path, e))?;
        crash::point("journal: opened");
        Ok(opened)
    }

    /// A journal over any medium; `path` names it in messages. Keeping other writers away is the medium's business.
    pub fn over(mut medium: Box<dyn Medium>, path: &Path) -> Result<(Journal, Vec<Entry>), JournalError> {
        let bytes = medium.read().map_err(|e| io(path, e))?;
        let (entries, valid) = parse(path, &bytes)?;
        if valid < bytes.len() {
            medium.truncate(valid as u64).map_err(|e| io(path, e))?;
        }
        medium.sync().map_err(|e| io(path, e))?;
        let next = entries.len() as u64;
        Ok((Journal { medium: Some(medium), path: path.to_owned(), next, failed: false }, entries))
    }

    /// Reads a journal without locking it, for reports on a run that may still be going on.
    pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
        Ok(Journal::read_with_tail(path)?.0)
    }

    /// Like [`Journal::read`], and how many lines at the end are no records. One is what a crash in the middle of a write
    /// leaves, or what is just being written; opening the journal cuts them off.
    pub fn read_with_tail(path: &Path) -> Result<(Vec<Entry>, usize), JournalError> {
        let bytes = std::fs::read(path).map_err(|e| io(path, e))?;
        let (entries, valid) = parse(path, &bytes)?;
        let tail = bytes.get(valid..).unwrap_or_default();
        Ok((entries, tail.split_inclusive(|byte| *byte == b'\n').count()))
    }

    /// Writes a record and waits until it is on the disk.
    ///
    /// After an error nothing is written any more: what is on the disk then is only known when it is read again.
    pub fn append(&mut self, record: Record) -> Result<Entry, JournalError> {
        let entry = Entry { v: VERSION, seq: self.next, at: Timestamp::now(), record };
        if let Some(medium) = &mut self.medium {
            if self.failed {
                return Err(JournalError::Failed(self.path.clone()));
            }
            let body = serde_json::value::to_raw_value(&entry)?;
            let crc = format!("{:08x}", crc32c::crc32c(body.get().as_bytes()));
            let mut line = serde_json::to_vec(&Line { crc, body: &body })?;
            line.push(b'\n');
            // Also if the system call is interrupted for good: failed until proven otherwise.
            self.failed = true;
            medium.append(&line).and_then(|()| medium.sync()).map_err(|e| io(&self.path, e))?;
            self.failed = false;
        }
        self.next += 1;
        Ok(entry)
    }
}

/// A file that is locked by whoever opened it.
struct OnDisk(File);

impl Medium for OnDisk {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        crash::point("journal: before cutting a torn tail");
        self.0.set_len(length)?;
        crash::point("journal: after cutting a torn tail");
        self.0.sync_all()
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        crash::point("journal: before a line");
        if crash::ENABLED {
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            crash::point("journal: half a line");
            return self.0.write_all(&bytes[bytes.len() / 2..]);
        }
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        crash::point("journal: before the fsync");
        self.0.sync_data()?;
        crash::point("journal: after the fsync");
        Ok(())
    }
}

/// Locks the file against other writers.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    // A process that is just being started holds a copy of every descriptor, and with it the lock, until its exec: a
    // moment's patience tells it from a second writer.
    for _ in 0..20 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(io(path, error)),
        }
    }
    Err(JournalError::Locked(path.to_owned()))
}

/// The valid entries, and how many bytes they take. Only a tail without any whole line may be invalid.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), JournalError> {
    let damaged = |line, why| JournalError::Damaged { path: path.to_owned(), line, why };
    let mut entries = Vec::new();
    let mut valid = 0;
    let mut torn: Option<(usize, String)> = None;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let body = match (checksum(line), &torn) {
            (Ok(_), Some((line, why))) => return Err(damaged(*line, why.clone())),
            (Ok(body), None) => body,
            (Err(why), None) => {
                torn = Some((index + 1, why));
                continue;
            }
            (Err(_), Some(_)) => continue,
        };
        // The version first: a newer one may have records that this program does not know.
        if let Ok(Versioned { v: found @ VERSION_AFTER.. }) = serde_json::from_str(body) {
            return Err(JournalError::Version { path: path.to_owned(), found });
        }
        let entry: Entry = serde_json::from_str(body).map_err(|e| damaged(index + 1, e.to_string()))?;
        if entry.seq != entries.len() as u64 {
            return Err(damaged(index + 1, format!("record {} was expected, {} found", entries.len(), entry.seq)));
        }
        entries.push(entry);
        valid += line.len();
    }
    // A line's end may be what is damaged: then the next record hides in the same line.
    if let Some((line, why)) = torn
        && hides_a_record(&bytes[valid..])
    {
        return Err(damaged(line, why));
    }
    Ok((entries, valid))
}

/// Whether a whole record stands in a torn tail behind its beginning.
fn hides_a_record(tail: &[u8]) -> bool {
    const START: &[u8] = b"{\"crc\":";
    let starts = (1..tail.len()).filter(|at| tail[*at..].starts_with(START));
    let line = |at: usize| tail[at..].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    starts.into_iter().any(|at| checksum(line(at)).is_ok())
}

/// The body of a line, if the line is whole.
fn checksum(line: &[u8]) -> Result<&str, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let line: Line<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let found = format!("{:08x}", crc32c::crc32c(line.body.get().as_bytes()));
    if found == line.crc { Ok(line.body.get()) } else { Err("the checksum does not fit".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stopped(reason: &str) -> Record {
        Record::Stopped { reason: reason.into() }
    }

    fn written(count: usize) -> (tempfile::TempDir, PathBuf, Vec<Entry>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/journal.jsonl");
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert!(entries.is_empty());
        let entries = (0..count).map(|i| journal.append(stopped(&format!("n{i}"))).unwrap()).collect();
        (folder, path, entries)
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let first = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Locked(_))));
        drop(first);
        assert!(Journal::open(&path).is_ok());
    }

    #[test]
    fn a_line_that_is_missing_is_noticed() {
        let (_folder, path, _) = written(4);
        let text = std::fs::read_to_string(&path).unwrap();
        let rest: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
        std::fs::write(&path, rest.join("\n") + "\n").unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
    }

    /// Fails once, in the middle of a line.
    struct Full(Vec<u8>, bool);

    impl Medium for Full {
        fn read(&mut self) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }

        fn truncate(&mut self, length: u64) -> std::io::Result<()> {
            self.0.truncate(length as usize);
            Ok(())
        }

        fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            let full = std::mem::take(&mut self.1);
            self.0.extend_from_slice(if full { &bytes[..bytes.len() / 2] } else { bytes });
            if full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_journal_that_failed_writes_no_more() {
        let (mut journal, _) = Journal::over(Box::new(Full(vec![], true)), Path::new("j")).unwrap();
        assert!(matches!(journal.append(stopped("a")), Err(JournalError::DiskFull(_))));
        // There is room again, but the line would be glued to the torn one.
        assert!(matches!(journal.append(stopped("b")), Err(JournalError::Failed(_))));
    }

    #[test]
    fn a_bare_file_name_is_a_path() {
        let name = format!("bare-{}.jsonl", std::process::id());
        let opened = Journal::open(Path::new(&name));
        std::fs::remove_file(&name).unwrap();
        assert!(opened.is_ok());
    }

    #[test]
    fn a_newer_format_is_refused() {
        let (_folder, path, _) = written(0);
        let body = format!(
            "{{\"v\":{},\"seq\":0,\"at\":\"2026-01-01T00:00:00Z\",\"record\":{{\"type\":\"stopped\",\"reason\":\"\"}}}}",
            VERSION + 1
        );
        let crc = crc32c::crc32c(body.as_bytes());
        std::fs::write(&path, format!("{{\"crc\":\"{crc:08x}\",\"body\":{body}}}\n")).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Version { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_torn_tail_loses_no_acknowledged_record(count in 1usize..6, cut in 0usize..400) {
            let (_folder, path, entries) = written(count);
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut % (bytes.len() + 1);
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
            let (mut journal, found) = Journal::open(&path).unwrap();
            prop_assert_eq!(&found[..], &entries[..whole]);
            journal.append(stopped("again")).unwrap();
            drop(journal);
            prop_assert_eq!(Journal::open(&path).unwrap().1.len(), whole + 1);
        }

        #[test]
        fn scores_are_read_back_to_the_last_bit(bits: u64) {
            let Some(score) = crate::metric::Score::new(f64::from_bits(bits)) else { return Ok(()) };
            let text = serde_json::to_string(&score).unwrap();
            let back: crate::metric::Score = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.get().to_bits(), score.get().to_bits());
        }

        #[test]
        fn a_flipped_bit_before_a_valid_line_is_noticed(at in 0usize..100_000, bit in 0u8..8) {
            let (_folder, path, entries) = written(4);
            let mut bytes = std::fs::read(&path).unwrap();
            let last = bytes.len() - 1 - bytes[..bytes.len() - 1].iter().rev().position(|b| *b == b'\n').unwrap();
            let at = at % last;
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            // A flip that leaves the JSON's meaning (the case of a hex digit of the checksum, white space) is no damage.
            match Journal::open(&path) {
                Err(JournalError::Damaged { .. } | JournalError::Version { .. }) => {}
                Ok((_, found)) => prop_assert_eq!(found, entries),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
