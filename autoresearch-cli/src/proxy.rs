//! The way out of the walls: a proxy that lets the commands of candidates reach the hosts on a list, and nothing else.
//!
//! It speaks what programs ask of a proxy: `CONNECT`, and requests for a whole `http` address. Names are resolved here, and an address
//! of this machine or of a private network is not one of a public name's.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

mod address;
mod host;
mod request;
#[cfg(test)]
mod tests;

pub use host::Host;
use request::{Answer, Request};

/// Time that a client may take for the head of its request, and a server for a connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// Length of the longest head of a request.
const HEAD: usize = 64 << 10;
/// Bytes behind a request that is refused, which are read for nothing.
const READ_PAST: u64 = 16 << 20;
/// Connections of one command at a time; further ones wait. The lab has two descriptors for each.
const CONNECTIONS: usize = 48;
/// Names of one command that are resolved at a time. The lab has a thread for each, which nobody can end.
const LOOKUPS: usize = 4;

/// Serves a listener until what this returns is dropped.
pub fn serve(hosts: Arc<[Host]>, listener: std::net::TcpListener) -> io::Result<Box<dyn Any + Send>> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let gate = Gate { hosts, lookups: Arc::new(Semaphore::new(LOOKUPS)) };
    Ok(Box::new(Proxy(tokio::spawn(accept(gate, listener)).abort_handle())))
}

/// The hosts of one command.
#[derive(Clone)]
struct Gate {
    hosts: Arc<[Host]>,
    lookups: Arc<Semaphore>,
}

/// A proxy that ends, with its connections, when it is dropped.
struct Proxy(AbortHandle);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(gate: Gate, listener: TcpListener) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((client, _)) = listener.accept().await else {
            // Most likely no descriptor is free: one may be soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let gate = gate.clone();
        connections.spawn(async move {
            // The command may hang up at any time.
            let _ = answer(&gate, client).await;
        });
    }
}

/// Lets one request through, or says why not.
async fn answer(gate: &Gate, mut client: TcpStream) -> io::Result<()> {
    let Ok(read) = timeout(PATIENCE, head(&mut client)).await else { return Ok(()) };
    let (head, rest) = read?;
    let reached = match Request::read(&head) {
        Ok(request) => gate.reach(&request).await.map(|server| (request, server)),
        Err(refused) => Err(refused),
    };
    let (request, mut server) = match reached {
        Ok(reached) => reached,
        Err(refused) => {
            client.write_all(refused.text().as_bytes()).await?;
            client.shutdown().await?;
            // A connection that is closed before all is read takes the answer along.
            let mut rest = client.take(READ_PAST);
            let _ = timeout(PATIENCE, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
            return Ok(());
        }
    };
    match &request.forwarded {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
        Some(head) => server.write_all(head.as_bytes()).await?,
    }
    server.write_all(&rest).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Reads the head of a request, and what came with it.
async fn head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = client.read(&mut piece).await?;
        bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if read == 0 || bytes.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Tells whether a connection leads to this machine: by an address of its own, public or not.
fn leads_here(server: &TcpStream) -> bool {
    matches!((server.local_addr(), server.peer_addr()), (Ok(own), Ok(other)) if own.ip() == other.ip())
}

impl Gate {
    /// Opens a connection to the server of a request, if it is on the list.
    async fn reach(&self, request: &Request) -> Result<TcpStream, Answer> {
        let (name, port) = (&request.host, request.port);
        if !self.hosts.iter().any(|host| host.allows(name, port)) {
            let why = format!("{name}:{port} is not in [isolation] network of the lab's configuration");
            return Err(Answer::Refused(why));
        }
        let failed = |why: &dyn std::fmt::Display| Answer::Failed(format!("{name}:{port} cannot be reached: {why}"));
        let found = timeout(PATIENCE, self.look_up(name.clone(), port)).await;
        let found = found.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let is_open = |found: &&SocketAddr| address::is_public(address::canonical(found.ip())) || self.names(**found);
        let open: Vec<SocketAddr> = found.iter().filter(is_open).copied().collect();
        if let (true, Some(closed)) = (open.is_empty(), found.first()) {
            let why = format!(
                "{name} leads to {}, an address of this machine or of a private network; name that address in [isolation] network, too",
                closed.ip()
            );
            return Err(Answer::Refused(why));
        }
        let mut last = failed(&"it has no address");
        for address in open {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(server)) if leads_here(&server) && !self.names(address) => {
                    let why = format!(
                        "{name} leads to {}, an address of this machine; name that address in [isolation] network, too",
                        address.ip()
                    );
                    return Err(Answer::Refused(why));
                }
                Ok(Ok(server)) => return Ok(server),
                Ok(Err(error)) => last = failed(&error),
                Err(error) => last = failed(&error),
            }
        }
        Err(last)
    }

    /// Tells whether the list names an address itself.
    fn names(&self, found: SocketAddr) -> bool {
        let address = address::canonical(found.ip()).to_string();
        self.hosts.iter().any(|host| host.allows(&address, found.port()))
    }

    async fn look_up(&self, name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let turn = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let found = spawn_blocking(move || {
            // Until the thread is free again, also if nobody waits for it any more.
            let _turn = turn;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        found.await.map_err(io::Error::other)?
    }
}
