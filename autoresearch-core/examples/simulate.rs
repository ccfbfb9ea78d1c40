//! Nights whose truth is known: the real lab and the real rules, on candidates that are numbers with Gaussian noise.
//!
//! ```sh
//! cargo run --release -p autoresearch-core --example simulate -- --nights 500
//! ```
//!
//! Every night has the same number of runs, whatever they are spent on. A proposal's effect is drawn as the row says; effects
//! add up. All figures are in standard deviations of one run, so that they hold for any metric.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Exp, StandardNormal};

type Failure = Box<dyn Error + Send + Sync>;

/// How the effects of proposals are spread.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// This share helps, by so much on average (exponentially distributed).
    good: f64,
    mean: f64,
    /// Of the others this share harms, by so much on average; the rest does nothing.
    bad: f64,
    harm: f64,
}

/// Runs of a night.
const RUNS: usize = 500;

const ROWS: [Row; 4] = [
    Row { name: "15% good, mean 0.8", good: 0.15, mean: 0.8, bad: BAD, harm: 1.0 },
    Row { name: "5% good, mean 0.5", good: 0.05, mean: 0.5, bad: BAD, harm: 1.0 },
    Row { name: "2% good, mean 1.5", good: 0.02, mean: 1.5, bad: BAD, harm: 1.0 },
    Row { name: "all null", good: 0.0, mean: 1.0, bad: 0.0, harm: 1.0 },
];
const BAD: f64 = 0.5;

/// What a night came to.
#[derive(Default, Clone, Copy)]
struct Came {
    gain: f64,
    keeps: f64,
    false_keeps: f64,
    bias: f64,
    proposals: f64,
}

/// The truth and the noise of one night.
struct World {
    row: Row,
    rng: Mutex<StdRng>,
    /// The true value of each candidate, by experiment.
    truth: Mutex<Vec<f64>>,
    runs: AtomicUsize,
}

impl World {
    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn truth_of(&self, revision: &Revision) -> f64 {
        let truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        revision.0.parse::<usize>().ok().and_then(|at| truth.get(at).copied()).unwrap_or(f64::NAN)
    }

    fn candidate(&self, experiment: u32, truth: f64) -> Candidate {
        let mut all = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(experiment as usize);
        all.push(truth);
        let name = experiment.to_string();
        Candidate { revision: Revision(name.clone()), fingerprint: name, added_lines: 0 }
    }
}

/// Effects at random, until the night's runs are spent.
struct Effects(Arc<World>);

#[async_trait]
impl Proposer<f64> for Effects {
    async fn propose(&mut self, _: &Context<'_, f64>) -> Result<Proposal<f64>, ProposerError> {
        if self.0.runs.load(Ordering::Relaxed) >= RUNS {
            return Err(ProposerError::Exhausted("the night is over".into()));
        }
        let Row { good, mean, bad, harm, .. } = self.0.row;
        let of = |mean: f64| Exp::new(1.0 / mean).map_err(|error| ProposerError::Fatal(error.to_string()));
        let (help, harm) = (of(mean)?, of(harm)?);
        let effect = self.0.draw(|rng| match (rng.random_bool(good), rng.random_bool(bad)) {
            (true, _) => rng.sample(help),
            (false, true) => -rng.sample(harm),
            (false, false) => 0.0,
        });
        Ok(Proposal::new(effect, ""))
    }
}

#[async_trait]
impl Sandbox<f64> for World {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(self.candidate(0, 0.0))
    }

    async fn stage(&self, experiment: u32, parent: &Revision, effect: &f64, _: &str) -> Result<Candidate, StageError> {
        Ok(self.candidate(experiment, self.truth_of(parent) + effect))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let noise: f64 = self.draw(|rng| rng.sample(StandardNormal));
        let tail = (self.truth_of(&candidate.revision) + noise).to_string();
        Ok(Outcome::Completed(RunLog { tail, ..RunLog::default() }))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// The run's whole output is its score; more is better.
struct Plain;

impl Metric for Plain {
    fn name(&self) -> &str {
        "value"
    }

    fn direction(&self) -> Direction {
        Direction::Maximise
    }

    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
        let text = outcome.log().tail.as_str();
        let score = text.parse().ok().and_then(Score::new);
        let score = score.ok_or_else(|| MetricError::NotFinite { name: "value".into(), value: text.into() })?;
        Ok(Measurement::new(score))
    }
}

/// Karpathy's rule, with a baseline that is measured as often as the other rules measure it.
struct Greedy;

impl Ratchet for Greedy {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        match (evidence.incumbent.measurements.len(), evidence.candidate.measurements.len()) {
            (0, measured @ ..5) => Verdict::Measure(vec![ratchet::Side::Candidate; 5 - measured]),
            _ => Strict.judge(evidence),
        }
    }
}

/// A rule with its name in the table, and whether it knows when the night ends.
type Rule = (&'static str, Arc<dyn Ratchet>, bool);

async fn night(row: Row, rule: &Rule, seed: u64) -> Result<Came, Failure> {
    let rng = Mutex::new(StdRng::seed_from_u64(seed));
    let world = Arc::new(World { row, rng, truth: Mutex::default(), runs: AtomicUsize::new(0) });
    let mut settings = Settings::new("simulated", Duration::from_secs(1));
    if rule.2 {
        // Nearly two runs for each proposal.
        settings.stop = Stop::after(RUNS * 7 / 10);
    }
    // As the command line does it.
    settings.remeasure_every = rule.1.fresh_seeds().then_some(10);
    let journal = Journal::in_memory();
    let program = Program::parse("Raise the value.")?;
    let mut lab = Lab::builder(world.clone(), Box::new(Effects(world.clone())), Arc::new(Plain))
        .ratchet(rule.1.clone())
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()?;
    lab.run(&Cancel::new()).await?;
    let state = lab.state();
    let incumbent = state.incumbent.as_ref().ok_or("no incumbent")?;
    let kept = || state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep);
    let effect = |e: &Experiment| e.change.as_f64().unwrap_or(f64::NAN);
    let truth = world.truth_of(&incumbent.revision);
    Ok(Came {
        gain: truth,
        keeps: kept().count() as f64,
        false_keeps: kept().filter(|e| effect(e) <= 0.0).count() as f64,
        bias: incumbent.arm.mean().ok_or("no score")?.get() - truth,
        proposals: state.finished() as f64,
    })
}

/// A mean and its standard error.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let nights = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 500,
        (Some("--nights"), Some(count)) => count.parse()?,
        _ => return Err("usage: simulate [--nights N]".into()),
    };
    let rules: [Rule; 4] = [
        ("greedy", Arc::new(Greedy), false),
        ("default", Arc::new(NoiseAware::default()), false),
        ("default, end known", Arc::new(NoiseAware::default()), true),
        ("sequential", Arc::new(Sequential::default()), false),
    ];
    println!(
        "{nights} nights of {RUNS} runs for each cell, seeds 0 to {}; in standard deviations of one run",
        nights - 1
    );
    println!(
        "| proposals | rule | true gain | false keeps | share | record bias | proposals tried |\n|---|---|---|---|---|---|---|"
    );
    let mut machine = Vec::new();
    for row in ROWS {
        for rule in &rules {
            let mut all = Vec::new();
            for seed in 0..nights {
                all.push(night(row, rule, seed).await?);
            }
            let (gain, gain_error) = mean(all.iter().map(|came| came.gain));
            let (wrong, wrong_error) = mean(all.iter().map(|came| came.false_keeps));
            let (bias, bias_error) = mean(all.iter().map(|came| came.bias));
            let (proposals, _) = mean(all.iter().map(|came| came.proposals));
            let share = wrong / mean(all.iter().map(|came| came.keeps)).0;
            println!(
                "| {} | {} | {gain:.2} ± {gain_error:.2} | {wrong:.2} ± {wrong_error:.2} | {share:.2} | {bias:+.2} ± {bias_error:.2} | {proposals:.0} |",
                row.name, rule.0
            );
            machine.push(format!(
                "evidence simulation row {} rule {} gain {gain:.4} gain_error {gain_error:.4} false {wrong:.4} \
                 false_error {wrong_error:.4} share {share:.4} bias {bias:.4} bias_error {bias_error:.4} \
                 proposals {proposals:.1}",
                row.name.replace(' ', "-"),
                rule.0.replace(' ', "-")
            ));
        }
    }
    println!("{}", machine.join("\n"));
    Ok(())
}
