//! The result of each kind of reply.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use autoresearch_agents::claude::{CacheTime, Effort, Thinking};
use autoresearch_agents::model::{Caps, Check, Mode, Surroundings};
use autoresearch_agents::{ClaudeProposer, ClaudeSettings, OpenAiProposer, OpenAiSettings};
use autoresearch_core::{EditablePaths, ProposerError, RejectedDraft, Revision, SandboxError};

use super::fixture::*;
use super::mock::{Act, Mock};
use super::vendors::*;

#[tokio::test]
async fn a_streamed_answer_becomes_a_proposal_with_its_cost() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text(&good(), End::Complete, 300, 3))]).await;
        let proposal = once(setup(&mock.url).proposer(interface)).await.unwrap();
        assert_eq!((proposal.description.as_str(), proposal.hypothesis.as_str()), ("X 10.0 -> 9.0", "nearer"));
        assert_eq!(proposal.cost.tokens, INPUT + 300, "{interface:?}");
        let dollars = match interface {
            Interface::Claude => (400.0 * 4.0 + 600.0 * 0.2 + 300.0 * 20.0) / 1e6,
            _ => (400.0 * 2.0 + 600.0 * 0.1 + 300.0 * 10.0) / 1e6,
        };
        assert!((proposal.cost.dollars - dollars).abs() < 1e-12, "{interface:?}");
    }
}

/// A document in two pieces, under a header that says nothing of it or something wrong.
fn document(text: &str, kind: &str) -> Act {
    let (first, second) = text.split_at(text.len() / 2);
    let headers = vec![("content-type", kind.to_owned())];
    Act { headers, ..Act::stream(vec![first.into(), second.into()]) }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    for interface in INTERFACES {
        for kind in ["application/json", "text/event-stream", "text/plain"] {
            let mock = Mock::script(vec![document(&interface.document(&good(), &[], 300), kind)]).await;
            let proposal = once(setup(&mock.url).proposer(interface)).await.unwrap();
            assert_eq!(
                (proposal.description.as_str(), proposal.cost.tokens),
                ("X 10.0 -> 9.0", INPUT + 300),
                "{interface:?}"
            );
            assert_eq!((proposal.cost.calls, mock.seen().len()), (1, 1));
        }
        let edit = serde_json::json!({ "kind": "replace", "path": FILE, "search": "10.0", "replace": "9.5" });
        let propose = serde_json::json!({ "description": "nearer", "hypothesis": "h" });
        let mock = Mock::script(vec![
            document(
                &interface.document("I see.", &[("list", serde_json::json!({})), ("edit", edit)], 10),
                "application/json",
            ),
            document(&interface.document("", &[("propose", propose)], 10), "application/json"),
        ])
        .await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        let proposal = once(setup.proposer(interface)).await.unwrap();
        assert_eq!((proposal.description.as_str(), proposal.cost.calls), ("nearer", 2), "{interface:?}");
    }
}

#[tokio::test]
async fn a_document_that_is_no_reply_is_tried_again() {
    for interface in INTERFACES {
        let whole = interface.document(&good(), &[], 300);
        let mock = Mock::script(vec![
            document(&whole[..whole.len() - 20], "application/json"),
            document(
                r#"{"error":{"type":"overloaded_error","code":"server_error","message":"m"}}"#,
                "application/json",
            ),
            document("{}", "application/json"),
            document(&whole, "application/json"),
        ])
        .await;
        let proposal = once(setup(&mock.url).proposer(interface)).await.unwrap();
        assert_eq!((proposal.cost.calls, mock.seen().len()), (1, 4), "{interface:?}");
    }
}

#[tokio::test]
async fn requests_have_the_documented_form() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text(&good(), End::Complete, 1, 100))]).await;
        once(setup(&mock.url).proposer(interface)).await.unwrap();
        let seen = &mock.seen()[0];
        let body = seen.body.to_string();
        assert!(body.contains("Lower the score.") && body.contains("const X: f64 = 10.0;") && !body.contains(KEY));
        for gone in ["temperature", "top_p"] {
            assert!(seen.body[gone].is_null());
        }
        match interface {
            Interface::Claude => {
                assert_eq!(seen.path, "/v1/messages");
                assert_eq!(seen.headers["x-api-key"], KEY);
                assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
                assert_eq!(seen.body["system"][0]["cache_control"]["type"], "ephemeral");
                assert_eq!(seen.body["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
                assert_eq!(seen.body["output_config"]["format"]["type"], "json_schema");
            }
            Interface::Responses => {
                assert_eq!(seen.path, "/responses");
                assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
                assert_eq!(seen.body["text"]["format"]["strict"], true);
                assert_eq!(seen.body["store"], false);
            }
            Interface::Chat => {
                assert_eq!(seen.path, "/chat/completions");
                assert_eq!(seen.body["response_format"]["type"], "json_schema");
            }
        }
    }
}

#[tokio::test]
async fn claude_s_settings_are_sent() {
    let mock = Mock::script(vec![Act::stream(Interface::Claude.text(&good(), End::Complete, 1, 100))]).await;
    let settings = ClaudeSettings {
        version: "2026-10-21".into(),
        effort: Some(Effort::Xhigh),
        thinking: Some(Thinking::Enabled { budget_tokens: 1024 }),
        cache: CacheTime::Hour,
        options: setup(&format!("{}/v1/", mock.url)).options,
        ..ClaudeSettings::default()
    };
    let surroundings = || Surroundings::new(EditablePaths::new([FILE]));
    once(Box::new(ClaudeProposer::new(settings.clone(), surroundings()).unwrap())).await.unwrap();
    let seen = &mock.seen()[0];
    assert_eq!(seen.path, "/v1/messages");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert!(!seen.headers.contains_key("x-api-key"));
    assert_eq!(seen.body["thinking"], serde_json::json!({ "type": "enabled", "budget_tokens": 1024 }));
    assert_eq!(seen.body["output_config"]["effort"], "xhigh");
    assert_eq!(seen.body["system"][0]["cache_control"]["ttl"], "1h");

    let few = ClaudeSettings { thinking: Some(Thinking::Enabled { budget_tokens: 10 }), ..settings };
    assert!(ClaudeProposer::new(few, surroundings()).is_err());
}

#[tokio::test]
async fn a_completion_without_a_last_word_is_complete() {
    let mut frames = Interface::Chat.text(&good(), End::Complete, 10, 20);
    // Neither `[DONE]` nor the usage.
    frames.truncate(frames.len() - 2);
    let mock = Mock::script(vec![Act::stream(frames)]).await;
    let proposal = once(setup(&mock.url).proposer(Interface::Chat)).await.unwrap();
    assert_eq!(mock.seen().len(), 1);
    assert!(proposal.cost.tokens > 100, "what is not counted is estimated");
}

#[tokio::test]
async fn a_limit_in_dollars_needs_a_price() {
    let settings = |model: &str| OpenAiSettings {
        model: model.into(),
        options: setup("http://localhost:1").options,
        ..OpenAiSettings::default()
    };
    let mut surroundings = Surroundings::new(EditablePaths::new([FILE]));
    assert!(OpenAiProposer::new(settings("local"), surroundings.clone()).is_ok());
    surroundings.run_caps.dollars = Some(1.0);
    let error = OpenAiProposer::new(settings("local"), surroundings.clone()).err().unwrap().to_string();
    assert!(error.contains("[proposer.prices.\"local\"]"), "{error}");
    assert!(OpenAiProposer::new(settings("gpt-6-luna"), surroundings).is_ok());
}

#[tokio::test]
async fn a_patch_that_does_not_fit_is_mended_with_the_matcher_s_words() {
    for interface in INTERFACES {
        let acts = ["no JSON at all", &answer("11.0", "9.0"), &good()];
        let acts = acts.iter().map(|text| Act::stream(interface.text(text, End::Complete, 10, 50)));
        let mock = Mock::script(acts.collect()).await;
        let proposal = once(setup(&mock.url).proposer(interface)).await.unwrap();
        assert_eq!(proposal.cost.tokens, 3 * (INPUT + 10));
        let last = mock.seen()[2].body.to_string();
        assert!(last.contains("not a JSON object") && last.contains("no JSON at all"), "{last}");
        assert!(last.contains("the nearest line is 2: const X: f64 = 10.0;"), "{last}");
    }
}

/// A compiler that knows what it wants.
struct Wants(&'static str);

#[async_trait]
impl Check for Wants {
    async fn check(&self, _: &Revision, files: &BTreeMap<String, String>) -> Result<Result<(), String>, SandboxError> {
        Ok(if files[FILE].contains(self.0) { Ok(()) } else { Err(format!("error[E1]: expected {}", self.0)) })
    }
}

#[tokio::test]
async fn a_patch_that_does_not_compile_is_mended_with_the_compiler_s_words() {
    for interface in INTERFACES {
        let acts = [answer("10.0", "9"), good()].map(|text| Act::stream(interface.text(&text, End::Complete, 10, 50)));
        let mock = Mock::script(acts.to_vec()).await;
        let mut setup = setup(&mock.url);
        setup.check = Some(Arc::new(Wants("9.0;")));
        once(setup.proposer(interface)).await.unwrap();
        assert!(mock.seen()[1].body.to_string().contains("error[E1]: expected 9.0;"));
    }
}

#[tokio::test]
async fn an_answer_that_stays_unusable_is_rejected_with_its_cost() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text("sorry", End::Complete, 10, 50))]).await;
        match once(setup(&mock.url).proposer(interface)).await {
            Err(ProposerError::Rejected(RejectedDraft { reason, cost, .. })) => {
                assert!(reason.contains("not a JSON object"), "{reason}");
                assert_eq!(cost.tokens, 4 * (INPUT + 10));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(mock.seen().len(), 4, "{interface:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_no_proposal_and_no_crash() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text("frontier_llm", End::Refusal, 10, 50))]).await;
        match once(setup(&mock.url).proposer(interface)).await {
            Err(ProposerError::Rejected(RejectedDraft { description, reason, cost, .. })) => {
                assert_eq!((description.as_str(), cost.tokens), ("the model declined", INPUT + 10));
                assert!(reason.contains("frontier_llm"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_is_asked_for_again() {
    for interface in INTERFACES {
        let acts = vec![
            Act::stream(interface.text(&good()[..20], End::MaxTokens, 2000, 50)),
            Act::stream(interface.text(&good(), End::Complete, 10, 50)),
        ];
        let mock = Mock::script(acts).await;
        once(setup(&mock.url).proposer(interface)).await.unwrap();
        assert!(mock.seen()[1].body.to_string().contains("more briefly"), "{interface:?}");
    }
}

#[tokio::test]
async fn a_pause_goes_on_and_a_full_window_ends_the_proposal() {
    let interface = Interface::Claude;
    let acts = [("thinking aloud", End::Pause), (&good(), End::Complete), ("too much", End::WindowExceeded)];
    let acts = acts.map(|(text, end)| Act::stream(interface.text(text, end, 10, 50)));
    let mock = Mock::script(acts.to_vec()).await;
    let results = proposals(setup(&mock.url).proposer(interface), 5).await;
    assert!(results[0].is_ok());
    let messages = mock.seen()[1].body["messages"].clone();
    assert_eq!(messages[1]["role"], "assistant");
    assert_eq!(messages[1]["content"][0]["text"], "thinking aloud");
    assert!(
        matches!(&results[1], Err(ProposerError::Rejected(RejectedDraft { reason, .. })) if reason.contains("window")),
        "{results:?}"
    );
}

#[tokio::test]
async fn a_huge_answer_is_read_and_rejected() {
    for interface in INTERFACES {
        let huge = "x".repeat(5 << 20);
        let mock = Mock::script(vec![
            Act::stream(interface.text(&huge, End::Complete, 10, 1 << 20)),
            Act::stream(interface.text(&good(), End::Complete, 10, 50)),
        ])
        .await;
        once(setup(&mock.url).proposer(interface)).await.unwrap();
        assert!(mock.seen()[1].body.to_string().len() < 100_000, "{interface:?}");
    }
}

#[tokio::test]
async fn a_spent_budget_ends_the_run_with_a_clear_message() {
    for interface in INTERFACES {
        let mut at = 10.0;
        let mock = Mock::start(move |_| {
            at -= 1.0;
            let text = answer(&format!("{:?}", at + 1.0), &format!("{at:?}"));
            Act::stream(interface.text(&text, End::Complete, 2000, 50))
        })
        .await;
        let mut setup = setup(&mock.url);
        setup.run_caps = Caps { tokens: Some(12_000), ..Caps::default() };
        let results = proposals(setup.proposer(interface), 50).await;
        let Some(Err(ProposerError::Exhausted(why))) = results.last() else { panic!("{results:?}") };
        assert!(why.contains("of 12000 tokens are spent"), "{why}");
        let spent: u64 = results.iter().flatten().map(|proposal| proposal.cost.tokens).sum();
        assert!((6_000..=12_000).contains(&spent), "{spent}");
    }
}

#[tokio::test]
async fn a_proposal_that_may_cost_too_much_is_given_up_with_what_it_cost() {
    let interface = Interface::Claude;
    let mock = Mock::script(vec![Act::stream(interface.text("no", End::Complete, 1500, 50))]).await;
    let mut setup = setup(&mock.url);
    setup.options.per_proposal.dollars = Some(0.08);
    match once(setup.proposer(interface)).await {
        Err(ProposerError::Rejected(RejectedDraft { reason, cost, .. })) => {
            assert!(reason.contains("budget of a proposal"), "{reason}");
            assert!(cost.dollars > 0.0 && cost.dollars <= 0.08);
        }
        other => panic!("{other:?}"),
    }
    setup.options.per_proposal.dollars = Some(0.001);
    let error = once(setup.proposer(interface)).await.unwrap_err();
    assert!(matches!(&error, ProposerError::Fatal(why) if why.contains("lower max_tokens")), "{error}");
}
