//! The trainer and PyTorch on the same data and sizes (the `cpu` preset's), two threads each, turn by turn. Both print a line
//! per step; the clock is the reader's, so neither says how fast it is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::latency;
use crate::{places, setup, sh};

const PRESET: &str = "examples/nanochat/presets/cpu.toml";
const THREADS: usize = 2;
/// Turns, odd.
const ROUNDS: usize = 5;
/// Turns of a minute, odd.
const MINUTES: usize = 3;
/// Steps before the steady state, and how long it is measured.
const WARM: u64 = 10;
const MEASURED: Duration = Duration::from_secs(12);
/// The budget that start-up counts in, from the start of the process.
const MINUTE: Duration = Duration::from_secs(60);
/// torch.compile takes minutes to its first step on a small machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Everything built and prepared.
pub struct Race {
    python: PathBuf,
    trainer: PathBuf,
    data: PathBuf,
    folder: PathBuf,
    /// Depth, dimension, heads, rows, passes.
    sizes: [u64; 5],
    /// Of a step.
    tokens: f64,
}

/// Tokens per second.
#[derive(Clone, Copy)]
pub struct Round {
    pub eager: f64,
    pub compile: f64,
    pub ours: f64,
}

/// The rounds of the steady state.
pub struct Steady(Vec<Round>);

impl Steady {
    /// How many times as fast ours is: the median of the rounds' ratios.
    pub fn ratio(&self, theirs: fn(&Round) -> f64) -> f64 {
        median(self.0.iter().map(|round| round.ours / theirs(round)))
    }

    /// In words.
    pub fn beside(&self, theirs: fn(&Round) -> f64, name: &str) -> String {
        format!(
            "{:.2} times {name}: {:.0} beside {:.0} tokens/s, {THREADS} threads, float32, medians of {ROUNDS}",
            self.ratio(theirs),
            median(self.0.iter().map(|round| round.ours)),
            median(self.0.iter().map(theirs)),
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where a program is stopped.
#[derive(Clone, Copy)]
enum Until {
    /// So long after its step `WARM`.
    Steady,
    /// A minute after its start.
    Minute,
}

impl Race {
    /// Builds the trainer with the preset's sizes, prepares the data.
    pub fn new(python: PathBuf) -> Result<Race, String> {
        let folder = places::target()?.join("race");
        let failed = |e| format!("{}: {e}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        // Data and what torch.compile made stay.
        let _ = fs::remove_dir_all(folder.join("clone"));
        let built = latency::Built::new(&folder, &setup::setup()?)?;
        // The next build of anybody's would replace it.
        let trainer = folder.join("train");
        fs::copy(built.program(), &trainer).map_err(failed)?;
        let preset = places::root().join(PRESET);
        let preset = fs::read_to_string(&preset).map_err(|e| format!("{}: {e}", preset.display()))?;
        let constant = |name: &str| -> Result<u64, String> {
            let of = |line: &str| {
                line.split_once(" = ").filter(|(key, _)| *key == name)?.1.trim().trim_matches('"').parse().ok()
            };
            preset.lines().find_map(of).ok_or_else(|| format!("the preset has no number {name}"))
        };
        let (depth, head, total) = (constant("DEPTH")?, constant("HEAD_DIM")?, constant("TOTAL_BATCH_SIZE")?);
        let context = constant("max_seq_len")?;
        let rows = constant("DEVICE_BATCH_SIZE")?.min(total / context);
        let heads = (depth * constant("ASPECT_RATIO")?).div_ceil(head);
        let sizes = [depth, heads * head, heads, rows, total / (rows * context)];
        Ok(Race { python, trainer, data: built.data, folder, sizes, tokens: total as f64 })
    }

    /// PyTorch; compiled code is kept in `cache`.
    fn pytorch(&self, mode: &str, cache: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg("-B")
            .arg(places::root().join("autoresearch-llm/benches/python/train.py"))
            .arg(mode)
            .arg(&self.data);
        command.args(self.sizes.iter().map(u64::to_string)).arg(THREADS.to_string());
        command.env("TORCHINDUCTOR_CACHE_DIR", self.folder.join(cache));
        command
    }

    fn ours(&self) -> Command {
        let mut command = Command::new(&self.trainer);
        command.env("AUTORESEARCH_DATA", &self.data).env("AUTORESEARCH_DEVICE", "cpu");
        command.env("AUTORESEARCH_THREADS", THREADS.to_string()).env("AUTORESEARCH_TIME_BUDGET", "600");
        command
    }

    /// Tokens per second after the start-up, turn by turn.
    pub fn steady(&self) -> Result<Steady, String> {
        // The first one compiles, which belongs to the other figure.
        self.run(self.pytorch("compile", "compiled"), Until::Steady)?;
        eprintln!("round       eager     compile        ours   (tokens/s)");
        let round = |number: usize| {
            let eager = self.run(self.pytorch("eager", "compiled"), Until::Steady)?;
            let compile = self.run(self.pytorch("compile", "compiled"), Until::Steady)?;
            let ours = self.run(self.ours(), Until::Steady)?;
            eprintln!("{number:5} {eager:11.0} {compile:11.0} {ours:11.0}");
            Ok(Round { eager, compile, ours })
        };
        (1..=ROUNDS).map(round).collect::<Result<_, String>>().map(Steady)
    }

    /// Tokens trained on within a minute from the start, beside torch.compile that finds nothing compiled (as after an edit
    /// of the model), and in words also beside one that does (as after an edit of a number outside of it). The trainer's own
    /// build is added to its time.
    pub fn with_start_up(&self) -> Result<(f64, String), String> {
        self.run(self.pytorch("compile", "compiled"), Until::Steady)?;
        eprintln!("minute compile, cold compile, warm        ours   (tokens)");
        let mut rounds = Vec::new();
        for number in 1..=MINUTES {
            let cold = self.folder.join("cold");
            let _ = fs::remove_dir_all(&cold);
            let cold = self.run(self.pytorch("compile", "cold"), Until::Minute)?;
            let warm = self.run(self.pytorch("compile", "compiled"), Until::Minute)?;
            let ours = self.run(self.ours(), Until::Minute)?;
            eprintln!("{number:6} {cold:13.0} {warm:13.0} {ours:11.0}");
            rounds.push([cold, warm, ours]);
        }
        let of = |index: usize| median(rounds.iter().map(|round| round[index]));
        // One that has not made a step in the minute counts as if it had just made its first.
        let ratio = |index: usize| median(rounds.iter().map(|round| round[2] / round[index].max(self.tokens)));
        let value = format!(
            "{:.2} times torch.compile: {:.0} beside {:.0} tokens in a minute from the start; {:.2} times one that finds \
             everything compiled ({:.0}); medians of {MINUTES}",
            ratio(0),
            of(2),
            of(0),
            ratio(1),
            of(1),
        );
        Ok((ratio(0), value))
    }

    /// Tokens per second in steady state, or the tokens of a minute.
    fn run(&self, mut command: Command, until: Until) -> Result<f64, String> {
        let shown = sh::shown(&command);
        let log = self.folder.join("stderr.log");
        let file = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let began = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|e| format!("`{shown}`: {e}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        // Lines come through a channel, so that a silent program is stopped in time as well.
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let step = line
                    .trim_start()
                    .strip_prefix("step ")
                    .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
                let stopped = step.is_some_and(|step| send.send((step, began.elapsed())).is_err());
                if stopped {
                    break;
                }
            }
        });
        let (mut first, mut last) = (None, None);
        let mut end = if let Until::Minute = until { MINUTE } else { PATIENCE };
        while let Ok((step, at)) = lines.recv_timeout(end.saturating_sub(began.elapsed())) {
            if at > end {
                break;
            }
            last = Some((step, at));
            if first.is_none() && step >= WARM {
                first = last;
                end = if let Until::Steady = until { at + MEASURED } else { end };
            }
        }
        let alive = matches!(child.try_wait(), Ok(None));
        let _ = child.kill();
        let _ = child.wait();
        if !alive {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("`{shown}` ended by itself: {said}"));
        }
        match (until, first, last) {
            // Steps count from 0.
            (Until::Minute, _, last) => Ok(last.map_or(0.0, |(step, _)| (step + 1) as f64 * self.tokens)),
            (Until::Steady, Some((from, at)), Some((to, then))) if to > from => {
                Ok((to - from) as f64 * self.tokens / (then - at).as_secs_f64())
            }
            _ => Err(format!("`{shown}` did not reach a steady state in {} s", PATIENCE.as_secs())),
        }
    }
}
