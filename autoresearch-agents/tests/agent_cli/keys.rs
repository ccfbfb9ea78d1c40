//! The key proxy by itself and under an agent.

use autoresearch_agents::Agent;
use autoresearch_agents::agent_cli::{Auth, KeyProxy, Upstream, Usage};
use autoresearch_core::{LabError, Status};

use crate::mock::{Server, events};
use crate::place::Place;

const KEY: &str = "real-key-of-the-vendor";

fn stream() -> String {
    events(&[
        serde_json::json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}),
        serde_json::json!({"type": "message_delta", "usage": {"output_tokens": 5}}),
    ])
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn the_proxy_exchanges_the_key_and_counts() {
    for auth in [Auth::XApiKey, Auth::Bearer] {
        let server = Server::start(|_| (200, stream())).await;
        let upstream = Upstream::new(&format!("{}/v1/", server.url), KEY, auth);
        assert!(!format!("{upstream:?}").contains(KEY));
        let proxy = KeyProxy::start(&upstream, 2).await.unwrap();
        let ask = |path: &str, key: &str| {
            let request = client().post(format!("{}{path}", proxy.url())).header("x-api-key", key);
            request.header("anthropic-version", "2023-06-01").header("cookie", "a=b").body("{}")
        };
        let answer = ask("/v1/messages?beta=true", proxy.token()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.text().await.unwrap(), stream());
        assert_eq!(proxy.tally().usage, Usage { input: 10, cached: 0, output: 5 });

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
        assert!(spent.text().await.unwrap().contains("the 2 calls for one proposal are spent"));
        assert_eq!((proxy.tally().calls, proxy.tally().over_budget, server.asked().len()), (2, 1, 2));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let proxy = KeyProxy::start(&Upstream::new("http://127.0.0.1:9", KEY, Auth::Bearer), 5).await.unwrap();
    let answer =
        client().post(format!("{}/v1/responses", proxy.url())).bearer_auth(proxy.token()).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(!answer.text().await.unwrap().contains(KEY));
    let url = proxy.url();
    drop(proxy);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(client().post(url).send().await.is_err(), "it listens no more");
    assert!(KeyProxy::start(&Upstream::new("http://127.0.0.1:9", "", Auth::Bearer), 5).await.is_err());
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
    settings.upstream = Some(Upstream::new(&server.url, KEY, Auth::XApiKey));
    let night = place.night(settings, 1).await.unwrap();
    assert_eq!((night.decisions(), night.state.experiments[1].cost.tokens), (vec![Status::Keep], 15));
    let seen = place.read("env");
    assert!(seen.contains("ANTHROPIC_API_KEY=agent-") && seen.contains("/home\n") && !seen.contains(KEY), "{seen}");
    assert_eq!(server.asked()[0].header("x-api-key"), Some(KEY));
}

#[tokio::test]
async fn a_refused_key_ends_the_run() {
    let place = Place::new();
    let server = Server::start(|_| (401, format!("{{\"error\":{{\"message\":\"no such key: {KEY}\"}}}}"))).await;
    let mut settings = place.settings(Agent::Command(["sh", "-c", ASKS].map(String::from).into()));
    settings.upstream = Some(Upstream::new(&server.url, KEY, Auth::XApiKey));
    match place.night(settings, 1).await {
        Err(LabError::Proposer(why)) => assert!(why.contains("refuses the key (HTTP 401)"), "{why}"),
        other => panic!("{:?}", other.map(|night| night.decisions())),
    }
    let proxy = KeyProxy::start(&Upstream::new(&server.url, KEY, Auth::XApiKey), 1).await.unwrap();
    let ask = client().post(format!("{}/v1/messages", proxy.url())).header("x-api-key", proxy.token()).send();
    assert!(!ask.await.unwrap().text().await.unwrap().contains(KEY), "the server's answer quotes it");
}
