//! `cargo xtask test`: all tests of the workspace.

mod scratch;

use std::process::Command;

use crate::python_tools::PYTHON_TOOLS;
use crate::{agents, setup, sh};
use scratch::Scratch;

/// Tells the tests to run everything they have: more random histories, a kill at every write boundary.
pub const THOROUGH: &str = "AUTORESEARCH_TEST_THOROUGH";

/// libtest's number of tests at once; one of the user's own wins.
const THREADS: &str = "RUST_TEST_THREADS";

/// Tests of one target of every crate, in their long form: `only` is what libtest gets.
///
/// The whole workspace is asked for, though one crate is meant: cargo chooses the features of every dependency for the crates
/// that it is asked to build together, so that asking for one of them compiles most of the others' dependencies anew.
pub fn of(target: &[&str], only: &[&str]) -> Result<Command, String> {
    let mut cargo = sh::cargo();
    cargo.args(["test", "--locked", "--workspace"]).args(target).arg("--").args(only);
    cargo.env("LIBTORCH", setup::setup()?).env(THOROUGH, "1");
    Ok(cargo)
}

/// Runs the tests; `--thorough` is ours, every other option goes to `cargo test`.
pub fn test(arguments: &[String]) -> Result<(), String> {
    let libtorch = setup::setup()?;
    let mut cargo = sh::cargo();
    cargo.args(["test", "--locked", "--workspace"]).env("LIBTORCH", libtorch);
    cargo.args(arguments.iter().filter(|argument| *argument != "--thorough"));
    let thorough = arguments.iter().any(|argument| argument == "--thorough");
    if thorough {
        cargo.env(THOROUGH, "1");
    }
    // The long form meets a disk. A folder of the user's own wins.
    let scratch = if thorough || std::env::var_os("TMPDIR").is_some() { None } else { Scratch::in_memory() };
    if let Some(scratch) = &scratch {
        cargo.env("TMPDIR", scratch.path());
    }
    // Many tests wait for processes that sleep, or for a disk: more of them than cores at once costs little.
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get);
        cargo.env(THREADS, (4 * cores).to_string());
    }
    match agents::agents() {
        Ok(folder) => drop(cargo.env("AUTORESEARCH_TEST_AGENTS", folder)),
        // Everything else can be tested without them, and the tests say that they are skipped.
        Err(why) => eprintln!("the tests with real agents are skipped: {why}"),
    }
    for tool in PYTHON_TOOLS.iter().filter(|tool| std::env::var_os(tool.variable).is_none()) {
        match tool.install() {
            Ok(program) => drop(cargo.env(tool.variable, program)),
            Err(why) => eprintln!("the tests with it are skipped unless it is on PATH: {why}"),
        }
    }
    sh::run(&mut cargo)
}
