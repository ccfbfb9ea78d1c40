//! `[ratchet]`: the rule of acceptance.

use std::collections::BTreeMap;

use autoresearch_core::ratchet::{NoiseAwareSettings, RuleError, SequentialSettings};
use autoresearch_core::{Constrained, Ladder, Limit, MinGain, NoiseAware, Paired, Ratchet, Sequential};
use serde::Deserialize;

/// Which rule, and its numbers. A number that is missing has the rule's own default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatchetConfig {
    #[serde(default)]
    pub rule: Rule,
    /// The least gain that is kept, in the metric's unit: `strict` only.
    min_gain: Option<f64>,
    /// How often the baseline is measured.
    baseline: Option<usize>,
    /// How much better the first run must look, in standard deviations.
    screen: Option<f64>,
    /// The fewest fresh runs that confirm a candidate, and the most: `noise-aware` only.
    confirm: Option<usize>,
    confirm_at_most: Option<usize>,
    /// The probability of keeping a change without effect (`noise-aware`), the expected share of false keeps (`sequential`).
    alpha: Option<f64>,
    /// How many changes without effect may be kept in a night: `noise-aware` only.
    false_keeps: Option<f64>,
    /// The smallest gain of interest, in standard deviations: `sequential` only.
    tau: Option<f64>,
    /// The most pairs (`sequential`), the fresh pairs that decide alone (`strict`, always for times).
    pairs: Option<usize>,
    /// How many fresh runs of a kept candidate the next ones are compared with.
    audit: Option<usize>,
    /// What each added line must bring, in the metric's unit.
    line_price: Option<f64>,
    /// Compare only runs made in turns: `noise-aware` only.
    paired: Option<bool>,
    /// The incumbent is measured again after so many experiments without a measurement of it; 0: never.
    remeasure_every: Option<u32>,
    /// Limits on secondary metrics, by name.
    #[serde(default)]
    limits: BTreeMap<String, Limit>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// One run each; whatever is better is kept.
    Strict,
    /// Fresh runs decide, against the noise.
    #[default]
    NoiseAware,
    /// Evidence that may be looked at after every pair.
    Sequential,
    /// The gain must exceed its standard error over the items of a shared evaluation set.
    Ladder,
}

/// Under the rules that know the noise, the machine is looked at after so many experiments.
const REMEASURE_EVERY: u32 = 10;
/// So many pairs decide on a time under `strict`.
const PAIRS: usize = 3;

impl RatchetConfig {
    /// What is wrong with it, in a sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        use Rule::{NoiseAware, Sequential, Strict};
        let belongs = [
            ("min_gain", self.min_gain.is_some(), &[Strict][..]),
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
                return Err(format!("[ratchet] {name} belongs to rule = {rules}; the rule is '{rule}'"));
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
                return Err(format!("[ratchet] {name} is {value}; give a number of at least {least}{most}"));
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
                return Err(format!("[ratchet] {name} is {count}; give a number from {least} to 1000"));
            }
        }
        self.ratchet(false).map(drop)
    }

    /// The rule. For a `time` it compares only trials made in turns.
    pub fn ratchet(&self, time: bool) -> Result<Constrained<Box<dyn Ratchet>>, String> {
        self.rule(time).map_err(|error| format!("[ratchet] {error}"))
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

    /// After how many experiments without a measurement of it the incumbent is measured again.
    pub fn remeasure_every(&self) -> Option<u32> {
        match (self.rule, self.remeasure_every) {
            (_, Some(0)) | (Rule::Strict | Rule::Ladder, None) => None,
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
    fn name(self) -> &'static str {
        match self {
            Rule::Strict => "strict",
            Rule::NoiseAware => "noise-aware",
            Rule::Sequential => "sequential",
            Rule::Ladder => "ladder",
        }
    }
}
