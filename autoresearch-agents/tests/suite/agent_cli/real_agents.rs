//! The real Claude Code and the real Codex, each through a run of three experiments against a server on loopback that
//! tells them to show their environment and to edit the file with their own tools.
//!
//! `cargo xtask agents` installs both and `cargo xtask test` names the folder in `AUTORESEARCH_TEST_AGENTS`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use autoresearch_agents::Agent;
use autoresearch_agents::agent_cli::{Auth, Upstream};
use autoresearch_agents::http::Secret;
use autoresearch_core::Status;
use serde_json::{Value, json};

use super::fixture::{FinishedRun, Place};
use super::mock::{Answer, Asked, Server, events};

const KEY: &str = "sk-real-key-3f9a1c";
/// Scores that the agent is told to set, one after the other.
const SCORES: [u32; 3] = [4, 6, 3];

/// The program of an agent, if they are installed.
fn program(name: &str) -> Option<String> {
    let found = std::env::var_os("AUTORESEARCH_TEST_AGENTS").map(|folder| {
        let program = PathBuf::from(folder).join("node_modules/.bin").join(name);
        assert!(program.is_file(), "{} is missing", program.display());
        program.to_str().unwrap().to_owned()
    });
    if found.is_none() {
        println!("skipped: AUTORESEARCH_TEST_AGENTS names no folder with {name}; `cargo xtask agents` makes one");
    }
    found
}

/// The text that stands in the request between `start` and `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

/// The number of the session, from 0: each one begins with a request in which no tool has answered yet.
fn session(sessions: &AtomicUsize, steps: usize) -> usize {
    if steps == 0 { sessions.fetch_add(1, Ordering::SeqCst) } else { sessions.load(Ordering::SeqCst) - 1 }
}

/// The score before and after the edit of a session.
fn scores(asked: &Asked, session: usize) -> (String, String) {
    let before = between(&asked.body, "The score to beat is ", ".").unwrap().to_owned();
    (before, SCORES[session % SCORES.len()].to_string())
}

fn closing(session: usize) -> String {
    json!({"description": format!("idea {session}"), "hypothesis": "less work"}).to_string()
}

/// Looks at every process that has to do with the agent's folder, for as long as the run lasts.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<(usize, usize)>>,
}

impl Watch {
    fn start(place: &Place) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, scratch) = (stop.clone(), place.path().join("scratch").to_str().unwrap().to_owned());
        let holds = |bytes: &[u8], what: &str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
        let look = move || {
            let (mut seen, mut keys) = (0, 0);
            while !ends.load(Ordering::SeqCst) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
                    let dump = [read("environ"), read("cmdline")].concat();
                    if holds(&dump, &scratch) {
                        seen += 1;
                        keys += usize::from(holds(&dump, KEY));
                    }
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            (seen, keys)
        };
        Watch { stop, thread: Some(std::thread::spawn(look)) }
    }

    /// Returns the number of dumps, and of those that held the key.
    fn end(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Checks a run and prints its line of evidence.
fn check(name: &str, run: &FinishedRun, server: &Server, (dumps, keys): (usize, usize), edited: &str, path: &str) {
    assert_eq!(run.troubles, Vec::<String>::new());
    assert_eq!(run.decisions(), [Status::Keep, Status::Discard, Status::Keep]);
    let asked = server.asked();
    let seen = keys + asked.iter().filter(|asked| asked.body.contains(KEY)).count();
    assert!(dumps > 0, "the agent's processes were looked at");
    for asked in &asked {
        assert_eq!(asked.path.split('?').next(), Some(path), "nothing else reaches the server");
        let shown = asked.header("x-api-key").or(asked.header("authorization").and_then(|v| v.strip_prefix("Bearer ")));
        assert_eq!(shown, Some(KEY), "every request came through the proxy");
    }
    // The last request of each session carries what its tools said.
    let by_tool = asked.iter().filter(|asked| asked.body.contains(edited)).count();
    let experiments = run.decisions().len();
    println!("evidence agent-{name} experiments {experiments} edits_by_tool {by_tool} key_seen {seen}");
    assert_eq!((by_tool, seen), (experiments, 0));
    for experiment in &run.state.experiments[1..] {
        assert_eq!(experiment.description, format!("idea {}", experiment.id.0 - 1));
        assert_eq!(experiment.hypothesis, "less work");
        let cost = experiment.cost;
        assert!(cost.tokens > 0 && cost.dollars > 0.0 && cost.calls > 2, "{cost:?}");
    }
}

/// Anthropic's server: show the environment, read, edit, end.
fn anthropic(sessions: &AtomicUsize, asked: &Asked) -> Answer {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let parts = body["messages"].as_array().unwrap().iter().filter_map(|message| message["content"].as_array());
    let steps = parts.flatten().filter(|part| part["type"] == "tool_result").count();
    let session = session(sessions, steps);
    let (before, after) = scores(asked, session);
    let folder = asked.body.split(['"', ' ', '\\', '\n']).find(|word| word.contains("/scratch/agent-")).unwrap();
    let folder = &folder[..folder.find("/work").unwrap() + "/work".len()];
    let file = format!("{folder}/value.sh");
    let tool = match steps {
        0 => Some(("Bash", json!({"command": "env", "description": "Show the environment"}))),
        1 => Some(("Read", json!({"file_path": file}))),
        2 => {
            let (old, new) = (format!("score: {before}"), format!("score: {after}"));
            Some(("Edit", json!({"file_path": file, "old_string": old, "new_string": new})))
        }
        _ => None,
    };
    let usage = json!({"input_tokens": 100, "output_tokens": 1});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let (block, delta, reason) = match tool {
        Some((name, input)) => (
            json!({"type": "tool_use", "id": format!("toolu_{session}_{steps}"), "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": input.to_string()}),
            "tool_use",
        ),
        None => (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": format!("I changed it.\n{}", closing(session))}),
            "end_turn",
        ),
    };
    let answer = events(&[
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": 20}}),
        json!({"type": "message_stop"}),
    ]);
    (200, answer)
}

/// OpenAI's server: show the environment, edit, end.
fn openai(sessions: &AtomicUsize, asked: &Asked) -> Answer {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let input = body["input"].as_array().unwrap();
    let answered = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
    let steps = input.iter().filter(answered).count();
    let session = session(sessions, steps);
    let (before, after) = scores(asked, session);
    let id = format!("call_{session}_{steps}");
    let item = match steps {
        0 => json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "exec_command",
            "arguments": json!({"cmd": "env; cat value.sh"}).to_string()}),
        1 => {
            let patch = format!(
                "*** Begin Patch\n*** Update File: value.sh\n@@\n-echo 'score: {before}'\n+echo 'score: {after}'\n*** End Patch\n"
            );
            json!({"type": "custom_tool_call", "id": format!("ct_{id}"), "call_id": id, "name": "apply_patch", "input": patch})
        }
        _ => json!({"type": "message", "id": "m", "role": "assistant",
            "content": [{"type": "output_text", "text": format!("I changed it.\n{}", closing(session))}]}),
    };
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110});
    let answer = events(&[
        json!({"type": "response.created", "response": {"id": "r"}}),
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.completed", "response": {"id": "r", "usage": usage}}),
    ]);
    (200, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claude_code_works_a_run_with_its_own_tools() {
    let Some(program) = program("claude") else { return };
    let place = Place::new();
    let sessions = AtomicUsize::new(0);
    let server = Server::start(move |asked| anthropic(&sessions, asked)).await;
    let mut settings = place.settings(Agent::ClaudeCode(program));
    settings.upstream = Some(Upstream::new(&server.url, Secret::new(KEY), Auth::XApiKey));
    settings.arguments = ["--allowedTools", "Bash(env)"].map(String::from).into();
    let watch = Watch::start(&place);
    let run = place.run_lab(settings, SCORES.len()).await;
    let watched = watch.end();
    let run = run.unwrap();
    check("claude", &run, &server, watched, "value.sh has been updated successfully", "/v1/messages");
    let shown = server.asked().iter().any(|asked| asked.body.contains("ANTHROPIC_API_KEY=agent-"));
    assert!(shown, "the shell of the agent had the proxy's key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codex_works_a_run_with_its_own_tools() {
    let Some(program) = program("codex") else { return };
    let place = Place::new();
    let sessions = AtomicUsize::new(0);
    let server = Server::start(move |asked| openai(&sessions, asked)).await;
    let mut settings = place.settings(Agent::Codex(program));
    settings.upstream = Some(Upstream::new(&format!("{}/v1", server.url), Secret::new(KEY), Auth::Bearer));
    settings.model = Some("gpt-6.1-sol".into());
    let watch = Watch::start(&place);
    let run = place.run_lab(settings, SCORES.len()).await;
    let watched = watch.end();
    let run = run.unwrap();
    check("codex", &run, &server, watched, "Success. Updated the following files", "/v1/responses");
    let of_shell = |asked: &&Asked| asked.body.contains("CODEX_SANDBOX_NETWORK_DISABLED=1");
    let shown: Vec<Asked> = server.asked().iter().filter(of_shell).cloned().collect();
    assert!(!shown.is_empty(), "the shell showed its environment");
    assert!(shown.iter().all(|asked| !asked.body.contains("AUTORESEARCH_AGENT_KEY=")), "not even the proxy's key");
}
