//! What goes over the wire on both sides of the proxy: which headers, which errors, and the body of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

/// Whether a request shows the proxy's own key, either way.
pub(super) fn shows(headers: &HeaderMap, token: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("x-api-key") == token || text("authorization").strip_prefix("Bearer ") == Some(token)
}

/// Headers that belong to one connection or to one key, and those that the client writes anew.
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

/// An error that both vendors' clients can read.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response<Relay> {
    let error = serde_json::json!({"type": "permission_error", "code": "refused_by_proxy", "message": why});
    let body = serde_json::json!({"type": "error", "error": error}).to_string();
    let (sender, receiver) = mpsc::channel(1);
    // There is room for one.
    let _ = sender.try_send(Ok(Bytes::from(body)));
    let mut response = Response::new(Relay(receiver));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::FORBIDDEN {
        // Trying again would be refused again.
        response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The body of an answer, as it arrives.
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
