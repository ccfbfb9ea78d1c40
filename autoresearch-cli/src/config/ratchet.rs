//! `[ratchet]`: the rule of acceptance.

use std::collections::BTreeMap;

use autoresearch_core::{Constrained, Direction, Ladder, Limit, MinGain, NoiseAware, Paired, Ratchet, Sequential};
use autoresearch_core::{NoiseAwareSettings, RuleError, SequentialSettings};
use autoresearch_core::{Objective, Pareto};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::KeyError;
use super::schema;

/// The section: a rule and its numbers. A number that is missing has the rule's own default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RatchetSection {
    #[serde(default)]
    pub rule: Rule,
    /// The least gain that is kept, in the metric's unit: `strict` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_gain: Option<f64>,
    /// Trials of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<usize>,
    /// Gain that the first trial must show, in standard deviations.
    #[serde(skip_serializing_if = "Option::is_none")]
    screen: Option<f64>,
    /// The fewest fresh trials that confirm a candidate: `noise-aware` only, like the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<usize>,
    /// The most fresh trials that confirm a candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_at_most: Option<usize>,
    /// The probability of keeping a change without effect (`noise-aware`), the expected share of false keeps (`sequential`).
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<f64>,
    /// Changes without effect that may be kept in a run: `noise-aware` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    false_keeps: Option<f64>,
    /// The smallest gain of interest, in standard deviations: `sequential` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tau: Option<f64>,
    /// The most pairs (`sequential`), the fresh pairs that decide alone (`strict`, always for times).
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<usize>,
    /// Fresh trials of a kept candidate that the next candidates are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<usize>,
    /// Gain that each added line must bring, in the metric's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_price: Option<f64>,
    /// Compares only trials made in turns: `noise-aware` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    paired: Option<bool>,
    /// Experiments without a measurement of the incumbent after which it is measured again; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    remeasure_every: Option<u32>,
    /// Secondary metrics that count beside the score, by name: `pareto` only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    objectives: BTreeMap<String, ObjectiveSection>,
    /// Limits on secondary metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, schema::Limit>")]
    limits: BTreeMap<String, Limit>,
}

/// `[ratchet.objectives.NAME]`: a secondary metric that counts beside the score.
#[derive(Debug, Clone, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ObjectiveSection {
    /// The better direction.
    #[schemars(with = "schema::Direction")]
    direction: Direction,
    /// The gain that extends the front, in its unit; 0 by default.
    #[serde(default)]
    min_gain: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// One trial each; whatever is better is kept.
    Strict,
    /// Fresh trials decide, against the noise.
    #[default]
    NoiseAware,
    /// Evidence that may be looked at after every pair.
    Sequential,
    /// The gain must exceed its standard error over the items of a shared evaluation set.
    Ladder,
    /// Several metrics: what the kept ones do not cover is kept.
    Pareto,
}

/// Default of `remeasure_every` under the rules that know the noise.
const REMEASURE_EVERY: u32 = 10;
/// Pairs that decide on a time under `strict`.
const PAIRS: usize = 3;

impl RatchetSection {
    /// Finds keys that do not belong to the rule, and numbers that are out of range.
    pub fn check(&self) -> Result<(), KeyError> {
        use Rule::{NoiseAware, Pareto, Sequential, Strict};
        let belongs = [
            ("min_gain", self.min_gain.is_some(), &[Strict, Pareto][..]),
            ("objectives", !self.objectives.is_empty(), &[Pareto]),
            ("baseline", self.baseline.is_some(), &[NoiseAware, Sequential]),
            ("screen", self.screen.is_some(), &[NoiseAware, Sequential]),
            ("confirm", self.confirm.is_some(), &[NoiseAware]),
            ("confirm_at_most", self.confirm_at_most.is_some(), &[NoiseAware]),
            ("alpha", self.alpha.is_some(), &[NoiseAware, Sequential]),
            ("false_keeps", self.false_keeps.is_some(), &[NoiseAware]),
            ("tau", self.tau.is_some(), &[Sequential]),
            ("pairs", self.pairs.is_some(), &[Strict, Sequential]),
            ("audit", self.audit.is_some(), &[NoiseAware, Sequential]),
            ("line_price", self.line_price.is_some(), &[NoiseAware, Sequential]),
            ("paired", self.paired.is_some(), &[NoiseAware]),
        ];
        for (name, given, rules) in belongs {
            if given && !rules.contains(&self.rule) {
                let rules: Vec<String> = rules.iter().map(|rule| format!("'{}'", rule.name())).collect();
                let (rules, rule) = (rules.join(" or "), self.rule.name());
                let why = format!("belongs to rule = {rules}; the rule is '{rule}'");
                return Err(KeyError::new(format!("ratchet.{name}"), why));
            }
        }
        if self.rule == Pareto && self.objectives.is_empty() {
            let why = "is 'pareto', which weighs the score against secondary metrics; name them, as in [ratchet.objectives] \
                       latency_ms = { direction = 'minimise', min_gain = 0.5 }";
            return Err(KeyError::new("ratchet.rule", why));
        }
        for (name, objective) in &self.objectives {
            if !(0.0..=f64::MAX).contains(&objective.min_gain) {
                let why = format!("is {}; give a number of at least 0", objective.min_gain);
                return Err(KeyError::new(format!("ratchet.objectives.{name}.min_gain"), why));
            }
        }
        let numbers = [
            ("min_gain", self.min_gain, 0.0, f64::MAX),
            ("screen", self.screen, 0.0, 10.0),
            ("alpha", self.alpha, 1e-6, 0.5),
            ("false_keeps", self.false_keeps, 1e-3, 1e3),
            ("tau", self.tau, 1e-3, 100.0),
            ("line_price", self.line_price, 0.0, f64::MAX),
        ];
        for (name, value, least, most) in numbers {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let most = if most == f64::MAX { String::new() } else { format!(" and at most {most}") };
                let why = format!("is {value}; give a number of at least {least}{most}");
                return Err(KeyError::new(format!("ratchet.{name}"), why));
            }
        }
        let counts = [
            ("baseline", self.baseline, 2),
            ("confirm", self.confirm, 1),
            ("confirm_at_most", self.confirm_at_most, self.confirm.unwrap_or(1)),
            ("pairs", self.pairs, if self.rule == Strict { 1 } else { 2 }),
        ];
        for (name, count, least) in counts {
            if let Some(count) = count.filter(|count| !(least..=1000).contains(count)) {
                let why = format!("is {count}; give a number from {least} to 1000");
                return Err(KeyError::new(format!("ratchet.{name}"), why));
            }
        }
        Ok(())
    }

    /// The rule as the lab takes it. For a `time` it compares only trials made in turns.
    pub fn ratchet(&self, time: bool) -> Result<Constrained<Box<dyn Ratchet>>, KeyError> {
        self.rule(time).map_err(|error| {
            KeyError::new(format!("ratchet.{}", error.setting), format!("is {}; give {}", error.value, error.allowed))
        })
    }

    fn rule(&self, time: bool) -> Result<Constrained<Box<dyn Ratchet>>, RuleError> {
        let rule: Box<dyn Ratchet> = match self.rule {
            Rule::Strict => {
                let rule = MinGain::new(self.min_gain.unwrap_or_default())?;
                match self.pairs.or(time.then_some(PAIRS)) {
                    Some(pairs) => Box::new(Paired::new(rule, pairs)?),
                    None => Box::new(rule),
                }
            }
            Rule::NoiseAware => Box::new(self.noise_aware(time)?),
            Rule::Ladder => Box::new(Ladder),
            Rule::Pareto => {
                let objectives = self.objectives.iter();
                let objectives = objectives.map(|(name, of)| Objective::new(name, of.direction).at_least(of.min_gain));
                Box::new(Pareto::new(self.min_gain.unwrap_or_default(), objectives.collect())?)
            }
            Rule::Sequential => {
                let mut settings = SequentialSettings::default();
                set(&mut settings.baseline, self.baseline);
                set(&mut settings.screen, self.screen);
                set(&mut settings.alpha, self.alpha);
                set(&mut settings.tau, self.tau);
                set(&mut settings.pairs, self.pairs);
                set(&mut settings.audit, self.audit);
                set(&mut settings.line_price, self.line_price);
                Box::new(Sequential::new(settings)?)
            }
        };
        Constrained::new(rule, self.limits.clone())
    }

    fn noise_aware(&self, time: bool) -> Result<NoiseAware, RuleError> {
        let mut settings = NoiseAwareSettings::default();
        set(&mut settings.baseline, self.baseline);
        set(&mut settings.screen, self.screen);
        set(&mut settings.confirm, self.confirm);
        settings.confirm_at_most = self.confirm_at_most.unwrap_or(settings.confirm_at_most.max(settings.confirm));
        set(&mut settings.alpha, self.alpha);
        settings.false_keeps = self.false_keeps.or(settings.false_keeps);
        set(&mut settings.audit, self.audit);
        set(&mut settings.line_price, self.line_price);
        settings.paired = self.paired.unwrap_or(settings.paired || time);
        NoiseAware::new(settings)
    }

    /// Experiments without a measurement of the incumbent after which it is measured again; `None` for never.
    pub fn remeasure_every(&self) -> Option<u32> {
        match (self.rule, self.remeasure_every) {
            (_, Some(0)) | (Rule::Strict | Rule::Ladder | Rule::Pareto, None) => None,
            (_, Some(every)) => Some(every),
            (_, None) => Some(REMEASURE_EVERY),
        }
    }
}

/// Replaces a default by the configured value, if there is one.
fn set<T: Copy>(setting: &mut T, configured: Option<T>) {
    *setting = configured.unwrap_or(*setting);
}

impl Rule {
    /// The rule's name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Strict => "strict",
            Rule::NoiseAware => "noise-aware",
            Rule::Sequential => "sequential",
            Rule::Ladder => "ladder",
            Rule::Pareto => "pareto",
        }
    }
}
