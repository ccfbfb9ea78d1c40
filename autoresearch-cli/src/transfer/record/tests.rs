use autoresearch_core::{Direction, ExperimentId};

use super::super::plan::{Arm, Form, Recheck};
use super::super::setting::Setting;
use super::*;

fn plan(arms: usize) -> Plan {
    let arm = |place: usize| Arm {
        experiment: ExperimentId(place as u32),
        name: format!("arm {place}"),
        content: place.to_string(),
    };
    let sum = Recheck { experiment: ExperimentId(1), form: Form::Alone, arms: Some((0, 1)), note: String::new() };
    Plan {
        metric: "score".into(),
        direction: Direction::Minimise,
        setting: Setting::default(),
        arms: (0..arms).map(arm).collect(),
        keeps: vec![sum.clone()],
        sum,
    }
}

fn trial(round: u32, arm: usize, result: Result<f64, &str>) -> Measured {
    let result = result.map(|score| Score::new(score).unwrap()).map_err(str::to_owned);
    Measured { at: Moment::default(), round, arm, seed: 7, seconds: 0.5, result }
}

#[test]
fn a_record_goes_on_behind_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository { root: folder.path().to_owned() };
    let open = || Record::open(&repository, "t", plan(3)).unwrap();
    let mut record = open();
    assert!(!record.path.exists() && Record::all(&repository, "t").is_empty());
    for (arm, score) in [(0, 2.0), (1, 1.0)] {
        record.add(trial(1, arm, Ok(score))).unwrap();
    }
    let whole = std::fs::read(&record.path).unwrap();
    // A crash tears one line; wherever it does, everything before it stands.
    let last = whole.len() - whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() - 1;
    for cut in 1..=last {
        std::fs::write(&record.path, &whole[..whole.len() - cut]).unwrap();
        let mut torn = open();
        assert_eq!(torn.trials.len(), 1, "{cut}");
        torn.add(trial(1, 1, Ok(1.0))).unwrap();
        assert_eq!(std::fs::read(&record.path).unwrap(), whole, "{cut}");
    }
    assert_eq!(open(), record);
    assert_eq!(Record::all(&repository, "t"), [record.clone()]);
    // Not even the plan is whole.
    std::fs::write(&record.path, &whole[..9]).unwrap();
    let mut begun = open();
    begun.add(trial(1, 0, Ok(2.0))).unwrap();
    assert_eq!(open().trials, [trial(1, 0, Ok(2.0))]);
    // Another plan has another file.
    assert_ne!(Record::open(&repository, "t", plan(4)).unwrap().path, record.path);
    std::fs::write(&record.path, [b"nonsense\n", &whole[..]].concat()).unwrap();
    let error = Record::open(&repository, "t", plan(3)).unwrap_err().to_string();
    assert!(error.contains(".jsonl:1 is no line of a transfer") && error.contains("move the file away"), "{error}");
    assert!(Record::all(&repository, "t").is_empty(), "no report fails for it");
}

#[test]
fn rounds_go_there_and_back_without_arms_that_fail() {
    let mut record = Record { path: PathBuf::new(), plan: plan(3), trials: vec![trial(1, 0, Ok(1.0))] };
    assert_eq!(record.left(2), [(1, 1), (1, 2), (2, 2), (2, 1), (2, 0)]);
    record.trials.push(trial(1, 1, Err("it crashed")));
    assert_eq!(record.left(2), [(1, 2), (2, 2), (2, 0)]);
    assert_eq!((record.failure(1), record.score(0, 1), record.last_round()), (Some("it crashed"), Score::new(1.0), 1));
}
