//! Recordings of requests and responses as JSON Lines, without the key, and their replay in place of a server.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::TextDiff;
use thiserror::Error;

use super::key::Secret;
use super::request::{Headers, Request};

/// Longest difference in an error message, in characters.
const SHOWN: usize = 4000;

/// A recording that requests are written to or answered from. Clones share its position.
#[derive(Debug, Clone, Default)]
pub struct Cassette(Option<Arc<Mutex<Mode>>>);

#[derive(Debug)]
enum Mode {
    Record(File),
    Replay { entries: VecDeque<Entry>, played: usize },
}

/// Reason why a cassette cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// The file cannot be read or written.
    #[error("the cassette {path}: {source}", path = .0.display(), source = .1)]
    Io(PathBuf, std::io::Error),
    /// The recording cannot be written.
    #[error("the cassette cannot be written: {0}")]
    Write(std::io::Error),
    /// A line is not a recorded request.
    #[error("line {line} of the cassette {path} is not a recorded request: {why}", path = .path.display())]
    Malformed {
        /// Path of the cassette.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Reason for the failure.
        why: String,
    },
    /// The request differs from the recorded one.
    #[error("request {number} differs from the recorded one (- recorded, + now):\n{difference}")]
    Differs {
        /// Number of the request, from 1.
        number: usize,
        /// Unified diff from the recorded request to the present one.
        difference: String,
    },
    /// The recording holds no further request; it holds this many.
    #[error("the cassette ends after {0} requests, but the search sends one more")]
    Over(usize),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    request: Asked,
    response: Answered,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    url: String,
    headers: Headers,
    body: Value,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Answered {
    status: Option<u16>,
    headers: Headers,
    body: String,
    /// Body as hexadecimal digits where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    /// Reason for which the connection failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

/// A recorded response.
pub(super) struct Tape {
    pub status: Option<u16>,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub cut: Option<String>,
}

impl Cassette {
    /// A cassette that neither records nor replays.
    pub fn none() -> Cassette {
        Cassette(None)
    }

    /// Returns true if the cassette records or replays.
    pub(super) fn is_used(&self) -> bool {
        self.0.is_some()
    }

    /// Appends every request with its response to `path`.
    pub fn record_to(path: &Path) -> Result<Cassette, CassetteError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder.map_or(Ok(()), std::fs::create_dir_all);
        let file = made.and_then(|()| OpenOptions::new().create(true).append(true).open(path));
        let file = file.map_err(|e| CassetteError::Io(path.to_owned(), e))?;
        Ok(Cassette(Some(Arc::new(Mutex::new(Mode::Record(file))))))
    }

    /// Answers every request with the next recorded response and sends nothing.
    pub fn replay_from(path: &Path) -> Result<Cassette, CassetteError> {
        let text = std::fs::read_to_string(path).map_err(|e| CassetteError::Io(path.to_owned(), e))?;
        let parse = |(at, line): (usize, &str)| {
            let malformed = |why: String| CassetteError::Malformed { path: path.to_owned(), line: at + 1, why };
            let entry: Entry = serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
            match entry.response.bytes.as_deref().is_some_and(|digits| from_hex(digits).is_none()) {
                true => Err(malformed("`bytes` are not hexadecimal digits".into())),
                false => Ok(entry),
            }
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let entries = lines.map(parse).collect::<Result<_, _>>()?;
        Ok(Cassette(Some(Arc::new(Mutex::new(Mode::Replay { entries, played: 0 })))))
    }

    /// Returns the number of recorded requests that are not replayed yet.
    pub fn left(&self) -> usize {
        match self.mode().as_deref() {
            Some(Mode::Replay { entries, .. }) => entries.len(),
            _ => 0,
        }
    }

    pub(crate) fn replays(&self) -> bool {
        matches!(self.mode().as_deref(), Some(Mode::Replay { .. }))
    }

    fn mode(&self) -> Option<MutexGuard<'_, Mode>> {
        self.0.as_ref().map(|mode| mode.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the recorded response to `request` if the cassette replays.
    pub(super) fn next(&self, request: &Request) -> Result<Option<Tape>, CassetteError> {
        let mut mode = self.mode();
        let Some(Mode::Replay { entries, played }) = mode.as_deref_mut() else { return Ok(None) };
        let entry = entries.pop_front().ok_or(CassetteError::Over(*played))?;
        *played += 1;
        let now = asked(request);
        if now != entry.request {
            let difference = difference(&entry.request, &now);
            return Err(CassetteError::Differs { number: *played, difference });
        }
        let Answered { status, headers, body, bytes, cut } = entry.response;
        let body = bytes.as_deref().and_then(from_hex).unwrap_or(body.into_bytes());
        Ok(Some(Tape { status, headers, body, cut }))
    }

    /// Starts to record a request if the cassette records.
    pub(super) fn record(&self, request: &Request) -> Option<Recording> {
        matches!(self.mode().as_deref(), Some(Mode::Record(_))).then(|| Recording {
            cassette: self.clone(),
            entry: Some(Entry { request: asked(request), response: Answered::default() }),
            body: Vec::new(),
            key: request.key.as_ref().map(|(_, _, key)| key.clone()),
        })
    }
}

/// A request whose response is being recorded. One that is dropped early is recorded as cut.
pub(super) struct Recording {
    cassette: Cassette,
    entry: Option<Entry>,
    body: Vec<u8>,
    key: Option<Secret>,
}

impl Recording {
    pub fn head(mut self, status: u16, headers: &Headers) -> Recording {
        // Only the headers that decide something; cookies stay out.
        let kept = |name: &str| {
            name == "content-type"
                || name.contains("retry")
                || name.contains("ratelimit")
                || name.contains("request-id")
        };
        if let Some(entry) = &mut self.entry {
            entry.response.status = Some(status);
            entry.response.headers =
                headers.iter().filter(|(name, _)| kept(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        }
        self
    }

    pub fn piece(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    pub fn end(mut self, cut: Option<String>) -> Result<(), CassetteError> {
        self.write(cut)
    }

    fn write(&mut self, cut: Option<String>) -> Result<(), CassetteError> {
        let Some(mut entry) = self.entry.take() else { return Ok(()) };
        entry.response.cut = cut;
        match std::str::from_utf8(&self.body) {
            Ok(text) => entry.response.body = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.censor(text)),
            Err(_) => entry.response.bytes = Some(self.body.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
        let mut line = serde_json::to_string(&entry).map_err(|e| CassetteError::Write(e.into()))?;
        line.push('\n');
        match self.cassette.mode().as_deref_mut() {
            Some(Mode::Record(file)) => file.write_all(line.as_bytes()).map_err(CassetteError::Write),
            _ => Ok(()),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // A destructor cannot report a failure.
        let _ = self.write(Some("the response was not read to its end".into()));
    }
}

fn asked(request: &Request) -> Asked {
    let headers = request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Asked { url: request.url.clone(), headers, body: request.body.clone() }
}

fn difference(then: &Asked, now: &Asked) -> String {
    // A line break within a string becomes a line of the comparison.
    let lines = |asked: &Asked| serde_json::to_string_pretty(asked).unwrap_or_default().replace("\\n", "\n");
    let (then, now) = (lines(then), lines(now));
    let diff = TextDiff::from_lines(&then, &now);
    diff.unified_diff().context_radius(1).to_string().chars().take(SHOWN).collect()
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if digits.len().is_multiple_of(2) { digits.chunks(2).map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        Request {
            url: "http://localhost/v1".into(),
            headers: vec![("x-version", "1".into())],
            key: Some(("x-api-key", "", Secret::new("sk-very-secret"))),
            body: serde_json::json!({ "text": text }),
        }
    }

    #[test]
    fn what_was_recorded_is_replayed_and_a_difference_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        let cassette = Cassette::record_to(&path).unwrap();
        for (text, body) in [("one\ntwo", &b"your key sk-very-secret is wrong"[..]), ("three", &[0xff, 0x00][..])] {
            let mut recording = cassette.record(&request(text)).unwrap().head(401, &Headers::default());
            recording.piece(body);
            recording.end(None).unwrap();
        }
        drop(cassette.record(&request("given up")));
        assert!(!std::fs::read_to_string(&path).unwrap().contains("very-secret"));

        let cassette = Cassette::replay_from(&path).unwrap();
        assert_eq!(cassette.next(&request("one\ntwo")).unwrap().unwrap().body, b"your key [key] is wrong");
        assert_eq!(cassette.next(&request("three")).unwrap().unwrap().body, [0xff, 0x00]);
        let error = cassette.next(&request("given away")).err().unwrap().to_string();
        assert!(
            error.contains("-    \"text\": \"given up\"") && error.contains("+    \"text\": \"given away\""),
            "{error}"
        );
        assert!(matches!(cassette.next(&request("more")), Err(CassetteError::Over(3))));
    }

    #[test]
    fn a_broken_cassette_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        std::fs::write(&path, "\n{}\n").unwrap();
        assert!(Cassette::replay_from(&path).unwrap_err().to_string().contains("line 2"));
    }
}
