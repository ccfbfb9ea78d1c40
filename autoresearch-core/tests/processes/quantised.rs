//! Real runs over a score of few values, an accuracy in steps of 0.01 that is mostly the same, in which every change is a
//! comment: the baseline's trials agree by luck, and no change may be kept for that.
#![cfg(unix)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::*;
use test_fixtures::by_default_or_thorough;

/// Experiments of each run.
const EXPERIMENTS: usize = 40;
/// 0.90, and 0.01 more for each of four draws that succeeds with a probability of 0.12. The seed alone decides.
const PROGRAM: &str = r#"awk -v seed="$AUTORESEARCH_SEED" 'BEGIN {
  srand(seed % 999983)
  for (i = 0; i < 20; i++) rand()
  for (i = 0; i < 4; i++) hits += rand() < 0.12
  printf "score: %.2f\n", 0.90 + 0.01 * hits
}'
"#;

/// Adds a comment, another one each time.
struct Comments;

#[async_trait]
impl Proposer for Comments {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let text = format!("{}# note {}\n", context.files["run.sh"], context.proposals());
        let edit = FileEdit::Write { path: "run.sh".into(), text };
        Ok(Proposal::new(Patch { edits: vec![edit] }, "a comment"))
    }
}

/// Plays a run, and returns the number of trials of each change that it kept.
async fn kept(seed: u64) -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    std::fs::write(repo.join("run.sh"), PROGRAM).unwrap();
    test_fixtures::init(&repo);
    let commands = Commands {
        editable: EditablePaths::new(["run.sh"]),
        run: vec!["sh".into(), "run.sh".into()],
        ..Commands::default()
    };
    let slots = [folder.path().join("slot")];
    let sandbox = CommandSandbox::local(&repo, "quantised", commands, slots, folder.path().join("logs")).unwrap();
    let metric = Arc::new(LogMetric::new("score", Direction::Maximise));
    let mut lab = Lab::builder(Arc::new(sandbox), Box::new(Comments), metric)
        .tag("quantised")
        .seed(seed)
        .budget(Duration::from_secs(20))
        .stop(Stop::after(EXPERIMENTS))
        .build()
        .unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let state = lab.state();
    assert_eq!(state.finished(), EXPERIMENTS);
    assert!(state.experiments.iter().all(|experiment| experiment.status != Status::Crash), "{:?}", state.experiments);
    let kept = state.experiments.iter().skip(1).filter(|experiment| experiment.status == Status::Keep);
    kept.map(|experiment| experiment.arm.measurements.len()).collect()
}

#[tokio::test]
async fn comments_are_not_kept_for_scores_that_agree_by_luck() {
    let runs = by_default_or_thorough(1, 8);
    let all = futures_util::future::join_all((1..=runs as u64).map(kept)).await;
    let all: Vec<usize> = all.into_iter().flatten().collect();
    let on_one_trial = all.iter().filter(|trials| **trials < 2).count();
    println!(
        "evidence quantised-noise runs {runs} proposals {} kept {} on_one_trial {on_one_trial}",
        runs * EXPERIMENTS,
        all.len()
    );
    assert_eq!(on_one_trial, 0, "no change is kept on one trial");
    // One in a hundred on average; a single run may be less lucky.
    assert!(all.len() <= 1 + runs * EXPERIMENTS / 100, "{all:?}");
}
