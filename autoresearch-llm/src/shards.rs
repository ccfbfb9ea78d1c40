//! Token shards: documents as 16-bit tokens in one memory-mapped file.
//!
//! Layout, little endian: `ARTOK001`, the number of tokens (u64), the number of documents (u64), CRC-32C of all that
//! follows (u32), zero (u32), where each document begins (u64 each, in tokens), the tokens (u16 each). Every document
//! begins with the beginning-of-sequence token.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use memmap2::Mmap;

use crate::error::DataError;

const MAGIC: &[u8; 8] = b"ARTOK001";
const HEADER: usize = 32;

/// An open shard.
#[derive(Debug)]
pub struct Shard {
    map: Mmap,
    tokens: usize,
    documents: usize,
}

impl Shard {
    /// Opens and verifies a shard.
    pub fn open(path: &Path) -> Result<Shard, DataError> {
        let file = File::open(path).map_err(|e| DataError::read(path, e))?;
        // SAFETY: shards are written once, under another name, and renamed; nobody changes one in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| DataError::read(path, e))?;
        if map.len() < HEADER || &map[..8] != MAGIC {
            return Err(DataError::corrupt(path, "it is not a token shard"));
        }
        let word = |at: usize| u64::from_le_bytes(map[at..at + 8].try_into().unwrap_or_default());
        let (tokens, documents) = (word(8), word(16));
        let size = documents.checked_mul(8).zip(tokens.checked_mul(2)).and_then(|(a, b)| a.checked_add(b));
        if size.and_then(|size| size.checked_add(HEADER as u64)) != Some(map.len() as u64) {
            return Err(DataError::corrupt(path, format!("it should hold {tokens} tokens, and its size does not fit")));
        }
        let sum = crc32c::crc32c(&map[HEADER..]);
        if u64::from(sum) != word(24) {
            return Err(DataError::corrupt(path, "its checksum does not fit"));
        }
        let shard = Shard { tokens: tokens as usize, documents: documents as usize, map };
        // The checksum vouches for what the writer wrote; this, for the writer.
        let ordered = (0..shard.documents).all(|i| shard.begin(i) <= shard.begin(i + 1));
        if ordered { Ok(shard) } else { Err(DataError::corrupt(path, "its documents overlap")) }
    }

    /// Returns the number of tokens in the shard.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Returns the number of documents in the shard.
    pub fn documents(&self) -> usize {
        self.documents
    }

    fn begin(&self, document: usize) -> usize {
        if document == self.documents {
            return self.tokens;
        }
        let at = HEADER + 8 * document;
        u64::from_le_bytes(self.map[at..at + 8].try_into().unwrap_or_default()) as usize
    }

    /// Returns the length of a document in tokens.
    pub fn length(&self, document: usize) -> usize {
        self.begin(document + 1) - self.begin(document)
    }

    /// The tokens of a document from its beginning, as many as `into` holds.
    pub fn copy(&self, document: usize, into: &mut [i64]) {
        let at = HEADER + 8 * self.documents + 2 * self.begin(document);
        let bytes = &self.map[at..at + 2 * into.len()];
        for (token, pair) in into.iter_mut().zip(bytes.chunks_exact(2)) {
            *token = i64::from(u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
}

/// Writes a shard; it appears under its name only when it is whole and on the disk.
pub fn write(path: &Path, documents: &[Vec<u16>]) -> Result<(), DataError> {
    let failed = |e| DataError::write(path, e);
    let mut body = Vec::with_capacity(documents.iter().map(|d| 8 + 2 * d.len()).sum());
    let mut begin = 0u64;
    for document in documents {
        body.extend_from_slice(&begin.to_le_bytes());
        begin += document.len() as u64;
    }
    body.extend(documents.iter().flatten().flat_map(|token| token.to_le_bytes()));

    let temporary = path.with_extension("tmp");
    let file = File::create(&temporary).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let mut put = || {
        out.write_all(MAGIC)?;
        out.write_all(&begin.to_le_bytes())?;
        out.write_all(&(documents.len() as u64).to_le_bytes())?;
        out.write_all(&u64::from(crc32c::crc32c(&body)).to_le_bytes())?;
        out.write_all(&body)?;
        out.flush()?;
        out.get_ref().sync_all()
    };
    put().and_then(|()| std::fs::rename(&temporary, path)).map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Vec<u16>> {
        vec![vec![0, 5, 65535], vec![0], vec![0, 7]]
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, &example()).unwrap();
        let shard = Shard::open(&path).unwrap();
        assert_eq!((shard.tokens(), shard.documents()), (6, 3));
        for (i, document) in example().iter().enumerate() {
            let mut tokens = vec![0; shard.length(i)];
            shard.copy(i, &mut tokens);
            assert!(tokens.iter().map(|t| *t as u16).eq(document.iter().copied()));
        }
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, &example()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(matches!(Shard::open(&path), Err(DataError::Corrupt { .. })), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Shard::open(&path).is_err(), "cut at {at}");
        }
    }
}
