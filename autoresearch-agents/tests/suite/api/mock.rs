//! A small HTTP server that can do everything wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request of a client.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Act {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub pieces: Vec<String>,
    /// Before each piece.
    pub pause: Duration,
    pub ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ending {
    /// As it should be.
    Whole,
    /// The connection is closed in the middle.
    Cut,
    /// Nothing more comes, and the connection stays open.
    Stall,
    /// Not even the head comes.
    Silence,
}

impl Act {
    pub fn error(status: u16, headers: &[(&'static str, &str)], body: &str) -> Act {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Act { status, headers, pieces: vec![body.into()], pause: Duration::ZERO, ending: Ending::Whole }
    }

    pub fn stream(pieces: Vec<String>) -> Act {
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        Act { status: 200, headers, pieces, pause: Duration::ZERO, ending: Ending::Whole }
    }

    pub fn ending(mut self, ending: Ending) -> Act {
        self.ending = ending;
        self
    }
}

type Handler = Box<dyn FnMut(&Seen) -> Act + Send>;

/// A running server.
#[derive(Clone)]
pub struct Mock {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Time for which each connection was held.
    held: Arc<Mutex<Vec<Duration>>>,
}

impl Mock {
    pub async fn start(handler: impl FnMut(&Seen) -> Act + Send + 'static) -> Mock {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mock = Mock { url, seen: Arc::default(), held: Arc::default() };
        let (server, handler) = (mock.clone(), Arc::new(Mutex::new(Box::new(handler) as Handler)));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (server, handler) = (server.clone(), handler.clone());
                tokio::spawn(async move {
                    let began = Instant::now();
                    // A client that goes away is nothing to complain of.
                    let _ = server.serve(socket, &handler).await;
                    server.held.lock().unwrap().push(began.elapsed());
                });
            }
        });
        mock
    }

    /// Answers with these in turn; the last one again and again.
    pub async fn script(acts: Vec<Act>) -> Mock {
        let mut at = 0;
        Mock::start(move |_| {
            at += 1;
            acts[(at - 1).min(acts.len() - 1)].clone()
        })
        .await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the number of connections that were held longer than `limit`.
    pub fn held_longer_than(&self, limit: Duration) -> usize {
        self.held.lock().unwrap().iter().filter(|held| **held > limit).count()
    }

    async fn serve(&self, mut socket: TcpStream, handler: &Mutex<Handler>) -> std::io::Result<()> {
        let seen = read(&mut socket).await?;
        self.seen.lock().unwrap().push(seen.clone());
        let act = (handler.lock().unwrap())(&seen);
        if act.ending == Ending::Silence {
            return gone(&mut socket).await;
        }
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\ntransfer-encoding: chunked\r\n", act.status);
        for (name, value) in &act.headers {
            head += &format!("{name}: {value}\r\n");
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).await?;
        for piece in act.pieces.iter().filter(|piece| !piece.is_empty()) {
            // A client that goes away meanwhile is seen at once.
            if !act.pause.is_zero() && tokio::time::timeout(act.pause, gone(&mut socket)).await.is_ok() {
                return Ok(());
            }
            socket.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
            socket.flush().await?;
        }
        match act.ending {
            Ending::Whole => {
                socket.write_all(b"0\r\n\r\n").await?;
                socket.shutdown().await
            }
            Ending::Stall => gone(&mut socket).await,
            Ending::Cut | Ending::Silence => Ok(()),
        }
    }
}

/// Waits until the client goes away.
async fn gone(socket: &mut TcpStream) -> std::io::Result<()> {
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn read(socket: &mut TcpStream) -> std::io::Result<Seen> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = socket.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
            let headers: BTreeMap<String, String> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Ok(Seen { path, headers, body: serde_json::from_str(body).unwrap_or_default() });
            }
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
