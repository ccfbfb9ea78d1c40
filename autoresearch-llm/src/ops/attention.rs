//! Causal attention within a window.
//!
//! A query sees itself and at most `reach` tokens before it. On a CPU a block of queries is multiplied with the keys that
//! any of them sees, and with no others; elsewhere, and for long contexts, it is libtorch's scaled_dot_product_attention
//! with a mask, which keeps no probabilities.

use tch::{Device, IndexOp, Kind, TchError, Tensor};

use super::function::{Forward, custom};

/// So many queries make a block.
const BLOCK: i64 = 128;
/// Beyond so many keys, keeping the probabilities of a block costs more than computing them a second time.
const LONGEST: i64 = 1024;

/// How far back a layer looks, made once for all steps.
#[derive(Debug)]
pub struct Window {
    reach: i64,
    seq_len: i64,
    /// True where a query (row) sees a key (column); none where it sees all before it.
    mask: Option<Tensor>,
    /// The same to be added to scores, on a CPU.
    bias: Option<Tensor>,
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
            bias: (device == Device::Cpu).then(bias),
            mask: (reach < seq_len).then(|| band.shallow_clone()),
        }
    }

    /// Attention: `q` is batch x heads x sequence x dimension, `k` and `v` are the same, or have fewer heads that divide
    /// those of `q`. The result has the shape of `q`; scores are divided by the root of the dimension.
    ///
    /// # Errors
    ///
    /// A sequence longer than the window was made for, shapes that do not fit, and failures of libtorch.
    pub fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let (_, heads, tokens, _) = q.size4()?;
        if tokens > self.seq_len {
            return Err(TchError::Shape(format!("{tokens} tokens, but the window was made for {}", self.seq_len)));
        }
        let longest = tokens.min(self.reach + BLOCK);
        match &self.bias {
            Some(bias)
                if matches!(q.kind(), Kind::Float | Kind::Double) && k.size()[1] == heads && longest <= LONGEST =>
            {
                self.in_blocks(q, k, v, &bias.to_kind(q.kind()))
            }
            _ => self.plain(q, k, v),
        }
    }

    /// The same as one operation of libtorch.
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
