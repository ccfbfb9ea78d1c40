//! Writing a bundle from the files of its members.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::error::BundleError;
use super::format::{BLOCK, DIGEST, KINDS, MANIFEST, Manifest, Member, VERSION, digest_text, header, padding};

/// Writes the members that lie in `folder` to `to`. Returns their list and the digest of the whole.
pub fn write(folder: &Path, tag: &str, preset: &str, to: &Path) -> Result<(Manifest, String), BundleError> {
    let mut members = Vec::new();
    for kind in KINDS {
        let path = folder.join(kind.name);
        if !path.exists() {
            continue;
        }
        let (bytes, blake3) = measure(&path).map_err(|error| BundleError::io(&path, error))?;
        if bytes > kind.limit {
            let (name, limit) = (kind.name.to_owned(), kind.limit);
            return Err(BundleError::TooLarge { path: to.to_owned(), name, bytes, limit });
        }
        members.push(Member { name: kind.name.to_owned(), bytes, blake3 });
    }
    let program = format!("autoresearch {}", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest { version: VERSION, program, tag: tag.to_owned(), preset: preset.to_owned(), members };
    let digest = write_file(folder, &manifest, to)?;
    Ok((manifest, digest))
}

fn write_file(folder: &Path, manifest: &Manifest, to: &Path) -> Result<String, BundleError> {
    let failed = |error| BundleError::io(to, error);
    let file = File::create(to).map_err(failed)?;
    let mut out = Summed { to: BufWriter::new(file), hasher: blake3::Hasher::new() };
    let mut list = serde_json::to_vec_pretty(manifest).map_err(|error| failed(error.into()))?;
    list.push(b'\n');
    out.member(MANIFEST, list.len() as u64, &mut list.as_slice()).map_err(failed)?;
    for Member { name, bytes, blake3 } in &manifest.members {
        let path = folder.join(name);
        let file = File::open(&path).map_err(|error| BundleError::io(&path, error))?;
        // Not more than was measured, whatever has been added since.
        let mut content = Summed { to: BufReader::new(file).take(*bytes), hasher: blake3::Hasher::new() };
        out.member(name, *bytes, &mut content).map_err(failed)?;
        if content.to.limit() > 0 || content.hasher.finalize().to_hex().as_str() != blake3 {
            return Err(BundleError::Moved(path));
        }
    }
    let digest = out.hasher.finalize();
    let text = digest_text(&digest);
    out.member(DIGEST, text.len() as u64, &mut text.as_bytes()).map_err(failed)?;
    out.write_all(&[0; 2 * BLOCK]).map_err(failed)?;
    let file = out.to.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(digest.to_hex().to_string())
}

/// The size and the BLAKE3 of a file.
fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    let (mut file, mut hasher) = (File::open(path)?, blake3::Hasher::new());
    let bytes = std::io::copy(&mut file, &mut hasher)?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

/// A reader or a writer that hashes what passes.
struct Summed<T> {
    to: T,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.to.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Summed<W> {
    fn member(&mut self, name: &str, bytes: u64, content: &mut dyn Read) -> std::io::Result<()> {
        self.write_all(&header(name, bytes))?;
        std::io::copy(content, self)?;
        self.write_all(&[0; BLOCK][..padding(bytes)])
    }
}
