//! `results.tsv`: the experiments in karpathy's five columns. It is a view of the journal and can always be made anew.
//! So are the list of decisions that strict improvement would not have made, and the summary of screening.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::failpoint;
use crate::metric::{Measurement, Score, significant};
use crate::ratchet::{Arm, Comparison, Evidence, Ratchet, Strict, Verdict};
use crate::sandbox::SandboxError;
use crate::state::{Experiment, State, Status};

mod screening;

pub use screening::{Agreement, Screened, screened};

/// The table's text: `commit`, the metric, `memory_gb`, `status`, `description`. A crash has 0.000000 and 0.0.
pub fn table(state: &State) -> String {
    let metric = state.header.as_ref().map_or("score", |header| header.metric.as_str());
    let mut text = format!("commit\t{metric}\tmemory_gb\tstatus\tdescription\n");
    for experiment in &state.experiments {
        let (score, memory) = match (experiment.status, experiment.score()) {
            (Status::Keep | Status::Discard, Some(score)) => (score.get(), memory_gb(experiment)),
            _ => (0.0, 0.0),
        };
        let description = match experiment.failed_guard() {
            true => format!("{}; {}", experiment.description, experiment.reason),
            false => experiment.description.clone(),
        };
        let description = description.replace(['\t', '\n', '\r'], " ");
        let commit = experiment.revision().short();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{commit}\t{}\t{memory:.1}\t{}\t{description}", significant(score), experiment.status);
    }
    text
}

/// Returns the peak memory of an experiment's trial in GiB: of its accelerator if the trial prints it, else the peak resident
/// memory.
pub fn memory_gb(experiment: &Experiment) -> f64 {
    let said = experiment.arm.measurements.iter().filter_map(|m| m.secondary.get("peak_vram_mb")).next_back();
    let seen = experiment.outcome.as_ref().and_then(|outcome| outcome.log().peak_memory);
    match (said, seen) {
        (Some(megabytes), _) if *megabytes > 0.0 => megabytes / 1024.0,
        (_, Some(bytes)) => bytes as f64 / f64::from(1u32 << 30),
        _ => 0.0,
    }
}

/// A decision that [`Strict`] would not have made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Deviation<'a> {
    /// The decided experiment.
    pub experiment: &'a Experiment,
    /// The verdict of strict improvement, in one line.
    pub strict: String,
}

/// The keeps that are not strictly better than what they replaced, and the discards that are: by another rule, by a
/// person's judgement, or by mistake. A crash has nothing to judge. A run under another rule than strict improvement is not
/// held against it.
pub fn deviations(state: &State) -> Vec<Deviation<'_>> {
    let Some(header) = state.header.as_ref().filter(|header| header.rule.comparison == Comparison::Means) else {
        return Vec::new();
    };
    let arm = |score: Score| Arm { measurements: vec![Measurement::new(score)] };
    let deviation = |experiment: &'_ Experiment| {
        let incumbent = experiment.before.map_or(Arm::default(), arm);
        let candidate = experiment.arm.clone();
        let evidence = Evidence::new(incumbent, candidate, header.direction, experiment.candidate.added_lines);
        match (experiment.status, Strict.judge(&evidence)) {
            (Status::Keep, Verdict::Discard(strict)) | (Status::Discard, Verdict::Keep(strict)) => Some(strict),
            _ => None,
        }
    };
    let judged = state.experiments.iter().map(|experiment| (experiment, deviation(experiment)));
    judged.filter_map(|(experiment, strict)| Some(Deviation { experiment, strict: strict? })).collect()
}

/// Writes the table so that a reader sees either the old file or the new one, whole.
pub fn write(path: &Path, state: &State) -> Result<(), SandboxError> {
    write_atomically(path, table(state).as_bytes())
}

/// Writes a file through a temporary one beside it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), SandboxError> {
    let failed = |e| SandboxError::io(format!("writing {}", path.display()), e);
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary).map_err(failed)?;
    failpoint::point("results: new file made");
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    failpoint::point("results: new file written");
    std::fs::rename(&temporary, path).map_err(failed)?;
    failpoint::point("results: new file in place");
    Ok(())
}
