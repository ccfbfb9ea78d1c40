//! `[stop]`: when a run ends, and what its proposals may cost.

use std::time::Duration;

use autoresearch_agents::model::{Caps, DEFAULT_RUN_CALLS, DEFAULT_RUN_DOLLARS};
use autoresearch_core::{Score, Stop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{schema, values};

/// The section; the first condition that holds ends the run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopSection {
    /// Experiments beside the baseline.
    #[serde(default, deserialize_with = "values::count_or_zero")]
    #[schemars(with = "Option<usize>")]
    pub experiments: Option<usize>,
    /// Time since this call of the command began.
    #[serde(default, deserialize_with = "values::hours")]
    #[schemars(with = "Option<schema::Positive>")]
    pub hours: Option<Duration>,
    /// The score that is good enough.
    #[serde(default, deserialize_with = "values::finite")]
    #[schemars(with = "Option<f64>")]
    pub target: Option<f64>,
    /// Experiments and rejected proposals in a row without a keep.
    #[serde(default, deserialize_with = "values::count")]
    #[schemars(with = "Option<std::num::NonZeroUsize>")]
    pub plateau: Option<usize>,
    /// US dollars that all proposals together may cost. Infinity is no limit.
    #[serde(default, deserialize_with = "values::dollars")]
    #[schemars(with = "Option<schema::Positive>")]
    pub dollars: Option<f64>,
    /// Tokens that all proposals together may take.
    pub tokens: Option<u64>,
    /// Calls of models that all proposals together may make.
    pub calls: Option<u64>,
}

/// The conditions that tell how much of a run is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StopLimits {
    /// Experiments beside the baseline.
    pub experiments: Option<usize>,
    /// Seconds since the call of the command began.
    pub seconds: Option<f64>,
    /// US dollars for proposals.
    pub dollars: Option<f64>,
    /// Tokens for proposals.
    pub tokens: Option<u64>,
    /// Calls of models.
    pub calls: Option<u64>,
}

/// A cap on what proposals may cost that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultCap {
    Dollars(f64),
    Calls(u64),
    /// The cost of proposals is not known to the run, and no cap on it can be kept.
    Unknown,
}

impl StopSection {
    /// Adds the default cap to a run that pays for its proposals and sets none of that kind, and returns it. `priced` says that
    /// all prices are known: without them a cap in dollars counts nothing, and calls are counted instead.
    pub fn cap_by_default(&mut self, priced: bool) -> Option<DefaultCap> {
        match (priced, self.dollars, self.calls) {
            (true, None, _) => {
                self.dollars = Some(DEFAULT_RUN_DOLLARS);
                Some(DefaultCap::Dollars(DEFAULT_RUN_DOLLARS))
            }
            (false, _, None) => {
                self.calls = Some(DEFAULT_RUN_CALLS);
                Some(DefaultCap::Calls(DEFAULT_RUN_CALLS))
            }
            _ => None,
        }
    }

    /// Returns whether the number of experiments or the time is limited.
    pub fn ends(&self) -> bool {
        self.experiments.is_some() || self.hours.is_some()
    }

    fn finite_dollars(&self) -> Option<f64> {
        self.dollars.filter(|dollars| dollars.is_finite())
    }

    /// The conditions as the lab takes them.
    pub fn stop(&self) -> Stop {
        let mut stop = Stop::default();
        stop.experiments = self.experiments;
        stop.wall = self.hours;
        stop.target = self.target.and_then(Score::new);
        stop.plateau = self.plateau;
        stop.dollars = self.finite_dollars();
        stop.tokens = self.tokens;
        stop.calls = self.calls;
        stop
    }

    /// The conditions as `status` shows them.
    pub fn limits(&self) -> StopLimits {
        StopLimits {
            experiments: self.experiments,
            seconds: self.hours.map(|time| time.as_secs_f64()),
            dollars: self.finite_dollars(),
            tokens: self.tokens,
            calls: self.calls,
        }
    }

    /// The caps on the cost of all proposals, as proposers take them: without one in dollars they keep their own default.
    pub fn caps(&self) -> Caps {
        Caps { dollars: self.dollars, tokens: self.tokens, calls: self.calls }
    }
}

impl std::fmt::Display for DefaultCap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DefaultCap::Dollars(dollars) => write!(
                f,
                "the proposals of this run may cost ${dollars:.2} altogether, which is the default; [stop] dollars = N sets \
                 another cap, dollars = inf none"
            ),
            DefaultCap::Unknown => f.write_str(
                "the agent does not tell what its calls cost, so that no cap on it can be kept; [stop] experiments = N or hours = N \
                 ends the run",
            ),
            DefaultCap::Calls(calls) => write!(
                f,
                "this run may call models {calls} times, which is the default where a price is not known; [stop] calls = N sets \
                 another cap"
            ),
        }
    }
}
