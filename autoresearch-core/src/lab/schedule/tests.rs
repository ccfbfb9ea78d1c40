use super::*;
use crate::experiment_id::ExperimentId;
use crate::journal::{Decision, Journal, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use crate::lab::in_flight::{Lease, Phase, TrialInFlight};
use crate::lab::{ExcursionRule, Screening};
use crate::metric::{Direction, Measurement, Score};
use crate::ratchet::{Evidence, NoiseAware, NoiseAwareSettings, Strict};
use crate::sandbox::{Budget, Candidate, Outcome, Revision, Trial};

/// Says the same of everything.
struct Says(Verdict);

impl Ratchet for Says {
    fn judge(&self, _: &Evidence) -> Verdict {
        self.0.clone()
    }
}

fn measure(sides: &[Side]) -> Says {
    Says(Verdict::Measure(sides.to_vec()))
}

fn revision(name: &str) -> Revision {
    Revision(name.into())
}

fn staged(id: u32, parent: Option<&str>, name: &str) -> Record {
    Record::Staged(StagedExperiment::new(ExperimentId(id), parent.map(revision), Candidate::new(name)))
}

fn started(id: u32, trial: u32, side: Side, fidelity: f64) -> Record {
    Record::TrialStarted(TrialStart { fidelity, ..TrialStart::new(ExperimentId(id), trial, side) })
}

/// A trial from its start to its result; without a score it crashed.
fn tried(id: u32, trial: u32, side: Side, fidelity: f64, score: Option<f64>) -> [Record; 2] {
    let outcome = Outcome::Completed(Default::default());
    let result = score.and_then(Score::new).map(Measurement::new).ok_or_else(|| "it crashed".to_owned());
    let ended = TrialResult { fidelity, ..TrialResult::new(ExperimentId(id), trial, side, outcome, result) };
    [started(id, trial, side, fidelity), Record::TrialMeasured(ended)]
}

fn candidate(id: u32, trial: u32, score: f64) -> [Record; 2] {
    tried(id, trial, Side::Candidate, 1.0, Some(score))
}

fn kept(id: u32, name: &str) -> [Record; 2] {
    let kept_as = Some(revision(name));
    let decision = Decision { kept_as, ..Decision::new(ExperimentId(id), Status::Keep) };
    [Record::Decided(decision), Record::Adopted { experiment: ExperimentId(id) }]
}

/// A baseline of 10 that is kept as `base`, and experiments 1 to `count` on it, `c1` and so on.
fn on_baseline(count: u32, further: Vec<Record>) -> Vec<Record> {
    let mut records = vec![staged(0, None, "c0")];
    records.extend(candidate(0, 1, 10.0));
    records.extend(kept(0, "base"));
    records.extend((1..=count).map(|id| staged(id, Some("base"), &format!("c{id}"))));
    records.extend(further);
    records
}

fn replay(records: Vec<Record>) -> State {
    let mut journal = Journal::in_memory();
    let header = Record::Started(RunHeader::new("t", "score", Direction::Minimise));
    let entries: Vec<_> = [vec![header], records].concat().into_iter().map(|r| journal.append(r).unwrap()).collect();
    State::replay(&entries).unwrap()
}

fn settings() -> Settings {
    Settings::new("t", Budget::default())
}

fn trial(side: Side, fidelity: f64) -> Step {
    Step::Trial { side, fidelity }
}

fn running(side: Side) -> TrialInFlight {
    TrialInFlight {
        phase: Phase::Running,
        side,
        candidate: Candidate::new("c1"),
        trial: Trial::new(ExperimentId(1), 1, 0, Budget::default()),
        lease: Lease { slot: 0, worker: Some(0) },
        cancel: crate::cancel::Cancel::new(),
    }
}

fn requested(sides: &[Side], measurements: usize) -> ExperimentInFlight {
    let mut known = ExperimentInFlight::default();
    known.request(sides.to_vec(), measurements);
    known
}

/// The next step of experiment `id`, with the word that its reason must hold.
#[track_caller]
fn row(
    what: &str,
    records: Vec<Record>,
    id: u32,
    known: ExperimentInFlight,
    settings: &Settings,
    rule: &dyn Ratchet,
    expected: (Step, &str),
) {
    let state = replay(records);
    let step = next_step(&state, state.open(ExperimentId(id)).unwrap(), Some(&known), settings, rule);
    let is_expected = match (&step, &expected.0) {
        (Step::Decide(is, reason), Step::Decide(should, _)) => is == should && reason.contains(expected.1),
        (Step::Promote(is, reason), Step::Promote(should, _)) => is == should && reason.contains(expected.1),
        (is, should) => is == should,
    };
    assert!(is_expected, "{what}: {step:?}, not {expected:?}");
}

fn discarded() -> Step {
    Step::Decide(Status::Discard, String::new())
}

fn crashed() -> Step {
    Step::Decide(Status::Crash, String::new())
}

const ONE: Side = Side::Candidate;
const INCUMBENT: Side = Side::Incumbent;

#[test]
fn a_candidate_of_the_incumbent() {
    let plain = settings();
    let none = ExperimentInFlight::default;
    let better = || on_baseline(1, candidate(1, 1, 9.0).to_vec());
    let keep = Says(Verdict::Keep("better".into()));
    row("untried", on_baseline(1, vec![]), 1, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
    row("better", better(), 1, none(), &plain, &keep, (Step::Decide(Status::Keep, String::new()), "better"));
    let worse = on_baseline(1, candidate(1, 1, 11.0).to_vec());
    row("worse", worse, 1, none(), &plain, &Strict, (discarded(), "worse"));
    let failed = on_baseline(1, tried(1, 1, ONE, 1.0, None).to_vec());
    row("crashed", failed, 1, none(), &plain, &Strict, (crashed(), "it crashed"));
    let rule = measure(&[INCUMBENT, ONE]);
    row("asked for", better(), 1, none(), &plain, &rule, (Step::Request(vec![INCUMBENT, ONE]), ""));
    let known = requested(&[INCUMBENT, ONE], 1);
    row("requested", better(), 1, known, &plain, &rule, (trial(INCUMBENT, 1.0), ""));
    row("in vain", better(), 1, requested(&[], 1), &plain, &rule, (discarded(), "could not be compared"));
    row("nothing", better(), 1, none(), &plain, &measure(&[]), (discarded(), "asked for nothing"));
}

#[test]
fn what_is_in_flight_is_awaited() {
    let plain = settings();
    let records = || on_baseline(1, vec![started(1, 1, ONE, 1.0)]);
    let known = ExperimentInFlight { trials: vec![running(ONE)], ..Default::default() };
    row("runs", records(), 1, known, &plain, &Strict, (Step::Wait, ""));
    let known = ExperimentInFlight { backs_off: true, ..Default::default() };
    row("backs off", on_baseline(1, vec![]), 1, known, &plain, &Strict, (Step::Wait, ""));
    // Several of the same side at once, and none of the other beside them.
    let known = ExperimentInFlight { trials: vec![running(ONE)], ..requested(&[ONE, ONE], 1) };
    row("beside", records(), 1, known, &plain, &Strict, (trial(ONE, 1.0), ""));
    let known = ExperimentInFlight { trials: vec![running(ONE)], ..requested(&[INCUMBENT], 1) };
    row("the other side", records(), 1, known, &plain, &Strict, (Step::Wait, ""));
}

#[test]
fn limits_end_an_experiment() {
    let plain = settings();
    let none = ExperimentInFlight::default;
    let limited = Settings { measurement_limit: 3, ..settings() };
    let (rule, thrice) = (measure(&[ONE]), (1..4).flat_map(|trial| candidate(1, trial, 9.0)).collect());
    row("measurements", on_baseline(1, thrice), 1, none(), &limited, &rule, (discarded(), "after 3 measurements"));
    // Settings of the rule's own may need more.
    let confirming = NoiseAwareSettings { confirm: 40, confirm_at_most: 40, ..NoiseAwareSettings::default() };
    let more = NoiseAware::new(confirming).unwrap();
    assert!(more.may_need() >= 1 + 40 + 39, "{}", more.may_need());
    let mut baseline = vec![staged(0, None, "c0")];
    baseline.extend((1..4).flat_map(|trial| candidate(0, trial, 9.0)));
    let expected = (Step::Decide(Status::Keep, String::new()), "the baseline");
    row("of the baseline", baseline, 0, none(), &limited, &rule, expected);
    let death = |trial| [started(1, trial, ONE, 1.0), Record::Resumed { attached: vec![] }];
    let dead = (1..4).flat_map(death).collect();
    row("deaths", on_baseline(1, dead), 1, none(), &plain, &Strict, (crashed(), "died 3 times"));
    let twice = (1..3).flat_map(death).collect();
    row("fewer deaths", on_baseline(1, twice), 1, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
}

#[test]
fn a_sandbox_that_keeps_failing_on_one_candidate_waits_for_a_health_check() {
    let (plain, none) = (settings(), ExperimentInFlight::default);
    let fail = |trial| {
        let failed = Record::TrialFailed { experiment: ExperimentId(1), trial, error: "no such program".into() };
        [started(1, trial, ONE, 1.0), failed]
    };
    let failures = |count| (1..=count).flat_map(fail).collect::<Vec<_>>();
    let check = |failure: Option<&str>| {
        let failure = failure.map(str::to_owned);
        vec![Record::HealthChecked { failure, measurement: None, reference: None }]
    };
    let few = on_baseline(1, failures(SANDBOX_FAILURES - 1));
    row("few", few, 1, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
    let many = failures(SANDBOX_FAILURES);
    row("many", on_baseline(2, many.clone()), 2, none(), &plain, &Strict, (Step::Wait, ""));
    let passed = on_baseline(1, [many.clone(), check(None)].concat());
    row("the incumbent runs", passed, 1, none(), &plain, &Strict, (crashed(), "no such program"));
    // The machine was at fault: the candidate gets another chance when that is over.
    let failed = [many, check(Some("no device")), check(None)].concat();
    row("it did not run", on_baseline(1, failed), 1, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
}

#[test]
fn a_machine_under_suspicion_decides_nothing() {
    let suspicious = Settings { suspicious_crashes: 1, ..settings() };
    let none = ExperimentInFlight::default;
    let mut crash = tried(1, 1, ONE, 1.0, None).to_vec();
    crash.push(Record::Decided(Decision::new(ExperimentId(1), Status::Crash)));
    let after = || [on_baseline(2, crash.clone()), candidate(2, 1, 11.0).to_vec()].concat();
    row("after crashes", after(), 2, none(), &suspicious, &Strict, (Step::Wait, ""));
    row("at rest", after(), 2, none(), &settings(), &Strict, (discarded(), "worse"));
}

#[test]
fn a_candidate_of_a_former_incumbent() {
    let (plain, none) = (settings(), ExperimentInFlight::default);
    let first_kept = |beside: Vec<Record>| {
        let records = [candidate(1, 1, 9.0).to_vec(), beside, kept(1, "k1").to_vec()].concat();
        on_baseline(3, records)
    };
    let later = Step::Rebase { into_queue: false };
    let at_once = Step::Rebase { into_queue: true };
    row("untried", first_kept(vec![]), 2, none(), &plain, &Strict, (later, ""));
    let good = candidate(2, 1, 9.5).to_vec();
    row("better than its base", first_kept(good.clone()), 2, none(), &plain, &Strict, (at_once.clone(), ""));
    let bad = candidate(2, 1, 11.0).to_vec();
    row("worse than its base", first_kept(bad), 2, none(), &plain, &Strict, (discarded(), "worse"));
    let crash = tried(2, 1, ONE, 1.0, None).to_vec();
    row("crashed", first_kept(crash), 2, none(), &plain, &Strict, (crashed(), "it crashed"));

    // 2 is in the merge queue, and 3 is found better than the incumbent meanwhile.
    let queued = |parent: &str| Record::Rebased {
        experiment: ExperimentId(2),
        parent: revision(parent),
        candidate: Candidate::new("r2"),
        in_merge_queue: true,
    };
    let behind = |id: u32, further: Vec<Record>| {
        let onto = Record::Rebased {
            experiment: ExperimentId(id),
            parent: revision("r2"),
            candidate: Candidate::new("r3"),
            in_merge_queue: true,
        };
        let both = [good.clone(), candidate(3, 1, 9.5).to_vec()].concat();
        [first_kept(both), vec![queued("k1"), onto], further].concat()
    };
    row("queued, untried", behind(3, vec![]), 3, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
    let tried_on_top = candidate(3, 2, 8.0).to_vec();
    row("queued, measured", behind(3, tried_on_top), 3, none(), &plain, &Strict, (Step::Wait, ""));
    let crash_on_top = tried(3, 2, ONE, 1.0, None).to_vec();
    row("queued, crashed", behind(3, crash_on_top), 3, none(), &plain, &Strict, (Step::Wait, ""));
    let new = |further: Vec<Record>| {
        let fourth = vec![staged(4, Some("k1"), "c4")];
        [first_kept(good.clone()), vec![queued("k1")], fourth, further].concat()
    };
    let joins = new(candidate(4, 1, 8.5).to_vec());
    row("better, but others come first", joins.clone(), 4, none(), &plain, &Strict, (at_once.clone(), ""));
    let contradicts = |end: &str| ExperimentInFlight { contradicts: Some(revision(end)), ..none() };
    row("contradicts them", joins.clone(), 4, contradicts("r2"), &plain, &Strict, (Step::Wait, ""));
    row("contradicted others", joins, 4, contradicts("r1"), &plain, &Strict, (at_once, ""));

    let conflict = Record::Conflicted { experiment: ExperimentId(2), conflict: "both".into() };
    let in_conflict = |before: Vec<Record>| [first_kept(before), vec![conflict.clone()]].concat();
    row("in conflict, untried", in_conflict(vec![]), 2, none(), &plain, &Strict, (discarded(), "both sides"));
    row("in conflict", in_conflict(good.clone()), 2, none(), &plain, &Strict, (discarded(), "worse"));
}

#[test]
fn the_baseline() {
    let (plain, none) = (settings(), ExperimentInFlight::default);
    let baseline = |further: Vec<Record>| [vec![staged(0, None, "c0")], further].concat();
    row("untried", baseline(vec![]), 0, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
    let measured = || baseline(candidate(0, 1, 10.0).to_vec());
    let expected = || (Step::Decide(Status::Keep, String::new()), "");
    row("measured", measured(), 0, none(), &plain, &Strict, expected());
    let discards = Says(Verdict::Discard("no".into()));
    row("kept in any case", measured(), 0, none(), &plain, &discards, expected());
    let rule = measure(&[INCUMBENT, ONE]);
    row("more of it", measured(), 0, none(), &plain, &rule, (Step::Request(vec![ONE]), ""));
    let failed = || baseline(tried(0, 1, ONE, 1.0, None).to_vec());
    row("failed before", failed(), 0, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
    let known = ExperimentInFlight { was_tried: true, ..none() };
    row("failed now", failed(), 0, known, &plain, &Strict, (crashed(), "it crashed"));
    let deaths = (1..9).flat_map(|trial| [started(0, trial, ONE, 1.0), Record::Resumed { attached: vec![] }]).collect();
    row("deaths", baseline(deaths), 0, none(), &plain, &Strict, (trial(ONE, 1.0), ""));
}

#[test]
fn the_rungs_of_screening_come_first() {
    let screened = Settings { screening: Some(Screening::new([0.2])), ..settings() };
    let none = ExperimentInFlight::default;
    let rung = |scores: &[(Side, f64)]| -> Vec<Record> {
        let numbered = (1..).zip(scores);
        numbered.flat_map(|(trial, (side, score))| tried(1, trial, *side, 0.2, Some(*score))).collect()
    };
    let twice = [(INCUMBENT, 20.0), (INCUMBENT, 20.0)];
    let with = |score: f64| rung(&[twice[0], twice[1], (ONE, score)]);
    row("the incumbent", on_baseline(1, vec![]), 1, none(), &screened, &Strict, (trial(INCUMBENT, 0.2), ""));
    row("the candidate", on_baseline(1, rung(&twice)), 1, none(), &screened, &Strict, (trial(ONE, 0.2), ""));
    let passed = (Step::Promote(Promotion::Passed, String::new()), "20 %");
    row("passes", on_baseline(1, with(19.0)), 1, none(), &screened, &Strict, passed);
    row("fails", on_baseline(1, with(21.0)), 1, none(), &screened, &Strict, (discarded(), "screened out"));
    let promoted =
        Record::Promoted { experiment: ExperimentId(1), promotion: Promotion::Passed, reason: String::new() };
    let records = on_baseline(1, [with(19.0), vec![promoted]].concat());
    row("promoted", records, 1, none(), &screened, &Strict, (trial(ONE, 1.0), ""));
    // An excursion that is due tolerates what screening would not.
    let rule = ExcursionRule { after: 0, steps: 1, tolerance: 2.0 };
    let tolerant = Settings { excursion: Some(rule), ..screened };
    let passed = (Step::Promote(Promotion::Passed, String::new()), "");
    row("tolerated", on_baseline(1, with(21.0)), 1, none(), &tolerant, &Strict, passed);
}
