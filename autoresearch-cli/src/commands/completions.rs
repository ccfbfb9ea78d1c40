//! `autoresearch completions` and `autoresearch man`: what shells and `man` show of the command.

use std::path::PathBuf;
use std::process::ExitCode;

use autoresearch_core::SandboxError;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::CommandError;
use crate::text::terminal;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  autoresearch completions bash > ~/.local/share/bash-completion/completions/autoresearch"
)]
pub struct CompletionsArgs {
    /// The shell: bash, elvish, fish, powershell or zsh.
    #[arg(value_enum, hide_possible_values = true)]
    shell: Shell,
}

/// Prints the completions of the command line `cli`.
pub fn completions(args: &CompletionsArgs, mut cli: Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "autoresearch", &mut text);
    terminal::out(String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}

/// Write the man pages: one for the command, and one for each subcommand.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  autoresearch man --out ~/.local/share/man/man1")]
pub struct ManArgs {
    /// The folder that they are written into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the man pages of the command line `cli`.
pub fn man(args: &ManArgs, cli: Command) -> Result<ExitCode, CommandError> {
    let out = &args.out;
    let failed = |e| SandboxError::io(format!("writing man pages into {}", out.display()), e);
    std::fs::create_dir_all(out).map_err(failed)?;
    clap_mangen::generate_to(cli, out).map_err(failed)?;
    terminal::note(format_args!("man pages: {}", out.display()));
    Ok(ExitCode::SUCCESS)
}
