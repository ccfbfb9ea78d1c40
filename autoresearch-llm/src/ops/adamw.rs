//! AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in one pass over each parameter.

use tch::{TchError, Tensor, no_grad};
use torch_sys::C_tensor;

use super::ffi;
use super::function::drop_grad;

/// Parameters of one AdamW step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Learning rate.
    pub lr: f64,
    /// Shares of the running means of gradients and of their squares that a step keeps.
    pub betas: (f64, f64),
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Weight decay, times the learning rate.
    pub weight_decay: f64,
}

/// The state of some parameters that share their settings.
#[derive(Debug)]
pub struct AdamW {
    params: Vec<Tensor>,
    exp_avgs: Vec<Tensor>,
    exp_avg_sqs: Vec<Tensor>,
    steps: Vec<Tensor>,
}

impl AdamW {
    /// Before the first step. The parameters must be of one kind and on one device.
    pub fn new(params: Vec<Tensor>) -> AdamW {
        let zeros = || params.iter().map(Tensor::zeros_like).collect();
        let step = |param: &Tensor| Tensor::zeros([], (tch::Kind::Float, param.device()));
        AdamW { exp_avgs: zeros(), exp_avg_sqs: zeros(), steps: params.iter().map(step).collect(), params }
    }

    /// Updates every parameter that has a gradient, and drops the gradients.
    ///
    /// # Errors
    ///
    /// Parameters of several kinds or devices, and failures of libtorch.
    pub fn step(&mut self, settings: &Settings) -> Result<(), TchError> {
        if super::wants_plain() {
            self.step_in_single_steps(settings);
            return Ok(());
        }
        let pointers = |tensors: &[Tensor]| tensors.iter().map(Tensor::as_ptr).collect::<Vec<*const C_tensor>>();
        let lists = [&self.params, &self.exp_avgs, &self.exp_avg_sqs, &self.steps].map(|list| pointers(list));
        let Settings { lr, betas: (beta1, beta2), eps, weight_decay } = *settings;
        // SAFETY: four lists of as many pointers to live tensors each, which only this optimizer changes.
        ffi::checked(unsafe {
            ffi::autoresearch_adamw(
                lists[0].as_ptr(),
                lists[1].as_ptr(),
                lists[2].as_ptr(),
                lists[3].as_ptr(),
                self.params.len(),
                lr,
                beta1,
                beta2,
                weight_decay,
                eps,
            )
        })?;
        self.params.iter().for_each(drop_grad);
        Ok(())
    }

    fn step_in_single_steps(&mut self, settings: &Settings) {
        for (index, param) in self.params.iter().enumerate().filter(|(_, param)| param.grad().defined()) {
            let _ = self.steps[index].g_add_scalar_(1.0);
            let step = self.steps[index].double_value(&[]) as i32;
            plain(param, &mut self.exp_avgs[index], &mut self.exp_avg_sqs[index], step, settings);
            drop_grad(param);
        }
    }
}

/// One parameter's step in single steps; `step` counts from 1.
pub fn plain(param: &Tensor, exp_avg: &mut Tensor, exp_avg_sq: &mut Tensor, step: i32, settings: &Settings) {
    let Settings { lr, betas: (beta1, beta2), eps, weight_decay } = *settings;
    no_grad(|| {
        let (mut param, gradient) = (param.shallow_clone(), param.grad());
        let _ = exp_avg.lerp_(&gradient, 1.0 - beta1);
        let _ = exp_avg_sq.lerp_(&gradient.square(), 1.0 - beta2);
        let denominator = (&*exp_avg_sq / (1.0 - beta2.powi(step))).sqrt() + eps;
        let _ = param.g_mul_scalar_(1.0 - lr * weight_decay);
        let _ = param.g_add_(&(&*exp_avg / denominator * (-lr / (1.0 - beta1.powi(step)))));
    });
}
