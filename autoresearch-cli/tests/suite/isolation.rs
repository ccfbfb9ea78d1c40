//! Walls around candidates, as the configuration asks for them.
#![cfg(target_os = "linux")]

use crate::fixture::{PRINT_SUM, Repository, text};

/// A program that, beside its score, does what a candidate must not: it forges a line of the run's own journal, changes the user's
/// file, writes into the home, and reads the key of the command that started it.
fn hostile(repository: &Repository) -> String {
    let (root, home) = (repository.folder.display(), repository.root().display());
    format!(
        "for journal in {root}/.autoresearch/*/journal.jsonl; do echo '{{\"forged\": true}}' >> $journal; done\n\
         echo 'print(0)' >> {root}/work.txt\necho x > {home}/home-was-here\n\
         for process in /proc/[0-9]*; do tr '\\0' '\\n' < $process/environ; done 2>/dev/null | grep -a LAB_API_KEY && echo 'key: 1'\n\
         cat {root}/program.md && echo 'programme: 1'\n{PRINT_SUM}"
    )
}

/// A repository whose program is the hostile one, under `more`.
fn repository(more: &str) -> Repository {
    let repository = Repository::running("true", more);
    let script = hostile(&repository);
    repository.configure(|text| text.replacen("\ntrue\n", &format!("\n{script}\n"), 1));
    repository.commit("hostile");
    repository
}

/// The harm that the program did to the user, after a run of two experiments.
fn harm(repository: &Repository) -> (String, Vec<&'static str>) {
    let mut run = repository.command(&["run", "--tag", "t", "--experiments", "2"]);
    let said = text(&run.env("LAB_API_KEY", "0123456789abcdef").output().unwrap());
    let mut done = Vec::new();
    if repository.of_run("t", "journal.jsonl").lines().any(|line| line.starts_with("{\"forged\"")) {
        done.push("journal");
    }
    if repository.git(&["status", "--porcelain"]).contains("work.txt") {
        done.push("user's file");
    }
    if repository.root().join("home-was-here").exists() {
        done.push("home");
    }
    let log = repository.of_run("t", "logs/0000-1.log") + &repository.of_run("t", "logs/0000.log");
    for (line, what) in [("programme: 1", "programme"), ("key: 1", "key")] {
        if log.contains(line) {
            done.push(what);
        }
    }
    (said, done)
}

#[test]
fn a_candidate_does_no_harm_behind_walls() {
    let (said, done) = harm(&repository(""));
    assert!(done.contains(&"journal") && done.contains(&"user's file") && done.contains(&"home"), "{done:?}: {said}");

    let walled = repository("[isolation]\nlevel = 'best-effort'\n");
    let (said, done) = harm(&walled);
    assert!(done.is_empty(), "{done:?}: {said}");
    assert!(said.contains("warning: the isolation lacks: ") || !said.contains("isolation"), "{said}");
    let report = walled.of_run("t", "report.md");
    assert!(
        report.contains("Isolation of candidates: files (Landlock ") && report.contains("environment (a list"),
        "{report}"
    );
    assert!(walled.succeeds(&["verify", "--tag", "t"]).contains("sound"), "{said}");
    assert!(walled.rows().len() == 3 && walled.rows()[0].starts_with("50.500000"), "{:?}", walled.rows());
}

#[test]
fn paths_that_are_named_are_open_and_no_others() {
    let script = |root: &str| {
        format!(
            "cat {root}/data/a > /dev/null || exit 3\necho x > {root}/out/b || exit 4\ncat {root}/secret 2>/dev/null && exit 5\n{PRINT_SUM}"
        )
    };
    let more = "[isolation]\nlevel = 'best-effort'\nread = ['{repo}/../data']\nwrite = ['{cache}/../out']\n";
    let repository = Repository::running("true", more);
    let root = repository.root().display().to_string();
    for name in ["data", "out"] {
        std::fs::create_dir(repository.root().join(name)).unwrap();
    }
    std::fs::write(repository.root().join("data/a"), "a").unwrap();
    std::fs::write(repository.root().join("secret"), "s").unwrap();
    repository.configure(|text| text.replacen("\ntrue\n", &format!("\n{}\n", script(&root)), 1));
    repository.commit("uses data");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert_eq!(std::fs::read_to_string(repository.root().join("out/b")).unwrap(), "x\n");
}

/// A server of this machine, which answers each connection with a page of one line.
fn server(line: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, format!("HTTP/1.1 200 OK\r\n\r\n{line}\n").as_bytes());
        }
    });
    port
}

#[test]
fn hosts_on_the_list_are_reached_and_no_others() {
    let (server, other) = (server("a page"), server("another page"));
    let script = format!(
        "ask() {{ exec 3<>/dev/tcp/127.0.0.1/${{http_proxy##*:}} && printf \"$1 HTTP/1.1\\r\\n\\r\\n$2\" >&3 && tr '\\r' ' ' <&3; }}\n\
         ask \"GET http://127.0.0.1:{server}/\" | sed 's/^/plain: /'\n\
         ask \"CONNECT 127.0.0.1:{server}\" 'GET / HTTP/1.1\\r\\n\\r\\n' | sed 's/^/tunnel: /'\n\
         ask \"CONNECT 127.0.0.1:{other}\" 'GET / HTTP/1.1\\r\\n\\r\\n' | sed 's/^/other: /'\n\
         (exec 3<>/dev/tcp/127.0.0.1/{server}) && echo direct\n\
         if command -v python3 > /dev/null; then python3 -c \"import urllib.request as u; print('python:', \
         u.urlopen('http://127.0.0.1:{server}/').read().decode())\"; else echo 'python: a page'; fi\n{PRINT_SUM}"
    );
    let more = |network: &str| format!("[isolation]\nlevel = 'best-effort'\nnetwork = {network}\n");
    let of = |network: &str| {
        let repository = Repository::running("true", &more(network));
        repository.configure(|text| text.replacen("'sh', '-c'", "'bash', '-c'", 1));
        repository.configure(|text| text.replacen("\ntrue\n", &format!("\n{script}\n"), 1));
        repository.commit("asks");
        repository
    };
    let repository = of(&format!("['127.0.0.1:{server}']"));
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    if said.contains("which needs a network namespace") {
        println!("skipped: {said}");
        return;
    }
    let log = repository.of_run("t", "logs/0000-1.log") + &repository.of_run("t", "logs/0000.log");
    for line in ["plain: a page", "tunnel: a page", "other: HTTP/1.1 403 Forbidden", "python: a page"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("another page") && !log.contains("direct"), "{log}");
    let hosts = format!("only 127.0.0.1:{server} by the lab's proxy");
    assert!(repository.of_run("t", "report.md").contains(&hosts));

    // A run goes on with the hosts that it began with, and with no others.
    repository.configure(|text| text.replacen("network = [", "network = ['pypi.org', ", 1));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2", "--allow-dirty"]);
    assert!(said.contains(&format!("isolation.network: [\"127.0.0.1:{server}\"] then, [\"pypi.org\",")), "{said}");

    // No list, and a list of none, are the same: no proxy.
    let none = of("false");
    none.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let log = none.of_run("t", "logs/0000-1.log") + &none.of_run("t", "logs/0000.log");
    assert!(!log.contains("plain: a page") && !log.contains("tunnel: a page"), "{log}");
    none.configure(|text| text.replacen("network = false", "network = []", 1));
    none.succeeds(&["run", "--tag", "t", "--experiments", "2", "--allow-dirty"]);
}

#[test]
fn the_level_is_checked_and_told() {
    let strict = Repository::running(PRINT_SUM, "[isolation]\nlevel = 'strict'\n");
    let output = strict.run(&["run", "--tag", "t", "--experiments", "1"]);
    let said = text(&output);
    // Root has no strict isolation, and old kernels have none.
    if !output.status.success() {
        assert!(said.contains("[isolation] level is strict") && said.contains("not enforced: "), "{said}");
        assert!(!strict.folder.join(".autoresearch/t").exists(), "{said}");
    }
    let doctor = text(&strict.run(&["doctor"]));
    assert!(doctor.contains("isolation: "), "{doctor}");
    let none = Repository::running(PRINT_SUM, "");
    assert!(text(&none.run(&["doctor"])).contains("isolation: none: commands of candidates may do what you may do"));
    for (more, words) in [
        ("[isolation]\nlevel = 'hard'\n", "best-effort"),
        ("[isolation]\nread = ['/data']\n", "opens a wall where there is none"),
        ("[isolation]\nlevel = 'strict'\nwrite = ['data']\n", "which is no whole path"),
        ("[isolation]\nnetwork = ['pypi.org']\n", "opens a wall where there is none"),
        ("[isolation]\nlevel = 'strict'\nnetwork = 'pypi.org'\n", "true, false or a list of hosts as"),
        ("[isolation]\nlevel = 'strict'\nnetwork = ['https://pypi.org']\n", "without https://"),
        (
            "[isolation]\nlevel = 'strict'\nnetwork = ['pypi.org']\ncontainer = 'podman'\nimage = 'x'\n",
            "the network of a container is its engine's",
        ),
    ] {
        let said = Repository::running(PRINT_SUM, more).fails(&["run", "--tag", "t"]);
        assert!(said.contains("[isolation]") && said.contains(words), "{said}");
    }
}
