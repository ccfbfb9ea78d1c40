//! Interruptions of a rule that repeats measurements: it decides as if there had been none, and no two measurements of a code share
//! their seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

/// A machine whose scores have noise that follows from a trial's seed alone.
struct Noisy(Machine);

#[async_trait]
impl Sandbox<Step> for Noisy {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.0.sandbox().baseline().await
    }

    async fn stage(
        &self,
        id: ExperimentId,
        parent: &Revision,
        step: &Step,
        text: &str,
    ) -> Result<Candidate, StageError> {
        self.0.sandbox().stage(id, parent, step, text).await
    }

    async fn rebase(&self, rebase: Rebase<'_, Step>) -> Result<Rebased, SandboxError> {
        self.0.sandbox().rebase(rebase).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let outcome = self.0.sandbox().run(candidate, trial, cancel).await?;
        let Outcome::Completed(mut log) = outcome else { return Ok(outcome) };
        let score: f64 = log.tail.trim().strip_prefix("score: ").unwrap().parse().unwrap();
        // Of three bell-shaped shares of 21 bits each: a standard deviation of 1.
        let shares = [0, 21, 42].map(|by| ((trial.seed >> by) & 0x1f_ffff) as f64 / f64::from(0x20_0000) - 0.5);
        log.tail = format!("score: {}\n", score + 2.0 * shares.iter().sum::<f64>());
        Ok(Outcome::Completed(log))
    }

    async fn commit(
        &self,
        candidate: &Candidate,
        incumbent: Option<&Revision>,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        self.0.sandbox().commit(candidate, incumbent, message).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.0.sandbox().adopt(from, to).await
    }
}

const STEPS: u32 = 12;

fn lab(machine: &Machine, seed: u64, workers: usize) -> Lab<Step> {
    let mut settings = Settings::new("t", Duration::from_secs(60));
    (settings.seed, settings.loss_limit, settings.workers) = (seed, 1_000_000, Workers::new(workers));
    // What is made ahead is rebased or not as time goes, which would be another run.
    settings.workers.ahead = workers > 1;
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    // Around the incumbent's score, where fresh trials decide.
    let script = (0..STEPS).map(|step| Step::score(100.0 - f64::from((step * 7) % 5)));
    Lab::builder(Arc::new(Noisy(machine.clone())), Box::new(Script::new(script)), metric)
        .ratchet(Arc::new(NoiseAware::default()))
        .program(Program::parse("Lower it.").unwrap())
        .settings(settings)
        .open_journal(machine.journal().unwrap())
        .build()
        .unwrap()
}

/// Runs a whole run, which is interrupted at some operations. Returns its state and its journal.
fn run(seed: u64, workers: usize, interruptions: impl IntoIterator<Item = usize>) -> (State, Vec<Entry>) {
    let machine = Machine::new(Step::score(100.0));
    if workers > 1 {
        // Trials take different times, so that a later repeat may end first.
        machine.add_up(40);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for at in interruptions {
        let cancel = Cancel::new();
        machine.cancel_in(at, &cancel);
        runtime.block_on(lab(&machine, seed, workers).run(&cancel)).unwrap();
        machine.restart(1.0);
    }
    let mut lab = lab(&machine, seed, workers);
    let reason = runtime.block_on(lab.run(&Cancel::new())).unwrap();
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
    let state = lab.state().clone();
    drop(lab);
    (state, machine.journal().unwrap().entries().to_vec())
}

/// Checks that no seed measures the same code twice for an experiment.
fn assert_seeds_differ(entries: &[Entry], what: &str) {
    let (mut started, mut measured) = (std::collections::BTreeMap::new(), BTreeSet::new());
    for entry in entries {
        match &entry.record {
            Record::TrialStarted(trial) => {
                started.insert((trial.experiment, trial.trial), trial.seed);
            }
            Record::TrialMeasured(trial) if trial.result.is_ok() => {
                let seed = started[&(trial.experiment, trial.trial)];
                let is_new = measured.insert((trial.experiment, format!("{:?}", trial.side), seed));
                assert!(is_new, "{what}: experiment {} is measured twice with the seed {seed}", trial.experiment);
            }
            _ => {}
        }
    }
}

#[test]
fn a_rule_that_repeats_measurements_decides_as_if_it_had_not_been_interrupted() {
    let mut kept = 0;
    for seed in 0..test_fixtures::by_default_or_thorough(3, 12) as u64 {
        let (calm, entries) = run(seed, 1, []);
        assert_seeds_differ(&entries, "undisturbed");
        kept += calm.experiments.iter().filter(|experiment| experiment.status == Status::Keep).count();
        let brief = |state: &State| {
            state.experiments.iter().map(|made| (made.id, made.status, made.reason.clone())).collect::<Vec<_>>()
        };
        for at in test_fixtures::sampled(400, 7) {
            let (interrupted, entries) = run(seed, 1, [at, at / 2 + 1, 13]);
            assert_eq!(brief(&interrupted), brief(&calm), "seed {seed}, interrupted at {at}");
            assert_seeds_differ(&entries, &format!("seed {seed}, interrupted at {at}"));
        }
    }
    assert!(kept > 6, "{kept}");
}

#[test]
fn no_two_measurements_of_a_code_share_their_seed() {
    for seed in 0..test_fixtures::by_default_or_thorough(2, 8) as u64 {
        for at in test_fixtures::sampled(200, 5) {
            let (_, entries) = run(seed, 4, [at, at / 3 + 1, at / 2 + 1]);
            assert_seeds_differ(&entries, &format!("seed {seed}, four workers, interrupted at {at}"));
        }
    }
}

#[test]
fn the_trials_of_a_pair_have_the_same_seed() {
    let mut settings = NoiseAwareSettings::default();
    settings.paired = true;
    // The noise that a seed brings drops out of each pair, however small the gain; a rule that knows that noise screens by it.
    let rules: [(Arc<dyn Ratchet>, f64); 2] =
        [(Arc::new(NoiseAware::new(settings).unwrap()), 20.0), (Arc::new(Paired::new(Strict, 3).unwrap()), 0.05)];
    for (rule, gain) in rules {
        let machine = Machine::new(Step::score(100.0));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let script = Script::new([1.0, 2.0].map(|times| Step::score(100.0 - times * gain)));
        let lab = Lab::builder(Arc::new(Noisy(machine.clone())), Box::new(script), metric).ratchet(rule.clone());
        let mut lab = lab.open_journal(machine.journal().unwrap()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(lab.run(&Cancel::new())).unwrap();
        let kept = lab.state().experiments.iter().filter(|experiment| experiment.status == Status::Keep).count();
        assert_eq!(kept, 3, "{}: {:#?}", rule.name(), lab.state().experiments);
        drop(lab);
        let mut seeds: std::collections::BTreeMap<_, Vec<u64>> = std::collections::BTreeMap::new();
        for entry in machine.journal().unwrap().entries() {
            if let Record::TrialStarted(trial) = &entry.record {
                seeds.entry((trial.experiment, trial.side == Side::Candidate)).or_default().push(trial.seed);
            }
        }
        for experiment in [ExperimentId(1), ExperimentId(2)] {
            let [incumbent, candidate] = [false, true].map(|side| seeds[&(experiment, side)].clone());
            let pairs = incumbent.len().min(candidate.len());
            assert!(pairs >= 3 && incumbent[..pairs] == candidate[..pairs], "{incumbent:?} {candidate:?}");
        }
    }
}
