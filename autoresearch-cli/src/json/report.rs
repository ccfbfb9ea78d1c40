//! The answer of `report` as JSON.

use autoresearch_core::internal::results::deviations;
use autoresearch_core::{Score, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::experiment::{ExperimentAnswer, header};
use super::status::Totals;
use super::transfer::TransferResult;
use super::version::VERSION;
use crate::report;
use crate::transfer::Record;

/// The answer of `report`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// Standard deviation of single trials of the same code, if it is known.
    pub noise: Option<f64>,
    /// The baseline's score.
    pub baseline: Option<f64>,
    /// The incumbent's score.
    pub best: Option<f64>,
    /// The experiment that made the incumbent.
    pub best_experiment: Option<u32>,
    /// Counts and costs.
    pub totals: Totals,
    /// Experiments that strict improvement would have decided otherwise.
    pub deviations: Vec<u32>,
    /// All decided experiments, in the order of the decisions.
    pub experiments: Vec<ExperimentAnswer>,
    /// The transfers of the run to other settings, the first one at the beginning.
    pub transfers: Vec<TransferResult>,
}

impl ReportAnswer {
    /// The answer for a run with these records of transfers.
    pub fn new(tag: &str, state: &State, transfers: &[Record]) -> ReportAnswer {
        let (metric, direction) = header(state);
        let incumbent = state.incumbent.as_ref();
        let (baseline, best) = report::scores(state);
        ReportAnswer {
            version: VERSION,
            tag: tag.into(),
            metric,
            direction,
            noise: state.noise.sigma(),
            baseline: baseline.map(Score::get),
            best: best.map(Score::get),
            best_experiment: incumbent.map(|incumbent| incumbent.experiment.0),
            totals: Totals::of(state),
            deviations: deviations(state).iter().map(|deviation| deviation.experiment.id.0).collect(),
            experiments: state.experiments.iter().map(|made| ExperimentAnswer::decided(state, made)).collect(),
            transfers: transfers.iter().map(|record| TransferResult::new(state, record)).collect(),
        }
    }
}
