//! Failures that end a training, each told in a sentence.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ops::function::text_of;

/// The messages of libtorch when memory runs out, on CUDA and on the CPU.
const OUT_OF_MEMORY: [&str; 3] = ["out of memory", "can't allocate memory", "not enough memory"];

/// Runs `work`. Errors and panics become one sentence; if memory ran out it names the knob to turn.
///
/// The bindings panic on failures of libtorch, with a page of C++ frames: only what comes before them is shown.
///
/// # Errors
///
/// The error or panic that ended `work`.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, String> {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map_or(String::new(), |at| format!(" at {at}"));
        eprintln!("panicked{at}: {}", first_lines(&text_of(panic.payload())));
    }));
    let result = catch_unwind(AssertUnwindSafe(work));
    drop(std::panic::take_hook());
    match result {
        Ok(result) => result.map_err(|error| sentence(&error.to_string())),
        Err(panic) => Err(sentence(&text_of(panic.as_ref()))),
    }
}

/// Unwraps the result of an operation of [`crate::ops`]. It fails as those of the bindings do: with a panic, which ends the run with its
/// message.
///
/// # Panics
///
/// On an error.
pub fn ok<T>(result: Result<T, tch::TchError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn sentence(text: &str) -> String {
    let said = first_lines(text);
    match OUT_OF_MEMORY.iter().any(|known| text.contains(known)) {
        true => format!(
            "out of memory: lower DEVICE_BATCH_SIZE (the steps stay the same), or make the model smaller. {said}"
        ),
        false => said,
    }
}

/// Returns the part of a message before its C++ frames.
fn first_lines(text: &str) -> String {
    let end = ["\\nException raised from", "\nException raised from", "\\nframe #", "\nframe #"];
    let end = end.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_runs_out_names_the_knob() {
        let error = guarded(|| {
            // Far beyond any machine's address space.
            let huge = tch::Tensor::zeros([1 << 47], (tch::Kind::Float, tch::Device::Cpu));
            Ok(huge.numel())
        });
        let error = error.unwrap_err();
        assert!(error.starts_with("out of memory: lower DEVICE_BATCH_SIZE"), "{error}");
        assert!(!error.contains("frame #"), "{error}");
        assert_eq!(guarded::<()>(|| Err("plain".into())).unwrap_err(), "plain");
        assert_eq!(guarded::<()>(|| panic!("odd {}", 1)).unwrap_err(), "odd 1");
        assert_eq!(sentence("CUDA out of memory. Tried to allocate 2 GiB").find("out of memory: lower"), Some(0));
    }
}
