use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::*;

fn hosts(texts: &[&str]) -> Arc<[Host]> {
    texts.iter().map(|text| Host::read(text).unwrap()).collect()
}

#[test]
fn entries_allow_what_they_say_and_no_more() {
    for (entry, allowed, others) in [
        (
            "pypi.org",
            vec!["pypi.org:443", "PyPI.org.:80"],
            vec!["pypi.org:22", "a.pypi.org:443", "xpypi.org:443", "org:443"],
        ),
        (
            "*.Crates.io.",
            vec!["static.crates.io:443", "a.b.CRATES.io:80"],
            vec!["crates.io:443", "xcrates.io:443", ".crates.io:443", "1.2.3.4%.crates.io:443"],
        ),
        ("mirror:8000", vec!["mirror:8000"], vec!["mirror:443", "mirror:80"]),
        ("127.0.0.1:9", vec!["127.0.0.1:9", "[::ffff:127.0.0.1]:9"], vec!["127.0.0.1:443", "localhost:9", "127.1:9"]),
        ("[::1]", vec!["[::1]:443", "[0:0::1]:80"], vec!["[::2]:443"]),
    ] {
        let host = Host::read(entry).unwrap();
        let allows = |text: &&str| -> bool {
            let (name, port) = host::split(text).unwrap();
            host.allows(&name, port.unwrap())
        };
        assert!(allowed.iter().all(allows), "{entry}");
        assert!(!others.iter().any(allows), "{entry}");
    }
    for entry in [
        "",
        "*",
        "*.",
        "**.x",
        "a*.x",
        "https://pypi.org",
        "pypi.org/simple",
        "a b",
        "a:",
        "a:x",
        "a:0",
        "a:65536",
        "a..b",
    ] {
        assert!(Host::read(entry).is_err(), "{entry}");
    }
}

#[test]
fn addresses_of_the_machine_and_its_surroundings_are_not_public() {
    let is_public = |text: &str| address::is_public(text.parse::<IpAddr>().unwrap());
    for near in [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
    ] {
        assert!(!is_public(near), "{near}");
    }
    for far in ["151.101.0.223", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::9765:df", "2a04:4e42::223"] {
        assert!(is_public(far), "{far}");
    }
}

#[test]
fn requests_are_read_and_those_of_no_proxy_are_not() {
    let read = |head: &str| Request::read(&format!("{head}\r\n\r\n"));
    let tunnel = read("CONNECT PyPI.org:443 HTTP/1.1\r\nHost: pypi.org").unwrap();
    assert_eq!(tunnel, Request { host: "pypi.org".into(), port: 443, forwarded: None });
    let plain = read("GET http://a.b/c?d HTTP/1.1\r\nHost: a.b\r\nProxy-Connection: keep-alive\r\nA: 1").unwrap();
    let head = "GET /c?d HTTP/1.1\r\nConnection: close\r\nHost: a.b\r\nA: 1\r\n\r\n";
    assert_eq!(plain, Request { host: "a.b".into(), port: 80, forwarded: Some(head.into()) });
    assert_eq!(
        read("HEAD http://a:81?x HTTP/1.0").unwrap().forwarded.unwrap(),
        "HEAD /?x HTTP/1.0\r\nConnection: close\r\n\r\n"
    );
    // Whoever is named before the sign of a user is no server.
    assert_eq!(read("GET http://pypi.org@evil/ HTTP/1.1").unwrap().host, "pypi.org@evil");
    for head in [
        "",
        "GET / HTTP/1.1",
        "GET https://a/ HTTP/1.1",
        "CONNECT a HTTP/1.1",
        "CONNECT a:443",
        "GET http://a:b/ HTTP/1.1",
    ] {
        assert_eq!(read(head), Err(Answer::Misread), "{head}");
    }
}

/// A server that answers each connection by a line with what it was asked.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 512];
            let read = stream.read(&mut asked).unwrap();
            let line = String::from_utf8_lossy(&asked[..read]).lines().next().unwrap_or_default().to_owned();
            write!(stream, "HTTP/1.1 200 OK\r\n\r\nasked: {line}\n").unwrap();
        }
    });
    port
}

/// Asks a proxy, and for a tunnel its server, too.
fn ask(proxy: u16, head: &str, through: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy)).unwrap();
    write!(stream, "{head}\r\n\r\n{through}").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_the_list_is_reached_and_nothing_else() {
    let (server, other) = (server(), server());
    let proxy = |entries: &[&str]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (serve(hosts(entries), listener).unwrap(), port)
    };
    let (guard, port) = proxy(&[&format!("127.0.0.1:{server}"), &format!("localhost:{other}")]);
    let (_empty, empty) = proxy(&[]);
    tokio::task::spawn_blocking(move || {
        let said = ask(port, &format!("CONNECT 127.0.0.1:{server} HTTP/1.1"), "GET /tunnel HTTP/1.1\r\n\r\n");
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("asked: GET /tunnel HTTP/1.1\n"), "{said}");
        let said = ask(port, &format!("GET http://127.0.0.1:{server}/plain HTTP/1.1"), "");
        assert!(said.ends_with("asked: GET /plain HTTP/1.1\n"), "{said}");
        for refused in
            [format!("CONNECT 127.0.0.1:{other} HTTP/1.1"), format!("GET http://127.0.0.1:{other}/ HTTP/1.1")]
        {
            // However much follows at once.
            let said = ask(port, &refused, &"x".repeat(1 << 20));
            assert!(said.starts_with("HTTP/1.1 403 ") && said.contains("is not in [isolation] network"), "{said}");
        }
        // On the list by its name, and the address behind it is the machine's own.
        let said = ask(port, &format!("CONNECT localhost:{other} HTTP/1.1"), "x");
        assert!(said.starts_with("HTTP/1.1 403 ") && said.contains("an address of this machine"), "{said}");
        let said = ask(empty, &format!("CONNECT 127.0.0.1:{server} HTTP/1.1"), "x");
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
        let said = ask(port, "GET / HTTP/1.1", "");
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        // One that stays open does not outlive the proxy.
        let mut open = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(open, "CONNECT 127.0.0.1:{server} HTTP/1.1\r\n\r\n").unwrap();
        open.read_exact(&mut [0; 12]).unwrap();
        drop(guard);
        open.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut rest = Vec::new();
        let _ = open.read_to_end(&mut rest);
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            assert!(Instant::now() < until, "the listener stays open");
            std::thread::sleep(Duration::from_millis(10));
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_connection_to_this_machine_is_one_by_any_address_of_it() {
    let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = here.local_addr().unwrap();
    assert!(leads_here(&tokio::net::TcpStream::connect(address).await.unwrap()));
    // From one address to another, as to every other machine.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    assert!(!leads_here(&socket.connect(address).await.unwrap()));
    let gate = |hosts: Arc<[Host]>| Gate { hosts, lookups: Arc::new(tokio::sync::Semaphore::new(1)) };
    assert!(gate(hosts(&["127.0.0.1:80"])).names("127.0.0.1:80".parse().unwrap()));
    assert!(!gate(hosts(&["localhost:80"])).names("127.0.0.1:80".parse().unwrap()));
}
