//! The figures of the trainer: the same numbers as PyTorch, and how fast beside it. Its PyTorch is installed for this alone,
//! below the target folder.

use std::sync::OnceLock;

use super::race::{self, Race};
use super::{contest, operations, pytorch};
use crate::figure::{self, Line, Measure};
use crate::{places, setup, sh};

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("parity-loss", parity_loss),
    ("parity-gradients", parity_gradients),
    ("parity-optimizer", parity_optimizer),
    ("parity-bf16", parity_bf16),
    ("gradients", operations::gradients),
    ("memory-h100", operations::memory),
    ("data-wait", operations::data_wait),
    ("val-bpb", operations::val_bpb),
    ("cuda-rehearsal", contest::rehearsal),
    ("cuda", contest::on_a_gpu),
    ("speed-eager", speed_eager),
    ("speed-compile", speed_compile),
    ("speed-with-start-up", speed_with_start_up),
];

/// Output of the parity tests, run once, on fixtures that PyTorch computed just now; on those that are committed where it
/// cannot be installed.
fn parity() -> Result<&'static (String, &'static str), String> {
    static PRINTED: OnceLock<Result<(String, &'static str), String>> = OnceLock::new();
    let run = || {
        let libtorch = setup::setup()?;
        let fresh = sh::target()?.join("parity-fresh.safetensors");
        let script = places::root().join("autoresearch-llm/tests/reference/make_fixtures.py");
        let made = pytorch::python()
            .and_then(|python| sh::output(std::process::Command::new(python).arg("-B").arg(script).arg(&fresh)));
        let mut cargo = sh::cargo();
        cargo.args(["test", "--locked", "-p", "autoresearch-llm", "--bin", "train", "parity::", "--"]);
        cargo.args(["--nocapture", "--test-threads=1"]).env("LIBTORCH", libtorch);
        let from = match made {
            Ok(_) => {
                cargo.env("AUTORESEARCH_PARITY", &fresh);
                "PyTorch 2.11 run just now"
            }
            Err(why) => {
                eprintln!("no PyTorch: {why}");
                "the committed fixture of PyTorch 2.11"
            }
        };
        Ok((sh::output(&mut cargo)?, from))
    };
    PRINTED.get_or_init(run).as_ref().map_err(Clone::clone)
}

/// The words that a parity test printed, and what it was compared with.
fn printed(name: &str) -> Result<(Vec<String>, &'static str), String> {
    let (output, from) = parity()?;
    Ok((figure::words_after(output, name)?, from))
}

fn parity_loss() -> Result<Line, String> {
    let (words, from) = printed("parity-loss")?;
    let (difference, steps) = (figure::number(&words, "max_abs_diff")?, figure::number(&words, "steps")?);
    let value = format!("{difference:.1e} over {steps} steps in float32, {from}");
    Ok(Line::Measured(difference <= 1e-4 && steps >= 10.0, value, "1e-4"))
}

fn parity_gradients() -> Result<Line, String> {
    let (words, from) = printed("parity-gradients")?;
    let (difference, parameters) = (figure::number(&words, "max_rel_diff")?, figure::number(&words, "parameters")?);
    let value = format!("{difference:.1e} relative over {parameters} parameters, {from}");
    Ok(Line::Measured(difference <= 1e-5 && parameters >= 20.0, value, "1e-5"))
}

fn parity_optimizer() -> Result<Line, String> {
    let (words, from) = printed("parity-optimizer")?;
    let (difference, groups) = (figure::number(&words, "max_rel_diff")?, figure::number(&words, "groups")?);
    let update = figure::number(&words, "of_the_update")?;
    let value = format!("{difference:.1e} relative ({update:.1e} of the update) over {groups} groups, {from}");
    Ok(Line::Measured(difference <= 1e-5 && groups >= 9.0, value, "1e-5"))
}

fn parity_bf16() -> Result<Line, String> {
    let (words, from) = printed("parity-bf16")?;
    let number = |key| figure::number(&words, key);
    let (difference, steps) = (number("max_abs_diff")?, number("steps")?);
    let (ours, pytorch_s) = (number("from_float32")?, number("pytorch")?);
    let value = format!(
        "{difference:.1e} over {steps} steps in bf16; {ours:.1e} from float32, PyTorch's own is {pytorch_s:.1e}; {from}"
    );
    let fine = difference <= 4e-2 && ours <= 2.0 * pytorch_s && steps >= 10.0;
    Ok(Line::Measured(fine, value, "4e-2, and twice PyTorch's own rounding, as docs/trainer.md derives"))
}

fn race() -> Result<Race, String> {
    match pytorch::python() {
        Ok(python) => Race::new(python),
        Err(why) => Err(format!("PyTorch 2.11 cannot be installed: {why}")),
    }
}

/// In steady state.
fn steady() -> Result<&'static race::Steady, String> {
    static STEADY: OnceLock<Result<race::Steady, String>> = OnceLock::new();
    STEADY.get_or_init(|| race()?.steady()).as_ref().map_err(Clone::clone)
}

fn speed_eager() -> Result<Line, String> {
    let steady = steady()?;
    let value = steady.beside(|round| round.eager, "eager PyTorch");
    Ok(Line::Measured(steady.ratio(|round| round.eager) >= 1.15, value, "1.15 times"))
}

fn speed_compile() -> Result<Line, String> {
    let steady = steady()?;
    let value = steady.beside(|round| round.compile, "torch.compile");
    Ok(Line::Measured(steady.ratio(|round| round.compile) >= 1.0, value, "1.0 times"))
}

fn speed_with_start_up() -> Result<Line, String> {
    let (ratio, value) = race()?.with_start_up()?;
    Ok(Line::Measured(ratio >= 1.3, value, "1.3 times torch.compile"))
}
