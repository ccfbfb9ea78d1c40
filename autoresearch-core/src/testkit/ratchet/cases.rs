//! Random evidence for the properties of a rule.

use proptest::prelude::*;

use crate::metric::{Direction, Measurement, Score};
use crate::ratchet::{Arm, Evidence, Side};

/// Random evidence. A goodness stands for each score, from 0 (worst) to 1 (best).
#[derive(Debug, Clone)]
pub(super) struct Case {
    incumbent: Vec<f64>,
    candidate: Vec<f64>,
    interleaved: usize,
    /// Of further trials of the incumbent and of the candidate, from the end.
    more: [Vec<f64>; 2],
    direction: Direction,
    pub(super) added_lines: i64,
    tested: usize,
    kept: usize,
    remaining: Option<f64>,
    mirrored: bool,
    /// In cases that are made to be worse or better: whether no two trials of one code differ.
    exact: bool,
}

/// The scores that goodness stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// From the worst to the best of a range.
    Range(f64, f64),
    /// The greatest and the smallest finite numbers.
    Extreme,
    /// Whole numbers from 0 to 12, moved and multiplied: their sums are exact.
    Whole { by: f64, unit: f64 },
}

/// In ascending order.
const EXTREMES: [f64; 8] = [f64::MIN, -1e300, -f64::MIN_POSITIVE, -5e-324, 5e-324, f64::MIN_POSITIVE, 1e300, f64::MAX];

/// The spread of trials of one code in cases that are made, as shares of it: irregular, or it would be of few values.
const SPREAD: [f64; 7] = [0.13, 0.71, 0.02, 0.97, 0.44, 0.58, 0.29];

/// Few different scores, so that ties are common, or many.
fn goodness() -> impl Strategy<Value = f64> {
    prop_oneof![(0..=12u8).prop_map(|step| f64::from(step) / 12.0), 0.0..=1.0f64]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let scores = |least: usize, most: usize| prop::collection::vec(goodness(), least..=most);
    let direction = prop_oneof![Just(Direction::Minimise), Just(Direction::Maximise)];
    let history = (0..60usize, 0..8usize, prop::option::of(0.0..400.0f64));
    let arms = (scores(1, 7), scores(1, 8), 0..7usize);
    (arms, scores(1, 12), scores(1, 12), direction, -3..=3i64, history, any::<bool>()).prop_map(
        |((incumbent, candidate, interleaved), more, others, direction, added_lines, history, exact)| Case {
            interleaved: interleaved.min(incumbent.len() - 1),
            incumbent,
            candidate,
            more: [more, others],
            direction,
            added_lines,
            tested: history.0,
            kept: history.1.min(history.0),
            remaining: history.2,
            mirrored: false,
            exact,
        },
    )
}

impl Case {
    pub(super) fn evidence(&self, scale: Scale, measured: fn(Score) -> Measurement) -> Evidence {
        let mirrors = if self.mirrored { -1.0 } else { 1.0 };
        let scores = |goodness: &[f64]| -> Vec<f64> {
            goodness.iter().map(|goodness| mirrors * scale.score(*goodness, self.direction)).collect()
        };
        let arm = |scores: &[f64]| {
            let measured = scores.iter().filter_map(|score| Score::new(*score)).map(measured);
            Arm { measurements: measured.collect() }
        };
        let (incumbent, candidate) = (scores(&self.incumbent), scores(&self.candidate));
        let direction = match (self.direction, self.mirrored) {
            (direction, false) => direction,
            (Direction::Minimise, true) => Direction::Maximise,
            (Direction::Maximise, true) => Direction::Minimise,
        };
        let mut evidence = Evidence::new(arm(&incumbent), arm(&candidate), direction, self.added_lines);
        evidence.interleaved = self.interleaved.min(incumbent.len());
        evidence.noise.pool(&incumbent[..incumbent.len() - evidence.interleaved]);
        (evidence.tested, evidence.kept, evidence.remaining) = (self.tested, self.kept, self.remaining);
        evidence
    }

    /// The number of the candidate's measurements.
    pub(super) fn measured(&self) -> usize {
        self.candidate.len()
    }

    /// Adds a further trial of one side. When those at hand are used up the case's last one is repeated.
    pub(super) fn draw(&mut self, side: Side) {
        let (arm, more) = match side {
            Side::Incumbent => (&mut self.incumbent, &mut self.more[0]),
            Side::Candidate => (&mut self.candidate, &mut self.more[1]),
        };
        let next = if more.len() > 1 { more.pop() } else { more.last().copied() };
        arm.push(next.unwrap_or_default());
        self.interleaved += usize::from(side == Side::Incumbent);
    }

    /// The same with other trials: `incumbent` and `candidate` turn their position and goodness into another goodness.
    fn with(&self, incumbent: impl Fn(usize, f64) -> f64, candidate: impl Fn(usize, f64) -> f64) -> Case {
        let all = |goodness: &[f64], turn: &dyn Fn(usize, f64) -> f64, from: usize| {
            goodness.iter().enumerate().map(|(at, goodness)| turn(from + at, *goodness)).collect::<Vec<_>>()
        };
        let [more, others] = &self.more;
        Case {
            incumbent: all(&self.incumbent, &incumbent, 0),
            candidate: all(&self.candidate, &candidate, 0),
            more: [all(more, &incumbent, self.incumbent.len()), all(others, &candidate, self.candidate.len())],
            ..self.clone()
        }
    }

    /// The spread of one code's trials, a hundredth of the range at most.
    fn spread(&self) -> impl Fn(usize) -> f64 + use<> {
        let wide = if self.exact { 0.0 } else { 0.01 };
        move |at| wide * SPREAD.get(at % SPREAD.len()).copied().unwrap_or_default()
    }

    pub(super) fn unmeasured(&self) -> Case {
        Case { candidate: vec![], ..self.clone() }
    }

    /// The candidate as the baseline.
    pub(super) fn baseline(&self) -> Case {
        Case { incumbent: vec![], interleaved: 0, ..self.clone() }
    }

    pub(super) fn mirrored(&self) -> Case {
        Case { mirrored: true, ..self.clone() }
    }

    /// Every trial of the candidate is worse than all of the incumbent's.
    pub(super) fn worse(&self) -> Case {
        self.with(|_, goodness| 0.55 + 0.45 * goodness, |_, goodness| 0.45 * goodness)
    }

    /// Every trial gives the same.
    pub(super) fn equal(&self) -> Case {
        self.with(|_, _| 0.5, |_, _| 0.5)
    }

    /// Every trial of the candidate is better than all of the incumbent's by the whole range, but for their little spread.
    pub(super) fn better(&self) -> Case {
        let spread = self.spread();
        let mut case = self.with(|at, _| spread(at), |at, _| 1.0 - spread(at));
        // Enough earlier trials to know the noise from, and enough further ones that none repeats.
        case.incumbent = (0..7 + case.interleaved).map(&spread).collect();
        case.more = [(0..60).map(&spread).collect(), (0..60).map(|at| 1.0 - spread(at)).collect()];
        case
    }

    /// One trial of the candidate, of at least two, is a little better than the incumbent's, and all others are far worse.
    pub(super) fn lucky_once(&self) -> Case {
        let (spread, lucky) = (self.spread(), self.tested % (self.candidate.len() + 1).max(2));
        let mut case = self.with(|at, _| 0.5 + spread(at), |at, _| if at == lucky { 0.52 } else { spread(at) });
        // The next trial of the candidate belongs to what is judged.
        case.candidate.push(if case.candidate.len() == lucky { 0.52 } else { 0.0 });
        case.more[1] = (0..12).map(spread).collect();
        case
    }
}

impl Scale {
    fn score(self, goodness: f64, direction: Direction) -> f64 {
        let share = if direction == Direction::Maximise { goodness } else { 1.0 - goodness };
        match self {
            Scale::Range(low, high) => low + (high - low) * share,
            Scale::Extreme => {
                let at = (share * (EXTREMES.len() - 1) as f64).round() as usize;
                EXTREMES.get(at).copied().unwrap_or_default()
            }
            Scale::Whole { by, unit } => ((12.0 * share).round() + by) * unit,
        }
    }
}
