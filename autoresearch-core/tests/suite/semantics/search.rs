//! A search on a simulated machine that can be interrupted, and a sandbox that watches the order of its writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::{Purpose, Settings, purpose};
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

use super::model::check;
use super::plan::{BASELINE, LOST_TRIALS, Plan, Rule};

/// A search, its machine, and its lab while that lives.
pub(super) struct Search {
    pub(super) plan: Plan,
    pub(super) machine: Machine,
    pub(super) lab: Option<Lab<Step>>,
}

/// The machine's sandbox, which also checks that every step is on the disk before the next is taken.
struct Watched(Machine);

impl Watched {
    fn journal_has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.durable()).contains(text)
    }
}

#[async_trait]
impl Sandbox<Step> for Watched {
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

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let (id, number) = (trial.experiment, trial.number);
        let announced = format!("\"type\":\"trial_started\",\"experiment\":{id},\"trial\":{number},");
        assert!(
            purpose(trial) != Purpose::Search || self.0.is_dead() || self.journal_has(&announced),
            "a run is announced before it begins"
        );
        self.0.sandbox().run(candidate, trial, cancel).await
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        self.0.sandbox().recover().await
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
        let decided = format!("\"kept_as\":\"{to}\"");
        assert!(self.0.is_dead() || self.journal_has(&decided), "the incumbent moves after the durable decision");
        self.0.sandbox().adopt(from, to).await
    }
}

/// Runs `future` under a clock that jumps over waits, so that backoff costs a test nothing.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

impl Search {
    pub(super) fn new(plan: &Plan) -> Search {
        let machine = Machine::new(Step::score(BASELINE));
        machine.shake_short_runs(plan.jitter);
        Search { plan: plan.clone(), machine, lab: None }
    }

    /// The living lab, or a new one.
    pub(super) fn lab(&mut self) -> Result<&mut Lab<Step>, LabError> {
        if self.lab.is_none() {
            let journal = self.machine.journal()?;
            let mut settings = Settings::new("t", Duration::from_secs(1));
            settings.loss_limit = LOST_TRIALS;
            settings.remeasure_every = matches!(self.plan.rule, Rule::Audit | Rule::NoiseAware).then_some(2);
            (settings.screening, settings.excursion) = (self.plan.screening.clone(), self.plan.excursion);
            let metric = Arc::new(LogMetric::new("score", self.plan.direction));
            let program = Program::parse("Find a better one.").unwrap();
            let proposer = Box::new(Script::new(self.plan.script.iter().cloned()));
            let (sandbox, rule) = (Arc::new(Watched(self.machine.clone())), Arc::new(self.plan.rule));
            let lab = Lab::builder(sandbox, proposer, metric)
                .ratchet(rule)
                .program(program)
                .settings(settings)
                .open_journal(journal)
                .build()?;
            let machine = self.machine.clone();
            self.lab = Some(lab.observed_by(Arc::new(move |event: &Event<'_>| {
                if let Event::Decided { experiment, .. } = event {
                    let durable = machine.durable();
                    let text = String::from_utf8_lossy(&durable);
                    let decisions = text.matches("\"type\":\"decided\"").count();
                    assert!(decisions > experiment.id.0 as usize, "a decision is told when it is durable");
                }
            })));
        }
        Ok(self.lab.as_mut().unwrap())
    }

    /// Searches for `more` experiments.
    pub(super) fn work(&mut self, more: usize, cancel: &Cancel) -> Result<StopReason, LabError> {
        let lab = self.lab()?;
        let stop = Stop::after(lab.state().finished() + more);
        lab.set_stop(stop);
        block_on(lab.run(cancel))
    }

    pub(super) fn restart(&mut self, share: f64) {
        self.lab = None;
        self.machine.restart(share);
    }

    /// State replayed from the durable part of the journal, checked against the model.
    pub(super) fn replayed(&self) -> State {
        let journal = self.machine.journal().expect("what is durable is sound");
        let state = State::replay(journal.entries()).expect("the records do not contradict each other");
        check(&self.plan, &state);
        state
    }
}
