//! The trainer and PyTorch on the same data and sizes (the `cpu` preset's), two threads each, turn by turn. Both print a line
//! per step; the clock is the reader's, so neither says how fast it is.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::latency;
use super::pace::{self, Until, median};
use crate::{places, setup, sh};

const THREADS: usize = 2;
/// Turns, odd.
const ROUNDS: usize = 5;
/// Turns of a minute, odd.
const MINUTES: usize = 3;
/// Length of a measurement in the steady state.
const STEADY: Until = Until::Steady(Duration::from_secs(12));
/// The budget that start-up counts in, from the start of the process.
const MINUTE: Until = Until::After(Duration::from_secs(60));

/// A preset's sizes.
pub struct Sizes {
    /// Depth, dimension, heads, rows, passes: the arguments of `train.py`.
    pub of_python: [u64; 5],
    /// Of a step.
    pub tokens: f64,
}

/// Those of `examples/nanochat/presets/NAME.toml`; what it leaves out stands in train.rs.
pub fn sizes(preset: &str) -> Result<Sizes, String> {
    let read = |path: &str| fs::read_to_string(places::root().join(path)).map_err(|e| format!("{path}: {e}"));
    let preset = read(&format!("examples/nanochat/presets/{preset}.toml"))?;
    let source = read("autoresearch-llm/train.rs")?;
    let constant = |name: &str| -> Result<u64, String> {
        let number = |text: &str| text.trim().trim_matches('"').parse().ok();
        let in_preset = |line: &str| number(line.split_once(" = ").filter(|(key, _)| *key == name)?.1);
        let in_source = |line: &str| number(line.strip_prefix(&format!("const {name}: i64 = "))?.split_once(';')?.0);
        let found = preset.lines().find_map(in_preset).or_else(|| source.lines().find_map(in_source));
        found.ok_or_else(|| format!("neither the preset nor train.rs has a number {name}"))
    };
    let (depth, head, total) = (constant("DEPTH")?, constant("HEAD_DIM")?, constant("TOTAL_BATCH_SIZE")?);
    let context = constant("max_seq_len")?;
    let rows = constant("DEVICE_BATCH_SIZE")?.min(total / context);
    let heads = (depth * constant("ASPECT_RATIO")?).div_ceil(head);
    Ok(Sizes { of_python: [depth, heads * head, heads, rows, total / (rows * context)], tokens: total as f64 })
}

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

impl Race {
    /// Builds the trainer with the preset's sizes, prepares the data.
    pub fn new(python: PathBuf) -> Result<Race, String> {
        let folder = sh::target()?.join("race");
        let failed = |e| format!("{}: {e}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        // Data and what torch.compile made stay.
        let _ = fs::remove_dir_all(folder.join("clone"));
        let built = latency::Built::new(&folder, &setup::setup()?)?;
        // The next build of anybody's would replace it.
        let trainer = folder.join("train");
        fs::copy(built.program(), &trainer).map_err(failed)?;
        let Sizes { of_python: sizes, tokens } = sizes("cpu")?;
        Ok(Race { python, trainer, data: built.data, folder, sizes, tokens })
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
        self.run(self.pytorch("compile", "compiled"), STEADY)?;
        eprintln!("round       eager     compile        ours   (tokens/s)");
        let round = |number: usize| {
            let eager = self.run(self.pytorch("eager", "compiled"), STEADY)?;
            let compile = self.run(self.pytorch("compile", "compiled"), STEADY)?;
            let ours = self.run(self.ours(), STEADY)?;
            eprintln!("{number:5} {eager:11.0} {compile:11.0} {ours:11.0}");
            Ok(Round { eager, compile, ours })
        };
        (1..=ROUNDS).map(round).collect::<Result<_, String>>().map(Steady)
    }

    /// Tokens trained on within a minute from the start, beside torch.compile that finds nothing compiled (as after an edit
    /// of the model), and in words also beside one that does (as after an edit of a number outside of it). The trainer's own
    /// build is added to its time.
    pub fn with_start_up(&self) -> Result<(f64, String), String> {
        self.run(self.pytorch("compile", "compiled"), STEADY)?;
        eprintln!("minute compile, cold compile, warm        ours   (tokens)");
        let mut rounds = Vec::new();
        for number in 1..=MINUTES {
            let cold = self.folder.join("cold");
            let _ = fs::remove_dir_all(&cold);
            let cold = self.run(self.pytorch("compile", "cold"), MINUTE)?;
            let warm = self.run(self.pytorch("compile", "compiled"), MINUTE)?;
            let ours = self.run(self.ours(), MINUTE)?;
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
    fn run(&self, command: Command, until: Until) -> Result<f64, String> {
        pace::run(command, until, self.tokens, &self.folder.join("stderr.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_preset_s_or_those_of_the_source() {
        let cpu = sizes("cpu").unwrap();
        assert_eq!((cpu.of_python, cpu.tokens), ([4, 128, 2, 8, 2], 4096.0));
        let h100 = sizes("h100").unwrap();
        assert_eq!((h100.of_python, h100.tokens), ([8, 512, 4, 128, 2], 524288.0));
        assert!(sizes("none").is_err());
    }
}
