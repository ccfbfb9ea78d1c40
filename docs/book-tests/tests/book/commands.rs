//! Commands of ```sh blocks that are too long, or need hardware, to run here: their options must exist all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use autoresearch_book::page::root;

use crate::program::{autoresearch, said};
use crate::{all, report};

/// Programs that are not ours; nothing is known of their options.
const OTHERS: &[&str] = &[
    "git",
    "apt",
    "dnf",
    "xcode-select",
    "docker",
    "mdbook",
    "cd",
    "mkdir",
    "python3",
    "claude",
    "codex",
    "ollama",
    "less",
];

/// Subcommands of cargo that take options of cargo alone.
const CARGO: &[&str] = &["add", "bench", "build", "check", "clippy", "doc", "fmt", "install", "new", "test", "tree"];

#[test]
fn every_command_exists() {
    let mut found = Vec::new();
    for page in all() {
        for block in page.blocks.iter().filter(|block| block.language == "sh" && !block.is("run")) {
            for command in commands(&block.text) {
                let problem = check(&command);
                found
                    .extend(problem.map(|why| format!("{}:{}: `{}`: {why}", page.path, block.line, command.join(" "))));
            }
        }
    }
    report(&found);
}

/// The simple commands of a script, as words: without comments, assignments and redirections, lines joined at `\`.
fn commands(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.starts_with('#'));
    let parts = lines.flat_map(|line| line.split(['|', ';']).flat_map(|part| part.split("&&")));
    let words = parts.map(|part| {
        let words = words(part).into_iter();
        let assignment = |word: &String| {
            word.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        words.skip_while(assignment).take_while(|word| !word.starts_with('>')).collect::<Vec<_>>()
    });
    words.filter(|words| !words.is_empty()).collect()
}

/// The words of a simple command; quotes hold one together and are no part of it.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (c, quote) {
            (_, Some(mark)) if c == mark => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (_, None) if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The problem of a command, if it has one.
fn check(words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["autoresearch", ref arguments @ ..] => parsed(arguments),
        ["cargo", "xtask", ref arguments @ ..] => xtask(arguments),
        ["cargo", "run", ref arguments @ ..] => {
            let (cargo, program) = split(arguments);
            package(cargo).or_else(|| match cargo.contains(&"autoresearch-cli") {
                true => parsed(program),
                false => None,
            })
        }
        ["cargo", command, ref arguments @ ..] if CARGO.contains(&command) => package(split(arguments).0),
        [program, ..] if OTHERS.contains(&program) => None,
        _ => Some("no test knows this program: make it a ```console block if it is only shown".into()),
    }
}

fn split<'a>(arguments: &'a [&'a str]) -> (&'a [&'a str], &'a [&'a str]) {
    let at = arguments.iter().position(|word| *word == "--");
    at.map_or((arguments, &[]), |at| (&arguments[..at], &arguments[at + 1..]))
}

/// Parses the arguments of our command, by `--help` at their end. Returns its error if it has one.
fn parsed(arguments: &[&str]) -> Option<String> {
    let output = Command::new(autoresearch()).args(arguments).arg("--help").output().expect("autoresearch starts");
    (!output.status.success()).then(|| said(&output))
}

/// The name after `flag`.
fn after<'a>(arguments: &[&'a str], flags: &[&str]) -> Option<&'a str> {
    let at = arguments.iter().position(|word| flags.contains(word))?;
    arguments.get(at + 1).copied()
}

/// The problem of the options `-p`, `--bin`, `--example` and `--test`.
fn package(arguments: &[&str]) -> Option<String> {
    let name = after(arguments, &["-p", "--package"])?;
    let Some(folder) = member(&root(), name) else { return Some(format!("there is no package {name}")) };
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let kinds = [("--bin", "src/bin"), ("--example", "examples"), ("--test", "tests"), ("--bench", "benches")];
    kinds.into_iter().find_map(|(flag, place)| {
        let target = after(arguments, &[flag])?;
        let places = [format!("{place}/{target}.rs"), format!("{place}/{target}/main.rs")];
        let there = places.iter().any(|place| folder.join(place).is_file());
        (!there && !manifest.contains(&format!("name = \"{target}\"")))
            .then(|| format!("{name} has no {target} for {flag}"))
    })
}

/// The folder of a package of this workspace.
fn member(root: &Path, name: &str) -> Option<PathBuf> {
    let folders = [root.to_owned(), root.join("examples"), root.join("docs")];
    let all = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    let line = format!("name = \"{name}\"");
    all.into_iter().find(|folder| fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains(&line)))
}

/// The problem of a call of `cargo xtask`: its commands, and the names of figures, are string literals of its source.
fn xtask(arguments: &[&str]) -> Option<String> {
    let mut source = String::new();
    gather(&root().join("xtask/src"), &mut source);
    let known = |word: &str| source.contains(&format!("\"{word}\""));
    let (own, program) = split(arguments);
    let Some(command) = own.first() else { return Some("it has no command".into()) };
    let mut names = vec![*command];
    if *command == "evidence" {
        names.extend(own.get(1).filter(|name| !name.starts_with('-') && **name != "NAME"));
        names.extend(after(own, &["--only"]).into_iter().flat_map(|list| list.split(',')).filter(|name| *name != "X"));
    }
    let unknown = names.into_iter().find(|name| !known(name));
    unknown.map(|name| format!("xtask knows no {name}")).or_else(|| match *command {
        "nanochat" => {
            let of_run = program.iter().copied().filter(|option| *option != "--strict");
            parsed(&["run"].into_iter().chain(of_run).collect::<Vec<_>>())
        }
        _ => None,
    })
}

fn gather(folder: &Path, source: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => gather(&entry.path(), source),
            false => source.push_str(&fs::read_to_string(entry.path()).unwrap_or_default()),
        }
    }
}

#[test]
fn commands_are_found_in_a_script() {
    let words = |script| commands(script).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(
        words("A=1 autoresearch run \\\n  --tag x  # a comment\n# none\nautoresearch report > file | less"),
        ["autoresearch run --tag x", "autoresearch report", "less"]
    );
}
