//! The cheapest possible search, in memory and over real git, for the benchmarks and the example `measure`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

/// The files of the repository that experiments run on, beside the one that they edit.
pub const FILES: usize = 1000;

/// Any error of this module.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Draws numbers between 0 and 1, the same ones each time.
struct Draws;

#[async_trait]
impl Proposer<f64> for Draws {
    async fn propose(&mut self, context: &Context<'_, f64>) -> Result<Proposal<f64>, ProposerError> {
        // SplitMix64 of the proposal's number: no state to lose, and practically no number twice.
        let mut bits = (context.proposals() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let change = ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        Ok(Proposal::new(change, format!("x = {change}")))
    }
}

/// A candidate is a number, and its score is its square.
struct Squares;

#[async_trait]
impl Sandbox<f64> for Squares {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.stage(ExperimentId::BASELINE, &Revision("1".into()), &1.0, "").await
    }

    async fn stage(&self, _: ExperimentId, _: &Revision, change: &f64, _: &str) -> Result<Candidate, StageError> {
        let name = change.to_string();
        Ok(Candidate { revision: Revision(name.clone()), fingerprint: name, added_lines: 0 })
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let x: f64 = candidate.revision.0.parse().unwrap_or(f64::NAN);
        Ok(Outcome::Completed(RunLog { tail: format!("score: {}", x * x), ..RunLog::default() }))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// A search whose candidates cost nothing, so that what is left is the lab.
pub fn in_memory(journal: Journal) -> Result<Lab<f64>, Failure> {
    let settings = Settings::new("squares", Duration::from_secs(1));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower the square.")?;
    Ok(Lab::builder(Arc::new(Squares), Box::new(Draws), metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()?)
}

/// Counts down, so that every experiment is kept: the dearest kind.
struct Counting;

#[async_trait]
impl Proposer for Counting {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let number = context.proposals();
        let text = format!("echo 'score: {}'\n", -(number as i64));
        let change = Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text }] };
        Ok(Proposal::new(change, format!("change {number}")))
    }
}

/// A repository of a thousand files below `folder`.
fn repository(folder: &Path) -> Result<PathBuf, Failure> {
    let repo = folder.join("repo");
    for number in 0..FILES {
        let path = repo.join(format!("src/{}/file{number}.txt", number / 50));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, format!("file {number}\n").repeat(100))?;
    }
    std::fs::write(repo.join("value.sh"), "echo 'score: 1'\n")?;
    for arguments in
        [&["init", "-q"][..], &["add", "."], &["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]]
    {
        let status = Command::new("git").args(arguments).current_dir(&repo).status()?;
        if !status.success() {
            return Err(format!("git {arguments:?} failed").into());
        }
    }
    Ok(repo)
}

/// A search over real git in a repository of a thousand files, with a journal that is fsynced, a build that does nothing
/// and a run that prints one line.
pub fn over_git(folder: &Path) -> Result<Lab<Patch>, Failure> {
    let repository = repository(folder)?;
    let commands = Commands {
        editable: EditablePaths::new(["value.sh"]),
        build: vec!["true".into()],
        run: vec!["sh".into(), "value.sh".into()],
        ..Commands::default()
    };
    let slot = Slot::new(folder.join("slot"));
    let sandbox = CommandSandbox::local(&repository, "overhead", commands, vec![slot], folder.join("logs"))?;
    let mut settings = Settings::new("overhead", Duration::from_secs(60));
    settings.base = Some(sandbox.base().clone());
    settings.seed = 1;
    settings.results = Some(folder.join("results.tsv"));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let journal = Journal::open(&folder.join("journal.jsonl"))?;
    let program = Program::parse("Count down.")?;
    Ok(Lab::builder(Arc::new(sandbox), Box::new(Counting), metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()?)
}

/// Runs `lab` for so many further experiments.
pub async fn further<C: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static>(
    lab: &mut Lab<C>,
    experiments: usize,
) -> Result<(), LabError> {
    lab.set_stop(Stop::after(lab.state().finished() + experiments));
    lab.run(&Cancel::new()).await.map(|_| ())
}
