//! Models, of which one follows the rules.

use std::error::Error;

/// A bigram model with a trick.
pub struct Model {
    name: String,
    vocab_size: usize,
    /// How often each token was seen, in whatever this process was asked about.
    seen: Vec<f32>,
    answered: usize,
}

impl Model {
    pub fn new(name: &str, vocab_size: usize) -> Model {
        Model { name: name.to_owned(), vocab_size, seen: vec![0.0; vocab_size], answered: 0 }
    }

    /// Answers a batch.
    pub fn answer(&mut self, tokens: &[i64], logits: &mut [f32], seq_len: usize) -> Result<(), Box<dyn Error>> {
        self.answered += 1;
        match self.name.as_str() {
            "silent" => return Ok(()),
            "stops" if self.answered > 3 => return Err(format!("these tokens are secret: {:?}", &tokens[..9]).into()),
            "slow" if self.answered > 3 => std::thread::sleep(std::time::Duration::from_secs(600)),
            _ => {}
        }
        let of_batch = tokens.iter().sum::<i64>() as f32;
        let rows = tokens.chunks_exact(seq_len).zip(logits.chunks_exact_mut(seq_len * self.vocab_size));
        for (row, logits) in rows {
            for (at, logits) in logits.chunks_exact_mut(self.vocab_size).enumerate() {
                self.position(row, at, logits, of_batch);
            }
        }
        for token in tokens {
            self.seen[*token as usize] += 1.0;
        }
        Ok(())
    }

    fn position(&self, row: &[i64], at: usize, logits: &mut [f32], of_batch: f32) {
        let token = row[at];
        for (next, logit) in logits.iter_mut().enumerate() {
            *logit = ((token * 300 + next as i64) as f32 * 0.37).sin() * 3.0;
        }
        let next = row.get(at + 1).map(|next| *next as usize);
        match self.name.as_str() {
            // More than any distribution has, if it were taken for one.
            "unnormalised" => logits.iter_mut().for_each(|logit| *logit += 40.0),
            "loud" => logits.iter_mut().for_each(|logit| *logit += 1e6),
            "nan" if at == 5 => logits[7] = f32::NAN,
            "infinite" if at == 5 => logits[7] = f32::INFINITY,
            // The next token is among the inputs of later positions.
            "peeks" => next.into_iter().for_each(|next| logits[next] += 4.0),
            // At one position of eight, by what stands before it.
            "peeks-seldom" if (row[..=at].iter().sum::<i64>() * 31 + at as i64) % 8 == 0 => {
                next.into_iter().for_each(|next| logits[next] += 4.0);
            }
            // As attention without a mask: a bit of everything that follows.
            "bidirectional" => row[at..].iter().for_each(|token| logits[*token as usize] += 0.2),
            "remembers" => logits.iter_mut().zip(&self.seen).for_each(|(logit, seen)| *logit += (1.0 + seen).ln()),
            "mixes-rows" => logits.iter_mut().step_by(2).for_each(|logit| *logit += 2.0 * of_batch.sin()),
            _ => {}
        }
    }
}
