//! The trainer and PyTorch on one device for the same time each, on the same rows in the same order: speed, memory, and what
//! both have learned. On a GPU it is the figure `cuda`; `cuda-rehearsal` is the same on the CPU at the cpu preset's sizes,
//! so that the one call works on the day when there is a GPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::operations::{KARPATHY_GB, cargo, of, prepared, trained_with};
use super::pace::{self, median};
use super::race::{Sizes, sizes};
use super::{cuda, operations, pytorch};
use crate::figure::{self, Line};
use crate::{places, sh};

/// Tokens of training rows for PyTorch; it begins again when they are used up.
const TRAIN_TOKENS: usize = 64 << 20;

/// Where it takes place.
struct Contest {
    /// Of `examples/nanochat/presets`.
    preset: &'static str,
    /// Options of `prepare`.
    data: &'static [&'static str],
    device: &'static str,
    precision: &'static str,
    mode: &'static str,
    /// PyTorch's kernels for short windows that are tried.
    attention: &'static [&'static str],
    /// Training seconds of a trial, and of a round.
    seconds: [f64; 2],
    rounds: usize,
    /// Tokens of training rows.
    tokens: usize,
}

/// The result of a training.
#[derive(Debug, Clone, Copy)]
struct Training {
    tokens_per_second: f64,
    val_bpb: f64,
    gigabytes: f64,
    mfu: f64,
}

/// All trainings; as many of the one as of the other.
struct Outcome {
    attention: &'static str,
    theirs: Vec<Training>,
    ours: Vec<Training>,
}

impl Outcome {
    /// How many times as fast ours is: the median of the rounds' ratios.
    fn ratio(&self) -> f64 {
        let rounds = self.ours.iter().zip(&self.theirs);
        median(rounds.map(|(ours, theirs)| ours.tokens_per_second / theirs.tokens_per_second))
    }

    /// In words; the numbers are medians over the rounds.
    fn shown(&self, mode: &str) -> String {
        let ours = |number: fn(&Training) -> f64| median(self.ours.iter().map(number));
        let theirs = |number: fn(&Training) -> f64| median(self.theirs.iter().map(number));
        let (ratio, mfu) = (self.ratio(), ours(|training| training.mfu));
        format!(
            "{ratio:.2} times PyTorch ({mode}, {} in short windows): {:.0} beside {:.0} tokens/s, MFU {mfu:.1} beside \
             {:.1} %, val_bpb {:.4} beside {:.4}, peak {:.1} beside {:.1} GB",
            self.attention,
            ours(|training| training.tokens_per_second),
            theirs(|training| training.tokens_per_second),
            // The same model: as many FLOPs a token.
            mfu / ratio,
            ours(|training| training.val_bpb),
            theirs(|training| training.val_bpb),
            ours(|training| training.gigabytes),
            theirs(|training| training.gigabytes),
        )
    }
}

/// On a GPU at the h100 preset's sizes: first the operations' tests there, then the contest.
pub fn on_a_gpu() -> Result<Line, String> {
    if let Some(skip) = cuda::missing() {
        return Ok(skip);
    }
    let parity = Parity::on("cuda")?;
    let contest = Contest {
        preset: "h100",
        data: &["--corpus", "crates", "--eval-tokens", "524288"],
        device: "cuda",
        precision: "bfloat16",
        mode: "compile",
        attention: &["sdpa", "flex", "flash"],
        seconds: [5.0, 60.0],
        rounds: 2,
        tokens: TRAIN_TOKENS,
    };
    let outcome = contest.held()?;
    let gigabytes = outcome.ours.iter().map(|ours| ours.gigabytes).fold(0.0, f64::max);
    let better = outcome.ours.iter().zip(&outcome.theirs).any(|(ours, theirs)| ours.val_bpb <= theirs.val_bpb);
    let value = format!("{}; karpathy's has {KARPATHY_GB} GB; {}", outcome.shown(contest.mode), parity.shown());
    // A mask in place of FlashAttention would pass everything but the speed.
    let fine = parity.holds() && parity.flash && outcome.ratio() >= 1.0 && gigabytes < 30.0 && better;
    Ok(Line::Measured(
        fine,
        value,
        "1.0 times, val_bpb not worse in one round at least, 30 GB; parity 1e-4 and 4e-2 in losses, 3e-2 in bf16 operations; FlashAttention in short windows",
    ))
}

/// Numbers against those of PyTorch and of the plain forms.
struct Parity {
    float32: f64,
    bf16: f64,
    operations: f64,
    flash: bool,
}

impl Parity {
    /// Each test in a process of its own, which opens the device first of all.
    fn on(device: &str) -> Result<Parity, String> {
        let test = "parity::losses_on_the_device_are_those_of_pytorch";
        let losses = ["--bin", "train", "--", "--ignored", "--exact", test, "--nocapture"];
        let losses = operations::printed_on(device, &losses, "parity-device")?;
        let forms = ["--test", "ops_cuda", "--", "--nocapture"];
        let forms = operations::printed_on(device, &forms, "device-parity")?;
        Ok(Parity {
            float32: figure::number(&losses, "float32")?,
            bf16: figure::number(&losses, "bf16")?,
            operations: figure::number(&forms, "max_error")?,
            flash: figure::number(&forms, "flash")? == 1.0 && figure::number(&losses, "flash")? == 1.0,
        })
    }

    fn holds(&self) -> bool {
        self.float32 <= 1e-4 && self.bf16 <= 4e-2 && self.operations < 3e-2
    }

    fn shown(&self) -> String {
        format!(
            "losses {:.1e} from PyTorch's in float32, {:.1e} in bf16; operations {:.1e} from the plain forms; \
             FlashAttention {}",
            self.float32,
            self.bf16,
            self.operations,
            if self.flash { "in short windows" } else { "not used" },
        )
    }
}

/// The same steps with little of everything. Its numbers are no figures: what counts is that it goes through.
pub fn rehearsal() -> Result<Line, String> {
    let contest = Contest {
        preset: "cpu",
        data: &[],
        device: "cpu",
        precision: "float32",
        mode: "eager",
        // The CPU has no such kernel, so this is also the rehearsal of one that fails.
        attention: &["flash", "sdpa"],
        seconds: [1.0, 10.0],
        rounds: 1,
        tokens: 1 << 20,
    };
    let parity = Parity::on("cpu")?;
    let outcome = contest.held()?;
    let all = || outcome.ours.iter().chain(&outcome.theirs);
    // Untrained, a token of this vocabulary costs 11 bits and stands for three bytes or so.
    let learned = all().all(|training| (0.5..2.5).contains(&training.val_bpb) && training.gigabytes > 0.0);
    let fine = learned && outcome.attention == "sdpa" && parity.holds() && !parity.flash;
    let value = format!("{}; {}", outcome.shown(contest.mode), parity.shown());
    Ok(Line::Measured(fine, value, "both have learned, numbers agree, and a kernel that fails is left out"))
}

impl Contest {
    fn held(&self) -> Result<Outcome, String> {
        let folder = sh::target()?.join(format!("contest-{}", self.preset));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let data = prepared(self.preset, self.data)?;
        self.rows(&data, &folder)?;
        let (python, sizes) = (pytorch::python()?, sizes(self.preset)?);
        // Copied: whoever builds next replaces it.
        let train = folder.join("train");
        std::fs::copy(operations::built(self.preset)?, &train).map_err(|e| format!("{}: {e}", train.display()))?;
        let [trial, round] = self.seconds;
        let theirs = |attention: &str, seconds: f64| {
            let mut command = Command::new(&python);
            self.python(&mut command, &sizes, attention, seconds, &data, &folder);
            self.training(command, &sizes, &folder)
        };
        let tried = self.attention.iter().filter_map(|attention| match theirs(attention, trial) {
            Ok(training) => {
                eprintln!("PyTorch with {attention}: {:.0} tokens/s", training.tokens_per_second);
                Some((training.tokens_per_second, *attention))
            }
            Err(why) => {
                // Its first sentence; libtorch goes on with all that it knows.
                let said = why.split_once("ended by itself: ").map_or(&*why, |(_, said)| said);
                eprintln!("PyTorch with {attention} does not run here: {}", said.split(". ").next().unwrap_or(said));
                None
            }
        });
        let (_, attention) =
            tried.max_by(|a, b| a.0.total_cmp(&b.0)).ok_or("PyTorch trains with none of its kernels")?;
        let mut outcome = Outcome { attention, theirs: vec![], ours: vec![] };
        for number in 1..=self.rounds {
            outcome.theirs.push(theirs(attention, round)?);
            let command = trained_with(&train, &data, self.device, &round.to_string());
            outcome.ours.push(self.training(command, &sizes, &folder)?);
            eprintln!("round {number}: {:?} beside {:?}", outcome.ours[number - 1], outcome.theirs[number - 1]);
        }
        Ok(outcome)
    }

    /// The rows that the trainer makes of the data, for PyTorch.
    fn rows(&self, data: &Path, folder: &Path) -> Result<(), String> {
        let manifest = data.join("workload.json");
        let manifest = std::fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
        let evaluated = of(&manifest, "eval_tokens")? as usize;
        for (split, tokens) in [("train", self.tokens), ("val", evaluated)] {
            let mut command = cargo("run", "--example", "rows", &places::root())?;
            sh::output(command.arg("--").arg(data).args([split, &tokens.to_string()]).arg(file(folder, split)))?;
        }
        Ok(())
    }

    fn python(&self, command: &mut Command, sizes: &Sizes, attention: &str, seconds: f64, data: &Path, folder: &Path) {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        command.arg("-B").arg(places::root().join("autoresearch-llm/benches/python/train.py")).arg(self.mode).arg(data);
        command.args(sizes.of_python.iter().map(u64::to_string)).arg(threads.to_string());
        command.args(["--device", self.device, "--precision", self.precision, "--attention", attention]);
        command.arg("--budget").arg(seconds.to_string());
        command.arg("--train").arg(file(folder, "train")).arg("--val").arg(file(folder, "val"));
        command.env("TORCHINDUCTOR_CACHE_DIR", folder.join("compiled"));
    }

    /// Runs one of the two; both end with a line of JSON.
    fn training(&self, command: Command, sizes: &Sizes, folder: &Path) -> Result<Training, String> {
        let (tokens_per_second, output) = pace::to_the_end(command, sizes.tokens, &folder.join("stderr.log"))?;
        let line = output.lines().find(|line| line.starts_with('{')).ok_or_else(|| format!("no JSON in:\n{output}"))?;
        // Megabytes of 2^20 bytes.
        let gigabytes = of(line, "peak_vram_mb")? * f64::from(1 << 20) / 1e9;
        let mfu = of(line, "mfu_percent").unwrap_or(f64::NAN);
        Ok(Training { tokens_per_second, val_bpb: of(line, "val_bpb")?, gigabytes, mfu })
    }
}

fn file(folder: &Path, split: &str) -> PathBuf {
    folder.join(format!("{split}.rows"))
}
