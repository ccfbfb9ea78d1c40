//! The evaluation: one server is measured, and another process of it is asked the questions that it must answer the same.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::StrictError;
use super::leave::{MODEL, SERVER};
use super::memory::{SLOTS, Shape};
use super::sequences::{self, Probe, Random, Sequence};
use super::server::Server;
use crate::evaluate::BitsPerByte;
use crate::tokenizer::Tokenizer;
use crate::workload::Workload;

/// The settings of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The folder with the files that the run left.
    pub inputs: PathBuf,
    /// Sequences of a batch.
    pub rows: usize,
    /// Number of sequences that are asked about again.
    pub probes: usize,
    /// Largest difference between two answers that must be the same, in nats of a token.
    pub tolerance: f64,
    /// Time until a server must have its weights, and until it must have answered a batch.
    pub limit: Duration,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Bits per byte on the validation split.
    pub val_bpb: f64,
    /// Tokens that it was measured on.
    pub tokens: usize,
    /// Sequences that were asked about again.
    pub probes: usize,
    /// Largest difference of an answer to a probe, in nats of a token.
    pub difference: f64,
    /// Time until the first server had its weights and had answered a batch.
    pub start: Duration,
    /// Time that measuring took.
    pub measuring: Duration,
    /// Time that the probes took, the start of their server included.
    pub probing: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { val_bpb, tokens, probes, difference, start, measuring, probing } = self;
        let [start, measuring, probing] = [start, measuring, probing].map(Duration::as_secs_f64);
        writeln!(
            f,
            "val_bpb: {val_bpb:.6} over {tokens} tokens; {probes} probes differ by {difference:.1e} nats at most"
        )?;
        writeln!(f, "start: {start:.2} s, measuring: {measuring:.2} s, probes: {probing:.2} s")
    }
}

/// Measures val_bpb of the model that a run left, on the rows that [`evaluate_bpb`](crate::evaluate::evaluate_bpb) measures it on.
///
/// # Errors
///
/// The server fails, its answers are no finite numbers, or they depend on later tokens or on other sequences.
pub fn evaluate(workload: &Workload, settings: &Settings) -> Result<Report, StrictError> {
    let began = Instant::now();
    let sequences = sequences::read(workload)?;
    // Of the tokenizer itself: no table of lengths beside it is believed.
    let token_bytes = Tokenizer::load(&workload.folder().join("tokenizer.json"))?.token_bytes()?;
    let (vocab_size, seq_len) = (workload.fixed.vocab_size, workload.fixed.max_seq_len);
    if token_bytes.len() != vocab_size {
        let why = format!(
            "the tokenizer has {} tokens, and the workload {vocab_size}; run `prepare` again",
            token_bytes.len()
        );
        return Err(StrictError::Machine(why));
    }
    let mut random = Random::new()?;
    let probes = sequences::probes(&sequences, settings.probes, vocab_size, &mut random);
    let shape = Shape { rows: settings.rows.clamp(1, sequences.len()), seq_len, vocab_size };
    let start = || Server::start(&settings.inputs.join(SERVER), &settings.inputs.join(MODEL), shape, settings.limit);

    let mut server = start()?;
    let started = began.elapsed();
    let order = random.order(sequences.len());
    let questions: Vec<Question> = order.iter().map(|at| Question::from(&sequences[*at])).collect();
    let mut sums = vec![BitsPerByte::default(); sequences.len()];
    let mut probed: Vec<Vec<f64>> = vec![Vec::new(); sequences.len()];
    probes.iter().for_each(|probe| probed[probe.of].reserve_exact(seq_len));
    ask(&mut server, &questions, |at, nats| {
        let of = order[at];
        sums[of] = bits(nats, &sequences[of].targets, &token_bytes);
        if probed[of].capacity() > 0 {
            probed[of].extend_from_slice(nats);
        }
    })?;
    // Nothing of this process must be there when the next one is asked.
    drop(server);
    let measured = began.elapsed();

    let mut worst = Worst::default();
    if !probes.is_empty() {
        let mut server = start()?;
        let questions: Vec<Question> = probes
            .iter()
            .map(|probe| Question { inputs: &probe.inputs, targets: &sequences[probe.of].targets })
            .collect();
        ask(&mut server, &questions, |at, nats| worst.compare(&probes[at], &probed[probes[at].of], nats))?;
    }
    worst.judge(settings.tolerance, seq_len)?;
    let mut all = BitsPerByte::default();
    for sum in sums {
        (all.nats, all.bytes) = (all.nats + sum.nats, all.bytes + sum.bytes);
    }
    let val_bpb = all.value();
    if !val_bpb.is_finite() {
        return Err(StrictError::server(format!("val_bpb is {val_bpb}, which is not a finite number")));
    }
    Ok(Report {
        val_bpb,
        tokens: sequences.len() * seq_len,
        probes: probes.len(),
        difference: worst.future.0.max(worst.state.0),
        start: started,
        measuring: measured.saturating_sub(started),
        probing: began.elapsed().saturating_sub(measured),
    })
}

/// A sequence that a server is asked about, and the targets whose nats are wanted.
struct Question<'a> {
    inputs: &'a [u16],
    targets: &'a [u16],
}

impl<'a> From<&'a Sequence> for Question<'a> {
    fn from(sequence: &'a Sequence) -> Question<'a> {
        Question { inputs: &sequence.inputs, targets: &sequence.targets }
    }
}

/// Asks about all questions in their order, a batch ahead of the one that is read.
fn ask(
    server: &mut Server,
    questions: &[Question<'_>],
    mut answer: impl FnMut(usize, &[f64]),
) -> Result<(), StrictError> {
    let Shape { rows, seq_len, .. } = server.shape();
    let count = questions.len().div_ceil(rows);
    // The last batch is filled with questions that were asked before.
    let batch = |number: usize| (0..rows).map(move |row| &questions[(number * rows + row) % questions.len()]);
    let mut tokens = Vec::with_capacity(rows * seq_len);
    for number in 0..count + 1 {
        if number < count {
            tokens.clear();
            batch(number).for_each(|question| tokens.extend_from_slice(question.inputs));
            server.send(number % SLOTS, &tokens)?;
        }
        let Some(last) = number.checked_sub(1) else { continue };
        let targets: Vec<u16> = batch(last).flat_map(|question| question.targets.iter().copied()).collect();
        let nats = server.receive(last % SLOTS)?.nats(&targets)?;
        for (row, nats) in nats.chunks_exact(seq_len).enumerate().take(questions.len() - last * rows) {
            answer(last * rows + row, nats);
        }
    }
    Ok(())
}

fn bits(nats: &[f64], targets: &[u16], token_bytes: &[i32]) -> BitsPerByte {
    let mut sum = BitsPerByte::default();
    for (nats, target) in nats.iter().zip(targets) {
        let bytes = token_bytes.get(usize::from(*target)).copied().unwrap_or_default();
        if bytes > 0 {
            (sum.nats, sum.bytes) = (sum.nats + nats, sum.bytes + f64::from(bytes));
        }
    }
    sum
}

/// The largest differences between answers that must be the same, each with the number of tokens that were.
#[derive(Debug, Default)]
struct Worst {
    future: (f64, usize),
    state: (f64, usize),
}

impl Worst {
    fn compare(&mut self, probe: &Probe, first: &[f64], again: &[f64]) {
        // The target of the last token that is kept is the first that is another.
        let differences = first.iter().zip(again).take(probe.kept).map(|(first, again)| (first - again).abs());
        let largest = differences.fold(0.0, f64::max);
        let worst = if probe.kept == probe.inputs.len() { &mut self.state } else { &mut self.future };
        if largest >= worst.0 {
            *worst = (largest, probe.kept);
        }
    }

    fn judge(&self, tolerance: f64, seq_len: usize) -> Result<(), StrictError> {
        if self.state.0 > tolerance {
            return Err(StrictError::Probe(format!(
                "the model's answers for the same {seq_len} tokens differ by {:.2e} nats with what it was asked before and beside \
                 them, and may by {tolerance:e}; let the logits of a row depend on that row alone",
                self.state.0
            )));
        }
        let (largest, kept) = self.future;
        match largest > tolerance {
            true => Err(StrictError::Probe(format!(
                "the model's answers for {kept} tokens differ by {largest:.2e} nats with the tokens that follow them, and may by \
                 {tolerance:e}; let the logits of a position depend on that token and earlier ones alone"
            ))),
            false => Ok(()),
        }
    }
}
