//! The loader against a second, straightforward implementation of prepare.py's packing, token for token.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::Arc;

use autoresearch_llm::Loader;
use autoresearch_llm::loader::Prefetch;
use autoresearch_llm::shards::{self, Shard};
use proptest::prelude::*;

/// prepare.py's `make_dataloader`, step by step, over documents in memory. A shard stands for a row group.
struct Reference {
    shards: Vec<Vec<Vec<u16>>>,
    pending: VecDeque<Vec<Vec<u16>>>,
    buffer: Vec<Vec<u16>>,
    epochs: u32,
}

impl Reference {
    fn new(shards: &[Vec<Vec<u16>>]) -> Reference {
        Reference { shards: shards.to_vec(), pending: VecDeque::new(), buffer: vec![], epochs: 0 }
    }

    fn refill(&mut self) {
        if self.pending.is_empty() {
            self.epochs += 1;
            for shard in &self.shards {
                self.pending.extend(shard.chunks(128).map(<[_]>::to_vec));
            }
        }
        let batch = self.pending.pop_front().unwrap();
        self.buffer.extend(batch);
    }

    fn row(&mut self, capacity: usize) -> Vec<u16> {
        let mut row = vec![];
        while row.len() < capacity {
            while self.buffer.len() < 1000 {
                self.refill();
            }
            let remaining = capacity - row.len();
            let mut best = None;
            for (index, document) in self.buffer.iter().enumerate() {
                if document.len() <= remaining && best.is_none_or(|b: usize| document.len() > self.buffer[b].len()) {
                    best = Some(index);
                }
            }
            let index = best.unwrap_or_else(|| {
                let shortest = self.buffer.iter().map(Vec::len).min().unwrap();
                self.buffer.iter().position(|d| d.len() == shortest).unwrap()
            });
            let document = self.buffer.remove(index);
            row.extend(&document[..document.len().min(remaining)]);
        }
        row
    }
}

fn on_disk(documents: &[Vec<Vec<u16>>]) -> (tempfile::TempDir, Vec<Arc<Shard>>) {
    let folder = tempfile::tempdir().unwrap();
    let open = |(i, shard): (usize, &Vec<Vec<u16>>)| {
        let path = folder.path().join(format!("{i}.bin"));
        shards::write(&path, shard).unwrap();
        Arc::new(Shard::open(&path).unwrap())
    };
    let shards = documents.iter().enumerate().map(open).collect();
    (folder, shards)
}

/// Numbers of tokens that were compared and that differed.
fn compare(documents: &[Vec<Vec<u16>>], batch: usize, seq_len: usize, batches: usize) -> (usize, usize) {
    let (_folder, shards) = on_disk(documents);
    let mut loader = Loader::new(shards, batch, seq_len).unwrap();
    let mut reference = Reference::new(documents);
    let (mut inputs, mut targets) = (vec![0; batch * seq_len], vec![0; batch * seq_len]);
    let (mut compared, mut differ) = (0, 0);
    for _ in 0..batches {
        let epoch = loader.next_batch(&mut inputs, &mut targets).unwrap();
        for (input, target) in inputs.chunks(seq_len).zip(targets.chunks(seq_len)) {
            let row: Vec<i64> = reference.row(seq_len + 1).into_iter().map(i64::from).collect();
            let pairs = input.iter().zip(&row).chain(target.iter().zip(&row[1..]));
            differ += pairs.filter(|(a, b)| a != b).count();
            compared += 2 * seq_len;
        }
        differ += usize::from(epoch != reference.epochs);
    }
    (compared, differ)
}

/// Documents of many lengths: tiny ones, ones about as long as a row, some far longer.
fn documents(seed: u64, counts: &[usize]) -> Vec<Vec<Vec<u16>>> {
    let mut state = seed | 1;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut document = || {
        let longest = [4, 40, 200, 900][next(4) as usize];
        let length = 1 + next(longest) as usize;
        std::iter::once(0).chain((1..length).map(|_| 1 + next(5000) as u16)).collect::<Vec<u16>>()
    };
    counts.iter().map(|count| (0..*count).map(|_| document()).collect()).collect()
}

#[test]
fn packing_equals_a_straightforward_implementation() {
    let (mut tokens, mut mismatches) = (0, 0);
    for (seed, counts, batch, seq_len, batches) in [
        (1, vec![3000], 8, 256, 40),
        (2, vec![1500, 700, 129], 4, 128, 60),
        (3, vec![50], 3, 64, 120),
        (4, vec![1, 1, 1], 2, 32, 50),
        (5, vec![128, 256, 1], 16, 17, 80),
    ] {
        let (compared, differ) = compare(&documents(seed, &counts), batch, seq_len, batches);
        tokens += compared;
        mismatches += differ;
    }
    println!("evidence packing tokens_compared {tokens} mismatches {mismatches}");
    assert!(tokens > 100_000);
    assert_eq!(mismatches, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn packing_is_the_same_for_any_shape(seed: u64, counts in prop::collection::vec(1usize..400, 1..4), batch in 1usize..5, seq_len in 1usize..200) {
        prop_assert_eq!(compare(&documents(seed, &counts), batch, seq_len, 10).1, 0);
    }
}

#[test]
fn packing_ahead_changes_nothing() {
    let documents = documents(9, &[800]);
    let (_folder, shards) = on_disk(&documents);
    let ahead = Prefetch::new(Loader::new(shards.clone(), 2, 50).unwrap(), 3).unwrap();
    let mut loader = Loader::new(shards, 2, 50).unwrap();
    let (mut inputs, mut targets) = (vec![0; 100], vec![0; 100]);
    for _ in 0..50 {
        let epoch = loader.next_batch(&mut inputs, &mut targets).unwrap();
        let tokens = ahead.next().unwrap();
        assert_eq!((&tokens.inputs, &tokens.targets, tokens.epoch), (&inputs, &targets, epoch));
        ahead.recycle(tokens);
    }
}
