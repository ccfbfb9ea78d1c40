//! The memory of tensors, and of the device that they are on.

use tch::{Device, TchError, Tensor};

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

/// Copies a tensor to memory of the host that an accelerator reads by itself, so that a copy to it goes on beside other work.
///
/// The bindings' own form names the device, of which libtorch warns twice at every call.
///
/// # Errors
///
/// There is no accelerator in this process, and failures of libtorch.
pub fn pinned(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut output = std::ptr::null_mut();
    // SAFETY: a live tensor, and room for one.
    ffi::checked(unsafe { ffi::autoresearch_pin(tensor.as_ptr(), &raw mut output) })?;
    // SAFETY: without a message it is a new tensor, which is ours.
    Ok(unsafe { Tensor::from_ptr(output) })
}

/// Has CUDA's allocator take memory in segments that grow, which wastes less of it between tensors of changing sizes; settings
/// in `PYTORCH_ALLOC_CONF` or `PYTORCH_CUDA_ALLOC_CONF` win. It counts only before the first tensor on a device. Returns true
/// where segments grow from now on.
///
/// # Errors
///
/// Settings in the environment that libtorch does not understand.
pub fn expand_segments() -> Result<bool, TchError> {
    let mut expanded = 0;
    // SAFETY: the pointer is valid during the call.
    ffi::checked(unsafe { ffi::autoresearch_expand_segments(&raw mut expanded) })?;
    Ok(expanded != 0)
}

/// Bytes that are free for tensors of this process: on a CUDA device what its driver says, else what the system has available.
/// None where nobody says it.
pub fn free(device: Device) -> Option<u64> {
    if let Device::Cuda(index) = device {
        let mut free = 0;
        // SAFETY: the pointer is valid during the call.
        let message = unsafe { ffi::autoresearch_cuda_free(i32::try_from(index).ok()?, &raw mut free) };
        return ffi::checked(message).ok().and_then(|()| u64::try_from(free).ok());
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
