//! Compiled kernels on disk, by the hash of all that they are made of.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::corpus::{cache_folder, hex};

/// Returns the result of `make` for `parts`, made once on this machine. A cache that cannot be read or written costs time alone, so its
/// failures are none.
pub(super) fn cached(parts: &[&str], make: impl FnOnce() -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
    match cache_folder() {
        Ok(cache) => cached_in(&cache.join("kernels"), parts, make),
        Err(_) => make(),
    }
}

fn cached_in(folder: &Path, parts: &[&str], make: impl FnOnce() -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let path = folder.join(format!("{}.cubin", hex(&hash.finalize())));
    if let Some(found) = fs::read(&path).ok().and_then(content_of) {
        return Ok(found);
    }
    let made = make()?;
    let _ = fs::create_dir_all(folder).and_then(|()| store(&path, &made));
    Ok(made)
}

/// Writes beside the path and renames, so that a reader finds all or nothing.
fn store(path: &Path, content: &[u8]) -> std::io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let own = path.with_extension(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let whole = [&Sha256::digest(content)[..], content].concat();
    fs::write(&own, whole).and_then(|()| fs::rename(&own, path)).inspect_err(|_| drop(fs::remove_file(&own)))
}

/// The content behind its own hash; none where they do not agree.
fn content_of(mut hash: Vec<u8>) -> Option<Vec<u8>> {
    let content = (hash.len() >= 32).then(|| hash.split_off(32))?;
    (Sha256::digest(&content)[..] == hash[..]).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_made_once_and_again_where_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let of = |parts: &[&str], made: &str| {
            let made = made.as_bytes().to_vec();
            String::from_utf8(cached_in(&folder.path().join("new"), parts, || Ok(made)).unwrap()).unwrap()
        };
        assert_eq!(of(&["a", "bc"], "first"), "first");
        assert_eq!(of(&["a", "bc"], "second"), "first");
        assert_eq!(of(&["ab", "c"], "other"), "other", "parts do not flow together");
        let files = || fs::read_dir(folder.path().join("new")).unwrap().flatten().map(|file| file.path());
        assert_eq!(files().count(), 2, "nothing else is left");
        for file in files() {
            let whole = fs::read(&file).unwrap();
            fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        }
        assert_eq!(of(&["a", "bc"], "again"), "again");
        assert_eq!(of(&["a", "bc"], "not"), "again");
        fs::write(files().next().unwrap(), "short").unwrap();
        assert!(cached_in(folder.path(), &["x"], || Err("no".into())).is_err());
        // A folder that cannot be made costs nothing but the time.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(cached_in(&file, &["a"], || Ok(vec![1])), Ok(vec![1]));
    }
}
