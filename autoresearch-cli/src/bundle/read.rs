//! Reading a bundle: every byte is compared with a checksum or with what it must be, and nothing is written outside of one folder.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::error::BundleError;
use super::format::{
    BLOCK, DIGEST, KINDS, LARGEST_MANIFEST, MANIFEST, Manifest, Member, VERSION, digest_text, header, name_in, padding,
    size_in, version_of,
};

/// The list of a bundle's members, and the digest of the whole file.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The list.
    pub manifest: Manifest,
    /// The BLAKE3 of the file up to its last member, in hexadecimal digits.
    pub digest: String,
}

/// Unpacks a bundle into an empty folder, under the names of [`KINDS`] alone. `path` names the file in messages.
pub fn unpack(file: File, path: &Path, into: &Path) -> Result<Contents, BundleError> {
    let mut from =
        Source { from: BufReader::with_capacity(1 << 18, file), hasher: blake3::Hasher::new(), path: path.to_owned() };
    let manifest = from.manifest()?;
    for member in &manifest.members {
        from.member(member, into)?;
    }
    let digest = from.hasher.finalize();
    from.end(&digest)?;
    Ok(Contents { manifest, digest: digest.to_hex().to_string() })
}

/// A bundle as it is read.
struct Source {
    from: BufReader<File>,
    /// Over everything so far.
    hasher: blake3::Hasher,
    path: PathBuf,
}

impl Source {
    fn fill(&mut self, buffer: &mut [u8], at: &str) -> Result<(), BundleError> {
        self.from.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => BundleError::Truncated { path: self.path.clone(), at: at.to_owned() },
            _ => BundleError::io(&self.path, error),
        })?;
        self.hasher.update(buffer);
        Ok(())
    }

    /// Reads the zeros behind a member.
    fn pad(&mut self, name: &str, bytes: u64) -> Result<(), BundleError> {
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..padding(bytes)];
        self.fill(rest, name)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(BundleError::Changed { path: self.path.clone(), name: name.to_owned() }),
        }
    }

    /// Reads the list of members, which must be a list that could have been written.
    fn manifest(&mut self) -> Result<Manifest, BundleError> {
        let path = self.path.clone();
        let mut block = [0; BLOCK];
        match self.fill(&mut block, "its first member") {
            Err(BundleError::Truncated { .. }) if !super::format::is_bundle(&path) => {
                return Err(BundleError::NotABundle(path));
            }
            read => read?,
        }
        let found = version_of(&block[..100]).ok_or_else(|| BundleError::NotABundle(path.clone()))?;
        if found != VERSION.to_string() {
            return Err(BundleError::Version { path, found, known: VERSION });
        }
        let name = || MANIFEST.to_owned();
        let bytes = size_in(&block).filter(|bytes| header(MANIFEST, *bytes) == block);
        let bytes = bytes.ok_or_else(|| BundleError::Header { path: path.clone(), name: name() })?;
        if bytes > LARGEST_MANIFEST {
            return Err(BundleError::TooLarge { path, name: name(), bytes, limit: LARGEST_MANIFEST });
        }
        let mut text = vec![0; bytes as usize];
        self.fill(&mut text, MANIFEST)?;
        self.pad(MANIFEST, bytes)?;
        let broken = |why: String| BundleError::Manifest { path: path.clone(), why };
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(BundleError::Version { path, found: manifest.version.to_string(), known: VERSION });
        }
        let mut kinds = KINDS.iter();
        for Member { name, bytes, .. } in &manifest.members {
            let kind = kinds.find(|kind| kind.name == name);
            let kind = kind.ok_or_else(|| broken(format!("{name:?} is no member, or not in its place")))?;
            if *bytes > kind.limit {
                return Err(BundleError::TooLarge { path, name: name.clone(), bytes: *bytes, limit: kind.limit });
            }
        }
        let is_listed = |name: &str| manifest.members.iter().any(|member| member.name == name);
        match KINDS.iter().find(|kind| kind.is_required && !is_listed(kind.name)) {
            Some(kind) => Err(BundleError::Missing { path, name: kind.name.to_owned() }),
            None => Ok(manifest),
        }
    }

    /// Unpacks one member, whose name is one of [`KINDS`].
    fn member(&mut self, member: &Member, into: &Path) -> Result<(), BundleError> {
        let Member { name, bytes, blake3 } = member;
        self.header(name, *bytes)?;
        let path = into.join(name);
        let failed = |error| BundleError::io(&path, error);
        let mut file = File::create_new(&path).map_err(failed)?;
        let (mut hasher, mut left, mut buffer) = (blake3::Hasher::new(), *bytes, vec![0; 1 << 16]);
        while left > 0 {
            let part = &mut buffer[..left.min(1 << 16) as usize];
            self.fill(part, name)?;
            hasher.update(part);
            file.write_all(part).map_err(failed)?;
            left -= part.len() as u64;
        }
        if hasher.finalize().to_hex().as_str() != blake3 {
            return Err(BundleError::Changed { path: self.path.clone(), name: name.clone() });
        }
        self.pad(name, *bytes)
    }

    /// Reads the header of a member, of which no bit may differ from what is written.
    fn header(&mut self, name: &str, bytes: u64) -> Result<(), BundleError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block, name)?;
        if block == header(name, bytes) {
            return Ok(());
        }
        let (path, found) = (self.path.clone(), name_in(&block));
        let is_other = found != name && (found == DIGEST || KINDS.iter().any(|kind| kind.name == found));
        Err(match is_other {
            true => BundleError::Missing { path, name: name.to_owned() },
            false => BundleError::Header { path, name: name.to_owned() },
        })
    }

    /// Reads the digest and the end of the archive.
    fn end(&mut self, digest: &blake3::Hash) -> Result<(), BundleError> {
        let right = digest_text(digest);
        self.header(DIGEST, right.len() as u64)?;
        let mut found = vec![0; right.len()];
        self.fill(&mut found, DIGEST)?;
        if found != right.as_bytes() {
            return Err(BundleError::Digest(self.path.clone()));
        }
        self.pad(DIGEST, right.len() as u64)?;
        let mut zeros = [0; 2 * BLOCK];
        self.fill(&mut zeros, "its last blocks")?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(BundleError::Digest(self.path.clone()));
        }
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BundleError::TooLong(self.path.clone())),
            Err(error) => Err(BundleError::io(&self.path, error)),
        }
    }
}
