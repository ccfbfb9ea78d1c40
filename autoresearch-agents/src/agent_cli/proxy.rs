//! The key proxy: the agent talks to a port on loopback with a key that is worth nothing elsewhere. The real key is added
//! here and never enters the agent's process or its children.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
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
use crate::model::{Caps, Ledger, Prices, Usage};

mod metered_call;
mod relay;
mod server;
mod shared;

use metered_call::MeteredCall;
use relay::{Relay, list_causes, refusal, shows_token, stays_here};
pub use server::{Auth, Upstream};
pub use shared::Tally;
use shared::{Shared, lock};

/// Largest request that is forwarded, in bytes.
const REQUEST: usize = 64 << 20;
/// Limit for opening a connection to the server. Its time to think is limited by the agent.
const CONNECT: Duration = Duration::from_secs(30);
/// Paths that are forwarded. Everything else of an account (files, batches, billing) is closed to the agent.
const PATHS: [&str; 4] = ["/v1/messages", COUNT, "/v1/responses", "/v1/chat/completions"];
const COUNT: &str = "/v1/messages/count_tokens";
/// Longest wait for the books after the last connection, in hundredths of a second.
const BOOKS_PATIENCE: u32 = 200;

/// A running proxy, which stops when it is dropped.
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

impl KeyProxy {
    /// Listens on a free port of loopback and forwards requests to `upstream` that stay within `caps` by the compiled-in prices.
    pub async fn start(upstream: &Upstream, caps: Caps) -> Result<KeyProxy, String> {
        let ledger = Ledger::new(caps, Caps { dollars: Some(f64::INFINITY), ..Caps::default() });
        let prices = Prices::with(&BTreeMap::new()).map_err(|e| format!("the table of prices: {e}"))?;
        KeyProxy::start_with(upstream, ledger, prices).await
    }

    /// Starts a proxy whose books outlive it.
    pub(super) async fn start_with(upstream: &Upstream, ledger: Ledger, prices: Prices) -> Result<KeyProxy, String> {
        let failed = |e: &dyn fmt::Display| format!("the proxy that keeps the key cannot start: {e}");
        let key = upstream.key().reveal();
        if HeaderValue::from_str(key).is_err() || key.is_empty() {
            return Err(failed(&"the key is empty or holds characters that no key has; set it again"));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| failed(&e))?;
        let address = listener.local_addr().map_err(|e| failed(&e))?;
        // A redirect could carry the key elsewhere.
        let mut client =
            reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        if upstream.is_on_loopback() {
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
            over_budget: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Ok(KeyProxy { address, shared, server })
    }

    /// Returns the address for agents, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the key for agents, which opens this proxy and nothing else.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Returns the totals so far.
    pub fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }

    /// Ends all connections, waits until the books are complete, and returns the totals and the reason for which the first
    /// request over budget was rejected.
    pub(super) async fn end(self) -> (Tally, Option<ProposerError>) {
        self.server.abort();
        for _ in 0..BOOKS_PATIENCE {
            if !self.shared.ledger.is_busy() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (self.tally(), lock(&self.shared.over_budget).take())
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely no file descriptor is free: one may be soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&shared, request).await.unwrap_or_else(|rejection| rejection)) }
            });
            // The agent may hang up at any time.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Forwards one request, or rejects it.
async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Relay>, Response<Relay>> {
    let (head, body) = request.into_parts();
    if !shows_token(&head.headers, &shared.token) {
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
        _ => Some(shared.start_call(&body).map_err(|error| {
            let why = format!("{error}; end your work");
            lock(&shared.tally).over_budget += 1;
            lock(&shared.over_budget).get_or_insert(error);
            refusal(StatusCode::FORBIDDEN, &why)
        })?),
    };
    lock(&shared.tally).calls += u32::from(call.is_some());

    let path = head.uri.path_and_query().map_or(head.uri.path(), |path| path.as_str());
    let mut forwarded = shared.client.post(format!("{}{path}", shared.upstream.base())).body(body);
    for (name, value) in head.headers.iter().filter(|(name, _)| !stays_here(name)) {
        forwarded = forwarded.header(name, value);
    }
    forwarded = match shared.upstream.auth() {
        Auth::XApiKey => forwarded.header("x-api-key", shared.upstream.key().reveal()),
        Auth::Bearer => forwarded.bearer_auth(shared.upstream.key().reveal()),
    };
    let answer = match forwarded.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let was_sent = !error.is_connect() && !error.is_builder();
            lock(&shared.tally).unserved += u32::from(call.is_some() && !was_sent);
            if let Some(call) = call.filter(|_| !was_sent) {
                call.release();
            }
            // Without the address, which may hold a secret of its own.
            let why = format!("the server cannot be reached: {}", list_causes(&error.without_url()));
            return Err(refusal(StatusCode::BAD_GATEWAY, &why));
        }
    };
    let status = answer.status();
    let call = match call {
        // A request that the server rejects is not billed.
        Some(call) if !status.is_success() => {
            let is_busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            lock(&shared.tally).unserved += u32::from(is_busy);
            call.release();
            None
        }
        call => call,
    };
    if status == StatusCode::UNAUTHORIZED {
        lock(&shared.tally).key_rejected = Some(status.as_u16());
        // Its words may quote the key.
        return Err(refusal(StatusCode::UNAUTHORIZED, "the model's server rejects the key"));
    }
    let (sender, receiver) = mpsc::channel(16);
    let mut response = Response::new(Relay(receiver));
    *response.status_mut() = status;
    for (name, value) in answer.headers().iter().filter(|(name, _)| !stays_here(name)) {
        response.headers_mut().append(name, value.clone());
    }
    tokio::spawn(relay(answer, sender, call));
    Ok(response)
}

/// Passes an answer on piece by piece and counts its tokens, until it ends or the agent hangs up.
async fn relay(
    mut answer: reqwest::Response,
    sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
    mut call: Option<MeteredCall>,
) {
    let mut counter = Counter::default();
    loop {
        // This much is billed, whatever becomes of the rest.
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
                // The books are complete before the agent sees the end.
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
