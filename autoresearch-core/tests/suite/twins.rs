//! Two experiments that turn out to be the same one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

/// A sandbox whose candidates are sets of letters: a change adds letters to those of the state that it is made on.
struct Letters;

#[async_trait]
impl Sandbox<String> for Letters {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("-"))
    }

    async fn stage(
        &self,
        _: ExperimentId,
        parent: &Revision,
        change: &String,
        _: &str,
    ) -> Result<Candidate, StageError> {
        let mut letters: Vec<char> = parent.0.chars().chain(change.chars()).filter(|letter| *letter != '-').collect();
        letters.sort_unstable();
        letters.dedup();
        Ok(Candidate::new(letters.into_iter().collect::<String>()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let (seconds, score) = match candidate.revision.0.as_str() {
            "ab" => (1, 11.0),
            "a" => (10, 9.0),
            "b" => (50, 9.0),
            _ => (1, 10.0),
        };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(Outcome::Completed(RunLog::saying(format!("score: {score}"))))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Has three ideas, and a fourth as soon as those are decided.
struct OneLater;

#[async_trait]
impl Proposer<String> for OneLater {
    async fn propose(&mut self, context: &Context<'_, String>) -> Result<Proposal<String>, ProposerError> {
        match context.proposals() {
            number @ 0..3 => Ok(Proposal::new(["ab", "a", "b"][number].to_owned(), "an idea")),
            3 if context.pending.is_empty() => Ok(Proposal::new("z".to_owned(), "the last idea")),
            _ => Err(ProposerError::Exhausted("all ideas are in flight".into())),
        }
    }
}

/// `b` is on its way when `a` is kept: made again on `a` it is `ab`, which was measured, and its trial is taken back. No trial
/// ends then, and the proposer must be asked once more all the same.
#[tokio::test(start_paused = true)]
async fn a_proposer_with_nothing_to_say_is_asked_again_when_a_twin_ends_an_experiment() {
    let mut settings = Settings::new("t", Duration::from_secs(60));
    settings.workers = Workers::new(2);
    settings.workers.builders = 0;
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(Arc::new(Letters), Box::new(OneLater), metric).ratchet(Arc::new(Strict));
    let mut lab = lab.settings(settings).program(Program::parse("Lower it.").unwrap()).build().unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let tried: Vec<&str> = lab.state().experiments.iter().map(|experiment| experiment.description.as_str()).collect();
    assert_eq!(tried.iter().filter(|description| **description == "the last idea").count(), 1, "{tried:?}");
}
