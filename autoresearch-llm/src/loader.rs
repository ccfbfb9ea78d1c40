//! Best-fit packing of documents into rows, as in karpathy's `prepare.py`.
//!
//! Every row begins with a document. While a row has room, the largest document of a buffer of about a thousand that fits
//! is placed; when none fits, the shortest one is cropped to fill the row exactly. So there is no padding, and most
//! documents stay whole. Rows are one token longer than the context: inputs are all but the last, targets all but the
//! first.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::error::DataError;
use crate::shards::Shard;

/// Least number of documents in the buffer when one is chosen.
const BUFFER: usize = 1000;
/// Number of documents that a refill adds to the buffer; fewer at the end of a shard.
const REFILL: usize = 128;

/// An endless stream of batches.
#[derive(Debug)]
pub struct Loader {
    shards: Vec<Arc<Shard>>,
    batch: usize,
    seq_len: usize,
    /// The next document to be read.
    at: (usize, usize),
    epoch: u32,
    /// Documents in the buffer, and beside them their lengths, which are all that choosing looks at.
    buffer: Vec<(u32, u32)>,
    lengths: Vec<u32>,
    row: Vec<i64>,
}

impl Loader {
    /// A loader of `batch` rows of `seq_len` tokens.
    pub fn new(shards: Vec<Arc<Shard>>, batch: usize, seq_len: usize) -> Result<Loader, DataError> {
        if batch == 0 || seq_len == 0 {
            return Err(DataError::Setting("batch and sequence length must be at least 1".into()));
        }
        // An empty document could be placed for ever without filling a row.
        let usable = |shard: &Arc<Shard>| shard.documents() > 0 && (0..shard.documents()).all(|i| shard.length(i) > 0);
        if shards.is_empty() || !shards.iter().all(usable) {
            return Err(DataError::Empty("a shard".into()));
        }
        let row = vec![0; seq_len + 1];
        Ok(Loader { shards, batch, seq_len, at: (0, 0), epoch: 1, buffer: Vec::new(), lengths: Vec::new(), row })
    }

    /// The number of rows of a batch and their length in tokens.
    pub fn shape(&self) -> (usize, usize) {
        (self.batch, self.seq_len)
    }

    /// Fills `inputs` and `targets`, each of `batch * seq_len` tokens, row by row. Returns the epoch, from 1.
    pub fn next_batch(&mut self, inputs: &mut [i64], targets: &mut [i64]) -> Result<u32, DataError> {
        let size = self.batch * self.seq_len;
        if inputs.len() != size || targets.len() != size {
            return Err(DataError::Setting(format!("a batch needs buffers of {size} tokens")));
        }
        for (input, target) in inputs.chunks_exact_mut(self.seq_len).zip(targets.chunks_exact_mut(self.seq_len)) {
            self.pack();
            input.copy_from_slice(&self.row[..self.seq_len]);
            target.copy_from_slice(&self.row[1..]);
        }
        Ok(self.epoch)
    }

    fn pack(&mut self) {
        let mut position = 0;
        while position < self.row.len() {
            while self.buffer.len() < BUFFER {
                self.refill();
            }
            let room = (self.row.len() - position) as u32;
            // The first of the longest that fit; without one, the first of the shortest.
            let (mut best, mut best_length) = (None, 0);
            let (mut shortest, mut shortest_length) = (0, u32::MAX);
            for (index, &length) in self.lengths.iter().enumerate() {
                if length > best_length && length <= room {
                    (best, best_length) = (Some(index), length);
                }
                if length < shortest_length {
                    (shortest, shortest_length) = (index, length);
                }
            }
            let chosen = best.unwrap_or(shortest);
            let length = self.lengths.remove(chosen).min(room) as usize;
            let (shard, document) = self.buffer.remove(chosen);
            self.shards[shard as usize].copy(document as usize, &mut self.row[position..position + length]);
            position += length;
        }
    }

    fn refill(&mut self) {
        if self.at.0 == self.shards.len() {
            self.at = (0, 0);
            self.epoch += 1;
        }
        let (shard, first) = self.at;
        let documents = self.shards[shard].documents();
        let end = documents.min(first + REFILL);
        for document in first..end {
            self.buffer.push((shard as u32, document as u32));
            self.lengths.push(u32::try_from(self.shards[shard].length(document)).unwrap_or(u32::MAX));
        }
        self.at = if end == documents { (shard + 1, 0) } else { (shard, end) };
    }
}

/// A batch of tokens: inputs and targets, `batch * seq_len` each, and the epoch.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Row by row.
    pub inputs: Vec<i64>,
    /// Row by row, one token ahead.
    pub targets: Vec<i64>,
    /// From 1.
    pub epoch: u32,
}

/// A loader that packs batches ahead on a thread of its own. Dropping it ends the thread.
#[derive(Debug)]
pub struct Prefetch {
    ready: Receiver<Result<Tokens, DataError>>,
    used: SyncSender<Tokens>,
}

impl Prefetch {
    /// Keeps up to `ahead` batches ready.
    pub fn new(mut loader: Loader, ahead: usize) -> Result<Prefetch, DataError> {
        let (send, ready) = sync_channel(ahead.max(1));
        let (used, reuse) = sync_channel::<Tokens>(ahead.max(1) + 2);
        let size = loader.batch * loader.seq_len;
        let work = move || {
            loop {
                let mut tokens = reuse.try_recv().unwrap_or_default();
                tokens.inputs.resize(size, 0);
                tokens.targets.resize(size, 0);
                let packed = loader.next_batch(&mut tokens.inputs, &mut tokens.targets);
                let packed = packed.map(|epoch| Tokens { epoch, ..tokens });
                if send.send(packed).is_err() {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("loader".into()).spawn(work);
        spawned.map_err(|e| DataError::Setting(format!("cannot start a thread for the loader: {e}")))?;
        Ok(Prefetch { ready, used })
    }

    /// The next batch.
    pub fn next(&self) -> Result<Tokens, DataError> {
        self.ready.recv().unwrap_or_else(|_| Err(DataError::Setting("the loader's thread ended".into())))
    }

    /// Gives a batch's memory back to be filled again.
    pub fn recycle(&self, tokens: Tokens) {
        // When the thread has enough of them, this one is simply freed.
        let _ = self.used.try_send(tokens);
    }
}
