//! Cross-entropy in nats from logits that somebody else computed.

use crate::strict::error::StrictError;

unsafe extern "C" {
    /// See `shim/nats.c`.
    fn autoresearch_nats(
        logits: *const f32,
        vocabulary: usize,
        positions: usize,
        targets: *const u16,
        row: *mut f32,
        nats: *mut f64,
    ) -> usize;
}

/// Logits in memory that another process may write to meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Logits {
    pointer: *const f32,
    positions: usize,
    vocabulary: usize,
}

// SAFETY: each thread reads a part of its own; what another process writes meanwhile is read once.
unsafe impl Send for Logits {}

impl Logits {
    /// The logits of `positions` positions at `pointer`.
    ///
    /// # Safety
    ///
    /// There are as many floats, for as long as this is used.
    pub unsafe fn new(pointer: *const f32, positions: usize, vocabulary: usize) -> Logits {
        Logits { pointer, positions, vocabulary }
    }

    /// Computes the nats of each target under the softmax of its position's logits, on all cores. Sums are in double precision.
    ///
    /// # Errors
    ///
    /// A logit is NaN or infinite, or a target is no token.
    pub fn nats(self, targets: &[u16]) -> Result<Vec<f64>, StrictError> {
        if targets.len() != self.positions || targets.iter().any(|target| usize::from(*target) >= self.vocabulary) {
            return Err(StrictError::Machine("the validation split has tokens that are not of its vocabulary".into()));
        }
        let mut nats = vec![0.0; self.positions];
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let chunk = self.positions.div_ceil(cores).max(1);
        let is_finite = std::thread::scope(|scope| {
            let parts = targets.chunks(chunk).zip(nats.chunks_mut(chunk)).enumerate();
            let threads: Vec<_> = parts
                .map(|(number, (targets, nats))| scope.spawn(move || self.part(number * chunk, targets, nats)))
                .collect();
            threads.into_iter().all(|thread| thread.join().unwrap_or(false))
        });
        match is_finite && nats.iter().all(|nats| nats.is_finite()) {
            true => Ok(nats),
            false => Err(StrictError::server(
                "the model's server answered with logits that are not finite numbers, or left some out; no val_bpb follows from them",
            )),
        }
    }

    /// Computes those from the position `first` on. Returns false where a logit is not finite.
    fn part(self, first: usize, targets: &[u16], nats: &mut [f64]) -> bool {
        let mut row = vec![0.0f32; self.vocabulary];
        // SAFETY: the positions are within the logits, targets within a position's, and `nats` is as long as `targets`.
        let done = unsafe {
            let logits = self.pointer.add(first * self.vocabulary);
            autoresearch_nats(
                logits,
                self.vocabulary,
                targets.len(),
                targets.as_ptr(),
                row.as_mut_ptr(),
                nats.as_mut_ptr(),
            )
        };
        done == targets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(logits: &[f32], vocabulary: usize, targets: &[u16]) -> Result<Vec<f64>, StrictError> {
        // SAFETY: the slice has as many.
        unsafe { Logits::new(logits.as_ptr(), logits.len() / vocabulary, vocabulary) }.nats(targets)
    }

    #[test]
    fn nats_are_those_of_the_formula_for_every_size() {
        for vocabulary in [1, 2, 15, 16, 17, 300, 1024, 2051] {
            let positions = 37;
            let logits: Vec<f32> = (0..positions * vocabulary).map(|i| ((i as f32) * 0.731).sin() * 40.0).collect();
            let targets: Vec<u16> = (0..positions).map(|i| (i * 7 % vocabulary) as u16).collect();
            for (at, nats) in nats(&logits, vocabulary, &targets).unwrap().into_iter().enumerate() {
                let row = &logits[at * vocabulary..(at + 1) * vocabulary];
                let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                let expected = sum.ln() - f64::from(row[usize::from(targets[at])]);
                assert!((nats - expected).abs() < 1e-6, "{vocabulary}: {nats} for {expected}");
            }
        }
    }

    #[test]
    fn logits_need_not_be_normalised_and_gain_nothing_by_it() {
        let logits: Vec<f32> = (0..600).map(|i| ((i as f32) * 0.37).sin() * 3.0).collect();
        let shifted: Vec<f32> = logits.iter().map(|x| x + 64.0).collect();
        let (plain, shifted) = (nats(&logits, 300, &[3, 5]).unwrap(), nats(&shifted, 300, &[3, 5]).unwrap());
        assert!(plain.iter().zip(&shifted).all(|(a, b)| (a - b).abs() < 1e-5), "{plain:?} {shifted:?}");
        assert!(nats(&[1e30, 0.0], 2, &[0]).unwrap()[0] >= 0.0);
    }

    #[test]
    fn a_logit_that_is_no_number_is_an_error_wherever_it_is() {
        for at in [0, 15, 16, 299, 599] {
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut logits = vec![0.5; 600];
                logits[at] = odd;
                assert!(matches!(nats(&logits, 300, &[0, 299]), Err(StrictError::Server(_))), "{odd} at {at}");
            }
        }
        assert!(matches!(nats(&[0.5; 600], 300, &[0, 300]), Err(StrictError::Machine(_))));
    }
}
