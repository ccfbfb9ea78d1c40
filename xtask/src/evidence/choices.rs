//! The choices of the trainer on a CPU, beside the alternatives: turn by turn, the cpu preset's sizes, steady state. A choice
//! stands as long as nothing beside it is more than 2 % faster.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::latency;
use super::pace::{self, Until, median};
use super::race::sizes;
use crate::figure::{Line, Measure};
use crate::{setup, sh};

/// All of them.
pub const FIGURES: &[(&str, Measure)] =
    &[("allocator", allocator), ("threads", threads), ("waiting-threads", waiting_threads), ("head-chunk", head_chunk)];

/// Turns, odd.
const ROUNDS: usize = 5;
const MEASURED: Until = Until::Steady(Duration::from_secs(6));

/// A side of the comparison: a program and the variables of its environment.
struct Variant {
    name: String,
    program: PathBuf,
    set: Option<(&'static str, String)>,
}

/// The trainer with the preset's sizes, and data for it.
struct Bench {
    built: latency::Built,
    folder: PathBuf,
    tokens: f64,
}

fn bench() -> Result<&'static Bench, String> {
    static BENCH: OnceLock<Result<Bench, String>> = OnceLock::new();
    let make = || {
        let folder = sh::target()?.join("choices");
        // Data stay.
        let _ = fs::remove_dir_all(folder.join("clone"));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let built = latency::Built::new(&folder, &setup::setup()?)?;
        Ok(Bench { built, folder, tokens: sizes("cpu")?.tokens })
    };
    BENCH.get_or_init(make).as_ref().map_err(Clone::clone)
}

impl Bench {
    /// The trainer as it is, or with a piece of its source replaced. The next build does not touch it.
    fn trainer(&self, name: &str, edit: Option<(&str, &str)>) -> Result<PathBuf, String> {
        let program = self.folder.join(format!("train-{name}"));
        self.built.build_edited(edit)?;
        fs::copy(self.built.program(), &program).map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(program)
    }

    /// Variants of the environment of the trainer as it is.
    fn environments(&self, sets: Vec<(String, Option<(&'static str, String)>)>) -> Result<Vec<Variant>, String> {
        let program = self.trainer("as-it-is", None)?;
        Ok(sets.into_iter().map(|(name, set)| Variant { name, program: program.clone(), set }).collect())
    }

    /// The speed of every variant; the first one is the choice that stands.
    fn compare(&self, variants: &[Variant]) -> Result<Line, String> {
        let mut speeds = vec![Vec::new(); variants.len()];
        for round in 1..=ROUNDS {
            for (Variant { name, program, set }, speeds) in variants.iter().zip(&mut speeds) {
                let mut command = Command::new(program);
                command.env("AUTORESEARCH_DATA", &self.built.data).env("AUTORESEARCH_DEVICE", "cpu");
                command.env("AUTORESEARCH_TIME_BUDGET", "600").envs(set.iter().map(|(name, value)| (name, value)));
                let speed = pace::run(command, MEASURED, self.tokens, &self.folder.join("stderr.log"))?;
                eprintln!("round {round} {name:>16} {speed:8.0} tokens/s");
                speeds.push(speed);
            }
        }
        // Of ratios within a round: a busy machine slows it down as a whole.
        let ratio = |index: usize| median((0..ROUNDS).map(|round| speeds[index][round] / speeds[0][round]));
        let of = |(index, variant): (usize, &Variant)| {
            let speed = median(speeds[index].iter().copied());
            format!("{} {speed:.0} ({:+.1} %)", variant.name, 100.0 * (ratio(index) - 1.0))
        };
        let value = variants.iter().enumerate().map(of).collect::<Vec<_>>().join(", ");
        let fastest = (0..variants.len()).map(ratio).fold(0.0, f64::max);
        let value = format!("{value}, tokens/s, medians of {ROUNDS}");
        Ok(Line::Measured(fastest <= 1.02, value, "nothing is more than 2 % faster than the first"))
    }
}

/// glibc's with its thresholds set, beside what can be loaded in front of it.
fn allocator() -> Result<Line, String> {
    let others = ["libjemalloc.so.2", "libmimalloc.so.2", "libmimalloc.so.3"].into_iter().filter_map(|name| {
        let short = name.trim_start_matches("lib").split('.').next()?;
        Some((short.to_owned(), Some(("LD_PRELOAD", library(name)?.display().to_string()))))
    });
    let variants: Vec<_> = std::iter::once(("glibc".to_owned(), None)).chain(others).collect();
    if variants.len() == 1 {
        return Ok(Line::Skip("neither jemalloc nor mimalloc is here (Debian: libjemalloc2, libmimalloc2.0)".into()));
    }
    let bench = bench()?;
    bench.compare(&bench.environments(variants)?)
}

/// In the folders of LD_LIBRARY_PATH, or of the system.
fn library(name: &str) -> Option<PathBuf> {
    let usual = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = std::env::split_paths(&set).chain(usual.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// All cores, beside fewer.
fn threads() -> Result<Line, String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let counts = std::iter::once(cores).chain((1..cores).rev().filter(|count| count.is_power_of_two()));
    let variants = counts.map(|count| (format!("{count} threads"), Some(("AUTORESEARCH_THREADS", count.to_string()))));
    let bench = bench()?;
    bench.compare(&bench.environments(variants.collect())?)
}

/// How OpenMP's threads wait for work: libgomp's spin for some milliseconds, then sleep. On a machine with more to do than
/// cores, whoever spins waits for one who cannot run; there, passive ones are ten times as fast.
fn waiting_threads() -> Result<Line, String> {
    let policy = |policy: &str| (policy.to_owned(), Some(("OMP_WAIT_POLICY", policy.to_owned())));
    let spins = |spins: &str| (format!("{spins} spins"), Some(("GOMP_SPINCOUNT", spins.to_owned())));
    let variants = vec![("libgomp's own".to_owned(), None), policy("passive"), spins("1000"), policy("active")];
    let bench = bench()?;
    bench.compare(&bench.environments(variants)?)
}

/// How many tokens the head has the logits of at a time.
fn head_chunk() -> Result<Line, String> {
    let bench = bench()?;
    let chosen = "head::chunk(self.config.vocab_size, x.device())";
    let variant = |tokens: Option<&str>| {
        let name = tokens.map_or("as chosen (128 tokens)".to_owned(), |tokens| format!("{tokens} tokens"));
        let program = bench.trainer(tokens.unwrap_or("as-it-is"), tokens.map(|tokens| (chosen, tokens)))?;
        Ok(Variant { name, program, set: None })
    };
    let variants: Result<Vec<Variant>, String> =
        [None, Some("32"), Some("512"), Some("4096")].into_iter().map(variant).collect();
    bench.compare(&variants?)
}
