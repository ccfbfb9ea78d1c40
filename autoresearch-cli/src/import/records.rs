//! The records of an imported run, in the order in which a run writes them. Nothing is judged anew.

use autoresearch_core::internal::Policy;
use autoresearch_core::internal::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use autoresearch_core::internal::text::{DESCRIPTION_LIMIT, one_line};
use autoresearch_core::{Candidate, ExperimentId, Measurement, Outcome, Revision, RunLog, Side, Status};

use super::decide::{Imported, Row};

/// The length to which a commit, or a decision in the table's own spelling, is cut, in characters.
const COMMIT: usize = 100;

/// The only entry in the policy of imported runs, by which the core knows them. Nothing is known of what decided their numbers,
/// so none can be resumed.
const POLICY: &str = "imported";

/// Makes the records of the run `tag`.
pub fn records(imported: &Imported, tag: &str) -> Vec<Record> {
    let mut header = RunHeader::new(tag, imported.metric.as_str(), imported.direction);
    header.policy = Policy::new().with(POLICY, true);
    let mut records = vec![Record::Started(header)];
    let mut incumbent: Option<Revision> = None;
    for (experiment, row) in (0..).map(ExperimentId).zip(&imported.rows) {
        let commit = one_line(&row.commit, COMMIT);
        let revision = Revision(if commit.is_empty() { "-".into() } else { commit });
        let reason = reason(row, imported.is_judged);
        records.push(staged(experiment, row, &revision, incumbent.clone()));
        records.push(Record::TrialStarted(TrialStart::new(experiment, 1, Side::Candidate)));
        let outcome = match row.status {
            Status::Crash => Outcome::Crashed { message: reason.clone(), log: RunLog::default() },
            Status::Keep | Status::Discard => Outcome::Completed(RunLog::default()),
        };
        let result = row.score.map(|score| {
            let mut measurement = Measurement::new(score);
            // Under the name from which the table of a run takes it.
            measurement.secondary.extend(
                row.memory_gb
                    .map(|gigabytes| gigabytes * 1024.0)
                    .filter(|megabytes| megabytes.is_finite())
                    .map(|megabytes| ("peak_vram_mb".to_owned(), megabytes)),
            );
            measurement
        });
        let result = result.ok_or_else(|| "the table has no number".into());
        records.push(Record::TrialMeasured(TrialResult::new(experiment, 1, Side::Candidate, outcome, result)));
        let kept_as = (row.status == Status::Keep).then_some(revision);
        let mut decision = Decision::new(experiment, row.status);
        (decision.reason, decision.kept_as) = (reason, kept_as.clone());
        records.push(Record::Decided(decision));
        if kept_as.is_some() {
            records.push(Record::Adopted { experiment });
            incumbent = kept_as;
        }
    }
    records.push(Record::Stopped { reason: "the imported table ends here".into() });
    records
}

fn staged(experiment: ExperimentId, row: &Row, revision: &Revision, parent: Option<Revision>) -> Record {
    // Two rows never count as the same code: the table does not say that they are.
    let fingerprint = format!("imported, row {experiment} of line {}", row.line);
    let candidate = Candidate { revision: revision.clone(), fingerprint, added_lines: 0 };
    let mut staged = StagedExperiment::new(experiment, parent, candidate);
    staged.description = one_line(&row.description, DESCRIPTION_LIMIT);
    Record::Staged(staged)
}

fn reason(row: &Row, is_judged: bool) -> String {
    match (one_line(&row.recorded, COMMIT).as_str(), is_judged) {
        ("", _) => "the table does not say what was kept: a keep is better than all before it".into(),
        (recorded, true) => format!("recorded as {recorded}; a keep is better than all before it"),
        (recorded, false) => format!("recorded as {recorded}"),
    }
}
