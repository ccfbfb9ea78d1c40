//! The programme for a person to edit: what the proposer is told.

use autoresearch_core::Direction;

use super::draft::Draft;

/// Text of a first `program.md` for a repository that has none.
pub fn programme(draft: &Draft, repository: &str) -> String {
    let (name, better) = match &draft.metric {
        Some(metric) => {
            (metric.name.as_str(), if metric.direction == Some(Direction::Maximise) { "higher" } else { "lower" })
        }
        None => ("the number", "better"),
    };
    format!(
        "# Improve {name} of {repository}\n\n\
         `{command}` prints {name}; {better} is better. Only {editable} may change.\n\n\
         ## What to try\n\n\
         - Write here what you would try first, and what is known not to help.\n\n\
         ## What must stay\n\n\
         - The results must stay right: a number that is better because less is done counts for nothing.\n\
         - Simpler code at the same {name} is an improvement.\n",
        command = draft.run.join(" "),
        editable = draft.editable.join(", "),
    )
}
