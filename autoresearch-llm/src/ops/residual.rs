//! The residual stream of a transformer: branches are added to it, its origin is mixed back in, and every branch sees its norm.
//!
//! On CUDA the sum, the mixture and the norm are one pass over memory, by a kernel, and so are their gradients; those of the
//! mixture's two scales stay in float32.

use tch::{Kind, TchError, Tensor};

use super::function::{Forwards, custom_many};
use super::norm::kernels::{self, Mixed, MixedGradients, Mixture};
use super::norm::rms_norm;
use crate::failure::ok;

/// A residual stream. It begins as its origin.
#[derive(Debug)]
pub struct Stream {
    x: Tensor,
    /// Added to `x` where the stream is next looked at.
    branch: Option<Tensor>,
    origin: Tensor,
}

impl Stream {
    /// The stream that begins with `origin`, whose last dimension are the channels.
    pub fn new(origin: &Tensor) -> Stream {
        Stream { x: origin.shallow_clone(), branch: None, origin: origin.shallow_clone() }
    }

    /// Adds the result of a branch, of the stream's shape.
    ///
    /// # Errors
    ///
    /// A tensor of another shape.
    pub fn add(&mut self, branch: &Tensor) -> Result<(), TchError> {
        if branch.size() != self.x.size() {
            return Err(TchError::Shape(format!(
                "a branch is {:?}, and the stream {:?}: they must be of one shape",
                branch.size(),
                self.x.size()
            )));
        }
        self.add_branch()?;
        // Other kinds may still add up, as libtorch has it.
        match kernels::norms(&self.x) && branch.kind() == self.x.kind() {
            true => self.branch = Some(branch.shallow_clone()),
            false => self.x = self.x.f_add(branch)?,
        }
        Ok(())
    }

    /// The stream becomes `resid * stream + skip * origin`, both scales scalars; returns its [`rms_norm`].
    ///
    /// # Errors
    ///
    /// Scales that are no scalars, and failures of libtorch.
    pub fn mix(&mut self, resid: &Tensor, skip: &Tensor) -> Result<Tensor, TchError> {
        if let Some(scale) = [resid, skip].iter().find(|scale| scale.numel() != 1) {
            return Err(TchError::Shape(format!("a scale of the stream is {:?}, not a scalar", scale.size())));
        }
        // A branch or a scale may have made another kind of the stream, or another shape, than its origin has.
        let is_like_origin = self.x.size() == self.origin.size() && self.x.kind() == self.origin.kind();
        let are_float = [resid, skip].iter().all(|scale| scale.kind() == Kind::Float);
        if !kernels::norms(&self.x) || !is_like_origin || !are_float {
            self.add_branch()?;
            let x = &self.x;
            self.x = x.f_mul(&resid.to_kind(x.kind()))?.f_add(&self.origin.f_mul(&skip.to_kind(x.kind()))?)?;
            return rms_norm(&self.x);
        }
        let branch = self.branch.take();
        let inputs: Vec<&Tensor> = [&self.x, &self.origin, resid, skip].into_iter().chain(branch.as_ref()).collect();
        let forward = |inputs: &[Tensor]| {
            let [x, origin, resid, skip] = [0, 1, 2, 3].map(|i: usize| &inputs[i]);
            let Mixed { sum, mixed, normed, scale } =
                ok(kernels::mix_norm(x, inputs.get(4), Some([origin, resid, skip])));
            let sum = sum.unwrap_or_else(|| x.shallow_clone());
            let saved = [&normed, &scale, &sum, origin, resid, skip].map(Tensor::shallow_clone).into();
            // The origin passes through, so that its gradient is added to where the kernel has it at hand.
            Forwards { outputs: [mixed.unwrap_or_default(), normed, origin.shallow_clone()], saved }
        };
        let has_branch = branch.is_some();
        let backward = move |saved: &[Tensor], gradients: &[Option<Tensor>; 3]| {
            let [normed, scale, x, origin, resid, skip] = [0, 1, 2, 3, 4, 5].map(|i: usize| &saved[i]);
            let [grad_mixed, grad_normed, grad_later] = gradients.each_ref().map(Option::as_ref);
            let mixture = Mixture { x, origin: [origin, resid, skip], grad_later };
            let MixedGradients { grad_x, of_origin } =
                ok(kernels::mix_norm_backward([grad_mixed, grad_normed], normed, scale, Some(mixture)));
            let of_branch = has_branch.then(|| Some(grad_x.shallow_clone()));
            let of_origin = of_origin.into_iter().flatten().map(Some);
            [Some(grad_x)].into_iter().chain(of_origin).chain(of_branch).collect()
        };
        let [mixed, normed, origin] = custom_many(&inputs, forward, backward)?;
        (self.x, self.origin) = (mixed, origin);
        Ok(normed)
    }

    /// Returns the [`rms_norm`] of the stream.
    ///
    /// # Errors
    ///
    /// Failures of libtorch.
    pub fn norm(&mut self) -> Result<Tensor, TchError> {
        let Some(branch) = self.branch.take() else { return rms_norm(&self.x) };
        let forward = |inputs: &[Tensor]| {
            let Mixed { mixed, normed, scale, .. } = ok(kernels::mix_norm(&inputs[0], Some(&inputs[1]), None));
            Forwards { saved: vec![normed.shallow_clone(), scale], outputs: [mixed.unwrap_or_default(), normed] }
        };
        let backward = |saved: &[Tensor], gradients: &[Option<Tensor>; 2]| {
            let gradients = gradients.each_ref().map(Option::as_ref);
            let grad_x = ok(kernels::mix_norm_backward(gradients, &saved[0], &saved[1], None)).grad_x;
            vec![Some(grad_x.shallow_clone()), Some(grad_x)]
        };
        let [sum, normed] = custom_many(&[&self.x, &branch], forward, backward)?;
        self.x = sum;
        Ok(normed)
    }

    /// Adds the branch that is still apart.
    fn add_branch(&mut self) -> Result<(), TchError> {
        if let Some(branch) = self.branch.take() {
            self.x = self.x.f_add(&branch)?;
        }
        Ok(())
    }
}
