use std::path::PathBuf;

use autoresearch_core::ExperimentId;
use autoresearch_core::internal::journal::Moment;

use super::super::plan::Arm;
use super::super::record::Measured;
use super::super::setting::Setting;
use super::*;

fn recheck(experiment: u32, arms: (usize, usize)) -> Recheck {
    Recheck { experiment: ExperimentId(experiment), form: Form::Alone, arms: Some(arms), note: String::new() }
}

/// A transfer with these scores of each arm by rounds, the baseline first; the last arm is the sum. Lower is better.
fn record(scores: &[Vec<f64>]) -> Record {
    let arm = |experiment: usize| Arm {
        experiment: ExperimentId(experiment as u32),
        name: String::new(),
        content: experiment.to_string(),
    };
    let plan = Plan {
        metric: "score".into(),
        direction: Direction::Minimise,
        setting: Setting::default(),
        arms: (0..scores.len()).map(arm).collect(),
        keeps: (1..scores.len() - 1).map(|place| recheck(place as u32, (0, place))).collect(),
        sum: recheck(9, (0, scores.len() - 1)),
    };
    let trials = scores.iter().enumerate().flat_map(|(arm, scores)| {
        (1..).zip(scores).map(move |(round, score)| Measured {
            at: Moment::default(),
            round,
            arm,
            seed: 0,
            seconds: 1.0,
            result: Score::new(*score).ok_or_else(|| "it crashed".to_owned()),
        })
    });
    Record { path: PathBuf::new(), plan, trials: trials.collect() }
}

fn results(scores: &[Vec<f64>]) -> Results {
    Results::new(&record(scores), &Noise::default())
}

/// Numbers that look random, about as a normal distribution has them: sums of twelve digits of a hash.
fn normal(seed: &str) -> f64 {
    let hash = blake3::hash(seed.as_bytes());
    let uniform = |pair: &[u8]| f64::from(u16::from_le_bytes([pair[0], pair[1]])) / 65536.0;
    hash.as_bytes().chunks(2).take(12).map(uniform).sum::<f64>() - 6.0
}

#[test]
fn what_falls_on_a_whole_round_is_no_noise() {
    let rounds = [0.0, 50.0, -20.0];
    let dust = [[0.1, -0.1, 0.0], [0.0, 0.1, -0.1], [-0.1, 0.0, 0.1], [0.1, 0.1, -0.2]];
    let arm =
        |level: f64, own: [f64; 3]| rounds.iter().zip(own).map(|(round, own)| level + round + own).collect::<Vec<_>>();
    let found = results(&[arm(100.0, dust[0]), arm(98.0, dust[1]), arm(103.0, dust[2]), arm(100.1, dust[3])]);
    let verdicts: Vec<Verdict> = found.keeps.iter().map(|finding| finding.verdict).collect();
    assert_eq!((verdicts, found.sum.verdict), (vec![Verdict::Transferred, Verdict::Worse], Verdict::NotShown));
    assert_eq!((found.rounds, found.noise.degrees()), (3, 6));
    assert!((found.keeps[0].gain.unwrap() - 2.0).abs() < 0.1 && found.noise.sigma().unwrap() < 0.3, "{found:?}");
}

#[test]
fn one_round_tells_nothing_and_an_unfinished_one_does_not_count() {
    let open = results(&[vec![2.0], vec![1.0], vec![1.0]]);
    assert_eq!((open.keeps[0].verdict, open.keeps[0].gain, open.keeps[0].interval), (Verdict::Open, Some(1.0), None));
    let torn = results(&[vec![2.0, 2.0], vec![1.0, 1.0], vec![1.0]]);
    assert_eq!((torn.rounds, torn.keeps[0].verdict), (1, Verdict::Open));
}

#[test]
fn an_arm_without_a_number_leaves_the_others_alone() {
    let found = results(&[vec![2.0; 4], vec![f64::NAN], vec![1.0; 4]]);
    assert_eq!((found.keeps[0].verdict, found.sum.verdict, found.rounds), (Verdict::NoNumber, Verdict::Transferred, 4));
    assert_eq!(found.keeps[0].failure.as_deref(), Some("it crashed"));
}

#[test]
fn equal_scores_are_luck_unless_the_run_saw_no_noise() {
    let known = Noise::default().with(&[0.90, 0.91, 0.90]);
    let found = |rounds: usize, known: &Noise| {
        let record = record(&[vec![0.91; rounds], vec![0.90; rounds], vec![0.90; rounds]]);
        Results::new(&record, known).sum.verdict
    };
    // Two of C(6, 3) = 20 ways, and of C(8, 4) = 70.
    assert_eq!((found(3, &known), found(4, &known)), (Verdict::NotShown, Verdict::Transferred));
    assert_eq!(found(2, &Noise::default().with(&[0.9, 0.9])), Verdict::Transferred, "the run saw no noise either");
    // A run that measured nothing twice, as under `strict`, has seen no noise and no exact number.
    let unknown = Noise::default();
    assert_eq!((found(2, &unknown), found(3, &unknown)), (Verdict::NotShown, Verdict::NotShown));
    assert_eq!(found(4, &unknown), Verdict::Transferred);
    assert_eq!(results(&[vec![1.0; 3], vec![1.0; 3], vec![1.0; 3]]).sum.verdict, Verdict::NotShown);
}

#[test]
fn an_unstable_arm_has_an_interval_of_its_own() {
    let calm = |level: f64, name: &str| {
        (0..5).map(|round| level + 0.01 * normal(&format!("{name}{round}"))).collect::<Vec<_>>()
    };
    let mut scores: Vec<Vec<f64>> = (0..12).map(|arm| calm(10.0, &format!("arm {arm} "))).collect();
    scores[1] = vec![9.0, 11.0, 8.5, 10.0, 9.9];
    let found = results(&scores);
    assert_eq!(found.keeps[0].verdict, Verdict::NotShown, "{:?}", found.keeps[0]);
}

#[test]
fn luck_makes_any_keep_transfer_or_worse_as_rarely_as_promised_and_real_gains_are_shown() {
    let (mut wrong, mut missed, mut shown, runs) = (0, 0, 0, 400);
    for run in 0..runs {
        let score = |arm: usize, round: usize| {
            let gain = if arm == 4 { 3.0 } else { 0.0 };
            10.0 * normal(&format!("{run} round {round}")) + normal(&format!("{run} {arm} {round}")) - gain
        };
        let scores: Vec<Vec<f64>> = (0..6).map(|arm| (0..4).map(|round| score(arm, round)).collect()).collect();
        let found = results(&scores);
        let decided = |finding: &Finding| finding.verdict != Verdict::NotShown;
        wrong += usize::from(found.keeps[..3].iter().any(decided));
        let (low, high) = found.keeps[3].interval.unwrap();
        missed += usize::from(!(low..=high).contains(&3.0));
        shown += usize::from(found.keeps[3].verdict == Verdict::Transferred);
    }
    // 5 % for any of four intervals; three of them have no effect.
    assert!(wrong <= runs * 6 / 100, "{wrong} of {runs}");
    assert!(missed <= runs * 3 / 100, "{missed} of {runs}");
    assert!(shown >= runs * 80 / 100, "{shown} of {runs}");
}
