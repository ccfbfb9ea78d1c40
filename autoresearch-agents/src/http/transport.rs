//! Sends one request and reads its response piece by piece, each piece within its time limit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;
use tokio::time::timeout;

use super::cassette::{Cassette, CassetteError, Recording, Tape};
use super::limits;
use super::request::{Headers, Request};
use super::timeouts::{Timeouts, seconds};

/// Largest response in bytes; a longer one is an error.
const LARGEST: usize = 64 << 20;
/// Beginning of the reason for a failure before the request was sent; recordings tell it by that.
const NOT_CONNECTED: &str = "no connection: ";

/// Reason why a response is missing or incomplete.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection failed, was cut or stalled. Sending the request again may help.
    #[error("{0}")]
    Broken(String),
    /// The request may have reached the server, and the head of a response never came: the server may bill it. Sending it again
    /// may help.
    #[doc(hidden)]
    #[error("{0}")]
    Unanswered(String),
    /// The request itself is invalid: a wrong URL, or a key that no header can hold.
    #[error("{0}")]
    Unusable(String),
    /// The cassette has no response for this request.
    #[error(transparent)]
    Cassette(#[from] CassetteError),
}

/// Connections to one server.
#[derive(Debug)]
pub struct Transport {
    client: reqwest::Client,
    timeouts: Timeouts,
    cassette: Cassette,
    /// Time until which the server takes no more requests, by its rate-limit headers.
    closed_until: Mutex<Option<Instant>>,
}

impl Transport {
    /// Prepares connections to the server of `url`.
    pub fn new(url: &str, timeouts: Timeouts, cassette: Cassette) -> Result<Transport, Failure> {
        let unusable = |why: String| Failure::Unusable(format!("the base URL {url} cannot be used: {why}"));
        let parsed = reqwest::Url::parse(url).map_err(|e| unusable(e.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(unusable("it must begin with http:// or https://".into()));
        }
        let mut client = reqwest::Client::builder()
            .connect_timeout(seconds(timeouts.connect))
            // A redirect could carry the key to another server.
            .redirect(reqwest::redirect::Policy::none());
        if matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| unusable(chain(&e)))?;
        Ok(Transport { client, timeouts, cassette, closed_until: Mutex::new(None) })
    }

    /// Returns true if responses come from a cassette, so that no pause is needed.
    pub fn replays(&self) -> bool {
        self.cassette.replays()
    }

    /// Returns true if requests are recorded or replayed, so that they must be sent one after the other.
    pub fn has_order(&self) -> bool {
        self.cassette.is_used()
    }

    /// Returns the time for which the server takes no more requests, by its last headers.
    pub fn closed_for(&self) -> Duration {
        let until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Sends a request and returns as soon as the head of its response has arrived.
    pub async fn send(&self, request: &Request) -> Result<Stream, Failure> {
        if let Some(tape) = self.cassette.next(request)? {
            return Stream::replayed(tape);
        }
        let began = Instant::now();
        let recording = self.cassette.record(request);
        match self.send_live(request).await {
            Ok(response) => {
                let headers: Headers = response
                    .headers()
                    .iter()
                    .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                    .collect();
                if let Some(wait) = limits::wait(&headers, Timestamp::now()) {
                    let until = Instant::now().checked_add(wait);
                    *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
                }
                let status = response.status().as_u16();
                let recording = recording.map(|recording| recording.head(status, &headers));
                let live = Live {
                    response,
                    between: seconds(self.timeouts.between_bytes),
                    end: began + seconds(self.timeouts.whole).min(Duration::from_secs(1 << 30)),
                    left: LARGEST,
                    recording,
                };
                Ok(Stream { status, headers, source: Source::Live(Box::new(live)) })
            }
            Err(failure) => {
                if let Some(recording) = recording {
                    recording.end(Some(failure.to_string()))?;
                }
                Err(failure)
            }
        }
    }

    async fn send_live(&self, request: &Request) -> Result<reqwest::Response, Failure> {
        let mut builder = self.client.post(&request.url).header("content-type", "application/json");
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some((name, prefix, key)) = &request.key {
            let value = reqwest::header::HeaderValue::try_from(format!("{prefix}{}", key.reveal()));
            let mut value = value.map_err(|_| Failure::Unusable("the key holds what no header may hold".into()))?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let sent = builder.body(request.body.to_string()).send();
        let limit = seconds(self.timeouts.first_byte.min(self.timeouts.whole));
        match timeout(limit, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_builder() => Err(Failure::Unusable(chain(&error))),
            Ok(Err(error)) if error.is_connect() => {
                Err(Failure::Broken(format!("{NOT_CONNECTED}{}", chain(&error.without_url()))))
            }
            Ok(Err(error)) => Err(Failure::Unanswered(chain(&error.without_url()))),
            Err(_) => Err(Failure::Unanswered(format!("no response within {:.3} s", limit.as_secs_f64()))),
        }
    }
}

/// A response whose body is still arriving.
pub struct Stream {
    /// HTTP status code.
    pub status: u16,
    /// Headers of the response.
    pub headers: Headers,
    source: Source,
}

enum Source {
    Live(Box<Live>),
    Tape { body: Option<Vec<u8>>, cut: Option<String> },
}

struct Live {
    response: reqwest::Response,
    between: Duration,
    end: Instant,
    left: usize,
    recording: Option<Recording>,
}

impl Stream {
    fn replayed(tape: Tape) -> Result<Stream, Failure> {
        match (tape.status, tape.cut) {
            (None, Some(cut)) if cut.starts_with(NOT_CONNECTED) => Err(Failure::Broken(cut)),
            (None, cut) => Err(Failure::Unanswered(cut.unwrap_or_else(|| "there was no response".into()))),
            (Some(status), cut) => {
                let source = Source::Tape { body: Some(tape.body), cut };
                Ok(Stream { status, headers: tape.headers, source })
            }
        }
    }

    /// Returns the next piece of the body, or `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match &mut self.source {
            Source::Tape { body, cut } => match (body.take(), cut.take()) {
                (Some(bytes), left) => {
                    *cut = left;
                    Ok(Some(bytes))
                }
                (None, Some(cut)) => Err(Failure::Broken(cut)),
                (None, None) => Ok(None),
            },
            Source::Live(live) => live.next().await,
        }
    }

    /// Returns the body as text, cut after `most` bytes.
    pub async fn text(&mut self, most: usize) -> Result<String, Failure> {
        let mut text = Vec::new();
        while let Some(piece) = self.next().await? {
            text.extend(piece.iter().take(most.saturating_sub(text.len())));
            if text.len() >= most {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Live {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let left = self.end.saturating_duration_since(Instant::now());
        let limit = self.between.min(left);
        let result = match timeout(limit, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) if bytes.len() > self.left => {
                Err(Failure::Broken(format!("the response is larger than {LARGEST} bytes")))
            }
            Ok(Ok(bytes)) => Ok(bytes.map(|bytes| bytes.to_vec())),
            Ok(Err(error)) => Err(Failure::Broken(format!("the response was cut: {}", chain(&error.without_url())))),
            Err(_) if left <= self.between => Err(Failure::Broken("the response took longer than its limit".into())),
            Err(_) => Err(Failure::Broken(format!("the response stalled for {:.3} s", self.between.as_secs_f64()))),
        };
        match (&result, self.recording.take()) {
            (Ok(Some(bytes)), Some(mut recording)) => {
                recording.piece(bytes);
                self.recording = Some(recording);
            }
            (Ok(None), Some(recording)) => recording.end(None)?,
            (Err(failure), Some(recording)) => recording.end(Some(failure.to_string()))?,
            (_, None) => {}
        }
        self.left = self.left.saturating_sub(result.as_ref().map_or(0, |piece| piece.as_ref().map_or(0, Vec::len)));
        result
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
