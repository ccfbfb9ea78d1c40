//! The language model's head: linear map, soft cap and cross-entropy, a chunk of tokens at a time.
//!
//! In single steps the logits of a batch are the largest tensors of a training step, several times over: 128 x 2048 tokens
//! with 8192 words are 8.6 GB in float32 each. Here they exist for one chunk only. The forward pass computes the gradients
//! along with the loss, while the chunk's logits are there; the backward pass only scales them. The idea is that of Liger
//! Kernel's fused linear cross-entropy (Hsu et al. 2024, arXiv:2410.10989).

use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

use super::function::{Forward, custom};
use super::kernel::Grid;
use super::own::{self, CROSS_ENTROPY};
use crate::failure::ok;

/// The largest soft cap of the kernel, which takes the cap itself for the largest logit: e^-80 is still a float32.
const LARGEST_CAP: f64 = 40.0;

/// Targets of this value count neither in the loss nor in the gradients.
pub const IGNORED: i64 = -1;

/// Number of tokens in a chunk, if the caller gives none: so that its logits fit in the cache of a CPU's core or keep
/// a GPU busy.
pub fn chunk(vocab_size: i64, device: Device) -> i64 {
    let elements = if device == Device::Cpu { 1 << 18 } else { 1 << 25 };
    (elements / vocab_size.max(1)).max(16)
}

/// The mean cross-entropy in nats of `targets` (n, 64-bit integers) given hidden states `x` (n x d) and the head's `weight`
/// (vocabulary x d), with logits capped to +-`softcap` by `softcap * tanh(logits / softcap)`.
///
/// Products are in the kind of `x`, everything else in float32 (in double if `x` is), as is the result, a scalar.
/// Computes gradients for `x` and `weight` even where nobody asks for them: use [`token_losses`] to evaluate.
///
/// # Errors
///
/// Shapes that do not fit, and failures of libtorch.
pub fn mean_loss(x: &Tensor, weight: &Tensor, targets: &Tensor, softcap: f64, chunk: i64) -> Result<Tensor, TchError> {
    let forward = |inputs: &[Tensor]| {
        let [x, weight, targets] = inputs else { return Forward { output: Tensor::new(), saved: vec![] } };
        if has_kernel(x, softcap) {
            return ok(mean_loss_by_kernel(x, weight, targets, softcap, chunk));
        }
        let (low, sums) = (weight.to_kind(x.kind()), exact(x.kind()));
        let grad_x = x.empty_like();
        let mut grad_weight = weight.zeros_like();
        let counted = targets.not_equal(IGNORED).to_kind(sums);
        // What a token weighs in the mean.
        let share = &counted / counted.sum(sums);
        let mut loss = Tensor::zeros([], (sums, x.device()));
        for (start, size) in chunks(x.size()[0], chunk) {
            let part = |tensor: &Tensor| tensor.narrow(0, start, size);
            let (x, share, targets) = (part(x), part(&share).unsqueeze(1), part(targets).clamp_min(0).unsqueeze(1));
            let capped = tanh_of_logits(&x, &low, softcap);
            let mut gradient = (&capped * softcap).log_softmax(-1, sums);
            loss -= (gradient.gather(1, &targets, false) * &share).sum(sums);
            // The gradient of the logits: (probabilities - one at the target) through the cap.
            let _ = gradient.exp_();
            let _ = gradient.scatter_add_(1, &targets, &share.ones_like().neg());
            let gradient = Tensor::tanh_backward(&gradient, &capped).to_kind(x.kind());
            part(&grad_x).copy_(&(gradient.matmul(&low) * share.to_kind(x.kind())));
            let weighed = &x * share.to_kind(x.kind());
            if grad_weight.kind() == x.kind() {
                let _ = grad_weight.addmm_(&gradient.tr(), &weighed);
            } else {
                grad_weight += gradient.tr().matmul(&weighed).to_kind(weight.kind());
            }
        }
        Forward { output: loss, saved: vec![grad_x, grad_weight] }
    };
    let backward = |saved: &[Tensor], gradient: &Tensor| {
        let scaled = |tensor: &Tensor| Some(tensor * gradient.to_kind(tensor.kind()));
        vec![scaled(&saved[0]), scaled(&saved[1]), None]
    };
    checked(x, weight, targets)?;
    if super::wants_plain() {
        return Ok(plain(x, weight, targets, softcap, Reduction::Mean));
    }
    custom(&[x, weight, targets], forward, backward)
}

/// The cross-entropy in nats of every target, in order, without gradients; see [`mean_loss`]. Ignored ones are 0.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn token_losses(
    x: &Tensor,
    weight: &Tensor,
    targets: &Tensor,
    softcap: f64,
    chunk: i64,
) -> Result<Tensor, TchError> {
    checked(x, weight, targets)?;
    if super::wants_plain() {
        return Ok(no_grad(|| plain(x, weight, targets, softcap, Reduction::None)));
    }
    no_grad(|| {
        let low = weight.to_kind(x.kind());
        let of_chunk = |(start, size): (i64, i64)| {
            if has_kernel(x, softcap) {
                let logits = x.narrow(0, start, size).linear(&low, None::<&Tensor>);
                return ok(losses(&logits, &targets.narrow(0, start, size), None, softcap));
            }
            let logits = tanh_of_logits(&x.narrow(0, start, size), &low, softcap) * softcap;
            cross_entropy(&logits, &targets.narrow(0, start, size), Reduction::None)
        };
        Ok(Tensor::cat(&chunks(x.size()[0], chunk).map(of_chunk).collect::<Vec<_>>(), 0))
    })
}

fn has_kernel(x: &Tensor, softcap: f64) -> bool {
    own::is_taken(x) && softcap > 0.0 && softcap <= LARGEST_CAP
}

/// The forward pass of [`mean_loss`]: a chunk's logits become their gradients where they lie.
fn mean_loss_by_kernel(
    x: &Tensor,
    weight: &Tensor,
    targets: &Tensor,
    softcap: f64,
    chunk: i64,
) -> Result<Forward, TchError> {
    let low = weight.to_kind(x.kind());
    // What a token weighs in the mean.
    let share = targets.not_equal(IGNORED).sum(Kind::Float).reciprocal();
    let grad_x = Tensor::empty(x.size(), (x.kind(), x.device()));
    let mut grad_weight = weight.zeros_like();
    let mut sum = Tensor::zeros([], (Kind::Float, x.device()));
    for (start, size) in chunks(x.size()[0], chunk) {
        let part = |tensor: &Tensor| tensor.narrow(0, start, size);
        let logits = part(x).linear(&low, None::<&Tensor>);
        sum += losses(&logits, &part(targets), Some(&share), softcap)?.sum(Kind::Float);
        let _ = logits.f_matmul_out(&part(&grad_x), &low)?;
        // A sum of two kinds needs no copy of the one in the other's.
        grad_weight += logits.tr().f_matmul(&part(x))?;
    }
    Ok(Forward { output: sum * share, saved: vec![grad_x, grad_weight] })
}

/// The loss of every token, by a kernel. With a share the logits become their own gradients, times that.
fn losses(logits: &Tensor, targets: &Tensor, share: Option<&Tensor>, softcap: f64) -> Result<Tensor, TchError> {
    let (tokens, words) = logits.size2()?;
    let losses = Tensor::empty([tokens], (Kind::Float, logits.device()));
    // SAFETY: a block goes through the logits of a token, which has a target and a loss; targets are checked by the kernel.
    unsafe {
        CROSS_ENTROPY.launch(
            Grid { blocks: tokens, threads: own::of_row(words, own::BLOCK) },
            &[
                logits.into(),
                (&targets.contiguous()).into(),
                share.into(),
                (&losses).into(),
                words.into(),
                softcap.into(),
                i64::from(share.is_some()).into(),
            ],
        )
    }?;
    Ok(losses)
}

/// Computes the loss in single steps, with all logits at once.
pub fn plain(x: &Tensor, weight: &Tensor, targets: &Tensor, softcap: f64, reduction: Reduction) -> Tensor {
    let logits = x.linear(&weight.to_kind(x.kind()), None::<&Tensor>).to_kind(exact(x.kind()));
    cross_entropy(&((logits / softcap).tanh() * softcap), targets, reduction)
}

fn cross_entropy(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Tensor {
    logits.cross_entropy_loss(targets, None::<&Tensor>, reduction, IGNORED, 0.0)
}

/// The kind of sums over values of `kind`.
fn exact(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

fn tanh_of_logits(x: &Tensor, weight: &Tensor, softcap: f64) -> Tensor {
    // A softcap on the small side of the product saves a pass over the logits, but rounds differently; the arithmetic is
    // that of the plain form.
    let mut logits = x.linear(weight, None::<&Tensor>).to_kind(exact(x.kind()));
    let _ = logits.g_div_scalar_(softcap);
    let _ = logits.tanh_();
    logits
}

/// Beginnings and sizes.
fn chunks(tokens: i64, chunk: i64) -> impl Iterator<Item = (i64, i64)> {
    let chunk = chunk.max(1);
    (0..(tokens + chunk - 1) / chunk).map(move |i| (i * chunk, chunk.min(tokens - i * chunk)))
}

fn checked(x: &Tensor, weight: &Tensor, targets: &Tensor) -> Result<(), TchError> {
    match (x.size().as_slice(), weight.size().as_slice(), targets.size().as_slice()) {
        ([n, d], [_, same], [m]) if d == same && n == m && *n > 0 => Ok(()),
        shapes => Err(TchError::Shape(format!(
            "hidden states, weight and targets are {shapes:?}; they must be n x d, vocabulary x d and n"
        ))),
    }
}
