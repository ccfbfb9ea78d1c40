//! The section of the report on workers: how busy they were, and the fate of candidates whose incumbent moved.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use autoresearch_core::internal::journal::{Entry, Record, TrialResult};
use autoresearch_core::{Experiment, State, Status};

/// The share of their time that the workers of a run were busy.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Occupation {
    /// The most workers that were at work at the same time. The journal does not say how many there were: a run may go on
    /// with another number. But a worker's next trial begins after the record of its last one, so trials that overlap, each
    /// counted back from its record, are those of as many workers; one that never had anything to do is not missed.
    workers: usize,
    /// Time of all trials together, with the evaluations of what they left.
    busy: Duration,
    /// Workers times wall clock, without what lies between two calls of the command and without suspends.
    available: Duration,
}

impl Occupation {
    fn of(entries: &[Entry]) -> Occupation {
        let mut all = Occupation::default();
        let mut call = Call::default();
        for Entry { at, record, suspended, .. } in entries {
            match record {
                // Made when the run was over.
                Record::Audited { .. } | Record::HoldoutOpened { .. } | Record::HoldoutMeasured { .. } => continue,
                // Nobody knows when the lab before died; its last record is what is sure, unless a trial went on meanwhile.
                Record::Resumed { attached } if attached.is_empty() => all.add(std::mem::take(&mut call)),
                _ => {}
            }
            let at = SystemTime::from(*at);
            call.first.get_or_insert(at);
            call.suspended += *suspended;
            call.last = Some(at);
            match record {
                Record::TrialMeasured(TrialResult { outcome, .. }) => {
                    let log = outcome.log();
                    let took = log.elapsed.saturating_add(log.evaluation);
                    call.runs.push((at.checked_sub(took).unwrap_or(at), at));
                    all.busy += took;
                }
                Record::Stopped { .. } => all.add(std::mem::take(&mut call)),
                _ => {}
            }
        }
        all.add(call);
        all
    }

    fn add(&mut self, call: Call) {
        let (Some(first), Some(last)) = (call.first, call.last) else { return };
        let workers = most_at_once(&call.runs).max(1);
        self.workers = self.workers.max(workers);
        let wall = last.duration_since(first).unwrap_or_default();
        self.available += wall.saturating_sub(call.suspended) * workers as u32;
    }

    fn share(&self) -> f64 {
        if self.available.is_zero() { 0.0 } else { self.busy.as_secs_f64() / self.available.as_secs_f64() }
    }
}

/// The records of one call of the command.
#[derive(Default)]
struct Call {
    first: Option<SystemTime>,
    last: Option<SystemTime>,
    suspended: Duration,
    runs: Vec<(SystemTime, SystemTime)>,
}

fn most_at_once(runs: &[(SystemTime, SystemTime)]) -> usize {
    // At the same moment ends come before beginnings.
    let ends = runs.iter().map(|(_, end)| (*end, -1));
    let mut changes: Vec<(SystemTime, i64)> = runs.iter().map(|(begin, _)| (*begin, 1)).chain(ends).collect();
    changes.sort_unstable();
    let levels = changes.into_iter().scan(0i64, |level, (_, change)| {
        *level += change;
        Some(*level)
    });
    levels.max().unwrap_or(0) as usize
}

/// Formats a line on the workers, and one on the candidates that were rebased, if there are any. Empty where nothing ran.
pub fn terminal(state: &State, entries: &[Entry]) -> String {
    let occupation = Occupation::of(entries);
    if occupation.busy.is_zero() {
        return String::new();
    }
    let Occupation { workers, .. } = occupation;
    let what = if workers == 1 { "1 worker".to_owned() } else { format!("up to {workers} workers at the same time") };
    format!("{what}, busy with trials {:.1} % of the time\n{}", 100.0 * occupation.share(), moves(state))
}

/// Formats the same as a section.
pub fn markdown(state: &State, entries: &[Entry]) -> String {
    let text = terminal(state, entries);
    if text.is_empty() {
        return text;
    }
    let lines: String = text.lines().map(|line| format!("- {line}.\n")).collect();
    format!("\n## Workers\n\n{lines}")
}

fn moves(state: &State) -> String {
    let count = |of: &dyn Fn(&Experiment) -> bool| {
        let found: Vec<&Experiment> = state.experiments.iter().filter(|experiment| of(experiment)).collect();
        (found.len(), found.iter().filter(|experiment| experiment.status == Status::Keep).count())
    };
    let measured = |experiment: &Experiment| experiment.rebased.iter().any(|at| !at.arm.measurements.is_empty());
    let (again, kept) = count(&measured);
    let (before, _) = count(&|experiment| !experiment.rebased.is_empty() && !measured(experiment));
    let (conflicts, conflicts_kept) = count(&|experiment| experiment.conflict.is_some());
    let mut parts = Vec::new();
    if again > 0 {
        parts.push(format!(
            "{again} found better, rebased onto a newer incumbent and measured again, {kept} of them kept"
        ));
    }
    if before > 0 {
        parts.push(format!("{before} rebased before they were measured"));
    }
    if conflicts > 0 {
        parts.push(format!("{conflicts} in conflict with what was kept meanwhile, {conflicts_kept} of them kept"));
    }
    let mut text = String::new();
    if !parts.is_empty() {
        let _ = writeln!(text, "candidates of older incumbents: {}", parts.join("; "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{measurement, records, replay, run_of, started, trial_started};
    use autoresearch_core::Side;
    use autoresearch_core::internal::journal::{Moment, VERSION};
    use autoresearch_core::{Candidate, ExperimentId, Outcome, Revision, RunLog, Score};

    /// Records with the second at which each was written.
    fn entries(records: Vec<(u64, Record)>) -> Vec<Entry> {
        let at = |second: u64| Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second));
        (0..)
            .zip(records)
            .map(|(seq, (second, record))| Entry { v: VERSION, seq, at: at(second), suspended: Duration::ZERO, record })
            .collect()
    }

    fn start(experiment: u32) -> Record {
        trial_started(experiment, 1)
    }

    fn measured(experiment: u32, seconds: u64) -> Record {
        let log = RunLog { elapsed: Duration::from_secs(seconds), ..RunLog::default() };
        let (outcome, result) = (Outcome::Completed(log), Ok(measurement(1.0)));
        Record::TrialMeasured(TrialResult::new(ExperimentId(experiment), 1, Side::Candidate, outcome, result))
    }

    fn stopped() -> Record {
        Record::Stopped { reason: "enough".into() }
    }

    #[test]
    fn pauses_between_calls_do_not_count() {
        // Two workers: 20 s of 2 x 20; a day; one worker, killed after 5 s; a day; the lost run again.
        let all = entries(vec![
            (0, started()),
            (0, start(0)),
            (0, start(1)),
            (10, measured(0, 10)),
            (20, measured(1, 20)),
            (20, stopped()),
            (90_000, start(2)),
            (90_005, start(3)),
            (180_000, Record::Resumed { attached: vec![] }),
            (180_000, start(2)),
            (180_010, measured(2, 10)),
            (180_010, stopped()),
            (200_000, Record::Audited { experiment: ExperimentId(0), seed: 1, score: Score::new(1.0).unwrap() }),
        ]);
        let seconds = Duration::from_secs;
        let found = Occupation::of(&all);
        assert_eq!(found, Occupation { workers: 2, busy: seconds(40), available: seconds(2 * 20 + 5 + 10) });
    }

    #[test]
    fn a_suspended_machine_had_no_time_for_workers() {
        let mut all = entries(vec![(0, started()), (0, start(0)), (3610, measured(0, 10)), (3610, stopped())]);
        all[2].suspended = Duration::from_secs(3600);
        let seconds = Duration::from_secs;
        assert_eq!(Occupation::of(&all), Occupation { workers: 1, busy: seconds(10), available: seconds(10) });
    }

    #[test]
    fn builds_ahead_are_no_workers() {
        // One worker runs while the next is built: starts overlap, trials do not.
        let all = entries(vec![
            (0, started()),
            (0, start(0)),
            (1, start(1)),
            (10, measured(0, 9)),
            (11, start(2)),
            (20, measured(1, 10)),
            (30, measured(2, 10)),
        ]);
        let found = Occupation::of(&all);
        assert_eq!((found.workers, found.busy.as_secs(), found.available.as_secs()), (1, 29, 30));
        let state = run_of(&[("baseline", Some(1.5))]);
        assert_eq!(terminal(&state, &all), "1 worker, busy with trials 96.7 % of the time\n");
        assert_eq!(markdown(&state, &[]), "");
    }

    #[test]
    fn rebased_candidates_are_counted() {
        let mut state = run_of(&[("baseline", Some(1.5)), ("a", Some(1.4)), ("b", Some(1.3)), ("c", Some(1.2))]);
        let all = entries(vec![(0, started()), (0, start(0)), (10, measured(0, 10))]);
        assert_eq!(moves(&state), "");
        let moved = |measured: bool| {
            let mut records = records(&[("baseline", Some(1.5)), ("a", Some(1.6))]);
            let decision = records.iter().rposition(|record| matches!(record, Record::Decided(_))).unwrap();
            let candidate = Candidate::new("moved");
            let at = if measured { decision } else { decision - 2 };
            let parent = Revision("abc0000".into());
            records.insert(
                at,
                Record::Rebased { experiment: ExperimentId(1), parent, candidate, in_merge_queue: measured },
            );
            replay(records).experiments.pop().unwrap()
        };
        state.experiments.push(moved(true));
        state.experiments.push(moved(false));
        state.experiments[1].conflict = Some("both".into());
        let text = markdown(&state, &all);
        assert!(
            text.ends_with(
                "- candidates of older incumbents: 1 found better, rebased onto a newer incumbent and measured again, 0 of them \
                 kept; 1 rebased before they were measured; 1 in conflict with what was kept meanwhile, 1 of them kept.\n"
            ),
            "{text}"
        );
    }
}
