//! `autoresearch knobs`: lists the values that a search may change, and proposes ranges for others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_agents::constants::{Sources, sites};
use autoresearch_agents::{Suggestion, suggestions};
use autoresearch_core::{EditablePaths, Program};
use clap::Args;
use ignore::WalkBuilder;

use super::args::{ConfigArgs, WorkersArgs};
use crate::error::CommandError;
use crate::json::{self, KnobsAnswer};
use crate::repository::Repository;
use crate::text::terminal;

/// Ranges that the text proposes; `--json` has all.
const SHOWN: usize = 30;

/// List the values that the knob search may change, and propose ranges for others.
#[derive(Debug, Args)]
#[command(
    after_help = "A range stands in the comment behind a value, in any language: `lr = 0.04  # knob: log 0.01..0.1`.\nWhat is proposed can be pasted into autoresearch.toml. Changes nothing, and needs no configuration\nwhere FILEs are named.\n\nExample:\n  autoresearch knobs\n  autoresearch knobs train.py config/"
)]
pub struct KnobsArgs {
    /// Files or folders to look at [default: the editable ones of the configuration]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "autoresearch.toml")]
    config: PathBuf,
    /// Lay presets/NAME.toml, beside the configuration, over it.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// Prints what the files of the working tree hold, committed or not.
pub fn knobs(repository: &Repository, args: KnobsArgs) -> Result<ExitCode, CommandError> {
    let (files, ranges) = match args.files.is_empty() {
        true => of_configuration(repository, &args)?,
        // Ranges by name could name other files.
        false => (named(repository, &args.files)?, BTreeMap::new()),
    };
    let sources = Sources::new(&files);
    let known = sites(&sources, &ranges).map_err(|error| CommandError::Other(error.to_string()))?;
    let suggested = suggestions(&sources, &known);
    let answer = KnobsAnswer::new(&known, &suggested);
    if args.json {
        json::print(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal::out(text(&answer, &suggested, files.len()).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The list for a person.
fn text(answer: &KnobsAnswer, suggested: &[Suggestion<'_>], files: usize) -> String {
    let mut text = String::new();
    let width = answer.knobs.iter().map(|row| row.place().chars().count()).max().unwrap_or_default();
    for row in &answer.knobs {
        let _ = writeln!(text, "{:width$}  {} = {}  {}", row.place(), row.key, row.value, row.range);
    }
    if answer.knobs.is_empty() {
        let _ = writeln!(text, "no value in {files} files has a range");
    }
    if answer.suggestions.is_empty() {
        return text;
    }
    text += "\nThese look like hyperparameters. Paste what you want into autoresearch.toml, and mind the ranges:\n\n[knobs]\n";
    let lines: Vec<String> = suggested.iter().map(Suggestion::line).take(SHOWN).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    for (line, row) in lines.iter().zip(&answer.suggestions) {
        let _ = writeln!(text, "{line:width$}  # {}, now {}", row.place(), row.value);
    }
    if suggested.len() > SHOWN {
        let _ = writeln!(text, "# and {} more: autoresearch knobs --json", suggested.len() - SHOWN);
    }
    text
}

/// Text files by path.
type Files = BTreeMap<String, String>;

/// The editable files of the working tree, and the ranges by name of the programme and the configuration.
fn of_configuration(
    repository: &Repository,
    args: &KnobsArgs,
) -> Result<(Files, BTreeMap<String, String>), CommandError> {
    if !args.config.exists() {
        return Err(CommandError::Other(format!(
            "there is no configuration {} that says which files are editable; name some: autoresearch knobs train.py",
            args.config.display()
        )));
    }
    let (config, preset) = (args.config.clone(), args.preset.clone());
    let config = ConfigArgs { config, preset, workers: WorkersArgs::default() }.read()?;
    let editable = config.editable();
    let files = walk(repository, &repository.root, |path| editable.allows(path));
    let mut ranges = config.knobs.clone();
    let program = repository.root.join(&config.program);
    if program.exists() {
        ranges.extend(Program::read(&program)?.knobs);
    }
    Ok((files, ranges))
}

/// The named files, and those in the named folders.
fn named(repository: &Repository, paths: &[PathBuf]) -> Result<Files, CommandError> {
    let mut files = Files::new();
    for path in paths {
        if path.is_dir() {
            files.extend(walk(repository, path, |path| EditablePaths::new([path]).allows(path)));
            continue;
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| CommandError::Other(format!("reading {}: {error}", path.display())))?;
        files.insert(below_root(repository, path), text);
    }
    Ok(files)
}

/// The text files below a folder that git does not ignore.
fn walk(repository: &Repository, folder: &Path, is_meant: impl Fn(&str) -> bool) -> Files {
    let mut files = Files::new();
    let is_ours = |entry: &ignore::DirEntry| !matches!(entry.file_name().to_str(), Some(".git" | ".autoresearch"));
    for entry in WalkBuilder::new(folder).hidden(false).filter_entry(is_ours).build().flatten() {
        let path = below_root(repository, entry.path());
        if entry.file_type().is_some_and(|kind| kind.is_file())
            && is_meant(&path)
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.insert(path, text);
        }
    }
    files
}

/// The path of a file as the configuration names it: below the repository's root.
fn below_root(repository: &Repository, path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let below = whole.strip_prefix(&repository.root).unwrap_or(path);
    below.to_string_lossy().replace('\\', "/")
}
