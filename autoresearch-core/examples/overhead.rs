//! What the harness costs beside an experiment: a real repository of a thousand files, real git, a journal that is fsynced,
//! and a command that does nothing. Prints the median over all experiments of everything but the command itself.
//!
//! `cargo run -p autoresearch-core --example overhead`

use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::git::Lineage;
use autoresearch_core::slot::Slot;
use autoresearch_core::workspace::Commands;
use autoresearch_core::*;

struct Counting;

#[async_trait]
impl Proposer for Counting {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let number = context.proposals();
        let text = format!("echo 'score: {}'\n", 1000 - number);
        let change = Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text }] };
        Ok(Proposal {
            change,
            description: format!("change {number}"),
            hypothesis: String::new(),
            cost: Cost::default(),
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    const FILES: usize = 1000;
    const EXPERIMENTS: usize = 20;
    let folder = std::env::temp_dir().join(format!("autoresearch-overhead-{}", std::process::id()));
    let repo = folder.join("repo");
    for number in 0..FILES {
        let path = repo.join(format!("src/{}/file{number}.txt", number / 50));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, format!("file {number}\n").repeat(100))?;
    }
    std::fs::write(repo.join("value.sh"), "echo 'score: 2000'\n")?;
    for arguments in
        [&["init", "-q"][..], &["add", "."], &["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]]
    {
        let status = Command::new("git").args(arguments).current_dir(&repo).status()?;
        if !status.success() {
            return Err(format!("git {arguments:?} failed").into());
        }
    }

    let lineage = Lineage::open(&repo, "overhead")?;
    let base = lineage.head()?;
    let commands = Commands {
        editable: EditablePaths::new(["value.sh"]),
        build: vec!["true".into()],
        run: vec!["sh".into(), "value.sh".into()],
        ..Commands::default()
    };
    let sandbox =
        CommandSandbox::new(lineage, base.clone(), commands, Slot::new(folder.join("slot")), folder.join("logs"));
    let mut settings = Settings::new("overhead", Duration::from_secs(60));
    settings.base = Some(base);
    settings.seed = 1;
    settings.stop = Stop::after(EXPERIMENTS);
    settings.results = Some(folder.join("results.tsv"));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let journal = Journal::open(&folder.join("journal.jsonl"))?;
    let program = Program::parse("Count down.")?;
    let mut lab =
        Lab::new(program, Box::new(Counting), Arc::new(sandbox), metric, Arc::new(Strict), settings, journal)?;
    lab.run(&Cancel::new()).await?;

    // From one decision to the next: proposal, staging, everything. The first two fill the slot.
    let done = &lab.state().experiments;
    let mut overheads: Vec<f64> = done
        .windows(2)
        .skip(1)
        .filter_map(|pair| {
            let wall = pair[1].finished.duration_since(pair[0].finished).as_secs_f64();
            let log = pair[1].outcome.as_ref()?.log();
            Some(wall - log.build.as_secs_f64() - log.elapsed.as_secs_f64())
        })
        .collect();
    overheads.sort_by(f64::total_cmp);
    println!(
        "harness overhead per experiment: {:.4} s (median of {}, {FILES} files)",
        overheads[overheads.len() / 2],
        overheads.len()
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
