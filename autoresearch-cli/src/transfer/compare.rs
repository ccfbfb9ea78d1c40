//! The statistics of a transfer: the gain of each comparison with its interval.
//!
//! All arms are measured once in each round, with the same seed: what falls on all of them alike is no noise. The rest, what is
//! left of each score without the means of its arm and of its round, is pooled over all arms (randomised blocks: Fisher, *The
//! Design of Experiments*, 1935, chapter IV). The intervals of the keeps hold all together, by Bonferroni's inequality (Dunn,
//! *Multiple comparisons among means*, Journal of the American Statistical Association 56, 1961).

use autoresearch_core::internal::mean;
use autoresearch_core::{Direction, Noise, Score};

use super::plan::{Form, Plan, Recheck};
use super::record::Record;

/// The probability that any of the keeps' intervals misses its true gain; and that the interval of their sum does.
pub const LEVEL: f64 = 0.05;

/// The finding of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is better under the setting, too.
    Transferred,
    /// Its interval has both signs.
    NotShown,
    /// It is worse.
    Worse,
    /// A revision of it gave no number.
    NoNumber,
    /// The setting leaves nothing of it.
    Replaced,
    /// It cannot be measured.
    LeftOut,
    /// Fewer than two rounds are measured.
    Open,
}

impl Verdict {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Transferred => "transferred",
            Verdict::NotShown => "not shown",
            Verdict::Worse => "worse",
            Verdict::NoNumber => "no number",
            Verdict::Replaced => "replaced",
            Verdict::LeftOut => "left out",
            Verdict::Open => "open",
        }
    }
}

/// A comparison with its numbers, as far as they are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The scores of its own arm in the whole rounds.
    pub scores: Vec<f64>,
    /// The mean gain; positive is better.
    pub gain: Option<f64>,
    /// The interval of the gain.
    pub interval: Option<(f64, f64)>,
    /// The finding.
    pub verdict: Verdict,
    /// Why its arm gave no number, if it gave none.
    pub failure: Option<String>,
}

/// All findings of a transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Number of the whole rounds.
    pub rounds: usize,
    /// The noise between trials of the same revision, without what falls on a whole round.
    pub noise: Noise,
    /// The baseline's mean score.
    pub baseline: Option<f64>,
    /// The findings on the keeps, in their order.
    pub keeps: Vec<Finding>,
    /// That on all of them together.
    pub sum: Finding,
}

impl Results {
    /// Compares what is measured so far. `known` is the noise of the run itself.
    pub fn new(record: &Record, known: &Noise) -> Results {
        let plan = &record.plan;
        let table = Table::of(record);
        let noise = table.noise();
        // Few values may agree by luck. That there is no noise is believed only where the run has measured a revision twice and
        // saw none either. `strict`, which measures none twice, says nothing of it: it is also the rule of runs with noise that must
        // be as karpathy's.
        let is_exact = noise.sigma() == Some(0.0) && known.sigma() == Some(0.0);
        let compare = |recheck: &Recheck, among: usize| {
            let arms = recheck.arms.unwrap_or_default();
            let failure = [arms.0, arms.1].into_iter().find_map(|arm| record.failure(arm)).map(str::to_owned);
            let finding = |verdict| Finding { scores: Vec::new(), gain: None, interval: None, verdict, failure: None };
            match recheck.form {
                Form::Replaced => finding(Verdict::Replaced),
                Form::LeftOut => finding(Verdict::LeftOut),
                _ if failure.is_some() => Finding { failure, ..finding(Verdict::NoNumber) },
                _ => table.finding(plan, arms, LEVEL / among as f64, (noise, is_exact)),
            }
        };
        let among = plan.keeps.iter().filter(|keep| keep.arms.is_some()).count().max(1);
        Results {
            rounds: table.rounds,
            noise,
            baseline: mean(&table.scores(0)),
            keeps: plan.keeps.iter().map(|keep| compare(keep, among)).collect(),
            sum: compare(&plan.sum, 1),
        }
    }
}

/// The scores of the whole rounds.
struct Table {
    rounds: usize,
    /// The scores of each arm, in the order of the rounds; empty of one that gave no number.
    arms: Vec<Vec<f64>>,
}

impl Table {
    fn of(record: &Record) -> Table {
        let live: Vec<usize> = (0..record.plan.arms.len()).filter(|arm| record.failure(*arm).is_none()).collect();
        let (mut rounds, mut arms) = (0, vec![Vec::new(); record.plan.arms.len()]);
        for round in 1..=record.last_round() {
            let scores: Option<Vec<Score>> = live.iter().map(|arm| record.score(*arm, round)).collect();
            let Some(scores) = scores else { continue };
            rounds += 1;
            for (arm, score) in live.iter().zip(scores) {
                arms[*arm].push(score.get());
            }
        }
        Table { rounds, arms }
    }

    fn scores(&self, arm: usize) -> Vec<f64> {
        self.arms.get(arm).cloned().unwrap_or_default()
    }

    /// The noise within the rounds. Each arm is set against the mean of those before it: these contrasts (Helmert's) hold
    /// everything but the means of the rounds, and are independent of each other.
    fn noise(&self) -> Noise {
        let live: Vec<&Vec<f64>> = self.arms.iter().filter(|scores| !scores.is_empty()).collect();
        let mut noise = Noise::default();
        for (before, arm) in live.iter().enumerate().skip(1) {
            let scale = (before * (before + 1)) as f64;
            let contrast = |round: usize| {
                let own = arm.get(round).copied().unwrap_or_default();
                let others = live.iter().take(before).filter_map(|other| other.get(round));
                others.map(|other| other - own).sum::<f64>() / scale.sqrt()
            };
            noise.pool(&(0..self.rounds).map(contrast).collect::<Vec<_>>());
        }
        noise
    }

    fn finding(
        &self,
        plan: &Plan,
        (from, to): (usize, usize),
        level: f64,
        (noise, is_exact): (Noise, bool),
    ) -> Finding {
        let (before, scores) = (self.scores(from), self.scores(to));
        let sign = if plan.direction == Direction::Maximise { 1.0 } else { -1.0 };
        let gains: Vec<f64> = before.iter().zip(&scores).map(|(before, after)| sign * (after - before)).collect();
        let gain = mean(&gains);
        let interval = gain.filter(|_| gains.len() > 1).map(|gain| {
            // The difference of two scores varies by the square root of two more than one of them.
            let own: Vec<f64> = gains.iter().map(|gain| gain / 2.0_f64.sqrt()).collect();
            let noise = if noise.event(&own) { Noise::default().with(&own) } else { noise };
            let error = noise.error_of_difference(gains.len(), gains.len()).unwrap_or(f64::INFINITY);
            let width = match error > 0.0 {
                true => error * noise.quantile(level / 2.0),
                // All scores of a side are equal, which luck brings with this probability.
                false if !is_exact && equal_by_luck(gains.len()) > level => gain.abs(),
                false => 0.0,
            };
            (gain - width, gain + width)
        });
        let verdict = match interval {
            None => Verdict::Open,
            Some((low, _)) if low > 0.0 => Verdict::Transferred,
            Some((_, high)) if high < 0.0 => Verdict::Worse,
            Some(_) => Verdict::NotShown,
        };
        Finding { scores, gain, interval, verdict, failure: None }
    }
}

/// The probability that luck makes all scores of one arm equal and all of another equal to another value, `rounds` of each: two of all
/// ways to share them out, either value above the other.
pub(super) fn equal_by_luck(rounds: usize) -> f64 {
    2.0 * (0..rounds).map(|at| (at + 1) as f64 / (rounds + at + 1) as f64).product::<f64>()
}

#[cfg(test)]
mod tests;
