//! Hosts that a command reaches through a listener in its own network, which the lab serves.

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use autoresearch_core::internal::isolation::{Container, Hosts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Says that a test is tried behind walls already, where no namespace can be made.
const INSIDE: &str = "AUTORESEARCH_TEST_INSIDE";

/// The listener of a command, as the test knows it.
#[derive(Default)]
struct Served {
    /// Its name in the descriptors of processes.
    socket: std::sync::Mutex<String>,
    is_leaked: AtomicBool,
    is_dropped: AtomicBool,
}

struct Guard(Arc<Served>, tokio::task::AbortHandle);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.is_dropped.store(true, Ordering::Relaxed);
        self.1.abort();
    }
}

/// Answers each connection with a line.
fn proxy(served: &Arc<Served>, line: &'static str) -> Hosts {
    let served = served.clone();
    Hosts::new(["pypi.org".to_owned()], move |listener: TcpListener| -> io::Result<Box<dyn Any + Send>> {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd()))?;
        *served.socket.lock().unwrap() = name.display().to_string();
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let of_task = served.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if line.starts_with("HTTP") {
                    let _ = stream.read(&mut [0; 512]).await;
                } else {
                    of_task.is_leaked.store(!ends(|| holders(&of_task).is_empty()).await, Ordering::Relaxed);
                }
                let _ = stream.write_all(line.as_bytes()).await;
            }
        });
        Ok(Box::new(Guard(served.clone(), task.abort_handle())))
    })
}

/// Other processes that have the listener. One that is being started has a copy of everything for a moment.
fn holders(served: &Served) -> Vec<String> {
    let socket = served.socket.lock().unwrap().clone();
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let has = |process: &String| descriptors(process).contains(&socket);
    processes.filter(|name| name.parse::<u32>().is_ok() && *name != own).filter(has).collect()
}

fn descriptors(process: &str) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    open.filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
}

/// Waits until something is so; false if it is not for long.
async fn ends(is_so: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Why this machine gives no way to hosts, if it gives none.
fn missing() -> Option<String> {
    let isolation = Isolation::best_effort().hosts(proxy(&Arc::default(), ""));
    isolation.enforcement().missing().find(|missing| missing.name == "hosts").map(|missing| missing.how.clone())
}

#[tokio::test]
async fn a_command_reaches_what_the_lab_serves_and_keeps_nothing_of_it() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    let served = Arc::new(Served::default());
    let isolation = Isolation::best_effort().hosts(proxy(&served, "from the proxy\n"));
    let told = isolation.enforcement().to_string();
    assert!(told.contains("network (a network namespace, and only pypi.org by the lab's proxy)"), "{told}");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let script = format!(
        "(setsid bash -c 'while sleep 0.1; do exec 3<>/dev/tcp/127.0.0.1/3128; done' &)\n\
         echo $http_proxy $HTTPS_PROXY $no_proxy\n\
         for process in /proc/[0-9]*; do ls -l $process/fd; done 2> /dev/null | grep socket: && echo leaked\n\
         exec 3<>/dev/tcp/127.0.0.1/3128 && head -n 1 <&3\n\
         (exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null && echo direct\necho ended"
    );
    let machine = Machine::new();
    let outcome = machine.tries(&script, isolation).await;
    let expected = "http://127.0.0.1:3128 http://127.0.0.1:3128 localhost,127.0.0.1,::1\nfrom the proxy\nended\n";
    assert_eq!(outcome.log().tail, expected, "{outcome:?}");
    assert!(!served.is_leaked.load(Ordering::Relaxed), "{:?}", holders(&served));
    assert!(served.is_dropped.load(Ordering::Relaxed), "it is served after the command's end");
    let socket = served.socket.lock().unwrap().clone();
    assert!(ends(|| !descriptors("self").contains(&socket) && holders(&served).is_empty()).await, "{socket} is open");
    // The next command of the same slot has none.
    let outcome = machine.tries("(exec 3<>/dev/tcp/127.0.0.1/3128) || echo none", Isolation::best_effort()).await;
    assert!(outcome.log().tail.ends_with("none\n"), "{outcome:?}");
}

#[tokio::test]
async fn a_proxy_that_lets_everything_through_is_an_open_attack() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    let attack = attacks::all().find(|attack| attack.name.ends_with("by the lab's proxy")).unwrap();
    for (line, expected) in
        [("HTTP/1.1 200 OK\r\n\r\n", AttackVerdict::Open), ("HTTP/1.1 403 No\r\n\r\n", AttackVerdict::Contained)]
    {
        let machine = Machine::new();
        let suite = machine.attacks(Isolation::best_effort().hosts(proxy(&Arc::default(), line)), false);
        let tried = suite.try_attack(attack, &Cancel::new()).await.unwrap();
        assert_eq!(tried.verdict, expected, "{line}: {tried:?}");
    }
}

#[test]
fn a_container_has_no_way_to_hosts() {
    let isolation = Isolation::best_effort().container(Container::new("podman", "x").unwrap());
    let enforcement = isolation.hosts(proxy(&Arc::default(), "")).enforcement();
    assert!(enforcement.missing().any(|missing| missing.name == "hosts" && missing.how.contains("pypi.org")));
}

/// Behind walls no namespaces can be made, as on a machine that forbids them.
#[tokio::test]
async fn without_namespaces_no_host_is_reached_and_that_is_told() {
    let served = Arc::new(Served::default());
    let isolation = Isolation::best_effort().hosts(proxy(&served, "from the proxy\n"));
    if std::env::var_os(INSIDE).is_none() {
        let machine = Machine::new();
        let test = std::env::current_exe().unwrap();
        let name = "isolation::hosts::without_namespaces_no_host_is_reached_and_that_is_told";
        let script = format!("{INSIDE}=1 {} {name} --exact --nocapture", test.display());
        let outcome = machine.tries(&script, Isolation::best_effort().read(&test)).await;
        assert!(outcome.log().tail.contains("1 passed"), "{outcome:?}");
        return;
    }
    let enforcement = isolation.enforcement();
    let holds =
        |name: &str| enforcement.protections.iter().any(|protection| protection.name == name && protection.enforced);
    if holds("what can be seen") || !holds("network") {
        println!("skipped: {enforcement}");
        return;
    }
    let why = missing().unwrap_or_default();
    assert!(why.contains("pypi.org cannot be reached, which needs a network namespace: "), "{why}");
    // In the network of these walls.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let script = format!("echo proxy: $HTTP_PROXY; (exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null || echo none");
    let outcome = Machine::new().tries(&script, isolation).await;
    assert_eq!(outcome.log().tail, "proxy:\nnone\n", "{outcome:?}");
    assert!(served.socket.lock().unwrap().is_empty());
    let strict = Isolation::strict().hosts(proxy(&served, ""));
    assert!(!strict.enforcement().is_full());
}
