//! Habits of agents: litter, files outside, removals, banners, checks, keys, and commands of the repository.

use std::sync::Arc;

use async_trait::async_trait;
use autoresearch_agents::agent_cli::{Auth, Outside, Upstream};
use autoresearch_agents::http::Secret;
use autoresearch_agents::model::Check;
use autoresearch_agents::{Agent, AgentCliProposer, AgentSettings};
use autoresearch_core::*;

use super::fixture::Place;

/// Settings of an agent that is one line of shell.
fn shell(place: &Place, script: &str) -> AgentSettings {
    place.settings(Agent::Command(["sh", "-c", script].map(String::from).into()))
}

/// Returns the next proposal over two editable files.
async fn propose(proposer: &mut AgentCliProposer) -> Result<Proposal, ProposerError> {
    let program = Program::parse("Lower the score.").unwrap();
    let files = ["value.sh", "lib/b.py"].map(|path| (path.to_owned(), format!("# {path}\necho 'score: 5'\n")));
    let score = Score::new(5.0).unwrap();
    let context: Context<'_> =
        Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files.into()), 0);
    proposer.propose(&context).await
}

async fn proposal_of(script: &str, set: impl Fn(&mut AgentSettings)) -> Result<Proposal, ProposerError> {
    let place = Place::new();
    let mut settings = shell(&place, script);
    settings.editable = EditablePaths::new(["value.sh", "lib/**"]);
    set(&mut settings);
    propose(&mut AgentCliProposer::new(settings)).await
}

#[tokio::test]
async fn a_removal_and_a_renaming_run_as_experiments() {
    for (script, kept) in [
        ("rm value.sh; echo removed it", Status::Crash),
        ("sed 's/5/4/' value.sh > lib.sh && mv lib.sh value.sh; echo renamed", Status::Keep),
    ] {
        let place = Place::new();
        let run = place.run_lab(shell(&place, script), 1).await.unwrap();
        assert_eq!(run.decisions(), [kept], "{script}: {:?} {:?}", run.troubles, run.state.rejections);
    }
    let moved = proposal_of("mv lib/b.py lib/c.py; echo moved", |_| {}).await.unwrap();
    let delete = FileEdit::Delete { path: "lib/b.py".into() };
    assert_eq!((moved.change.edits.len(), moved.change.edits.last()), (2, Some(&delete)));
}

#[tokio::test]
async fn litter_is_left_out_of_the_proposal() {
    let script = "mkdir -p lib/__pycache__ node_modules/x .aider.tags.cache.v4; echo x > lib/__pycache__/b.pyc
        echo x > node_modules/x/1.js; echo x > .aider.chat.history.md; echo x > .aider.tags.cache.v4/c.db; touch .DS_Store
        sed -i s/5/4/ value.sh; echo lowered";
    for editable in [&["value.sh", "lib/**"][..], &["**"]] {
        let set = |settings: &mut AgentSettings| settings.editable = EditablePaths::new(editable.iter().copied());
        let proposal = proposal_of(script, set).await.unwrap();
        let paths: Vec<String> = proposal.change.edits.iter().flat_map(|edit| edit.paths().unwrap()).collect();
        assert_eq!((paths, proposal.description.as_str()), (vec!["value.sh".to_owned()], "lowered"));
    }
}

#[tokio::test]
async fn a_new_file_outside_is_dropped_with_a_warning_or_rejects_the_proposal() {
    let place = Place::new();
    let script = "cp \"$0\" ../../../seen; echo notes > notes.md; sed -i s/5/4/ value.sh; echo lowered";
    let command = ["sh", "-c", script, "{prompt_file}"].map(String::from);
    let mut proposer = AgentCliProposer::new(place.settings(Agent::Command(command.into())));
    for warned in [false, true] {
        let proposal = propose(&mut proposer).await.unwrap();
        assert_eq!(proposal.change.edits.len(), 1);
        assert_eq!(
            place.read("seen").contains("Left out, since only value.sh may be changed: notes.md was made."),
            warned
        );
    }
    let error = proposal_of(script, |settings| settings.outside = Outside::Reject).await.unwrap_err();
    assert!(error.to_string().contains("notes.md was made"), "{error}");
    // A file of the repository that the agent was not shown is no new one.
    let error = proposal_of("echo x > fixed.txt; sed -i s/5/4/ value.sh; echo lowered", |settings| {
        settings.references.clear();
    });
    let error = error.await.unwrap_err();
    assert!(error.to_string().contains("fixed.txt was overwritten"), "{error}");
}

#[tokio::test]
async fn a_banner_is_no_description() {
    let script =
        "echo 'MyAgent v1.2 - model x'; sed -i s/5/4/ value.sh; echo 'Commit: four'; echo; echo 'Applied the edit'";
    assert_eq!(proposal_of(script, |_| {}).await.unwrap().description, "Applied the edit");
    let set = |settings: &mut AgentSettings| settings.description = "(?m)^Commit: (.*)$".parse().ok();
    assert_eq!(proposal_of(script, set).await.unwrap().description, "four");
}

#[tokio::test]
async fn control_characters_of_an_agent_are_replaced() {
    let script = "sed -i s/5/4/ value.sh; printf '\\033[31mlower\\033[0m\\000it\\n'";
    assert_eq!(proposal_of(script, |_| {}).await.unwrap().description, "lower it");
}

#[tokio::test]
async fn a_command_may_name_the_repository_and_programs_in_it() {
    let place = Place::new();
    place.script(
        "repo/agent.sh",
        "cat \"$1/fixed.txt\" > ../seen; pwd >> ../seen; sed -i s/5/4/ value.sh; echo lowered",
    );
    let agent = Agent::Command(["./agent.sh", "{repo}"].map(String::from).into());
    let mut settings = place.settings(agent);
    settings.editable = EditablePaths::new(["value.sh"]);
    let proposal = propose(&mut AgentCliProposer::new(settings)).await.unwrap();
    assert_eq!(proposal.description, "lowered");
}

/// A check that wants a word in `value.sh`.
struct Wants(&'static str);

#[async_trait]
impl Check for Wants {
    async fn check(
        &self,
        _: &Revision,
        files: &std::collections::BTreeMap<String, String>,
    ) -> Result<Result<(), String>, SandboxError> {
        Ok(if files["value.sh"].contains(self.0) { Ok(()) } else { Err(format!("error: expected {}", self.0)) })
    }
}

#[tokio::test]
async fn a_check_tries_an_agent_s_change_and_its_words_reach_the_next_prompt() {
    let place = Place::new();
    let script = "cp \"$0\" ../../../seen; if grep -q 'error: expected 3' \"$0\"; then sed -i s/5/3/ value.sh; \
                  else sed -i s/5/4/ value.sh; fi; echo lowered";
    let mut settings = place.settings(Agent::Command(["sh", "-c", script, "{prompt_file}"].map(String::from).into()));
    settings.check = Some(Arc::new(Wants("3")));
    let mut proposer = AgentCliProposer::new(settings);
    let error = propose(&mut proposer).await.unwrap_err();
    assert!(error.to_string().contains("the check failed: error: expected 3"), "{error}");
    propose(&mut proposer).await.unwrap();
}

const KEY: &str = "real-key-of-the-vendor";

#[tokio::test]
async fn a_key_that_an_agent_found_reaches_neither_the_journal_nor_the_next_prompt() {
    let place = Place::new();
    let script = format!("cp \"$0\" ../../../seen; echo 'I found {KEY}'; exit 1");
    let mut settings = place.settings(Agent::Command(["sh", "-c", &script, "{prompt_file}"].map(String::from).into()));
    settings.upstream = Some(Upstream::new("http://127.0.0.1:9", Secret::new(KEY), Auth::Bearer));
    let mut proposer = AgentCliProposer::new(settings.clone());
    for _ in 0..2 {
        let error = propose(&mut proposer).await.unwrap_err().to_string();
        assert!(error.contains("I found [key]") && !error.contains(KEY), "{error}");
    }
    assert!(place.read("seen").contains("I found [key]") && !place.read("seen").contains(KEY));
    settings.agent =
        Agent::Command(["sh", "-c", &format!("echo {KEY} > value.sh; echo lowered")].map(String::from).into());
    let error = propose(&mut AgentCliProposer::new(settings)).await.unwrap_err().to_string();
    assert!(error.contains("wrote the key") && !error.contains(KEY), "{error}");
}
