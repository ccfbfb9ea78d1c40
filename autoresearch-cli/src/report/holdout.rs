//! The section of the report on the sealed holdout.

use std::fmt::Write as _;

use autoresearch_core::internal::state::HoldoutUse;
use autoresearch_core::{Direction, Experiment, Score, State};

use crate::text::{clean_line, local_time, significant};

/// Formats the section; empty as long as the holdout is sealed.
pub fn section(state: &State) -> String {
    let (Some(header), Some(last)) = (&state.header, state.holdout.last()) else { return String::new() };
    let when = |opening: &HoldoutUse| local_time(opening.at, "%Y-%m-%d %H:%M");
    let mut text = match state.holdout.len() {
        1 => format!("The holdout was opened once, {}, after experiment {}.\n", when(last), last.experiment),
        times => format!(
            "The holdout has been opened {times} times, first {}, now {}, after experiment {}. Only its first number was of \
             data that nobody had seen.\n",
            state.holdout.first().map(when).unwrap_or_default(),
            when(last),
            last.experiment
        ),
    };
    let later = state.finished() as u32 - last.experiment.min(state.finished() as u32);
    if later > 0 {
        let _ = writeln!(text, "{later} experiments were made since: for them it was not sealed.");
    }
    let own = [state.experiments.first(), state.experiment(last.best)];
    let [own_baseline, own_best] =
        own.map(|experiment| experiment.and_then(Experiment::score).ok_or_else(|| "no number".to_owned()));
    let _ = writeln!(text, "- the run's own {}: {}", header.metric, change(header.direction, &own_baseline, &own_best));
    let (baseline, best) = match &last.result {
        Some((baseline, best)) => (baseline.clone(), best.clone()),
        None => (Err("the measurement did not end; open it again".into()), Err("none".into())),
    };
    let _ = writeln!(text, "- {} on the holdout: {}", header.metric, change(header.direction, &baseline, &best));
    text
}

/// `0.510000 -> 0.490000 (better by 0.020000)`, or why there is no number.
fn change(direction: Direction, baseline: &Result<Score, String>, best: &Result<Score, String>) -> String {
    let shown = |score: &Result<Score, String>| match score {
        Ok(score) => significant(score.get()),
        Err(why) => format!("no number ({})", clean_line(why)),
    };
    let gain = match (baseline, best) {
        (Ok(baseline), Ok(best)) => match direction.gain(*baseline, *best) {
            gain if gain > 0.0 => format!(" (better by {})", significant(gain)),
            gain if gain < 0.0 => format!(" (worse by {})", significant(-gain)),
            _ => " (the same)".into(),
        },
        _ => String::new(),
    };
    format!("{} -> {}{gain}", shown(baseline), shown(best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoresearch_core::ExperimentId;

    #[test]
    fn both_numbers_stand_side_by_side_with_the_openings() {
        let mut state = crate::report::fixtures::example();
        assert_eq!(section(&state), "");
        let score = |value| Ok(Score::new(value).unwrap());
        let opening = |at: &str, result| HoldoutUse {
            at: at.to_owned().try_into().unwrap(),
            experiment: 3,
            best: ExperimentId(1),
            result,
        };
        state.holdout.push(opening("2026-01-02T03:04:05Z", Some((score(1.6), score(1.55)))));
        let text = section(&state);
        assert!(
            text.starts_with("The holdout was opened once, 2026-01-0") && text.contains("after experiment 3"),
            "{text}"
        );
        assert!(text.contains("the run's own val_bpb: 1.500000 -> 1.400000 (better by 0.100000)"), "{text}");
        assert!(text.contains("val_bpb on the holdout: 1.600000 -> 1.550000 (better by 0.050000)"), "{text}");
        assert!(!text.contains("made since"), "{text}");
        state.holdout.push(opening("2026-01-03T03:04:05Z", Some((score(1.6), Err("ended with exit code 1".into())))));
        state.holdout[1].experiment = 1;
        let text = section(&state);
        assert!(text.contains("opened 2 times") && text.contains("2 experiments were made since"), "{text}");
        assert!(text.contains("1.600000 -> no number (ended with exit code 1)"), "{text}");
        state.holdout.push(opening("2026-01-03T03:04:05Z", None));
        assert!(section(&state).contains("did not end; open it again"));
    }
}
