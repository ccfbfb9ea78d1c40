//! Batches as tensors on the device, packed ahead while it computes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use crate::error::DataError;
use crate::loader::{Loader, Prefetch};

/// So many batches are ready ahead.
const AHEAD: usize = 4;

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
        let tensor = |values: &[i64]| Tensor::from_slice(values).view(self.shape).to_device(self.device);
        let (inputs, targets, epoch) = (tensor(&tokens.inputs), tensor(&tokens.targets), tokens.epoch);
        self.prefetch.recycle(tokens);
        Ok((inputs, targets, epoch))
    }
    /// How long [`Batches::next`] waited for packed rows so far, all calls together.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }
}
