//! The `autoresearch` command: a thin shell over `autoresearch-core`. It wires, displays, and sets exit codes.
//!
//! Exit codes: 0 for a command that did its work (a run that ended by a condition of its own, too), 1 for an error, for a run
//! whose proposals were all rejected and for violations that `verify` finds, 2 for a wrong command line, 3 where there is nothing to
//! work on, 130 for an interruption.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// The modules stand in layers: each uses only those above it.
mod text;

mod config;
mod import;
mod placeholders;
mod plan;
mod plot;
mod svg_terminal;

mod bundle;
mod control;
mod error;
mod git;
mod policy;
mod removed;
mod repository;
mod start;

mod session;

mod verification;

mod attacks;
mod checks;
mod missing;
mod proposers;
mod proxy;
mod rehearsal;
mod remeasure;
mod slots;
mod transfer;

mod baseline;
mod bundled;
mod init;

mod report;

mod history;

mod json;

mod display;

mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::text::terminal;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    if cli.quiet {
        terminal::be_quiet();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::err(format_args!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            terminal::err(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
