//! Measures what the lab costs beside the experiments themselves, in one line for each of:
//!
//! - `memory-overhead`: the time per trial in memory, over 10,000 trials and over the last 1,000 of them;
//! - `git-overhead`: the time per experiment over git, in a repository of a thousand files, with and without the commands;
//! - `memory-growth`: the resident memory after 1,000 and after 10,000 experiments in memory;
//! - `thousand-trials`: the time of a thousand trials in memory, and with a journal file that is fsynced;
//! - `launch`: the time of a job that does nothing, without walls and behind them;
//! - `tokens TRAIN DATA`: tokens/s of a trainer, without walls and behind them.
//!
//! `cargo run --release -p autoresearch-core --example measure -- memory-overhead`

#[path = "../benches/parts/mod.rs"]
mod parts;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::{Cancel, Event, Executor, Experiment, Job, JobName, Journal, LocalExecutor, Observer, Tree};
use parts::Failure;

/// Notes when each experiment was decided.
#[derive(Default)]
struct Stopwatch(Mutex<Vec<Instant>>);

impl Observer for Stopwatch {
    fn on_event(&self, event: &Event<'_>) {
        if let (Event::Decided { .. }, Ok(mut times)) = (event, self.0.lock()) {
            times.push(Instant::now());
        }
    }
}

impl Stopwatch {
    /// The seconds from each decision to the next.
    fn seconds(&self) -> Vec<f64> {
        let times = self.0.lock().map_or(Vec::new(), |times| times.clone());
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

async fn memory_overhead() -> Result<(), Failure> {
    const EXPERIMENTS: usize = 10_000;
    let stopwatch = Arc::new(Stopwatch::default());
    let mut lab = parts::in_memory(Journal::in_memory())?.observed_by(stopwatch.clone());
    parts::further(&mut lab, EXPERIMENTS).await?;
    let micros: Vec<f64> = stopwatch.seconds().iter().map(|seconds| seconds * 1e6).collect();
    let last = &micros[EXPERIMENTS - 1000..];
    println!(
        "median {:.2} us per trial of {EXPERIMENTS}, {:.2} us of the last 1000 (means {:.2} and {:.2} us)",
        median(&micros),
        median(last),
        mean(&micros),
        mean(last)
    );
    Ok(())
}

async fn git_overhead() -> Result<(), Failure> {
    const EXPERIMENTS: usize = 40;
    let folder = tempfile::tempdir()?;
    let stopwatch = Arc::new(Stopwatch::default());
    let mut lab = parts::over_git(folder.path())?.observed_by(stopwatch.clone());
    parts::further(&mut lab, EXPERIMENTS).await?;
    // From one decision to the next: proposal, staging, everything. The first experiments fill the slot.
    let all: Vec<f64> = stopwatch.seconds().iter().skip(1).map(|seconds| seconds * 1e3).collect();
    let commands = |experiment: &Experiment| {
        let log = experiment.outcome.as_ref().map(|outcome| outcome.log());
        log.map_or(0.0, |log| (log.build + log.elapsed).as_secs_f64() * 1e3)
    };
    let own: Vec<f64> =
        all.iter().zip(lab.state().experiments.iter().skip(2)).map(|(wall, done)| wall - commands(done)).collect();
    println!(
        "median {:.2} ms per experiment, {:.2} ms of it without the commands ({} experiments, {} files)",
        median(&all),
        median(&own),
        all.len(),
        parts::FILES
    );
    Ok(())
}

/// The resident memory in KiB.
fn resident() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no number after VmRSS")?.parse()?)
}

async fn memory_growth() -> Result<(), Failure> {
    const COUNTS: [usize; 2] = [1_000, 10_000];
    let mut lab = parts::in_memory(Journal::in_memory())?;
    parts::further(&mut lab, COUNTS[0]).await?;
    let early = resident()?;
    parts::further(&mut lab, COUNTS[1] - COUNTS[0]).await?;
    let late = resident()?;
    println!(
        "{:.0} bytes per experiment ({early} KiB resident after {}, {late} KiB after {})",
        (late - early) * 1024.0 / (COUNTS[1] - COUNTS[0]) as f64,
        COUNTS[0],
        COUNTS[1]
    );
    Ok(())
}

async fn thousand_trials() -> Result<(), Failure> {
    const TRIALS: usize = 1000;
    let folder = tempfile::tempdir()?;
    let mut micros = Vec::new();
    for journal in [Journal::in_memory(), Journal::open(&folder.path().join("journal.jsonl"))?] {
        let mut lab = parts::in_memory(journal)?;
        let began = Instant::now();
        parts::further(&mut lab, TRIALS).await?;
        micros.push(began.elapsed().as_secs_f64() * 1e6 / TRIALS as f64);
    }
    println!("memory {:.2} us per trial, journal {:.2} us per trial", micros[0], micros[1]);
    Ok(())
}

async fn launch() -> Result<(), Failure> {
    const JOBS: usize = 101;
    let folder = std::env::temp_dir().join(format!("autoresearch-launch-{}", std::process::id()));
    let (mut without, mut behind) = (Vec::new(), Vec::new());
    let executor = |isolation: Isolation, name: &str| {
        LocalExecutor::new([folder.join(name)], folder.join("logs")).isolated(isolation)
    };
    let executors = [executor(Isolation::default(), "a"), executor(Isolation::best_effort(), "b")];
    // In turns, so that both see the same machine.
    for job in 0..JOBS {
        for (executor, times) in executors.iter().zip([&mut without, &mut behind]) {
            let name = JobName::new("launch", job.to_string());
            let job = Job::new(name, Tree::new([("a", "a")])?, vec!["true".into()], Duration::from_secs(60));
            let began = Instant::now();
            executor.run(&job, &Cancel::new()).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    std::fs::remove_dir_all(&folder)?;
    let (without, behind) = (median(&without), median(&behind));
    println!("walls cost {:.2} ms per job (medians: {behind:.2} behind them, {without:.2} without)", behind - without);
    Ok(())
}

/// Trains for some seconds in turns without walls and behind them, and compares the tokens/s that the trainer tells.
async fn tokens() -> Result<(), Failure> {
    // One run differs from the next by some percent on many a machine: only many short pairs show a single one. An odd number has a
    // median.
    const PAIRS: usize = 61;
    const SECONDS: &str = "3";
    let [Some(train), Some(data)] = [2, 3].map(|at| std::env::args().nth(at)) else {
        return Err("name the trainer and the folder with its data".into());
    };
    let folder = std::env::temp_dir().join(format!("autoresearch-tokens-{}", std::process::id()));
    let executor = |isolation: Isolation, name: &str| {
        LocalExecutor::new([folder.join(name)], folder.join("logs")).isolated(isolation)
    };
    let mut walls = Isolation::best_effort();
    // The trainer evaluates, too, and its validation split lies beside the rest.
    walls.read.push(format!("{data}-val").into());
    let executors = [executor(Isolation::default(), "a"), executor(walls, "b")];
    let (mut rates, mut losses) = ([Vec::new(), Vec::new()], Vec::new());
    for pair in 0..=PAIRS {
        let mut of_pair = [0.0; 2];
        // Each comes first as often as the other, so that a drift of the machine is neither's.
        for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
            let name = JobName::new("tokens", format!("{pair}-{at}"));
            let mut job = Job::new(name, Tree::new([("a", "a")])?, vec![train.clone()], Duration::from_secs(120));
            let set = [
                ("AUTORESEARCH_DATA", data.as_str()),
                ("AUTORESEARCH_DEVICE", "cpu"),
                ("AUTORESEARCH_TIME_BUDGET", SECONDS),
                // As the cpu preset sets it: OpenMP's threads leave the processors to others.
                ("GOMP_SPINCOUNT", "1000"),
            ];
            job.run.environment = set.map(|(name, value)| (name.to_owned(), value.into())).into();
            let outcome = executors[at].run(&job, &Cancel::new()).await?;
            let (_, rate) =
                outcome.log().tail.split_once("\"tokens_per_second\":").ok_or_else(|| outcome.describe())?;
            of_pair[at] = rate.split([',', '}']).next().unwrap_or_default().trim().parse()?;
        }
        // The first pair fills caches.
        if pair > 0 {
            rates.iter_mut().zip(of_pair).for_each(|(rates, rate)| rates.push(rate));
            losses.push(100.0 * (1.0 - of_pair[1] / of_pair[0]));
        }
    }
    std::fs::remove_dir_all(&folder)?;
    losses.sort_by(f64::total_cmp);
    let [without, behind] = rates.map(|rates| median(&rates));
    println!(
        "walls cost {:.2} % of tokens/s, the median of {PAIRS} pairs ({:.2} to {:.2} for the middle half); medians: {behind:.0} tokens/s \
         behind them, {without:.0} without",
        median(&losses),
        losses[PAIRS / 4],
        losses[PAIRS - 1 - PAIRS / 4]
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "memory-overhead" => memory_overhead().await,
        "git-overhead" => git_overhead().await,
        "memory-growth" => memory_growth().await,
        "thousand-trials" => thousand_trials().await,
        "launch" => launch().await,
        "tokens" => tokens().await,
        _ => Err("name one of memory-overhead, git-overhead, memory-growth, thousand-trials, launch, tokens".into()),
    }
}
