//! Compiled kernels on disk, by the hash of all that they are made of.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::corpus::{cache_folder, hex};

/// Loads the result of `make` for `parts`, which is made once on this machine; what the cache holds and `load` rejects is made again.
/// A cache that cannot be read or written costs time alone, so its failures are ignored.
pub(super) fn load_cached<R>(
    parts: &[&str],
    make: impl FnOnce() -> Result<Vec<u8>, String>,
    load: impl Fn(&[u8]) -> Result<R, String>,
) -> Result<R, String> {
    match cache_folder() {
        Ok(cache) => load_cached_in(&cache.join("kernels"), parts, make, load),
        Err(_) => load(&make()?),
    }
}

fn load_cached_in<R>(
    folder: &Path,
    parts: &[&str],
    make: impl FnOnce() -> Result<Vec<u8>, String>,
    load: impl Fn(&[u8]) -> Result<R, String>,
) -> Result<R, String> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let path = folder.join(format!("{}.cubin", hex(&hash.finalize())));
    if let Some(loaded) = fs::read(&path).ok().and_then(content_of).and_then(|found| load(&found).ok()) {
        return Ok(loaded);
    }
    let made = make()?;
    let loaded = load(&made)?;
    let _ = fs::create_dir_all(folder).and_then(|()| store(&path, &made));
    Ok(loaded)
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
        let read = |image: &[u8]| String::from_utf8(image.to_vec()).map_err(|error| error.to_string());
        let new = folder.path().join("new");
        let of = |parts: &[&str], made: &str| load_cached_in(&new, parts, || Ok(made.into()), read).unwrap();
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
        assert!(load_cached_in(folder.path(), &["x"], || Err("no".into()), read).is_err());
        // A folder that cannot be made costs nothing but the time.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(load_cached_in(&file, &["a"], || Ok(b"1".into()), read), Ok("1".into()));
    }

    #[test]
    fn an_image_that_cannot_be_loaded_is_made_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let with = |made: &str, rejected: &str| {
            let load = |image: &[u8]| match image == rejected.as_bytes() {
                true => Err(format!("{rejected} is rejected")),
                false => Ok(String::from_utf8_lossy(image).into_owned()),
            };
            load_cached_in(folder.path(), &["a"], || Ok(made.into()), load)
        };
        assert_eq!(with("old", ""), Ok("old".into()));
        assert_eq!(with("new", "old"), Ok("new".into()));
        assert_eq!(with("newer", ""), Ok("new".into()), "it has taken the old one's place");
        // A failure of its own is an error, and leaves what is there.
        assert_eq!(with("new", "new"), Err("new is rejected".into()));
        assert_eq!(with("newer", ""), Ok("new".into()));
    }
}
