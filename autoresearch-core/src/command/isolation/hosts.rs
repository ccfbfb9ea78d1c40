//! The network of a command: none, that of the machine, or some hosts by a proxy outside.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

/// The port of a command's own loopback device on which the proxy to its hosts listens.
#[cfg(target_os = "linux")]
pub(super) const PORT: u16 = 3128;

/// The variables by which programs find a proxy.
#[cfg(target_os = "linux")]
const VARIABLES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// The names of a loopback device.
#[cfg(target_os = "linux")]
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The network of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Network {
    /// None but a loopback device of their own.
    #[default]
    None,
    /// A loopback device, and on it a proxy to some hosts. Without network namespaces there is none.
    Hosts(Hosts),
    /// That of the machine.
    Machine,
}

impl Network {
    /// The hosts that commands reach by a proxy.
    pub(super) fn hosts(&self) -> Option<&Hosts> {
        if let Network::Hosts(hosts) = self { Some(hosts) } else { None }
    }
}

type Serve = dyn Fn(TcpListener) -> io::Result<Box<dyn Any + Send>> + Send + Sync;

/// Hosts that commands reach by a proxy of the caller's. This crate knows no protocol of it: it makes the listener inside the walls
/// of each command, and hands it out.
#[derive(Clone)]
pub struct Hosts {
    names: Vec<String>,
    serve: Arc<Serve>,
}

impl Hosts {
    /// Hosts by their names, as reports tell them. `serve` gets the listener of each command, within the caller's runtime, and gives
    /// what serves it: dropped when the command has ended, which must close the listener.
    pub fn new(
        names: impl IntoIterator<Item = String>,
        serve: impl Fn(TcpListener) -> io::Result<Box<dyn Any + Send>> + Send + Sync + 'static,
    ) -> Hosts {
        Hosts { names: names.into_iter().collect(), serve: Arc::new(serve) }
    }

    /// The variables by which the programs of a command find the proxy, and their own loopback device without it.
    #[cfg(target_os = "linux")]
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        // A service of the machine has the same address as one of the command.
        let is_own = |name: &&str| !self.names.iter().any(|host| host.trim_start_matches('[').starts_with(name));
        let own: Vec<&str> = LOOPBACK.into_iter().filter(is_own).collect();
        let own = ["NO_PROXY", "no_proxy"].map(|name| (name, own.join(",")));
        VARIABLES.map(|name| (name, format!("http://127.0.0.1:{PORT}"))).into_iter().chain(own)
    }

    /// Serves the listener of one command until what this returns is dropped.
    #[cfg(target_os = "linux")]
    pub(super) fn serve(&self, listener: TcpListener) -> io::Result<Box<dyn Any + Send>> {
        (self.serve)(listener)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hosts").field(&self.names).finish()
    }
}

impl PartialEq for Hosts {
    fn eq(&self, other: &Hosts) -> bool {
        self.names == other.names && Arc::ptr_eq(&self.serve, &other.serve)
    }
}

impl Eq for Hosts {}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}
