//! Proposals that are worked out with tools.

use autoresearch_agents::model::Mode;
use autoresearch_core::{ProposerError, RejectedDraft};
use serde_json::json;

use super::fixture::*;
use super::mock::{Act, Mock};
use super::vendors::*;

#[tokio::test]
async fn files_are_read_edited_and_proposed() {
    for interface in INTERFACES {
        let edit = |from: &str| json!({ "kind": "replace", "path": FILE, "search": from, "replace": "9.0" });
        let acts = [
            interface.calls(&[("list", json!({})), ("read_file", json!({ "path": FILE }))], 10),
            interface.calls(&[("edit", edit("12.0"))], 10),
            interface.text("Let me see.", End::Complete, 10, 5),
            interface.calls(&[("edit", edit("10.0")), ("grep", json!({ "text": "9.0" })), ("check", json!({}))], 10),
            interface.calls(&[("propose", json!({ "description": "nearer", "hypothesis": "h" }))], 10),
        ];
        let mock = Mock::script(acts.into_iter().map(Act::stream).collect()).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        let proposal = once(setup.proposer(interface)).await.unwrap();
        assert_eq!((proposal.description.as_str(), proposal.change.edits.len()), ("nearer", 1));
        assert_eq!(proposal.cost.tokens, 5 * (INPUT + 10));
        let seen = mock.seen();
        assert_eq!(seen[0].body["tools"].as_array().unwrap().len(), 5);
        let said = |at: usize, word: &str| seen[at].body.to_string().contains(word);
        assert!(
            said(1, "a.rs (2 lines)") && said(2, "stands nowhere") && said(3, "end with `propose`"),
            "{interface:?}"
        );
        assert!(said(4, "a.rs:2: const X: f64 = 9.0;") && said(4, "there is no check"), "{interface:?}");
    }
}

#[tokio::test]
async fn turns_are_bounded() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.calls(&[("list", json!({}))], 10))]).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        setup.options.turns = 4;
        let result = once(setup.proposer(interface)).await;
        assert!(
            matches!(&result, Err(ProposerError::Rejected(RejectedDraft { reason, .. })) if reason.contains("4 turns")),
            "{result:?}"
        );
        assert_eq!(mock.seen().len(), 4);
    }
}

#[tokio::test]
async fn a_conversation_that_grows_too_long_ends_the_proposal_and_not_the_run() {
    for interface in INTERFACES {
        let long = r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}}"#;
        let acts = vec![
            Act::stream(interface.calls(&[("list", json!({}))], 10)),
            Act::error(400, &[], long),
            Act::stream(interface.calls(&[("propose", json!({}))], 10)),
        ];
        let mock = Mock::script(acts).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        match once(setup.proposer(interface)).await {
            Err(ProposerError::Rejected(RejectedDraft { reason, cost, .. })) => {
                assert!(reason.contains("window"), "{reason}");
                assert_eq!(cost.tokens, INPUT + 10);
            }
            other => panic!("{other:?}"),
        }
    }
}
