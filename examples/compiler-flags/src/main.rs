//! Searches for the compiler flags that make a small C kernel fastest and leave its output as it is.
//!
//! The change is a flag and not a patch: this example keeps the traits of `autoresearch-core` honest. Its modules are named
//! after those of the library.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod flags;
mod metric;
mod proposer;
mod ratchet;
mod sandbox;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::{
    Budget, Cancel, Event, ExperimentId, Lab, Observer, Outcome, Program, Revision, Sandbox, State, Status, Stop,
    StopReason, Trial,
};
use clap::Parser;

use crate::metric::SameOutput;
use crate::proposer::Walk;
use crate::ratchet::Clearly;
use crate::sandbox::{BASELINE, Compiler, KERNEL};

/// The flags that are tried. What a compiler or a machine does not know is a crash, and the search goes on.
const FLAGS: &[&str] = &[
    "-O1",
    "-O2",
    "-O3",
    "-march=native",
    "-march=armv9-a",
    "-ffast-math",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-funroll-loops",
    "-fvect-cost-model=unlimited",
    "-fomit-frame-pointer",
    "-fprefetch-loop-arrays",
    "-flto",
    "--param=max-unroll-times=4",
];
const BUDGET: Budget = Budget { run: Duration::from_secs(30), build: Duration::from_secs(30) };
/// How much faster, as a share, a candidate must be.
const MIN_GAIN: f64 = 0.02;

/// Searches for the compiler flags that make a small C kernel fastest and leave its output as it is.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// How many experiments beside the baseline.
    #[arg(long, default_value_t = 40)]
    experiments: usize,
    /// How much work the kernel does: 600 rounds take some 70 ms without optimisation.
    #[arg(long, default_value_t = 600)]
    rounds: u32,
    /// How often each candidate is run; its fastest run counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Decides the order of the walk.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the journal is kept; the same command goes on with it. In memory without this.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// The compiler.
    #[arg(long, env = "CC", default_value = "gcc")]
    cc: String,
}

/// Runs the search over `flags` and returns everything it found.
async fn search(
    cli: &Cli,
    flags: &[&str],
    observer: Arc<dyn Observer>,
    cancel: &Cancel,
) -> Result<(State, StopReason), Box<dyn Error>> {
    let version = std::process::Command::new(&cli.cc).arg("--version").output();
    let version = version.map_err(|e| format!("cannot start the compiler `{}`: {e}; name one with --cc", cli.cc))?;
    let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default().to_owned();

    let sandbox = Compiler::new(&cli.cc, cli.rounds, cli.repeats)?;
    // The metric compares with the baseline's output and must know it before the first measurement, also of a resumed search.
    let trial = Trial::new(ExperimentId::BASELINE, 1, cli.seed, BUDGET);
    let reference = sandbox.run(&sandbox.baseline().await?, &trial, cancel).await?;
    let checksum = match &reference {
        Outcome::Completed(log) => metric::checksum(&log.tail).ok_or("the kernel printed no checksum")?,
        other => return Err(format!("the kernel does not run without optimisation: {}", other.describe()).into()),
    };

    let walk = Walk::new(flags.iter().map(|flag| (*flag).to_owned()).collect(), cli.seed);
    let program = Program::parse("Find the flags that make the kernel fastest and leave its output as it is.")?;
    let lab = Lab::builder(Arc::new(sandbox), Box::new(walk), Arc::new(SameOutput::new(checksum)))
        .ratchet(Arc::new(Clearly(MIN_GAIN)))
        .program(program)
        .tag("compiler-flags")
        .budget(BUDGET)
        .base(Revision(BASELINE.into()))
        .policy("compiler", &version)
        .policy("kernel", format!("{:08x}", crc32c::crc32c(KERNEL.as_bytes())))
        .policy("rounds", cli.rounds)
        .policy("checksum", checksum)
        .policy("repeats", cli.repeats)
        .policy("min_gain", MIN_GAIN)
        .seed(cli.seed)
        .stop(Stop::after(cli.experiments))
        .observer(observer);
    let lab = match &cli.journal {
        Some(path) => lab.journal(path),
        None => lab,
    };
    let mut lab = lab.build()?;
    let reason = lab.run(cancel).await?;
    Ok((lab.state().clone(), reason))
}

/// One line per experiment.
fn print(event: &Event<'_>) {
    match event {
        Event::RunStarted { state } if !state.experiments.is_empty() => {
            println!("going on after {} experiments", state.finished());
        }
        Event::Decided { experiment, .. } => {
            let score = experiment.score().map_or("-".into(), |score| format!("{:.2} ms", score.get()));
            let (id, status, what) = (experiment.id, experiment.status, &experiment.description);
            println!("{id:>4}  {status:<7}  {score:>8}  {what}: {}", experiment.reason);
        }
        Event::Rejected { description, reason } => println!("      refused            {description}: {reason}"),
        Event::Retrying { error, .. } => println!("      again after: {error}"),
        _ => {}
    }
}

/// Prints the result of the search in a few lines.
fn summary(state: &State, reason: &StopReason) -> Option<String> {
    let best = state.incumbent.as_ref()?;
    let (before, after) = (state.experiments.first()?.score()?.get(), best.arm.mean()?.get());
    let count = |status| state.experiments.iter().skip(1).filter(|done| done.status == status).count();
    let wrong = state.experiments.iter().filter(|done| proposer::another_output(done)).count();
    Some(format!(
        "{reason}\nbest: {}\n{before:.2} ms -> {after:.2} ms, {:.2} times as fast as {BASELINE}\n\
         {} kept, {} discarded, {} crashed ({wrong} of them with another output)",
        best.revision,
        before / after,
        count(Status::Keep),
        count(Status::Discard),
        count(Status::Crash),
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let cancel = Cancel::new();
    let asked = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.cancel();
        }
    });
    match search(&cli, FLAGS, Arc::new(print), &cancel).await {
        Ok((state, reason)) => {
            println!("\n{}", summary(&state, &reason).unwrap_or_else(|| reason.to_string()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_search_keeps_only_what_is_faster_and_right() {
        let cc = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
        if std::process::Command::new(&cc).arg("--version").output().is_err() {
            eprintln!("skipped: there is no compiler `{cc}`");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let flags = [
            "-O1",
            "-O2",
            "-O3",
            "-ffast-math",
            "-fno-such-flag",
            "-march=no-such-machine",
            "-fno-math-errno",
            "-fomit-frame-pointer",
        ];
        let journal = Some(folder.path().join("journal.jsonl"));
        let mut cli = Cli { experiments: 3, rounds: 100, repeats: 3, seed: 1, journal, cc };
        let silent: Arc<dyn Observer> = Arc::new(|_: &Event<'_>| {});
        search(&cli, &flags, silent.clone(), &Cancel::new()).await.unwrap();
        cli.experiments = 8;
        let (state, reason) = search(&cli, &flags, silent, &Cancel::new()).await.unwrap();

        assert_eq!((reason, state.finished()), (StopReason::Experiments(8), 8));
        let changes: Vec<&str> = state.experiments.iter().map(|done| done.description.as_str()).collect();
        for flag in flags {
            assert_eq!(changes.iter().filter(|change| **change == flag).count(), 1, "{flag} in {changes:?}");
        }
        let kept: Vec<_> = state.experiments.iter().filter(|done| done.status == Status::Keep).collect();
        assert!(kept.len() > 1, "{changes:?}");
        for pair in kept.windows(2) {
            assert!(pair[1].score() < pair[0].score(), "{} then {}", pair[0].description, pair[1].description);
            assert!(!pair[1].revision().0.contains("-ffast-math"));
        }
        for (id, done) in state.experiments.iter().enumerate() {
            assert_eq!(done.id.0 as usize, id);
            if done.description == "-ffast-math" {
                assert!(proposer::another_output(done), "{}", done.reason);
            }
            if done.description.contains("no-such") {
                assert_eq!(done.status, Status::Crash);
                assert!(done.reason.contains("no-such"), "{}", done.reason);
            }
        }
    }
}
