//! FlashAttention 2 with a window (Dao 2023, arXiv:2307.08691), which is in libtorch_cuda and not in the bindings.
//!
//! It needs a GPU of the Ampere generation or later, bf16 or half, and a dimension that is a multiple of 8 up to 256. Keys
//! outside of the window are not even read, where a mask has them multiplied and thrown away.

use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

use super::ffi;
use super::function::{Forward, custom};
use super::heads::Heads;
use crate::failure::ok;

/// Causal attention of tokens to themselves and up to `reach` tokens before: `q` is batch x heads x sequence x dimension,
/// `k` and `v` are the same, or have fewer heads that divide those of `q`. The result has the shape of `q`; scores are divided
/// by the root of the dimension. [`super::attention::Window::plain`] computes the same.
///
/// # Errors
///
/// A device, kind or shape that the kernel is not made for, and failures of libtorch.
pub fn flash(q: &Tensor, k: &Tensor, v: &Tensor, reach: i64) -> Result<Tensor, TchError> {
    // The kernel's layout is batch x sequence x heads x dimension, with the elements of a head side by side.
    let rows = |tensor: &Tensor| {
        let rows = tensor.f_transpose(1, 2)?;
        if rows.stride().last() == Some(&1) { Ok(rows) } else { rows.f_contiguous() }
    };
    let forward = |inputs: &[Tensor]| {
        let [q, k, v] = inputs else { return Forward { output: Tensor::new(), saved: vec![] } };
        let [output, sums, rng_state, unused] = ok(passed(|outputs| unsafe {
            // SAFETY: three live tensors, and room for four.
            ffi::autoresearch_flash_forward(q.as_ptr(), k.as_ptr(), v.as_ptr(), reach, outputs)
        }));
        let inputs = [q, k, v].map(Tensor::shallow_clone);
        Forward { saved: inputs.into_iter().chain([output.shallow_clone(), sums, rng_state, unused]).collect(), output }
    };
    let backward = move |saved: &[Tensor], gradient: &Tensor| {
        let pointers: Vec<*const C_tensor> = saved.iter().map(Tensor::as_ptr).collect();
        let gradients: [Tensor; 3] = ok(passed(|gradients| unsafe {
            // SAFETY: the seven tensors that the forward pass saved, and room for three.
            ffi::autoresearch_flash_backward(gradient.as_ptr(), pointers.as_ptr(), reach, gradients)
        }));
        gradients.map(Some).into()
    };
    custom(&[&rows(q)?, &rows(k)?, &rows(v)?], forward, backward)?.f_transpose(1, 2)
}

/// Returns true when the kernel supports this device, kind and shape, as far as its documentation says.
pub(super) fn fits(device: Device, kind: Kind, heads: Heads) -> bool {
    let Heads { queries, keys, dimension } = heads;
    matches!(device, Device::Cuda(_))
        && matches!(kind, Kind::BFloat16 | Kind::Half)
        && (8..=256).contains(&dimension)
        && dimension % 8 == 0
        && keys > 0
        && queries % keys == 0
}

/// Calls the shim and takes the tensors that it makes.
fn passed<const N: usize>(
    call: impl FnOnce(*mut *mut C_tensor) -> *mut std::ffi::c_char,
) -> Result<[Tensor; N], TchError> {
    let mut made = [std::ptr::null_mut(); N];
    ffi::checked(call(made.as_mut_ptr()))?;
    // SAFETY: without a message all of them are new tensors, which are ours.
    Ok(made.map(|pointer| unsafe { Tensor::from_ptr(pointer) }))
}
