//! Pages with ```sh,run blocks are run from top to bottom, as a reader would type them.
//!
//! Each page has an empty folder and one shell, so a `cd` lasts. A block with `file=NAME` is written there, in the folder
//! where the shell is. A ```text,output block must match what the commands of the block before it print: each of its lines
//! must be there, in order, where `…` stands for anything.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use autoresearch_book::page::{Block, Page};

use crate::program::{said, sealed};
use crate::{all, report};

#[test]
fn the_commands_of_every_page_run() {
    let pages: Vec<Page> = all().into_iter().filter(|page| page.blocks.iter().any(|block| block.is("run"))).collect();
    assert!(pages.iter().any(|page| page.path == "docs/tutorial.md"), "the tutorial has no command that runs");
    let problems = std::thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(|| run(page))).collect();
        running.into_iter().flat_map(|page| page.join().expect("a page")).collect::<Vec<_>>()
    });
    report(&problems);
}

/// Runs a page in a folder of its own. Returns what went wrong.
fn run(page: &Page) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, work, blocks) = (folder.path().join("home"), folder.path().join("work"), folder.path().join("blocks"));
    [&home, &work, &blocks].into_iter().for_each(|folder| fs::create_dir(folder).expect("a folder"));
    let mut script = String::from("set -euo pipefail\n");
    for (at, block) in page.blocks.iter().enumerate() {
        if let Some(name) = block.attribute("file") {
            fs::write(blocks.join(at.to_string()), &block.text).expect("a file");
            let from = blocks.join(at.to_string());
            let _ = writeln!(script, "mkdir -p \"$(dirname '{name}')\" && cp '{}' '{name}'", from.display());
        } else if block.is("run") {
            let output = blocks.join(format!("{at}.out"));
            let _ = writeln!(script, "echo {} >&3\nexec >'{}' 2>&1\n{}", block.line, output.display(), block.text);
        }
    }
    let lines = blocks.join("lines");
    let script = format!("exec 3>'{}'\n{script}", lines.display());
    let output = sealed("bash", &home).arg("-c").arg(script).current_dir(&work).output().expect("bash starts");
    if !output.status.success() {
        let begun = fs::read_to_string(&lines).unwrap_or_default();
        let line = begun.lines().last().unwrap_or("0").to_owned();
        let at = page.blocks.iter().position(|block| block.line.to_string() == line).unwrap_or_default();
        let printed = fs::read_to_string(blocks.join(format!("{at}.out"))).unwrap_or_default();
        return vec![format!("{}:{line}: the commands failed:\n{}{}", page.path, printed, said(&output))];
    }
    page.blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| block.is("output"))
        .filter_map(|(at, block)| differs(page, at, block, &blocks))
        .collect()
}

/// The first line of an ```text,output block that the commands before it did not print.
fn differs(page: &Page, at: usize, block: &Block, outputs: &Path) -> Option<String> {
    let Some(before) = page.blocks[..at].iter().rposition(|block| block.is("run")) else {
        return Some(format!("{}:{}: no command stands before this output", page.path, block.line));
    };
    let printed = fs::read_to_string(outputs.join(format!("{before}.out"))).unwrap_or_default();
    let mut rest = printed.lines();
    for wanted in block.text.lines().filter(|line| !line.trim().is_empty() && line.trim() != "…") {
        if !rest.any(|line| matches(wanted.trim(), without_clock(line.trim()))) {
            return Some(format!("{}:{}: not printed: `{wanted}`; printed was:\n{printed}", page.path, block.line));
        }
    }
    None
}

/// The line without the time of day that the command prints before it where nobody watches on a terminal.
fn without_clock(line: &str) -> &str {
    let clock = |clock: &str| clock.len() == 8 && clock.chars().all(|c| c.is_ascii_digit() || c == ':');
    line.split_once(' ').filter(|(first, _)| clock(first)).map_or(line, |(_, rest)| rest)
}

/// True if the pieces of the pattern around `…` stand in the line in this order, the first and the last at its ends.
fn matches(pattern: &str, line: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('…').collect();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return false };
    if pieces.len() == 1 {
        return pattern == line;
    }
    let inner = line.strip_prefix(first).and_then(|line| line.strip_suffix(last));
    let Some(mut rest) = inner else { return false };
    pieces[1..pieces.len() - 1].iter().all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn an_ellipsis_stands_for_anything() {
    assert!(matches("Experiment 001 | …; kept", "Experiment 001 | 12:00; a; kept"));
    assert!(matches("a … b … c", "a x b y c") && !matches("a … b … c", "a x c y b"));
    assert!(matches("same", "same") && !matches("same", "same, but longer"));
}
