//! Figures of the trainer's operations: exact gradients, the memory of a step, waiting for data, and the GPU in one call.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Line, cuda};
use crate::{places, setup, sh};

/// karpathy's peak in GB, for comparison: 45060.2 MB in his published block.
const KARPATHY_GB: f64 = 45.06;

fn printed(arguments: &[&str], name: &str) -> Result<Vec<String>, String> {
    let libtorch = setup::setup()?;
    let mut test = sh::cargo();
    test.args(["test", "--locked", "-p", "autoresearch-llm"]).args(arguments).env("LIBTORCH", libtorch);
    super::words_after(&sh::output(&mut test)?, name)
}

/// Of every operation, against finite differences.
pub fn gradients() -> Result<Line, String> {
    let words = printed(&["--test", "ops", "--", "--nocapture"], "gradcheck")?;
    let (operations, error) = (super::number(&words, "operations")?, super::number(&words, "max_error")?);
    let value = format!("{error:.1e} at most, of {operations} operations in double precision");
    Ok(Line::Measured(error < 1e-6, value, "1e-6 from finite differences"))
}

/// Of one step at karpathy's sizes.
pub fn memory() -> Result<Line, String> {
    let words = printed(&["--bin", "train", "--", "--ignored", "--nocapture", "h100_s_sizes"], "memory-h100")?;
    let gigabytes = super::number(&words, "gigabytes")?;
    let value = format!("{gigabytes:.1} GB computed at depth 8, 128 x 2048 tokens, bf16; karpathy's has {KARPATHY_GB}");
    Ok(Line::Measured(gigabytes < 30.0, value, "30 GB"))
}

/// A short training with the cpu preset's data and the constants of `constants`.
pub fn data_wait() -> Result<Line, String> {
    let data = prepared("cpu", &[])?;
    let train = built("cpu")?;
    let output = trained(&train, &data, "cpu", "20")?;
    let share = of(&output, "data_wait_percent")?;
    let value = format!("{share:.3}% of the training time, {:.0} tokens/s", of(&output, "tokens_per_second")?);
    Ok(Line::Measured(share < 0.5, value, "0.5%"))
}

/// Numbers on CUDA at the sizes that stand in train.rs: the operations' tests there, then twenty seconds of training.
pub fn gpu() -> Result<Line, String> {
    if let Some(skip) = cuda::missing() {
        return Ok(skip);
    }
    let parity = printed(&["--test", "ops_cuda", "--", "--nocapture"], "cuda-parity")?;
    let error = super::number(&parity, "max_error")?;
    let data = prepared("h100", &["--corpus", "crates", "--eval-tokens", "524288"])?;
    let output = trained(&built("h100")?, &data, "cuda", "20")?;
    let number = |key| of(&output, key);
    let value = format!(
        "{error:.1e} from the plain forms, {:.0} tokens/s, MFU {:.1}%, peak {:.1} GB, val_bpb {:.4}",
        number("tokens_per_second")?,
        number("mfu_percent")?,
        number("peak_vram_mb")? / 1e3,
        number("val_bpb")?
    );
    Ok(Line::Measured(error < 3e-2 && number("val_bpb")?.is_finite(), value, "3e-2 and finite"))
}

fn cache() -> Result<PathBuf, String> {
    let cache = places::cache()?;
    Ok(std::path::absolute(&cache).unwrap_or(cache))
}

/// cargo for the lab's builds, so that nothing is built for this alone.
fn cargo(command: &str, bin: &str, root: &Path) -> Result<Command, String> {
    let libtorch = setup::setup()?;
    let mut cargo = sh::cargo();
    cargo.current_dir(root).args([
        command,
        "--locked",
        "--profile",
        "experiment",
        "-p",
        "autoresearch-llm",
        "--bin",
        bin,
    ]);
    cargo.env("CARGO_TARGET_DIR", cache()?.join("target")).env("LIBTORCH", libtorch);
    Ok(cargo)
}

fn prepared(preset: &str, options: &[&str]) -> Result<PathBuf, String> {
    let data = cache()?.join(format!("data/evidence-trainer-{preset}"));
    let preset = format!("examples/nanochat/presets/{preset}.toml");
    let mut prepare = cargo("run", "prepare", &places::root())?;
    sh::output(prepare.args(["--", "--preset", &preset]).args(options).arg("--out").arg(&data))?;
    Ok(data)
}

/// The trainer with a preset's constants, built in a clone.
fn built(preset: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("autoresearch-trainer-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let result = super::latency::clone_with_preset(&folder, preset).and_then(|()| {
        sh::output(&mut cargo("build", "train", &folder)?)?;
        Ok(cache()?.join("target/experiment/train"))
    });
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// The line of JSON that a training prints.
fn trained(train: &Path, data: &Path, device: &str, seconds: &str) -> Result<String, String> {
    let mut train = Command::new(train);
    train.env("AUTORESEARCH_DATA", data).env("AUTORESEARCH_DEVICE", device).env("AUTORESEARCH_TIME_BUDGET", seconds);
    let output = sh::output(&mut train)?;
    let line = output.lines().find(|line| line.starts_with('{'));
    line.map(str::to_owned).ok_or_else(|| format!("no line of JSON in:\n{output}"))
}

/// A number of that line.
fn of(line: &str, key: &str) -> Result<f64, String> {
    let value =
        line.split_once(&format!("\"{key}\":")).map(|(_, rest)| rest.split([',', '}']).next().unwrap_or_default());
    value.and_then(|text| text.parse().ok()).ok_or_else(|| format!("no {key} in {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_line() {
        let line = r#"{"val_bpb":1.5,"data_wait_percent":0.25}"#;
        assert_eq!((of(line, "val_bpb").unwrap(), of(line, "data_wait_percent").unwrap()), (1.5, 0.25));
        assert!(of(line, "depth").is_err());
    }
}
