//! Norms by kernels (`kernels/norm.cu`, `kernels/rotary.cu`): their arguments, grids, and what is kept for the gradients.

use tch::{Kind, TchError, Tensor};

use crate::failure::ok;
use crate::ops::function::{Forward, custom};
use crate::ops::kernel::{Argument, Grid, MOST_THREADS};
use crate::ops::own::{self, MIX_NORM, MIX_NORM_BACKWARD, ROTARY_NORM, ROTARY_NORM_BACKWARD};

/// Channels that a row has at most: eight for each thread of a block.
const WIDEST: i64 = 8 * MOST_THREADS;
/// Half the dimension of a head, at most: eight channels for each thread of a warp.
const WIDEST_HALF: i64 = 256;
/// That of torch.rms_norm, whose sums are in float32.
const EPSILON: f64 = f32::EPSILON as f64;

/// Returns true when [`mix_norm`] computes tensors like this one.
pub(in crate::ops) fn norms(x: &Tensor) -> bool {
    own::is_taken(x) && x.size().last().is_some_and(|channels| (1..=WIDEST).contains(channels))
}

/// [`super::rms_norm`].
pub(in crate::ops) fn rms_norm(x: &Tensor) -> Result<Tensor, TchError> {
    custom(
        &[x],
        |inputs| {
            let Mixed { normed, scale, .. } = ok(mix_norm(&inputs[0], None, None));
            Forward { saved: vec![normed.shallow_clone(), scale], output: normed }
        },
        |saved, gradient| vec![Some(ok(mix_norm_backward([None, Some(gradient)], &saved[0], &saved[1], None)).grad_x)],
    )
}

/// The results of [`mix_norm`].
pub(in crate::ops) struct Mixed {
    /// `x + branch`, where there are both branch and origin.
    pub(in crate::ops) sum: Option<Tensor>,
    /// The mixture, where there is a branch or an origin.
    pub(in crate::ops) mixed: Option<Tensor>,
    pub(in crate::ops) normed: Tensor,
    /// A factor for each row.
    pub(in crate::ops) scale: Tensor,
}

/// `resid * (x + branch) + skip * origin` and its norm, by a kernel; `origin` are origin, resid and skip. Branch and origin
/// have the shape of `x`.
pub(in crate::ops) fn mix_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    origin: Option<[&Tensor; 3]>,
) -> Result<Mixed, TchError> {
    let x = x.contiguous();
    let branch = branch.map(Tensor::contiguous);
    let origin = origin.map(|origin| origin.map(Tensor::contiguous));
    let mixed = (branch.is_some() || origin.is_some()).then(|| x.empty_like());
    let sum = (branch.is_some() && origin.is_some()).then(|| x.empty_like());
    let (channels, grid) = rows(&x);
    let (normed, scale) = (x.empty_like(), Tensor::empty([grid.blocks], (Kind::Float, x.device())));
    let part = |index: usize| Argument::from(origin.as_ref().map(|origin| &origin[index]));
    // SAFETY: a block goes through a row of the input, and every other tensor of rows has its shape, as the caller says.
    unsafe {
        MIX_NORM.launch(
            grid,
            &[
                (&x).into(),
                branch.as_ref().into(),
                part(0),
                part(1),
                part(2),
                sum.as_ref().into(),
                mixed.as_ref().into(),
                (&normed).into(),
                (&scale).into(),
                channels.into(),
                EPSILON.into(),
            ],
        )
    }?;
    Ok(Mixed { sum, mixed, normed, scale })
}

/// The inputs of a mixture that its gradient needs, and the gradient of origin from where it was used after it.
pub(in crate::ops) struct Mixture<'a> {
    /// The sum that was mixed.
    pub(in crate::ops) x: &'a Tensor,
    /// Origin, resid and skip.
    pub(in crate::ops) origin: [&'a Tensor; 3],
    pub(in crate::ops) grad_later: Option<&'a Tensor>,
}

/// Gradients of [`mix_norm`]'s inputs.
pub(in crate::ops) struct MixedGradients {
    /// Of x and of branch.
    pub(in crate::ops) grad_x: Tensor,
    /// Of origin, resid and skip.
    pub(in crate::ops) of_origin: Option<[Tensor; 3]>,
}

/// The gradients of [`mix_norm`], given those of `mixed` and `normed`.
pub(in crate::ops) fn mix_norm_backward(
    gradients: [Option<&Tensor>; 2],
    normed: &Tensor,
    scale: &Tensor,
    mixture: Option<Mixture<'_>>,
) -> Result<MixedGradients, TchError> {
    let gradients = gradients.map(|gradient| gradient.map(Tensor::contiguous));
    let (channels, grid) = rows(normed);
    let grad_x = normed.empty_like();
    let sums = || Tensor::empty([grid.blocks], (Kind::Float, normed.device()));
    let of_origin = mixture.is_some().then(|| [normed.empty_like(), sums(), sums()]);
    let held = mixture.as_ref().map(|mixture| {
        let [origin, resid, skip] = mixture.origin;
        [mixture.x, origin, resid, skip].map(Tensor::contiguous)
    });
    let later = mixture.and_then(|mixture| mixture.grad_later.map(Tensor::contiguous));
    let part = |index: usize| Argument::from(held.as_ref().map(|held| &held[index]));
    let into = |index: usize| Argument::from(of_origin.as_ref().map(|of| &of[index]));
    // SAFETY: a block goes through a row of the norm, and every other tensor of rows has its shape.
    unsafe {
        MIX_NORM_BACKWARD.launch(
            grid,
            &[
                gradients[0].as_ref().into(),
                gradients[1].as_ref().into(),
                normed.into(),
                scale.into(),
                part(0),
                part(1),
                part(2),
                part(3),
                later.as_ref().into(),
                (&grad_x).into(),
                into(0),
                into(1),
                into(2),
                channels.into(),
            ],
        )
    }?;
    // The kernel sums over a row.
    let over_rows = |sums: Tensor, like: &Tensor| sums.sum(Kind::Float).view_as(like);
    let of_origin = of_origin.zip(held).map(|([grad_origin, resid_sums, skip_sums], [_, _, resid, skip])| {
        [grad_origin, over_rows(resid_sums, &resid), over_rows(skip_sums, &skip)]
    });
    Ok(MixedGradients { grad_x, of_origin })
}

/// The channels of a row, and a block for each row.
fn rows(x: &Tensor) -> (i64, Grid) {
    let channels = x.size().last().copied().unwrap_or(1);
    (channels, Grid { blocks: x.numel() as i64 / channels.max(1), threads: own::of_row(channels, MOST_THREADS) })
}

/// Returns true when [`rotary_norm`] computes tensors like this one.
pub(in crate::ops) fn rotates(x: &Tensor, angles: [&Tensor; 2]) -> bool {
    let half = x.size().last().copied().unwrap_or(0) / 2;
    own::is_taken(x) && half <= WIDEST_HALF && angles.iter().all(|angles| angles.kind() == x.kind())
}

/// [`super::rotary_norm`], whose arguments fit each other.
pub(in crate::ops) fn rotary_norm(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor, TchError> {
    let (b, tokens, heads, dimension) = x.size4()?;
    let (rows, half) = (b * tokens, dimension / 2);
    let (lanes, grid) = own::of_lanes(rows, half);
    let numbers = [rows, tokens, heads, half, lanes].map(Argument::Int);
    custom(
        &[x, cos, sin],
        |inputs| {
            let [x, cos, sin] = [0, 1, 2].map(|i: usize| inputs[i].contiguous());
            let scale = Tensor::empty([rows, heads], (Kind::Float, x.device()));
            let output = x.empty_like();
            let tensors = [&x, &cos, &sin, &output, &scale].map(Argument::from);
            let arguments = [&tensors[..], &numbers[..], &[EPSILON.into()]].concat();
            // SAFETY: the numbers are the input's, whose shape the output has, and the angles fit it.
            ok(unsafe { ROTARY_NORM.launch(grid, &arguments) });
            Forward { saved: vec![output.shallow_clone(), scale, cos, sin], output }
        },
        move |saved, gradient| {
            let (gradient, grad_x) = (gradient.contiguous(), saved[0].empty_like());
            let [y, scale, cos, sin] = [0, 1, 2, 3].map(|i: usize| &saved[i]);
            let tensors = [&gradient, y, scale, cos, sin, &grad_x].map(Argument::from);
            let numbers = [rows, tokens, heads, half, lanes].map(Argument::Int);
            // SAFETY: both gradients have the output's shape, of which the numbers are.
            ok(unsafe { ROTARY_NORM_BACKWARD.launch(grid, &[&tensors[..], &numbers[..]].concat()) });
            vec![Some(grad_x), None, None]
        },
    )
}
