//! Several linear maps of one input.

use tch::{TchError, Tensor};

use super::function::{Forwards, custom_many};
use super::own;

/// The input through each of the weights (rows x columns), without bias, in the kind of `x`. A weight with fewer columns than
/// `x` has channels sees the first of them.
///
/// On CUDA the gradients of the input are added up by the products themselves instead of one by one.
///
/// # Errors
///
/// Shapes that do not fit, and failures of libtorch.
pub fn several<const N: usize>(x: &Tensor, weights: [&Tensor; N]) -> Result<[Tensor; N], TchError> {
    let mut products = [const { None }; N];
    if !own::is_taken(x) {
        for (product, weight) in products.iter_mut().zip(weights) {
            *product = Some(linear(x, weight)?);
        }
        return Ok(products.map(Option::unwrap_or_default));
    }
    let forward = |inputs: &[Tensor]| {
        let outputs = std::array::from_fn(|i| crate::failure::ok(linear(&inputs[0], &inputs[i + 1])));
        Forwards { outputs, saved: inputs.iter().map(Tensor::shallow_clone).collect() }
    };
    let backward = |saved: &[Tensor], gradients: &[Option<Tensor>; N]| {
        let (x, weights) = (rows(&saved[0]), &saved[1..]);
        let mut grad_x: Option<Tensor> = None;
        let mut all = vec![None];
        for (weight, gradient) in weights.iter().zip(gradients) {
            let Some(gradient) = gradient else {
                all.push(None);
                continue;
            };
            let (gradient, low, columns) = (rows(gradient), weight.to_kind(x.kind()), weight.size()[1]);
            all.push(Some(gradient.tr().matmul(&x.narrow(1, 0, columns)).to_kind(weight.kind())));
            match &grad_x {
                // The first is as wide as the input, so it is not added to anything.
                None if columns == x.size()[1] => grad_x = Some(gradient.matmul(&low)),
                sum => {
                    let sum = sum.as_ref().map_or_else(|| x.zeros_like(), Tensor::shallow_clone);
                    let _ = sum.narrow(1, 0, columns).addmm_(&gradient, &low);
                    grad_x = Some(sum);
                }
            }
        }
        all[0] = grad_x.map(|gradient| gradient.view_as(&saved[0]));
        all
    };
    let inputs: Vec<&Tensor> = [x].into_iter().chain(weights).collect();
    custom_many(&inputs, forward, backward)
}

fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let (channels, columns) = (x.size().last().copied().unwrap_or(0), weight.size2()?.1);
    let weight = weight.to_kind(x.kind());
    if columns < channels {
        return x.narrow(-1, 0, columns).f_linear(&weight, None::<&Tensor>);
    }
    x.f_linear(&weight, None::<&Tensor>)
}

/// Returns the tensor as a matrix: its last dimension against all others.
pub(super) fn rows(tensor: &Tensor) -> Tensor {
    tensor.reshape([-1, tensor.size().last().copied().unwrap_or(1)])
}
