use std::io::Write;
use std::sync::{Arc, Mutex};

use autoresearch_core::{Event, Observer};

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
    display.on_event(&Event::ExperimentStarted { experiment: 0, description: "baseline" });
    display.on_event(&Event::Line { experiment: 0, worker: Some(0), line: "step 1 (1%) | loss: 2" });
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
