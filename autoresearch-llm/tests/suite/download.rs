//! Downloads against a real server on loopback that does everything a bad network does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoresearch_llm::corpus::Source;
use autoresearch_llm::corpus::public::Public;
use autoresearch_llm::download::{Download, Patience, download};
use sha2::{Digest, Sha256};

/// The patience with a server of this script: little with one that stalls, and enough for a busy machine with any other.
fn patience(script: &[Act]) -> Patience {
    let stalls = script.iter().any(|act| matches!(act, Act::Stall(_)));
    let stall = if stalls { Duration::from_secs(2) } else { Duration::from_secs(30) };
    Patience { backoff: Duration::from_millis(10), stall }
}

/// The answer of the server to one request; after the last of its script it serves well.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Serve,
    Status(&'static str),
    /// Announces everything and closes after this number of bytes.
    Cut(usize),
    /// Sends this number of bytes and then nothing, with the connection open.
    Stall(usize),
    /// Sends all, with one byte wrong.
    Wrong,
    /// Ignores the range that was asked for.
    WholeFile,
}

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|i| (i * 31 % 251) as u8).collect()
}

fn serve(script: &[Act], with_sha: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(vec![]));
    let (seen, script) = (requests.clone(), script.to_vec());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (seen, act) = (seen.clone(), script.get(number).copied().unwrap_or(Act::Serve));
            std::thread::spawn(move || answer(stream.unwrap(), act, with_sha, &seen));
        }
    });
    Server { url, requests }
}

fn answer(mut stream: TcpStream, act: Act, with_sha: bool, seen: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
    let range = head
        .lines()
        .find_map(|l| l.to_ascii_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    seen.lock().unwrap().push(head);
    if let Act::Status(status) = act {
        let _ = write!(stream, "HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
    }
    let mut body = content();
    let sha = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect::<String>();
    if act == Act::Wrong {
        body[77] ^= 1;
    }
    let start: usize = range.filter(|_| act != Act::WholeFile).unwrap_or(0);
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    let tag = if with_sha { format!("x-linked-etag: \"{sha}\"\r\n") } else { String::new() };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\netag: \"v1\"\r\n{tag}connection: close\r\ncontent-length: {}\r\n",
        body.len() - start
    );
    if start > 0 {
        let _ = write!(stream, "content-range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
    }
    let _ = stream.write_all(b"\r\n");
    let end = match act {
        Act::Cut(count) | Act::Stall(count) => (start + count).min(body.len()),
        _ => body.len(),
    };
    let _ = stream.write_all(&body[start..end]);
    let _ = stream.flush();
    if let Act::Stall(_) = act {
        std::thread::sleep(Duration::from_secs(20));
    }
}

/// Downloads by a script; gives the requests that were made and what came of it.
fn fetched(script: &[Act], with_sha: bool) -> (Vec<String>, Result<Vec<u8>, String>) {
    let server = serve(script, with_sha);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/file.bin");
    let result = download(
        &Download { url: format!("{}/file.bin", server.url), path: path.clone() },
        patience(script),
        &indicatif::MultiProgress::new(),
    );
    let requests = server.requests.lock().unwrap().clone();
    let result = result.map_err(|e| e.to_string()).map(|()| std::fs::read(&path).unwrap());
    if result.is_ok() {
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside the file");
    } else {
        assert!(!path.exists(), "no half file under the final name");
    }
    (requests, result)
}

#[test]
fn every_trouble_that_passes_is_overcome() {
    for script in [
        &[][..],
        &[Act::Status("503 Service Unavailable"), Act::Status("429 Too Many Requests"), Act::Status("500 Oops")],
        &[Act::Cut(1000), Act::Cut(50_000), Act::Cut(0)],
        &[Act::Stall(3000)],
        &[Act::Cut(1000), Act::WholeFile],
        &[Act::Wrong],
        &[Act::Cut(1), Act::Cut(1), Act::Cut(1), Act::Cut(1), Act::Cut(1), Act::Cut(1), Act::Cut(1)],
    ] {
        let (_, result) = fetched(script, true);
        assert!(result.as_deref() == Ok(&content()[..]), "{script:?}: {:?}", result.err());
    }
}

#[test]
fn a_cut_download_goes_on_where_it_was() {
    let (requests, result) = fetched(&[Act::Cut(1000), Act::Cut(2000)], false);
    assert_eq!(result.unwrap(), content());
    let ranges: Vec<Option<&str>> =
        requests.iter().map(|head| head.lines().find(|line| line.to_ascii_lowercase().starts_with("range"))).collect();
    assert!(
        ranges[0].is_none()
            && ranges[1].unwrap().ends_with("bytes=1000-")
            && ranges[2].unwrap().ends_with("bytes=3000-"),
        "{ranges:?}"
    );
    assert!(requests[1].to_ascii_lowercase().contains("if-range: \"v1\""));
}

#[test]
fn what_does_not_pass_is_an_error() {
    let (requests, result) = fetched(&[Act::Status("404 Not Found")], true);
    assert!(result.unwrap_err().contains("404"));
    assert_eq!(requests.len(), 1, "a missing file is not asked for again");
    let (requests, result) = fetched(&[Act::Status("500 Oops"); 9], true);
    assert!(result.unwrap_err().contains("500"));
    assert_eq!(requests.len(), 5);
    let (_, result) = fetched(&[Act::Wrong; 9], true);
    assert!(result.unwrap_err().contains("SHA-256"));
}

#[test]
fn public_data_sets_are_fetched_by_shard_with_their_validation_split() {
    let server = serve(&[], true);
    let cache = tempfile::tempdir().unwrap();
    let parts = Public::Climbmix.parts(cache.path(), 2, Some(&server.url)).unwrap();
    assert_eq!(parts.len(), 3);
    for part in &parts {
        let Source::Parquet(path) = &part.source else { panic!("{part:?}") };
        assert_eq!(std::fs::read(path).unwrap(), content());
    }
    let mut asked: Vec<String> =
        server.requests.lock().unwrap().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    asked.sort();
    let shards = [0, 1, 6542].map(|i| format!("/karpathy/climbmix-400b-shuffle/resolve/main/shard_{i:05}.parquet"));
    assert_eq!(asked, shards);
    // What is there is not fetched again.
    Public::Climbmix.parts(cache.path(), 2, Some(&server.url)).unwrap();
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}
