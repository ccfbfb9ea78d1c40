//! A run with a language model: the command, a repository, and a server on this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use crate::fixture::{Repository, text};

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

/// A number in a file is the score; a check wants it to be one.
fn repository(proposer: &str) -> Repository {
    let config = format!(
        "editable = ['work.txt']\n[run]\ncommand = ['sh', '-c', 'echo score: $(cat work.txt); env']\n\
         [check]\ncommand = ['sh', '-c', 'env; grep -q \"^[0-9]*$\" work.txt || echo no number']\n\
         [metric]\nname = 'score'\ndirection = 'minimise'\n[proposer]\n{proposer}\n"
    );
    // The check fails by its words alone.
    let config = config.replace("|| echo no number", "|| (echo no number; exit 1)");
    Repository::with(&[("autoresearch.toml", &config), ("program.md", "# Lower it\n"), ("work.txt", "50\n")])
}

fn run(proposer: &str, arguments: &[&str]) -> (Repository, Output) {
    let root = repository(proposer);
    let output = root.command(&[&["run"], arguments].concat()).env("MODEL_KEY", KEY).output().unwrap();
    (root, output)
}

fn proposal(number: &str) -> String {
    let edits = serde_json::json!([{ "kind": "write", "path": "work.txt", "text": format!("{number}\n") }]);
    serde_json::json!({ "description": format!("{number} it is"), "hypothesis": "h", "edits": edits }).to_string()
}

#[test]
fn a_model_s_proposals_are_checked_run_and_paid_within_the_budget() {
    let (url, seen) = serve(["forty", "40", "30", "60", "20"].map(proposal).to_vec());
    let proposer = format!(
        "kind = 'claude'\nbase_url = '{url}'\nkey = {{ env = 'MODEL_KEY' }}\nrecord = '{{cache}}/tape'\nmax_tokens = 1000\n[stop]\ndollars = 0.1\n\
         [workers]\nahead = false"
    );
    let (root, output) = run(&proposer, &["--experiments", "3"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| request.contains(&format!("x-api-key: {KEY}"))));
    assert!(seen[1].contains("no number"), "{}", seen[1]);
    assert!(seen[3].contains("30 it is"), "{}", seen[3]);
    // The key is nowhere: not on the screen, nor in the journal, the logs, the cassette or the copy that was checked.
    let found = Command::new("grep").args(["-rl", KEY]).arg(root.root()).output().unwrap();
    assert_eq!(text(&found), "");
    assert!(!said.contains(KEY));
    assert!(root.cache().join("tape").exists());
}

#[test]
fn a_model_thinks_while_experiments_run_unless_it_must_not() {
    for (more, ahead) in [("", true), ("[workers]\nahead = false\n", false)] {
        let (url, _) = serve(["40", "30"].map(proposal).to_vec());
        let root = repository(&format!("kind = 'claude'\nbase_url = '{url}'\nkey = {{ env = 'MODEL_KEY' }}\n{more}"));
        let config = root.config();
        let journal = root.folder.join(".autoresearch/t/journal.jsonl");
        // The first trial of a candidate goes on once the second one is staged, if that is to be, and else for a moment. The journal
        // has this command, too, in which the pattern must not find itself.
        let wait = format!(
            "for i in $(seq 600); do test $(cat work.txt) = 40 || break; grep -q stage[d].,.experiment.:2, {} && break; \
             sleep 0.1; {} done",
            journal.display(),
            if ahead { "" } else { "break;" }
        );
        let slow = std::fs::read_to_string(&config).unwrap().replace("echo score", &format!("{wait}; echo score"));
        std::fs::write(&config, slow).unwrap();
        let mut run = root.command(&["run", "--experiments", "2", "--tag", "t", "--allow-dirty"]);
        let output = run.env("MODEL_KEY", KEY).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let journal = std::fs::read_to_string(journal).unwrap();
        let line_of = |kind: &str, experiment: u32| {
            let (kind, experiment) = (format!("\"type\":\"{kind}\""), format!("\"experiment\":{experiment},"));
            journal.lines().position(|line| line.contains(&kind) && line.contains(&experiment)).unwrap()
        };
        assert_eq!(line_of("staged", 2) < line_of("trial_measured", 1), ahead, "{journal}");
    }
}

#[test]
fn a_spent_budget_and_a_missing_key_are_said_in_words() {
    let (url, _) = serve(["40", "30", "20", "10"].map(proposal).to_vec());
    let base = format!("kind = 'claude'\nbase_url = '{url}'\nmax_tokens = 1000\n");
    let (_root, output) = run(&format!("{base}[stop]\ntokens = 5000"), &["--experiments", "4"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("of 5000 tokens are spent"), "{said}");
    // Without a cap there is one by default, which is named at the start.
    let (_root, output) = run(&base, &["--experiments", "1"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("limit: the proposals of this run may cost $20.00"), "{said}");
    let (root, output) = run(&format!("{base}key = {{ env = 'NO_SUCH_KEY' }}"), &["--experiments", "1"]);
    let said = text(&output);
    assert!(!output.status.success() && said.contains("NO_SUCH_KEY is not set"), "{said}");
    assert!(!root.folder.join(".autoresearch").exists(), "a run that cannot begin leaves nothing");
}

/// Every file below a folder, with its content, and every ref.
fn everything_in(root: &Repository) -> (Vec<(std::path::PathBuf, Vec<u8>)>, Vec<u8>) {
    fn walk(folder: &std::path::Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push((path.clone(), std::fs::read(&path).unwrap())) }
        }
    }
    let mut found = Vec::new();
    walk(root.root(), &mut found);
    found.sort();
    let refs = Command::new("git").arg("for-each-ref").current_dir(&root.folder).output().unwrap();
    (found, refs.stdout)
}

/// Makes a dry run, which must change nothing and needs no key, and returns all that it said.
fn dry_run(root: &Repository) -> String {
    let before = everything_in(root);
    let mut command = root.command(&["run", "--dry-run"]);
    let output = command.env_remove("ANTHROPIC_API_KEY").env_remove("OPENAI_API_KEY").output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(everything_in(root) == before, "something was written");
    said
}

#[test]
fn a_dry_run_prints_the_prompt_and_its_cost_before_the_first_run_and_in_its_middle() {
    let (url, seen) = serve(["40", "30"].map(proposal).to_vec());
    let proposer = format!(
        "kind = 'claude'\nbase_url = '{url}'\nkey = {{ env = 'MODEL_KEY' }}\nrecord = '{{cache}}/tape'\nmax_tokens = 1000\n\
         mode = 'single-shot'\n[stop]\ndollars = 5.0\n[workers]\nahead = false"
    );
    let root = repository(&proposer);
    let said = dry_run(&root);
    for part in [
        "which begins",
        "not measured yet: 0 stands",
        "=== system\nYou improve a program",
        "# Lower it",
        "=== user\n# The editable files",
        "\n50\n",
        "=== tools: none",
        "model: claude-opus-5-5",
        "tokens of prompt and up to 1000 of reply: $0.0",
        "at most for the first call; 3 more if the answer must be mended",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = root.command(&["run", "--experiments", "2"]).env("MODEL_KEY", KEY).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let asked = seen.lock().unwrap().len();
    let said = dry_run(&root);
    for part in ["goes on after experiment 2", "40 it is", "The score to beat is 30", "\n30\n"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("0 stands in the place"), "{said}");
    assert_eq!(seen.lock().unwrap().len(), asked, "nothing is sent");
    let report = text(&root.command(&["report"]).output().unwrap());
    assert!(report.contains("The proposals cost $0.") && report.contains("2 calls; $0."), "{report}");
    assert!(report.contains("- 001 40 it is: $0.") && report.contains("1500 tokens (1 experiment)"), "{report}");
}

#[test]
fn a_dry_run_knows_every_kind_of_proposer() {
    for (proposer, parts) in [
        ("kind = 'openai'", &["=== system", "model: gpt-6.1-sol", "$0."][..]),
        (
            "kind = 'openai'\nmodel = 'own'\napi = 'chat'\nbase_url = 'http://127.0.0.1:9'\nmode = 'agentic'",
            &["=== tools: read_file, list, grep, edit, propose, check", "no price is known for own", "up to 40 in all"],
        ),
        (
            "kind = 'agent'\nagent = 'codex'\ncommand = ['/nowhere/codex']\nmodel = 'gpt-6.1-sol'",
            &[
                "=== user\nYou improve a program",
                "# Lower it",
                "tokens of task, $0.",
                "a system prompt and tools of its own",
            ],
        ),
        ("kind = 'agent'\ncommand = ['/nowhere/agent']", &["tokens of task; "]),
        ("kind = 'knobs'", &["no model is asked"]),
        (
            "kind = 'portfolio'\n[proposer.members.model]\nkind = 'claude'\n[proposer.members.search]\nkind = 'knobs'",
            &["##### model", "model: claude-opus-5-5", "##### search", "no model is asked"],
        ),
    ] {
        let said = dry_run(&repository(proposer));
        assert!(parts.iter().all(|part| said.contains(part)), "{proposer}: {parts:?}: {said}");
    }
}

#[test]
fn calls_made_before_a_restart_count() {
    let (url, seen) = serve(["40", "30", "20", "10"].map(proposal).to_vec());
    let proposer = format!("kind = 'claude'\nbase_url = '{url}'\nmax_tokens = 1000\n[stop]\ncalls = 3");
    let (root, output) = run(&proposer, &["--experiments", "2"]);
    assert!(output.status.success(), "{}", text(&output));
    let output = root.command(&["run", "--experiments", "9"]).output().unwrap();
    let said = text(&output);
    assert!(output.status.success() && said.contains("all 3 calls are made"), "{said}");
    assert_eq!(seen.lock().unwrap().len(), 3);
}
