//! Requests to the proxy, and the answers to those that go nowhere.

use super::host::split;

/// A request of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The name or the address of the server, in its plain form.
    pub host: String,
    pub port: u16,
    /// The head that the server gets; `None` for a tunnel.
    pub forwarded: Option<String>,
}

/// The reason why a request goes nowhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is none that a proxy serves.
    Misread,
    /// Its server is not one of those that may be reached.
    Refused(String),
    /// Its server cannot be reached.
    Failed(String),
}

impl Answer {
    /// The response.
    pub fn text(&self) -> String {
        let (status, why) = match self {
            Answer::Misread => ("400 Bad Request", "this is a proxy: ask for CONNECT host:443, or for http://host/"),
            Answer::Refused(why) => ("403 Forbidden", why.as_str()),
            Answer::Failed(why) => ("502 Bad Gateway", why.as_str()),
        };
        let why = format!("{why}\n");
        let length = why.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{why}"
        )
    }
}

impl Request {
    /// Reads the head of a request.
    pub fn read(head: &str) -> Result<Request, Answer> {
        let (line, fields) = head.split_once("\r\n").ok_or(Answer::Misread)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Answer::Misread);
        };
        if method == "CONNECT" {
            let (host, port) = split(target).ok_or(Answer::Misread)?;
            return Ok(Request { host, port: port.ok_or(Answer::Misread)?, forwarded: None });
        }
        let is_http = target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let address = target.get(7..).filter(|_| is_http).ok_or(Answer::Misread)?;
        let (authority, path) = address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
        let (host, port) = split(authority).ok_or(Answer::Misread)?;
        let root = if path.starts_with('/') { "" } else { "/" };
        // One request for each connection: a further one could be for another server.
        let mut forwarded = format!("{method} {root}{path} {version}\r\nConnection: close\r\n");
        let names = ["connection", "proxy-connection", "proxy-authorization", "keep-alive"];
        let is_ours = |field: &&str| {
            let name = field.split(':').next().unwrap_or_default().trim();
            !names.iter().any(|ours| name.eq_ignore_ascii_case(ours))
        };
        for field in fields.split("\r\n").filter(|field| !field.is_empty()).filter(is_ours) {
            forwarded += field;
            forwarded += "\r\n";
        }
        forwarded += "\r\n";
        Ok(Request { host, port: port.unwrap_or(80), forwarded: Some(forwarded) })
    }
}
