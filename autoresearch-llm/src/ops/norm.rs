//! RMS norm, and rotary positions with the norm of queries and keys, which keep only their results for the gradient.
//!
//! The gradient of a norm needs its input up to a factor, which is the output, and that factor. The output is kept by what
//! comes next anyway (a matrix product, attention), so nothing but a number per row is kept in addition.

use tch::{Kind, TchError, Tensor};

use super::function::{Forward, custom};

pub(super) mod kernels;

/// `x` divided by the root of the mean of its squares over the last dimension, as `torch.rms_norm` without a weight. Sums are
/// in float32 at least.
///
/// # Errors
///
/// Failures of libtorch.
pub fn rms_norm(x: &Tensor) -> Result<Tensor, TchError> {
    if super::wants_plain() {
        return Ok(plain(x));
    }
    if kernels::norms(x) {
        return kernels::rms_norm(x);
    }
    custom(
        &[x],
        |inputs| {
            let x = &inputs[0];
            let scale = scale(x);
            let output = x * scale.to_kind(x.kind());
            Forward { saved: vec![output.shallow_clone(), scale], output }
        },
        |saved, gradient| vec![Some(through_norm(gradient, &saved[0], &saved[1]))],
    )
}

/// Rotary positions, then [`rms_norm`]: `x` is batch x sequence x heads x dimension, `cos` and `sin` are
/// 1 x sequence x 1 x dimension / 2. The two halves of the dimension are the coordinates that are rotated.
///
/// # Errors
///
/// Shapes that do not fit (an odd dimension, too few positions), and failures of libtorch.
pub fn rotary_norm(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor, TchError> {
    let (shape, angles) = (x.size(), cos.size());
    if !matches!((&shape[..], &angles[..]), ([_, t, _, d], [1, s, 1, half]) if t == s && d % 2 == 0 && d / 2 == *half)
        || angles != sin.size()
    {
        return Err(TchError::Shape(format!(
            "x is {shape:?}, cos {angles:?}: they must be batch x sequence x heads x dimension and 1 x sequence x 1 x dimension / 2"
        )));
    }
    if super::wants_plain() {
        return Ok(plain_rotary(x, cos, sin));
    }
    if kernels::rotates(x, [cos, sin]) {
        return kernels::rotary_norm(x, cos, sin);
    }
    custom(
        &[x, cos, sin],
        |inputs| {
            let [x, cos, sin] = inputs else { return Forward { output: Tensor::new(), saved: vec![] } };
            let mut output = rotated(x, cos, sin);
            // A rotation keeps lengths.
            let scale = scale(&output);
            let _ = output.g_mul_(&scale.to_kind(x.kind()));
            Forward { saved: [&output, &scale, cos, sin].map(Tensor::shallow_clone).into(), output }
        },
        |saved, gradient| {
            let gradient = through_norm(gradient, &saved[0], &saved[1]);
            // The inverse rotation.
            vec![Some(rotated(&gradient, &saved[2], &saved[3].neg())), None, None]
        },
    )
}

/// The arithmetic of torch.rms_norm without an epsilon of its own: that of the kind of the sums.
fn epsilon(sums: Kind) -> f64 {
    if sums == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) }
}

/// Computes the norm in single steps.
pub fn plain(x: &Tensor) -> Tensor {
    x.rms_norm(x.size().last().copied().unwrap_or(1), None::<&Tensor>, None)
}

/// [`rotary_norm`] in single steps.
pub fn plain_rotary(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let halves = x.chunk(2, 3);
    let (x1, x2) = (&halves[0], &halves[1]);
    plain(&Tensor::cat(&[x1 * cos + x2 * sin, x2 * cos - x1 * sin], 3))
}

/// Factor of each row: batch x ... x 1, in float32 at least.
fn scale(x: &Tensor) -> Tensor {
    let sums = if x.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    let size = x.size().last().copied().unwrap_or(1).max(1) as f64;
    let norm = x.norm_scalaropt_dim_dtype(2.0, [-1i64].as_slice(), true, sums);
    (norm.square() / size + epsilon(sums)).rsqrt()
}

/// The gradient of the norm's input, given its output and scale.
fn through_norm(gradient: &Tensor, output: &Tensor, scale: &Tensor) -> Tensor {
    let size = output.size().last().copied().unwrap_or(1).max(1) as f64;
    let along = (gradient * output).sum_dim_intlist([-1i64].as_slice(), true, scale.kind()) / -size;
    gradient.addcmul(output, &along.to_kind(output.kind())).g_mul_(&scale.to_kind(output.kind()))
}

fn rotated(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let half = x.size()[3] / 2;
    let output = x.empty_like();
    let part = |tensor: &Tensor, first: bool| tensor.narrow(3, if first { 0 } else { half }, half);
    let (x1, x2) = (part(x, true), part(x, false));
    let (mut y1, mut y2) = (part(&output, true), part(&output, false));
    let _ = x1.multiply_out(&y1.shallow_clone(), cos);
    let _ = y1.addcmul_(&x2, sin);
    let _ = x2.multiply_out(&y2.shallow_clone(), cos);
    let _ = y2.addcmul_(&x1, &sin.neg());
    output
}
