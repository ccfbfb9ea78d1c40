//! What a journal means: the experiments so far, the incumbent, and what was left unfinished. The same records give the
//! same state.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::journal::{Entry, JournalError, Record};
use crate::metric::Direction;
use crate::proposer::Cost;
use crate::ratchet::{Arm, Evidence, Noise, Side};
use crate::sandbox::Revision;

mod decided;
mod excursion;
mod parts;
mod short;
mod standing;

pub use excursion::{Excursion, ExcursionStep, SideLine};
pub use parts::{AuditScore, Earlier, Experiment, Header, Incumbent, Open, Opening, Rejection, Running, Shift, Status};
pub use short::{Look, Promotion, Rung, Rungs, Short};
pub use standing::Standing;

/// So many of the latest experiments have the end of their log in memory.
const LOGS_IN_MEMORY: usize = 32;

/// Everything that a journal says.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// How the run began.
    pub header: Option<Header>,
    /// The decided experiments, the baseline first, in the order of the decisions: with several workers not that of their
    /// numbers.
    pub experiments: Vec<Experiment>,
    /// Proposals refused without an experiment.
    pub rejections: Vec<Rejection>,
    /// The best measured state, once the baseline is measured.
    pub incumbent: Option<Incumbent>,
    /// What was begun and is not decided, oldest first: prepared, running, or waiting for another decision.
    pub open: Vec<Open>,
    /// Earlier incumbents that open experiments were made from.
    pub former: Vec<Incumbent>,
    /// A keep that was decided and perhaps not yet carried out.
    pub unapplied: Option<(Option<Revision>, Revision)>,
    /// What all proposals cost.
    pub cost: Cost,
    /// Why the run stopped last, if it did.
    pub stopped: Option<String>,
    /// How often the incumbent was run again because of crashes in a row.
    pub checks: u32,
    /// How many of those checks failed since the last one that went well.
    pub failed_checks: u32,
    /// How many experiments in a row crashed, since the last one that did not and since the last check that went well.
    pub crashes_in_a_row: usize,
    /// How many experiments and refused proposals there were since the last keep.
    pub since_keep: usize,
    /// Why the incumbent itself gave no number when it was run again last: the machine is at fault, not the candidates.
    pub failing: Option<String>,
    /// How many seconds all experiments together took, from their staging to their decision, without the baseline.
    pub seconds_experimenting: f64,
    /// How long all runs of experiments took, of candidates and of incumbents beside them.
    pub time_of_runs: Duration,
    /// And the builds before them.
    pub time_of_builds: Duration,
    /// What runs of the same code differ by.
    pub noise: Noise,
    /// How many candidates were measured more than once.
    pub tested: u32,
    /// How many of those were kept.
    pub tested_kept: u32,
    /// How many experiments there were since the incumbent was measured last.
    pub since_measured: u32,
    /// When the machine was found to have shifted.
    pub shifts: Vec<Shift>,
    /// When the sealed holdout was opened, and what it gave.
    pub holdout: Vec<Opening>,
    /// The incumbent's short runs, and what came of screening.
    pub rungs: Rungs,
    /// The side line that the search is on, if it is on one.
    pub side_line: Option<SideLine>,
    /// The excursions so far, without the one that goes on.
    pub excursions: Vec<Excursion>,
    /// By the fingerprints' hashes, since these are kept for every experiment.
    by_fingerprint: HashMap<u64, u32>,
    /// Where each experiment stands among the decided ones, by its number.
    places: Vec<u32>,
}

impl State {
    /// The state after `entries`.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, JournalError> {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry)?;
        }
        Ok(state)
    }

    /// The number of the next experiment.
    pub fn next_experiment(&self) -> u32 {
        (self.experiments.len() + self.open.len()) as u32
    }

    /// The decided experiment of this number.
    pub fn experiment(&self, number: u32) -> Option<&Experiment> {
        self.places.get(number as usize).and_then(|place| self.experiments.get(*place as usize))
    }

    /// The experiment that measured the same files, or is going to, if there is one.
    pub fn with_fingerprint(&self, fingerprint: &str) -> Option<&Experiment> {
        let decided = self.by_fingerprint.get(&hash(fingerprint)).and_then(|id| self.experiment(*id));
        let decided = decided.filter(|decided| decided.candidate.fingerprint == fingerprint);
        decided.or_else(|| self.pending().find(|pending| pending.candidate.fingerprint == fingerprint))
    }

    /// Experiments that were decided, without the baseline.
    pub fn finished(&self) -> usize {
        self.experiments.len().saturating_sub(1)
    }

    /// Everything that is known when `open` is judged.
    pub fn evidence(&self, open: &Open) -> Evidence {
        let mut incumbent = self.reference(open).cloned().unwrap_or_default();
        incumbent.measurements.extend(open.incumbent.iter().cloned());
        let direction = self.header.as_ref().map_or(Direction::Minimise, |header| header.direction);
        // The incumbent does not have the sacrifices of a side line either.
        let side_line = self.side_line.as_ref().map_or(0, |line| line.added_lines);
        let added_lines = open.experiment.candidate.added_lines + side_line;
        Evidence {
            interleaved: open.incumbent.len(),
            noise: self.noise,
            tested: self.tested as usize,
            kept: self.tested_kept as usize,
            remaining: open.remaining,
            ..Evidence::new(incumbent, open.experiment.arm.clone(), direction, added_lines)
        }
    }

    /// Goes one record on.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.take(entry.clone())
    }

    /// Goes one record on, and keeps its parts instead of copies: a change may be as large as the files that it writes.
    pub(crate) fn take(&mut self, entry: Entry) -> Result<(), JournalError> {
        let Entry { seq, at, record, .. } = entry;
        let contradiction = |why: String| JournalError::Contradiction { seq, why };
        let find = |open: &mut Vec<Open>, number: u32| match open.iter().position(|open| open.experiment.id == number) {
            Some(at) => Ok(at),
            None => Err(contradiction(format!("experiment {number} was not begun"))),
        };
        if self.header.is_none() != matches!(record, Record::Started { .. }) {
            return Err(contradiction("a run begins with one record of its start".into()));
        }
        let looks = matches!(record, Record::HoldoutOpened { .. } | Record::HoldoutMeasured { .. });
        if !looks && !matches!(record, Record::Stopped { .. }) {
            self.stopped = None;
        }
        match record {
            Record::Started { tag, base, metric, direction, policy, seed, rule } => {
                self.header = Some(Header { tag, base, metric, direction, policy, seed, rule, started: at });
            }
            Record::Intent {
                experiment,
                parent,
                candidate,
                description,
                hypothesis,
                change,
                cost,
                proposer,
                design,
                remaining,
            } => {
                let waits = experiment > 0 && self.incumbent.is_none();
                if experiment != self.next_experiment() || waits || self.unapplied.is_some() {
                    return Err(contradiction(format!("experiment {experiment} begins out of turn")));
                }
                self.cost = self.cost.plus(cost);
                self.open.push(Open {
                    experiment: Experiment {
                        id: experiment,
                        parent,
                        candidate,
                        kept_as: None,
                        description,
                        hypothesis,
                        change,
                        cost,
                        proposer,
                        design,
                        rebased: Vec::new(),
                        conflict: None,
                        status: Status::Discard,
                        reason: String::new(),
                        arm: Arm::default(),
                        reference: 0,
                        alpha: None,
                        short: None,
                        before: None,
                        audit: Vec::new(),
                        outcome: None,
                        started: at,
                        finished: at,
                    },
                    better: false,
                    attempts: 0,
                    lost: 0,
                    running: Vec::new(),
                    incomparable: false,
                    incumbent: Vec::new(),
                    failed: None,
                    remaining,
                });
            }
            Record::Resumed => self.open.iter_mut().for_each(|open| open.lost += open.running.drain(..).count() as u32),
            Record::Attempt { experiment, attempt, side, fidelity, .. } => {
                let at_place = find(&mut self.open, experiment)?;
                let open = &mut self.open[at_place];
                if attempt != open.attempts + 1 {
                    return Err(contradiction(format!("attempt {attempt} follows attempt {}", open.attempts)));
                }
                if attempt == 1 {
                    open.experiment.started = at;
                }
                open.failed = None;
                open.attempts = attempt;
                let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
                open.running.push(Running { attempt, side, fidelity, incumbent });
            }
            Record::Rebased { experiment, parent, candidate, better } => {
                let at = find(&mut self.open, experiment)?;
                let is_known = |to: &Revision| {
                    let others = self.open.iter().filter(|open| open.experiment.id != experiment && open.better);
                    let mut candidates = others.map(|open| &open.experiment.candidate.revision);
                    self.incumbent.as_ref().is_some_and(|incumbent| incumbent.is(to)) || candidates.any(|c| c == to)
                };
                if !self.open[at].running.is_empty() || !is_known(&parent) {
                    return Err(contradiction(format!("experiment {experiment} cannot be moved onto {parent}")));
                }
                self.rebase(at, parent, candidate, better);
            }
            Record::Conflicted { experiment, conflict } => {
                let at = find(&mut self.open, experiment)?;
                self.pool_fresh(at);
                let open = &mut self.open[at];
                open.experiment.conflict = Some(conflict);
                open.incumbent = Vec::new();
                self.forget_former();
            }
            Record::Measured { experiment, attempt, side, fidelity, outcome, result } => {
                let at = find(&mut self.open, experiment)?;
                let current = self.standing(&self.open[at]) == Standing::Current;
                let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
                {
                    let open = &mut self.open[at];
                    let running = open.running.iter().position(|running| running.attempt == attempt);
                    let Some(running) = running.map(|at| open.running.remove(at)) else {
                        return Err(contradiction(format!("attempt {attempt} was measured, but does not run")));
                    };
                    if (side, fidelity) != (running.side, running.fidelity) {
                        return Err(contradiction(format!(
                            "attempt {attempt} is of the {:?} on {} of the budget, but was measured as of the {side:?} on \
                             {fidelity}",
                            running.side, running.fidelity
                        )));
                    }
                    let short = fidelity < 1.0;
                    self.rungs.spend(short, side, outcome.log());
                    self.time_of_runs += outcome.log().elapsed;
                    self.time_of_builds += outcome.log().build;
                    match side {
                        Side::Candidate if short => {
                            open.experiment.outcome = Some(outcome);
                            match result.map(|measurement| self.rungs.look(fidelity, measurement.score)) {
                                Ok(Some(look)) => open.experiment.short.get_or_insert_default().looks.push(look),
                                // The incumbent has moved below it: it will be made to the new one, and run on the rung again.
                                Ok(None) if !current => {}
                                Ok(None) => {
                                    return Err(contradiction("a short run has nothing to be compared with".into()));
                                }
                                Err(why) => open.failed = Some(why),
                            }
                        }
                        Side::Incumbent if short => match result {
                            Ok(measurement) => self.rungs.add(fidelity, measurement.score),
                            Err(_) => open.incomparable = true,
                        },
                        Side::Candidate => {
                            open.experiment.outcome = Some(outcome);
                            match result {
                                Ok(measurement) => {
                                    open.experiment.arm.measurements.push(measurement);
                                    open.experiment.reference += 1;
                                }
                                Err(why) => open.failed = Some(why),
                            }
                        }
                        // What is judged as it is, is compared with today's incumbent, and not with one that it ran beside.
                        Side::Incumbent if open.experiment.conflict.is_some() && running.incumbent != incumbent => {}
                        Side::Incumbent => open.incumbent.extend(result.ok()),
                    }
                }
            }
            Record::Promoted { experiment, promotion, .. } => {
                let at = find(&mut self.open, experiment)?;
                let short = self.open[at].experiment.short.get_or_insert_default();
                if short.promotion.replace(promotion).is_some() {
                    return Err(contradiction(format!("experiment {experiment} was promoted twice")));
                }
                self.rungs.count(promotion);
            }
            Record::Failed { experiment, attempt, .. } => {
                let at = find(&mut self.open, experiment)?;
                let open = &mut self.open[at];
                let running = open.running.iter().position(|running| running.attempt == attempt);
                let Some(running) = running else {
                    return Err(contradiction(format!("attempt {attempt} failed, but does not run")));
                };
                open.running.remove(running);
            }
            Record::Decision { experiment, status, reason, to, reference, alpha, excursion } => {
                let place = find(&mut self.open, experiment)?;
                let standing = self.standing(&self.open[place]);
                if status == Status::Keep && standing != Standing::Current {
                    return Err(contradiction(format!(
                        "experiment {experiment} was kept, but is no change of the incumbent"
                    )));
                }
                let before = self.reference(&self.open[place]).and_then(|arm| arm.mean());
                let mut open = self.open.remove(place);
                open.experiment.status = status;
                open.experiment.reason = reason;
                open.experiment.kept_as = to;
                open.experiment.alpha = alpha;
                open.experiment.finished = at;
                open.experiment.before = before;
                self.decide(open, standing == Standing::Current, reference, excursion).map_err(contradiction)?;
            }
            Record::Applied { experiment } => {
                let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
                if self.unapplied.take().is_none() || incumbent != Some(experiment) {
                    return Err(contradiction(format!("experiment {experiment} was carried out without a decision")));
                }
            }
            Record::Refused { description, reason, change, cost, proposer } => {
                self.cost = self.cost.plus(cost);
                self.since_keep += 1;
                let experiment = self.next_experiment();
                self.rejections.push(Rejection { description, reason, change, cost, proposer, experiment });
            }
            Record::Checked { failure, measurement, reference } => {
                self.checks += 1;
                if let (Some(measurement), Some(incumbent)) = (measurement, &mut self.incumbent) {
                    incumbent.arm.measurements.push(measurement);
                    self.since_measured = 0;
                    self.shifted(reference);
                }
                match failure {
                    Some(_) => self.failed_checks += 1,
                    None => (self.failed_checks, self.crashes_in_a_row) = (0, 0),
                }
                self.failing = failure;
            }
            Record::Audited { experiment, seed, score } => match self.places.get(experiment as usize) {
                Some(place) if self.experiments.get(*place as usize).is_some() => {
                    self.experiments[*place as usize].audit.push(AuditScore { seed, score });
                }
                _ => return Err(contradiction(format!("experiment {experiment} was audited, but is not decided"))),
            },
            Record::HoldoutOpened { best } => {
                let incumbent = self.incumbent.as_ref().filter(|incumbent| incumbent.revision == best);
                let incumbent = incumbent.ok_or_else(|| contradiction(format!("{best} is not the best state")))?;
                let (best, experiment) = (incumbent.experiment, self.finished() as u32);
                self.holdout.push(Opening { at, experiment, best, result: None });
            }
            Record::HoldoutMeasured { baseline, best } => match self.holdout.last_mut() {
                Some(opening) if opening.result.is_none() => opening.result = Some((baseline, best)),
                _ => return Err(contradiction("the holdout was measured, but not opened".into())),
            },
            Record::Stopped { reason } => {
                // An orderly stop is nobody's crash: the run that it interrupted is not lost.
                self.open.iter_mut().for_each(|open| open.running.clear());
                self.stopped = Some(reason);
            }
        }
        Ok(())
    }
}

fn hash(fingerprint: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    fingerprint.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
