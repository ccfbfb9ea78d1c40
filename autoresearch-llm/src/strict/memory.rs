//! The memory that an evaluation and the server of a model share: tokens one way, logits the other.
//!
//! A page with the shape (the version of the layout, rows, tokens of a row, vocabulary, each 64 bits), then two slots, so that
//! one batch is computed while the one before is read. A slot has tokens as 64-bit integers and logits as 32-bit floats, each
//! part on pages of its own. Neither side may rely on what the other writes to stay as it is.

use std::fs::File;
use std::io;

use memmap2::MmapRaw;

use super::error::StrictError;

/// The number of batches that there is memory for.
pub const SLOTS: usize = 2;

const VERSION: u64 = 1;
const PAGE: usize = 4096;

/// The sizes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sequences of a batch.
    pub rows: usize,
    /// Tokens of a sequence.
    pub seq_len: usize,
    /// Logits of a position.
    pub vocab_size: usize,
}

impl Shape {
    /// The positions of a batch.
    pub fn positions(&self) -> usize {
        self.rows * self.seq_len
    }

    /// The logits of a batch.
    pub fn logits(&self) -> usize {
        self.positions() * self.vocab_size
    }

    /// Bytes of the tokens and of the logits of a slot, and of the whole memory. `None` if no memory could hold them.
    fn sizes(&self) -> Option<(usize, usize, usize)> {
        let positions = self.rows.checked_mul(self.seq_len)?;
        let tokens = positions.checked_mul(8)?.checked_next_multiple_of(PAGE)?;
        let logits = positions.checked_mul(self.vocab_size)?.checked_mul(4)?.checked_next_multiple_of(PAGE)?;
        let all = tokens.checked_add(logits)?.checked_mul(SLOTS)?.checked_add(PAGE)?;
        Some((tokens, logits, all))
    }
}

/// A mapping of the shared memory.
#[derive(Debug)]
pub struct Memory {
    map: MmapRaw,
    shape: Shape,
    tokens: usize,
    logits: usize,
}

// SAFETY: it is plain memory at a fixed place, which is read and written through raw pointers alone.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes the memory, and the file by which another process gets it.
    pub fn create(shape: Shape) -> Result<(Memory, File), StrictError> {
        let failed = StrictError::machine("cannot make memory to share with the model's server");
        let (tokens, logits, all) =
            shape.sizes().ok_or_else(|| StrictError::Machine(format!("no memory holds a batch of {shape:?}")))?;
        let file = anonymous(all).map_err(&failed)?;
        let map = MmapRaw::map_raw(&file).map_err(&failed)?;
        let words = [VERSION, shape.rows as u64, shape.seq_len as u64, shape.vocab_size as u64];
        // SAFETY: the first page is larger than these words, and a page is aligned for them.
        unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), map.as_mut_ptr().cast(), words.len()) };
        Ok((Memory { map, shape, tokens, logits }, file))
    }

    /// Maps the memory that another process made.
    pub fn open(file: &File) -> Result<Memory, StrictError> {
        let odd = || StrictError::server("the memory of the evaluation has another layout than this program knows");
        let map = MmapRaw::map_raw(file).map_err(StrictError::machine("cannot map the memory of the evaluation"))?;
        if map.len() < PAGE {
            return Err(odd());
        }
        let mut words = [0u64; 4];
        // SAFETY: the first page is larger than these words, and a page is aligned for them.
        unsafe { std::ptr::copy_nonoverlapping(map.as_ptr().cast(), words.as_mut_ptr(), words.len()) };
        let [version, rows, seq_len, vocab_size] = words.map(|word| usize::try_from(word).unwrap_or(usize::MAX));
        let shape = Shape { rows, seq_len, vocab_size };
        match shape.sizes() {
            Some((tokens, logits, all)) if version as u64 == VERSION && all == map.len() => {
                Ok(Memory { map, shape, tokens, logits })
            }
            _ => Err(odd()),
        }
    }

    /// The sizes of its batches.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The tokens of a slot, as many as there are positions.
    pub fn tokens(&self, slot: usize) -> *mut i64 {
        let at = PAGE + (slot % SLOTS) * (self.tokens + self.logits);
        // SAFETY: within the mapping, by the sizes that it was made with.
        unsafe { self.map.as_mut_ptr().add(at) }.cast()
    }

    /// The logits of a slot, position by position.
    pub fn logits(&self, slot: usize) -> *mut f32 {
        let at = PAGE + (slot % SLOTS) * (self.tokens + self.logits) + self.tokens;
        // SAFETY: within the mapping, by the sizes that it was made with.
        unsafe { self.map.as_mut_ptr().add(at) }.cast()
    }
}

/// A file without a name, of that size for ever.
#[cfg(target_os = "linux")]
fn anonymous(size: usize) -> io::Result<File> {
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: plain system calls; the descriptor is new, and nobody else's.
    let file = unsafe {
        match libc::memfd_create(c"logits".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.set_len(size as u64)?;
    // A server that cut it would make the evaluation stumble.
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a plain system call on a file of ours.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(file),
    }
}

#[cfg(not(target_os = "linux"))]
fn anonymous(_: usize) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has what it needs"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_and_neither_can_cut_it() {
        let shape = Shape { rows: 3, seq_len: 5, vocab_size: 7 };
        let (ours, file) = Memory::create(shape).unwrap();
        let theirs = Memory::open(&file).unwrap();
        assert_eq!(theirs.shape(), shape);
        for slot in 0..SLOTS {
            // SAFETY: both are within the slot.
            unsafe {
                ours.tokens(slot).add(14).write(40 + slot as i64);
                theirs.logits(slot).add(104).write(0.5 + slot as f32);
                assert_eq!(theirs.tokens(slot).add(14).read(), 40 + slot as i64);
                assert_eq!(ours.logits(slot).add(104).read(), 0.5 + slot as f32);
            }
        }
        assert!(file.set_len(10).is_err());
        assert!(Memory::create(Shape { rows: usize::MAX / 2, ..shape }).is_err());
        let other = tempfile::tempfile().unwrap();
        assert!(matches!(Memory::open(&other), Err(StrictError::Machine(_) | StrictError::Server(_))));
    }
}
