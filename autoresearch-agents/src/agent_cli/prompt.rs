//! What an agent is asked for.

use std::fmt::Write;

use autoresearch_core::{Context, Direction, EditablePaths, Experiment};

/// The longest programme and history that are passed on, in bytes: the whole must fit into one argument of a command.
const PROGRAMME: usize = 48 << 10;
const HISTORY: usize = 24 << 10;
/// The longest account of what went wrong the last time.
const TROUBLE: usize = 2000;
/// So many refusals are listed.
const REFUSALS: usize = 10;

/// The task for the next proposal. `trouble` is what went wrong with the last attempt.
pub(super) fn prompt(context: &Context<'_>, editable: &EditablePaths, trouble: Option<&str>) -> String {
    let better = match context.direction {
        Direction::Minimise => "lower",
        Direction::Maximise => "higher",
    };
    let mut text = format!(
        "You improve a program by experiments. Edit the files in the current folder to carry out one idea, small enough that \
         its effect can be told. Afterwards your edit is built, run under a fixed budget and measured elsewhere; it is kept \
         only if the score is better ({better} is better), and reverted otherwise.\n\n\
         Rules:\n\
         - Only these may be changed or made: {editable}. Whatever else you change or leave in this folder, your work is \
         refused as a whole. Put temporary files into $TMPDIR.\n\
         - Do not run the experiment itself, and wait for nobody: there is nobody to ask.\n\
         - End with a message whose last line is one JSON object: {{\"description\": \"the change in one line\", \
         \"hypothesis\": \"why it should help\"}}\n\n\
         # The programme\n\n{}\n\n# Experiments so far\n\nThe score to beat is {}.\n",
        start(context.program.text.trim(), PROGRAMME),
        context.score
    );
    // The latest ones, as many as there is room for.
    let mut lines: Vec<String> = context.experiments.iter().rev().map(line).collect();
    let mut room = HISTORY;
    let fitting =
        lines.iter().take_while(|line| room.checked_sub(line.len()).inspect(|left| room = *left).is_some()).count();
    lines.truncate(fitting);
    lines.iter().rev().for_each(|line| text.push_str(line));
    let refused = context.rejections.iter().rev().take(REFUSALS);
    let refused: Vec<String> =
        refused.map(|refusal| format!("- {}: {}\n", short(&refusal.description), short(&refusal.reason))).collect();
    if !refused.is_empty() {
        let _ = write!(text, "\n# Refused without an experiment\n\n{}", refused.concat());
    }
    if let Some(trouble) = trouble {
        let _ =
            write!(text, "\n# The last attempt led to nothing\n\n{}\nAvoid that this time.\n", start(trouble, TROUBLE));
    }
    // An argument cannot hold a NUL.
    text.replace('\0', " ")
}

fn line(experiment: &Experiment) -> String {
    let score = experiment.score().map_or_else(|| "no score".to_owned(), |score| score.to_string());
    let (id, status, description) = (experiment.id, experiment.status, short(&experiment.description));
    format!("- {id} {status} {score}: {description} ({})\n", short(&experiment.reason))
}

fn short(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

/// The beginning of a text, cut between two characters.
fn start(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
