//! The real aider with the command line of docs/agents.md, against a server on loopback.
//!
//! `cargo xtask agents` installs it where a fitting Python is. It is tried where `AUTORESEARCH_TEST_AIDER` names its program, or
//! PATH has it.

use autoresearch_agents::Agent;
use autoresearch_agents::agent_cli::{Auth, Upstream};
use autoresearch_agents::http::Secret;
use autoresearch_core::Status;
use serde_json::{Value, json};

use super::fixture::Place;
use super::mock::{Answer, Asked, Server};

const KEY: &str = "sk-real-key-3f9a1c";

fn program() -> Option<String> {
    let named = std::env::var("AUTORESEARCH_TEST_AIDER").ok();
    let found = named.or_else(|| {
        let folders = std::env::var_os("PATH")?;
        let programs = std::env::split_paths(&folders).map(|folder| folder.join("aider")).find(|path| path.is_file());
        programs.map(|path| path.to_string_lossy().into_owned())
    });
    if found.is_none() {
        println!(
            "skipped: there is no aider; `cargo xtask agents` installs it or says why not, and AUTORESEARCH_TEST_AIDER names its \
             program"
        );
    }
    found
}

/// Returns the arguments of the aider block in docs/agents.md, which is no part of the packaged crate.
fn documented() -> Option<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agents.md")).ok()?;
    let start = page.find("command = [\"aider\"").unwrap();
    let block = &page[start..start + page[start..].find("```").unwrap()];
    let block: toml::Value = toml::from_str(block).unwrap();
    Some(block["command"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect())
}

/// OpenAI's Chat Completions: an edit in aider's own form, with the closing line that the prompt asks for.
fn answer(asked: &Asked) -> Answer {
    let request: Value = serde_json::from_str(&asked.body).unwrap();
    let text = "value.sh\n```\n<<<<<<< SEARCH\necho 'score: 5'\n=======\necho 'score: 4'\n>>>>>>> REPLACE\n```\n\n\
                {\"description\": \"lower the score\", \"hypothesis\": \"four is less\"}\n";
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": request["model"], "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]});
    (200, answer.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aider_works_with_the_documented_command() {
    let (Some(program), Some(mut command)) = (program(), documented()) else { return };
    let place = Place::new();
    let server = Server::start(answer).await;
    command[0] = program;
    if let Some(file) = command.last_mut() {
        *file = "value.sh".into();
    }
    let mut settings = place.settings(Agent::Command(command));
    settings.model = Some("gpt-6-luna".into());
    settings.upstream = Some(Upstream::new(&format!("{}/v1", server.url), Secret::new(KEY), Auth::Bearer));
    let run = place.run_lab(settings, 1).await.unwrap();
    assert_eq!(run.decisions(), [Status::Keep], "{:?} {:?}", run.troubles, run.state.rejections);
    let experiment = &run.state.experiments[1];
    assert_eq!((experiment.description.as_str(), experiment.hypothesis.as_str()), ("lower the score", "four is less"));
    assert!(experiment.cost.calls >= 1 && experiment.cost.dollars > 0.0, "{:?}", experiment.cost);
    assert!(server.asked().iter().all(|asked| asked.header("authorization") == Some(&format!("Bearer {KEY}"))));
    println!("evidence agent-aider experiments 1");
}
