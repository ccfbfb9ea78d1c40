//! Near misses are put together, each set once.

use crate::fixture::{Measure, constant, run_lab};
use async_trait::async_trait;
use autoresearch_agents::MergeProposer;
use autoresearch_core::*;

const SOURCE: &str = "const A: i64 = 1;\nconst B: i64 = 1;\nconst C: i64 = 1;\n";

/// A and B help only together; A = 3 is nearly as good as A = 1; C is best left alone.
const MEASURE: Measure = |source| {
    Ok(match (constant(source, "A") as i64, constant(source, "B") as i64, constant(source, "C") as i64) {
        (1, 1, 1) => 1.0,
        (2, 2, 1) => 0.9,
        (3, 1, 1) => 1.005,
        (_, _, 1) => 1.01,
        _ => 1.5,
    })
};

/// Proposes a list first.
struct First(Vec<Patch>, MergeProposer);

#[async_trait]
impl Proposer for First {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        match self.0.get(context.proposals()) {
            Some(patch) => Ok(Proposal::new(patch.clone(), format!("number {}", context.proposals() + 1))),
            None => self.1.propose(context).await,
        }
    }
}

fn set(name: &str, value: &str) -> Patch {
    let line = |value: &str| format!("const {name}: i64 = {value};");
    Patch::replace("train.rs", line("1"), line(value))
}

fn first() -> Vec<Patch> {
    let text = SOURCE.replacen("= 1", "= 4", 1);
    let write = Patch { edits: vec![FileEdit::Write { path: "train.rs".into(), text }] };
    vec![set("A", "2"), set("B", "2"), set("A", "3"), set("C", "2"), write]
}

#[tokio::test]
async fn changes_that_fail_alone_and_fit_together_are_combined_once() {
    let (reason, _, state) = run_lab(SOURCE, MEASURE, First(first(), MergeProposer::new(0.05)), 20).await;
    let merged: Vec<(&str, Status)> =
        state.experiments.iter().skip(6).map(|e| (e.description.as_str(), e.status)).collect();
    // 1 and 3 change the same line, 4 is no near miss, and 5 writes over whatever it is combined with.
    let expected = [("2 near misses: #2 + #3", Status::Discard), ("2 near misses: #1 + #2", Status::Keep)];
    assert_eq!(merged, expected);
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
    assert!(state.rejections.is_empty());
    assert!(state.experiments[6].hypothesis.contains("#2 -0.010000"), "{}", state.experiments[6].hypothesis);
}

#[tokio::test]
async fn three_at_once_are_combined_where_they_fit() {
    let measure: Measure = |source| {
        let changed = ["A", "B", "C"].iter().filter(|name| constant(source, name) > 1.0).count();
        Ok([1.0, 1.01, 1.02, 0.5][changed])
    };
    let changes = || vec![set("A", "2"), set("B", "2"), set("C", "2")];
    let (_, _, state) = run_lab(SOURCE, measure, First(changes(), MergeProposer::new(0.05)), 20).await;
    let kept = state.experiments.last().unwrap();
    assert_eq!((kept.description.as_str(), kept.status), ("3 near misses: #1 + #2 + #3", Status::Keep));
    let proposer = MergeProposer::new(0.05).with_most(2);
    let (_, _, state) = run_lab(SOURCE, measure, First(changes(), proposer), 20).await;
    assert_eq!((state.finished(), state.incumbent.unwrap().experiment.0), (6, 0));
}

/// Two values on one line cannot be replaced one after the other: they are put together as constants.
#[tokio::test]
async fn changes_of_one_line_are_combined_where_they_are_constants() {
    let source = "let o = f(Options { a: 1, b: 1, c: 1 });\n";
    let measure: Measure = |source| {
        let changed = ["a", "b", "c"].iter().filter(|name| constant(source, name) > 1.0).count();
        Ok([1.0, 1.01, 0.5, 0.4][changed])
    };
    let set =
        |name: &str| Patch::replace("train.rs", source, source.replace(&format!("{name}: 1"), &format!("{name}: 2")));
    let changes = vec![set("a"), set("b")];
    let (_, _, state) = run_lab(source, measure, First(changes, MergeProposer::new(0.05)), 20).await;
    let kept = state.experiments.last().unwrap();
    assert_eq!((kept.description.as_str(), kept.status), ("2 near misses: #1 + #2", Status::Keep));
    assert!(kept.change.to_string().contains("a: 2, b: 2, c: 1"), "{}", kept.change);
}
