//! A night with a language model, as a user meets it: the command, a repository, and a server on this machine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const KEY: &str = "sk-only-for-the-server";

/// Answers every request with the next of these texts, the last one again and again, as one reply of Claude's.
fn serve(texts: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    std::thread::spawn(move || {
        for (at, socket) in listener.incoming().enumerate() {
            let text = &texts[at.min(texts.len() - 1)];
            requests.lock().unwrap().push(answer(socket.unwrap(), text));
        }
    });
    (url, seen)
}

fn answer(mut socket: TcpStream, text: &str) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 1 << 16];
    loop {
        let count = socket.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..count]);
        let so_far = String::from_utf8_lossy(&request);
        let length = so_far.to_lowercase();
        let length =
            length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if count == 0 || body.zip(length).is_some_and(|(body, length)| body >= length) {
            break;
        }
    }
    let events = [
        serde_json::json!({ "type": "message_start", "message": { "usage": { "input_tokens": 1000, "output_tokens": 1 } } }),
        serde_json::json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        serde_json::json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        serde_json::json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 500 } }),
        serde_json::json!({ "type": "message_stop" }),
    ];
    let events: String =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", events.len());
    socket.write_all((head + &events).as_bytes()).unwrap();
    String::from_utf8_lossy(&request).into_owned()
}

fn git(folder: &std::path::Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=u", "-c", "user.email=u@localhost"];
    assert!(Command::new("git").args(identity).args(arguments).current_dir(folder).status().unwrap().success());
}

/// A number in a file is the score; a check wants it to be one.
fn night(proposer: &str, arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("repository");
    std::fs::create_dir(&folder).unwrap();
    let config = format!(
        "editable = ['work.txt']\n[run]\ncommand = ['sh', '-c', 'echo score: $(cat work.txt); env']\n\
         [check]\ncommand = ['sh', '-c', 'env; grep -q \"^[0-9]*$\" work.txt || echo no number']\n\
         [metric]\nname = 'score'\ndirection = 'minimise'\n[proposer]\n{proposer}\n"
    );
    // The check fails by its words alone.
    let config = config.replace("|| echo no number", "|| (echo no number; exit 1)");
    for (name, text) in [("autoresearch.toml", config.as_str()), ("program.md", "# Lower it\n"), ("work.txt", "50\n")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-qm", "start"]);
    let output = Command::new(env!("CARGO_BIN_EXE_autoresearch"))
        .arg("run")
        .args(arguments)
        .current_dir(&folder)
        .env("AUTORESEARCH_CACHE", root.path().join("cache"))
        .env("MODEL_KEY", KEY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (root, output)
}

fn everything(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn proposal(number: &str) -> String {
    let edits = serde_json::json!([{ "kind": "write", "path": "work.txt", "text": format!("{number}\n") }]);
    serde_json::json!({ "description": format!("{number} it is"), "hypothesis": "h", "edits": edits }).to_string()
}

#[test]
fn a_model_s_proposals_are_checked_run_and_paid_within_the_budget() {
    let (url, seen) = serve(["forty", "40", "30", "60", "20"].map(proposal).to_vec());
    let proposer = format!(
        "kind = 'claude'\nbase_url = '{url}'\nkey = {{ env = 'MODEL_KEY' }}\nrecord = '{{cache}}/tape'\nmax_tokens = 1000\n[stop]\ndollars = 0.1"
    );
    let (root, output) = night(&proposer, &["--experiments", "3"]);
    let text = everything(&output);
    assert!(output.status.success(), "{text}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| request.contains(&format!("x-api-key: {KEY}"))));
    assert!(seen[1].contains("no number"), "{}", seen[1]);
    assert!(seen[3].contains("30 it is"), "{}", seen[3]);
    // The key is nowhere: not on the screen, nor in the journal, the logs, the cassette or the copy that was checked.
    let found = Command::new("grep").args(["-rl", KEY]).arg(root.path()).output().unwrap();
    assert_eq!(everything(&found), "");
    assert!(!text.contains(KEY));
    assert!(root.path().join("cache/tape").exists());
}

#[test]
fn a_spent_budget_and_a_missing_key_are_said_in_words() {
    let (url, _) = serve(["40", "30", "20", "10"].map(proposal).to_vec());
    let base = format!("kind = 'claude'\nbase_url = '{url}'\nmax_tokens = 1000\n");
    let (_root, output) = night(&format!("{base}[stop]\ntokens = 5000"), &["--experiments", "4"]);
    let text = everything(&output);
    assert!(output.status.success() && text.contains("of 5000 tokens are spent"), "{text}");
    let (_root, output) = night(&format!("{base}key = {{ env = 'NO_SUCH_KEY' }}"), &["--experiments", "1"]);
    let text = everything(&output);
    assert!(!output.status.success() && text.contains("NO_SUCH_KEY is not set"), "{text}");
}
