//! The byte-level BPE tokenizer: karpathy's split pattern and special tokens, trained by the `tokenizers` crate.

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::error::DataError;

/// The pattern that cuts text before pairs are merged: GPT-4's, with numbers of at most two digits.
pub const SPLIT_PATTERN: &str =
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
/// Tokens that no text becomes.
pub const SPECIAL_TOKENS: [&str; 4] = ["<|reserved_0|>", "<|reserved_1|>", "<|reserved_2|>", "<|reserved_3|>"];
/// The token that every document begins with.
pub const BOS: &str = SPECIAL_TOKENS[0];
/// Number of a document's first characters that the tokenizer is trained on.
const TRAINED_CHARS: usize = 10_000;
/// The 256 bytes and the special tokens.
const SMALLEST: usize = 256 + SPECIAL_TOKENS.len();

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: u16,
}

fn failed(error: impl std::fmt::Display) -> DataError {
    DataError::Tokenizer(error.to_string())
}

impl Tokenizer {
    /// Trains a tokenizer of `vocab_size` tokens, special ones included. The same documents give the same tokenizer.
    pub fn train<'a>(
        documents: impl Iterator<Item = &'a str> + Send,
        vocab_size: usize,
    ) -> Result<Tokenizer, DataError> {
        if !(SMALLEST..=1 << 16).contains(&vocab_size) {
            return Err(DataError::Setting(format!("vocab_size is {vocab_size}; it must be from {SMALLEST} to 65536")));
        }
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        let split = Split::new(SplitPattern::Regex(SPLIT_PATTERN.into()), SplitDelimiterBehavior::Isolated, false)
            .map_err(failed)?;
        let bytes = ByteLevel::new(false, false, false);
        inner.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));
        inner.with_decoder(Some(ByteLevelDecoder::new(false, false, false)));
        let special = SPECIAL_TOKENS.iter().map(|name| AddedToken::from(*name, true)).collect();
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .min_frequency(0)
            .show_progress(false)
            .special_tokens(special)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let capped = documents.map(|text| text.char_indices().nth(TRAINED_CHARS).map_or(text, |(end, _)| &text[..end]));
        inner.train(&mut TrainerWrapper::BpeTrainer(trainer), capped).map_err(failed)?;
        Tokenizer::wrap(inner)
    }

    /// Reads a tokenizer that was saved.
    pub fn load(path: &Path) -> Result<Tokenizer, DataError> {
        let bytes = std::fs::read(path).map_err(|e| DataError::read(path, e))?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| DataError::corrupt(path, e.to_string()))?;
        Tokenizer::wrap(inner)
    }

    fn wrap(mut inner: tokenizers::Tokenizer) -> Result<Tokenizer, DataError> {
        // A document that quotes a special token's name is text like any other.
        inner.set_encode_special_tokens(true);
        let bos = inner.token_to_id(BOS).and_then(|id| u16::try_from(id).ok());
        Ok(Tokenizer { bos: bos.ok_or_else(|| failed(format!("it has no token {BOS}")))?, inner })
    }

    /// The tokenizer as JSON.
    pub fn to_json(&self) -> Result<String, DataError> {
        self.inner.to_string(true).map_err(failed)
    }

    /// The number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> u16 {
        self.bos
    }

    /// Documents as tokens, each beginning with [`Tokenizer::bos`]. Uses all cores.
    pub fn encode_documents(&self, documents: &[&str]) -> Result<Vec<Vec<u16>>, DataError> {
        let encoded = self.inner.encode_batch_fast(documents.to_vec(), false).map_err(failed)?;
        let document = |encoding: &tokenizers::Encoding| {
            let tokens = encoding.get_ids().iter().map(|id| u16::try_from(*id).map_err(failed));
            std::iter::once(Ok(self.bos)).chain(tokens).collect()
        };
        encoded.iter().map(document).collect()
    }

    /// A text as tokens, without a beginning-of-sequence token.
    pub fn encode(&self, text: &str) -> Result<Vec<u16>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(failed)?;
        encoding.get_ids().iter().map(|id| u16::try_from(*id).map_err(failed)).collect()
    }

    /// Tokens as text; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u16]) -> Result<String, DataError> {
        let ids: Vec<u32> = tokens.iter().map(|token| u32::from(*token)).collect();
        self.inner.decode(&ids, false).map_err(failed)
    }

    /// Length in bytes that each token has in val_bpb: that of its text decoded alone, so 3 for a token that is only a
    /// part of a character (it decodes to U+FFFD), as in karpathy's `prepare.py`; 0 for special tokens.
    pub fn token_bytes(&self) -> Result<Vec<i32>, DataError> {
        let length = |id: usize| {
            let id = u16::try_from(id).map_err(failed)?;
            let text = self.decode(&[id])?;
            Ok(if SPECIAL_TOKENS.contains(&text.as_str()) { 0 } else { text.len() as i32 })
        };
        (0..self.vocab_size()).map(length).collect()
    }
}
