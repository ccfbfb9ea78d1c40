//! Figures of the trainer's operations: exact gradients, the memory of a step, waiting for data, and what speed is good for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::figure::{self, Line};
use crate::test::THOROUGH;
use crate::{places, setup, sh};

/// karpathy's peak in GB, for comparison: 45060.2 MB in his published block.
pub const KARPATHY_GB: f64 = 45.06;

/// Runs a test of the trainer and returns the words after `evidence NAME`.
pub fn printed(arguments: &[&str], name: &str) -> Result<Vec<String>, String> {
    printed_on("cpu", arguments, name)
}

/// The same of a test that opens the device.
pub fn printed_on(device: &str, arguments: &[&str], name: &str) -> Result<Vec<String>, String> {
    let libtorch = setup::setup()?;
    let mut test = sh::cargo();
    test.args(["test", "--locked", "-p", "autoresearch-llm"]).args(arguments);
    test.env("LIBTORCH", libtorch).env("AUTORESEARCH_DEVICE", device).env(THOROUGH, "1");
    figure::words_after(&sh::output(&mut test)?, name)
}

/// Of every operation, against finite differences.
pub fn gradients() -> Result<Line, String> {
    let words = printed(&["--test", "suite", "--", "--nocapture", "ops::"], "gradcheck")?;
    let (operations, error) = (figure::number(&words, "operations")?, figure::number(&words, "max_error")?);
    let value = format!("{error:.1e} at most, of {operations} operations in double precision");
    Ok(Line::Measured(error < 1e-6, value, "1e-6 from finite differences"))
}

/// Of one step at karpathy's sizes.
pub fn memory() -> Result<Line, String> {
    let words = printed(&["--bin", "train", "--", "--ignored", "--nocapture", "h100_s_sizes"], "memory-h100")?;
    let (gigabytes, by_kernels) = (figure::number(&words, "gigabytes")?, figure::number(&words, "kernels")?);
    let value = format!(
        "{gigabytes:.1} GB computed at depth 8, 128 x 2048 tokens, bf16, {by_kernels:.1} with the kernels; karpathy's has {KARPATHY_GB}"
    );
    Ok(Line::Measured(gigabytes.max(by_kernels) < 30.0, value, "30 GB"))
}

/// A short training with the cpu preset's data and the constants of `constants`.
pub fn data_wait() -> Result<Line, String> {
    let data = prepared("cpu", &[])?;
    let train = built("cpu")?;
    let output = json(&mut trained_with(&train, &data, "cpu", "20"))?;
    let share = of(&output, "data_wait_percent")?;
    let value = format!("{share:.3}% of the training time, {:.0} tokens/s", of(&output, "tokens_per_second")?);
    Ok(Line::Measured(share < 0.5, value, "0.5%"))
}

/// A whole training of the cpu preset in the fused operations, and one of the same time and seed in their plain forms.
pub fn val_bpb() -> Result<Line, String> {
    let (data, train) = (prepared("cpu", &[])?, built("cpu")?);
    let run = |form: &str| {
        let mut command = trained_with(&train, &data, "cpu", "60");
        let output = json(command.env("AUTORESEARCH_OPERATIONS", form))?;
        Ok::<_, String>([of(&output, "val_bpb")?, of(&output, "tokens_per_second")?])
    };
    let [plain, fused] = [run("plain")?, run("fused")?];
    let value = format!(
        "val_bpb {:.4} at {:.0} tokens/s beside {:.4} at {:.0} in the plain forms, 60 s each, the same seed",
        fused[0], fused[1], plain[0], plain[1]
    );
    Ok(Line::Measured(fused[0] < plain[0], value, "lower than the plain forms'"))
}

fn cache() -> Result<PathBuf, String> {
    let cache = places::cache()?;
    Ok(std::path::absolute(&cache).unwrap_or(cache))
}

/// cargo for the lab's builds, so that nothing is built for this alone.
pub fn cargo(command: &str, kind: &str, name: &str, root: &Path) -> Result<Command, String> {
    let libtorch = setup::setup()?;
    let mut cargo = sh::cargo();
    cargo.current_dir(root).args([
        command,
        "--locked",
        "--profile",
        "experiment",
        "-p",
        "autoresearch-llm",
        kind,
        name,
    ]);
    cargo.env("CARGO_TARGET_DIR", cache()?.join("target")).env("LIBTORCH", libtorch);
    Ok(cargo)
}

/// The data of a preset.
pub fn prepared(preset: &str, options: &[&str]) -> Result<PathBuf, String> {
    let data = cache()?.join(format!("data/evidence-trainer-{preset}"));
    let preset = format!("examples/nanochat/presets/{preset}.toml");
    let mut prepare = cargo("run", "--bin", "prepare", &places::root())?;
    sh::output(prepare.args(["--", "--preset", &preset]).args(options).arg("--out").arg(&data))?;
    Ok(data)
}

/// The trainer with a preset's constants, built in a clone.
pub fn built(preset: &str) -> Result<PathBuf, String> {
    built_at("HEAD", preset)
}

/// The same at another revision. The next build replaces it.
pub fn built_at(revision: &str, preset: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("autoresearch-trainer-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let result = super::latency::clone_at(&folder, revision, preset).and_then(|()| {
        sh::output(&mut cargo("build", "--bin", "train", &folder)?)?;
        Ok(cache()?.join("target/experiment/train"))
    });
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// A training of a given number of seconds.
pub fn trained_with(train: &Path, data: &Path, device: &str, seconds: &str) -> Command {
    let mut train = Command::new(train);
    train.env("AUTORESEARCH_DATA", data).env("AUTORESEARCH_DEVICE", device).env("AUTORESEARCH_TIME_BUDGET", seconds);
    train
}

/// The line of JSON that a training prints.
pub fn json(train: &mut Command) -> Result<String, String> {
    let output = sh::output(train)?;
    let line = output.lines().find(|line| line.starts_with('{'));
    line.map(str::to_owned).ok_or_else(|| format!("no line of JSON in:\n{output}"))
}

/// A number of that line.
pub fn of(line: &str, key: &str) -> Result<f64, String> {
    let value =
        line.split_once(&format!("\"{key}\":")).map(|(_, rest)| rest.split([',', '}']).next().unwrap_or_default());
    value.and_then(|text| text.trim().parse().ok()).ok_or_else(|| format!("no {key} in {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_line() {
        let line = r#"{"val_bpb":1.5,"data_wait_percent":0.25}"#;
        assert_eq!((of(line, "val_bpb").unwrap(), of(line, "data_wait_percent").unwrap()), (1.5, 0.25));
        assert_eq!(of("{\"steps\": 7, \"val_bpb\": 1.25}", "val_bpb").unwrap(), 1.25);
        assert!(of(line, "depth").is_err());
    }
}
