//! The memory that a training in the plain forms takes, checked before it begins.
//!
//! The fused operations keep what a training at the H100's sizes has room for. The plain forms keep the logits of a whole pass,
//! several times over, and every step of every layer: 128 rows of 2048 tokens take some 87 GB.

use super::Form;

/// Bytes of float32 logits that the plain head holds at its peak, for a word of the vocabulary.
const OF_A_WORD: i64 = 4 * 4;
/// Bytes that a channel of a layer keeps for the backward pass: 24 numbers in bf16.
const OF_A_CHANNEL: i64 = 24 * 2;

/// Bytes that the plain forms hold for a token, in bf16 as on a GPU.
pub fn plain_bytes(vocab_size: i64, layers: i64, channels: i64) -> i64 {
    OF_A_WORD * vocab_size + OF_A_CHANNEL * layers * channels
}

/// Rejects a training in the plain forms of `rows` rows of `seq_len` tokens, each token of which takes `token_bytes` ([`plain_bytes`]),
/// where they do not fit into `free` bytes. The fused forms always pass, and so does everything where nobody knows what is free.
///
/// # Errors
///
/// A sentence with the sizes and the remedy.
pub fn check(form: Form, rows: i64, seq_len: i64, token_bytes: i64, free: Option<u64>) -> Result<(), String> {
    let Some(free) = free.map(|free| free as f64).filter(|_| form == Form::Plain) else { return Ok(()) };
    let of_row = (token_bytes * seq_len) as f64;
    if of_row * rows as f64 <= free {
        return Ok(());
    }
    // The largest power of two that leaves a tenth of the memory for everything else.
    let remedy = match (0.9 * free / of_row).log2().floor() {
        power if power >= 0.0 => {
            format!("lower DEVICE_BATCH_SIZE to {:.0} (the steps stay the same), or ", power.exp2())
        }
        _ => String::new(),
    };
    Err(format!(
        "AUTORESEARCH_OPERATIONS=plain holds every step of a pass: {rows} rows of {seq_len} tokens take some {:.0} GB, and {:.0} GB are free; {remedy}use the fused operations",
        of_row * rows as f64 / 1e9,
        free / 1e9,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_forms_are_rejected_where_they_do_not_fit() {
        let of = |form, rows, gigabytes: f64| {
            check(form, rows, 2048, plain_bytes(8192, 8, 512), Some((gigabytes * 1e9) as u64))
        };
        let h100 = of(Form::Plain, 128, 80.0).unwrap_err();
        assert!(h100.contains("take some 86 GB, and 80 GB are free; lower DEVICE_BATCH_SIZE to 64"), "{h100}");
        let small = of(Form::Plain, 128, 0.2).unwrap_err();
        assert!(small.ends_with("0 GB are free; use the fused operations"), "{small}");
        assert_eq!(of(Form::Plain, 128, 141.0), Ok(()));
        assert_eq!(of(Form::Plain, 64, 80.0), Ok(()));
        assert_eq!(of(Form::Fused, 128, 8.0), Ok(()));
        assert_eq!(check(Form::Plain, 1 << 20, 2048, 1 << 20, None), Ok(()));
    }
}
