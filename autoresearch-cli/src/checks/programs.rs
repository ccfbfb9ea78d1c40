//! The programs and scripts of all commands, as far as they are there before anything is built.

use std::path::{Path, PathBuf};

use autoresearch_core::internal::git::FileMode;

use super::subject::{Finding, Subject};
use crate::placeholders::Provided;
use crate::text::clean_line;

const NAME: &str = "programs";

/// Ends of the names of scripts that an interpreter is given.
const SCRIPTS: [&str; 14] = ["py", "rb", "js", "mjs", "cjs", "ts", "sh", "pl", "jl", "R", "lua", "php", "toml", "json"];

/// Every command's program must be there, and so must the scripts that it is given.
pub fn programs(subject: &Subject<'_>) -> Vec<Finding> {
    let config = &subject.session.config;
    let built = !config.build.command.is_empty();
    let mut commands = vec![
        ("build.command", &config.build.command, false),
        ("check.command", &config.check.command, built),
        ("run.command", &config.run.command, built),
        ("holdout.command", &config.holdout.command, built),
    ];
    commands.extend(config.evaluate.iter().map(|evaluate| ("evaluate.command", &evaluate.command, false)));
    commands.extend(config.guard.iter().flat_map(|guard| guard.written()).map(|(key, command)| (key, command, built)));
    let mut findings = Vec::new();
    for (key, command, built) in commands.into_iter().filter(|(_, command, _)| !command.is_empty()) {
        if let Err(why) = program(subject, command, built) {
            findings.push(subject.wrong(NAME, key, format!("cannot be started: {why}")));
        } else if let Err(why) = scripts(subject, command, built) {
            findings.push(subject.wrong(NAME, key, why));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(NAME, clean_line(&config.run.command.join(" "))));
    }
    findings
}

/// Looks for the program of a command. After a build there may be files that nobody knows yet.
fn program(subject: &Subject<'_>, command: &[String], built: bool) -> Result<(), String> {
    let Some(program) = command.first().filter(|program| !program.contains("{built}")) else { return Ok(()) };
    let filled = subject.session.placeholders.fill(program);
    match filled.contains('/') && !Path::new(&filled).is_absolute() {
        true if is_provided(subject, &filled) => {
            find_program(&subject.session.repository.root.join(&filled).to_string_lossy())
        }
        // A file of the candidate; a build may make it.
        true if built => Ok(()),
        true => committed_program(subject, &filled),
        false if built && filled.contains('/') => Ok(()),
        false => find_program(&filled),
    }
}

/// Looks for the scripts among the arguments of a command: those that lie in the working tree alone, and those that are nowhere.
fn scripts(subject: &Subject<'_>, command: &[String], built: bool) -> Result<(), String> {
    let root = &subject.session.repository.root;
    // What is behind `-c` or `-m` is no file.
    let arguments =
        command.iter().skip(1).take_while(|argument| !matches!(argument.as_str(), "-c" | "-m" | "-e" | "--eval"));
    for argument in arguments {
        let path = argument.trim_start_matches("./");
        let is_script = Path::new(path).extension().is_some_and(|end| SCRIPTS.iter().any(|script| end == *script));
        let is_plain = !path.starts_with(['-', '/', '{', '~']) && !path.contains(['=', ' ', '\n', '*', '$']);
        if !is_script || !is_plain || built || path.starts_with("..") {
            continue;
        }
        if subject.files.contains_key(path) || is_provided(subject, path) {
            continue;
        }
        if root.join(path).is_file() {
            return Err(format!(
                "names `{path}`, which is in the working tree but not in the commit that the run starts from; {}",
                add_or_share(subject, path)
            ));
        }
        // The first argument of an interpreter is its script; what comes behind it may be a file that it writes.
        if command.get(1).is_some_and(|first| first == argument) {
            return Err(format!("names `{path}`, and there is no such file; correct the path, or commit the file"));
        }
        break;
    }
    Ok(())
}

/// How to give candidates a file that is in the working tree alone.
fn add_or_share(subject: &Subject<'_>, path: &str) -> String {
    match subject.lineage.is_ignored(path).unwrap_or(false) {
        true => format!("git ignores it, so share it: [workspace] share = [{path:?}]"),
        false => format!("commit it: git add {path} && git commit"),
    }
}

/// Returns whether a relative path lies in what `[workspace]` gives each candidate, or `[evaluate]` its command.
fn is_provided(subject: &Subject<'_>, path: &str) -> bool {
    let workspace = &subject.session.config.workspace;
    let path: PathBuf = Path::new(path).components().filter(|part| *part != std::path::Component::CurDir).collect();
    let of_evaluation = subject.session.config.evaluate.iter().flat_map(|evaluate| &evaluate.share);
    workspace.share.iter().chain(&workspace.copy).chain(of_evaluation).any(|provided| {
        match subject.session.placeholders.provided(provided) {
            Provided::Below(below) => path.starts_with(below),
            Provided::Elsewhere(_) => false,
        }
    })
}

/// Looks for a program among the files of a commit.
fn committed_program(subject: &Subject<'_>, path: &str) -> Result<(), String> {
    let path = path.trim_start_matches("./");
    match subject.files.get(path) {
        None => {
            let why = format!("`{path}` is not in the commit that the run starts from");
            // A program of a virtual environment lies deep in a folder that is shared as a whole.
            let top = path.split('/').next().unwrap_or(path);
            match subject.session.repository.root.join(path).exists() {
                true if subject.lineage.is_ignored(path).unwrap_or(false) => {
                    Err(format!("{why}, since git ignores it; share it: [workspace] share = [{top:?}]"))
                }
                _ => Err(format!("{why}; commit it, or correct the path")),
            }
        }
        Some(file) if file.mode == FileMode::Regular => Err(format!(
            "`{path}` is not executable; make it so and commit it: git update-index --chmod=+x {path} && chmod +x {path}"
        )),
        Some(_) => {
            let text = subject.text(path).unwrap_or_default();
            match text.lines().next().filter(|first| first.starts_with("#!")) {
                // `lines` takes the line feed away, and the carriage return with it.
                Some(first) if text[first.len()..].starts_with('\r') => Err(format!(
                    "the lines of `{path}` end as on Windows, which makes `{}\\r` the name of its interpreter; take that away and \
                     commit it: sed -i 's/\\r$//' {path}",
                    clean_line(first.trim_start_matches("#!"))
                )),
                _ => Ok(()),
            }
        }
    }
}

/// Looks for a program on PATH, or at its path.
pub fn find_program(program: &str) -> Result<(), String> {
    if program.contains('/') {
        let path = Path::new(program);
        return match (path.is_file(), is_executable(path)) {
            (false, _) => Err(format!("there is no file `{program}`; correct the path, or make it")),
            (true, false) => Err(format!("`{program}` is not executable; make it so: chmod +x {program}")),
            (true, true) => Ok(()),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    // Windows finds programs by further names.
    match cfg!(windows) || candidates.any(|path| path.is_file() && is_executable(&path)) {
        true => Ok(()),
        false => Err(format!("there is no program `{program}` on PATH; install it, or give its path")),
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}
