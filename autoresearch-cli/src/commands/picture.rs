//! `autoresearch picture`: draws a run for a README, its report on a terminal and its staircase.

use std::path::PathBuf;
use std::process::ExitCode;

use autoresearch_core::{SandboxError, State, Status};
use clap::Args;

use crate::error::CommandError;
use crate::repository::Repository;
use crate::text::{clean_line, terminal};
use crate::{plot, report};

/// Draw a run as terminal.svg and staircase.svg.
#[derive(Debug, Args)]
pub struct PictureArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Folder for the pictures.
    folder: PathBuf,
}

/// The longest line, and the most lines of experiments.
const WIDTH: usize = 118;
const LINES: usize = 16;

const BACKGROUND: &str = "#1b1f27";
const PLAIN: &str = "#d6dae2";
const DIM: &str = "#7d8593";
const GREEN: &str = "#5fd38a";
const RED: &str = "#ef7b7b";

/// Writes both pictures.
pub fn picture(repository: &Repository, args: PictureArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    let state = repository.state(&tag)?;
    let (svg, staircase) = (args.folder.join("terminal.svg"), args.folder.join("staircase.svg"));
    let failed = |e| SandboxError::io(format!("writing into {}", args.folder.display()), e);
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    std::fs::write(&svg, terminal_svg(&lines(&state))).map_err(failed)?;
    plot::staircase_svg(&state, &staircase)?;
    terminal::out(format_args!("pictures: {}, {}", svg.display(), staircase.display()));
    Ok(ExitCode::SUCCESS)
}

/// The lines of a run with their colours: the command, the first experiments, and the totals.
fn lines(state: &State) -> Vec<(String, &'static str)> {
    let mut lines = vec![(format!("$ autoresearch run --experiments {}", state.finished()), PLAIN)];
    for experiment in state.experiments.iter().take(LINES) {
        let colour = match experiment.status {
            Status::Keep => GREEN,
            Status::Discard => DIM,
            Status::Crash => RED,
        };
        lines.push((report::line(state, experiment), colour));
    }
    if state.experiments.len() > LINES {
        lines.push(("…".into(), DIM));
    }
    lines.extend(report::summary(state).lines().map(|line| (line.to_owned(), PLAIN)));
    lines
}

/// Draws lines of text as a terminal shows them.
fn terminal_svg(lines: &[(String, &'static str)]) -> String {
    const CHAR: f64 = 7.25;
    const LINE: usize = 19;
    let shown: Vec<(String, &str)> = lines.iter().map(|(line, colour)| (cut(line), *colour)).collect();
    let longest = shown.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let (width, height) = ((longest as f64 * CHAR) as usize + 40, shown.len() * LINE + 54);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (number, colour) in ["#ef7b7b", "#e6c15c", "#5fd38a"].iter().enumerate() {
        svg += &format!("<circle cx=\"{}\" cy=\"18\" r=\"5\" fill=\"{colour}\"/>\n", 20 + 18 * number);
    }
    svg += "<g font-family=\"ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n";
    for (number, (line, colour)) in shown.iter().enumerate() {
        let (y, text) = (50 + number * LINE, escape(line));
        svg += &format!("<text x=\"20\" y=\"{y}\" fill=\"{colour}\" xml:space=\"preserve\">{text}</text>\n");
    }
    svg + "</g>\n</svg>\n"
}

fn cut(line: &str) -> String {
    let line = clean_line(line);
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::run_of;

    #[test]
    fn a_run_is_drawn_with_its_colours_and_its_text_escaped() {
        let many: Vec<(String, Option<f64>)> =
            (0..40).map(|n| (format!("A < {n} & more"), (n != 3).then_some(50.0 - f64::from(n % 5)))).collect();
        let state = run_of(&many.iter().map(|(text, score)| (text.as_str(), *score)).collect::<Vec<_>>());
        let svg = terminal_svg(&lines(&state));
        assert!(svg.contains("A &lt; 3 &amp; more") && svg.contains("39 experiments:"), "{svg}");
        assert!([GREEN, DIM, RED].iter().all(|colour| svg.contains(colour)) && svg.contains('…'));
        assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
    }
}
