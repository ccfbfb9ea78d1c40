//! A trial of attention before training begins, so that no kernel turns its shapes down in the middle of a run.
//!
//! Over whole contexts libtorch chooses among kernels of its own. cuDNN's is the fastest on some GPUs, and builds its plan when
//! the first call comes: a version of it that has none for a length, a dimension or a GPU says so only then.

use std::fmt;

use tch::{Device, Kind, TchError, Tensor, with_grad};

use super::attention::Window;
use super::ffi;
use super::heads::Heads;

/// The result of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The kernel that computes whole contexts.
    pub kernel: &'static str,
    /// Message of cuDNN where it refused, and another kernel stands in for it.
    pub refused: Option<String>,
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            None => write!(f, "{}", self.kernel),
            Some(why) => write!(f, "{}, since cuDNN refuses these shapes: {why}", self.kernel),
        }
    }
}

/// Runs both passes of attention once with `rows` rows of `tokens` tokens, by [`Window::plain`]. Where that fails, cuDNN's attention
/// is switched off for this process and the trial repeated. On a CPU there is nothing to try.
///
/// # Errors
///
/// Memory that runs out, and what fails without cuDNN as well.
pub fn whole_contexts(
    device: Device,
    kind: Kind,
    heads: Heads,
    rows: i64,
    tokens: i64,
) -> Result<Option<Probed>, TchError> {
    if !matches!(device, Device::Cuda(_)) {
        return Ok(None);
    }
    let window = Window::new(tokens, tokens, device);
    let refused = with_fallback(
        || both_passes(&window, device, kind, heads, rows, tokens).map(drop),
        // SAFETY: it sets a global of libtorch.
        || ffi::checked(unsafe { ffi::autoresearch_cudnn_attention(0) }),
    )?;
    let kernel = both_passes(&window, device, kind, heads, 1, tokens)?;
    Ok(Some(Probed { kernel, refused }))
}

/// Tries `attempt`, and where it fails a second time after `fall_back`. Returns the first failure, if there was one.
fn with_fallback(
    mut attempt: impl FnMut() -> Result<(), TchError>,
    fall_back: impl FnOnce() -> Result<(), TchError>,
) -> Result<Option<String>, TchError> {
    match attempt() {
        Ok(()) => Ok(None),
        // No other kernel needs less.
        Err(error) if error.to_string().contains("out of memory") => Err(error),
        Err(error) => {
            fall_back()?;
            attempt()?;
            Ok(Some(first_line(&error.to_string())))
        }
    }
}

/// Computes attention and its gradients; returns the name of libtorch's choice among its kernels.
fn both_passes(
    window: &Window,
    device: Device,
    kind: Kind,
    heads: Heads,
    rows: i64,
    tokens: i64,
) -> Result<&'static str, TchError> {
    // Heads lie behind tokens, as linear maps leave them.
    let leaf = |count: i64| {
        let leaf = Tensor::f_zeros([rows, tokens, count, heads.dimension], (kind, device))?;
        Ok::<_, TchError>(leaf.f_transpose(1, 2)?.set_requires_grad(true))
    };
    let (q, k, v) = (leaf(heads.queries)?, leaf(heads.keys)?, leaf(heads.keys)?);
    with_grad(|| window.plain(&q, &k, &v).and_then(|output| output.f_sum(Kind::Float)?.f_backward()))?;
    let grouped = heads.queries != heads.keys;
    let choice = Tensor::f_internal_fused_sdp_choice(&q, &k, &v, None::<&Tensor>, 0.0, true, None, grouped)?;
    // c10's numbers of kernels.
    Ok(match choice {
        0 => "single steps",
        1 => "FlashAttention",
        2 => "memory-efficient attention",
        3 => "cuDNN",
        _ => "another kernel of libtorch",
    })
}

/// The first line of a message, which goes on with frames of C++.
fn first_line(text: &str) -> String {
    text.split(['\n']).next().unwrap_or_default().split("\\n").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_refuses_is_replaced_and_its_words_are_kept() {
        let failing = |message: &'static str| TchError::Torch(message.into());
        let (mut calls, mut off) = (0, false);
        let refused = with_fallback(
            || {
                calls += 1;
                if calls == 1 { Err(failing("no valid execution plans built.\\nException raised")) } else { Ok(()) }
            },
            || {
                off = true;
                Ok(())
            },
        );
        let refused = refused.unwrap().unwrap();
        assert!(off && calls == 2 && refused.ends_with("no valid execution plans built."), "{refused}");
        // What works is left alone; what fails without cuDNN too, and memory that runs out, are errors.
        let untouched = || panic!("there is nothing to fall back from");
        assert_eq!(with_fallback(|| Ok(()), untouched).unwrap(), None);
        assert!(with_fallback(|| Err(failing("no kernel image")), || Ok(())).is_err());
        assert!(with_fallback(|| Err(failing("CUDA out of memory.")), untouched).is_err());
    }

    #[test]
    fn both_passes_run_on_the_shapes_that_they_are_given() {
        let heads = Heads { queries: 4, keys: 2, dimension: 16 };
        let window = Window::new(40, 40, Device::Cpu);
        let kernel = both_passes(&window, Device::Cpu, Kind::Float, heads, 2, 40).unwrap();
        assert!(["single steps", "FlashAttention"].contains(&kernel), "{kernel}");
        let odd = Heads { queries: 4, keys: 3, dimension: 16 };
        assert!(both_passes(&window, Device::Cpu, Kind::Float, odd, 2, 40).is_err());
        assert_eq!(whole_contexts(Device::Cpu, Kind::Float, heads, 2, 40).unwrap(), None);
    }
}
