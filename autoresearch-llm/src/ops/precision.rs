//! The precision in which products are computed.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::ffi;

/// Lets float32 products use what is fastest: TF32 on CUDA, oneDNN's kernels on a CPU where they are exact.
///
/// On a CPU libtorch asks MKL for float32 products, which on processors not made by Intel uses half of the width of their
/// vectors; oneDNN uses all of it. libtorch takes oneDNN only if it may round to bf16, which it does only on processors
/// with units for that (AMX): a product that would show it is computed, and decides. Returns whether it is in use.
///
/// # Errors
///
/// Failures of libtorch.
pub fn fast_matmul(device: Device) -> Result<bool, TchError> {
    set(true)?;
    if device != Device::Cpu || exact() {
        return Ok(true);
    }
    set(false)?;
    Ok(false)
}

/// Products in float32 as IEEE 754 has them, which is libtorch's default.
///
/// # Errors
///
/// Failures of libtorch.
pub fn exact_matmul() -> Result<(), TchError> {
    set(false)
}

fn set(fast: bool) -> Result<(), TchError> {
    // SAFETY: it sets a global of libtorch.
    ffi::checked(unsafe { ffi::autoresearch_matmul_precision(i32::from(fast)) })
}

/// Checks, in the sizes and layouts of training, that products of numbers that bf16 cannot hold come out right.
fn exact() -> bool {
    no_grad(|| {
        // 1 + 2^-12 takes 13 bits; bf16 has 8.
        let value = 1.0 + 2f64.powi(-12);
        let ones = |shape: &[i64]| Tensor::full(shape, value, (Kind::Float, Device::Cpu));
        let (a, b) = (ones(&[256, 64]), ones(&[64, 256]));
        let right = |product: Tensor| (product / (64.0 * value * value) - 1.0).abs().max().double_value(&[]) < 1e-5;
        right(a.matmul(&b)) && right(b.tr().matmul(&a.tr())) && right(ones(&[4, 64, 64]).matmul(&ones(&[4, 64, 64])))
    })
}

/// Runs `work` with autocast: operations that gain from it compute in `kind` (bf16 or half), on tensors of `device`.
///
/// tch's own has no kind and does nothing on a CPU.
///
/// # Errors
///
/// Another kind, and failures of libtorch.
pub fn autocast<T>(device: Device, kind: Kind, work: impl FnOnce() -> T) -> Result<T, TchError> {
    struct Before(i32, i32, i8);
    impl Drop for Before {
        fn drop(&mut self) {
            // SAFETY: it sets thread-local state back. There is nobody to tell of a failure.
            let message = unsafe { ffi::autoresearch_autocast_end(self.0, self.1, self.2) };
            let _ = ffi::checked(message);
        }
    }
    let cuda = i32::from(device != Device::Cpu);
    // c10's numbers of kinds.
    let kind = match kind {
        Kind::BFloat16 => 15,
        Kind::Half => 5,
        other => return Err(TchError::Kind(format!("autocast computes in bf16 or half, not in {other:?}"))),
    };
    let (mut enabled, mut was) = (0, 0);
    // SAFETY: both pointers are valid during the call.
    ffi::checked(unsafe { ffi::autoresearch_autocast(cuda, kind, 1, &raw mut enabled, &raw mut was) })?;
    let _before = Before(cuda, enabled, was);
    Ok(work())
}
