//! The shim's functions, see `shim/shim.cpp`.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::TchError;
use torch_sys::C_tensor;

/// Data that a pass hands over to C++.
#[repr(C)]
pub(super) struct Sink {
    opaque: [u8; 0],
}

pub(super) type Forward = unsafe extern "C" fn(*mut c_void, *const *mut C_tensor, usize, *mut Sink);
pub(super) type Backward =
    unsafe extern "C" fn(*mut c_void, *const *mut C_tensor, usize, *const *mut C_tensor, usize, *mut Sink);
pub(super) type Drop = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" {
    pub(super) fn autoresearch_free(text: *mut c_char);
    pub(super) fn autoresearch_output(sink: *mut Sink, tensor: *const C_tensor);
    pub(super) fn autoresearch_save(sink: *mut Sink, tensor: *const C_tensor);
    pub(super) fn autoresearch_fail(sink: *mut Sink, text: *const c_char, size: usize);
    pub(super) fn autoresearch_apply(
        inputs: *const *const C_tensor,
        count: usize,
        forward: Forward,
        forward_closure: *mut c_void,
        backward: Backward,
        backward_closure: *mut c_void,
        drop: Drop,
        outputs: *mut *mut C_tensor,
        expected: usize,
    ) -> *mut c_char;
    pub(super) fn autoresearch_grad_enabled() -> c_int;
    pub(super) fn autoresearch_drop_grad(tensor: *const C_tensor) -> *mut c_char;
    pub(super) fn autoresearch_flash_forward(
        q: *const C_tensor,
        k: *const C_tensor,
        v: *const C_tensor,
        reach: i64,
        outputs: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub(super) fn autoresearch_flash_backward(
        gradient: *const C_tensor,
        saved: *const *const C_tensor,
        reach: i64,
        gradients: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub(super) fn autoresearch_adamw(
        params: *const *const C_tensor,
        exp_avgs: *const *const C_tensor,
        exp_avg_sqs: *const *const C_tensor,
        steps: *const *const C_tensor,
        count: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> *mut c_char;
    pub(super) fn autoresearch_matmul_precision(fast: c_int) -> *mut c_char;
    pub(super) fn autoresearch_autocast(
        cuda: c_int,
        kind: i8,
        enabled: c_int,
        was_enabled: *mut c_int,
        was_kind: *mut i8,
    ) -> *mut c_char;
    pub(super) fn autoresearch_autocast_end(cuda: c_int, was_enabled: c_int, was_kind: i8) -> *mut c_char;
    pub(super) fn autoresearch_meter_start();
    pub(super) fn autoresearch_meter_stop(now: *mut i64, peak: *mut i64);
    pub(super) fn autoresearch_cuda_stream(index: c_int, stream: *mut *mut c_void) -> *mut c_char;
    pub(super) fn autoresearch_pin(tensor: *const C_tensor, output: *mut *mut C_tensor) -> *mut c_char;
    pub(super) fn autoresearch_expand_segments(expanded: *mut c_int) -> *mut c_char;
    pub(super) fn autoresearch_cudnn_attention(enabled: c_int) -> *mut c_char;
    pub(super) fn autoresearch_cuda_free(index: c_int, free: *mut i64) -> *mut c_char;
    pub(super) fn autoresearch_cuda_memory(index: c_int, now: *mut i64, peak: *mut i64) -> *mut c_char;
}

/// Turns the shim's message into a result; none is success.
pub(super) fn checked(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message is a C string that the shim allocated and leaves to us.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        autoresearch_free(message);
        text
    };
    Err(TchError::Torch(text))
}
