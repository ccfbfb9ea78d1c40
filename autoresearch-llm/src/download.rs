//! Downloads that go on where they were cut, try again, and are verified before they count.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE, RETRY_AFTER};

use crate::corpus::file_sha256;
use crate::error::DataError;

/// Tries for one file, one after the other. A try that brought new bytes does not count.
const TRIES: u32 = 5;
/// Number of files that are downloaded at the same time.
const PARALLEL: usize = 4;
/// A server that says nothing for so long has stalled.
const STALL: Duration = Duration::from_secs(30);
/// Longest backoff, even when a server asks for more.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

/// One file to be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// From where.
    pub url: String,
    /// To where. Beside it lie `.part` and `.etag` while it is not complete.
    pub path: PathBuf,
}

/// The patience of a download: backoff after failures, and the wait for a silent server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Backoff after the first failure; it doubles with each further one.
    pub backoff: Duration,
    /// Time after which a silent server counts as a failure.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { backoff: Duration::from_secs(1), stall: STALL }
    }
}

/// Downloads what is missing, several files at a time, with a progress bar each.
pub fn download_all(downloads: &[Download]) -> Result<(), DataError> {
    let missing: Vec<&Download> = downloads.iter().filter(|download| !download.path.is_file()).collect();
    let queue = Mutex::new(missing.iter());
    let bars = MultiProgress::new();
    let work = || -> Result<(), DataError> {
        loop {
            let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            let Some(next) = next else { return Ok(()) };
            download(next, Patience::default(), &bars)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PARALLEL.min(missing.len())).map(|_| scope.spawn(work)).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        ended.into_iter().try_for_each(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The reason why a try failed, and whether another one makes sense.
struct Failure {
    why: String,
    again: bool,
    backoff: Option<Duration>,
    progress: bool,
}

impl Failure {
    fn transient(why: impl ToString) -> Failure {
        Failure { why: why.to_string(), again: true, backoff: None, progress: false }
    }
}

/// Downloads one file.
pub fn download(download: &Download, patience: Patience, bars: &MultiProgress) -> Result<(), DataError> {
    let Download { url, path } = download;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| DataError::write(folder, e))?;
    }
    let failed = |why: String| DataError::Download { url: url.clone(), why };
    // The blocking client applies its timeout to every single read of a body, not to the whole of it.
    let client = Client::builder().connect_timeout(patience.stall).timeout(patience.stall);
    let client = client.build().map_err(|e| failed(e.to_string()))?;
    let style = ProgressStyle::with_template("{msg} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .map_err(|e| failed(e.to_string()))?;
    let bar = bars.add(ProgressBar::no_length().with_style(style));
    bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());

    let mut failures = 0;
    loop {
        let failure = match try_once(&client, download, &bar)? {
            Ok(()) => {
                bar.finish_and_clear();
                return Ok(());
            }
            Err(failure) => failure,
        };
        failures = if failure.progress { 1 } else { failures + 1 };
        if !failure.again || failures >= TRIES {
            bar.abandon();
            return Err(failed(failure.why));
        }
        let doubled = patience.backoff.saturating_mul(1 << (failures - 1));
        std::thread::sleep(failure.backoff.unwrap_or(doubled).min(LONGEST_BACKOFF));
    }
}

/// The outer error is ours (the disk), the inner one the network's.
fn try_once(client: &Client, download: &Download, bar: &ProgressBar) -> Result<Result<(), Failure>, DataError> {
    let Download { url, path } = download;
    let (part, tag) = (beside(path, "part"), beside(path, "etag"));
    let have = part.metadata().map_or(0, |m| m.len());
    let known = std::fs::read_to_string(&tag).ok().filter(|tag| !tag.is_empty());

    let mut request = client.get(url);
    if let (1.., Some(tag)) = (have, &known) {
        // If the file changed meanwhile, the server sends it whole instead of a piece that does not fit.
        request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, tag);
    }
    let mut response = match request.send() {
        Ok(response) => response,
        Err(error) => return Ok(Err(Failure::transient(with_causes(&error)))),
    };
    let status = response.status();
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        let _ = std::fs::remove_file(&part);
        return Ok(Err(Failure::transient("what was there already is longer than the file; starting again")));
    }
    if !status.is_success() {
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        let backoff =
            header(response.headers(), RETRY_AFTER.as_str()).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        return Ok(Err(Failure { why: format!("the server answered {status}"), again, backoff, progress: false }));
    }
    let resumed = status == StatusCode::PARTIAL_CONTENT
        && header(response.headers(), CONTENT_RANGE.as_str())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    if status == StatusCode::PARTIAL_CONTENT && !resumed {
        let _ = std::fs::remove_file(&part);
        return Ok(Err(Failure::transient("the server sent another piece than asked for")));
    }
    let start = if resumed { have } else { 0 };
    let total = response.content_length().map(|rest| start + rest);
    // A weak tag does not promise the same bytes.
    let etag = header(response.headers(), ETAG.as_str()).filter(|tag| !tag.starts_with("W/")).unwrap_or_default();
    std::fs::write(&tag, etag).map_err(|e| DataError::write(&tag, e))?;
    let sha256 = promised_sha256(&response);
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(start);

    let file = File::options().create(true).append(resumed).write(true).truncate(!resumed).open(&part);
    let mut file = file.map_err(|e| DataError::write(&part, e))?;
    let mut buffer = vec![0; 1 << 16];
    let mut received = start;
    let cut = loop {
        match response.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => {
                file.write_all(&buffer[..count]).map_err(|e| DataError::write(&part, e))?;
                received += count as u64;
                bar.set_position(received);
            }
            Err(error) => break Some(with_causes(&error)),
        }
    };
    file.sync_all().map_err(|e| DataError::write(&part, e))?;
    if cut.is_some() || total.is_some_and(|total| received != total) {
        let why = cut.unwrap_or_else(|| format!("the connection ended after {received} bytes"));
        return Ok(Err(Failure {
            progress: received > start && !known.unwrap_or_default().is_empty(),
            ..Failure::transient(why)
        }));
    }
    if let Some(sha256) = sha256
        && file_sha256(&part)? != sha256
    {
        let _ = std::fs::remove_file(&part);
        return Ok(Err(Failure::transient("its SHA-256 is not the one that the server announced")));
    }
    std::fs::rename(&part, path).map_err(|e| DataError::write(path, e))?;
    let _ = std::fs::remove_file(&tag);
    Ok(Ok(()))
}

/// Hugging Face announces the SHA-256 of large files in `x-linked-etag`; behind its redirect, in the tag itself.
fn promised_sha256(response: &Response) -> Option<String> {
    let names = ["x-linked-etag", ETAG.as_str()];
    let mut tags = names.iter().filter_map(|name| header(response.headers(), name));
    tags.find_map(|tag| {
        let tag = tag.trim_matches('"').to_ascii_lowercase();
        (tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit())).then_some(tag)
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// An error with what caused it, which is where the telling part stands.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
