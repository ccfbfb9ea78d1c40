//! Value embeddings, mixed into the values of attention through a gate for each head.

use tch::{TchError, Tensor};

use super::function::{Forward, custom};
use super::kernel::Argument;
use super::own::{self, GATE, GATE_BACKWARD};
use crate::failure::ok;

/// `v + 2 * sigmoid(logits) * table[words]`: `v` is batch x sequence x heads x dimension, `logits` has one number for each of its
/// heads, `table` is vocabulary x (heads * dimension), `words` are batch x sequence 64-bit integers.
///
/// On CUDA a kernel reads the table's rows where it needs them. Where a word is not in the table, its result and gradients are NaN.
///
/// # Errors
///
/// Shapes that do not fit, and failures of libtorch.
pub fn gated(v: &Tensor, logits: &Tensor, table: &Tensor, words: &Tensor) -> Result<Tensor, TchError> {
    let (b, t, heads, size) = v.size4()?;
    if logits.size() != [b, t, heads] || words.size() != [b, t] || table.size().get(1) != Some(&(heads * size)) {
        return Err(TchError::Shape(format!(
            "values {:?}, logits {:?}, table {:?} and words {:?}: they must be batch x sequence x heads x dimension, batch x sequence x heads, vocabulary x (heads * dimension) and batch x sequence",
            v.size(),
            logits.size(),
            table.size(),
            words.size()
        )));
    }
    let fits = [logits, table].iter().all(|tensor| tensor.kind() == v.kind());
    if !own::is_taken(v) || !fits {
        return Ok(plain(v, logits, table, words));
    }
    let rows = b * t * heads;
    let (lanes, grid) = own::of_lanes(rows, size);
    let vocabulary = table.size()[0];
    let numbers = [rows, heads, size, vocabulary, lanes];
    custom(
        &[v, logits, table, words],
        |inputs| {
            let [v, logits, table, words] = [0, 1, 2, 3].map(|i: usize| inputs[i].contiguous());
            let output = v.empty_like();
            let tensors = [&v, &logits, &table, &words, &output].map(Argument::from);
            // SAFETY: the shapes fit, as checked above, and the kernel reads no row that the table does not have.
            ok(unsafe { GATE.launch(grid, &[&tensors[..], &numbers.map(Argument::Int)[..]].concat()) });
            Forward { output, saved: vec![logits, table, words] }
        },
        move |saved, gradient| {
            let [logits, table, words] = [0, 1, 2].map(|i: usize| &saved[i]);
            let gradient = gradient.contiguous();
            let (grad_logits, embedded) = (logits.empty_like(), gradient.empty_like());
            let tensors = [&gradient, logits, table, words, &grad_logits, &embedded].map(Argument::from);
            // SAFETY: the gradients have the shapes of what they are gradients of; the rest is as above.
            ok(unsafe { GATE_BACKWARD.launch(grid, &[&tensors[..], &numbers.map(Argument::Int)[..]].concat()) });
            let embedded = embedded.view([b, t, heads * size]);
            // It adds to the row of every word unseen. One that is not in the table brings its NaN to a row that is.
            let rows = words.clamp(0, vocabulary - 1);
            let grad_table = Tensor::embedding_dense_backward(&embedded, &rows, vocabulary, -1, false);
            vec![Some(gradient), Some(grad_logits), Some(grad_table), None]
        },
    )
}

/// Computes the gate in single steps.
pub fn plain(v: &Tensor, logits: &Tensor, table: &Tensor, words: &Tensor) -> Tensor {
    let gate = logits.sigmoid() * 2.0;
    v + gate.unsqueeze(-1) * Tensor::embedding(table, words, -1, false, false).view_as(v)
}
