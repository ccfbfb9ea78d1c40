//! `--help` and the reference of all commands.

use std::path::Path;
use std::process::Command;

fn said(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_autoresearch")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_reference_in_the_book_is_that_of_the_command() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let written = std::fs::read_to_string(&book).unwrap_or_default();
    assert!(
        written == said(&["reference"]),
        "docs/commands.md is out of date; write it anew: cargo run -p autoresearch-cli -- reference > docs/commands.md"
    );
}

#[test]
fn every_help_has_an_example_and_fits_a_screen() {
    assert!(said(&["--help"]).lines().count() <= 30);
    for command in ["run", "report", "verify", "audit", "rerun", "import"] {
        let help = said(&[command, "--help"]);
        assert!(help.contains("Example:\n  autoresearch "), "{command}: {help}");
        assert!(
            help.lines().count() <= 30 && help.lines().all(|line| line.chars().count() <= 110),
            "{command}: {help}"
        );
    }
}
