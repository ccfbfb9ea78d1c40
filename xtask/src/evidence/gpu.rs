//! Figures of the way to a GPU. Without one: the kernels compile, compute the plain forms and move as little memory as they
//! should, in an emulation; the trainer on the CPU has lost nothing to them; a run of sixty experiments on the CPU is audited and its keeps are
//! measured at another depth; the bundle is packed and rehearsed. On one: all that the
//! bundle measures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::operations::{built_at, prepared, printed, trained_with};
use super::pace::{self, Until, median};
use super::race::sizes;
use crate::figure::{self, Line, Measure};
use crate::{places, setup, sh};

mod bundle;
mod research;

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("kernels-compile", kernels_compile),
    ("emulated-parity", emulated_parity),
    ("traffic", traffic),
    ("cpu-no-worse", cpu_no_worse),
    ("bundle-size", bundle::size),
    ("bundle-rehearsal", bundle::rehearsal),
    ("sixty-experiments", research::sixty_experiments),
    ("transfer-check", research::transfer_check),
    ("device", bundle::device),
];

/// The compiler that a CUDA build of libtorch 2.11 has.
const NVRTC: &str = "nvidia-cuda-nvrtc==13.0.88";

/// The last commit without kernels.
const BEFORE: &str = "efc5800fa0de1c129b6f2f7b60315a64ff0e21d7";
/// Turns, odd.
const ROUNDS: usize = 5;

/// A folder with NVRTC, in an environment of its own below the target folder.
fn nvrtc() -> Result<PathBuf, String> {
    let venv = sh::target()?.join("nvrtc-venv");
    setup::packages(&venv, &[NVRTC])?;
    let folders = std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
    let mut folders = folders.map(|python| python.path().join("site-packages/nvidia/cu13/lib"));
    folders.find(|folder| folder.is_dir()).ok_or_else(|| format!("{NVRTC} has no library in {}", venv.display()))
}

/// Of every kernel, for two generations of GPUs.
fn kernels_compile() -> Result<Line, String> {
    let mut test = crate::test::of(&["--test", "suite"], &["--nocapture", "kernels::kernels_compile"])?;
    test.env("LD_LIBRARY_PATH", nvrtc()?);
    let words = figure::words_after(&sh::output(&mut test)?, "kernels-compile")?;
    let number = |key| figure::number(&words, key);
    let (kernels, compiled, spilled) = (number("kernels")?, number("compiled")?, number("spilled")?);
    let value = format!(
        "{kernels} kernels, each in bf16 and float32 for sm_80 and sm_90: at most {} registers, {spilled} bytes spilled",
        number("registers")?
    );
    Ok(Line::Measured(
        compiled == 4.0 * kernels && kernels > 0.0 && spilled == 0.0,
        value,
        "all of them, nothing spilled",
    ))
}

/// Of the emulated kernels, with the plain forms and finite differences.
fn emulated_parity() -> Result<Line, String> {
    let output = sh::output(&mut crate::test::of(&["--test", "suite"], &["--nocapture", "kernels::"])?)?;
    let (parity, gradients) =
        (figure::words_after(&output, "emulated-parity")?, figure::words_after(&output, "emulated-gradients")?);
    let (shapes, float32) = (figure::number(&parity, "shapes")?, figure::number(&parity, "float32")?);
    let (bf16, numeric) = (figure::number(&parity, "bf16_times")?, figure::number(&gradients, "max_error")?);
    let value = format!(
        "{float32:.1e} in float32 over {shapes} random shapes, in bf16 {bf16:.1} times libtorch's rounding; gradients \
         {numeric:.1e} from finite differences"
    );
    let fine = shapes >= 1000.0 && float32 < 1e-5 && bf16 < 3.0 && numeric < 1e-5;
    Ok(Line::Measured(fine, value, "1,000 shapes, 1e-5, 3 times, 1e-5"))
}

/// Of the model in train.rs, at the h100 preset's width, by the kernels' own loads and stores.
fn traffic() -> Result<Line, String> {
    let words = printed(&["--bin", "train", "--", "--nocapture", "kernels::"], "traffic")?;
    let number = |key| figure::number(&words, key);
    let (layer, libtorch, head) = (number("layer_u")?, number("libtorch_u")?, number("head_kb")?);
    let value = format!(
        "{:.1} u a layer ({layer:.1} of the kernels, {libtorch:.1} of libtorch's operations beside them), head \
         {head:.0} KB a token",
        layer + libtorch
    );
    Ok(Line::Measured(layer + libtorch <= 60.0 && head <= 130.0, value, "60 u, 130 KB"))
}

/// The trainer on the CPU beside the one without kernels, in turns.
fn cpu_no_worse() -> Result<Line, String> {
    let known = sh::output(Command::new("git").arg("-C").arg(places::root()).args(["cat-file", "-e", BEFORE]));
    if known.is_err() {
        return Ok(Line::Skip(format!("this clone has no commit {BEFORE}")));
    }
    let folder = sh::target()?.join("cpu-no-worse");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let data = prepared("cpu", &[])?;
    let build = |revision: &str, name: &str| {
        let path = folder.join(name);
        std::fs::copy(built_at(revision, "cpu")?, &path).map_err(failed)?;
        Ok::<_, String>(path)
    };
    let (before, now, tokens) = (build(BEFORE, "before")?, build("HEAD", "now")?, sizes("cpu")?.tokens);
    let run = |train: &Path| {
        let command = trained_with(train, &data, "cpu", "600");
        pace::run(command, Until::Steady(Duration::from_secs(12)), tokens, &folder.join("stderr.log"))
    };
    let round = |_| Ok((run(&before)?, run(&now)?));
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(round).collect::<Result<_, String>>()?;
    let ratio = median(rounds.iter().map(|(before, now)| now / before));
    let value = format!(
        "{ratio:.3} times: {:.0} beside {:.0} tokens/s, medians of {ROUNDS} turns",
        median(rounds.iter().map(|(_, now)| *now)),
        median(rounds.iter().map(|(before, _)| *before))
    );
    Ok(Line::Measured(ratio >= 0.98, value, "0.98 times the commit before the kernels"))
}
