//! RMS norm, and rotary positions with the norm of queries and keys, which keep only their results for the gradient.
//!
//! The gradient of a norm needs its input up to a factor, which is the output, and that factor. The output is kept by what
//! comes next anyway (a matrix product, attention), so nothing but a number per row is kept in addition.

use tch::{Kind, TchError, Tensor};

use super::function::{Forward, custom};
use super::kernel::{Argument, Grid};
use super::own::{self, MIX_NORM, MIX_NORM_BACKWARD, ROTARY_NORM, ROTARY_NORM_BACKWARD};
use crate::failure::ok;

/// Channels that a row has at most where a kernel computes its norm: eight for each thread of a block.
const WIDEST: i64 = 8192;
/// Half the dimension of a head, at most, where a kernel rotates it: eight channels for each thread of a warp.
const WIDEST_HALF: i64 = 256;

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
    if has_kernel(x) {
        return custom(
            &[x],
            |inputs| {
                let Mixed { normed, scale, .. } = ok(mix_norm(&inputs[0], None, None));
                Forward { saved: vec![normed.shallow_clone(), scale], output: normed }
            },
            |saved, gradient| {
                vec![Some(ok(mix_norm_backward([None, Some(gradient)], &saved[0], &saved[1], None)).grad_x)]
            },
        );
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
    if own::is_taken(x) && shape[3] / 2 <= WIDEST_HALF && [cos, sin].iter().all(|angles| angles.kind() == x.kind()) {
        return rotary_norm_by_kernel(x, cos, sin);
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

/// Returns true when [`mix_norm`] computes tensors like this one.
pub(super) fn has_kernel(x: &Tensor) -> bool {
    own::is_taken(x) && x.size().last().is_some_and(|channels| (1..=WIDEST).contains(channels))
}

/// The results of [`mix_norm`].
pub(super) struct Mixed {
    /// `x + branch`, where there are both branch and origin.
    pub(super) sum: Option<Tensor>,
    /// The mixture, where there is a branch or an origin.
    pub(super) mixed: Option<Tensor>,
    pub(super) normed: Tensor,
    /// A factor for each row.
    pub(super) scale: Tensor,
}

/// `resid * (x + branch) + skip * origin` and its norm, by a kernel; `origin` are origin, resid and skip.
pub(super) fn mix_norm(x: &Tensor, branch: Option<&Tensor>, origin: Option<[&Tensor; 3]>) -> Result<Mixed, TchError> {
    let x = x.contiguous();
    let branch = branch.map(Tensor::contiguous);
    let origin = origin.map(|origin| origin.map(Tensor::contiguous));
    let mixed = (branch.is_some() || origin.is_some()).then(|| x.empty_like());
    let sum = (branch.is_some() && origin.is_some()).then(|| x.empty_like());
    let (channels, grid) = rows(&x);
    let (normed, scale) = (x.empty_like(), Tensor::empty([grid.blocks], (Kind::Float, x.device())));
    let part = |index: usize| Argument::from(origin.as_ref().map(|origin| &origin[index]));
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
            epsilon(Kind::Float).into(),
        ],
    )?;
    Ok(Mixed { sum, mixed, normed, scale })
}

/// What the gradient of a mixture needs besides, and the gradient of origin from where it was used after it.
pub(super) struct Mixture<'a> {
    /// The sum that was mixed.
    pub(super) x: &'a Tensor,
    /// Origin, resid and skip.
    pub(super) origin: [&'a Tensor; 3],
    pub(super) grad_later: Option<&'a Tensor>,
}

/// Gradients of [`mix_norm`]'s inputs.
pub(super) struct MixedGradients {
    /// Of x and of branch.
    pub(super) grad_x: Tensor,
    /// Of origin, resid and skip.
    pub(super) of_origin: Option<[Tensor; 3]>,
}

/// The gradients of [`mix_norm`], given those of `mixed` and `normed`.
pub(super) fn mix_norm_backward(
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
    )?;
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
    (channels, Grid { blocks: x.numel() as i64 / channels.max(1), threads: own::of_row(channels, WIDEST / 8) })
}

fn rotary_norm_by_kernel(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor, TchError> {
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
            let epsilon = [Argument::Float(epsilon(Kind::Float))];
            ok(ROTARY_NORM.launch(grid, &[&tensors[..], &numbers[..], &epsilon[..]].concat()));
            Forward { saved: vec![output.shallow_clone(), scale, cos, sin], output }
        },
        move |saved, gradient| {
            let (gradient, grad_x) = (gradient.contiguous(), saved[0].empty_like());
            let [y, scale, cos, sin] = [0, 1, 2, 3].map(|i: usize| &saved[i]);
            let tensors = [&gradient, y, scale, cos, sin, &grad_x].map(Argument::from);
            let numbers = [rows, tokens, heads, half, lanes].map(Argument::Int);
            ok(ROTARY_NORM_BACKWARD.launch(grid, &[&tensors[..], &numbers[..]].concat()));
            vec![Some(grad_x), None, None]
        },
    )
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
