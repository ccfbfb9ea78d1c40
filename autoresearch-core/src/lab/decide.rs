//! The decision on an experiment, and the adoption of a kept one.

use super::health::AGREEING_TRIALS;
use super::in_flight::InFlight;
use super::{Change, Lab, LabError, excursion};
use crate::experiment_id::ExperimentId;
use crate::journal::{Decision, Record};
use crate::metric::significant;
use crate::observer::Event;
use crate::ratchet::on_one_machine;
use crate::sandbox::{Candidate, Outcome, Revision, Sandbox, SandboxError};
use crate::state::{ExcursionStep, Experiment, OpenExperiment, Status};

impl<C: Change> Lab<C> {
    /// Decides an experiment. The record of the decision is the commit point; a kept revision is committed before it and
    /// adopted after it.
    pub(super) async fn decide_experiment(
        &mut self,
        in_flight: &mut InFlight<C>,
        id: ExperimentId,
        status: Status,
        reason: String,
    ) -> Result<(), LabError> {
        let Some(open) = self.state.open(id) else { return Ok(()) };
        if id.is_baseline() && status != Status::Keep {
            // The baseline stays open: the same command measures it again.
            return Err(baseline_error(&open.experiment, reason));
        }
        let (reference, alpha) = self.consequences(open, status);
        let from = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
        let rule = self.settings.excursion.as_ref();
        let excursion = excursion::next_step(rule, &self.state, open, status);
        let kept_as = match status {
            Status::Keep => {
                let mut kept = open.experiment.clone();
                kept.reference = reference.unwrap_or(kept.reference);
                let messages = (self.message(&kept, &reason), format!("experiment {id} of {}\n", self.settings.tag));
                Some(commit(&*self.sandbox.clone(), &kept.candidate, from.as_ref(), messages).await?)
            }
            Status::Discard | Status::Crash => None,
        };
        let reason = match excursion {
            Some(ExcursionStep::Sacrifice) => format!("{reason}; sacrificed: an excursion continues from it"),
            _ => reason,
        };
        let (experiment, to) = (id, kept_as.clone());
        self.record(Record::Decided(Decision { experiment, status, reason, kept_as, reference, alpha, excursion }))?;
        in_flight.forget(id);
        if let Some(to) = to {
            self.adopt_incumbent(from.as_ref(), &to).await?;
            self.let_rule_ask_again(in_flight);
        }
        self.write_results().await?;
        self.let_proposer_observe();
        if let Some(decided) = self.state.experiments.last() {
            self.tell(&Event::Decided { experiment: decided, state: &self.state });
        }
        Ok(())
    }

    /// Moves the incumbent to a revision that was decided to be kept.
    pub(super) async fn adopt_incumbent(&mut self, from: Option<&Revision>, to: &Revision) -> Result<(), LabError> {
        self.sandbox.adopt(from, to).await?;
        let experiment = self.state.incumbent.as_ref().map_or(ExperimentId::BASELINE, |incumbent| incumbent.experiment);
        self.record(Record::Adopted { experiment })
    }

    /// Lets the rule ask again for trials of experiments in conflict, since they are judged against the new incumbent.
    fn let_rule_ask_again(&self, in_flight: &mut InFlight<C>) {
        for open in self.state.open.iter().filter(|open| open.experiment.conflict.is_some()) {
            if let Some(known) = in_flight.experiments.get_mut(&open.experiment.id) {
                known.requested.clear();
                known.measurements_at_request = None;
            }
        }
    }

    /// Returns the number of the next incumbent's measurements that count from now on, if not all of them, and the level of the
    /// test.
    fn consequences(&self, open: &OpenExperiment, status: Status) -> (Option<u32>, Option<f64>) {
        let mut evidence = self.state.evidence(open);
        on_one_machine(&mut evidence);
        let reference = match status {
            Status::Keep => {
                Some(self.ratchet.reference(&evidence)).filter(|count| *count < evidence.candidate.measurements.len())
            }
            Status::Discard | Status::Crash => {
                evidence.shift().map(|_| evidence.interleaved).filter(|count| *count >= AGREEING_TRIALS)
            }
        };
        let alpha = self.ratchet.alpha(&evidence).filter(|alpha| alpha.is_finite());
        (reference.map(|count| count as u32), alpha)
    }

    /// Formats the commit message of a kept experiment.
    fn message(&self, experiment: &Experiment, reason: &str) -> String {
        let name = self.metric.name();
        let after = experiment.score().map_or("unmeasured".into(), |score| significant(score.get()));
        let before = self.state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let reverts = match &experiment.conflict {
            Some(_) => "\nIt could not be merged with what was kept while it ran, and replaces that.\n",
            None => "",
        };
        let change = before.map_or(format!("{name}: {after}"), |before| {
            format!("{name}: {} -> {after} ({reason})", significant(before.get()))
        });
        let hypothesis = match experiment.hypothesis.trim() {
            "" => String::new(),
            text => format!("{text}\n\n"),
        };
        format!(
            "{}\n\n{hypothesis}{change}\nexperiment: {} of {}\n{reverts}{}",
            experiment.description,
            experiment.id,
            self.settings.tag,
            excursion::list_sacrifices(&self.state)
        )
    }
}

/// Commits a kept candidate. If the sandbox cannot write the message, a plain one is used, so that a proposal's own words never
/// keep a better candidate out of the lineage.
async fn commit<C>(
    sandbox: &dyn Sandbox<C>,
    candidate: &Candidate,
    incumbent: Option<&Revision>,
    (message, plain): (String, String),
) -> Result<Revision, SandboxError> {
    match sandbox.commit(candidate, incumbent, &message).await {
        Err(error) if !matches!(error, SandboxError::DiskFull { .. } | SandboxError::Cancelled) => {
            sandbox.commit(candidate, incumbent, &plain).await
        }
        committed => committed,
    }
}

fn baseline_error(baseline: &Experiment, why: String) -> LabError {
    let log = baseline.outcome.as_ref().map(Outcome::log);
    LabError::Baseline {
        why,
        tail: log.map_or(String::new(), |log| last_lines(&log.tail, 12)),
        log: log.and_then(|log| log.path.as_ref()).map_or("not kept".into(), |path| path.display().to_string()),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
