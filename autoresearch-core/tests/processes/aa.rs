//! A/A runs: proposals that change nothing, over real git and real processes. Whatever is kept is kept by luck.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

/// Proposals of a run.
const PROPOSALS: usize = 40;

/// Times a loop by the clock on the wall: all the noise of this machine.
const TIMING: &str = r#"# 0
began=$(date +%s%N)
awk 'BEGIN { for (i = 0; i < 150000; i++) sum += i * i; print sum }' > /dev/null
ended=$(date +%s%N)
echo "---"
echo "us: $(( (ended - began) / 1000 ))"
"#;

/// Estimates pi by drawing points: all its noise is the seed's, and the same seed gives the same error.
const SEEDED: &str = r#"offset=0
awk -v seed="$AUTORESEARCH_SEED" -v offset="$offset" 'BEGIN {
  srand((seed * 7919 + offset * 104729) % 1000003)
  for (i = 0; i < 4000; i++) { x = rand(); y = rand(); inside += x * x + y * y < 1 }
  printf "---\nus: %.6f\n", inside
}'
"#;

/// Makes the same change with another number each time.
struct Numbered(fn(&str, usize) -> String);

#[async_trait]
impl Proposer for Numbered {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let number = context.proposals() + 1;
        let text = (self.0)(&context.files["program.sh"], number);
        let change = Patch { edits: vec![FileEdit::Write { path: "program.sh".into(), text }] };
        Ok(Proposal::new(change, format!("change {number}")))
    }
}

/// The first line is replaced.
fn other_comment(text: &str, number: usize) -> String {
    format!("# {number}\n{}", text.split_once('\n').unwrap().1)
}

fn other_seed(text: &str, number: usize) -> String {
    format!("offset={number}\n{}", text.split_once('\n').unwrap().1)
}

/// The number of a run's proposals that were kept, and of trials of candidates.
async fn search(program: &str, change: fn(&str, usize) -> String, rule: Arc<dyn Ratchet>, seed: u64) -> (usize, u32) {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    std::fs::write(repo.join("program.sh"), program).unwrap();
    test_fixtures::init(&repo);
    let commands = Commands {
        editable: EditablePaths::new(["program.sh"]),
        run: vec!["sh".into(), "program.sh".into()],
        ..Commands::default()
    };
    let slot = Slot::new(folder.path().join("slot"));
    let logs = folder.path().join("logs");
    let sandbox = Arc::new(CommandSandbox::local(&repo, "aa", commands, vec![slot], logs).unwrap());
    let mut settings = Settings::new("aa", Duration::from_secs(60));
    settings.base = Some(sandbox.base().clone());
    settings.seed = seed;
    settings.stop = Stop::after(PROPOSALS);
    settings.remeasure_every = rule.fresh_seeds().then_some(10);
    let metric = Arc::new(LogMetric::new("us", Direction::Minimise));
    let journal = Journal::in_memory();
    let program = Program::parse("Change nothing.").unwrap();
    let mut lab = Lab::builder(sandbox, Box::new(Numbered(change)), metric)
        .ratchet(rule)
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let state = lab.state();
    assert_eq!(state.finished(), PROPOSALS);
    let kept = state.experiments.iter().skip(1).filter(|experiment| experiment.status == Status::Keep).count();
    let runs = state.experiments.iter().map(|experiment| experiment.arm.measurements.len() as u32).sum();
    (kept, runs)
}

/// Seeds, with one run each.
const RUNS: u64 = 3;

#[tokio::test]
async fn a_change_of_the_seed_alone_is_never_kept() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let (mut aware, mut runs, mut sequential, mut strict) = (0, 0, 0, 0);
    let searches = test_fixtures::by_default_or_thorough(1, RUNS as usize);
    for seed in 1..=searches as u64 {
        let (kept, took) = search(SEEDED, other_seed, Arc::new(NoiseAware::default()), seed * 1_000_000).await;
        aware += kept;
        runs += took;
        sequential += search(SEEDED, other_seed, Arc::new(Sequential::default()), seed * 1_000_000).await.0;
        strict += search(SEEDED, other_seed, Arc::new(Strict), seed * 1_000_000).await.0;
    }
    let proposals = PROPOSALS * searches;
    println!(
        "evidence seed-only proposals {proposals} default {aware} runs {runs} sequential {sequential} strict {strict}"
    );
    assert!(aware <= searches / 2 && sequential == 0, "{aware} {sequential}");
    assert!(strict >= searches, "the seed decides the number: {strict}");
}

/// How much noise there is depends on the machine, so this is a measurement and no test.
#[tokio::test]
#[ignore = "a measurement: cargo xtask evidence noise --only aa-run"]
async fn changes_of_a_comment_in_a_timed_program() {
    let (mut aware, mut worst, mut strict) = (0, 0, 0);
    for seed in 1..=RUNS {
        let kept = search(TIMING, other_comment, Arc::new(NoiseAware::default()), seed).await.0;
        aware += kept;
        worst = worst.max(kept);
        strict += search(TIMING, other_comment, Arc::new(Strict), seed).await.0;
    }
    println!("evidence aa-run runs {RUNS} proposals {PROPOSALS} default {aware} worst {worst} strict {strict}");
}
