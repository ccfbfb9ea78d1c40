//! Causal attention within a window.
//!
//! A query sees itself and at most `reach` tokens before it. There are three ways to compute it, and [`Window`] takes the
//! best that the device, the kind and the shapes allow: FlashAttention where a window is short and a GPU has it; blocks of
//! queries on a CPU, each multiplied with the keys that any of them sees, and with no others; and for all else libtorch's
//! scaled_dot_product_attention, with a mask if the window is short, which keeps no probabilities.

use std::cell::OnceCell;

use tch::{Device, IndexOp, Kind, TchError, Tensor};

use super::flash;
use super::function::{Forward, custom};
pub use super::heads::Heads;

/// Number of queries in a block.
const BLOCK: i64 = 128;
/// Number of keys above which keeping a block's probabilities costs more than computing them a second time.
const LONGEST: i64 = 1024;

/// The kernel that computes attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// [`flash::flash`], for short windows. Over the whole context [`Kernel::Plain`] has a choice of kernels of its own,
    /// FlashAttention and a faster one of cuDNN among them.
    Flash,
    /// Blocks of queries, on a CPU.
    Blocks,
    /// [`Window::plain`].
    Plain,
}

/// The attention window of a layer: how far back a query looks. It is made once for all steps.
#[derive(Debug)]
pub struct Window {
    reach: i64,
    seq_len: i64,
    device: Device,
    /// True where a query (row) sees a key (column); none where it sees all before it.
    mask: Option<Tensor>,
    /// The mask as numbers that are added to scores, on a CPU.
    bias: Option<Tensor>,
    /// Why FlashAttention does not run here, or that it does; asked once.
    flash: OnceCell<Result<(), String>>,
}

impl Window {
    /// A window of `reach` tokens in contexts of up to `seq_len` tokens.
    pub fn new(seq_len: i64, reach: i64, device: Device) -> Window {
        let band = Tensor::ones([seq_len, seq_len], (Kind::Bool, device)).tril(0);
        let band = if reach < seq_len { band.logical_and(&band.ones_like().triu(-reach)) } else { band };
        let bias = || Tensor::zeros([seq_len, seq_len], (Kind::Float, device)).masked_fill(&band.logical_not(), -1e30);
        Window {
            reach,
            seq_len,
            device,
            bias: (device == Device::Cpu).then(bias),
            mask: (reach < seq_len).then(|| band.shallow_clone()),
            flash: OnceCell::new(),
        }
    }

    /// Returns the kernel with which [`Window::attend`] computes `tokens` tokens.
    pub fn kernel(&self, kind: Kind, heads: Heads, tokens: i64) -> Kernel {
        let kernel = fastest(self.device, kind, heads, tokens, self.reach);
        let tried = || self.flash.get_or_init(|| try_flash(self.device, kind, heads.dimension));
        match kernel {
            _ if super::wants_plain() => Kernel::Plain,
            Kernel::Flash if tried().is_err() => Kernel::Plain,
            kernel => kernel,
        }
    }

    /// Returns why [`Window::kernel`] did not take FlashAttention where device, kind and shapes suit it.
    pub fn without_flash(&self) -> Option<&str> {
        self.flash.get()?.as_ref().err().map(String::as_str)
    }

    /// Attention: `q` is batch x heads x sequence x dimension, `k` and `v` are the same, or have fewer heads that divide
    /// those of `q`. The result has the shape of `q`; scores are divided by the root of the dimension.
    ///
    /// # Errors
    ///
    /// A sequence longer than the window was made for, shapes that do not fit, and failures of libtorch.
    pub fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let (_, queries, tokens, dimension) = q.size4()?;
        let (_, keys, _, _) = k.size4()?;
        if tokens > self.seq_len {
            return Err(TchError::Shape(format!("{tokens} tokens, but the window was made for {}", self.seq_len)));
        }
        match (self.kernel(q.kind(), Heads { queries, keys, dimension }, tokens), &self.bias) {
            (Kernel::Flash, _) => flash::flash(q, k, v, self.reach),
            (Kernel::Blocks, Some(bias)) => self.in_blocks(q, k, v, &bias.to_kind(q.kind())),
            _ => self.plain(q, k, v),
        }
    }

    /// Computes attention as one operation of libtorch.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, and failures of libtorch.
    pub fn plain(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let tokens = q.size()[2];
        let mask = self.mask.as_ref().map(|mask| mask.i((..tokens, ..tokens)));
        let grouped = q.size()[1] != k.size()[1];
        Tensor::f_scaled_dot_product_attention(q, k, v, mask.as_ref(), 0.0, mask.is_none(), None, grouped)
    }

    fn in_blocks(&self, q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let (batch, heads, tokens, dimension) = q.size4()?;
        let flat = |tensor: &Tensor| tensor.f_reshape([batch * heads, tokens, dimension]);
        let (q, k, v) = (flat(q)?, flat(k)?, flat(v)?);
        let of_block = |start: i64| {
            let end = tokens.min(start + BLOCK);
            let keys = (start - self.reach).max(0)..end;
            let seen = |tensor: &Tensor| tensor.narrow(1, keys.start, keys.end - keys.start);
            block(&q.narrow(1, start, end - start), &seen(&k), &seen(&v), &bias.i((start..end, keys.clone())))
        };
        let blocks: Result<Vec<Tensor>, TchError> = (0..tokens).step_by(BLOCK as usize).map(of_block).collect();
        Tensor::f_cat(&blocks?, 1)?.f_view([batch, heads, tokens, dimension])
    }
}

/// Chooses the kernel that suits device, kind and shapes, whether or not this machine has it.
fn fastest(device: Device, kind: Kind, heads: Heads, tokens: i64, reach: i64) -> Kernel {
    let exact = matches!(kind, Kind::Float | Kind::Double);
    if device == Device::Cpu && exact && heads.queries == heads.keys && tokens.min(reach + BLOCK) <= LONGEST {
        Kernel::Blocks
    } else if reach < tokens && flash::fits(device, kind, heads) {
        Kernel::Flash
    } else {
        Kernel::Plain
    }
}

/// Runs FlashAttention on a few numbers; its message is the result where this GPU or this libtorch does not have it.
fn try_flash(device: Device, kind: Kind, dimension: i64) -> Result<(), String> {
    const REACH: i64 = 4;
    let window = Window::new(16, REACH, device);
    // Not from the generator: its numbers are those of the training.
    let numbers = Tensor::arange(16 * dimension, (Kind::Float, device)).sin().view([1, 1, 16, dimension]).to_kind(kind);
    agrees(&window, &numbers, |x| flash::flash(x, x, x, REACH))
}

/// Holds values and gradients of `attend` for queries, keys and values `x` against the plain form: a kernel that leaves the window out
/// is as useless as one that is missing, and would not be noticed.
fn agrees(window: &Window, x: &Tensor, attend: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<(), String> {
    type Attend<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor, TchError>;
    let both_passes = |attend: Attend<'_>| {
        let leaf = x.copy().set_requires_grad(true);
        let y = tch::with_grad(|| {
            let y = attend(&leaf)?;
            y.f_square()?.f_sum(Kind::Float)?.f_backward()?;
            Ok::<_, TchError>(y.detach())
        })?;
        Ok::<_, TchError>([y, leaf.grad()].map(|tensor| tensor.to_kind(Kind::Float)))
    };
    let message = |error: TchError| error.to_string().lines().next().unwrap_or_default().to_owned();
    let found = both_passes(&attend).map_err(message)?;
    let expected = both_passes(&|x| window.plain(x, x, x)).map_err(message)?;
    for (found, expected) in found.iter().zip(&expected) {
        let apart = ((found - expected).abs().max() / expected.abs().max()).double_value(&[]);
        // bf16 has three digits.
        if apart.is_nan() || apart > 0.05 {
            return Err(format!("its results are {apart:.2} from those of the plain form"));
        }
    }
    Ok(())
}

/// Attention of some queries to some keys: n x queries x dimension, n x keys x dimension, and what is added to scores,
/// queries x keys. Keeps the probabilities.
fn block(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
    let scale = (q.size().last().copied().unwrap_or(1) as f64).powf(-0.5);
    custom(
        &[q, k, v, bias],
        |inputs| {
            let [q, k, v, bias] = inputs else { return Forward { output: Tensor::new(), saved: vec![] } };
            let p = bias.baddbmm(q, &k.mt(), 1.0, scale).softmax(-1, q.kind());
            let output = p.bmm(v);
            Forward { output, saved: vec![q.shallow_clone(), k.shallow_clone(), v.shallow_clone(), p] }
        },
        move |saved, gradient| {
            let [q, k, v, p] = saved else { return vec![] };
            let grad_p = gradient.bmm(&v.mt());
            let scores = Tensor::internal_softmax_backward_data(&grad_p, p, -1, p.kind());
            // The scale is on the smaller side of the products.
            let (grad_q, grad_k) = (scores.bmm(&(k * scale)), scores.mt().bmm(&(q * scale)));
            vec![Some(grad_q), Some(grad_k), Some(p.mt().bmm(gradient)), None]
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_follows_device_kind_and_shapes() {
        let gpu = Device::Cuda(0);
        let of = |queries, keys, dimension| Heads { queries, keys, dimension };
        let four = of(4, 4, 128);
        for (device, kind, heads, tokens, reach, kernel) in [
            (gpu, Kind::BFloat16, four, 2048, 1024, Kernel::Flash),
            (gpu, Kind::Half, of(4, 2, 256), 2048, 1, Kernel::Flash),
            // Nothing is out of reach.
            (gpu, Kind::BFloat16, four, 2048, 2048, Kernel::Plain),
            (gpu, Kind::BFloat16, four, 512, 1024, Kernel::Plain),
            // What the kernel is not made for.
            (gpu, Kind::Float, four, 2048, 1024, Kernel::Plain),
            (gpu, Kind::BFloat16, of(4, 4, 264), 2048, 1024, Kernel::Plain),
            (gpu, Kind::BFloat16, of(4, 4, 36), 2048, 1024, Kernel::Plain),
            (gpu, Kind::BFloat16, of(4, 3, 128), 2048, 1024, Kernel::Plain),
            (Device::Mps, Kind::BFloat16, four, 2048, 1024, Kernel::Plain),
            (Device::Cpu, Kind::BFloat16, four, 2048, 1024, Kernel::Plain),
            (Device::Cpu, Kind::Float, four, 256, 128, Kernel::Blocks),
            (Device::Cpu, Kind::Double, four, 8192, 128, Kernel::Blocks),
            (Device::Cpu, Kind::Float, four, 2048, 1024, Kernel::Plain),
            (Device::Cpu, Kind::Float, of(4, 2, 128), 256, 128, Kernel::Plain),
        ] {
            assert_eq!(
                fastest(device, kind, heads, tokens, reach),
                kernel,
                "{device:?} {kind:?} {heads:?} {tokens} {reach}"
            );
        }
    }

    #[test]
    fn a_kernel_is_taken_only_where_it_computes_the_window() {
        let window = Window::new(16, 4, Device::Cpu);
        let numbers = Tensor::arange(16 * 8, (Kind::Float, Device::Cpu)).sin().view([1, 1, 16, 8]);
        let of = |reach: i64| move |x: &Tensor| Window::new(16, reach, Device::Cpu).plain(x, x, x);
        assert_eq!(agrees(&window, &numbers, of(4)), Ok(()));
        let ignored = agrees(&window, &numbers, of(16)).unwrap_err();
        assert!(ignored.starts_with("its results are "), "{ignored}");
        let missing = |_: &Tensor| Err(TchError::Torch("no kernel image is available\nframe #0".into()));
        assert!(agrees(&window, &numbers, missing).unwrap_err().ends_with("no kernel image is available"));
        // Without a GPU there is no such operator: the message says it.
        assert!(try_flash(Device::Cpu, Kind::BFloat16, 8).is_err());
        assert_eq!(window.without_flash(), None);
    }
}
