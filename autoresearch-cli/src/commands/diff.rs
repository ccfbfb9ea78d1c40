//! `autoresearch diff`: the change of an experiment, or the difference between two.

use std::io::IsTerminal;
use std::process::ExitCode;

use autoresearch_core::{Experiment, Revision};
use clap::Args;

use super::args::ReadArgs;
use crate::error::CommandError;
use crate::git;
use crate::json::{self, DiffAnswer};
use crate::repository::Repository;
use crate::text::terminal::{self, Style};

/// Show the change of an experiment as a unified diff against its parent, or the difference between two.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a number it is the whole gain: from the baseline to the incumbent.\n\nExample:\n  autoresearch diff 12\n  autoresearch diff 0 12 | less"
)]
pub struct DiffArgs {
    /// Number of the experiment.
    #[arg(value_name = "N")]
    experiment: Option<u32>,
    /// Number of a second one: the diff leads from N to M.
    #[arg(value_name = "M")]
    other: Option<u32>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Prints a diff.
pub fn diff(repository: &Repository, args: &DiffArgs) -> Result<ExitCode, CommandError> {
    let run = args.read.read(repository)?;
    let commit = |number| run.experiment(number).map(|made| made.revision().clone());
    let (from, to) = match (args.experiment, args.other) {
        (Some(from), Some(to)) => (commit(from)?, commit(to)?),
        (Some(number), None) => (parent(&run.tag, &run.state, run.experiment(number)?)?, commit(number)?),
        (None, _) => match &run.state.incumbent {
            Some(incumbent) => (commit(0)?, incumbent.revision.clone()),
            None => return Err(CommandError::NothingMeasured(run.tag)),
        },
    };
    for revision in [&from, &to] {
        check_present(repository, &run.tag, revision)?;
    }
    let arguments = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", from.0.as_str(), to.0.as_str(), "--"];
    let output = git::output(&repository.root, &arguments)?;
    if !output.status.success() {
        return Err(git::failure(&arguments, &output));
    }
    let diff = String::from_utf8_lossy(&output.stdout).into_owned();
    if args.read.json {
        let answer = DiffAnswer { version: json::VERSION, tag: run.tag, from: from.0, to: to.0, diff };
        json::print(&answer)?;
    } else if std::io::stdout().is_terminal() {
        print(&diff);
    } else {
        // A patch: every byte of it counts, and what it meets is no terminal.
        terminal::raw(&output.stdout).map_err(CommandError::Other)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The commit that an experiment's change was made to: that of the baseline is the one that the search starts from.
fn parent(tag: &str, state: &autoresearch_core::State, made: &Experiment) -> Result<Revision, CommandError> {
    let base = || state.header.as_ref().and_then(|header| header.base.clone());
    // A keep of several steps is one commit on the incumbent before it.
    made.parent.clone().or_else(base).ok_or_else(|| CommandError::NothingMeasured(tag.to_owned()))
}

/// Fails in plain words if a commit is not in the repository.
fn check_present(repository: &Repository, tag: &str, revision: &Revision) -> Result<(), CommandError> {
    let name = format!("{}^{{commit}}", revision.0);
    let known = git::output(&repository.root, &["cat-file", "-e", &name])?;
    match known.status.success() {
        true => Ok(()),
        false => Err(CommandError::Other(format!(
            "this repository has no commit {revision} of the run {tag}: the run was imported from elsewhere, or `autoresearch gc` \
             has removed its candidates; `autoresearch show N --json` has the change as it was proposed"
        ))),
    }
}

fn print(diff: &str) {
    if !terminal::has_colour() {
        return terminal::out(diff);
    }
    for line in diff.lines() {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'd', b'i', b'f', b'f', ..] => Some(Style::Yellow),
            [b'+', ..] => Some(Style::Green),
            [b'-', ..] => Some(Style::Red),
            _ => None,
        };
        terminal::out_styled(line, style);
    }
}
