//! Spending has a bound: no scenario passes a limit by more than one call, or goes on for more than twenty proposals in a row
//! that come to nothing without a wait or an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use autoresearch_agents::agent_cli::{Auth, Upstream};
use autoresearch_agents::http::{Secret, Timeouts};
use autoresearch_agents::model::{Backoff, Caps, DEFAULT_RUN_DOLLARS, Mode, Surroundings};
use autoresearch_agents::{
    Agent, AgentCliProposer, AgentSettings, ClaudeProposer, ClaudeSettings, Portfolio, ReplayProposer,
};
use autoresearch_core::internal::verify;
use autoresearch_core::*;
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::fixture::*;
use super::mock::{Act, Ending, Mock};
use super::vendors::*;

/// Waits that a test can afford, long enough to be told from a proposal without one.
const BACKOFF: Backoff = Backoff { free: 2, first: 0.06, most: 0.06, limit: 8 };
/// Rejected proposals in a row after which a scenario must have ended or waited.
const IN_A_ROW: usize = 20;

/// One proposal after the other, as a lab without any patience of its own would ask for them.
struct Spending {
    spent: Cost,
    rejected: usize,
    /// Rejected proposals before the first wait.
    before_wait: Option<usize>,
    end: Option<String>,
}

async fn spend(proposer: &mut dyn Proposer) -> Spending {
    let program = Program::parse("Lower the score.").unwrap();
    let files = [(FILE.to_owned(), "// A number.\nconst X: f64 = 10.0;\n".to_owned())];
    let files = Arc::new(files.into());
    let score = Score::new(7.0).unwrap();
    let mut spending = Spending { spent: Cost::default(), rejected: 0, before_wait: None, end: None };
    for _ in 0..3 * IN_A_ROW {
        let mut context: Context<'_> =
            Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::clone(&files), 0);
        context.spent = spending.spent;
        let started = Instant::now();
        let result = proposer.propose(&context).await;
        // The first two proposals never wait: a longer third one has waited.
        if started.elapsed() >= Duration::from_secs_f64(BACKOFF.first) && spending.rejected > 2 {
            spending.before_wait.get_or_insert(spending.rejected);
        }
        match result {
            Ok(proposal) => spending.spent = spending.spent + proposal.cost,
            Err(ProposerError::Rejected(RejectedDraft { cost, .. })) => {
                spending.spent = spending.spent + cost;
                spending.rejected += 1;
            }
            // The lab backs off by itself.
            Err(ProposerError::Transient(_)) => {}
            Err(error) => {
                spending.end = Some(error.to_string());
                break;
            }
        }
    }
    spending
}

/// A name, what the server does in turn, and how proposals are asked for.
type Scenario = (&'static str, Vec<Act>, Mode);

/// Scenarios of a server in which no proposal is ever made.
fn scenarios(interface: Interface) -> Vec<Scenario> {
    let text = |text: &str, end| Act::stream(interface.text(text, end, 400, 50));
    let frames = interface.text(&good(), End::Complete, 400, 50);
    let half = || Act::stream(frames[..frames.len() / 2].to_vec());
    let declined =
        r#"{"error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#;
    let list = || Act::stream(interface.calls(&[("list", json!({}))], 400));
    vec![
        ("unusable answers", vec![text("sorry", End::Complete)], Mode::SingleShot),
        ("declined", vec![text("frontier_llm", End::Refusal)], Mode::SingleShot),
        ("edits that do not fit", vec![text(&answer("11.0", "1.0"), End::Complete)], Mode::SingleShot),
        ("answers that are cut", vec![text("{", End::MaxTokens)], Mode::SingleShot),
        ("replies that break off", vec![half().ending(Ending::Cut)], Mode::SingleShot),
        ("no head of a response", vec![Act::stream(vec![]).ending(Ending::Silence)], Mode::SingleShot),
        ("silence midway", vec![list(), Act::stream(vec![]).ending(Ending::Silence)], Mode::Agentic),
        ("no proposal", vec![list()], Mode::Agentic),
        ("turned down midway", vec![list(), Act::error(400, &[], declined)], Mode::Agentic),
        ("turned down at once", vec![Act::error(400, &[], declined)], Mode::SingleShot),
    ]
}

#[tokio::test]
async fn no_scenario_spends_without_bound() {
    let all = INTERFACES.into_iter().flat_map(|interface| {
        let scenarios = scenarios(interface).into_iter();
        scenarios.flat_map(move |scenario| [None, Some(4)].map(|cap| (interface, scenario.clone(), cap)))
    });
    // Most of each is a wait.
    let seen: Vec<(u64, usize)> = stream::iter(all).map(spent_in_a_scenario).buffer_unordered(8).collect().await;
    let beyond = seen.iter().map(|seen| seen.0).max().unwrap();
    let in_a_row = seen.iter().map(|seen| seen.1).max().unwrap();
    let scenarios = seen.len();
    println!("evidence spend-cap scenarios {scenarios} calls_beyond_cap {beyond} in_a_row {in_a_row}");
}

/// Returns the calls beyond the cap, and the rejected proposals in a row.
async fn spent_in_a_scenario((interface, (name, acts, mode), cap): (Interface, Scenario, Option<u64>)) -> (u64, usize) {
    let mut at = 0;
    let is_silent = acts.iter().any(|act| act.ending == Ending::Silence);
    let mock = Mock::start(move |_| {
        at += 1;
        acts[(at - 1) % acts.len()].clone()
    })
    .await;
    let mut setup = setup(&mock.url);
    setup.options.mode = mode;
    setup.options.turns = 3;
    setup.options.repairs = 1;
    setup.options.retry.times = 1;
    setup.options.backoff = BACKOFF;
    if is_silent {
        setup.options.timeouts = Timeouts { first_byte: 0.1, ..SHORT };
    }
    setup.run_caps = Caps { calls: cap, ..Caps::default() };
    let spending = spend(&mut *setup.proposer(interface)).await;
    let calls = spending.spent.calls;
    let what = format!("{interface:?}, {name}, cap {cap:?}: {calls} calls, {} rejected", spending.rejected);
    assert!(spending.end.is_some(), "{what}: it ends");
    assert!(spending.rejected <= IN_A_ROW, "{what}");
    assert!(cap.is_none_or(|cap| calls <= cap + 1), "{what}");
    if is_silent {
        // Every request that reached the server may be billed, also without an answer.
        assert!(calls >= mock.seen().len() as u64, "{what}: {} requests", mock.seen().len());
    }
    if spending.rejected > 4 {
        assert_eq!(spending.before_wait, Some(3), "{what}: it waits from the third rejection on");
    }
    (cap.map_or(0, |cap| calls.saturating_sub(cap)), spending.before_wait.unwrap_or(spending.rejected))
}

#[tokio::test]
async fn an_agent_that_proposes_nothing_waits_and_ends() {
    for script in
        ["true", "echo 'Which of the two would you like me to take?'", "echo x > notes.md", "rm -f keep; exit 0"]
    {
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::Command(["sh", "-c", script].map(String::from).into());
        let mut settings = AgentSettings::new(agent, EditablePaths::new([FILE]), folder.path().join("scratch"));
        settings.backoff = Backoff { limit: 6, ..BACKOFF };
        let spending = spend(&mut AgentCliProposer::new(settings)).await;
        assert_eq!(spending.rejected, 6, "{script}");
        assert!(spending.end.unwrap().contains("6 proposals in a row came to nothing"));
    }
}

/// A session of an agent whose program always fails, and of which nobody tells a cost.
async fn spend_on_failures(script: &str, server: Option<&str>) -> Spending {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::Command(["sh", "-c", script].map(String::from).into());
    let mut settings = AgentSettings::new(agent, EditablePaths::new([FILE]), folder.path().join("scratch"));
    settings.backoff = Backoff { first: 0.001, limit: 6, ..BACKOFF };
    settings.limit = Duration::from_secs(if script.contains("sleep") { 1 } else { 120 });
    settings.upstream = server.map(|url| Upstream::new(url, Secret::new(KEY), Auth::XApiKey));
    spend(&mut AgentCliProposer::new(settings)).await
}

#[tokio::test]
async fn sessions_of_unknown_cost_end_the_run_and_a_network_that_is_away_does_not() {
    let asks = "curl -sS --fail --noproxy '*' -H \"x-api-key: $ANTHROPIC_API_KEY\" -d '{}' \
        \"$ANTHROPIC_BASE_URL/v1/messages\"; exit 1";
    let (unknown, busy) = (Act::error(404, &[], "{}"), Act::error(529, &[], "{}"));
    let (unknown, busy) = (Mock::script(vec![unknown]).await, Mock::script(vec![busy]).await);
    let cases = [
        ("exec sleep 600", None, true),
        ("echo 'not logged in'; exit 3", None, true),
        ("echo 'const X: f64 = 9.0;' > a.rs; echo 'Error: connect ECONNREFUSED'; exit 1", None, true),
        ("echo 'Error: connect ECONNREFUSED'; exit 1", None, false),
        ("exit 3", Some("http://127.0.0.1:9"), true),
        (asks, Some(&*unknown.url), true),
        (asks, Some(&*busy.url), false),
        (asks, Some("http://127.0.0.1:9"), false),
    ];
    stream::iter(cases)
        .for_each_concurrent(4, async |(script, server, ends)| {
            let Spending { spent, end, .. } = spend_on_failures(script, server).await;
            assert_eq!(spent, Cost::default(), "{script}");
            let has_ended = end.as_ref().is_some_and(|why| why.contains("6 proposals in a row came to nothing"));
            assert_eq!(has_ended, ends, "{script} {server:?}: {end:?}");
        })
        .await;
}

/// A run is cancelled in the middle of each proposal: after one call that was paid for, while the next waits for its answer.
#[tokio::test]
async fn a_cap_holds_over_restarts_in_the_middle_of_proposals() {
    for interface in INTERFACES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (list, mut asked) = (Act::stream(interface.calls(&[("list", json!({}))], 400)), 0);
        let mock = Mock::start(move |_| {
            asked += 1;
            if asked % 2 == 0 { list.clone().ending(Ending::Silence) } else { list.clone() }
        })
        .await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        setup.run_caps = Caps { calls: Some(5), ..Caps::default() };
        for (calls, ends) in [(2, false), (4, false), (5, true)] {
            let portfolio = Portfolio::new(0, vec![("model".into(), setup.proposer(interface))]);
            let mut lab = lab_with(Box::new(portfolio), Stop::default(), Journal::open(&path).unwrap());
            let cancel = Cancel::new();
            let (watched, to_cancel) = (mock.clone(), cancel.clone());
            let watcher = tokio::spawn(async move {
                while ends || watched.seen().len() < calls {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                to_cancel.cancel();
            });
            let reason = lab.run(&cancel).await.unwrap();
            watcher.abort();
            assert_eq!(reason == StopReason::Cancelled, !ends, "{interface:?}: {reason}");
            let state = lab.state();
            assert_eq!((state.cost.calls as usize, mock.seen().len()), (calls, calls), "{interface:?}: {reason}");
            assert!(state.rejections.iter().all(|rejection| rejection.proposer == "model"));
            assert_eq!(state.rejections[0].description, "cancelled");
        }
        let journal = Journal::open(&path).unwrap();
        assert_eq!(verify::journal(journal.entries()), []);
        ReplayProposer::<Patch>::new(journal.entries()).unwrap();
    }
}

#[tokio::test]
async fn every_paid_proposer_has_a_limit_in_dollars_by_default() {
    let mock = Mock::script(vec![Act::stream(Interface::Claude.text(&good(), End::Complete, 400, 50))]).await;
    let settings = ClaudeSettings { options: setup(&mock.url).options, ..ClaudeSettings::default() };
    let mut proposer = ClaudeProposer::new(settings, Surroundings::new(EditablePaths::new([FILE]))).unwrap();
    assert_eq!(proposer.run_caps().dollars, Some(DEFAULT_RUN_DOLLARS));
    assert_eq!(proposer.run_caps().to_string(), "$20");
    let program = Program::parse("Lower the score.").unwrap();
    let files = Arc::new([(FILE.to_owned(), "const X: f64 = 10.0;\n".to_owned())].into());
    let score = Score::new(7.0).unwrap();
    let mut context: Context<'_> =
        Context::new(&program, Revision("base".into()), score, Direction::Minimise, files, 0);
    context.spent = Cost { dollars: DEFAULT_RUN_DOLLARS, ..Cost::default() };
    let error = proposer.propose(&context).await.unwrap_err();
    assert!(matches!(&error, ProposerError::Exhausted(why) if why.contains("of $20 are spent")), "{error}");
    assert!(mock.seen().is_empty());
    // An agent with its own login is stopped between two proposals.
    let folder = tempfile::tempdir().unwrap();
    let settings = AgentSettings::new(Agent::claude_code(), EditablePaths::new([FILE]), folder.path().join("scratch"));
    let error = AgentCliProposer::new(settings).propose(&context).await.unwrap_err();
    assert!(matches!(&error, ProposerError::Exhausted(why) if why.contains("may spend $20")), "{error}");
}

#[tokio::test]
async fn a_key_among_the_files_never_reaches_a_prompt() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text(&good(), End::Complete, 10, 50))]).await;
        let mut proposer = setup(&mock.url).proposer(interface);
        let program = Program::parse(&format!("Lower the score with {KEY}.")).unwrap();
        let files = [(FILE.to_owned(), format!("// printed {KEY}\nconst X: f64 = 10.0;\n"))].into();
        let score = Score::new(7.0).unwrap();
        let context: Context<'_> =
            Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files), 0);
        proposer.propose(&context).await.unwrap();
        let body = mock.seen()[0].body.to_string();
        assert!(body.contains("// printed [key]") && !body.contains(KEY), "{interface:?}: {body}");
    }
}
