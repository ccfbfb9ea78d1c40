//! A search on a machine that is at fault itself: it says so, waits, and continues.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::verify;
use autoresearch_core::internal::{Policy, Settings};
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

mod proposers;
mod sandboxes;

/// A machine on which everything crashes between two runs: a lost accelerator, until somebody resets it.
struct Breaks {
    machine: Machine,
    runs: AtomicUsize,
    broken: std::ops::Range<usize>,
}

#[async_trait]
impl Sandbox<Step> for Breaks {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.machine.sandbox().baseline().await
    }

    async fn stage(
        &self,
        id: ExperimentId,
        parent: &Revision,
        step: &Step,
        text: &str,
    ) -> Result<Candidate, StageError> {
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let outcome = self.machine.sandbox().run(candidate, trial, cancel).await?;
        match self.broken.contains(&self.runs.fetch_add(1, Ordering::SeqCst)) {
            true => Ok(Outcome::Crashed { message: "no device found".into(), log: RunLog::default() }),
            false => Ok(outcome),
        }
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.machine.sandbox().adopt(from, to).await
    }
}

/// Events that were heard.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    checks: usize,
    pauses: Vec<u64>,
}

fn lab(broken: std::ops::Range<usize>, script: Vec<Step>, heard: &Arc<Mutex<Heard>>) -> Lab<Step> {
    let machine = Machine::new(Step::score(50.0));
    let journal = machine.journal().unwrap();
    let sandbox = Arc::new(Breaks { machine, runs: AtomicUsize::new(0), broken });
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let settings = Settings::new("trouble", Duration::from_secs(1));
    let program = Program::parse("Lower it.").unwrap();
    let script = Box::new(Script::new(script));
    let lab = Lab::builder(sandbox, script, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    let heard = heard.clone();
    lab.observed_by(Arc::new(move |event: &Event<'_>| match event {
        Event::HealthCheckStarted { .. } => heard.lock().unwrap().checks += 1,
        Event::Paused { why, pause } => {
            assert!(why.contains("no device found"), "{why}");
            heard.lock().unwrap().pauses.push(pause.as_secs());
        }
        _ => {}
    }))
}

#[tokio::test(start_paused = true)]
async fn a_machine_at_fault_costs_a_few_experiments_and_not_the_run() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    // The third trial and the thirty after it fail; there are forty good proposals.
    let script = (0..40).map(|n| Step::score(49.0 - f64::from(n)));
    let mut lab = lab(3..33, script.collect(), &heard);
    lab.run(&Cancel::new()).await.unwrap();
    let crashed = lab.state().experiments.iter().filter(|e| e.status == Status::Crash).count();
    assert_eq!(crashed, 5, "no more than it takes to become suspicious");
    assert_eq!(lab.state().experiments.len(), 41, "and then it goes on");
    assert_eq!(lab.state().incumbent.as_ref().unwrap().arm.mean().unwrap().get(), 10.0);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.checks, 26);
    assert_eq!(heard.pauses[..7], [30, 60, 120, 240, 480, 600, 600]);
}

#[tokio::test(start_paused = true)]
async fn checks_that_went_well_do_not_lengthen_the_first_pause() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    // Ten candidates crash by themselves, with a check after each five; then the machine fails for two checks.
    let script = [vec![Step::crash(); 10], vec![Step::score(1.0); 8]].concat();
    let mut lab = lab(13..20, script, &heard);
    lab.run(&Cancel::new()).await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!((heard.checks, &heard.pauses[..]), (5, &[30, 60][..]));
}

#[tokio::test(start_paused = true)]
async fn candidates_that_crash_are_not_taken_for_a_machine_at_fault() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut lab = lab(0..0, vec![Step::crash(); 12], &heard);
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().experiments.len(), 13);
    // After the fifth and the tenth the incumbent was run, and ran.
    assert_eq!(*heard.lock().unwrap(), Heard { checks: 2, pauses: vec![] });
}

#[tokio::test(start_paused = true)]
async fn a_paused_search_can_be_ended_and_goes_on_with_the_check() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut lab = lab(1..usize::MAX, vec![Step::score(1.0); 9], &heard);
    let cancel = Cancel::new();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(400)).await;
        cancel.cancel();
    };
    let (reason, ()) = tokio::join!(lab.run(&cancel), stop);
    assert_eq!(reason.unwrap(), StopReason::Cancelled);
    assert_eq!((lab.state().experiments.len(), lab.state().failing.is_some()), (6, true));
    let mut stop = Stop::default();
    stop.wall = Some(Duration::ZERO);
    lab.set_stop(stop);
    assert!(matches!(lab.run(&Cancel::new()).await.unwrap(), StopReason::Wall(_)), "a time limit ends it, too");
}
/// Wants a second measurement of the incumbent before it decides.
struct Careful;

impl Ratchet for Careful {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        match evidence.incumbent.measurements.len() {
            0 | 1 => Verdict::Measure(vec![Side::Incumbent]),
            _ => Strict.judge(evidence),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_asks_for_what_cannot_be_measured_does_not_ask_for_ever() {
    let machine = Machine::new(Step::score(50.0));
    let journal = machine.journal().unwrap();
    // The baseline and the candidate run; after them nothing does.
    let sandbox = Arc::new(Breaks { machine, runs: AtomicUsize::new(0), broken: 2..usize::MAX });
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let (program, settings) = (Program::parse("Lower it.").unwrap(), Settings::new("t", Duration::from_secs(1)));
    let script = Box::new(Script::new([Step::score(40.0)]));
    let mut lab = Lab::builder(sandbox, script, metric)
        .ratchet(Arc::new(Careful))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let last = lab.state().experiments.last().unwrap();
    assert_eq!((last.id, last.status), (ExperimentId(1), Status::Discard));
    assert!(last.reason.contains("could not be compared"), "{}", last.reason);
}
/// Always asks for more.
struct Insatiable;

impl Ratchet for Insatiable {
    fn judge(&self, _: &Evidence) -> Verdict {
        Verdict::Measure(vec![Side::Candidate, Side::Incumbent])
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_never_decides_is_capped() {
    let machine = Machine::new(Step::score(50.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(machine.sandbox(), Box::new(Script::new([Step::score(1.0)])), metric);
    let mut lab = lab.ratchet(Arc::new(Insatiable)).build().unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let last = lab.state().experiments.last().unwrap();
    assert_eq!((last.id, last.status), (ExperimentId(1), Status::Discard));
    assert!(last.reason.contains("64 measurements") || last.reason.contains("65 measurements"), "{}", last.reason);
    assert!(machine.runs() <= 64 + 2 + 64 + 2, "{}", machine.runs());
}
#[tokio::test(start_paused = true)]
async fn nothing_is_bound_before_a_baseline_is_measured_and_everything_after() {
    let machine = Machine::new(Step::crash());
    let metric = |name: &str| Arc::new(LogMetric::new(name, Direction::Minimise));
    let builder = |machine: &Machine, name: &str| {
        let lab = Lab::builder(machine.sandbox(), Box::new(Script::new([Step::score(1.0)])), metric(name));
        lab.ratchet(Arc::new(Strict)).open_journal(machine.journal().unwrap())
    };
    let mut lab = builder(&machine, "loss").seed(1).build().unwrap();
    assert!(matches!(lab.run(&Cancel::new()).await, Err(LabError::Baseline { .. })));
    drop(lab);
    // Mended: the same tag, another metric, another seed.
    let mended = Machine::new(Step::score(5.0));
    mended.tear(&machine.durable());
    let mut lab = builder(&mended, "score").seed(2).build().unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().experiments.len(), 2);
    drop(lab);
    assert_eq!(verify::journal(mended.journal().unwrap().entries()), []);
    mended.restart(1.0);
    // From now on each difference is named.
    let mut settings = Settings::new("other", Duration::from_secs(7));
    settings.policy = Policy::new().with("run.command", ["python"]);
    let mut lab = builder(&mended, "loss").settings(settings).ratchet(Arc::new(NoiseAware::default())).build().unwrap();
    let error = lab.run(&Cancel::new()).await.unwrap_err().to_string();
    for line in [
        "tag: run then, other now",
        "metric: score then, loss now",
        "rule: strict then, noise-aware now",
        "budget of a run: 300 s then, 7 s now",
        "seed: 2 then, 0 now",
        "run.command: nothing then, [\"python\"] now",
        "start a run with another tag",
    ] {
        assert!(error.contains(line), "{line}: {error}");
    }
}
