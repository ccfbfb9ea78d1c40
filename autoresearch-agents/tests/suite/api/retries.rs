//! Retries: the errors that get one, their pauses, and those that get none.

use std::time::{Duration, Instant};

use autoresearch_core::{ProposerError, RejectedDraft};
use futures_util::{StreamExt, stream};

use super::fixture::*;
use super::mock::{Act, Ending, Mock};
use super::vendors::*;

async fn after(interface: Interface, acts: Vec<Act>) -> (Result<(), ProposerError>, usize) {
    let mock = Mock::script(acts).await;
    let result = once(setup(&mock.url).proposer(interface)).await.map(drop);
    (result, mock.seen().len())
}

fn fine(interface: Interface) -> Act {
    Act::stream(interface.text(&good(), End::Complete, 10, 20))
}

const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","code":"slow_down","message":"m"}}"#;

#[tokio::test]
async fn whatever_is_worth_another_attempt_gets_one() {
    for interface in INTERFACES {
        let frames = interface.text(&good(), End::Complete, 10, 20);
        let half = frames[..frames.len() / 2].to_vec();
        let garbage = [half.clone(), vec!["event: x\ndata: {\"type\":\n\n".into()]].concat();
        let mut drip = Act::stream(frames.clone());
        drip.pause = Duration::from_millis(400);
        let mut crawl = Act::stream(vec![": ping\n\n".into(); 600]);
        crawl.pause = Duration::from_millis(100);
        let acts = [
            ("408", Act::error(408, &[], "")),
            ("409", Act::error(409, &[], "{}")),
            ("429", Act::error(429, &[], OVERLOADED)),
            ("429 in milliseconds", Act::error(429, &[("retry-after-ms", "20"), ("retry-after", "60")], OVERLOADED)),
            ("429 in seconds", Act::error(429, &[("retry-after", "0.02")], OVERLOADED)),
            ("429 until a date", Act::error(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], OVERLOADED)),
            ("429 with nonsense", Act::error(429, &[("retry-after", "later")], "<html>")),
            ("400 that says so", Act::error(400, &[("x-should-retry", "true")], "{}")),
            ("500", Act::error(500, &[], "oops")),
            ("529", Act::error(529, &[], OVERLOADED)),
            ("a cut stream", Act::stream(half.clone()).ending(Ending::Cut)),
            ("an early end", Act::stream(half.clone())),
            ("a stall", Act::stream(half.clone()).ending(Ending::Stall)),
            ("silence", Act::stream(vec![]).ending(Ending::Silence)),
            ("a slow drip", drip),
            ("a crawl", crawl),
            ("garbage", Act::stream(garbage)),
            ("an error within", Act::stream([half, vec![interface.broken_off()]].concat())),
            ("an empty response", Act::stream(vec![])),
        ];
        // Most of each is a wait.
        stream::iter(acts)
            .for_each_concurrent(4, async |(what, act)| {
                let is_silent = ["a stall", "silence", "a slow drip", "a crawl"].contains(&what);
                let mock = Mock::script(vec![act, fine(interface)]).await;
                let mut setup = setup(&mock.url);
                if is_silent {
                    setup.options.timeouts = SHORT;
                }
                let began = Instant::now();
                let result = once(setup.proposer(interface)).await;
                let (calls, took) = (mock.seen().len(), began.elapsed());
                assert!(result.is_ok(), "{interface:?}, {what}: {result:?}");
                // On a busy machine the answer that is fine may be late for so short a timeout, too.
                assert!(calls == 2 || is_silent && calls > 2, "{interface:?}, {what}: {calls} calls");
                assert!(took < Duration::from_secs(40), "{interface:?}, {what}: {took:?}");
            })
            .await;
    }
}

#[tokio::test]
async fn what_no_attempt_can_mend_is_not_tried_again() {
    let no_key = format!(r#"{{"error":{{"type":"authentication_error","message":"wrong key {KEY}"}}}}"#);
    let spent = r#"{"error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    let long = r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#;
    let quota = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"m"}}"#;
    for interface in INTERFACES {
        for (act, kind) in [
            (Act::error(401, &[], &no_key), "fatal"),
            (Act::error(400, &[], long), "rejected"),
            (Act::error(404, &[], "{}"), "fatal"),
            (Act::error(400, &[], "{}"), "rejected"),
            (Act::error(302, &[("location", "http://elsewhere.invalid/")], ""), "fatal"),
            (Act::error(529, &[("x-should-retry", "false")], "{}"), "transient"),
            (Act::error(429, &[("x-should-retry", "true")], spent), "exhausted"),
            (Act::error(429, &[], quota), "exhausted"),
            (Act::error(429, &[("retry-after", "121")], OVERLOADED), "transient"),
        ] {
            let (result, calls) = after(interface, vec![act.clone(), fine(interface)]).await;
            let error = result.unwrap_err();
            let found = match &error {
                ProposerError::Fatal(_) => "fatal",
                ProposerError::Exhausted(_) => "exhausted",
                ProposerError::Transient(_) => "transient",
                ProposerError::Rejected(_) => "rejected",
                _ => "other",
            };
            assert_eq!((found, calls), (kind, 1), "{interface:?}, {act:?}: {error}");
            assert!(!error.to_string().contains(KEY), "{error}");
        }
    }
}

#[tokio::test]
async fn attempts_end() {
    for interface in INTERFACES {
        let (result, calls) = after(interface, vec![Act::error(529, &[], OVERLOADED)]).await;
        assert!(matches!(&result, Err(ProposerError::Transient(why)) if why.contains("7 attempts")), "{result:?}");
        assert_eq!(calls, 7);
    }
}

#[tokio::test]
async fn nobody_listening_is_worth_another_attempt() {
    let result = once(setup("http://127.0.0.1:9").proposer(Interface::Claude)).await;
    assert!(matches!(result, Err(ProposerError::Transient(_))), "{result:?}");
}

#[tokio::test]
async fn a_used_up_rate_limit_is_respected_ahead_of_time() {
    for interface in INTERFACES {
        let mut act = Act::stream(interface.text("no", End::Complete, 10, 20));
        let began = Instant::now();
        let reset = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1200);
        act.headers.extend(match interface {
            Interface::Claude => [
                ("anthropic-ratelimit-requests-remaining", "0".to_owned()),
                ("anthropic-ratelimit-requests-reset", reset.to_string()),
            ],
            _ => [("x-ratelimit-remaining-tokens", "0".to_owned()), ("x-ratelimit-reset-tokens", "1s".to_owned())],
        });
        after(interface, vec![act, fine(interface)]).await.0.unwrap();
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900), "{took:?}");
    }
}

/// The server turns down whole conversations: a full context window of vLLM and llama.cpp, a content filter of Anthropic.
const TURNED_DOWN: [&str; 3] = [
    r#"{"object":"error","message":"This model's maximum context length is 32768 tokens.","type":"BadRequestError","code":400}"#,
    r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
];

#[tokio::test]
async fn an_error_that_one_conversation_caused_rejects_one_proposal() {
    for interface in INTERFACES {
        for body in TURNED_DOWN {
            let first = Act::stream(interface.calls(&[("list", serde_json::json!({}))], 10));
            let mock = Mock::script(vec![first, Act::error(400, &[], body)]).await;
            let mut setup = setup(&mock.url);
            setup.options.mode = autoresearch_agents::model::Mode::Agentic;
            match once(setup.proposer(interface)).await {
                Err(ProposerError::Rejected(RejectedDraft { cost, .. })) => assert_eq!(cost.tokens, INPUT + 10),
                other => panic!("{interface:?}, {body}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn first_calls_that_keep_failing_end_the_run() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::error(400, &[], TURNED_DOWN[0])]).await;
        let mut proposer = setup(&mock.url).proposer(interface);
        for nth in 1..=3 {
            match propose_first(&mut *proposer).await {
                Err(ProposerError::Rejected(_)) if nth < 3 => {}
                Err(ProposerError::Fatal(why)) if nth == 3 => {
                    assert!(why.contains("first calls of 3 proposals") && why.contains("editable files"), "{why}");
                }
                other => panic!("{interface:?}, {nth}: {other:?}"),
            }
        }
        assert_eq!(mock.seen().len(), 3);
    }
}

/// Two more that turn a conversation down: a gateway's own filter, and servers whose errors have other forms.
#[tokio::test]
async fn what_a_gateway_turns_down_rejects_one_proposal_and_the_run_goes_on() {
    let filtered = r#"{"error":{"code":"content_filter","message":"The prompt triggered the content policy","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
    let listed = r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#;
    let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
    for interface in INTERFACES {
        for (status, body, words) in
            [(400, filtered, "content policy"), (400, listed, "no longer fits"), (413, page, "413")]
        {
            let first = Act::stream(interface.calls(&[("list", serde_json::json!({}))], 10));
            let acts = vec![first, Act::error(status, &[], body), fine(interface)];
            let mock = Mock::script(acts).await;
            let mut setup = setup(&mock.url);
            setup.options.mode = autoresearch_agents::model::Mode::Agentic;
            match once(setup.proposer(interface)).await {
                Err(ProposerError::Rejected(draft)) => {
                    assert!(draft.reason.contains(words), "{interface:?}: {}", draft.reason);
                    assert_eq!(draft.cost.tokens, INPUT + 10, "what was paid for is told");
                }
                other => panic!("{interface:?}, {body}: {other:?}"),
            }
        }
    }
}
