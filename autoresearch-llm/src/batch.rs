//! Batches as tensors on the device, packed ahead while it computes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::error::DataError;
use crate::failure::ok;
use crate::loader::{Loader, Prefetch};
use crate::ops::memory;

/// Number of batches prepared ahead.
const AHEAD: usize = 4;

/// Divides a step of `total_batch_size` tokens for one device: the rows of a pass, each of `seq_len` tokens, and the
/// passes whose gradients are added up. `device_batch_size` rows are the most that memory has room for, so a smaller step
/// needs no second edit.
///
/// ```
/// # use autoresearch_llm::batch::passes;
/// assert_eq!(passes(524288, 128, 2048)?, (128, 2));
/// assert_eq!(passes(4096, 128, 256)?, (16, 1));
/// # Ok::<(), autoresearch_llm::DataError>(())
/// ```
///
/// # Errors
///
/// Not even one row, or passes that do not divide the step.
pub fn passes(total_batch_size: i64, device_batch_size: i64, seq_len: i64) -> Result<(i64, i64), DataError> {
    let invalid = |why: String| Err(DataError::Setting(why));
    if device_batch_size < 1 || seq_len < 1 {
        return invalid(format!("DEVICE_BATCH_SIZE is {device_batch_size}: a pass has at least one row"));
    }
    let rows = device_batch_size.min(total_batch_size / seq_len);
    if rows < 1 {
        return invalid(format!("TOTAL_BATCH_SIZE {total_batch_size} is less than one row of {seq_len} tokens"));
    }
    match total_batch_size % (rows * seq_len) {
        0 => Ok((rows, total_batch_size / (rows * seq_len))),
        _ => invalid(format!(
            "TOTAL_BATCH_SIZE {total_batch_size} is no multiple of DEVICE_BATCH_SIZE {rows} x {seq_len} tokens"
        )),
    }
}

/// Batches of a loader, on a device.
#[derive(Debug)]
pub struct Batches {
    prefetch: Prefetch,
    shape: [i64; 2],
    device: Device,
    waited: Cell<Duration>,
}

impl Batches {
    /// Begins to pack.
    pub fn new(loader: Loader, device: Device) -> Result<Batches, DataError> {
        let (batch, seq_len) = loader.shape();
        let prefetch = Prefetch::new(loader, AHEAD)?;
        Ok(Batches { prefetch, shape: [batch as i64, seq_len as i64], device, waited: Cell::default() })
    }

    /// Inputs and targets, 64-bit integers of the shape batch x sequence, and the epoch.
    pub fn next(&self) -> Result<(Tensor, Tensor, u32), DataError> {
        let began = Instant::now();
        let tokens = self.prefetch.next()?;
        self.waited.set(self.waited.get() + began.elapsed());
        let tensor = |values: &[i64]| {
            let tensor = Tensor::from_slice(values).view(self.shape);
            match self.device {
                // From pinned memory the copy goes on beside what the device computes, in the order of its stream; libtorch
                // gives that memory to nobody before the copy is done.
                Device::Cuda(_) => ok(memory::pinned(&tensor)).to_device_(self.device, Kind::Int64, true, false),
                device => tensor.to_device(device),
            }
        };
        let (inputs, targets, epoch) = (tensor(&tokens.inputs), tensor(&tokens.targets), tokens.epoch);
        self.prefetch.recycle(tokens);
        Ok((inputs, targets, epoch))
    }

    /// Time that [`Batches::next`] has waited for packed rows, over all calls.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_cannot_be_divided_is_invalid_in_a_sentence() {
        for (total, device, seq_len, expected) in [
            (100_000, 8, 256, "TOTAL_BATCH_SIZE 100000 is no multiple of DEVICE_BATCH_SIZE 8 x 256 tokens"),
            (768, 2, 256, "TOTAL_BATCH_SIZE 768 is no multiple of DEVICE_BATCH_SIZE 2 x 256 tokens"),
            (255, 8, 256, "TOTAL_BATCH_SIZE 255 is less than one row of 256 tokens"),
            (-4096, 8, 256, "TOTAL_BATCH_SIZE -4096 is less than one row of 256 tokens"),
            (4096, 0, 256, "DEVICE_BATCH_SIZE is 0: a pass has at least one row"),
        ] {
            assert_eq!(passes(total, device, seq_len).unwrap_err().to_string(), expected);
        }
    }
}
