use std::io::Write;
use std::sync::{Arc, Mutex};

use autoresearch_core::{Event, ExperimentId, Observer, Progress};

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let captured = Captured::default();
    let display = Display::plain(Options::default(), Box::new(captured.clone()));
    display.on_event(&Event::ExperimentStarted { experiment: ExperimentId(0), description: "baseline" });
    display.on_event(&Event::Progress {
        experiment: ExperimentId(0),
        worker: Some(0),
        progress: &Progress::Line("step 1 (1%) | loss: 2".into()),
    });
    display.on_event(&Event::Rejected { description: "A 1 -> 2", reason: "same" });
    let state = crate::report::fixtures::example();
    for experiment in &state.experiments {
        display.on_event(&Event::Decided { experiment, state: &state });
    }
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("baseline:"), "{text}");
    assert!(lines[1].ends_with("rejected: A 1 -> 2: same"), "progress lines wait: {text}");
    assert!(lines[3].contains("KEPT") && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_run_that_ends_for_rejected_proposals_says_which_and_what_to_do() {
    let captured = Captured::default();
    let display = Display::plain(Options::default(), Box::new(captured.clone()));
    let reason = StopReason::Rejected { count: 20, last: "- wider: no edits\n- deeper: not editable".into() };
    display.on_event(&Event::Stopped { reason: &reason, state: &State::default() });
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| &line[9..]).collect();
    assert!(lines[0].starts_with("stopped: 20 proposals in a row were rejected; the last ones were: ("), "{text}");
    assert_eq!(lines[1..3], ["- wider: no edits", "- deeper: not editable"]);
    assert!(lines[3].starts_with("mend what these reasons name") && lines[3].ends_with("the same command goes on"));
}
