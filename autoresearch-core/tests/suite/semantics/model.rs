//! An account of the same script in a few lines, which the state of a search is checked against.

use autoresearch_core::testkit::Fate;
use autoresearch_core::*;

use super::plan::{BASELINE, MIN_GAIN, Plan, Rule};

/// The model's account of screening.
struct Rungs<'a> {
    plan: &'a Plan,
    /// Score that the incumbent prints on a rung, without the jitter.
    incumbent: f64,
    /// By rung: the number of incumbents that ran on it, and whether the present one did.
    ran: Vec<(u32, bool)>,
    failed: u32,
}

impl Rungs<'_> {
    fn replace(&mut self, incumbent: f64) {
        self.incumbent = incumbent;
        self.ran.iter_mut().for_each(|(_, today)| *today = false);
    }

    /// True if a candidate that prints `score` on the rungs is promoted; `extra` is allowed for an excursion.
    fn promotes(&mut self, screening: &Screening, score: f64, extra: f64) -> bool {
        // Two trials of each incumbent on each rung, the second one with jitter.
        let mean = self.incumbent + self.plan.jitter / 2.0;
        let behind = if self.plan.direction == Direction::Minimise { score - mean } else { mean - score };
        for (count, today) in &mut self.ran {
            *count += u32::from(!std::mem::replace(today, true));
            let noise = (0..*count).fold(Noise::default(), |noise, _| noise.with(&[0.0, self.plan.jitter]));
            // The probabilities beyond one and two standard deviations.
            let [near, far] = [0.158_655_253_931_457_05, 0.022_750_131_948_179_21].map(|beyond| {
                let error = noise.sigma().unwrap() * 1.5f64.sqrt();
                screening.allowance + extra + if error > 0.0 { error * noise.quantile(beyond) } else { 0.0 }
            });
            if behind <= near {
                return true;
            }
            if behind > far {
                break;
            }
        }
        self.failed += 1;
        screening.control > 0 && self.failed.is_multiple_of(screening.control)
    }
}

/// Checks the state against the model, a straightforward account of the script.
pub(super) fn check(plan: &Plan, state: &State) {
    let mut experiments = state.experiments.iter();
    let Some(baseline) = experiments.next() else { return };
    assert_eq!((baseline.id, baseline.status), (ExperimentId::BASELINE, Status::Keep));
    let mut best = BASELINE;
    let (mut kept, mut rejected) = (baseline, 0);
    let mut twins = Vec::new();
    let mut done = 1;
    let ran = plan.screening.iter().flat_map(|screening| &screening.rungs).map(|_| (0, false)).collect();
    let mut rungs = Rungs { plan, incumbent: BASELINE, ran, failed: 0 };
    // The side line's end, the lines that it adds and the experiments on it; and the excursions before it.
    let (mut side, mut excursions): (Option<(&Experiment, i64, usize)>, usize) = (None, 0);
    let mut since = 0;
    let mut vanished = false;
    for step in &*plan.script {
        if step.refused || step.twin.is_some_and(|twin| twins.contains(&twin)) {
            rejected += 1;
            continue;
        }
        let Some(experiment) = experiments.next() else { break };
        let parent = side.map_or(kept.revision(), |(end, ..)| &end.candidate.revision);
        assert_eq!((experiment.id, experiment.parent.as_ref()), (ExperimentId(done), Some(parent)));
        done += 1;
        twins.extend(step.twin);
        // An interruption may show in one way: trials were lost too often.
        let lost = experiment.reason.contains("died");
        vanished |= lost;
        let full = match step.fate {
            Fate::Score(score) | Fate::Trouble(score) => Some(score),
            _ => None,
        };
        let on_excursion = |rule: &ExcursionRule| side.is_some() || since >= rule.after;
        let excursion = plan.excursion.filter(on_excursion);
        let promoted = match (&plan.screening, step.short.or(full)) {
            // Its trials on rungs are not known then.
            (Some(_), _) if vanished => experiment.score().is_some(),
            (Some(screening), Some(score)) => {
                rungs.promotes(screening, score, excursion.map_or(0.0, |rule| rule.tolerance))
            }
            _ => true,
        };
        let score = full.filter(|_| !lost);
        if !lost {
            let full = score.filter(|_| promoted);
            assert_eq!(experiment.score().map(Score::get), full, "short runs are no measurements");
        }
        let lines = step.added_lines + side.map_or(0, |(_, lines, _)| lines);
        let gain = score.map(|score| if plan.direction == Direction::Minimise { best - score } else { score - best });
        let expected = match gain {
            _ if !promoted && vanished => experiment.status,
            _ if !promoted => Status::Discard,
            None => Status::Crash,
            Some(gain) if matches!(plan.rule, Rule::MinGain) && gain > MIN_GAIN => Status::Keep,
            Some(gain) if !matches!(plan.rule, Rule::MinGain) && gain > 0.0 => Status::Keep,
            Some(gain) if gain >= 0.0 && lines < 0 => Status::Keep,
            Some(_) => Status::Discard,
        };
        assert_eq!(experiment.status, expected, "{step:?} against {best} by {:?}: {}", plan.rule, experiment.reason);
        let near = |rule: &ExcursionRule| promoted && gain.is_some_and(|gain| gain >= -rule.tolerance);
        let sacrifice = expected == Status::Discard && excursion.as_ref().is_some_and(near);
        since += 1;
        side = match side {
            _ if expected == Status::Keep => {
                (best, kept) = (score.unwrap(), experiment);
                rungs.replace(step.short.unwrap_or(best));
                excursions += usize::from(side.is_some());
                since = 0;
                None
            }
            Some((_, _, tried)) if plan.excursion.is_some_and(|rule| tried + 1 >= rule.steps) => {
                excursions += 1;
                since = 0;
                None
            }
            Some((_, _, tried)) if sacrifice => Some((experiment, lines, tried + 1)),
            Some((end, lines, tried)) => Some((end, lines, tried + 1)),
            None => sacrifice.then_some((experiment, lines, 0)),
        };
    }
    assert_eq!(state.side_line.as_ref().map(|line| &line.tip), side.map(|(end, ..)| &end.candidate.revision));
    assert_eq!(state.excursions.len(), excursions);
    assert!(experiments.next().is_none(), "no experiment without a proposal");
    assert!(state.rejections.len() <= rejected, "only proposals that cannot be run are rejected");
    let incumbent = state.incumbent.as_ref().unwrap();
    assert_eq!((&incumbent.revision, incumbent.experiment), (kept.revision(), kept.id));
    assert_eq!(incumbent.arm.mean().unwrap().get(), best);
}
