//! The start of a run that may have been interrupted: what an earlier process left undone is finished, and trials that outlived
//! it are waited for.

use super::completions::{Completion, TrialId};
use super::in_flight::{InFlight, Phase, TrialInFlight};
use super::trials::report_progress;
use super::{Change, Lab, LabError};
use crate::journal::{Record, RunHeader};
use crate::observer::Event;
use crate::ratchet::{DecisionRule, Side};
use crate::sandbox::{Candidate, Trial};

/// A trial that was in flight when an earlier process of the lab died.
pub(super) struct Interrupted {
    side: Side,
    candidate: Candidate,
    trial: Trial,
}

impl<C: Change> Lab<C> {
    /// Checks that the journal belongs to this run, and finishes what an earlier process left undone. Returns the interrupted
    /// trials that are not lost.
    pub(super) async fn recover(&mut self) -> Result<Vec<Interrupted>, LabError> {
        let header = self.header();
        let differences = self.state.header.as_ref().map(|recorded| recorded.differences(&header));
        // What belongs to another policy is ended like everything else.
        let goes_on = differences.as_ref().is_some_and(|differences| differences.is_empty());
        let mut interrupted = if goes_on { self.interrupted() } else { Vec::new() };
        let asked: Vec<_> = interrupted.iter().map(|trial| (trial.candidate.clone(), trial.trial.clone())).collect();
        let found = self.sandbox.resume(&asked).await?;
        match differences {
            Some(differences) if !differences.is_empty() && self.state.is_bound() => {
                return Err(LabError::Changed(differences));
            }
            Some(differences) if differences.is_empty() => {}
            // Before a baseline is measured the run may start anew with a mended program or configuration.
            Some(_) | None => self.record(Record::Started(header))?,
        }
        let mut place = 0..;
        interrupted.retain(|_| place.next().is_some_and(|place: usize| found.contains(&place)));
        if self.state.open.iter().any(|open| !open.running.is_empty()) {
            let attached =
                interrupted.iter().map(|Interrupted { trial, .. }| (trial.experiment, trial.number)).collect();
            self.record(Record::Resumed { attached })?;
        }
        if let Some((from, to)) = self.state.unadopted.clone() {
            self.adopt_incumbent(from.as_ref(), &to).await?;
        } else if let Some(incumbent) = &self.state.incumbent {
            // There is nothing to move; the call fails if somebody else has moved the incumbent.
            self.sandbox.adopt(Some(&incumbent.revision), &incumbent.revision).await?;
        }
        self.write_results().await?;
        self.observed = 0;
        self.let_proposer_observe();
        Ok(interrupted)
    }

    fn header(&self) -> RunHeader {
        let mut header = RunHeader::new(&self.settings.tag, self.metric.name(), self.metric.direction());
        header.base = self.settings.base.clone();
        header.branch = self.settings.branch.clone();
        header.enforcement = self.settings.enforcement.clone();
        header.policy = self.settings.policy.clone();
        header.seed = self.settings.seed;
        header.rule = DecisionRule::of(&*self.ratchet);
        header.budget = self.settings.budget;
        header
    }

    /// Lists the trials that were in flight when the process before this one ended.
    fn interrupted(&self) -> Vec<Interrupted> {
        let mut trials = Vec::new();
        for open in &self.state.open {
            for running in &open.running {
                let candidate = match running.side {
                    Side::Candidate => Some(&open.experiment.candidate),
                    Side::Incumbent => running.incumbent.and_then(|made| Some(&self.state.experiment(made)?.candidate)),
                };
                let Some(candidate) = candidate.cloned() else { continue };
                let mut trial = Trial::new(open.experiment.id, running.trial, running.seed, self.settings.budget);
                // Its devices are those that it has, whatever worker is free for it now.
                (trial.fidelity, trial.slot, trial.worker) = (running.fidelity, running.slot, None);
                trials.push(Interrupted { side: running.side, candidate, trial });
            }
        }
        trials
    }

    /// Waits for the trials that outlived the process before this one, as if this one had started them.
    pub(super) fn attach_trials(&self, in_flight: &mut InFlight<C>, attached: Vec<Interrupted>) {
        for Interrupted { side, candidate, mut trial } in attached {
            let id = TrialId { experiment: trial.experiment, number: trial.number };
            let lease = in_flight.lease_again(trial.slot as usize, &candidate.revision, self.class(trial.fidelity));
            let worker = lease.worker.map(|worker| worker as u32);
            trial.progress = report_progress(id.experiment, worker, self.observers.clone());
            if let Some(open) = self.state.open(id.experiment) {
                let description = &open.experiment.description;
                self.tell(&Event::ExperimentStarted { experiment: id.experiment, description });
            }
            self.tell(&Event::TrialStarted { experiment: id.experiment, worker });
            let (sandbox, cancel) = (self.sandbox.clone(), in_flight.cancel.child());
            let (of_future, awaited, own) = (candidate.clone(), trial.clone(), cancel.clone());
            in_flight.await_completion(async move {
                let result = sandbox.attach(&of_future, &awaited, &own).await;
                Completion::TrialEnded { trial: id, result: result.map(|outcome| awaited.overrun(outcome)) }
            });
            trial.worker = worker;
            let known = in_flight.experiment(id.experiment);
            known.was_tried = true;
            known.trials.push(TrialInFlight { phase: Phase::Running, side, candidate, trial, lease, cancel });
        }
    }
}
