use autoresearch_core::Side;
use autoresearch_core::internal::Design;
use autoresearch_core::internal::journal::{
    Decision, Entry, Record, RunHeader, StagedExperiment, TrialResult, TrialStart,
};
use autoresearch_core::{
    Candidate, Direction, ExperimentId, Journal, Measurement, Outcome, Patch, Revision, RunLog, Score,
};
use proptest::prelude::*;

use super::*;
use crate::design::Factorial;

/// A journal in which points of a design are measured one after the other.
struct RunRecords {
    records: Vec<Record>,
    experiments: u32,
    /// The factors' values at the baseline.
    start: Vec<(&'static str, &'static str)>,
}

fn revision(experiment: u32) -> Revision {
    Revision(format!("r{experiment}"))
}

impl RunRecords {
    fn new(start: &[(&'static str, &'static str)], score: f64) -> RunRecords {
        let started = Record::Started(RunHeader::new("t", "score", Direction::Minimise));
        let mut run = RunRecords { records: vec![started], experiments: 0, start: start.to_vec() };
        run.intent(None, None, serde_json::Value::Null);
        run.measured(0, &[score]);
        run.decided(0, Status::Keep);
        run
    }

    fn intent(&mut self, parent: Option<u32>, design: Option<Design>, change: serde_json::Value) -> u32 {
        let experiment = self.experiments;
        self.experiments += 1;
        self.records.push(Record::Staged({
            let mut staged = StagedExperiment::new(
                ExperimentId(experiment),
                parent.map(revision),
                Candidate::new(revision(experiment).0),
            );
            staged.change = change;
            staged.design = design.map(Box::new);
            staged
        }));
        experiment
    }

    /// A point that is made from `parent`, whose factors have the values `from`.
    fn point(&mut self, parent: u32, from: &[(&str, &str)], levels: &BTreeMap<String, String>) -> u32 {
        let mut patch = Patch { edits: Vec::new() };
        for (name, old) in from.iter().filter(|(name, old)| levels[*name] != *old) {
            let line = |value: &str| format!("const {name}: f64 = {value};");
            patch.edits.extend(Patch::replace("a.rs", line(old), line(&levels[*name])).edits);
        }
        let design = Design { name: "d".into(), levels: levels.clone() };
        self.intent(Some(parent), Some(design), serde_json::to_value(patch).unwrap())
    }

    fn measured(&mut self, experiment: u32, scores: &[f64]) {
        let begun = |record: &&Record| matches!(record, Record::TrialStarted(TrialStart { experiment: e, .. }) if *e == ExperimentId(experiment));
        let before = self.records.iter().filter(begun).count() as u32;
        for (attempt, score) in (before + 1..).zip(scores) {
            let (side, seed, fidelity, class) = (Side::Candidate, 0, 1.0, String::new());
            self.records.push(Record::TrialStarted({
                let mut start = TrialStart::new(ExperimentId(experiment), attempt, side);
                start.seed = seed;
                start.fidelity = fidelity;
                start.class = class;
                start
            }));
            let result = Ok(Measurement::new(Score::new(*score).unwrap()));
            let outcome = Outcome::Completed(RunLog::default());
            self.records.push(Record::TrialMeasured({
                let mut ended = TrialResult::new(ExperimentId(experiment), attempt, side, outcome, result);
                ended.fidelity = fidelity;
                ended
            }));
        }
    }

    fn decided(&mut self, experiment: u32, status: Status) {
        let to = (status == Status::Keep).then(|| revision(experiment));
        let (reason, kept) = (String::new(), to.is_some());
        let (reference, alpha, excursion) = (None, None, None);
        self.records.push(Record::Decided({
            let mut decision = Decision::new(ExperimentId(experiment), status);
            decision.reason = reason;
            decision.kept_as = to;
            decision.reference = reference;
            decision.alpha = alpha;
            decision.excursion = excursion;
            decision
        }));
        if kept {
            self.records.push(Record::Adopted { experiment: ExperimentId(experiment) });
        }
    }

    /// All other points of a design over the baseline, with these scores; `None` crashes.
    fn all(&mut self, design: &Factorial, score: impl Fn(&BTreeMap<String, String>) -> Option<f64>) {
        let start = self.start.clone();
        for levels in design.points() {
            if start.iter().all(|(name, value)| levels[*name] == *value) {
                continue;
            }
            let point = self.point(0, &start, &levels);
            match score(&levels) {
                Some(score) => {
                    self.measured(point, &[score]);
                    self.decided(point, Status::Discard);
                }
                None => self.decided(point, Status::Crash),
            }
        }
    }

    fn analysis(self) -> Analysis {
        let mut journal = Journal::in_memory();
        let entries: Vec<Entry> = self.records.into_iter().map(|record| journal.append(record).unwrap()).collect();
        let mut all = analyses(&State::replay(&entries).unwrap());
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn design(names: &[&str], fraction: &[&str]) -> Factorial {
    let factors = names.iter().map(|name| ((*name).to_owned(), vec!["1".to_owned(), "2".to_owned()]));
    Factorial::new("d", factors, &fraction.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The sign of a factor at a point.
fn sign(levels: &BTreeMap<String, String>, name: &str) -> f64 {
    if levels[name] == "1" { -1.0 } else { 1.0 }
}

fn effect<'a>(analysis: &'a Analysis, of: &[&str]) -> &'a Effect {
    let is = |effect: &&Effect| effect.of.iter().map(|step| step.factor.as_str()).eq(of.iter().copied());
    analysis.effects.iter().find(is).unwrap()
}

const START: [(&str, &str); 3] = [("C", "1"), ("K", "1"), ("T", "1")];

/// The pilot plant of the textbook (temperature, concentration, catalyst; yield), whose effects it works out by hand: T 23,
/// C −5, K 1.5, T × C 1.5, T × K 10, C × K 0, and the three together 0.5, which the model does not have.
#[test]
fn the_effects_of_the_textbook_s_pilot_plant() {
    let yields = |levels: &BTreeMap<String, String>| match (&*levels["T"], &*levels["C"], &*levels["K"]) {
        ("1", "1", "1") => 60.0,
        ("2", "1", "1") => 72.0,
        ("1", "2", "1") => 54.0,
        ("2", "2", "1") => 68.0,
        ("1", "1", "2") => 52.0,
        ("2", "1", "2") => 83.0,
        ("1", "2", "2") => 45.0,
        _ => 80.0,
    };
    let mut run = RunRecords::new(&START, 60.0);
    run.all(&design(&["C", "K", "T"], &[]), |levels| Some(yields(levels)));
    let analysis = run.analysis();
    assert_eq!((analysis.measured, analysis.crashed, analysis.without, analysis.blocks), (8, 0, 0, 1));
    for (of, expected) in [
        (vec!["T"], 23.0),
        (vec!["C"], -5.0),
        (vec!["K"], 1.5),
        (vec!["C", "T"], 1.5),
        (vec!["K", "T"], 10.0),
        (vec!["C", "K"], 0.0),
    ] {
        let found = effect(&analysis, &of);
        assert!((found.estimate - expected).abs() < 1e-9, "{found:?}");
        // One degree of freedom is left: the effect of all three, whose sum of squares is 8 · (0.5 / 2)² = 0.5. An effect is a
        // difference between means of four: its error is √(0.5 · 2 / 4).
        assert!((found.error.unwrap() - 0.5).abs() < 1e-9 && found.aliases.is_empty(), "{found:?}");
    }
    assert!(analysis.by_residual && analysis.unknown.is_empty());
}

#[test]
fn a_fraction_says_what_it_cannot_tell_apart() {
    let half = design(&["A", "B", "C", "D"], &["D = A * B * C"]);
    let mut run = RunRecords::new(&[("A", "1"), ("B", "1"), ("C", "1"), ("D", "1")], 0.0);
    run.all(&half, |levels| Some(1.0 + sign(levels, "A") + 0.25 * sign(levels, "C") * sign(levels, "D")));
    let mut records = std::mem::take(&mut run.records);
    // The baseline belongs to the half and has its score.
    for record in &mut records {
        if let Record::TrialMeasured(TrialResult { experiment: ExperimentId(0), result, .. }) = record {
            *result = Ok(Measurement::new(Score::new(0.25).unwrap()));
        }
    }
    let analysis = RunRecords { records, ..run }.analysis();
    assert!((effect(&analysis, &["A"]).estimate - 2.0).abs() < 1e-9);
    let pair = effect(&analysis, &["A", "B"]);
    assert!((pair.estimate - 0.5).abs() < 1e-9, "{pair:?}");
    let [alias] = &pair.aliases[..] else { panic!("{pair:?}") };
    assert!(alias.of == ["C", "D"] && (alias.part - 1.0).abs() < 1e-9);
    assert_eq!(half.aliases(&["A", "B"]), ["C × D"], "as the plan says");
    assert!(analysis.effects.iter().all(|effect| effect.of[0].factor != "C" || effect.of.len() == 1));
    assert!(analysis.unknown.is_empty(), "{:?}", analysis.unknown);
}

#[test]
fn points_that_crash_leave_effects_untold() {
    let mut run = RunRecords::new(&START, 10.0);
    // Whatever has the second level of K crashes: nothing can be said of K.
    let score = |levels: &BTreeMap<String, String>| {
        (levels["K"] == "1").then(|| 10.0 + 3.0 * f64::from(u8::from(levels["T"] == "2")))
    };
    run.all(&design(&["C", "K", "T"], &[]), score);
    let analysis = run.analysis();
    assert_eq!((analysis.measured, analysis.crashed), (4, 4));
    assert!((effect(&analysis, &["T"]).estimate - 3.0).abs() < 1e-9);
    assert!(effect(&analysis, &["C"]).estimate.abs() < 1e-9);
    assert_eq!(analysis.unknown, [vec!["K".to_owned()]]);
    let alias = &effect(&analysis, &["T"]).aliases[0];
    assert!(alias.of == ["K", "T"] && (alias.part + 1.0).abs() < 1e-9, "{alias:?}");
}

/// Another change is kept in between, which makes everything better by 5: the points after it lie in a block of their own.
#[test]
fn points_of_other_code_are_compared_only_with_each_other() {
    let truth = |levels: &BTreeMap<String, String>| 10.0 + sign(levels, "C") + 0.5 * sign(levels, "T");
    let mut run = RunRecords::new(&START, truth(&START.map(|(n, v)| (n.to_owned(), v.to_owned())).into()));
    let points = design(&["C", "K", "T"], &[]).points();
    for levels in &points[1..4] {
        let point = run.point(0, &START, levels);
        run.measured(point, &[truth(levels)]);
        run.decided(point, Status::Discard);
    }
    let other = run.intent(Some(0), None, serde_json::Value::Null);
    run.measured(other, &[truth(&points[0]) - 5.0]);
    run.decided(other, Status::Keep);
    for levels in &points[4..] {
        let point = run.point(other, &START, levels);
        run.measured(point, &[truth(levels) - 5.0]);
        run.decided(point, Status::Discard);
    }
    let analysis = run.analysis();
    assert_eq!((analysis.measured, analysis.blocks), (9, 2), "the new incumbent is a point of its block");
    for (of, expected) in [(vec!["C"], 2.0), (vec!["T"], 1.0), (vec!["K"], 0.0), (vec!["C", "T"], 0.0)] {
        assert!((effect(&analysis, &of).estimate - expected).abs() < 1e-9, "{of:?} {analysis:?}");
    }
}

/// A point that was better is the next one's parent: all of them are still the same code but for the factors. And one that
/// was moved onto it counts with what was measured before.
#[test]
fn a_point_that_is_kept_begins_no_block() {
    let truth = |levels: &BTreeMap<String, String>| 10.0 - sign(levels, "C") - sign(levels, "T") * sign(levels, "K");
    let mut run = RunRecords::new(&START, truth(&START.map(|(n, v)| (n.to_owned(), v.to_owned())).into()));
    let points = design(&["C", "K", "T"], &[]).points();
    // C = 2 is kept; K = 2 was made from the baseline at the same time, measured there, and moved onto C = 2.
    let (kept, moved) = (run.point(0, &START, &points[1]), run.point(0, &START, &points[2]));
    run.measured(moved, &[truth(&points[2])]);
    run.measured(kept, &[truth(&points[1])]);
    run.decided(kept, Status::Keep);
    let candidate = Candidate::new("moved");
    run.records.push(Record::Rebased {
        experiment: ExperimentId(moved),
        parent: revision(kept),
        candidate,
        in_merge_queue: true,
    });
    run.measured(moved, &[truth(&points[3])]);
    run.decided(moved, Status::Discard);
    // And one that was moved before it was measured is what it became: T = 2 with C = 2.
    let from = [("C", "2"), ("K", "1"), ("T", "1")];
    for levels in [&points[3], &points[4], &points[5], &points[6], &points[7]] {
        let point = run.point(kept, &from, levels);
        run.measured(point, &[truth(levels)]);
        run.decided(point, Status::Discard);
    }
    let analysis = run.analysis();
    assert_eq!((analysis.measured, analysis.blocks), (8, 1));
    for (of, expected) in [(vec!["C"], -2.0), (vec!["K", "T"], -2.0), (vec!["T"], 0.0), (vec!["C", "T"], 0.0)] {
        assert!((effect(&analysis, &of).estimate - expected).abs() < 1e-9, "{of:?} {analysis:?}");
    }
}

#[test]
fn a_point_that_was_moved_before_it_was_measured_is_what_it_became() {
    let start = [("A", "1"), ("B", "1")];
    let points = design(&["A", "B"], &[]).points();
    let mut run = RunRecords::new(&start, 1.0);
    let (kept, moved) = (run.point(0, &start, &points[1]), run.point(0, &start, &points[2]));
    run.measured(kept, &[0.5]);
    run.decided(kept, Status::Keep);
    let candidate = Candidate::new("moved");
    run.records.push(Record::Rebased {
        experiment: ExperimentId(moved),
        parent: revision(kept),
        candidate,
        in_merge_queue: false,
    });
    run.measured(moved, &[0.25]);
    run.decided(moved, Status::Discard);
    let again = run.point(kept, &[("A", "2"), ("B", "1")], &points[2]);
    run.measured(again, &[2.0]);
    run.decided(again, Status::Discard);
    let analysis = run.analysis();
    // (1, 1) is 1, (2, 1) is 0.5, (1, 2) is 2, and what was moved is (2, 2) with 0.25.
    assert_eq!((analysis.measured, analysis.blocks), (4, 1));
    for (of, expected) in [(vec!["A"], -1.125), (vec!["B"], 0.375), (vec!["A", "B"], -0.625)] {
        assert!((effect(&analysis, &of).estimate - expected).abs() < 1e-9, "{of:?} {analysis:?}");
    }
}

#[test]
fn the_noise_of_the_run_gives_the_errors() {
    let start = [("A", "1"), ("B", "1")];
    let mut run = RunRecords::new(&start, 1.0);
    let points = design(&["A", "B"], &[]).points();
    for (levels, scores) in points[1..].iter().zip([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]]) {
        let point = run.point(0, &start, levels);
        run.measured(point, &scores);
        run.decided(point, Status::Discard);
    }
    let analysis = run.analysis();
    // Each pair differs by 2: the variance is 2. Of four means the variances are 2, 1, 1, 1; an effect is half of their sum and
    // differences.
    let error = effect(&analysis, &["A"]).error.unwrap();
    assert!((analysis.sigma.unwrap() - 2f64.sqrt()).abs() < 1e-9 && !analysis.by_residual);
    assert!((error - (5f64 / 4.0).sqrt()).abs() < 1e-9, "{error}");
}

proptest! {
    /// An additive truth without noise gives its effects and no interaction, with any number of levels, and whatever the points
    /// that crash, as long as the effects can be told.
    #[test]
    fn an_additive_truth_is_found(
        levels in prop::collection::vec(prop::collection::vec(-100..100i32, 2..4), 2..4),
        crashes in prop::collection::vec(prop::bool::weighted(0.1), 27),
    ) {
        let names = ["A", "B", "C"];
        let factors = names.iter().zip(&levels).map(|(name, own)| {
            ((*name).to_owned(), (0..own.len()).map(|level| level.to_string()).collect())
        });
        let design = Factorial::new("d", factors, &[]).unwrap();
        let at = |point: &BTreeMap<String, String>, name: &str| point[name].parse::<usize>().unwrap();
        let truth = |point: &BTreeMap<String, String>| {
            names.iter().zip(&levels).map(|(name, own)| f64::from(own[at(point, name)])).sum::<f64>()
        };
        let start: Vec<(&str, &str)> = names.iter().zip(&levels).map(|(name, _)| (*name, "0")).collect();
        let mut run = RunRecords::new(&start, truth(&design.points()[0]));
        let points = design.points();
        run.all(&design, |point| {
            let place = points.iter().position(|other| other == point).unwrap();
            (!crashes[place]).then(|| truth(point))
        });
        let analysis = run.analysis();
        for effect in analysis.effects.iter().filter(|effect| effect.aliases.is_empty()) {
            let expected = match &effect.of[..] {
                [step] => {
                    let own = &levels[names.iter().position(|name| *name == step.factor).unwrap()];
                    f64::from(own[step.to.parse::<usize>().unwrap()] - own[step.from.parse::<usize>().unwrap()])
                }
                _ => 0.0,
            };
            prop_assert!((effect.estimate - expected).abs() < 1e-7, "{effect:?} {expected}");
        }
        if !crashes.contains(&true) {
            prop_assert!(analysis.unknown.is_empty() && analysis.effects.iter().all(|effect| effect.aliases.is_empty()));
        }
    }

    /// An interaction that is there is found, and no other.
    #[test]
    fn a_planted_interaction_is_found(by in 1..1000i32, a in 0..4usize, b in 0..4usize) {
        prop_assume!(a < b);
        let names = ["A", "B", "C", "D"];
        let truth = |point: &BTreeMap<String, String>| {
            3.0 * sign(point, "C") + 0.5 * f64::from(by) * sign(point, names[a]) * sign(point, names[b])
        };
        let start = names.map(|name| (name, "1"));
        let all = design(&names, &[]);
        let mut run = RunRecords::new(&start, truth(&all.points()[0]));
        run.all(&all, |point| Some(truth(point)));
        for effect in run.analysis().effects {
            let of: Vec<&str> = effect.of.iter().map(|step| step.factor.as_str()).collect();
            let expected = match &of[..] {
                ["C"] => 6.0,
                pair if *pair == [names[a], names[b]] => f64::from(by),
                _ => 0.0,
            };
            prop_assert!((effect.estimate - expected).abs() < 1e-9, "{effect:?}");
        }
    }
}
