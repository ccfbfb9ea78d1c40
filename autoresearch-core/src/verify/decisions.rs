//! The check that decisions follow from the measurements.

use super::Violation;
use crate::import::is_imported;
use crate::journal::{Decision, Entry, Record};
use crate::ratchet::{Ratchet, Verdict, on_one_machine};
use crate::state::{BaseStatus, State, Status};

/// Judges every decision again by `rule`, from the state before it. Returns the number of decisions, and those that do not
/// follow from their measurements.
///
/// A keep that the rule would not have made is a violation. A candidate that was discarded for another reason than its
/// measurements, because it crashed or could not be compared, is a violation only if the rule would have kept it.
pub fn decisions(entries: &[Entry], rule: &dyn Ratchet) -> (usize, Vec<Violation>) {
    let (mut state, mut judged, mut violations) = (State::default(), 0, Vec::new());
    for entry in entries {
        if let Record::Decided(Decision { experiment: id, status, .. }) = &entry.record
            && !id.is_baseline()
            && let Some(open) = state.open(*id)
            && !is_imported(&state)
            && *status != Status::Crash
            && !open.experiment.failed_guard()
        {
            judged += 1;
            let mut evidence = state.evidence(open);
            let verdict = on_one_machine(&mut evidence).unwrap_or_else(|| rule.judge(&evidence));
            let what = match (status, verdict) {
                (Status::Keep, Verdict::Discard(why)) => {
                    Some(format!("experiment {id} was kept; the rule says: {why}"))
                }
                (Status::Keep, Verdict::Measure(_)) => {
                    Some(format!("experiment {id} was kept before the rule had seen enough of it"))
                }
                // A rebased candidate may turn out to be the same as another one.
                (Status::Discard, Verdict::Keep(why))
                    if state.base_status(open) == BaseStatus::Current && !state.has_to_queue(open) =>
                {
                    Some(format!("experiment {id} was discarded; the rule says: {why}"))
                }
                _ => None,
            };
            violations.extend(what.map(|what| Violation { seq: Some(entry.seq), what }));
        }
        // A record that the state rejects is a violation of the journal, which is another check.
        if state.apply(entry).is_err() {
            break;
        }
    }
    (judged, violations)
}
