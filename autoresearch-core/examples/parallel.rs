//! Measures the gain by workers, by work ahead and by the merge queue: the real lab with a real journal, and experiments that
//! only take time.
//!
//! ```sh
//! cargo run --release -p autoresearch-core --example parallel
//! ```
//!
//! The tape is a recorded run (126 rows, tests/data): each row is a change that moves the score by as much as it did there,
//! or crashes; effects add up. A run takes 300 s, a build 8 s, and a proposal 45 s; those of a wave are made side by side, as
//! agents and conversations are. All of it is scaled, so what the lab itself takes counts that much more.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoresearch_core::internal::{import, verify};
use autoresearch_core::*;
use serde::{Deserialize, Serialize};

type Failure = Box<dyn Error + Send + Sync>;

/// Seconds.
const RUN: f64 = 300.0;
const BUILD: f64 = 8.0;
const PROPOSAL: f64 = 45.0;
/// The recorded run discarded a gain of 0.000028 as flat, and kept one of 0.000031.
const WORTH_IT: f64 = 0.00003;
const TABLE: &str = include_str!("../tests/data/h100-mar8.tsv");
/// Sums of the same effects in another order differ by less.
const ROUNDING: f64 = 1e-9;

/// One row of the tape.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Row {
    number: usize,
    /// By how much it moves the score; `None` if it crashes.
    effect: Option<f64>,
}

/// The recorded run as changes, and the score of its baseline.
fn tape() -> Result<(f64, Vec<Row>), Failure> {
    let rows = import::parse(TABLE, None).rows;
    let mut best = rows.first().and_then(|row| row.score).ok_or("the tape has no baseline")?.get();
    let baseline = best;
    let mut tape = Vec::new();
    for (number, row) in rows.iter().enumerate().skip(1) {
        tape.push(Row { number, effect: row.score.map(|score| score.get() - best) });
        if let (Status::Keep, Some(score)) = (row.status, row.score) {
            best = score.get();
        }
    }
    Ok((baseline, tape))
}

/// A machine whose experiments take time and nothing else.
struct Clockwork {
    /// One real second is so many.
    scale: f64,
    tape: Vec<Row>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The score of each candidate, by name; `None` if it crashes.
    scores: HashMap<String, Option<f64>>,
    built: HashMap<u32, String>,
    /// When an accelerator worked, in real time.
    runs: Vec<(Instant, Instant)>,
    running: HashMap<Option<u32>, u32>,
}

impl Clockwork {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64(seconds / self.scale)).await;
    }

    fn candidate(&self, name: String, score: Option<f64>) -> Candidate {
        self.inner().scores.insert(name.clone(), score);
        Candidate::new(name)
    }

    async fn build_in(&self, slot: u32, candidate: &Candidate) {
        if self.inner().built.get(&slot) != Some(&candidate.revision.0) {
            self.take(BUILD).await;
            self.inner().built.insert(slot, candidate.revision.0.clone());
        }
    }
}

#[async_trait]
impl Sandbox<Row> for Clockwork {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let score = self.inner().scores.get("base").copied().flatten();
        Ok(self.candidate("base".into(), score))
    }

    async fn stage(&self, _: ExperimentId, parent: &Revision, row: &Row, _: &str) -> Result<Candidate, StageError> {
        let before = self.inner().scores.get(&parent.0).copied().flatten();
        let score = before.zip(row.effect).map(|(before, effect)| before + effect);
        Ok(self.candidate(format!("{parent}+{}", row.number), score))
    }

    async fn build(&self, candidate: &Candidate, trial: &Trial, _: &Cancel) -> Result<Option<Outcome>, SandboxError> {
        self.build_in(trial.slot, candidate).await;
        Ok(None)
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        self.build_in(trial.slot, candidate).await;
        let began = Instant::now();
        let others = *self.inner().running.entry(trial.worker).and_modify(|count| *count += 1).or_insert(1);
        if others > 1 {
            return Err(SandboxError::Other(format!("worker {:?} has two runs at once", trial.worker)));
        }
        self.take(RUN).await;
        let mut inner = self.inner();
        inner.running.insert(trial.worker, 0);
        inner.runs.push((began, Instant::now()));
        let score = inner.scores.get(&candidate.revision.0).copied().flatten();
        let log = RunLog {
            elapsed: Duration::from_secs_f64(RUN / self.scale),
            build: Duration::from_secs_f64(BUILD / self.scale),
            ..RunLog::saying(format!("score: {}\n", score.unwrap_or(f64::NAN)))
        };
        Ok(match score {
            Some(_) => Outcome::Completed(log),
            None => Outcome::Crashed { message: "it crashed".into(), log },
        })
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Proposes the tape.
struct Tape(Arc<Clockwork>);

#[async_trait]
impl Proposer<Row> for Tape {
    async fn propose(&mut self, context: &Context<'_, Row>) -> Result<Proposal<Row>, ProposerError> {
        let mut wave = self.propose_wave(context, 1).await?;
        Ok(wave.pop().ok_or_else(|| ProposerError::Exhausted("the tape ends".into()))??)
    }

    async fn propose_wave(&mut self, context: &Context<'_, Row>, most: usize) -> Result<Wave<Row>, ProposerError> {
        let rows: Vec<Row> = self.0.tape.iter().skip(context.proposals()).take(most).copied().collect();
        if rows.is_empty() {
            return Err(ProposerError::Exhausted("the tape ends".into()));
        }
        self.0.take(PROPOSAL).await;
        Ok(rows.into_iter().map(|row| Ok(Proposal::new(row, format!("row {}", row.number)))).collect())
    }
}

/// When each decision fell, and the best score then.
#[derive(Default)]
struct Staircase(Mutex<Vec<(Instant, f64)>>);

impl Observer for Staircase {
    fn on_event(&self, event: &Event<'_>) {
        if let (Event::Decided { state, .. }, Ok(mut steps)) = (event, self.0.lock())
            && let Some(best) = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean())
        {
            steps.push((Instant::now(), best.get()));
        }
    }
}

/// Result of a search, in the tape's seconds.
struct SearchResult {
    busy: f64,
    seconds: f64,
    runs: usize,
    /// When its last best score was reached.
    best: f64,
    best_after: f64,
    keeps: usize,
    rebased: usize,
    state: State,
}

async fn search(workers: Workers, rows: usize, scale: f64) -> Result<SearchResult, Failure> {
    let (baseline, mut tape) = tape()?;
    tape.truncate(rows);
    let count = workers.classes.len();
    let machine = Arc::new(Clockwork { scale, tape, inner: Mutex::default() });
    machine.inner().scores.insert("base".into(), Some(baseline));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let staircase = Arc::new(Staircase::default());
    let mut lab = Lab::builder(
        machine.clone(),
        Box::new(Tape(machine.clone())),
        Arc::new(LogMetric::new("score", Direction::Minimise)),
    )
    .ratchet(Arc::new(MinGain::new(WORTH_IT)?))
    .program(Program::parse("Lower the score.")?)
    .tag("parallel")
    .budget(Duration::from_secs(3600))
    .workers(workers)
    .observer(staircase.clone())
    .journal(&path)
    .build()?;
    let began = Instant::now();
    lab.run(&Cancel::new()).await?;
    let ended = Instant::now();
    let state = lab.state().clone();
    drop(lab);
    let entries = Journal::read(&path)?;
    let violations = verify::journal(&entries);
    if State::replay(&entries)? != state || !violations.is_empty() {
        return Err(format!("the journal does not say what the lab says: {violations:?}").into());
    }
    let seconds = |time: Duration| time.as_secs_f64() * scale;
    let runs = machine.inner().runs.clone();
    let worked: Duration = runs.iter().map(|(from, to)| *to - *from).sum();
    let steps = staircase.0.lock().map_err(|_| "poisoned")?.clone();
    let best = steps.last().ok_or("no decision")?.1;
    let reached = steps.iter().find(|(_, score)| *score <= best + ROUNDING).ok_or("never reached")?.0;
    Ok(SearchResult {
        busy: worked.as_secs_f64() / ((ended - began).as_secs_f64() * count as f64),
        seconds: seconds(ended - began),
        runs: runs.len(),
        best,
        best_after: seconds(reached - began),
        keeps: state.experiments.iter().skip(1).filter(|experiment| experiment.status == Status::Keep).count(),
        rebased: state.experiments.iter().map(|experiment| experiment.rebased.len()).sum(),
        state,
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (mut rows, mut scale) = (126, 200.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("usage: parallel [--rows N] [--scale X]")?;
        match argument.as_str() {
            "--rows" => rows = value.parse()?,
            "--scale" => scale = value.parse()?,
            other => return Err(format!("{other} is no option; there are --rows and --scale").into()),
        }
    }
    println!("{} rows of the tape; 1 s stands for {scale} s", rows.min(125));
    println!(
        "| workers | busy | seconds | runs | kept | rebased | best | reached after |\n|---|---|---|---|---|---|---|---|"
    );
    // They only sleep, so they need not wait for each other.
    let searches =
        [("sequential", Workers::default()), ("1", Workers::new(1)), ("4", Workers::new(4)), ("16", Workers::new(16))];
    let tasks: Vec<_> =
        searches.into_iter().map(|(name, workers)| (name, tokio::spawn(search(workers, rows, scale)))).collect();
    let mut results = Vec::new();
    for (name, task) in tasks {
        let result = task.await??;
        println!(
            "| {name} | {:.1} % | {:.0} | {} | {} | {} | {:.6} | {:.0} |",
            100.0 * result.busy,
            result.seconds,
            result.runs,
            result.keeps,
            result.rebased,
            result.best,
            result.best_after
        );
        results.push((name, result));
    }
    let best = results[0].1.best;
    for (name, result) in &results {
        let reached = result.best <= best + ROUNDING;
        let sooner = if reached { results[0].1.best_after / result.best_after } else { 0.0 };
        println!(
            "evidence parallel workers {name} busy {:.4} sooner {sooner:.2} keeps {} unmeasured_links {}",
            result.busy,
            result.keeps,
            unmeasured_links(&result.state)
        );
    }
    Ok(())
}

/// Number of keeps whose score was not measured on the state that the lineage has before them.
fn unmeasured_links(state: &State) -> usize {
    let kept: Vec<&Experiment> = state.experiments.iter().filter(|e| e.status == Status::Keep).collect();
    let wrong = kept.windows(2).filter(|pair| {
        let parent = pair[1].parent.as_ref();
        let follows = parent == Some(pair[0].revision()) || parent == Some(&pair[0].candidate.revision);
        !follows || pair[1].arm.measurements.is_empty()
    });
    wrong.count()
}
