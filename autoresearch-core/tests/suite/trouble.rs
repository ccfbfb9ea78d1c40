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

    async fn stage(&self, id: u32, parent: &Revision, step: &Step, text: &str) -> Result<Candidate, StageError> {
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

/// Fails for an hour, then proposes once.
struct Overloaded(u32);

#[async_trait]
impl Proposer<Step> for Overloaded {
    async fn propose(&mut self, context: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        self.0 += 1;
        match (self.0, context.proposals()) {
            (0..60, _) => Err(ProposerError::Transient("overloaded".into())),
            (_, 0) => Ok(Proposal::new(Step::score(1.0), "at last")),
            _ => Err(ProposerError::Exhausted("there was one proposal".into())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proposer_in_trouble_is_asked_again_however_long() {
    let machine = Machine::new(Step::score(50.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let (program, settings) = (Program::parse("Lower it.").unwrap(), Settings::new("t", Duration::from_secs(1)));
    let journal = machine.journal().unwrap();
    let proposer = Box::new(Overloaded(0));
    let mut lab = Lab::builder(machine.sandbox(), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    let began = tokio::time::Instant::now();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().experiments.len(), 2);
    assert!(began.elapsed() > Duration::from_secs(50 * 60), "with pauses of up to a minute");
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
    assert_eq!((last.id, last.status), (1, Status::Discard));
    assert!(last.reason.contains("could not be compared"), "{}", last.reason);
}

#[tokio::test(start_paused = true)]
async fn a_proposer_that_repeats_itself_is_slowed_down_and_the_run_ends() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut lab = lab(0..0, vec![Step::refused(); 1004], &heard);
    let began = tokio::time::Instant::now();
    let reason = lab.run(&Cancel::new()).await.unwrap();
    assert_eq!((lab.state().rejections.len(), lab.state().experiments.len()), (20, 1));
    let StopReason::Rejected { count: 20, last } = &reason else { panic!("{reason}") };
    assert_eq!(last.lines().count(), 3, "{last}");
    assert!(last.contains("step 19: the step says so"), "{last}");
    // From the third on each is followed by a wait that doubles, up to a minute.
    assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4 + 8 + 16 + 32 + 11 * 60);
    // It may be asked again, and counts from the beginning.
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().rejections.len(), 40);
}

/// Is paid for proposals that come to nothing: for so many in a wave, with so many unpaid failures between the waves.
struct Costly {
    in_a_wave: usize,
    failures: usize,
    calls: usize,
}

#[async_trait]
impl Proposer<Step> for Costly {
    async fn propose(&mut self, _: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        Err(ProposerError::Exhausted("not asked".into()))
    }

    async fn propose_wave(&mut self, _: &Context<'_, Step>, _: usize) -> Result<Wave<Step>, ProposerError> {
        self.calls += 1;
        if !self.calls.is_multiple_of(self.failures + 1) {
            return Err(ProposerError::Transient("the server is busy".into()));
        }
        let cost = Cost { dollars: 1.0, calls: 1, ..Cost::default() };
        Ok((0..self.in_a_wave).map(|_| Err(RejectedDraft::new("a draft", "the answer was cut", cost))).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_waves_and_failures_by_turns_end_as_well() {
    for (in_a_wave, failures, dollars) in [(1, 1, 20.0), (1, 3, 20.0), (5, 0, 20.0), (7, 2, 21.0)] {
        let machine = Machine::new(Step::score(50.0));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let proposer = Box::new(Costly { in_a_wave, failures, calls: 0 });
        let lab = Lab::builder(machine.sandbox(), proposer, metric).ratchet(Arc::new(Strict));
        let mut lab = lab.open_journal(machine.journal().unwrap()).build().unwrap();
        let began = tokio::time::Instant::now();
        let reason = lab.run(&Cancel::new()).await.unwrap();
        assert!(matches!(reason, StopReason::Rejected { .. }), "{reason}");
        assert_eq!(lab.state().cost.dollars, dollars, "{in_a_wave} in a wave, {failures} failures between");
        assert!(began.elapsed() > Duration::from_secs(5), "with waits: {:?}", began.elapsed());
    }
}

/// Answers with more than it is asked for, with nothing, and with what nobody can store.
struct Careless;

#[async_trait]
impl Proposer<Step> for Careless {
    async fn propose(&mut self, _: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        Err(ProposerError::Exhausted("not asked".into()))
    }

    async fn propose_wave(&mut self, context: &Context<'_, Step>, _: usize) -> Result<Wave<Step>, ProposerError> {
        let cost = Cost { dollars: f64::NAN, ..Cost::default() };
        let proposal =
            |score: f64| Ok(Proposal::new(Step::score(score), "a\0b\u{1b}[31m\nc").because("x\0y").at_cost(cost));
        match (context.proposals(), context.experiments.len()) {
            (0, 1) => Ok(vec![proposal(40.0), proposal(39.0), proposal(38.0)]),
            (3, 2) => Ok(vec![]),
            _ => Err(ProposerError::Exhausted("that was all".into())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn careless_answers_are_cleaned_and_counted() {
    let machine = Machine::new(Step::score(50.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(machine.sandbox(), Box::new(Careless), metric).ratchet(Arc::new(Strict));
    let mut lab = lab.open_journal(machine.journal().unwrap()).build().unwrap();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
    };
    // An empty wave counts as a failure of the proposer, after which it is asked again and again.
    let cancel = Cancel::new();
    let (reason, ()) = tokio::join!(lab.run(&cancel), async {
        stop.await;
        cancel.cancel();
    });
    assert_eq!(reason.unwrap(), StopReason::Cancelled);
    let state = lab.state();
    let kept = &state.experiments[1];
    assert_eq!((kept.description.as_str(), kept.hypothesis.as_str(), kept.cost.dollars), ("a b c", "x y", 0.0));
    let reasons: Vec<&str> = state.rejections.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("more proposals came")), "{reasons:?}");
    drop(lab);
    machine.restart(1.0);
    assert_eq!(verify::journal(machine.journal().unwrap().entries()), []);
}

/// A machine whose sandbox fails on one candidate whenever it runs, as for a program that a proposal renamed.
struct Renamed {
    machine: Machine,
    fails_on: &'static str,
}

#[async_trait]
impl Sandbox<Step> for Renamed {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.machine.sandbox().baseline().await
    }

    async fn stage(&self, id: u32, parent: &Revision, step: &Step, text: &str) -> Result<Candidate, StageError> {
        if text == "step 0" {
            return Err(StageError::Failed(SandboxError::Other("a name of 300 characters".into())));
        }
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        if self.fails_on == "everything" && trial.experiment > 0 || candidate.revision.0 == self.fails_on {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(SandboxError::CannotStart { command: "./train".into(), source });
        }
        self.machine.sandbox().run(candidate, trial, cancel).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.machine.sandbox().adopt(from, to).await
    }
}

fn over(machine: &Machine, fails_on: &'static str) -> Lab<Step> {
    let sandbox = Arc::new(Renamed { machine: machine.clone(), fails_on });
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let script = Script::new([9.0, 40.0, 30.0].map(Step::score));
    let lab = Lab::builder(sandbox, Box::new(script), metric).ratchet(Arc::new(Strict));
    lab.open_journal(machine.journal().unwrap()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_candidate_on_which_alone_the_sandbox_fails_has_crashed() {
    let machine = Machine::new(Step::score(50.0));
    let mut lab = over(&machine, "1");
    lab.run(&Cancel::new()).await.unwrap();
    let state = lab.state();
    // The first proposal could not even be staged.
    assert!(state.rejections[0].reason.contains("300 characters"), "{:?}", state.rejections);
    let statuses: Vec<Status> = state.experiments.iter().map(|experiment| experiment.status).collect();
    assert_eq!(statuses, [Status::Keep, Status::Crash, Status::Keep]);
    let reason = &state.experiments[1].reason;
    assert!(reason.contains("4 times") && reason.contains("./train"), "{reason}");
    assert_eq!(state.checks, 1, "the incumbent was run to see whose fault it is");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_fails_on_the_incumbent_too_ends_the_run_and_no_experiment() {
    let machine = Machine::new(Step::score(50.0));
    let mut first = over(&machine, "nothing");
    first.set_stop(Stop::after(1));
    first.run(&Cancel::new()).await.unwrap();
    drop(first);
    machine.restart(1.0);
    // Now nothing runs any more.
    let mut lab = over(&machine, "everything");
    let error = lab.run(&Cancel::new()).await.unwrap_err();
    assert!(matches!(error, LabError::Sandbox(SandboxError::CannotStart { .. })), "{error}");
    assert_eq!((lab.state().experiments.len(), lab.state().open.len()), (2, 1));
    // An orderly end is no death.
    assert_eq!((lab.state().open[0].lost, lab.state().open[0].running.len()), (0, 0));
    drop(lab);
    machine.restart(1.0);
    // When it is mended the experiment is tried again: nothing is known against it.
    let mut lab = over(&machine, "nothing");
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().incumbent.as_ref().unwrap().arm.mean().unwrap().get(), 30.0);
}

/// A machine on which no keep can be adopted, as long as somebody has the run's branch checked out.
struct CheckedOut {
    machine: Machine,
    is_checked_out: bool,
}

#[async_trait]
impl Sandbox<Step> for CheckedOut {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.machine.sandbox().baseline().await
    }

    async fn stage(&self, id: u32, parent: &Revision, step: &Step, text: &str) -> Result<Candidate, StageError> {
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        // The second candidate takes longer than everything else.
        let seconds = if candidate.revision.0 == "2" { 60 } else { 1 };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.machine.sandbox().run(candidate, trial, cancel).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        match from {
            Some(_) if self.is_checked_out => Err(SandboxError::Other("the branch is checked out".into())),
            _ => self.machine.sandbox().adopt(from, to).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_error_takes_the_trials_of_other_workers_back() {
    let machine = Machine::new(Step::score(50.0));
    let lab = |is_checked_out: bool| {
        let sandbox = Arc::new(CheckedOut { machine: machine.clone(), is_checked_out });
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let mut settings = Settings::new("trouble", Duration::from_secs(100));
        settings.workers = Workers::new(2);
        let script = Script::new([40.0, 45.0].map(Step::score));
        let lab = Lab::builder(sandbox, Box::new(script), metric).ratchet(Arc::new(Strict)).settings(settings);
        lab.open_journal(machine.journal().unwrap()).build().unwrap()
    };
    let mut first = lab(true);
    let error = first.run(&Cancel::new()).await.unwrap_err();
    assert!(error.to_string().contains("checked out"), "{error}");
    let open: Vec<_> =
        first.state().open.iter().map(|open| (open.experiment.id, open.lost, open.running.len())).collect();
    assert!(open.contains(&(2, 0, 0)), "its trial was in flight: {open:?}");
    drop(first);
    machine.restart(1.0);
    let mut lab = lab(false);
    lab.run(&Cancel::new()).await.unwrap();
    let statuses: Vec<Status> = lab.state().experiments.iter().map(|experiment| experiment.status).collect();
    assert_eq!(statuses, [Status::Keep, Status::Keep, Status::Discard]);
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
    assert_eq!((last.id, last.status), (1, Status::Discard));
    assert!(last.reason.contains("64 measurements") || last.reason.contains("65 measurements"), "{}", last.reason);
    assert!(machine.runs() <= 64 + 2 + 64 + 2, "{}", machine.runs());
}

/// A sandbox of one's own that knows nothing of budgets: a run takes four seconds and is splendid.
struct Slow;

#[async_trait]
impl Sandbox<Step> for Slow {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("baseline"))
    }

    async fn stage(&self, id: u32, _: &Revision, _: &Step, _: &str) -> Result<Candidate, StageError> {
        Ok(Candidate::new(id.to_string()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let is_slow = candidate.revision.0 != "baseline";
        tokio::time::sleep(Duration::from_millis(if is_slow { 4000 } else { 10 })).await;
        Ok(Outcome::Completed(RunLog::saying(if is_slow { "score: 1" } else { "score: 5" })))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_lab_keeps_the_budget_of_every_sandbox() {
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(Arc::new(Slow), Box::new(Script::new([Step::score(1.0)])), metric);
    let mut lab = lab.ratchet(Arc::new(Strict)).budget(Duration::from_secs(1)).build().unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let slow = &lab.state().experiments[1];
    assert_eq!(slow.status, Status::Crash, "{}", slow.reason);
    assert!(matches!(slow.outcome, Some(Outcome::TimedOut { .. })), "{:?}", slow.outcome);
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
