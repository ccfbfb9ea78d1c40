//! The trainer on an NVIDIA GPU, at the sizes that stand in train.rs. It can only be measured where there is one.

use std::process::Command;

use crate::figure::Line;
use crate::{places, setup, sh};

/// The line that stands in for a figure where there is no GPU.
pub fn missing() -> Option<Line> {
    (!places::nvidia()).then(|| Line::Skip("there is no NVIDIA driver on this machine".into()))
}

/// Twenty seconds of training on CUDA give a finite val_bpb.
pub fn cuda() -> Result<Line, String> {
    if let Some(skip) = missing() {
        return Ok(skip);
    }
    let libtorch = setup::setup()?;
    let cache = places::cache()?;
    let cache = std::path::absolute(&cache).unwrap_or(cache);
    let data = cache.join("data/evidence-cuda");
    let mut prepare = sh::cargo();
    prepare.args([
        "run",
        "--locked",
        "--profile",
        "experiment",
        "--package",
        "autoresearch-llm",
        "--bin",
        "prepare",
        "--",
    ]);
    // The offline corpus at the h100 preset's context and vocabulary; fewer tokens to evaluate.
    prepare
        .args([
            "--preset",
            "examples/nanochat/presets/h100.toml",
            "--corpus",
            "crates",
            "--eval-tokens",
            "524288",
            "--out",
        ])
        .arg(&data);
    prepare.env("CARGO_TARGET_DIR", cache.join("target")).env("LIBTORCH", &libtorch);
    sh::output(&mut prepare)?;
    let mut build = sh::cargo();
    build.args(["build", "--locked", "--profile", "experiment", "--package", "autoresearch-llm", "--bin", "train"]);
    sh::output(build.env("CARGO_TARGET_DIR", cache.join("target")).env("LIBTORCH", &libtorch))?;

    let mut train = Command::new(cache.join("target/experiment/train"));
    train.env("AUTORESEARCH_DATA", &data).env("AUTORESEARCH_DEVICE", "cuda").env("AUTORESEARCH_TIME_BUDGET", "20");
    let output = sh::output(&mut train)?;
    let of = |key: &str| output.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<f64>().ok());
    let val_bpb = of("val_bpb:").ok_or_else(|| format!("no val_bpb in:\n{output}"))?;
    // A fallback gives a number as well, and must not pass for the fast way.
    let made_with = ["device", "attention", "kernels"].map(|key| word(&output, key).unwrap_or("unknown"));
    let value = format!(
        "val_bpb {val_bpb:.6} after {} steps, MFU {}%; {} in short windows, kernels {} on {}",
        of("num_steps:").unwrap_or(0.0),
        of("mfu_percent:").unwrap_or(0.0),
        made_with[1],
        made_with[2],
        made_with[0]
    );
    Ok(Line::Measured(val_bpb.is_finite() && val_bpb > 0.0 && is_fast(made_with), value, "finite, without a fallback"))
}

/// A text of the line of JSON that a training prints.
fn word<'a>(output: &'a str, key: &str) -> Option<&'a str> {
    output.split_once(&format!("\"{key}\":\""))?.1.split('"').next()
}

/// Returns true for a device, a kernel of attention and kernels that are no fallback.
fn is_fast([device, attention, kernels]: [&str; 3]) -> bool {
    device.starts_with("cuda") && !["Plain", "unknown"].contains(&attention) && kernels.contains("sm_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_does_not_pass_for_the_fast_way() {
        let of =
            |line: &str| is_fast(["device", "attention", "kernels"].map(|key| word(line, key).unwrap_or("unknown")));
        assert!(of(r#"{"val_bpb":1.0,"device":"cuda:0","attention":"Flash","kernels":"cuda:0, sm_90"}"#));
        for line in [
            r#"{"device":"cpu","attention":"Flash","kernels":"sm_90"}"#,
            r#"{"device":"cuda:0","attention":"Plain","kernels":"sm_90"}"#,
            r#"{"device":"cuda:0","attention":"Flash","kernels":"libtorch"}"#,
            r#"{"device":"cuda:0"}"#,
        ] {
            assert!(!of(line), "{line}");
        }
    }
}
