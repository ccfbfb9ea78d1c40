//! The decision on an experiment and what follows from it, or its move to another parent.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::Flight;
use super::checks::AGREEING_RUNS;
use super::next::{Next, measured};
use super::work::Work;
use super::{Lab, LabError};
use crate::journal::Record;
use crate::observer::Event;
use crate::ratchet::on_one_machine;
use crate::sandbox::{Outcome, Rebase, Rebased, Revision};
use crate::state::{ExcursionStep, Experiment, Open, Status};

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    /// Whether an open experiment was begun. Those that were not may wait for another night.
    pub(super) fn is_begun(&self, work: &Work<C>, open: &Open) -> bool {
        let started = work.bench.flights.get(&open.experiment.id).is_some_and(|flight| flight.ran);
        started || open.attempts > 0 || open.better || !self.settings.workers.ahead
    }

    /// Decides all experiments that can be decided, and moves those that must be moved. One decision may lead to others.
    pub(super) async fn decide_what_can_be(&mut self, work: &mut Work<C>) -> Result<(), LabError> {
        'again: loop {
            self.withdraw(work)?;
            for at in 0..self.state.open.len() {
                let open = &self.state.open[at];
                let id = open.experiment.id;
                let idle = work.bench.flights.get(&id).is_none_or(Flight::is_idle);
                if !idle || self.is_suspect() {
                    continue;
                }
                match self.next(work, open) {
                    Next::Decide(status, reason) => {
                        self.decide(id, status, reason).await?;
                        work.decided(id);
                        if status == Status::Keep {
                            self.ask_again(work);
                        }
                    }
                    Next::Promote(promotion, reason) => {
                        self.record(Record::Promoted { experiment: id, promotion, reason })?;
                    }
                    Next::Want(sides) => {
                        let open = &self.state.open[at];
                        let flight = work.bench.flights.entry(id).or_default();
                        (flight.wanted, flight.asked) = (sides.into(), Some(measured(open)));
                    }
                    Next::Move(true) => {
                        self.rebase(id, true).await?;
                        work.bench.flights.remove(&id);
                    }
                    // What was not found better is moved when it can run, once for all that was kept until then.
                    Next::Run(..) | Next::Move(false) | Next::Wait => continue,
                }
                continue 'again;
            }
            return Ok(());
        }
    }

    /// Lets the rule ask again for what is judged as it is: there is another incumbent now.
    fn ask_again(&self, work: &mut Work<C>) {
        for open in self.state.open.iter().filter(|open| open.experiment.conflict.is_some()) {
            if let Some(flight) = work.bench.flights.get_mut(&open.experiment.id) {
                flight.wanted.clear();
                flight.asked = None;
            }
        }
    }

    /// Makes an experiment's change to what the search goes on from now.
    pub(super) async fn rebase(&mut self, experiment: u32, better: bool) -> Result<(), LabError> {
        let onto = match better {
            true => self.state.top(),
            false => self.state.incumbent.as_ref().map(|incumbent| &incumbent.revision),
        };
        let (Some(open), Some(onto)) = (self.state.open(experiment), onto) else { return Ok(()) };
        let made = &open.experiment;
        let (Some(from), onto) = (&made.parent, onto.clone()) else { return Ok(()) };
        let below = self.state.pending().find(|other| other.candidate.revision == onto);
        let below = below.map(|other| other.id).or(self.state.incumbent.as_ref().map(|incumbent| incumbent.experiment));
        let below = below.unwrap_or(0);
        let change = C::deserialize(&made.change)?;
        let rebased = self
            .sandbox
            .rebase(Rebase {
                experiment,
                times: made.rebased.len() as u32 + 1,
                candidate: &made.candidate,
                from,
                onto: &onto,
                change: &change,
                description: &made.description,
            })
            .await?;
        match rebased {
            Rebased::Candidate(candidate) => {
                let fingerprint = candidate.fingerprint.clone();
                let twin = self.state.with_fingerprint(&fingerprint).filter(|twin| twin.id != experiment);
                let twin = twin.map(|twin| format!("{} ({})", twin.id, twin.description));
                if let Some(twin) = twin {
                    let why = format!("with what was kept meanwhile it is the same as experiment {twin}");
                    return self.decide(experiment, Status::Discard, why).await;
                }
                self.record(Record::Rebased { experiment, parent: onto, candidate, better })?;
                self.tell(&Event::Rebased { experiment, onto: below, better, conflict: None });
            }
            Rebased::Conflict(conflict) => {
                self.tell(&Event::Rebased { experiment, onto: below, better, conflict: Some(&conflict) });
                self.record(Record::Conflicted { experiment, conflict: conflict.into() })?;
            }
        }
        Ok(())
    }

    /// The commit point, and after it what follows from it.
    pub(super) async fn decide(&mut self, id: u32, status: Status, reason: String) -> Result<(), LabError> {
        let Some(open) = self.state.open(id) else { return Ok(()) };
        let experiment = &open.experiment;
        if id == 0 && status != Status::Keep {
            let log = experiment.outcome.as_ref().map(Outcome::log);
            // The baseline stays open: the same command measures it again.
            return Err(LabError::Baseline {
                why: reason,
                tail: log.map_or(String::new(), |log| last_lines(&log.tail, 12)),
                log: log.and_then(|log| log.path.as_ref()).map_or("not kept".into(), |path| path.display().to_string()),
            });
        }
        let (reference, alpha) = self.consequences(open, status);
        let from = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
        let to = match (status, &from) {
            (Status::Keep, from) => {
                let mut kept = experiment.clone();
                kept.reference = reference.unwrap_or(kept.reference);
                let message = self.message(&kept, &reason);
                // Made from the incumbent itself, or from something that the lineage does not hold by that name.
                let elsewhere = |incumbent: &&Revision| kept.parent.as_ref().is_some_and(|parent| parent != *incumbent);
                Some(match from.as_ref().filter(elsewhere) {
                    Some(incumbent) => self.sandbox.seal_onto(incumbent, &kept.candidate, &message).await?,
                    None => self.sandbox.seal(&kept.candidate, &message).await?,
                })
            }
            (Status::Discard | Status::Crash, _) => None,
        };
        let excursion = self.settings.excursion_step(&self.state, open, status);
        let reason = match excursion {
            Some(ExcursionStep::Sacrifice) => format!("{reason}; sacrificed: an excursion goes on from it"),
            _ => reason,
        };
        self.record(Record::Decision { experiment: id, status, reason, to: to.clone(), reference, alpha, excursion })?;
        if let Some(to) = to {
            self.sandbox.promote(from.as_ref(), &to).await?;
            self.record(Record::Applied { experiment: id })?;
        }
        self.write_results()?;
        self.let_proposer_observe();
        if let Some(decided) = self.state.experiments.last() {
            self.observers.iter().for_each(|o| o.on_event(&Event::Decided { experiment: decided, state: &self.state }));
        }
        Ok(())
    }

    /// How many measurements of the next incumbent count from now on, if not all of them, and the level of the test.
    fn consequences(&self, open: &Open, status: Status) -> (Option<u32>, Option<f64>) {
        let mut evidence = self.state.evidence(open);
        on_one_machine(&mut evidence);
        let reference = match status {
            Status::Keep => {
                Some(self.ratchet.reference(&evidence)).filter(|count| *count < evidence.candidate.measurements.len())
            }
            Status::Discard | Status::Crash => {
                evidence.shift().map(|_| evidence.interleaved).filter(|count| *count >= AGREEING_RUNS)
            }
        };
        let reference = reference.map(|count| count as u32);
        (reference, self.ratchet.alpha(&evidence))
    }

    /// The commit message of a kept experiment.
    fn message(&self, experiment: &Experiment, reason: &str) -> String {
        let name = self.metric.name();
        let after = experiment.score().map_or("unmeasured".into(), |score| format!("{:.6}", score.get()));
        let before = self.state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let reverts = match &experiment.conflict {
            Some(_) => {
                "\nIt could not be merged with what was kept while it ran, and replaces that where both changed the same.\n"
            }
            None => "",
        };
        let change = before
            .map_or(format!("{name}: {after}"), |before| format!("{name}: {:.6} -> {after} ({reason})", before.get()));
        let hypothesis = match experiment.hypothesis.trim() {
            "" => String::new(),
            text => format!("{text}\n\n"),
        };
        format!(
            "{}\n\n{hypothesis}{change}\nexperiment: {} of {}\n{reverts}{}",
            experiment.description,
            experiment.id,
            self.settings.tag,
            self.sacrifices()
        )
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
