//! The square of the positive part (relu^2, Primer: So et al. 2021, arXiv:2109.08668), alone and before a linear map.

use tch::{TchError, Tensor};

use super::function::{Forward, custom};
use super::linear::rows;
use super::own::{self, RELU_SQUARE, RELU_SQUARE_BACKWARD};
use crate::failure::ok;

/// `relu(x)^2`, of any shape. Keeps one tensor for the gradient where single steps keep two.
///
/// # Errors
///
/// Failures of libtorch.
pub fn relu_square(x: &Tensor) -> Result<Tensor, TchError> {
    if super::wants_plain() {
        return Ok(plain(x, None));
    }
    if own::is_taken(x) {
        return custom(
            &[x],
            |inputs| {
                let output = ok(squared(&inputs[0]));
                Forward { saved: vec![output.shallow_clone()], output }
            },
            |saved, gradient| vec![Some(ok(through_square(&saved[0], gradient.copy())))],
        );
    }
    custom(
        &[x],
        |inputs| {
            let positive = inputs[0].relu();
            Forward { output: positive.square(), saved: vec![positive] }
        },
        |saved, gradient| vec![Some((gradient * &saved[0]).g_mul_scalar_(2.0))],
    )
}

/// `relu(x)^2` through a linear map: `x` is ... x n, `weight` is m x n, the result ... x m, in the kind of `x`.
///
/// Keeps `relu(x)`; the square, as large again, is computed a second time for the gradient. The kernel that does this on CUDA
/// keeps the square alone: its root is as good, and the product needs it anyway.
///
/// # Errors
///
/// Shapes that do not fit, and failures of libtorch.
pub fn relu_square_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    if super::wants_plain() {
        return x.f_relu()?.f_square()?.f_linear(&weight.to_kind(x.kind()), None::<&Tensor>);
    }
    if own::is_taken(x) {
        return custom(
            &[x, weight],
            |inputs| {
                let (square, weight) = (ok(squared(&inputs[0])), &inputs[1]);
                let output = square.linear(&weight.to_kind(square.kind()), None::<&Tensor>);
                Forward { output, saved: vec![square, weight.shallow_clone()] }
            },
            move |saved, gradient| {
                let (square, weight) = (&saved[0], &saved[1]);
                let grad_weight = rows(gradient).tr().matmul(&rows(square)).to_kind(weight.kind());
                let grad_square = gradient.matmul(&weight.to_kind(square.kind()));
                vec![Some(ok(through_square(square, grad_square))), Some(grad_weight)]
            },
        );
    }
    custom(
        &[x, weight],
        |inputs| {
            let (positive, low) = (inputs[0].relu(), inputs[1].to_kind(inputs[0].kind()));
            let output = positive.square().linear(&low, None::<&Tensor>);
            Forward { output, saved: vec![positive, inputs[1].shallow_clone()] }
        },
        move |saved, gradient| {
            let (positive, weight) = (&saved[0], &saved[1]);
            let low = weight.to_kind(positive.kind());
            let grad_weight = rows(gradient).tr().matmul(&rows(&positive.square())).to_kind(weight.kind());
            // The factor of the square's derivative is on the smallest of the three.
            let grad_x = gradient.matmul(&(low * 2.0)).g_mul_(positive);
            vec![Some(grad_x), Some(grad_weight)]
        },
    )
}

/// `relu(x)^2` by a kernel.
fn squared(x: &Tensor) -> Result<Tensor, TchError> {
    let x = x.contiguous();
    let square = x.empty_like();
    // SAFETY: the kernel ends with x, and the square is as large.
    unsafe { RELU_SQUARE.launch(own::elementwise(&x), &[(&x).into(), (&square).into()]) }?;
    Ok(square)
}

/// The gradient of x by a kernel, in the place of that of the square.
fn through_square(square: &Tensor, gradient: Tensor) -> Result<Tensor, TchError> {
    let gradient = gradient.contiguous();
    // SAFETY: the kernel ends with the square, and its gradient is as large.
    unsafe { RELU_SQUARE_BACKWARD.launch(own::elementwise(square), &[square.into(), (&gradient).into()]) }?;
    Ok(gradient)
}

/// Computes the layer in single steps, with a weight or without.
pub fn plain(x: &Tensor, weight: Option<&Tensor>) -> Tensor {
    let square = x.relu().square();
    weight.map_or_else(|| square.shallow_clone(), |weight| square.linear(&weight.to_kind(x.kind()), None::<&Tensor>))
}
