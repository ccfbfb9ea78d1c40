//! `cargo xtask test`: all tests of the workspace.

use crate::{agents, setup, sh};

/// Tells the tests to run everything they have: more random histories, a kill at every write boundary.
pub const THOROUGH: &str = "AUTORESEARCH_TEST_THOROUGH";

/// Runs the tests; `--thorough` is ours, every other option goes to `cargo test`.
pub fn test(arguments: &[String]) -> Result<(), String> {
    let libtorch = setup::setup()?;
    let mut cargo = sh::cargo();
    cargo.args(["test", "--locked", "--workspace"]).env("LIBTORCH", libtorch);
    cargo.args(arguments.iter().filter(|argument| *argument != "--thorough"));
    if arguments.iter().any(|argument| argument == "--thorough") {
        cargo.env(THOROUGH, "1");
    }
    match agents::agents() {
        Ok(folder) => drop(cargo.env("AUTORESEARCH_TEST_AGENTS", folder)),
        // Everything else can be tested without them, and the tests say that they are skipped.
        Err(why) => eprintln!("the tests with real agents are skipped: {why}"),
    }
    sh::run(&mut cargo)
}
