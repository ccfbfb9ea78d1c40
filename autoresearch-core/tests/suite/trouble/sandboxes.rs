//! Sandboxes that fail, or know nothing of budgets: one candidate pays, or nobody.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

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

    async fn stage(
        &self,
        id: ExperimentId,
        parent: &Revision,
        step: &Step,
        text: &str,
    ) -> Result<Candidate, StageError> {
        if text == "step 0" {
            return Err(StageError::Failed(SandboxError::Other("a name of 300 characters".into())));
        }
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        if self.fails_on == "everything" && trial.experiment > ExperimentId(0) || candidate.revision.0 == self.fails_on
        {
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
    assert!(open.contains(&(ExperimentId(2), 0, 0)), "its trial was in flight: {open:?}");
    drop(first);
    machine.restart(1.0);
    let mut lab = lab(false);
    lab.run(&Cancel::new()).await.unwrap();
    let statuses: Vec<Status> = lab.state().experiments.iter().map(|experiment| experiment.status).collect();
    assert_eq!(statuses, [Status::Keep, Status::Keep, Status::Discard]);
}
/// A sandbox of one's own that knows nothing of budgets: a run takes four seconds and is splendid.
struct Slow;

#[async_trait]
impl Sandbox<Step> for Slow {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("baseline"))
    }

    async fn stage(&self, id: ExperimentId, _: &Revision, _: &Step, _: &str) -> Result<Candidate, StageError> {
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

/// A machine whose device is lost after the baseline.
struct Lost(std::sync::atomic::AtomicBool);

#[async_trait]
impl Sandbox<Step> for Lost {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("baseline"))
    }

    async fn stage(&self, id: ExperimentId, _: &Revision, _: &Step, _: &str) -> Result<Candidate, StageError> {
        Ok(Candidate::new(id.to_string()))
    }

    async fn run(&self, _: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        match self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => Ok(Outcome::Completed(RunLog::saying("score: 5"))),
            true => Ok(Outcome::Crashed { log: RunLog::default(), message: "the device is lost".into() }),
        }
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_who_stops_a_run_waits_for_the_pause_of_a_machine() {
    let lab = |finish: &Cancel, stop: Stop| {
        let sandbox = Arc::new(Lost(false.into()));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let lab = Lab::builder(sandbox, Box::new(Script::new([1.0; 20].map(Step::score))), metric).stop(stop);
        lab.ratchet(Arc::new(Strict)).build().unwrap().finishing_on(finish.clone())
    };
    // After some crashes in a row the incumbent has crashed, too: it pauses for 30, 60, 120 seconds and so on.
    let (began, asked) = (tokio::time::Instant::now(), Duration::from_secs(1000));
    let finish = Cancel::new();
    let mut asked_lab = lab(&finish, Stop::default());
    let ask = async {
        tokio::time::sleep(asked).await;
        finish.cancel();
    };
    let cancel = Cancel::new();
    let (reason, ()) = tokio::join!(asked_lab.run(&cancel), ask);
    assert_eq!(reason.unwrap(), StopReason::Requested);
    assert!(began.elapsed() < asked + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(asked_lab.state().checks > 3, "it has looked after the machine meanwhile");

    let (began, mut stop) = (tokio::time::Instant::now(), Stop::default());
    stop.wall = Some(asked);
    let mut limited = lab(&Cancel::new(), stop);
    assert!(matches!(limited.run(&Cancel::new()).await.unwrap(), StopReason::Wall(_)));
    assert!(began.elapsed() < asked + Duration::from_secs(2), "{:?}", began.elapsed());
}
