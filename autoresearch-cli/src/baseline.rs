//! Remedies for a baseline that failed, as far as its end and its output tell.

use autoresearch_core::{ExperimentId, LabError, Outcome, Phase, RunLog, State};
use autoresearch_metrics::{Part, TOOLS, Tool, ToolResult};

use crate::config::MetricKind;
use crate::missing;
use crate::session::Session;

/// Formats the remedies, each in a line of its own; empty if there are none.
pub fn remedies(session: &Session, state: &State, error: &LabError) -> String {
    let LabError::Baseline { why, tail, log } = error else { return String::new() };
    let whole = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let output = whole.unwrap_or_else(|_| tail.clone());
    let mut text = missing::remedies(session, &format!("{why}\n{output}"));
    let outcome = state.open(ExperimentId::BASELINE).and_then(|open| open.experiment.outcome.as_ref());
    let hint = match outcome {
        Some(Outcome::TimedOut { log }) => Some(limit(log.phase)),
        Some(Outcome::Crashed { log, .. }) if log.phase == Phase::Evaluation => Some(evaluation()),
        Some(Outcome::Completed(_)) => reader(session, output),
        _ => None,
    };
    if let Some(hint) = hint {
        text += &format!("\nhint: {hint}");
    }
    text
}

/// The key of the limit that the program did not keep.
fn limit(phase: Phase) -> String {
    let section = match phase {
        Phase::Build => "build",
        Phase::Run => "run",
        Phase::Evaluation => "evaluate",
        Phase::Guard => "guard",
    };
    format!("[{section}] limit_seconds says how long it may take; give it more time, or less to do")
}

/// The files that an evaluation works on.
fn evaluation() -> String {
    "[evaluate] inputs names the files that the run leaves, relative to its folder; the evaluation finds them under the same names \
     in the folder {inputs}"
        .into()
}

/// The tool whose results the output has, where the metric is read by its name alone.
fn reader(session: &Session, output: String) -> Option<String> {
    let metric = &session.config.metric;
    let log = RunLog { tail: output, ..RunLog::default() };
    let reads = |tool: &&Tool| {
        let result = ToolResult::new(**tool);
        result.files().is_none() && Part::new(&metric.name, result).reading(&log).is_ok()
    };
    let is_plain = metric.kind == MetricKind::Number && metric.is_printed();
    let tool = TOOLS.iter().filter(|_| is_plain).find(reads)?;
    Some(format!("the output is that of {0}; to read its result, add reader = \"{0}\" to [metric]", tool.name()))
}
