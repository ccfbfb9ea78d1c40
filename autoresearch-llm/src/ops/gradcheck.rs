//! A gradient against finite differences.

use tch::{Kind, Tensor, no_grad};

/// The largest difference, relative to 1 or to the gradient where that is larger, between the gradients of
/// `sum(weights * f(inputs))` that autograd gives and central differences, over every element of every input.
///
/// `inputs` must be of kind double, and few: `f` is called twice per element. About 1e-8 is what a right gradient gives.
pub fn gradcheck(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor) -> f64 {
    const STEP: f64 = 1e-5;
    let leaves: Vec<Tensor> = inputs.iter().map(|input| input.copy().set_requires_grad(true)).collect();
    let output = f(&leaves);
    // Random weights: the gradient of a plain sum would miss errors that cancel.
    let weights = no_grad(|| output.randn_like());
    (&output * &weights).sum(Kind::Double).backward();
    let value = |inputs: &[Tensor]| no_grad(|| (f(inputs) * &weights).sum(Kind::Double).double_value(&[]));
    let mut worst = 0.0f64;
    for (index, input) in inputs.iter().enumerate() {
        let gradient = leaves[index].grad().contiguous().flatten(0, -1);
        for element in 0..input.numel() as i64 {
            let shifted = |by: f64| {
                let mut moved: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
                let flat = moved[index].contiguous().flatten(0, -1);
                let _ = flat.get(element).g_add_scalar_(by);
                moved[index] = flat.view_as(input);
                value(&moved)
            };
            let numeric = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            let analytic = gradient.double_value(&[element]);
            worst = worst.max((numeric - analytic).abs() / analytic.abs().max(1.0));
        }
    }
    worst
}
