//! The figures of the evaluation that does not trust the model's program: tricks that it finds, and what it costs.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::operations::{self, json, of, trained_with};
use crate::figure::{self, Line};
use crate::{places, sh, test};

/// Models that break the rules, servers that do not answer, and attempts behind walls, beside honest ones.
pub fn tricks() -> Result<Line, String> {
    let output = sh::output(&mut test::of(&["--test", "suite"], &["--nocapture", "strict::"])?)?;
    let number = |name: &str, key: &str| figure::number(&figure::words_after(&output, name)?, key);
    let (models, answers) = (number("strict-models", "detected")?, number("strict-answers", "refused")?);
    let (tried, contained) = (number("strict-attempts", "tried")?, number("strict-attempts", "contained")?);
    let difference = number("strict-number", "difference")?;
    let value = format!(
        "{models} models that look ahead or keep state and {answers} servers that do not answer are refused, {contained} of {tried} \
         attempts that work without walls fail behind them; an honest server's number is off by {difference:.1e}"
    );
    let holds = models >= 5.0 && answers >= 8.0 && tried >= 20.0 && contained == tried && difference <= 1e-6;
    Ok(Line::Measured(holds, value, "all, and 1e-6"))
}

/// Seconds beyond the plain evaluation of the same weights, with the cpu preset.
pub fn cost() -> Result<Line, String> {
    let (data, train) = (operations::prepared("cpu", &[])?, operations::built("cpu")?);
    sh::output(&mut operations::cargo("build", "--bin", "evaluate", &places::root())?)?;
    let evaluate = train.with_file_name("evaluate");
    let folder = std::env::temp_dir().join(format!("autoresearch-strict-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let rounds = (0..3).map(|_| round(&data, &train, &evaluate, &folder)).collect::<Result<Vec<_>, _>>();
    let _ = std::fs::remove_dir_all(&folder);
    let rounds = rounds?;
    let mut beyond: Vec<f64> = rounds.iter().map(|round| round.strict - round.plain).collect();
    beyond.sort_by(f64::total_cmp);
    let difference = rounds.iter().map(|round| round.difference).fold(0.0, f64::max);
    let shown: Vec<String> = rounds.iter().map(|round| format!("{:.1} for {:.1}", round.strict, round.plain)).collect();
    let value = format!(
        "{:.1} s beyond the plain evaluation ({} s); val_bpb of the same weights differs by {difference:.1e}",
        beyond[1],
        shown.join(", ")
    );
    Ok(Line::Measured(beyond[1] <= 3.0 && difference <= 1e-6, value, "3 s, 1e-6"))
}

/// Seconds of both evaluations of the same weights, and the difference of their numbers.
struct Round {
    plain: f64,
    strict: f64,
    difference: f64,
}

fn round(data: &Path, train: &Path, evaluate: &Path, folder: &Path) -> Result<Round, String> {
    // As the preset has it; see docs/trainer.md.
    let waiting = ("GOMP_SPINCOUNT", "1000");
    let mut command = trained_with(train, data, "cpu", "5");
    let line =
        json(command.env(waiting.0, waiting.1).env("AUTORESEARCH_CHECKPOINT", folder.join("model.safetensors")))?;
    std::fs::copy(train, folder.join("server")).map_err(|e| e.to_string())?;
    let result = folder.join("result");
    let _ = std::fs::remove_file(&result);
    let mut command = Command::new(evaluate);
    command.arg("--data").arg(data).arg("--inputs").arg(folder);
    command.env("AUTORESEARCH_RESULT", &result).env("AUTORESEARCH_DEVICE", "cpu").env(waiting.0, waiting.1);
    let began = Instant::now();
    let said = sh::output(&mut command)?;
    let strict = began.elapsed().as_secs_f64();
    eprint!("{said}");
    let text = std::fs::read_to_string(&result).map_err(|e| e.to_string())?;
    let number = text.strip_prefix("val_bpb: ").and_then(|number| number.trim().parse::<f64>().ok());
    let number = number.ok_or_else(|| format!("no number in {text:?}"))?;
    Ok(Round { plain: of(&line, "evaluation_seconds")?, strict, difference: (number - of(&line, "val_bpb")?).abs() })
}
