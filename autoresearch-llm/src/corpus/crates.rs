//! The default corpus: Rust and Markdown files of a pinned list of crates, fetched by cargo from wherever it is
//! configured to fetch, verified by checksum, and the same byte for byte everywhere.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Goes, Part, Source, hex, read};
use crate::error::DataError;

const MANIFEST: &str = include_str!("../../corpus/crates.toml");
const LOCK: &str = include_str!("../../corpus/crates.lock");
/// Smaller files say nothing, larger ones are mostly generated tables.
const SIZES: std::ops::RangeInclusive<usize> = 200..=100_000;

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Files are cut at blank lines into documents of about this number of bytes.
const DOCUMENT: usize = 1000;

/// The versions that the corpus is pinned to.
pub fn settings() -> String {
    let list = hex(&Sha256::digest([MANIFEST, LOCK].concat()));
    format!("crates {} {SIZES:?} {DOCUMENT}", &list[..16])
}

/// Fetches what is missing and reads all documents, in a pinned order.
pub fn parts() -> Result<Vec<Part>, DataError> {
    let setting = |e: toml::de::Error| DataError::Setting(format!("the corpus list is not valid: {e}"));
    let manifest: toml::Table = MANIFEST.parse().map_err(setting)?;
    let lock: Lock = toml::from_str(LOCK).map_err(setting)?;
    let names = |value: Option<&toml::Value>| -> BTreeSet<String> {
        match value {
            Some(toml::Value::Table(table)) => table.keys().cloned().collect(),
            Some(toml::Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => BTreeSet::new(),
        }
    };
    let listed = names(manifest.get("dependencies"));
    let validation = names(manifest.get("package").and_then(|p| p.get("metadata")).and_then(|m| m.get("validation")));

    let caches = caches(&fetch()?)?;
    let mut train = BTreeSet::new();
    let mut val = BTreeSet::new();
    for package in lock.package.iter().filter(|package| listed.contains(&package.name)) {
        let split = if validation.contains(&package.name) { &mut val } else { &mut train };
        read_crate(&caches, package, split)?;
    }
    // Sorted by hash: a shuffle that depends on nothing but the documents.
    let documents = |set: BTreeSet<([u8; 32], String)>| Source::Memory(set.into_iter().map(|(_, text)| text).collect());
    Ok(vec![
        Part { name: "train".into(), goes: Goes::Train, source: documents(train) },
        Part { name: "val".into(), goes: Goes::Val, source: documents(val) },
    ])
}

/// Lets cargo fetch the crates, from wherever this machine's cargo fetches, into a home of their own: in the user's, builds of
/// candidates would find the text of the validation split. Returns that home.
fn fetch() -> Result<PathBuf, DataError> {
    let folder = super::cache_folder()?.join("corpus");
    let home = folder.join("cargo");
    for made in [&folder.join("src"), &home] {
        std::fs::create_dir_all(made).map_err(|e| DataError::write(made, e))?;
    }
    for (name, text) in [("Cargo.toml", MANIFEST), ("Cargo.lock", LOCK), ("src/lib.rs", "")] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| DataError::write(&path, e))?;
    }
    let users = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let users = users.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    for name in ["config.toml", "config", "credentials.toml"] {
        if let Some(settings) = users.as_ref().map(|users| users.join(name)).filter(|path| path.is_file()) {
            let copy = home.join(name);
            std::fs::copy(&settings, &copy).map_err(|e| DataError::write(&copy, e))?;
        }
    }
    match fetch_into(&folder, Some(&home)) {
        Ok(()) => Ok(home),
        // Without a network the user's own may still have them.
        Err(error) => match users {
            Some(users) if fetch_into(&folder, None).is_ok() => Ok(users),
            _ => Err(error),
        },
    }
}

fn fetch_into(folder: &Path, home: Option<&Path>) -> Result<(), DataError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // One platform's worth: the same list on every machine, without the bindings of the others.
    command.args(["fetch", "--quiet", "--locked", "--target", "x86_64-unknown-linux-gnu"]).current_dir(folder);
    command.envs(home.map(|home| ("CARGO_HOME", home)));
    let output =
        command.output().map_err(|e| DataError::Setting(format!("cannot start cargo to fetch the corpus: {e}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(DataError::Download {
            url: "the crates of the default corpus".into(),
            why: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

fn caches(home: &Path) -> Result<Vec<PathBuf>, DataError> {
    let cache = home.join("registry/cache");
    let entries = std::fs::read_dir(&cache).map_err(|e| DataError::read(&cache, e))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    Ok(folders)
}

fn read_crate(caches: &[PathBuf], package: &Package, into: &mut BTreeSet<([u8; 32], String)>) -> Result<(), DataError> {
    let Package { name, version, checksum } = package;
    let file = format!("{name}-{version}.crate");
    // Several registries may hold the same name; the checksum says which one is meant.
    let found =
        caches.iter().map(|folder| folder.join(&file)).filter_map(|path| Some((std::fs::read(&path).ok()?, path)));
    let mut wanted = found.filter(|(bytes, _)| checksum.as_deref() == Some(&hex(&Sha256::digest(bytes))));
    let (bytes, path) = wanted.next().ok_or_else(|| DataError::Download {
        url: file.clone(),
        why: "cargo fetched it, but no copy with the pinned checksum is in cargo's registry cache".into(),
    })?;
    unpack(&bytes, into).map_err(|e| DataError::corrupt(&path, e.to_string()))
}

fn unpack(bytes: &[u8], into: &mut BTreeSet<([u8; 32], String)>) -> std::io::Result<()> {
    for entry in tar::Archive::new(GzDecoder::new(bytes)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let wanted = Path::extension(&path).is_some_and(|e| e == "rs" || e == "md");
        if !wanted || !SIZES.contains(&(entry.size() as usize)) {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let Ok(text) = String::from_utf8(content) else { continue };
        // A whole file is many rows long, and packing would keep little but its head. A licence stands in every crate,
        // and some code in several: each text once.
        for document in read::paragraphs(&text.replace("\r\n", "\n"), DOCUMENT) {
            into.insert((Sha256::digest(&document).into(), document));
        }
    }
    Ok(())
}
