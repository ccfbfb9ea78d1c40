//! A key proxy: the agent talks to a port on loopback with a key that is worth nothing elsewhere; the real key is added
//! here and never enters the agent's process, nor those that it starts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use autoresearch_core::ProposerError;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::usage::Counter;
use crate::http::Secret;
use crate::model::budget::Ledger;
use crate::model::{Caps, Prices, Usage};

mod bill;
mod wire;

use bill::Call;
use wire::{Relay, causes, refusal, shows, stays_here};

/// The largest request that is forwarded.
const REQUEST: usize = 64 << 20;
/// How long the server may take to accept a connection. How long it may think is the agent's own limit.
const CONNECT: Duration = Duration::from_secs(30);
/// What an agent may ask of a vendor. Everything else of an account (files, batches, billing) is not its business.
const PATHS: [&str; 4] = ["/v1/messages", COUNT, "/v1/responses", "/v1/chat/completions"];
const COUNT: &str = "/v1/messages/count_tokens";
/// So many hundredths of a second the books may take after the last connection was ended.
const SETTLE: u32 = 200;

/// How a server wants to be shown the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// As `x-api-key`: Anthropic.
    XApiKey,
    /// As `Authorization: Bearer`: OpenAI and most others.
    Bearer,
}

/// A model's server, with the key to it.
#[derive(Debug, Clone)]
pub struct Upstream {
    base: String,
    key: Secret,
    auth: Auth,
}

impl Upstream {
    /// The server at `base`, such as `https://api.anthropic.com`; a `/v1` at its end makes no difference.
    pub fn new(base: &str, key: Secret, auth: Auth) -> Upstream {
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base).to_owned();
        Upstream { base, key, auth }
    }

    /// How it wants to be shown the key.
    pub fn auth(&self) -> Auth {
        self.auth
    }

    fn on_loopback(&self) -> bool {
        let host = self.base.split("://").nth(1).unwrap_or_default();
        ["127.", "localhost", "[::1]"].iter().any(|loopback| host.starts_with(loopback))
    }
}

/// What passed through a proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were forwarded, but for those that only count tokens.
    pub calls: u32,
    /// Requests that were refused because they might have gone beyond a cap.
    pub over_budget: u32,
    /// The tokens of their answers.
    pub usage: Usage,
    /// The status with which the server turned the real key down, if it did.
    pub key_refused: Option<u16>,
}

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct KeyProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for KeyProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    token: String,
    client: reqwest::Client,
    prices: Prices,
    ledger: Ledger,
    tally: Mutex<Tally>,
    /// Why the first of the requests over budget was refused.
    refused: Mutex<Option<ProposerError>>,
}

impl KeyProxy {
    /// Listens on a free port of loopback, and forwards to `upstream` what stays within `caps` by the usual prices.
    pub async fn start(upstream: &Upstream, caps: Caps) -> Result<KeyProxy, String> {
        let ledger = Ledger::new(caps, Caps::default());
        let prices = Prices::with(&BTreeMap::new()).map_err(|e| format!("the table of prices: {e}"))?;
        KeyProxy::start_with(upstream, ledger, prices).await
    }

    /// The same with books that are kept beyond this proxy.
    pub(super) async fn start_with(upstream: &Upstream, ledger: Ledger, prices: Prices) -> Result<KeyProxy, String> {
        let failed = |e: &dyn fmt::Display| format!("the proxy that keeps the key cannot start: {e}");
        let key = upstream.key.reveal();
        if HeaderValue::from_str(key).is_err() || key.is_empty() {
            return Err(failed(&"the key is empty or holds characters that no key has; set it again"));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| failed(&e))?;
        let address = listener.local_addr().map_err(|e| failed(&e))?;
        // A redirect could carry the key elsewhere.
        let mut client =
            reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        if upstream.on_loopback() {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| failed(&e))?;
        let token = format!("agent-{:032x}", rand::random::<u128>());
        let shared = Arc::new(Shared {
            upstream: upstream.clone(),
            token,
            client,
            prices,
            ledger,
            tally: Mutex::default(),
            refused: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Ok(KeyProxy { address, shared, server })
    }

    /// The address for agents, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key for agents: it opens this proxy and nothing else.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// What passed so far.
    pub fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }

    /// Ends all connections, waits until the books are up to date, and returns what passed and why the first of the
    /// requests over budget was refused.
    pub(super) async fn end(self) -> (Tally, Option<ProposerError>) {
        self.server.abort();
        for _ in 0..SETTLE {
            if !self.shared.ledger.busy() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (self.tally(), lock(&self.shared.refused).take())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No free file descriptor, most likely: there may be one soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&shared, request).await.unwrap_or_else(|refused| refused)) }
            });
            // The agent may hang up whenever it likes.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Forwards one request, or refuses it.
async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Relay>, Response<Relay>> {
    let (head, body) = request.into_parts();
    if !shows(&head.headers, &shared.token) {
        return Err(refusal(StatusCode::UNAUTHORIZED, "this port is not for you"));
    }
    if head.method != Method::POST || !PATHS.contains(&head.uri.path()) {
        let what = format!("{} {} is not forwarded", head.method, head.uri.path());
        return Err(refusal(StatusCode::FORBIDDEN, &what));
    }
    let body = Limited::new(body, REQUEST).collect().await;
    let body = body.map_err(|e| refusal(StatusCode::PAYLOAD_TOO_LARGE, &e.to_string()))?.to_bytes();
    // Counting tokens is free.
    let call = match head.uri.path() {
        COUNT => None,
        _ => Some(shared.begin(&body).map_err(|error| {
            let why = format!("{error}; end your work");
            lock(&shared.tally).over_budget += 1;
            lock(&shared.refused).get_or_insert(error);
            refusal(StatusCode::FORBIDDEN, &why)
        })?),
    };
    lock(&shared.tally).calls += u32::from(call.is_some());

    let path = head.uri.path_and_query().map_or(head.uri.path(), |path| path.as_str());
    let mut forwarded = shared.client.post(format!("{}{path}", shared.upstream.base)).body(body);
    for (name, value) in head.headers.iter().filter(|(name, _)| !stays_here(name)) {
        forwarded = forwarded.header(name, value);
    }
    forwarded = match shared.upstream.auth {
        Auth::XApiKey => forwarded.header("x-api-key", shared.upstream.key.reveal()),
        Auth::Bearer => forwarded.bearer_auth(shared.upstream.key.reveal()),
    };
    let answer = forwarded.send().await.map_err(|e| {
        // Without the address, which may hold a secret of its own.
        refusal(StatusCode::BAD_GATEWAY, &format!("the server cannot be reached: {}", causes(&e.without_url())))
    })?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        lock(&shared.tally).key_refused = Some(answer.status().as_u16());
        // Its words may quote the key.
        return Err(refusal(StatusCode::UNAUTHORIZED, "the model's server refuses the key"));
    }
    let (sender, receiver) = mpsc::channel(16);
    let mut response = Response::new(Relay(receiver));
    *response.status_mut() = answer.status();
    for (name, value) in answer.headers().iter().filter(|(name, _)| !stays_here(name)) {
        response.headers_mut().append(name, value.clone());
    }
    // What is refused is not charged.
    let call = call.filter(|_| answer.status().is_success());
    tokio::spawn(relay(answer, sender, call));
    Ok(response)
}

/// Passes an answer on, piece by piece, and counts along. It ends with the answer, or when nobody listens any more.
async fn relay(
    mut answer: reqwest::Response,
    sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
    mut call: Option<Call>,
) {
    let mut counter = Counter::default();
    loop {
        // Whatever happens to the rest, this much is to be paid.
        if let Some(call) = &mut call {
            call.usage = Some(counter.estimate(call.input));
        }
        let piece = tokio::select! {
            piece = answer.chunk() => piece,
            () = sender.closed() => return,
        };
        match piece {
            Ok(Some(bytes)) => {
                counter.feed(&bytes);
                if sender.send(Ok(bytes)).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                let usage = counter.finish();
                if let Some(call) = call.as_mut().filter(|_| usage != Usage::default()) {
                    call.usage = Some(usage);
                }
                // The books are up to date before the agent sees the end.
                drop(call);
                return;
            }
            Err(error) => {
                // The agent must see a broken answer, not a short one.
                let _ = sender.send(Err(std::io::Error::other(error.without_url()))).await;
                return;
            }
        }
    }
}
