//! Headers, errors and bodies that the proxy passes between the agent and the server.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

/// Returns true if a request shows the proxy's own key in either header.
pub(super) fn shows_token(headers: &HeaderMap, token: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("x-api-key") == token || text("authorization").strip_prefix("Bearer ") == Some(token)
}

/// Returns true for a header that is not passed on: it belongs to one connection or key, or the client writes it anew.
pub(super) fn stays_here(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 10] = [
        header::HOST,
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        // Compressed answers could not be counted.
        header::ACCEPT_ENCODING,
        header::TE,
    ];
    OURS.contains(name) || matches!(name.as_str(), "x-api-key" | "keep-alive" | "proxy-connection" | "expect")
}

/// Returns an error that both vendors' clients can read.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response<Relay> {
    let error = serde_json::json!({"type": "permission_error", "code": "rejected_by_proxy", "message": why});
    let body = serde_json::json!({"type": "error", "error": error}).to_string();
    let (sender, receiver) = mpsc::channel(1);
    // There is room for one.
    let _ = sender.try_send(Ok(Bytes::from(body)));
    let mut response = Response::new(Relay(receiver));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::FORBIDDEN {
        // A retry would be rejected again.
        response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

/// Joins an error and its causes.
pub(super) fn list_causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Body of an answer, passed on as it arrives.
pub(super) struct Relay(pub(super) mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl hyper::body::Body for Relay {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
