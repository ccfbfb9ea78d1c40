//! The key proxy by itself and under an agent.

use autoresearch_agents::Agent;
use autoresearch_agents::agent_cli::{Auth, KeyProxy, Upstream};
use autoresearch_agents::http::Secret;
use autoresearch_agents::model::{Caps, Price, Usage};
use autoresearch_core::{Cancel, LabError, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixture::Place;
use super::mock::{Server, events};

const KEY: &str = "real-key-of-the-vendor";

fn stream() -> String {
    events(&[
        serde_json::json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}),
        serde_json::json!({"type": "message_delta", "usage": {"output_tokens": 5}}),
    ])
}

fn upstream(url: &str, auth: Auth) -> Upstream {
    Upstream::new(url, Secret::new(KEY), auth)
}

fn calls(most: u64) -> Caps {
    Caps { calls: Some(most), ..Caps::default() }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn the_proxy_exchanges_the_key_and_counts() {
    for auth in [Auth::XApiKey, Auth::Bearer] {
        let server = Server::start(|_| (200, stream())).await;
        let upstream = upstream(&format!("{}/v1/", server.url), auth);
        assert!(!format!("{upstream:?}").contains(KEY));
        let proxy = KeyProxy::start(&upstream, calls(2)).await.unwrap();
        let ask = |path: &str, key: &str| {
            let request = client().post(format!("{}{path}", proxy.url())).header("x-api-key", key);
            request.header("anthropic-version", "2023-06-01").header("cookie", "a=b").body("{}")
        };
        let answer = ask("/v1/messages?beta=true", proxy.token()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.text().await.unwrap(), stream());
        assert_eq!(proxy.tally().usage, Usage { input: 10, output: 5, ..Usage::default() });

        let asked = server.asked();
        assert_eq!((asked[0].path.as_str(), asked[0].body.as_str()), ("/v1/messages?beta=true", "{}"));
        assert_eq!(asked[0].header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(asked[0].header("cookie"), None);
        let shown = [asked[0].header("x-api-key"), asked[0].header("authorization")];
        let bearer = format!("Bearer {KEY}");
        assert_eq!(shown, if auth == Auth::XApiKey { [Some(KEY), None] } else { [None, Some(bearer.as_str())] });
        assert!(!asked[0].head.contains(proxy.token()));

        // Not with another key, not to another place, and not more often than allowed.
        assert_eq!(ask("/v1/messages", "guessed").send().await.unwrap().status(), 401);
        assert_eq!(ask("/v1/files", proxy.token()).send().await.unwrap().status(), 403);
        assert_eq!(ask("/v1/messages/../files", proxy.token()).send().await.unwrap().status(), 403);
        let got = client().get(format!("{}/v1/messages", proxy.url())).header("x-api-key", proxy.token()).send();
        assert_eq!(got.await.unwrap().status(), 403);
        assert_eq!(server.asked().len(), 1);
        assert_eq!(ask("/v1/responses", proxy.token()).send().await.unwrap().status(), 200);
        let spent = ask("/v1/messages", proxy.token()).send().await.unwrap();
        assert_eq!((spent.status().as_u16(), &spent.headers()["x-should-retry"]), (403, &"false".parse().unwrap()));
        assert!(spent.text().await.unwrap().contains("2 of 2 calls are made"));
        assert_eq!((proxy.tally().calls, proxy.tally().over_budget, server.asked().len()), (2, 1, 2));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let proxy = KeyProxy::start(&upstream("http://127.0.0.1:9", Auth::Bearer), calls(5)).await.unwrap();
    let answer =
        client().post(format!("{}/v1/responses", proxy.url())).bearer_auth(proxy.token()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), proxy.tally().usage), (502, Usage::default()), "nothing was sent");
    assert!(!answer.text().await.unwrap().contains(KEY));
    let url = proxy.url();
    drop(proxy);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(client().post(url).send().await.is_err(), "it listens no more");
    let empty = Upstream::new("http://127.0.0.1:9", Secret::new(""), Auth::Bearer);
    assert!(KeyProxy::start(&empty, calls(5)).await.is_err());
}

/// An agent of its own that asks the server once, edits, and ends.
const ASKS: &str =
    "curl -sS --noproxy '*' -H \"x-api-key: $ANTHROPIC_API_KEY\" -d '{}' \"$ANTHROPIC_BASE_URL/v1/messages\"
    sed -i 's/5/4/' value.sh; env > ../../../env; echo; echo done";

#[tokio::test]
async fn an_agent_spends_tokens_and_sees_no_key() {
    let place = Place::new();
    let server = Server::start(|_| (200, stream())).await;
    let mut settings = place.settings(Agent::Command(["sh", "-c", ASKS].map(String::from).into()));
    settings.upstream = Some(upstream(&server.url, Auth::XApiKey));
    let run = place.run_lab(settings, 1).await.unwrap();
    assert_eq!((run.decisions(), run.state.experiments[1].cost.tokens), (vec![Status::Keep], 15));
    let seen = place.read("env");
    assert!(seen.contains("ANTHROPIC_API_KEY=agent-") && seen.contains("/home\n") && !seen.contains(KEY), "{seen}");
    assert_eq!(server.asked()[0].header("x-api-key"), Some(KEY));
}

#[tokio::test]
async fn a_rejected_key_ends_the_run() {
    let place = Place::new();
    let server = Server::start(|_| (401, format!("{{\"error\":{{\"message\":\"no such key: {KEY}\"}}}}"))).await;
    let mut settings = place.settings(Agent::Command(["sh", "-c", ASKS].map(String::from).into()));
    settings.upstream = Some(upstream(&server.url, Auth::XApiKey));
    match place.run_lab(settings, 1).await {
        Err(LabError::Proposer(why)) => assert!(why.contains("rejects the key (HTTP 401)"), "{why}"),
        other => panic!("{:?}", other.map(|run| run.decisions())),
    }
    let proxy = KeyProxy::start(&upstream(&server.url, Auth::XApiKey), calls(1)).await.unwrap();
    let ask = client().post(format!("{}/v1/messages", proxy.url())).header("x-api-key", proxy.token()).send();
    assert!(!ask.await.unwrap().text().await.unwrap().contains(KEY), "the server's answer quotes it");
}

/// An agent that asks again and again until it is rejected, and edits only then.
const ASKS_ON: &str = "while curl -sS --fail --noproxy '*' -H \"x-api-key: $ANTHROPIC_API_KEY\" -d \"$0\" \
    \"$ANTHROPIC_BASE_URL/v1/messages\" >/dev/null 2>&1; do :; done; sed -i 's/[0-9]\\+/0/' value.sh; echo done";

fn asking(place: &Place, server: &Server, request: &str) -> autoresearch_agents::AgentSettings {
    let command = ["sh", "-c", ASKS_ON, request].map(String::from);
    let mut settings = place.settings(Agent::Command(command.into()));
    settings.upstream = Some(upstream(&server.url, Auth::XApiKey));
    let price = Price { input: 10.0, output: 100.0, ..Price::NOTHING };
    settings.prices = [("priced".to_owned(), price)].into();
    settings
}

#[tokio::test]
async fn a_cap_ends_an_agent_s_calls_midway_before_it_is_passed() {
    // Each call takes 15 tokens; before it is known what it takes it may be 7 of the request and 40 of the answer.
    let request = r#"{"model":"priced","max_tokens":40}"#;
    let worst = (request.len() as u64).div_ceil(3) + 40;
    for caps in [
        Caps { tokens: Some(100), ..Caps::default() },
        Caps { dollars: Some(0.006), ..Caps::default() },
        Caps { calls: Some(4), ..Caps::default() },
    ] {
        let place = Place::new();
        let server = Server::start(|_| (200, stream())).await;
        let mut settings = asking(&place, &server, request);
        settings.per_proposal = caps;
        let run = place.run_lab(settings, 1).await.unwrap();
        let cost = run.state.experiments[1].cost;
        assert_eq!((cost.calls, cost.tokens), (server.asked().len() as u64, 15 * cost.calls), "{caps:?}");
        assert!((cost.dollars - cost.calls as f64 * 600e-6).abs() < 1e-12, "{cost:?}");
        let next = (cost.tokens + worst, cost.dollars + (40.0 * 100.0 + (worst - 40) as f64 * 10.0) / 1e6);
        let [tokens, dollars, calls] = [
            caps.tokens.is_some_and(|cap| cost.tokens <= cap && next.0 > cap),
            caps.dollars.is_some_and(|cap| cost.dollars <= cap && next.1 > cap),
            caps.calls == Some(cost.calls),
        ];
        assert!(tokens || dollars || calls, "{caps:?}: {cost:?}");
    }
}

#[tokio::test]
async fn the_run_s_cap_ends_the_run_of_an_agent() {
    let place = Place::new();
    let server = Server::start(|_| (200, stream())).await;
    let mut settings = asking(&place, &server, r#"{"model":"m"}"#);
    settings.run_caps = calls(3);
    let run = place.run_lab(settings, 5).await.unwrap();
    assert_eq!(run.decisions(), [Status::Keep]);
    assert_eq!((run.state.cost.calls, server.asked().len()), (3, 3));
    let reason = run.state.stopped.unwrap();
    assert!(reason.contains("the budget of the run") && reason.contains("3 of 3 calls are made"), "{reason}");
}

#[tokio::test]
async fn a_cap_that_cannot_be_kept_ends_the_run_with_advice() {
    let place = Place::new();
    let server = Server::start(|_| (200, stream())).await;
    for (dollars, tokens, words) in
        [(Some(1.0), None, "no price is known for the model m"), (None, Some(1), "raise it")]
    {
        let mut settings = asking(&place, &server, r#"{"model":"m"}"#);
        settings.per_proposal = Caps { dollars, tokens, calls: None };
        match place.run_lab(settings, 1).await {
            Err(LabError::Proposer(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{:?}", other.map(|run| run.decisions())),
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_paid_by_what_came_of_it() {
    let start = stream().split_inclusive("\n\n").next().unwrap().to_owned() + &": thinking\n\n".repeat(100);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bytes = start.len() as u64;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        let head = "HTTP/1.1 200 X\r\ncontent-length: 99999\r\n\r\n";
        socket.write_all((head.to_owned() + &start).as_bytes()).await.unwrap();
    });
    let proxy = KeyProxy::start(&upstream(&url, Auth::XApiKey), calls(9)).await.unwrap();
    let ask = client().post(format!("{}/v1/messages", proxy.url())).header("x-api-key", proxy.token()).body("{}");
    assert!(ask.send().await.unwrap().text().await.is_err(), "the agent sees that it broke off");
    assert_eq!(proxy.tally().usage, Usage { input: 10, output: bytes.div_ceil(16), ..Usage::default() });
}

/// A request that was sent counts with its worst case, whether the agent hangs up or the server does.
#[tokio::test]
async fn a_request_without_a_response_is_paid_by_its_worst_case() {
    let request = r#"{"model":"priced","max_tokens":40}"#;
    let worst = Usage { input: (request.len() as u64).div_ceil(3), output: 40, ..Usage::default() };
    for server_hangs_up in [false, true] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (heard, hears) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !String::from_utf8_lossy(&text).contains("max_tokens") {
                assert!(socket.read_buf(&mut text).await.unwrap() > 0);
            }
            heard.send(()).unwrap();
            if !server_hangs_up {
                std::future::pending::<()>().await;
            }
        });
        let proxy = KeyProxy::start(&upstream(&url, Auth::XApiKey), calls(9)).await.unwrap();
        let ask = client().post(format!("{}/v1/messages", proxy.url())).header("x-api-key", proxy.token());
        let asking = tokio::spawn(ask.body(request).send());
        hears.await.unwrap();
        if server_hangs_up {
            assert_eq!(asking.await.unwrap().unwrap().status(), 502);
        } else {
            asking.abort();
        }
        let booked = async {
            while proxy.tally().usage != worst {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), booked).await.expect("the worst case is booked");
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_journals_the_calls_of_the_unfinished_session() {
    let place = Place::new();
    let server = Server::start(|_| (200, stream())).await;
    let script = "for n in 1 2; do curl -sS --noproxy '*' -H \"x-api-key: $ANTHROPIC_API_KEY\" -d '{}' \
        \"$ANTHROPIC_BASE_URL/v1/messages\"; done; echo asked > ../../../asked; sleep 600";
    let mut settings = place.settings(Agent::Command(["sh", "-c", script].map(String::from).into()));
    settings.upstream = Some(upstream(&server.url, Auth::XApiKey));
    let cancel = Cancel::new();
    let stop = async {
        while place.read("asked").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let (run, ()) = tokio::join!(place.run_lab_until(settings, 1, &cancel), stop);
    let state = run.unwrap().state;
    assert_eq!((state.cost.calls, state.cost.tokens), (2, 30));
    assert_eq!(state.rejections[0].description, "cancelled");
}
