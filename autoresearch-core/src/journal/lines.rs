//! The lines of a journal: records with their checksums, a torn tail, and whatever somebody else may have written between them.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entry::Entry;
use super::error::{JournalError, JournalFault};
use super::record::VERSION;

/// The beginning of every line.
const START: &[u8] = b"{\"crc\":";

/// Beginnings within a line at which a record is looked for, from the end.
const BEGINNINGS: usize = 16;

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

/// A line that is no record: something else than the lab wrote it, or the disk has damaged what the lab wrote last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignLine {
    /// Its number, from 1.
    pub number: usize,
    /// The reason why it is no record, in words.
    pub why: String,
}

/// The lines of a journal.
pub(super) struct Lines {
    /// The records, of which none is missing.
    pub(super) entries: Vec<Entry>,
    /// The bytes of each record's line.
    pub(super) places: Vec<Range<usize>>,
    /// Number of bytes up to the end of the last record.
    pub(super) valid: usize,
    /// Lines between and behind the records.
    pub(super) foreign: Vec<ForeignLine>,
}

impl Lines {
    /// Parses the bytes of the journal at `path`.
    ///
    /// Every record has the number of the one before it and one more, so that a foreign line is told from a damaged one by what
    /// follows: only behind a damaged record is one missing. One line at the end without a whole record is a torn tail, and no
    /// foreign line.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Lines, JournalError> {
        let damaged = |line, why| JournalError::from(JournalFault::Damaged { path: path.to_owned(), line, why });
        let mut lines = Lines { entries: Vec::new(), places: Vec::new(), valid: 0, foreign: Vec::new() };
        let mut at = 0;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            at += line.len();
            let number = index + 1;
            let expected = lines.entries.len() as u64;
            let body = match checksum(line) {
                Ok(body) => body,
                Err(why) => {
                    // What somebody wrote without the end of a line stands before the next record.
                    if let Some((start, entry)) = hidden(line).find(|(_, entry)| entry.seq == expected) {
                        lines.take(entry, at - line.len() + start..at);
                    }
                    lines.foreign.push(ForeignLine { number, why });
                    continue;
                }
            };
            // The version is checked first: another one has records that this program does not know.
            if let Ok(Versioned { v: found }) = serde_json::from_str(body)
                && found != VERSION
            {
                return Err(JournalFault::Version { path: path.to_owned(), found }.into());
            }
            let entry: Entry = serde_json::from_str(body).map_err(|e| damaged(number, e.to_string()))?;
            if entry.seq != expected {
                return Err(match lines.foreign.first() {
                    Some(first) if entry.seq > expected => damaged(first.number, first.why.clone()),
                    _ => damaged(number, format!("record {expected} was expected, {} found", entry.seq)),
                });
            }
            lines.take(entry, at - line.len()..at);
        }
        lines.take_torn_tail(&bytes[lines.valid..]).map_err(|line| damaged(line.number, line.why))?;
        Ok(lines)
    }

    fn take(&mut self, entry: Entry, place: Range<usize>) {
        self.entries.push(entry);
        self.valid = place.end;
        self.places.push(place);
    }

    /// A crash tears one line: each is durable before the next is written. If the end of a line in the middle is damaged, the next
    /// record hides in that line.
    fn take_torn_tail(&mut self, tail: &[u8]) -> Result<(), ForeignLine> {
        let of_tail = tail.split_inclusive(|byte| *byte == b'\n').count();
        if of_tail == 0 {
            return Ok(());
        }
        let first = self.foreign.len().saturating_sub(of_tail);
        if tail.split_inclusive(|byte| *byte == b'\n').any(|line| hidden(line).next().is_some()) {
            return Err(self.foreign.swap_remove(first));
        }
        // Its beginning is that of a record, or there is not even an end.
        if of_tail == 1 && (!tail.ends_with(b"\n") || tail.starts_with(b"{\"crc\"")) {
            self.foreign.pop();
        }
        Ok(())
    }
}

/// Formats an entry as a line, and checks that it can be read back.
pub(super) fn format_line(entry: &Entry) -> Result<Vec<u8>, String> {
    let body = serde_json::value::to_raw_value(entry).map_err(|e| e.to_string())?;
    let crc = format!("{:08x}", crc32c::crc32c(body.get().as_bytes()));
    let mut line = serde_json::to_vec(&Line { crc, body: &body }).map_err(|e| e.to_string())?;
    line.push(b'\n');
    serde_json::from_str::<Entry>(checksum(&line)?).map_err(|e| e.to_string())?;
    Ok(line)
}

/// The whole records that stand in a line after its beginning, with the places where they begin, the last one first.
///
/// Each reaches to the end of the line, so that there is one at most: a few beginnings are tried, since a change may hold the same
/// words. A text of nothing but beginnings would take hours otherwise.
fn hidden(line: &[u8]) -> impl Iterator<Item = (usize, Entry)> {
    let starts = (1..line.len()).rev().filter(|at| line[*at..].starts_with(START)).take(BEGINNINGS);
    starts.filter_map(|at| Some((at, serde_json::from_str(checksum(&line[at..]).ok()?).ok()?)))
}

/// Returns the body of a line, if the line is whole.
fn checksum(line: &[u8]) -> Result<&str, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let line: Line<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let found = format!("{:08x}", crc32c::crc32c(line.body.get().as_bytes()));
    if found == line.crc { Ok(line.body.get()) } else { Err("the checksum does not fit".into()) }
}
