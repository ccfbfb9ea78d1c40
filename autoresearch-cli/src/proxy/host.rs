//! Entries of the list of hosts.

use std::net::IpAddr;

use super::address::canonical;

/// Ports of an entry that names none: those of `https` and `http`.
const PORTS: [u16; 2] = [443, 80];

/// An entry: a name, all names below one, or an address, with a port or the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: Name,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exactly(String),
    /// With the dot before it.
    Below(String),
    Address(IpAddr),
}

impl Host {
    /// Reads an entry, as `pypi.org`, `*.crates.io` or `127.0.0.1:8000`.
    ///
    /// # Errors
    /// If it is none, with a continuation of its name.
    pub fn read(text: &str) -> Result<Host, String> {
        let why = "is no host; give a name as \"pypi.org\", all names below one as \"*.crates.io\", or an address, with a port if it is not \
                   443 or 80, and without https://";
        let (name, port) = split(text).ok_or(why)?;
        let name = match (name.parse(), name.strip_prefix('*')) {
            (Ok(address), _) => Name::Address(canonical(address)),
            (_, Some("")) => return Err("is every host; give network = true for the machine's network".into()),
            (_, Some(below)) => Name::Below(below.to_owned()),
            (_, None) => Name::Exactly(name),
        };
        let is_fine = match &name {
            Name::Address(_) => true,
            Name::Exactly(name) => is_name(name),
            Name::Below(name) => name.strip_prefix('.').is_some_and(is_name),
        };
        is_fine.then_some(Host { name, port }).ok_or_else(|| why.to_owned())
    }

    /// Tells whether it lets a name, or an address, be reached at a port.
    pub fn allows(&self, name: &str, port: u16) -> bool {
        let name = plain(name);
        let is_name = match &self.name {
            Name::Exactly(own) => *own == name,
            // What is no name could be an address to whoever resolves it.
            Name::Below(own) => name.ends_with(own.as_str()) && is_name(&name),
            Name::Address(own) => name.parse().is_ok_and(|address| canonical(address) == *own),
        };
        is_name && self.port.map_or_else(|| PORTS.contains(&port), |own| own == port)
    }
}

/// Splits a name from its port, in its plain form. `None` if the port is no number, or 0.
pub fn split(text: &str) -> Option<(String, Option<u16>)> {
    let number = |port: &str| port.parse().ok().filter(|port| *port != 0);
    let is_bare = text.parse::<IpAddr>().is_ok();
    match text.rsplit_once(':') {
        Some((name, port)) if !is_bare && !text.ends_with(']') => Some((plain(name), Some(number(port)?))),
        _ => Some((plain(text), None)),
    }
}

/// A name as names are compared: small, without the dot at its end and the brackets around an address.
fn plain(name: &str) -> String {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    inner.strip_suffix('.').unwrap_or(inner).to_ascii_lowercase()
}

fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_part)
}
