//! Whole runs against a server that fails in a fifth of all cases.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoresearch_agents::http::{Cassette, Timeouts};
use autoresearch_agents::model::Caps;
use autoresearch_core::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::fixture::*;
use super::mock::{Act, Ending, Mock, Seen};
use super::vendors::*;

/// Long enough for an answer of the server on a busy machine, and short enough for its silences.
const TIMEOUTS: Timeouts = Timeouts { connect: 60.0, first_byte: 3.0, between_bytes: 3.0, whole: 5.0 };
/// Time after [`TIMEOUTS`] in which a client has gone away.
const LATE: f64 = 10.0;

/// Counts of the server.
#[derive(Debug, Default)]
struct Books {
    requests: usize,
    faults: usize,
    tokens: u64,
    dollars: f64,
    /// Requests that came when the cap was reached already.
    overspent: usize,
    /// The least and the most that requests without any answer count in the run's books: the longest answer that they asked for, and
    /// an input of at most a token for each byte.
    unanswered: (u64, u64),
}

impl Books {
    #[track_caller]
    fn agree_with(&self, cost: &Cost, prices: bool) {
        let more = cost.tokens - self.tokens;
        let (least, most) = self.unanswered;
        assert!((least..=most).contains(&more), "{cost:?} {self:?}");
        if prices {
            let dollars = cost.dollars - self.dollars;
            assert!(dollars > least as f64 * 20e-6 - 1e-9 && dollars < most as f64 * 20e-6 + 1e-9, "{cost:?} {self:?}");
        }
    }
}

struct Server {
    interface: Interface,
    rng: ChaCha8Rng,
    cap: f64,
    books: Arc<Mutex<Books>>,
}

const FAULTS: [&str; 22] = [
    "429 ms",
    "429 s",
    "429 date",
    "429 bare",
    "429 again",
    "529",
    "500",
    "408",
    "html",
    "cut",
    "early",
    "stall",
    "silence",
    "drip",
    "crawl",
    "garbage",
    "broken off",
    "refusal",
    "pause",
    "max tokens",
    "unusable",
    "huge",
];

impl Server {
    fn answer(&mut self, seen: &Seen) -> Act {
        let books = self.books.clone();
        let mut books = books.lock().unwrap();
        books.requests += 1;
        books.overspent += usize::from(books.dollars >= self.cap);
        let interface = self.interface;
        let text = self.proposal(seen);
        let output = 50 + text.len() as u64 / 4;
        let faulty = self.rng.random_bool(0.2);
        let fault = if faulty { *FAULTS.choose(&mut self.rng).unwrap() } else { "" };
        books.faults += usize::from(faulty);
        let frames = |text: &str, end| interface.text(text, end, output, 20);
        let half = || {
            let frames = frames(&text, End::Complete);
            frames[..frames.len() / 2].to_vec()
        };
        let error = Act::error;
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
        let act = match fault {
            "429 ms" => error(429, &[("retry-after-ms", "15"), ("retry-after", "60")], overloaded),
            "429 s" => error(429, &[("retry-after", "0.03")], overloaded),
            "429 date" => error(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], overloaded),
            "429 bare" => error(429, &[], overloaded),
            "429 again" => error(429, &[("x-should-retry", "true"), ("retry-after", "soon")], overloaded),
            "529" => error(529, &[], overloaded),
            "500" => error(500, &[], "{}"),
            "408" => error(408, &[], ""),
            "html" => error(502, &[], "<html>Bad gateway</html>"),
            "cut" => Act::stream(half()).ending(Ending::Cut),
            "early" => Act::stream(half()),
            "stall" => Act::stream(half()).ending(Ending::Stall),
            "silence" => Act::stream(vec![]).ending(Ending::Silence),
            "drip" => Act { pause: Duration::from_secs(10), ..Act::stream(frames(&text, End::Complete)) },
            "crawl" => Act { pause: Duration::from_millis(300), ..Act::stream(vec![": ping\n\n".into(); 100]) },
            "garbage" => Act::stream([half(), vec!["event: x\ndata: {\"type\n\n\u{0}".into()]].concat()),
            "broken off" => Act::stream([half(), vec![interface.broken_off()]].concat()),
            "refusal" => Act::stream(frames("frontier_llm", End::Refusal)),
            "pause" if interface == Interface::Claude => Act::stream(frames("one moment", End::Pause)),
            "max tokens" | "pause" => Act::stream(frames(&text[..10], End::MaxTokens)),
            "unusable" => Act::stream(frames("I would lower X.", End::Complete)),
            "huge" => Act::stream(interface.text(&"x".repeat(1 << 20), End::Complete, output, 1 << 17)),
            _ => Act::stream(frames(&text, End::Complete)),
        };
        let (tokens, input) = match fault {
            // The client gives up before the first frame.
            "drip" | "silence" => (0, 0),
            "cut" | "early" | "stall" | "garbage" | "broken off" => partial(interface, seen, &act.pieces),
            _ if act.status == 200 && fault != "crawl" => (INPUT + output, INPUT),
            _ => (0, 0),
        };
        books.tokens += tokens;
        if fault == "silence" {
            let names = ["max_tokens", "max_output_tokens", "max_completion_tokens"];
            let longest = names.iter().find_map(|name| seen.body[name].as_u64()).unwrap();
            let input = seen.body.to_string().len() as u64;
            books.unanswered = (books.unanswered.0 + longest, books.unanswered.1 + longest + input);
        }
        if tokens > 0 && interface == Interface::Claude {
            let fresh = (input - CACHED) as f64;
            books.dollars += (fresh * 4.0 + CACHED as f64 * 0.2 + (tokens - input) as f64 * 20.0) / 1e6;
        }
        act
    }

    /// The next proposal: mostly sound, sometimes one that does not fit or does not run.
    fn proposal(&mut self, seen: &Seen) -> String {
        let body = seen.body.to_string();
        let (_, rest) = body.split_once("const X: f64 = ").unwrap();
        let from = rest.split(';').next().unwrap();
        let to =
            (from.parse::<f64>().unwrap() * 100.0 + f64::from(self.rng.random_range(-100..=60i32))).round() / 100.0;
        match self.rng.random_range(0..20) {
            0 => answer("no such number", "1.0"),
            1 => answer(from, "oops"),
            _ => answer(from, &format!("{to:?}")),
        }
    }
}

/// Returns the bill of a reply that broke off: its received part, estimated where the server counts nothing before the end.
fn partial(interface: Interface, seen: &Seen, frames: &[String]) -> (u64, u64) {
    let bytes: usize = frames
        .iter()
        .filter_map(|frame| {
            serde_json::from_str::<Value>(frame.lines().find_map(|line| line.strip_prefix("data: "))?).ok()
        })
        .map(|data| match interface {
            Interface::Claude => data["delta"]["text"].as_str().map_or(0, str::len),
            Interface::Responses => data["delta"].as_str().map_or(0, str::len),
            Interface::Chat => data["choices"][0]["delta"]["content"].as_str().map_or(0, str::len),
        })
        .sum();
    let output = (bytes as u64).div_ceil(4);
    let estimate = (seen.body.to_string().len() as u64).div_ceil(3);
    match interface {
        Interface::Claude => (INPUT + output.max(1), INPUT),
        _ => (estimate + output, estimate),
    }
}

/// Ends after so many proposals, whatever became of them.
struct UpTo(usize, Box<dyn Proposer>);

#[async_trait]
impl Proposer for UpTo {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        match context.proposals() < self.0 {
            true => self.1.propose(context).await,
            false => Err(ProposerError::Exhausted("enough".into())),
        }
    }
}

struct FinishedRun {
    state: State,
    reason: StopReason,
    books: Books,
    stalls: usize,
    url: String,
}

async fn run_lab(
    interface: Interface,
    seed: u64,
    proposals: usize,
    cap: Option<f64>,
    cassette: Cassette,
) -> FinishedRun {
    let books = Arc::new(Mutex::new(Books::default()));
    let mut server = Server {
        interface,
        rng: ChaCha8Rng::seed_from_u64(seed),
        cap: cap.unwrap_or(f64::INFINITY),
        books: books.clone(),
    };
    let mock = Mock::start(move |seen| server.answer(seen)).await;
    let began = Instant::now();
    let (state, reason) = search(interface, &mock.url, proposals, cap, cassette).await;
    let books = std::mem::take(&mut *books.lock().unwrap());
    let limit = Duration::from_secs_f64(TIMEOUTS.whole + LATE);
    // A connection that is still held would not be counted yet.
    assert!(began.elapsed() < limit * (2 * books.faults as u32 + 10), "the run stood still");
    FinishedRun { state, reason, stalls: mock.held_longer_than(limit), books, url: mock.url.clone() }
}

async fn search(
    interface: Interface,
    url: &str,
    proposals: usize,
    cap: Option<f64>,
    cassette: Cassette,
) -> (State, StopReason) {
    let mut setup = setup(url);
    setup.options.timeouts = TIMEOUTS;
    setup.options.retry.times = 8;
    setup.run_caps = Caps { dollars: cap, ..Caps::default() };
    setup.cassette = cassette;
    let mut lab = lab(Box::new(UpTo(proposals, setup.proposer(interface))), Stop::default());
    let reason = lab.run(&Cancel::new()).await.unwrap();
    (lab.state().clone(), reason)
}

fn made(state: &State) -> usize {
    state.finished() + state.rejections.len()
}

fn seed() -> u64 {
    std::env::var("AUTORESEARCH_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

/// Returns the text that identifies a search.
fn lineage(state: &State) -> String {
    let experiments = state.experiments.iter();
    let experiments =
        experiments.map(|e| format!("{:?} {:?}", (&e.candidate, e.status, &e.description), (e.cost, &e.change)));
    format!("{:#?} {:#?} {:?}", experiments.collect::<Vec<_>>(), state.rejections, state.cost)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_faults_completes_spends_what_it_says_and_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let proposals = test_fixtures::by_default_or_thorough(60, 200);
    // About half of what the whole run spends.
    let cap = 0.0019 * proposals as f64;
    let (whole, capped) = tokio::join!(
        run_lab(Interface::Claude, seed(), proposals, None, Cassette::record_to(&path).unwrap()),
        run_lab(Interface::Claude, seed(), proposals, Some(cap), Cassette::none()),
    );
    let (books, state) = (&whole.books, &whole.state);
    assert_eq!(made(state), proposals);
    assert!(books.faults * 10 > books.requests, "{books:?}");
    books.agree_with(&state.cost, true);
    let best = state.incumbent.as_ref().unwrap().arm.mean().unwrap();
    assert!(best.get() < 1.0, "{best}");

    assert!(matches!(&capped.reason, StopReason::Exhausted(why) if why.contains("are spent")), "{:?}", capped.reason);
    assert!(
        made(&capped.state) > proposals / 4 && capped.state.cost.dollars <= cap,
        "{} {cap}",
        capped.state.cost.dollars
    );
    capped.books.agree_with(&capped.state.cost, true);

    let (overspent, stalls) = (books.overspent + capped.books.overspent, whole.stalls + capped.stalls);
    assert_eq!((overspent, stalls), (0, 0));
    let faults = books.faults;
    println!("evidence api-faults proposals {proposals} faults {faults} overspent_calls {overspent} stalls {stalls}");

    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains(KEY));
    let tape = Cassette::replay_from(&path).unwrap();
    let (replayed, _) = search(Interface::Claude, &whole.url, proposals, None, tape.clone()).await;
    assert_eq!(tape.left(), 0);
    let identical = lineage(&replayed) == lineage(state);
    println!("evidence cassettes identical {}", u8::from(identical));
    assert!(identical);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_with_the_other_interfaces_complete_too() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    for interface in [Interface::Responses, Interface::Chat] {
        let whole = run_lab(interface, seed(), 60, None, Cassette::none()).await;
        assert_eq!((made(&whole.state), whole.stalls), (60, 0), "{interface:?}");
        whole.books.agree_with(&whole.state.cost, false);
    }
}
