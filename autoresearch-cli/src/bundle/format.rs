//! The form of a bundle: the names of its members, their order and limits, and the bytes between them.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The beginning of a bundle: the name of its first member up to the version.
const MAGIC: &str = "autoresearch-bundle-";
/// The version that is written and read.
pub const VERSION: u32 = 1;
/// The first member, which lists the others. A tar archive begins with the name of its first member, so that this is the magic, too.
pub const MANIFEST: &str = "autoresearch-bundle-1.json";
/// The last member: the BLAKE3 of everything before it.
pub const DIGEST: &str = "digest.txt";
/// The size of a tar archive's blocks.
pub const BLOCK: usize = 512;

pub const CONFIGURATION: &str = "configuration.toml";
pub const PRESET: &str = "preset.toml";
pub const ARGUMENTS: &str = "arguments.toml";
pub const MACHINE: &str = "machine.json";
pub const REMOVED: &str = "removed.json";
pub const HINTS: &str = "hints.jsonl";
pub const HISTORY: &str = "history.md";
pub const REPOSITORY: &str = "repository.bundle";
pub const CASSETTES: [&str; 8] = [
    "cassette-1.jsonl",
    "cassette-2.jsonl",
    "cassette-3.jsonl",
    "cassette-4.jsonl",
    "cassette-5.jsonl",
    "cassette-6.jsonl",
    "cassette-7.jsonl",
    "cassette-8.jsonl",
];

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Largest list of members, in bytes.
pub const LARGEST_MANIFEST: u64 = MIB;

/// A member that a bundle may have.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Its largest size in bytes.
    pub limit: u64,
    /// True if every bundle has it.
    pub is_required: bool,
}

const fn kind(name: &'static str, limit: u64, is_required: bool) -> Kind {
    Kind { name, limit, is_required }
}

/// The members beside list and digest, in their order. No other name is ever unpacked.
pub const KINDS: [Kind; 18] = [
    kind("journal.jsonl", 512 * MIB, true),
    kind("results.tsv", 64 * MIB, false),
    kind(CONFIGURATION, MIB, true),
    kind(PRESET, MIB, false),
    kind(ARGUMENTS, MIB, false),
    kind(MACHINE, MIB, true),
    kind(REMOVED, 16 * MIB, false),
    kind(HINTS, 64 * MIB, false),
    kind(HISTORY, MIB, false),
    kind(CASSETTES[0], 4 * GIB, false),
    kind(CASSETTES[1], 4 * GIB, false),
    kind(CASSETTES[2], 4 * GIB, false),
    kind(CASSETTES[3], 4 * GIB, false),
    kind(CASSETTES[4], 4 * GIB, false),
    kind(CASSETTES[5], 4 * GIB, false),
    kind(CASSETTES[6], 4 * GIB, false),
    kind(CASSETTES[7], 4 * GIB, false),
    kind(REPOSITORY, 16 * GIB, true),
];

/// The content of the first member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the form of the file.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// The run.
    pub tag: String,
    /// The preset of its configuration; empty without one.
    pub preset: String,
    /// The members, in their order.
    pub members: Vec<Member>,
}

/// One member of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub name: String,
    pub bytes: u64,
    /// The BLAKE3 of its content, in hexadecimal digits.
    pub blake3: String,
}

/// Returns whether a file begins as a bundle of any version does.
pub fn is_bundle(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let file = if path.is_file() { std::fs::File::open(path).ok() } else { None };
    file.is_some_and(|mut file| file.read_exact(&mut start).is_ok() && version_of(&start).is_some())
}

/// The text behind the magic up to the end of the name; `None` if it is not there.
pub fn version_of(start: &[u8]) -> Option<String> {
    let rest = start.strip_prefix(MAGIC.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let version = String::from_utf8_lossy(&rest[..end]).into_owned();
    Some(version.strip_suffix(".json").map_or(version.clone(), str::to_owned))
}

/// The header of a member: the same for the same name and size, whoever writes it and when.
pub fn header(name: &str, bytes: u64) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    // All names are short ASCII, which every header can hold.
    let _ = header.set_path(name);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    *header.as_bytes()
}

/// The size that a header names; `None` if it names none.
pub fn size_in(header: &[u8; BLOCK]) -> Option<u64> {
    tar::Header::from_byte_slice(header).entry_size().ok()
}

/// The name that a header holds.
pub fn name_in(header: &[u8; BLOCK]) -> String {
    let end = header.iter().take(100).position(|byte| *byte == 0).unwrap_or(100);
    String::from_utf8_lossy(&header[..end]).into_owned()
}

/// The number of zero bytes that follow a member's content.
pub fn padding(bytes: u64) -> usize {
    (BLOCK - (bytes % BLOCK as u64) as usize) % BLOCK
}

/// The content of the last member.
pub fn digest_text(digest: &blake3::Hash) -> String {
    format!("blake3:{}\n", digest.to_hex())
}
