//! The sequences that a model is asked about, in an order that it cannot know, and those that catch what it must not do.

use std::fs::File;
use std::io::Read;

use super::error::StrictError;
use crate::error::DataError;
use crate::workload::{Split, Workload};

/// Tokens of a sequence, and the token after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Tokens that the model sees.
    pub inputs: Vec<u16>,
    /// Tokens that it is measured on, one ahead of those.
    pub targets: Vec<u16>,
}

/// Reads the sequences that val_bpb is measured on: the first `eval_tokens` tokens of the validation split as the loader packs them.
///
/// # Errors
///
/// The data cannot be read, or has not one sequence.
pub fn read(workload: &Workload) -> Result<Vec<Sequence>, DataError> {
    let (tokens, seq_len) = (workload.fixed.eval_tokens, workload.fixed.max_seq_len);
    let count = tokens / seq_len.max(1);
    if count == 0 {
        return Err(DataError::Setting(format!(
            "the evaluation has {tokens} tokens, fewer than a row of {seq_len}; prepare the data with more"
        )));
    }
    let mut loader = workload.loader(Split::Val, 1, seq_len)?;
    let (mut inputs, mut targets) = (vec![0; seq_len], vec![0; seq_len]);
    let small = |tokens: &[i64]| tokens.iter().map(|token| u16::try_from(*token).unwrap_or(u16::MAX)).collect();
    let mut next = || {
        loader.next_batch(&mut inputs, &mut targets)?;
        Ok(Sequence { inputs: small(&inputs), targets: small(&targets) })
    };
    (0..count).map(|_| next()).collect()
}

/// A second question about a sequence, to another process of the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Number of the sequence that was measured.
    pub of: usize,
    /// Number of its first tokens that are the same. All of them in a probe for state.
    pub kept: usize,
    /// Tokens that the model sees.
    pub inputs: Vec<u16>,
}

/// Makes `count` probes of different sequences. In seven of eight other tokens, such as stand in other sequences, follow after a
/// random position: a model that looks at no later token answers the same up to there. Every eighth is the sequence itself, which
/// other ones surround and precede.
pub fn probes(sequences: &[Sequence], count: usize, vocabulary: usize, random: &mut Random) -> Vec<Probe> {
    let order = random.order(sequences.len());
    let probe = |(number, of): (usize, usize)| {
        let Sequence { inputs, .. } = &sequences[of];
        if number % 8 == 7 || inputs.len() < 2 {
            return Probe { of, kept: inputs.len(), inputs: inputs.clone() };
        }
        let kept = 1 + random.below(inputs.len() - 1);
        let mut changed = inputs[..kept].to_vec();
        changed.extend_from_slice(&sequences[random.below(sequences.len())].inputs[kept..]);
        if changed[kept] == inputs[kept] {
            changed[kept] =
                ((usize::from(changed[kept]) + 1 + random.below(vocabulary.max(3) - 2)) % vocabulary) as u16;
        }
        Probe { of, kept, inputs: changed }
    };
    order.into_iter().take(count).enumerate().map(probe).collect()
}

/// Random numbers that no candidate can know.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a number of the system's.
    ///
    /// # Errors
    ///
    /// There is no `/dev/urandom`.
    pub fn new() -> Result<Random, StrictError> {
        let mut seed = [0; 8];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
        read.map_err(StrictError::machine("cannot read random numbers from /dev/urandom"))?;
        Ok(Random(u64::from_le_bytes(seed)))
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * end as u128) >> 64) as usize
    }

    /// The numbers below `count` in a random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_keep_a_beginning_and_change_the_token_after_it() {
        let sequence = |first: usize| Sequence {
            inputs: (0..24).map(|at| ((first * 5 + at * 3) % 7) as u16).collect(),
            targets: vec![0; 24],
        };
        let sequences: Vec<Sequence> = (0..40).map(sequence).collect();
        let mut random = Random(1);
        let mut positions = [0; 24];
        for _ in 0..20 {
            let probes = probes(&sequences, 32, 7, &mut random);
            let mut of: Vec<usize> = probes.iter().map(|probe| probe.of).collect();
            of.sort_unstable();
            of.dedup();
            assert_eq!((probes.len(), of.len()), (32, 32), "each of another sequence");
            assert_eq!(probes.iter().filter(|probe| probe.kept == 24).count(), 4);
            for Probe { of, kept, inputs } in &probes {
                let original = &sequences[*of].inputs;
                assert_eq!((&inputs[..*kept], inputs.len()), (&original[..*kept], 24));
                assert!(inputs.iter().all(|token| *token < 7));
                if *kept < 24 {
                    assert_ne!(inputs[*kept], original[*kept]);
                    positions[*kept] += 1;
                }
            }
        }
        assert!(positions[1..].iter().all(|count| *count > 5), "every position is probed: {positions:?}");
        assert_eq!(probes(&sequences[..3], 32, 7, &mut random).len(), 3);
    }
}
