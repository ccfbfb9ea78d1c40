//! The pictures of the README, drawn from a recorded run.

use std::path::Path;
use std::process::Command;

use autoresearch_core::internal::verify;
use autoresearch_core::{Journal, State};

const DRAW: &str =
    "TZ=UTC cargo run -p autoresearch-cli -- pictures --journal autoresearch-cli/tests/data/demo.jsonl --folder docs";

#[test]
fn the_pictures_in_the_book_are_those_of_the_recorded_run() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoresearch"));
    command.arg("pictures").arg("--journal").arg(own.join("tests/data/demo.jsonl")).arg("--folder").arg(folder.path());
    let output = command.env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{}", crate::fixture::text(&output));
    for name in ["terminal.svg", "staircase.svg"] {
        let drawn = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let committed = std::fs::read_to_string(own.join("../docs").join(name)).unwrap_or_default();
        assert!(drawn == committed, "docs/{name} is out of date; draw it anew: {DRAW}");
        assert!(!drawn.contains('\x1b') && drawn.contains("KEPT") == (name == "terminal.svg"));
    }
}

#[test]
fn the_recorded_run_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo.jsonl");
    let entries = Journal::read(&path).unwrap();
    assert!(verify::journal(&entries).is_empty());
    let state = State::replay(&entries).unwrap();
    let kept = state.experiments.iter().skip(1).filter(|experiment| experiment.kept_as.is_some()).count();
    assert!(state.finished() >= 30 && kept >= 5, "{kept} of {} kept", state.finished());
}
