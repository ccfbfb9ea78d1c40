//! What a ratchet search promises, over random histories: in memory, with a change that is no patch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::*;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// What an experiment will turn out to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Fate {
    Score(f64),
    NotANumber(String),
    Crash,
    Timeout,
    OutOfMemory,
    Refused,
    /// The machinery fails once, then the score comes.
    Trouble(f64),
}

/// Proposes a list of fates; the change is the fate itself.
struct Script(Vec<Fate>);

#[async_trait]
impl Proposer<Fate> for Script {
    async fn propose(&mut self, context: &Context<'_, Fate>) -> Result<Proposal<Fate>, ProposerError> {
        let fate = self.0.get(context.proposals()).cloned();
        let change = fate.ok_or_else(|| ProposerError::Exhausted("the script ends".into()))?;
        let description = format!("{} {change:?}", context.proposals());
        Ok(Proposal { change, description, hypothesis: String::new(), cost: Cost::default() })
    }
}

/// Lets every candidate have its fate, and remembers who was the incumbent.
#[derive(Default)]
struct Memory {
    fates: Mutex<Vec<(Fate, bool)>>,
    incumbents: Mutex<Vec<Revision>>,
    cancel_in: Option<usize>,
    runs: Mutex<usize>,
}

#[async_trait]
impl Sandbox<Fate> for Memory {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.stage(0, &Revision("none".into()), &Fate::Score(50.0), "").await
    }

    async fn stage(&self, _: u32, _: &Revision, fate: &Fate, _: &str) -> Result<Candidate, StageError> {
        if *fate == Fate::Refused {
            return Err(StageError::Rejected("refused".into()));
        }
        let mut fates = self.fates.lock().unwrap();
        fates.push((fate.clone(), false));
        let name = (fates.len() - 1).to_string();
        Ok(Candidate { revision: Revision(name.clone()), fingerprint: name, added_lines: 0 })
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        *self.runs.lock().unwrap() += 1;
        if self.cancel_in == Some(*self.runs.lock().unwrap()) {
            cancel.cancel();
        }
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        let (fate, tried) = &mut self.fates.lock().unwrap()[candidate.revision.0.parse::<usize>().unwrap()];
        let log = |text: String| RunLog { tail: text, ..RunLog::default() };
        let score = |score: &f64| Outcome::Completed(log(format!("score: {score}")));
        Ok(match fate {
            Fate::Score(s) => score(s),
            Fate::NotANumber(text) => Outcome::Completed(log(format!("score: {text}"))),
            Fate::Crash => Outcome::Crashed { message: "crashed".into(), log: log(String::new()) },
            Fate::Timeout => Outcome::TimedOut { log: log("score: -1000".into()) },
            Fate::OutOfMemory => Outcome::OutOfMemory { log: log("score: -1000".into()) },
            Fate::Refused => unreachable!("it was never staged"),
            Fate::Trouble(s) if *tried => score(s),
            Fate::Trouble(_) => {
                *tried = true;
                return Err(SandboxError::Other("the machinery failed".into()));
            }
        })
    }

    async fn promote(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        let mut incumbents = self.incumbents.lock().unwrap();
        if incumbents.last() == Some(to) {
            return Ok(());
        }
        assert_eq!(incumbents.last(), from, "the incumbent moves only from where it is");
        incumbents.push(to.clone());
        Ok(())
    }
}

fn lab(script: &[Fate], sandbox: Arc<Memory>, journal: (Journal, Vec<journal::Entry>)) -> Lab<Fate> {
    let settings = Settings::new("t", Duration::from_secs(1));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower it.").unwrap();
    Lab::new(program, Box::new(Script(script.to_vec())), sandbox, metric, Arc::new(Strict), settings, journal).unwrap()
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        // Few different scores, so that ties are common.
        6 => (0..60i32).prop_map(|s| Fate::Score(f64::from(s))),
        1 => prop::sample::select(vec!["NaN", "inf", "-inf", "none"]).prop_map(|s| Fate::NotANumber(s.into())),
        1 => Just(Fate::Crash),
        1 => Just(Fate::Timeout),
        1 => Just(Fate::OutOfMemory),
        1 => Just(Fate::Refused),
        1 => (0..60i32).prop_map(|s| Fate::Trouble(f64::from(s))),
    ]
}

/// A clock that jumps over pauses: the lab's backing off costs a test nothing.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_incumbent_only_gets_better(script in prop::collection::vec(fate(), 0..40)) {
        let sandbox = Arc::new(Memory::default());
        let mut lab = lab(&script, sandbox.clone(), (Journal::in_memory(), vec![]));
        runtime().block_on(lab.run(&Cancel::new())).unwrap();
        let state = lab.state();

        // A straightforward account of the same script.
        let mut best = 50.0;
        let mut expected = vec![Status::Keep];
        for fate in script.iter().filter(|fate| **fate != Fate::Refused) {
            expected.push(match fate {
                Fate::Score(s) | Fate::Trouble(s) if *s < best => { best = *s; Status::Keep }
                Fate::Score(_) | Fate::Trouble(_) => Status::Discard,
                _ => Status::Crash,
            });
        }
        let seen: Vec<Status> = state.experiments.iter().map(|e| e.status).collect();
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(state.rejections.len(), script.iter().filter(|fate| **fate == Fate::Refused).count());
        prop_assert_eq!(state.incumbent.as_ref().unwrap().arm.mean().unwrap().get(), best);
        let kept: Vec<Revision> = state.experiments.iter().filter_map(|e| e.kept_as.clone()).collect();
        prop_assert_eq!(&*sandbox.incumbents.lock().unwrap(), &kept);
    }

    #[test]
    fn interruptions_change_nothing(script in prop::collection::vec(fate(), 1..20), stops in prop::collection::vec(1usize..8, 0..4)) {
        let whole = Arc::new(Memory::default());
        let mut once = lab(&script, whole, (Journal::in_memory(), vec![]));
        runtime().block_on(once.run(&Cancel::new())).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (mut fates, mut incumbents) = (vec![], vec![]);
        let mut last = None;
        for stop in stops.into_iter().map(Some).chain([None]) {
            let sandbox = Arc::new(Memory { fates: Mutex::new(fates), incumbents: Mutex::new(incumbents), cancel_in: stop, runs: Mutex::new(0) });
            let mut part = lab(&script, sandbox.clone(), Journal::open(&path).unwrap());
            runtime().block_on(part.run(&Cancel::new())).unwrap();
            last = Some(part.state().clone());
            fates = sandbox.fates.lock().unwrap().clone();
            incumbents = sandbox.incumbents.lock().unwrap().clone();
        }
        let brief = |state: &State| state.experiments.iter().map(|e| (e.description.clone(), e.status, e.score(), e.before)).collect::<Vec<_>>();
        let last = last.unwrap();
        prop_assert_eq!(brief(&last), brief(once.state()));
        prop_assert_eq!(State::replay(&Journal::read(&path).unwrap()).unwrap(), last);
    }
}
