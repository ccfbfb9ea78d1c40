//! A sandbox over files in memory, and the loop around it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::journal;
use autoresearch_core::internal::journal::Entry;
use autoresearch_core::*;

/// Score of a file's text, or the message of its crash.
pub type Measure = fn(&str) -> Result<f64, String>;

/// States are texts of `train.rs`; the same text is the same state.
pub struct Files {
    measure: Measure,
    states: Mutex<Vec<String>>,
}

impl Files {
    pub fn new(source: &str, measure: Measure) -> Files {
        Files { measure, states: Mutex::new(vec![source.to_owned()]) }
    }

    fn text(&self, revision: &Revision) -> String {
        self.states.lock().unwrap()[revision.0.parse::<usize>().unwrap()].clone()
    }
}

#[async_trait]
impl Sandbox for Files {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("0"))
    }

    async fn stage(
        &self,
        _: ExperimentId,
        parent: &Revision,
        change: &Patch,
        _: &str,
    ) -> Result<Candidate, StageError> {
        let files = change.applied_to(&self.files(parent).await?, &EditablePaths::new(["train.rs"]));
        let text = files.map_err(|e| StageError::Rejected(e.to_string()))?["train.rs"].clone();
        let mut states = self.states.lock().unwrap();
        let at = states.iter().position(|state| *state == text).unwrap_or(states.len());
        if at == states.len() {
            states.push(text);
        }
        Ok(Candidate::new(at.to_string()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        Ok(match (self.measure)(&self.text(&candidate.revision)) {
            Ok(score) => Outcome::Completed(RunLog::saying(format!("score: {score}\n"))),
            Err(message) => Outcome::Crashed { log: RunLog::saying(format!("panicked: {message}\n")), message },
        })
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok([("train.rs".to_owned(), self.text(revision))].into())
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Runs at most `experiments` experiments: returns the reason for the end, the journal's entries and the state.
pub async fn run_lab(
    source: &str,
    measure: Measure,
    proposer: impl Proposer + 'static,
    experiments: usize,
) -> (StopReason, Vec<Entry>, State) {
    let memory = Memory::default();
    let journal = Journal::over(Box::new(memory.clone()), "memory".as_ref()).unwrap();
    let mut lab = lab_over(source, measure, proposer, experiments, Workers::default(), journal);
    let reason = lab.run(&Cancel::new()).await.unwrap();
    let entries = Journal::over(Box::new(memory), "memory".as_ref()).unwrap().entries().to_vec();
    (reason, entries, lab.state().clone())
}

/// Runs a lab with several workers, whose proposals are made ahead.
pub async fn run_parallel_lab(
    source: &str,
    measure: Measure,
    proposer: impl Proposer + 'static,
    experiments: usize,
    workers: usize,
) -> (StopReason, State) {
    let journal = Journal::in_memory();
    let mut lab = lab_over(source, measure, proposer, experiments, Workers::new(workers), journal);
    let reason = lab.run(&Cancel::new()).await.unwrap();
    (reason, lab.state().clone())
}

/// Returns a lab for such a run that has not started.
pub fn lab(source: &str, measure: Measure, proposer: impl Proposer + 'static, experiments: usize) -> Lab<Patch> {
    lab_over(source, measure, proposer, experiments, Workers::default(), Journal::in_memory())
}

fn lab_over(
    source: &str,
    measure: Measure,
    proposer: impl Proposer + 'static,
    experiments: usize,
    workers: Workers,
    journal: Journal,
) -> Lab<Patch> {
    let mut settings = Settings::new("run", Duration::from_secs(1));
    settings.stop = Stop::after(experiments);
    settings.workers = workers;
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower it.").unwrap();
    let sandbox = Arc::new(Files::new(source, measure));
    Lab::builder(sandbox, Box::new(proposer), metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap()
}

/// Medium of a journal in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl journal::Medium for Memory {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        self.0.lock().unwrap().truncate(length as usize);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The value of a constant in a source.
pub fn constant(source: &str, name: &str) -> f64 {
    // Thousands of trials ask for them, and need but one line.
    let line = source.lines().find(|line| line.starts_with("const ") && line.contains(&format!(" {name}: ")));
    let all = autoresearch_agents::Constant::all("train.rs", line.unwrap_or(source));
    let constant = all.iter().find(|c| c.name == name).unwrap();
    constant.value.replace('_', "").parse().unwrap()
}

/// A trainer: what its constants lead to is in [`trained`].
pub const TRAINER: &str = "//! A trainer.
const MATRIX_LR: f64 = 0.04; // knob: log 0.002..0.5
const EMBED_LR: f64 = 0.6; // knob: log 0.02..5
const WEIGHT_DECAY: f64 = 0.2; // knob: lin 0..0.8
const WARMDOWN: f64 = 0.3; // knob: lin 0..1
const DEPTH: i64 = 8; // knob: int 2..20
const WIDTH: i64 = 512; // knob: {128, 256, 384, 512, 768, 1024}
const BATCH: i64 = 262_144; // knob: {32_768, 65_536, 131_072, 262_144, 524_288}
const WINDOW: &str = \"L\"; // knob: {\"L\", \"SL\", \"SSL\", \"SSSL\"}
";

/// A smooth number without noise, shaped like a training run of fixed length: a larger model sees fewer tokens (the loss of
/// Hoffmann et al. 2022 in its two terms), a larger batch takes fewer steps and bears a higher rate, a wider model a lower
/// one, a longer warm-down bears a higher one, and more decay goes with a higher rate.
pub fn trained(source: &str) -> Result<f64, String> {
    let get = |name| constant(source, name);
    let (depth, width, batch) = (get("DEPTH"), get("WIDTH"), get("BATCH"));
    let parameters = 12.0 * depth * width * width;
    let line = source.lines().find(|line| line.starts_with("const WINDOW"));
    let all = autoresearch_agents::Constant::all("train.rs", line.unwrap_or_default());
    let window = all.iter().find(|c| c.name == "WINDOW").map_or(0, |c| c.value.len() - 3);
    let speed = 1.0 + 0.08 * window as f64;
    let tokens = 1.5e16 * speed / (6.0 * parameters) * (batch / (batch + 60_000.0));
    let steps = tokens / batch;
    let capacity =
        0.03 * (2.5e7 / parameters).powf(0.5) + 0.04 * (1e8 / tokens).powf(0.5) + 0.004 * (window as f64 - 1.5).powi(2);
    let shape = 0.015 * (width / depth / 64.0).ln().powi(2);
    let rate = get("MATRIX_LR").ln() - (0.05 * (batch / 2e5).sqrt() * (512.0 / width) * (0.7 + get("WARMDOWN"))).ln();
    let embedding = get("EMBED_LR").ln() - (0.5 * (batch / 2e5).sqrt()).ln();
    let decay = get("WEIGHT_DECAY") - 0.15 - 2.0 * get("MATRIX_LR").min(0.1);
    Ok(0.9
        + capacity
        + shape
        + 0.02 * rate.powi(2)
        + 0.008 * embedding.powi(2)
        + 0.1 * decay.powi(2)
        + 0.03 * (get("WARMDOWN") - 0.6).powi(2)
        + 0.02 * (800.0 / steps).min(4.0))
}
