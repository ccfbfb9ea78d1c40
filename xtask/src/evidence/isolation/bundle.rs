//! A run in one file: checked where nothing else is, and changed at random in a thousand ways.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::evidence::any_repository::folder::{Folder, autoresearch};
use crate::figure::Line;

/// Number of changes, which the seed decides.
const CHANGES: usize = 1000;
const SEED: u64 = 1;

const CONFIG: &str = r#"editable = ["work.txt"]
[run]
command = ["awk", "/^const/ { sub(\";\", \"\", $5); s += $5 } END { print \"score: \" s }", "work.txt"]
[metric]
name = "score"
direction = "minimise"
[ratchet]
rule = "strict"
"#;
const WORK: &str = "const A: i64 = 50; // knob: int 1..99\nconst B: f64 = 0.5; // knob: lin 0..1\n";

/// Makes a run, bundles it, takes its repository away, and checks the bundle: as it is, measured again, and after each change.
pub fn bundle() -> Result<Line, String> {
    let program = autoresearch()?;
    let folder = Folder::new("bundle")?;
    for (name, text) in [("autoresearch.toml", CONFIG), ("program.md", "# Lower the sum\n"), ("work.txt", WORK)] {
        fs::write(folder.path().join(name), text).map_err(|e| format!("cannot write {name}: {e}"))?;
    }
    folder.commit()?;
    folder.run(&program, &["run", "--tag", "t", "--experiments", "12"])?;
    folder.run(&program, &["bundle", "t", "--output", "../t.bundle.tar"])?;
    folder.run(&program, &["bundle", "t", "--output", "../again.tar"])?;
    let failed = |error: std::io::Error| format!("the bundle cannot be read or moved: {error}");
    let whole = fs::read(folder.beside("t.bundle.tar")).map_err(failed)?;
    let is_same = whole == fs::read(folder.beside("again.tar")).map_err(failed)?;
    fs::remove_dir_all(folder.path()).map_err(failed)?;
    let elsewhere = folder.beside("empty");
    fs::create_dir(&elsewhere).map_err(failed)?;

    let file = folder.beside("t.bundle.tar");
    let checked = verify(&program, &file, &elsewhere, &["--rerun", "best,baseline"])?;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let repeated = said.lines().filter(|line| line.contains("score: ") && is_repeated(line)).count();
    let is_sound = checked.status.success() && said.contains("\nsound\n") && repeated == 2;

    let (mut random, mut unnoticed) = (Random(SEED), Vec::new());
    let changed = folder.beside("changed.tar");
    for number in 0..CHANGES {
        let (kind, bytes) = random.change(&whole);
        fs::write(&changed, &bytes).map_err(failed)?;
        let output = verify(&program, &changed, &elsewhere, &[])?;
        // A panic ends with another code.
        if output.status.code() != Some(1) {
            unnoticed.push(format!("{kind} ({number})"));
        }
    }
    let noticed = CHANGES - unnoticed.len();
    let mut value = format!(
        "{} without its repository and with 2 of 2 scores again{}; {noticed} of {CHANGES} changes are noticed",
        if is_sound { "sound" } else { "not sound" },
        if is_same { "" } else { ", but twice bundled with other bytes" },
    );
    if let Some(first) = unnoticed.first() {
        value += &format!(", not {first}");
    }
    Ok(Line::Measured(is_sound && is_same && unnoticed.is_empty(), value, "sound, all 1000"))
}

/// Runs `verify` with an empty home, in a folder with nothing around it.
fn verify(program: &Path, file: &Path, folder: &Path, more: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.arg("verify").arg(file).args(more).current_dir(folder).env_clear().env("HOME", "").stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.output().map_err(|error| format!("cannot start {}: {error}", program.display()))
}

/// Returns whether a line says that a score is that of the journal: `score: 5 (journal: 5; …`.
fn is_repeated(line: &str) -> bool {
    let scores = line.split_once("score: ").and_then(|(_, rest)| rest.split_once(" (journal: "));
    scores.is_some_and(|(now, then)| then.split(';').next() == Some(now))
}

/// Random numbers, the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Changes some bytes in one of six ways. What comes out always differs.
    fn change(&mut self, whole: &[u8]) -> (&'static str, Vec<u8>) {
        loop {
            let mut bytes = whole.to_vec();
            let (at, length) = (self.below(whole.len()), 1 + self.below(1024));
            let end = (at + length).min(whole.len());
            let kind = match self.below(6) {
                0 => {
                    bytes[at] ^= 1 << self.below(8);
                    "a bit that is flipped"
                }
                1 => {
                    let few = end.min(at + 16);
                    bytes[at..few].fill_with(|| self.next() as u8);
                    "bytes that are overwritten"
                }
                2 => {
                    bytes.truncate(at);
                    "a file that is cut off"
                }
                3 => {
                    bytes.drain(at..end);
                    "bytes that are gone"
                }
                4 => {
                    let more: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
                    bytes.splice(at..at, more);
                    "bytes that are added"
                }
                _ => {
                    // Whole blocks, as an archive has them.
                    let blocks = whole.len() / 512;
                    let (one, other) = (512 * self.below(blocks), 512 * self.below(blocks));
                    bytes[one..one + 512].copy_from_slice(&whole[other..other + 512]);
                    bytes[other..other + 512].copy_from_slice(&whole[one..one + 512]);
                    "blocks that are swapped"
                }
            };
            if bytes != whole {
                return (kind, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_the_same_for_a_seed_and_always_differ() {
        // No block is like another one.
        let whole: Vec<u8> = (0..4096u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let changes = |seed| {
            let mut random = Random(seed);
            (0..200).map(|_| random.change(&whole)).collect::<Vec<_>>()
        };
        assert_eq!(changes(1), changes(1));
        assert!(changes(2).iter().all(|(_, bytes)| *bytes != whole));
        let kinds: std::collections::BTreeSet<&str> = changes(3).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn a_repeated_score_is_that_of_the_journal() {
        assert!(is_repeated("baseline score: 50.5 (journal: 50.5; experiment 0, seed 42)"));
        assert!(!is_repeated("score: 50.5 (journal: 50.4; experiment 0, seed 42)"));
    }
}
