//! The answer of `transfer` as JSON.

use autoresearch_core::State;
use autoresearch_core::internal::audit;
use schemars::JsonSchema;
use serde::Serialize;

use super::experiment::word;
use super::version::VERSION;
use crate::report;
use crate::transfer::{self, Form, LEVEL, Recheck, Record, Results};

/// The answer of `transfer`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TransferAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// True if nothing was measured.
    pub dry_run: bool,
    /// Rounds that are asked for.
    pub repeats: u32,
    /// Trials that are left until all rounds are whole.
    pub trials_left: usize,
    /// Seconds that they take, by those so far.
    pub seconds_left: Option<f64>,
    /// The findings.
    #[serde(flatten)]
    pub result: TransferResult,
}

impl TransferAnswer {
    /// The answer about a record of which `repeats` rounds are asked for; a trial takes `seconds`.
    pub fn new(
        tag: &str,
        state: &State,
        record: &Record,
        (repeats, dry_run): (u32, bool),
        seconds: Option<f64>,
    ) -> Self {
        let trials_left = record.left(repeats).len();
        TransferAnswer {
            version: VERSION,
            tag: tag.to_owned(),
            dry_run,
            repeats,
            trials_left,
            seconds_left: seconds.map(|seconds| seconds * trials_left as f64),
            result: TransferResult::new(state, record),
        }
    }
}

/// The findings of a transfer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TransferResult {
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// The setting.
    pub setting: Setting,
    /// Whole rounds: in each every revision is measured once.
    pub rounds: usize,
    /// Trials so far.
    pub trials: usize,
    /// Standard deviation of trials of the same revision within the rounds.
    pub noise: Option<f64>,
    /// The probability that any interval of a keep misses its true gain.
    pub level: f64,
    /// The baseline's mean score under the setting.
    pub baseline: Option<f64>,
    /// The keeps, in the order of the lineage.
    pub keeps: Vec<KeepResult>,
    /// All of them together: the incumbent.
    pub sum: KeepResult,
}

/// The values that differ from those of the run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Setting {
    /// Constants of the files.
    pub constants: Vec<Change>,
    /// Variables of builds and runs.
    pub variables: Vec<Change>,
    /// Other keys of the configuration that decide the number.
    pub keys: Vec<Change>,
}

/// A value that differs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The value in the run.
    pub before: String,
    /// The value under the setting.
    pub value: String,
}

/// The finding on one keep, or on all of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeepResult {
    /// Number of the experiment; of the sum the one that made the incumbent.
    pub experiment: u32,
    /// The change in one line.
    pub description: String,
    /// The form in which it is measured: `alone`, `on_earlier`, `replaced` or `left_out`.
    pub form: String,
    /// A remark, such as why it does not apply alone; empty without one.
    pub note: String,
    /// Its gain in the run, by trials that did not choose it where there are such.
    pub run_gain: Option<f64>,
    /// Its scores under the setting, by rounds.
    pub scores: Vec<f64>,
    /// Its mean gain under the setting; positive is better.
    pub gain: Option<f64>,
    /// The lower end of the gain's interval.
    pub low: Option<f64>,
    /// The upper end of it.
    pub high: Option<f64>,
    /// `transferred`, `not shown`, `worse`, `no number`, `replaced`, `left out`, or `open` before two rounds are whole.
    pub verdict: String,
}

impl TransferResult {
    /// The findings of a record.
    pub fn new(state: &State, record: &Record) -> TransferResult {
        let (plan, results) = (&record.plan, Results::new(record, &audit::noise(state)));
        let changes = |changes: &[transfer::Change]| -> Vec<Change> {
            let change = |of: &transfer::Change| Change {
                name: of.name.clone(),
                before: of.before.clone(),
                value: of.value.clone(),
            };
            changes.iter().map(change).collect()
        };
        let keep = |recheck: &Recheck, finding: &transfer::Finding, run_gain: Option<f64>| KeepResult {
            experiment: recheck.experiment.0,
            description: report::description(state, recheck.experiment),
            form: form(recheck.form).to_owned(),
            note: finding.failure.clone().unwrap_or_else(|| recheck.note.clone()),
            run_gain,
            scores: finding.scores.clone(),
            gain: finding.gain,
            low: finding.interval.map(|interval| interval.0),
            high: finding.interval.map(|interval| interval.1),
            verdict: finding.verdict.name().to_owned(),
        };
        let keeps = plan.keeps.iter().zip(&results.keeps);
        TransferResult {
            metric: plan.metric.clone(),
            direction: word(plan.direction).to_owned(),
            setting: Setting {
                constants: changes(&plan.setting.constants),
                variables: changes(&plan.setting.variables),
                keys: changes(&plan.setting.keys),
            },
            rounds: results.rounds,
            trials: record.trials.len(),
            noise: results.noise.sigma(),
            level: LEVEL,
            baseline: results.baseline,
            keeps: keeps
                .map(|(recheck, finding)| keep(recheck, finding, report::run_gain(state, recheck.experiment)))
                .collect(),
            sum: keep(&plan.sum, &results.sum, report::whole_gain(state)),
        }
    }
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Alone => "alone",
        Form::OnEarlier => "on_earlier",
        Form::Replaced => "replaced",
        Form::LeftOut => "left_out",
    }
}
