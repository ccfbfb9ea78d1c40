//! The reference of all commands as Markdown, made of the same definitions as `--help`.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::cli::Cli;

/// Formats the reference (docs/commands.md).
pub fn markdown() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = format!(
        "# Commands\n\nMade by `autoresearch reference`, of the same text as `--help`.\n\n{}",
        description(&cli)
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
    let _ = write!(text, "\n## autoresearch {name}\n\n{}\n```text\n{usage}\n```\n\n", description(command));
    text.push_str("| argument | meaning |\n|---|---|\n");
    for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
        let _ = writeln!(text, "| `{}` | {} |", written(arg), meaning(arg));
    }
    let example = after_help(command).1;
    if !example.is_empty() {
        let lines: String = example.lines().map(|line| format!("{}\n", line.trim())).collect();
        let _ = write!(text, "\n```sh\n{lines}```\n");
    }
}

/// The paragraphs that describe a command.
fn description(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let more = after_help(command).0;
    let more = if more.is_empty() { more } else { format!("\n{}\n", more.replace('\n', " ")) };
    format!("{about}.\n{more}")
}

/// The text below the options of a command, and the lines of its example.
fn after_help(command: &Command) -> (String, String) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (more, example) = text.split_once("Example:\n").unwrap_or((&text, ""));
    (more.trim().to_owned(), example.to_owned())
}

/// An argument as it is typed.
fn written(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ").replace('|', "\\|");
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
