//! Scripts in the place of agents, which fall into every trap that agents are known for.

use std::time::{Duration, Instant};

use autoresearch_agents::Agent;
use autoresearch_agents::model::Price;
use autoresearch_core::{Cancel, LabError, Patch, Status};

use super::fixture::Place;

/// A script that keeps its prompt and counts its calls in `$n`; on all calls but the first it makes the score `6 - n`.
fn script(place: &Place, first: &str, then: &str) -> String {
    let here = place.path().display();
    let body = format!(
        "n=$(cat {here}/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > {here}/n
printf '%s\\n' \"$@\" > {here}/prompt$n; env > {here}/env$n
if [ $n = 1 ]; then\n{first}\nelse\nsed -i \"s/score: .*'/score: $((6 - n))'/\" value.sh\n{then}\nfi"
    );
    place.script("agent", &body)
}

const RESULT: &str = r#"printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"Done.\n{\"description\":\"lower it\",\"hypothesis\":\"it is lower\"}","total_cost_usd":0.25,"usage":{"input_tokens":10,"output_tokens":5},"permission_denials":[]}'"#;

/// A run of one experiment with a script in Claude Code's place, whose first call goes wrong: what the lab was told, and
/// what the journal has of that call, if it cost something or came to an end.
async fn claude_trouble(first: &str) -> (Place, String, Option<f64>) {
    let place = Place::new();
    let agent = Agent::ClaudeCode(script(&place, first, RESULT));
    let run = place.run_lab(place.settings(agent), 1).await.unwrap();
    assert_eq!(run.decisions(), [Status::Keep], "the second attempt counts");
    let experiment = &run.state.experiments[1];
    assert_eq!((experiment.description.as_str(), experiment.hypothesis.as_str()), ("lower it", "it is lower"));
    assert_eq!(experiment.cost.dollars, 0.25, "what the second one cost");
    let refused = run.state.rejections.first().map(|rejection| (rejection.reason.clone(), rejection.cost.dollars));
    assert_eq!(run.troubles.len() + run.state.rejections.len(), 1, "{:?}", run.troubles);
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
    let trouble = refused.as_ref().map_or_else(|| run.troubles[0].clone(), |(reason, _)| reason.clone());
    let told = trouble.split([':', ';']).next().unwrap();
    assert!(place.read("prompt2").contains(told), "the next prompt says what went wrong: {told}");
    assert!(!place.read("prompt1").contains("Trouble with the last proposal"));
    (place, trouble, refused.map(|(_, dollars)| dollars))
}

#[tokio::test]
async fn what_an_agent_edits_is_the_proposal() {
    let place = Place::new();
    let script = "cat \"$1\" > ../../../prompt; ls > ../../../files; sed -i 's/5/4/' value.sh
        echo '# Take one off'; echo 'Less is better.'";
    let command = ["sh", "-c", script, "agent", "{prompt_file}", "{dir}"].map(String::from);
    let run = place.run_lab(place.settings(Agent::Command(command.into())), 1).await.unwrap();
    let experiment = &run.state.experiments[1];
    assert_eq!((experiment.status, experiment.description.as_str()), (Status::Keep, "Less is better."));
    let patch: Patch = serde_json::from_value(experiment.change.clone()).unwrap();
    assert_eq!(patch, Patch::replace("value.sh", "echo 'score: 5'\n", "echo 'score: 4'\n"));
    let prompt = place.read("prompt");
    for part in ["Lower the score.", "score to beat is 5", "lower is better", "value.sh"] {
        assert!(prompt.contains(part), "{part}: {prompt}");
    }
    assert_eq!(place.read("files"), "fixed.txt\nvalue.sh\n");
}

#[tokio::test]
async fn forbidden_edits_reject_the_proposal_and_the_next_prompt_says_so() {
    let edit = format!("sed -i 's/5/1/' value.sh; echo x > new.txt; rm -f fixed.txt; {RESULT}");
    let (place, trouble, dollars) = claude_trouble(&edit).await;
    assert!(trouble.contains("fixed.txt is gone; editable: value.sh"), "{trouble}");
    assert!(place.read("prompt2").contains("fixed.txt is gone"));
    assert_eq!(dollars, Some(0.25), "the journal has the cost of the rejected proposal");
}

#[tokio::test]
async fn an_agent_that_edits_nothing_is_asked_again() {
    let (_, trouble, dollars) = claude_trouble(RESULT).await;
    assert!(trouble.contains("changed nothing; it said: Done."), "{trouble}");
    assert_eq!(dollars, Some(0.25));
}

#[tokio::test]
async fn a_denied_edit_is_no_success() {
    let denied = r#"printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"I may not.","permission_denials":[{"tool_name":"Edit","tool_input":{"file_path":"/x"}}]}'"#;
    let (_, trouble, dollars) = claude_trouble(denied).await;
    assert_eq!(dollars, Some(0.0), "it came to an end");
    assert!(trouble.contains("changed nothing (denied: Edit /x); it said: I may not."), "{trouble}");
}

#[tokio::test]
async fn an_error_behind_success_discards_the_edits() {
    let error = r#"sed -i 's/5/1/' value.sh
        printf '%s\n' '{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529 overloaded"}'"#;
    let (_, trouble, dollars) = claude_trouble(error).await;
    assert!(trouble.ends_with("failed: API Error: 529 overloaded"), "{trouble}");
    assert_eq!(dollars, None, "nothing was paid: it is tried again");
    let paid = error.replace("\"is_error\":true", "\"is_error\":true,\"total_cost_usd\":0.5");
    assert_eq!(claude_trouble(&paid).await.2, Some(0.5), "something was");
}

#[tokio::test]
async fn an_exit_code_is_told_with_the_last_words() {
    let (_, trouble, _) = claude_trouble("echo 'no such option' >&2; exit 3").await;
    assert!(trouble.contains("ended with exit code 3") && trouble.contains("no such option"), "{trouble}");
}

#[tokio::test]
async fn an_agent_that_hangs_is_killed_with_all_that_it_started() {
    let place = Place::new();
    let here = place.path().display();
    let hang = format!(
        "trap '' TERM; sed -i 's/5/1/' value.sh
         setsid sh -c 'trap \"\" TERM; echo $$ > {here}/child; sleep 600' & sleep 600"
    );
    let mut settings = place.settings(Agent::ClaudeCode(script(&place, &hang, RESULT)));
    settings.limit = Duration::from_secs(3);
    let began = Instant::now();
    let run = place.run_lab(settings, 1).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(run.troubles, ["Claude Code failed: it was killed after 3 s"]);
    assert_eq!(run.state.experiments[1].score().map(|score| score.get()), Some(4.0), "not the unfinished edit");
    assert!(!runs(&place.read("child")));
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_agent_behind() {
    let place = Place::new();
    let hang = format!("setsid sleep 600 & echo $! > {}/child; sleep 600", place.path().display());
    let settings = place.settings(Agent::ClaudeCode(script(&place, &hang, RESULT)));
    let cancel = Cancel::new();
    let stop = async {
        while place.read("child").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let (run, ()) = tokio::join!(place.run_lab_until(settings, 1, &cancel), stop);
    assert_eq!(run.unwrap().decisions(), []);
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs(&place.read("child")) || !place.leftovers().is_empty() {
        assert!(Instant::now() < deadline, "something is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns true if a process exists as more than a zombie.
fn runs(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(!pid.trim().is_empty());
    !state.is_empty() && !state.contains(") Z ")
}

#[tokio::test]
async fn a_missing_program_ends_the_run_with_advice() {
    for (agent, advice) in [
        (Agent::ClaudeCode("/nowhere/claude".into()), "npm install -g @anthropic-ai/claude-code"),
        (Agent::Codex("/nowhere/codex".into()), "npm install -g @openai/codex"),
        (Agent::Command(vec!["/nowhere/aider".into()]), "install it"),
    ] {
        let place = Place::new();
        match place.run_lab(place.settings(agent), 1).await {
            Err(LabError::Proposer(why)) => assert!(why.contains("/nowhere/") && why.contains(advice), "{why}"),
            other => panic!("{:?}", other.map(|run| run.decisions())),
        }
    }
}

#[tokio::test]
async fn codex_is_read_by_its_events() {
    let place = Place::new();
    let first = r#"printf '%s\n' '{"type":"turn.started"}'; printf '%s\n' '{"type":"turn.failed","error":{"message":"stream disconnected"}}'"#;
    let then = r#"printf '%s\n' '{"type":"item.completed","item":{"type":"agent_message","text":"{\"description\":\"four\",\"hypothesis\":\"less\"}"}}'
        printf '%s\n' '{"type":"turn.completed","usage":{"input_tokens":3000000,"cached_input_tokens":1000000,"output_tokens":500000}}'"#;
    let mut settings = place.settings(Agent::Codex(script(&place, first, then)));
    settings.model = Some("own".into());
    settings.prices =
        [("own".to_owned(), Price { input: 2.0, output: 10.0, cache_read: Some(0.5), ..Price::NOTHING })].into();
    let run = place.run_lab(settings, 1).await.unwrap();
    assert_eq!(run.troubles, ["Codex failed: stream disconnected"]);
    let experiment = &run.state.experiments[1];
    assert_eq!((experiment.description.as_str(), experiment.cost.tokens), ("four", 3_500_000));
    assert_eq!(experiment.cost.dollars, 9.5);
}

#[tokio::test]
async fn an_agent_sees_only_what_is_listed() {
    let place = Place::new();
    let mut settings = place.settings(Agent::ClaudeCode(script(&place, RESULT, RESULT)));
    settings.environment = vec![("LISTED".into(), "yes".into())];
    place.run_lab(settings, 1).await.unwrap();
    let seen = place.read("env1");
    assert!(seen.contains("LISTED=yes") && seen.contains("CLAUDE_CODE_MAX_RETRIES=2"), "{seen}");
    // Cargo gives this one to every test.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !seen.contains("CARGO_MANIFEST_DIR"), "{seen}");
}
