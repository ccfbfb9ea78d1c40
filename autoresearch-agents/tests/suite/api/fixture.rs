//! A search over files in memory, and proposers that ask a server on this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_agents::http::{Cassette, KeySource, Retry, Timeouts};
use autoresearch_agents::model::{Backoff, Caps, Check, Options, Surroundings};
use autoresearch_agents::openai::Api;
use autoresearch_agents::{ClaudeProposer, ClaudeSettings, OpenAiProposer, OpenAiSettings};
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

use super::vendors::Interface;

pub const FILE: &str = "a.rs";
pub const KEY: &str = "sk-test-very-secret-key";

/// Candidates are files in memory; their name is their text. The score is the distance of `X` from 3.
pub struct Files;

fn parse(revision: &Revision) -> BTreeMap<String, String> {
    serde_json::from_str(&revision.0).unwrap()
}

pub fn x_of(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("const X: f64 = ")?;
    rest.split(';').next()?.parse().ok()
}

#[async_trait]
impl Sandbox<Patch> for Files {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let files: BTreeMap<_, _> = [(FILE, "// A number.\nconst X: f64 = 10.0;\n")].into();
        Ok(Candidate::new(serde_json::to_string(&files).unwrap()))
    }

    async fn stage(
        &self,
        _: ExperimentId,
        parent: &Revision,
        change: &Patch,
        _: &str,
    ) -> Result<Candidate, StageError> {
        let files = change.applied_to(&parse(parent), &EditablePaths::new([FILE]));
        let files = files.map_err(|e| StageError::Rejected(e.to_string()))?;
        Ok(Candidate::new(serde_json::to_string(&files).unwrap()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let files = parse(&candidate.revision);
        match x_of(&files[FILE]) {
            Some(x) => Ok(Outcome::Completed(RunLog::saying(format!("score: {}", (x - 3.0).abs())))),
            None => {
                Ok(Outcome::Crashed { message: "it does not parse".into(), log: RunLog::saying("error: no X\n```\n") })
            }
        }
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok(parse(revision))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Makes so many proposals, whatever becomes of them, and keeps what came.
struct Probe {
    inner: Box<dyn Proposer>,
    results: Arc<Mutex<Vec<Result<Proposal, ProposerError>>>>,
    most: usize,
}

#[async_trait]
impl Proposer for Probe {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        if context.proposals() >= self.most {
            return Err(ProposerError::Exhausted("enough".into()));
        }
        match self.inner.propose(context).await {
            Ok(proposal) => {
                self.results.lock().unwrap().push(Ok(proposal.clone()));
                Ok(proposal)
            }
            Err(error) => {
                let end = format!("{error}");
                self.results.lock().unwrap().push(Err(error));
                Err(ProposerError::Exhausted(end))
            }
        }
    }
}

pub fn lab(proposer: Box<dyn Proposer>, stop: Stop) -> Lab<Patch> {
    lab_with(proposer, stop, Journal::in_memory())
}

pub fn lab_with(proposer: Box<dyn Proposer>, stop: Stop, journal: Journal) -> Lab<Patch> {
    let mut settings = Settings::new("test", Duration::from_secs(1));
    settings.stop = stop;
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower the score.").unwrap();
    Lab::builder(Arc::new(Files), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap()
}

/// Returns up to `most` results of a proposer, up to the first error.
pub async fn proposals(inner: Box<dyn Proposer>, most: usize) -> Vec<Result<Proposal, ProposerError>> {
    let results = Arc::new(Mutex::new(Vec::new()));
    let mut lab = lab(Box::new(Probe { inner, results: results.clone(), most }), Stop::default());
    lab.run(&Cancel::new()).await.unwrap();
    drop(lab);
    std::mem::take(&mut *results.lock().unwrap())
}

/// Returns the first proposal, without a lab around the proposer.
pub async fn propose_first(proposer: &mut dyn Proposer) -> Result<Proposal, ProposerError> {
    let program = Program::parse("Lower the score.").unwrap();
    let files = [(FILE.to_owned(), "// A number.\nconst X: f64 = 10.0;\n".to_owned())].into();
    let score = Score::new(7.0).unwrap();
    let context: Context<'_> =
        Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files), 0);
    proposer.propose(&context).await
}

pub async fn once(inner: Box<dyn Proposer>) -> Result<Proposal, ProposerError> {
    proposals(inner, 1).await.remove(0)
}

/// Settings of a test.
#[derive(Clone)]
pub struct Setup {
    pub options: Options,
    pub run_caps: Caps,
    pub check: Option<Arc<dyn Check>>,
    pub cassette: Cassette,
}

/// Timeouts of servers that answer, on a machine that may be busy.
const LONG: Timeouts = Timeouts { connect: 60.0, first_byte: 60.0, between_bytes: 60.0, whole: 60.0 };
/// Timeouts of servers that fall silent.
pub const SHORT: Timeouts = Timeouts { connect: 60.0, first_byte: 0.4, between_bytes: 0.25, whole: 1.5 };

pub fn setup(url: &str) -> Setup {
    let options = Options {
        base_url: Some(url.to_owned()),
        key: Some(KeySource::Command(vec!["echo".into(), KEY.into()])),
        timeouts: LONG,
        retry: Retry { times: 6, first: 0.01, most: 0.05, patience: 2.0 },
        max_tokens: 2000,
        backoff: Backoff { first: 0.001, most: 0.01, ..Backoff::default() },
        ..Options::default()
    };
    Setup { options, run_caps: Caps::default(), check: None, cassette: Cassette::none() }
}

impl Setup {
    pub fn proposer(&self, interface: Interface) -> Box<dyn Proposer> {
        let mut surroundings = Surroundings::new(EditablePaths::new([FILE]));
        surroundings.run_caps = self.run_caps;
        surroundings.check = self.check.clone();
        surroundings.cassette = self.cassette.clone();
        let options = self.options.clone();
        match interface {
            Interface::Claude => {
                Box::new(ClaudeProposer::new(ClaudeSettings { options, ..Default::default() }, surroundings).unwrap())
            }
            Interface::Responses | Interface::Chat => {
                let api = if interface == Interface::Chat { Api::Chat } else { Api::Responses };
                let settings = OpenAiSettings { api, options, ..Default::default() };
                Box::new(OpenAiProposer::new(settings, surroundings).unwrap())
            }
        }
    }
}

/// An answer that sets `X`.
pub fn answer(from: &str, to: &str) -> String {
    serde_json::json!({
        "description": format!("X {from} -> {to}"),
        "hypothesis": "nearer",
        "edits": [{ "kind": "replace", "path": FILE, "search": format!("const X: f64 = {from};"),
            "replace": format!("const X: f64 = {to};") }],
    })
    .to_string()
}

pub fn good() -> String {
    answer("10.0", "9.0")
}
