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

/// The names of all subcommands, from the shell's own list of them.
fn subcommands() -> Vec<String> {
    let fish = said(&["completions", "fish"]);
    let lines = fish.lines().filter(|line| line.contains("__fish_autoresearch_needs_command\" -f -a \""));
    let names = lines.filter_map(|line| line.split("-a \"").nth(1)?.split('"').next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_help_has_an_example_and_fits_a_screen() {
    let fits = |what: &str, help: &str| {
        let (lines, widest) = (help.lines().count(), help.lines().map(|line| line.chars().count()).max());
        assert!(lines <= 24 && widest <= Some(110), "{what}: {lines} lines, {widest:?} wide\n{help}");
        assert!(help.contains("Example:\n  autoresearch "), "{what}: {help}");
    };
    let top = said(&["--help"]);
    fits("autoresearch", &top);
    let hidden = ["reference", "pictures"];
    let names: Vec<String> = subcommands().into_iter().filter(|name| !hidden.contains(&name.as_str())).collect();
    assert!(names.len() >= 20 && names.iter().any(|name| name == "run"), "{names:?}");
    for name in &names {
        fits(name, &said(&[name, "--help"]));
        let listed = top.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word == name);
        assert!(listed, "`autoresearch --help` does not name {name}:\n{top}");
    }
    println!("help: {0} of {0}", names.len() + 1);
}

#[test]
fn completions_and_man_pages_are_made() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = said(&["completions", shell]);
        assert!(text.contains("status") && text.contains("import"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    said(&["man", "--out", folder.path().to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert!(page("autoresearch.1").contains(".TH") && page("autoresearch-run.1").contains("experiments"));
}
