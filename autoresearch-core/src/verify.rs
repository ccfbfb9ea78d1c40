//! The checks that a run is valid: its journal in itself, and against it the repository and the table of results.
//!
//! Nothing is locked and nothing is changed, so that a run may be checked while it is running, and after an interruption at any
//! point: leftovers of a crash are no violation. A repository that is read while the run is running may be newer than the
//! records that it is compared with; after a violation then read the journal again.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::experiment_id::ExperimentId;
use crate::git::GitError;
use crate::import::is_imported;
use crate::journal::{Decision, Entry, ForeignLine, JournalError, JournalFault, Record, TrialResult};
use crate::proposal::{Cost, was_cancelled};
use crate::ratchet::{Comparison, Side};
use crate::results;
use crate::sandbox::{Outcome, Revision};
use crate::state::{State, Status};

mod decisions;
mod repository;

pub use decisions::decisions;
pub use repository::{fsck, objects, refs, repository};

/// A finding that a run is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Number of the record that shows it, if one does.
    pub seq: Option<u64>,
    /// The finding, in one line.
    pub what: String,
}

impl Violation {
    /// A violation that no single record shows.
    pub fn new(what: impl Into<String>) -> Violation {
        Violation { seq: None, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(f, "record {seq}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

#[doc(hidden)]
impl From<JournalError> for Violation {
    fn from(error: JournalError) -> Violation {
        match error.fault() {
            JournalFault::Contradiction { seq, why } => Violation { seq: Some(*seq), what: why.clone() },
            fault => Violation::new(fault.to_string()),
        }
    }
}

impl From<GitError> for Violation {
    fn from(error: GitError) -> Violation {
        Violation::new(error.to_string())
    }
}

/// Names the lines of a journal that are no records.
pub fn foreign(lines: &[ForeignLine]) -> Vec<Violation> {
    let what = |line: &ForeignLine| {
        format!("line {} is no record, something else than the lab wrote it: {}", line.number, line.why)
    };
    lines.iter().map(|line| Violation::new(what(line))).collect()
}

/// Checks the records alone. After one that contradicts those before it, nothing more is checked.
pub fn journal(entries: &[Entry]) -> Vec<Violation> {
    let mut judge = Judge::default();
    for (expected, entry) in (0..).zip(entries) {
        if let Err(why) = judge.record(expected, entry) {
            judge.violations.push(Violation { seq: Some(entry.seq), what: why });
            break;
        }
    }
    judge.violations
}

/// Lists oddities of the records that are no violations, such as a clock that was set back or a suspend.
pub fn notes(entries: &[Entry]) -> Vec<String> {
    let slept = entries.iter().filter(|entry| !entry.suspended.is_zero()).map(|entry| {
        let (seconds, seq) = (entry.suspended.as_secs(), entry.seq);
        format!(
            "the machine was suspended for {seconds} s before record {seq}: no limit counts that, and times of day do"
        )
    });
    let back = entries.windows(2).filter_map(|pair| match pair {
        [before, after] if after.at < before.at => Some(format!(
            "the clock went back before record {}, from {} to {}: durations around it mean nothing",
            after.seq, before.at, after.at
        )),
        _ => None,
    });
    back.chain(slept).collect()
}

/// The records so far.
#[derive(Default)]
struct Judge {
    state: State,
    violations: Vec<Violation>,
    cost: Cost,
    /// The open experiments whose candidate's last finished trial gave a number.
    gave_number: BTreeSet<ExperimentId>,
    /// All revisions that were ever the incumbent.
    lineage: BTreeSet<Revision>,
}

impl Judge {
    /// Checks the next record. After an error no further record can be checked.
    fn record(&mut self, expected: u64, entry: &Entry) -> Result<(), String> {
        if entry.seq != expected {
            return Err(format!("record {expected} was expected here"));
        }
        let mut wrong = self.before(&entry.record)?;
        let running = match &entry.record {
            Record::Decided(decision) => {
                self.state.open(decision.experiment).is_some_and(|open| !open.running.is_empty())
            }
            _ => false,
        };
        self.state.apply(entry).map_err(|error| match error.fault() {
            JournalFault::Contradiction { why, .. } => why.clone(),
            other => other.to_string(),
        })?;
        if matches!(entry.record, Record::Decided(_)) {
            wrong.extend(self.decided(running));
        }
        if self.state.cost != self.cost {
            return Err("the costs do not add up".into());
        }
        self.violations.extend(wrong.into_iter().map(|what| Violation { seq: Some(entry.seq), what }));
        Ok(())
    }

    /// Checks a record against the state before it.
    fn before(&mut self, record: &Record) -> Result<Vec<String>, String> {
        let mut wrong = Vec::new();
        let goes_on = match record {
            // The end of a run may cut off a keep, and a proposal that was paid for beside it.
            Record::Rejected { description, change, .. } => !was_cancelled(description, change),
            record => matches!(record, Record::HealthChecked { .. }),
        };
        if self.state.unadopted.is_some() && goes_on {
            wrong.push("the search went on before the last keep was carried out".into());
        }
        match record {
            // A start before the first decision begins anew.
            Record::Started(_) => self.cost = Cost::default(),
            Record::Staged(staged) => {
                let (experiment, parent) = (staged.experiment, &staged.parent);
                self.spend(staged.cost, &mut wrong)?;
                // Another experiment may have been kept while the proposal was made.
                let known =
                    |parent: &Revision| self.state.proposal_base() == Some(parent) || self.lineage.contains(parent);
                if !experiment.is_baseline() && !parent.as_ref().is_some_and(known) {
                    wrong.push(format!("experiment {experiment} starts from no state that was ever kept"));
                }
            }
            Record::Rejected { cost, .. } => self.spend(*cost, &mut wrong)?,
            Record::Rebased { experiment, .. } => {
                self.gave_number.remove(experiment);
            }
            Record::Decided(Decision { kept_as: Some(kept_as), .. }) => {
                self.lineage.insert(kept_as.clone());
            }
            Record::TrialMeasured(TrialResult { experiment, trial, side, fidelity, outcome, result }) => {
                // A trial on a rung decides nothing.
                if *side == Side::Candidate && *fidelity == 1.0 {
                    match result {
                        Ok(_) => self.gave_number.insert(*experiment),
                        Err(_) => self.gave_number.remove(experiment),
                    };
                }
                if result.is_ok() && !matches!(outcome, Outcome::Completed(_)) {
                    wrong.push(format!(
                        "trial {trial} of experiment {experiment} has a number, but {}",
                        outcome.describe()
                    ));
                }
            }
            _ => {}
        }
        Ok(wrong)
    }

    fn spend(&mut self, cost: Cost, wrong: &mut Vec<String>) -> Result<(), String> {
        if !cost.dollars.is_finite() {
            return Err(format!("a cost of {} dollars cannot be added up", cost.dollars));
        }
        if cost.dollars < 0.0 {
            wrong.push(format!("a cost of {} dollars is less than nothing", cost.dollars));
        }
        let tokens = self.cost.tokens.checked_add(cost.tokens);
        self.cost.tokens = tokens.ok_or_else(|| format!("a cost of {} tokens cannot be added up", cost.tokens))?;
        let calls = self.cost.calls.checked_add(cost.calls);
        self.cost.calls = calls.ok_or_else(|| format!("a cost of {} calls cannot be added up", cost.calls))?;
        self.cost.dollars += cost.dollars;
        Ok(())
    }

    /// Checks the last decision; `running`: a trial of it was in flight.
    fn decided(&self, running: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let (Some(experiment), Some(header)) = (self.state.experiments.last(), &self.state.header) else {
            return wrong;
        };
        let id = experiment.id;
        if experiment.status != Status::Keep {
            if id.is_baseline() {
                wrong.push("the baseline was not kept, so there is nothing to improve on".into());
            }
            return wrong;
        }
        if running {
            wrong.push(format!("experiment {id} was kept before its last trial ended"));
        }
        if experiment.screening.as_ref().is_some_and(|screened| screened.promotion.is_none()) {
            wrong.push(format!("experiment {id} was kept, but screening did not promote it"));
        }
        if !self.gave_number.contains(&id) {
            wrong.push(format!("experiment {id} was kept although its last run gave no number"));
        }
        // An import reports the decisions of another program, which are not judged.
        if is_imported(&self.state) {
            return wrong;
        }
        let strict = header.rule.comparison == Comparison::Means;
        // By the trials that chose it: its later ones may show less.
        match (experiment.before, experiment.selected_at().or(experiment.score())) {
            (_, None) => wrong.push(format!("experiment {id} was kept without a finite score")),
            // A user's own rule may consider something else, such as the code that a change removes.
            (Some(before), Some(after)) if strict && header.direction.gain(before, after) < 0.0 => {
                wrong.push(format!("experiment {id} was kept with {after}, which is worse than {before} before it"));
            }
            _ => {}
        }
        wrong
    }
}

/// The relation of a valid table of results to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// It shows everything.
    Whole,
    /// It lacks the decision just before a crash; the lab writes it anew when the run is resumed.
    Behind,
}

/// Checks that `results.tsv` is the view of the journal, or of the journal just before its last decision.
pub fn results(state: &State, path: &Path) -> Result<View, Violation> {
    let remedy = match is_imported(state) {
        true => "import it again under another tag",
        false => "the next run writes it anew",
    };
    let wrong = |what: String| Violation::new(format!("{what}; {remedy}"));
    let right = results::table(state);
    let last = right.trim_end_matches('\n').rfind('\n').map_or(0, |end| end + 1);
    // An import is never resumed.
    let may_lack = !is_imported(state);
    let found = match std::fs::read(path) {
        Ok(found) => found,
        // The first table is written right after the first record.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_lack && state.experiments.is_empty() => {
            return Ok(View::Behind);
        }
        Err(error) => return Err(wrong(format!("{} cannot be read: {error}", path.display()))),
    };
    if found == right.as_bytes() {
        return Ok(View::Whole);
    }
    if may_lack && !state.experiments.is_empty() && found == right.as_bytes()[..last] {
        return Ok(View::Behind);
    }
    let found = String::from_utf8_lossy(&found);
    let (mut is, mut should) = (found.split('\n'), right.split('\n'));
    let differs = (1..=found.len().max(right.len()) + 1).find_map(|line| {
        let (is, should) = (is.next(), should.next());
        (is != should).then(|| (line, is.unwrap_or("missing"), should.unwrap_or("nothing more")))
    });
    let (line, is, should) = differs.unwrap_or((1, "not text", "text"));
    Err(wrong(format!("line {line} is `{is}`, but the journal says `{should}`")))
}

#[cfg(test)]
mod tests;
