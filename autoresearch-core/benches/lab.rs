//! Measures the cost of the lab beside the experiments themselves.
//!
//! `cargo bench -p autoresearch-core`; the bars are 20 µs per trial in memory, at any length of the run, and 60 ms per
//! experiment over git, the commands included.
#![allow(clippy::unwrap_used)]

mod parts;

use std::time::{Duration, Instant};

use autoresearch_core::{Journal, Lab};
use criterion::{Criterion, Throughput};
use serde::Serialize;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// How long so many further experiments take.
fn timed<C: Serialize + serde::de::DeserializeOwned + Send + Sync + 'static>(
    lab: &mut Lab<C>,
    experiments: usize,
) -> Duration {
    let runtime = runtime();
    let began = Instant::now();
    runtime.block_on(parts::further(lab, experiments)).unwrap();
    began.elapsed()
}

/// A thousand trials, after so many others: a lab that grows from sample to sample would measure something else each time.
fn in_memory(criterion: &mut Criterion) {
    const TRIALS: usize = 1000;
    let mut group = criterion.benchmark_group("in memory, 1000 trials");
    group.sample_size(20).throughput(Throughput::Elements(TRIALS as u64));
    for before in [0, 10_000] {
        let one = || {
            let mut lab = parts::in_memory(Journal::in_memory()).unwrap();
            timed(&mut lab, before);
            timed(&mut lab, TRIALS)
        };
        group.bench_function(format!("after {before}"), |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| one()).sum())
        });
    }
    group.finish();
}

fn journal_file(criterion: &mut Criterion) {
    const TRIALS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut lab = parts::in_memory(Journal::open(&path).unwrap()).unwrap();
    timed(&mut lab, 1);
    let mut group = criterion.benchmark_group("journal file with fsync, 20 trials");
    group.sample_size(20).throughput(Throughput::Elements(TRIALS as u64));
    group.bench_function("one run", |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| timed(&mut lab, TRIALS)).sum())
    });
    group.finish();
}

fn git(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = parts::over_git(folder.path()).unwrap();
    // The first experiments fill the slot.
    timed(&mut lab, 2);
    let mut group = criterion.benchmark_group("git, 1000 files, fsync");
    group.sample_size(20);
    group.bench_function("one experiment", |bencher| {
        bencher.iter_custom(|iterations| timed(&mut lab, iterations as usize));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    in_memory(&mut criterion);
    journal_file(&mut criterion);
    git(&mut criterion);
    criterion.final_summary();
}
