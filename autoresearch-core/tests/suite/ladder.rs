//! The Ladder against proposers that learn the evaluation set by heart, decision by decision.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::verify;
use autoresearch_core::*;

/// Items of the evaluation set.
const ITEMS: usize = 500;
/// Seeds of the labels, each an attack of its own.
const SEEDS: usize = 5;

/// SplitMix64.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The sign of item `item` in the random vector `vector`.
fn sign(seed: u64, vector: u64, item: usize) -> i32 {
    if mix(mix(mix(seed) ^ vector) ^ item as u64) & 1 == 0 { 1 } else { -1 }
}

/// A candidate is a majority vote of random vectors, and predicts labels that are random, too: on fresh items its loss is
/// one half, whatever it is on these.
struct Votes {
    seed: u64,
}

#[async_trait]
impl Sandbox<Vec<u64>> for Votes {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("[]"))
    }

    async fn stage(&self, _: ExperimentId, _: &Revision, vote: &Vec<u64>, _: &str) -> Result<Candidate, StageError> {
        Ok(Candidate::new(serde_json::to_string(vote).unwrap()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let vote: Vec<u64> = serde_json::from_str(&candidate.revision.0).unwrap();
        let wrong = |item: usize| {
            let sum: i32 = vote.iter().map(|vector| sign(self.seed, *vector, item)).sum();
            let said = if sum >= 0 { 1 } else { -1 };
            if said == sign(self.seed, u64::MAX, item) { '0' } else { '1' }
        };
        Ok(Outcome::Completed(RunLog::saying((0..ITEMS).map(wrong).collect::<String>())))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Reads the losses as they are printed.
struct Losses;

impl Metric for Losses {
    fn name(&self) -> &str {
        "loss"
    }

    fn direction(&self) -> Direction {
        Direction::Minimise
    }

    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
        let items: Vec<f64> = outcome.log().tail.bytes().map(|byte| f64::from(byte - b'0')).collect();
        let mean = items.iter().sum::<f64>() / items.len() as f64;
        let score = Score::new(mean).ok_or_else(|| MetricError::Missing("loss".into()))?;
        Ok(Measurement { items, ..Measurement::new(score) })
    }
}

/// Blum and Hardt's boosting attack: random vectors one by one, and at last the majority of those that are known to be better
/// than chance: by their score, or where none is told by being kept.
struct Boosting {
    vectors: u64,
}

#[async_trait]
impl Proposer<Vec<u64>> for Boosting {
    async fn propose(&mut self, context: &Context<'_, Vec<u64>>) -> Result<Proposal<Vec<u64>>, ProposerError> {
        let made = context.proposals() as u64;
        if made < self.vectors {
            return Ok(Proposal::new(vec![made], "one vector"));
        }
        if made > self.vectors {
            return Err(ProposerError::Exhausted("the attack is over".into()));
        }
        let good = |experiment: &Experiment| match experiment.score() {
            Some(score) => score.get() < 0.5,
            None => experiment.status == Status::Keep,
        };
        let vote = context.changes().filter(|(_, experiment)| good(experiment)).flat_map(|(vote, _)| vote).collect();
        Ok(Proposal::new(vote, "the majority of the good ones"))
    }
}

/// Adds a random vector to the incumbent's vote; it uses nothing but the decisions.
struct Climbing {
    proposals: usize,
}

#[async_trait]
impl Proposer<Vec<u64>> for Climbing {
    async fn propose(&mut self, context: &Context<'_, Vec<u64>>) -> Result<Proposal<Vec<u64>>, ProposerError> {
        if context.proposals() >= self.proposals {
            return Err(ProposerError::Exhausted("the attack is over".into()));
        }
        let mut vote: Vec<u64> = serde_json::from_str(&context.incumbent.0).unwrap();
        vote.push(context.proposals() as u64);
        Ok(Proposal::new(vote, "one vector more"))
    }
}

fn lab(seed: u64, proposer: Box<dyn Proposer<Vec<u64>>>, ratchet: Arc<dyn Ratchet>, journal: Journal) -> Lab<Vec<u64>> {
    let program = Program::parse("Learn nothing.").unwrap();
    let settings = Settings::new("attack", Duration::from_secs(1));
    Lab::builder(Arc::new(Votes { seed }), proposer, Arc::new(Losses))
        .ratchet(ratchet)
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap()
}

fn seeds() -> u64 {
    test_fixtures::by_default_or_thorough(2, SEEDS) as u64
}

/// By how much the final loss is below that of any fresh items, averaged over the seeds.
async fn overfit(proposer: impl Fn() -> Box<dyn Proposer<Vec<u64>>>, ratchet: Arc<dyn Ratchet>) -> f64 {
    let mut sum = 0.0;
    let seeds = seeds();
    for seed in 0..seeds {
        let mut lab = lab(seed, proposer(), ratchet.clone(), Journal::in_memory());
        lab.run(&Cancel::new()).await.unwrap();
        sum += 0.5 - lab.state().incumbent.as_ref().unwrap().arm.mean().unwrap().get();
    }
    sum / seeds as f64
}

#[tokio::test]
async fn a_boosting_attack_overfits_greed_far_more_than_the_ladder() {
    const VECTORS: u64 = 800;
    const STEPS: usize = 300;
    let boosting = || Box::new(Boosting { vectors: VECTORS }) as Box<dyn Proposer<Vec<u64>>>;
    let climbing = || Box::new(Climbing { proposals: STEPS }) as Box<dyn Proposer<Vec<u64>>>;
    let (greedy, ladder) = (overfit(boosting, Arc::new(Strict)).await, overfit(boosting, Arc::new(Ladder)).await);
    let climbs = (overfit(climbing, Arc::new(Strict)).await, overfit(climbing, Arc::new(Ladder)).await);
    println!(
        "evidence ladder items {ITEMS} seeds {} vectors {VECTORS} greedy {greedy:.4} ladder {ladder:.4} \
         steps {STEPS} climb_greedy {:.4} climb_ladder {:.4}",
        seeds(),
        climbs.0,
        climbs.1
    );
    assert!(greedy > 0.2 && ladder < greedy / 3.0, "greedy {greedy}, Ladder {ladder}");
    // Decisions are told under every rule: the Ladder only slows this one.
    assert!(climbs.1 < climbs.0, "greedy {}, Ladder {}", climbs.0, climbs.1);
}

/// Remembers the experiments that it is shown.
#[derive(Clone, Default)]
struct Spy {
    seen: Arc<Mutex<Vec<Experiment>>>,
    scores: Arc<Mutex<Vec<f64>>>,
}

#[async_trait]
impl Proposer<Vec<u64>> for Spy {
    async fn propose(&mut self, context: &Context<'_, Vec<u64>>) -> Result<Proposal<Vec<u64>>, ProposerError> {
        self.scores.lock().unwrap().push(context.score.get());
        *self.seen.lock().unwrap() = context.experiments.to_vec();
        match context.proposals() {
            60.. => Err(ProposerError::Exhausted("enough".into())),
            made => Ok(Proposal::new(vec![made as u64], "one vector")),
        }
    }

    fn observe(&mut self, experiment: &Experiment) {
        shows_only_the_rounded_best(experiment);
    }
}

fn shows_only_the_rounded_best(experiment: &Experiment) {
    let share = |score: Score| (score.get() * ITEMS as f64).fract() == 0.0;
    assert!(!experiment.reason.contains(|c: char| c.is_ascii_digit()), "{}", experiment.reason);
    assert_eq!(experiment.score().is_some(), experiment.status == Status::Keep, "{experiment:?}");
    assert!(experiment.score().is_none_or(share) && experiment.before.is_none_or(share), "{experiment:?}");
    let log = experiment.outcome.as_ref().unwrap().log();
    assert!(log.tail.is_empty() && log.path.is_none());
}

#[tokio::test]
async fn proposers_see_the_rounded_best_and_what_was_kept_and_people_see_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let spy = Spy::default();
    let mut first = lab(3, Box::new(spy.clone()), Arc::new(Ladder), Journal::open(&path).unwrap());
    first.run(&Cancel::new()).await.unwrap();
    let seen = spy.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 61);
    seen.iter().for_each(shows_only_the_rounded_best);
    assert!(seen.iter().any(|experiment| experiment.status == Status::Discard));
    let state = first.state();
    assert!(state.experiments.iter().all(|experiment| experiment.score().is_some()), "people see all scores");
    assert_eq!(
        spy.scores.lock().unwrap().last().copied(),
        state.incumbent.as_ref().unwrap().arm.mean().map(Score::get)
    );

    // In memory only the incumbent has its list; the journal has them all.
    assert!(state.experiments.iter().flat_map(|e| &e.arm.measurements).all(|m| m.items.is_empty()));
    assert_eq!(state.incumbent.as_ref().unwrap().arm.items().unwrap().len(), ITEMS);
    drop(first);
    let journal = Journal::open(&path).unwrap();
    assert!(verify::journal(journal.entries()).is_empty());

    // Continued, the view is the same.
    let again = Spy::default();
    let program = Program::parse("Learn nothing.").unwrap();
    let settings = Settings::new("attack", Duration::from_secs(1));
    let sandbox = Arc::new(Votes { seed: 3 });
    let mut lab = Lab::builder(sandbox, Box::new(again.clone()), Arc::new(Losses))
        .ratchet(Arc::new(Ladder))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(*again.seen.lock().unwrap(), seen);
}

#[tokio::test]
async fn under_other_rules_proposers_see_every_score() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    struct Open(Arc<Mutex<Vec<Experiment>>>);
    #[async_trait]
    impl Proposer<Vec<u64>> for Open {
        async fn propose(&mut self, context: &Context<'_, Vec<u64>>) -> Result<Proposal<Vec<u64>>, ProposerError> {
            *self.0.lock().unwrap() = context.experiments.to_vec();
            match context.proposals() {
                5.. => Err(ProposerError::Exhausted("enough".into())),
                made => Ok(Proposal::new(vec![made as u64], "one vector")),
            }
        }
    }
    lab(1, Box::new(Open(seen.clone())), Arc::new(Strict), Journal::in_memory()).run(&Cancel::new()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 6 && seen.iter().all(|experiment| experiment.score().is_some()));
}
