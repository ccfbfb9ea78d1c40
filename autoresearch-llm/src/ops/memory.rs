//! The memory of tensors.

use tch::{Device, TchError};

use super::ffi;

/// Bytes of tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Allocated now.
    pub now: u64,
    /// The most at any time.
    pub peak: u64,
}

/// Runs `work` and counts the bytes of the CPU tensors that it makes on this thread and in its backward passes: those left
/// when it returns, and the most at any time. Tensors made before it do not count. Calls may not be nested.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Memory) {
    struct Meter(i64, i64);
    impl Meter {
        fn stop(&mut self) {
            // SAFETY: it ends what `measure` began on this thread.
            unsafe { ffi::autoresearch_meter_stop(&raw mut self.0, &raw mut self.1) }
        }
    }
    /// Ends the measurement when `work` panics.
    struct Guard(Option<Meter>);
    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(mut meter) = self.0.take() {
                meter.stop();
            }
        }
    }
    // SAFETY: it pushes a counter on this thread's stack; the guard pops it.
    unsafe { ffi::autoresearch_meter_start() }
    let mut guard = Guard(Some(Meter(0, 0)));
    let result = work();
    let mut meter = guard.0.take().unwrap_or(Meter(0, 0));
    meter.stop();
    let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
    (result, Memory { now: bytes(meter.0), peak: bytes(meter.1) })
}

/// Memory of a CUDA device as libtorch's allocator reports it, since the process began.
///
/// # Errors
///
/// CUDA is not loaded, or there is no such device.
pub fn cuda(device: Device) -> Result<Memory, TchError> {
    let Device::Cuda(index) = device else { return Err(TchError::Torch(format!("{device:?} is no CUDA device"))) };
    let (mut now, mut peak) = (0, 0);
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    // SAFETY: both pointers are valid during the call.
    ffi::checked(unsafe { ffi::autoresearch_cuda_memory(index, &raw mut now, &raw mut peak) })?;
    Ok(Memory { now: u64::try_from(now).unwrap_or(0), peak: u64::try_from(peak).unwrap_or(0) })
}
