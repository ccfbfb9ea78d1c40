//! The reference of all commands as Markdown, made of the same definitions as `--help`.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

/// Formats the reference (docs/commands.md).
pub fn markdown() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = format!(
        "# Commands\n\nMade by `autoresearch reference`, of the same text as `--help`.\n\n{}\n",
        paragraphs(&cli)
    );
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        section(&mut text, command);
    }
    text
}

fn section(text: &mut String, command: &Command) {
    let name = command.get_name();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "\n## autoresearch {name}\n\n{}\n\n```text\n{usage}\n```\n\n", paragraphs(command));
    text.push_str("| argument | meaning |\n|---|---|\n");
    for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
        let _ = writeln!(text, "| `{}` | {} |", written(arg), meaning(arg));
    }
    if let Some(example) = command.get_after_help() {
        let example = example.to_string();
        let lines: String = example.lines().skip(1).map(|line| format!("{}\n", line.trim())).collect();
        let _ = write!(text, "\n```sh\n{lines}```\n");
    }
}

fn paragraphs(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

/// An argument as it is typed.
fn written(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
    match arg.get_long() {
        Some(long) if arg.get_action().takes_values() => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = match defaults.is_empty() || !arg.get_action().takes_values() {
        true => String::new(),
        false => format!(" [default: {}]", defaults.join(", ")),
    };
    format!("{help}{default}").replace('|', "\\|")
}
