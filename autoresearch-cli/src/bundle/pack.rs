//! A look over the objects of a git bundle before git reads them: how many there are, and how large each becomes. A few bytes can
//! stand for gigabytes, and nothing here holds more than a buffer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::ZlibDecoder;

use super::error::BundleError;

/// Most objects.
const OBJECTS: u32 = 20_000_000;
/// Largest object in bytes, and most bytes of all together.
const LARGEST: u64 = 1 << 30;
const TOGETHER: u64 = 1 << 40;
/// Longest line before the objects, in bytes.
const LINE: u64 = 4096;

/// The kinds of objects in a pack, as its format numbers them: those that say how they differ from another object.
const OFFSET_DELTA: u8 = 6;
const NAMED_DELTA: u8 = 7;

/// Checks the sizes that the objects of a git bundle have when they are unpacked. `bundle` names the file in messages.
pub fn check_sizes(path: &Path, bundle: &Path) -> Result<(), BundleError> {
    let file = File::open(path).map_err(|error| BundleError::io(path, error))?;
    check(&mut BufReader::with_capacity(1 << 18, file))
        .map_err(|why| BundleError::Pack { path: bundle.to_owned(), why })
}

fn check(from: &mut impl BufRead) -> Result<(), String> {
    let damaged = |error: std::io::Error| format!("objects that cannot be read: {error}");
    loop {
        let mut line = Vec::new();
        from.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(damaged)?;
        match line.as_slice() {
            b"\n" => break,
            [.., b'\n'] => {}
            _ => return Err("a line without an end before its objects".into()),
        }
    }
    let mut head = [0; 12];
    from.read_exact(&mut head).map_err(damaged)?;
    let [b'P', b'A', b'C', b'K', 0, 0, 0, 2, count @ ..] = head else {
        return Err("no pack of version 2".into());
    };
    let count = u32::from_be_bytes(count);
    if count > OBJECTS {
        return Err(format!("{count} objects, and {OBJECTS} are the most"));
    }
    let mut together = 0u64;
    for _ in 0..count {
        let size = object(from).map_err(damaged)?;
        if size > LARGEST {
            return Err(format!("an object of {size} bytes, and {LARGEST} are the most"));
        }
        together = together.saturating_add(size);
        if together > TOGETHER {
            return Err(format!("objects of more than {TOGETHER} bytes together"));
        }
    }
    Ok(())
}

/// Reads one object, and returns the size that it has when it is unpacked. Reading stops where it becomes too large.
fn object(from: &mut impl BufRead) -> std::io::Result<u64> {
    let first = byte(from)?;
    let kind = first >> 4 & 7;
    let size = match first & 0x80 {
        0 => u64::from(first & 15),
        _ => u64::from(first & 15) | number(from)?.checked_shl(4).unwrap_or(u64::MAX),
    };
    match kind {
        OFFSET_DELTA => while byte(from)? & 0x80 != 0 {},
        NAMED_DELTA => from.read_exact(&mut [0; 20])?,
        _ => {}
    }
    if size > LARGEST {
        return Ok(size);
    }
    let mut content = ZlibDecoder::new(from);
    let mut becomes = size;
    let mut read = 0;
    if matches!(kind, OFFSET_DELTA | NAMED_DELTA) {
        let mut start = Counted { from: &mut content, count: 0 };
        number(&mut start)?;
        becomes = number(&mut start)?;
        read = start.count;
    }
    read += std::io::copy(&mut (&mut content).take(LARGEST + 1), &mut std::io::sink())?;
    match read == size {
        true => Ok(becomes),
        false => Err(std::io::Error::other(format!("one has {read} bytes and should have {size}"))),
    }
}

/// A number of seven bits in each byte, the lowest first.
fn number(from: &mut impl Read) -> std::io::Result<u64> {
    let mut value = 0;
    for shift in (0..57).step_by(7) {
        let byte = byte(from)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(std::io::Error::other("a size has too many digits"))
}

fn byte(from: &mut impl Read) -> std::io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A reader that counts what passes.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A bundle of one object: its kind, the size that its header claims, and its content.
    fn bundle(kind: u8, claimed: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"# v2 git bundle\n\nPACK\0\0\0\x02\0\0\0\x01".to_vec();
        bytes.push(kind << 4 | (claimed & 15) as u8 | 0x80);
        bytes.extend(digits(claimed >> 4));
        bytes.extend(if kind == NAMED_DELTA { &[0; 20][..] } else { &[] });
        let mut packed = flate2::write::ZlibEncoder::new(bytes, flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }

    fn digits(mut value: u64) -> Vec<u8> {
        let mut digits = vec![(value & 0x7f) as u8];
        while value > 0x7f {
            value >>= 7;
            *digits.last_mut().unwrap() |= 0x80;
            digits.push((value & 0x7f) as u8);
        }
        digits
    }

    #[test]
    fn objects_that_become_too_large_are_found_before_they_are_unpacked() {
        let said = |bytes: Vec<u8>| check(&mut bytes.as_slice()).err().unwrap_or_default();
        assert_eq!(said(bundle(3, 5, b"hello")), "");
        assert!(said(bundle(3, 1 << 40, b"hello")).contains("an object of 1099511627776 bytes"));
        assert!(said(bundle(3, 5, b"hello and more")).contains("has 14 bytes and should have 5"));
        let delta = [digits(10), digits(1 << 40), vec![0x90, 10]].concat();
        assert!(said(bundle(NAMED_DELTA, delta.len() as u64, &delta)).contains("an object of 1099511627776 bytes"));
        let mut many = bundle(3, 5, b"hello");
        many[25..29].copy_from_slice(&[0xff; 4]);
        assert!(said(many).contains("4294967295 objects"));
        assert!(said(bundle(3, 5, b"hello")[..30].to_vec()).contains("cannot be read"));
        assert!(said(vec![b'x'; 10_000]).contains("without an end"));
    }
}
