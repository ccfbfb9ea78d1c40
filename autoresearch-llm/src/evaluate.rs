//! val_bpb, the number that everything is judged by: bits per byte on the validation split.

use tch::{Device, Kind, Tensor, no_grad};
use thiserror::Error;

use crate::batch::Batches;
use crate::error::DataError;
use crate::workload::{Split, Workload};

/// Why a model has no val_bpb.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The batch is larger than the tokens to be evaluated.
    #[error(
        "a batch of {batch} rows of {seq_len} tokens is more than the {tokens} tokens of the evaluation; use smaller batches"
    )]
    BatchTooLarge {
        /// Rows.
        batch: usize,
        /// Tokens of a row.
        seq_len: usize,
        /// Tokens of the evaluation.
        tokens: usize,
    },
    /// The loss is NaN or infinite.
    #[error("val_bpb is {0}, which is not a finite number")]
    NotFinite(f64),
}

/// The sums that val_bpb is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BitsPerByte {
    /// Cross-entropy in nats, over tokens that stand for bytes.
    pub nats: f64,
    /// Bytes that those tokens stand for.
    pub bytes: f64,
}

impl BitsPerByte {
    /// Adds a batch: `losses` in nats and `targets`, both of any shape with the same number of elements, and the bytes of
    /// every token, of the shape vocabulary. Tokens without bytes (special ones) count in neither sum.
    pub fn add(&mut self, losses: &Tensor, targets: &Tensor, token_bytes: &Tensor) {
        let bytes = token_bytes.index_select(0, &targets.flatten(0, -1));
        let counted = losses.flatten(0, -1).to_kind(Kind::Double) * bytes.gt(0).to_kind(Kind::Double);
        self.nats += counted.sum(Kind::Double).double_value(&[]);
        self.bytes += bytes.sum(Kind::Double).double_value(&[]);
    }

    /// Nats per byte, in bits.
    pub fn value(&self) -> f64 {
        self.nats / (std::f64::consts::LN_2 * self.bytes)
    }
}

/// The rows of a pass of the evaluation: as many as in training, as long as there are as many to be evaluated.
///
/// # Errors
///
/// The evaluation has not even one row.
pub fn rows(workload: &Workload, device_batch_size: i64) -> Result<usize, DataError> {
    let (tokens, seq_len) = (workload.fixed.eval_tokens, workload.fixed.max_seq_len);
    match tokens / seq_len.max(1) {
        0 => Err(DataError::Setting(format!(
            "the evaluation has {tokens} tokens, fewer than a row of {seq_len}; prepare the data with more"
        ))),
        most => Ok(most.min(usize::try_from(device_batch_size).unwrap_or(1)).max(1)),
    }
}

/// Measures val_bpb as karpathy's `evaluate_bpb`: the first `eval_tokens` tokens of the validation split in rows of
/// `max_seq_len`, `batch` rows at a time. `losses` gives the cross-entropy in nats of every target, given inputs and
/// targets of the shape batch x sequence. It is called without gradients.
///
/// The rows depend on the workload alone; how many of them make a batch changes the number only by the rows that a last,
/// incomplete batch would hold.
pub fn evaluate_bpb(
    workload: &Workload,
    batch: usize,
    device: Device,
    losses: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Result<f64, EvalError> {
    let (tokens, seq_len) = (workload.fixed.eval_tokens, workload.fixed.max_seq_len);
    let steps = tokens / (batch * seq_len).max(1);
    if steps == 0 {
        return Err(EvalError::BatchTooLarge { batch, seq_len, tokens });
    }
    let token_bytes = Tensor::from_slice(&workload.token_bytes()?).to_device(device);
    let batches = Batches::new(workload.loader(Split::Val, batch, seq_len)?, device)?;
    let mut sums = BitsPerByte::default();
    for _ in 0..steps {
        let (inputs, targets, _) = batches.next()?;
        no_grad(|| sums.add(&losses(&inputs, &targets), &targets, &token_bytes));
    }
    let value = sums.value();
    if value.is_finite() { Ok(value) } else { Err(EvalError::NotFinite(value)) }
}
