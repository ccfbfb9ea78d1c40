//! The side of the model: a program that answers the batches of an evaluation.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use tch::{Device, Kind, Tensor, no_grad};

use super::error::StrictError;
use super::memory::{Memory, Shape};

/// Names the model that is to be served.
pub(crate) const SERVE: &str = "AUTORESEARCH_SERVE";
/// Numbers of the descriptors of the shared memory, the requests and the replies.
pub(crate) const CHANNEL: &str = "AUTORESEARCH_SERVE_CHANNEL";
/// The reply of a server that has its model.
pub(crate) const READY: u8 = b'r';

/// The batches that an evaluation asks for.
#[derive(Debug)]
pub struct Requests {
    model: PathBuf,
    memory: Memory,
    requests: File,
    replies: File,
}

impl Requests {
    /// The requests of the evaluation that started this program; `None` if no evaluation did.
    ///
    /// # Errors
    ///
    /// The descriptors that it should have left are not there.
    pub fn asked() -> Result<Option<Requests>, StrictError> {
        let Some(model) = std::env::var_os(SERVE) else { return Ok(None) };
        let odd =
            || StrictError::server(format!("{CHANNEL} names no descriptors; the evaluation sets it, nobody else"));
        let numbers = std::env::var(CHANNEL).map_err(|_| odd())?;
        let files: Option<Vec<File>> = numbers.split(',').map(|number| inherited(number.parse().ok()?)).collect();
        let Some(Ok([memory, requests, replies])) = files.map(<[File; 3]>::try_from) else { return Err(odd()) };
        Ok(Some(Requests { model: model.into(), memory: Memory::open(&memory)?, requests, replies }))
    }

    /// The file with the weights.
    pub fn model(&self) -> &std::path::Path {
        &self.model
    }

    /// The sizes of its batches.
    pub fn shape(&self) -> Shape {
        self.memory.shape()
    }

    /// Answers all batches: `fill` gets tokens, row by row, and writes the logits of each position.
    ///
    /// # Errors
    ///
    /// Those of `fill`.
    pub fn answer(mut self, mut fill: impl FnMut(&[i64], &mut [f32]) -> Result<(), Box<dyn Error>>) -> Answered {
        let shape = self.shape();
        self.replies.write_all(&[READY])?;
        let mut slot = [0];
        while self.requests.read(&mut slot)? == 1 {
            let (tokens, logits) = (self.memory.tokens(slot[0].into()), self.memory.logits(slot[0].into()));
            // SAFETY: both are within the slot, and the evaluation touches neither before the reply.
            let (tokens, logits) = unsafe {
                let tokens = std::slice::from_raw_parts(tokens, shape.positions());
                (tokens, std::slice::from_raw_parts_mut(logits, shape.logits()))
            };
            fill(tokens, logits)?;
            self.replies.write_all(&slot)?;
        }
        Ok(())
    }

    /// Answers all batches with the logits of a model: rows x tokens in, rows x tokens x vocabulary out, without gradients.
    ///
    /// # Errors
    ///
    /// Logits of another shape.
    pub fn answer_with(self, device: Device, model: impl Fn(&Tensor) -> Tensor) -> Answered {
        let Shape { rows, seq_len, vocab_size } = self.shape();
        let [rows, seq_len, vocab_size] = [rows, seq_len, vocab_size].map(|size| size as i64);
        self.answer(|tokens, into| {
            let tokens = Tensor::from_slice(tokens).view([rows, seq_len]).to_device(device);
            let logits = no_grad(|| model(&tokens));
            if logits.size() != [rows, seq_len, vocab_size] {
                let why = format!("logits are of the shape {:?}, not {:?}", logits.size(), [rows, seq_len, vocab_size]);
                return Err(why.into());
            }
            let strides = [seq_len * vocab_size, vocab_size, 1];
            // SAFETY: the memory outlives the tensor, and has room for this shape.
            let mut shared = unsafe {
                let shape = [rows, seq_len, vocab_size];
                Tensor::from_blob(into.as_mut_ptr().cast(), &shape, &strides, Kind::Float, Device::Cpu)
            };
            Ok(shared.f_copy_(&logits)?)
        })
    }
}

/// The end of a server: the evaluation has asked for all that it wanted, or there was an error.
pub type Answered = Result<(), Box<dyn Error>>;

#[cfg(unix)]
fn inherited(number: i32) -> Option<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: the evaluation left it open for this program alone, and nothing else here uses it.
    (number > 2).then(|| unsafe { File::from_raw_fd(number) })
}

#[cfg(not(unix))]
fn inherited(_: i32) -> Option<File> {
    None
}
