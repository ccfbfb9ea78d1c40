use super::*;
use autoresearch_core::{ExperimentId, FileEdit};
use std::collections::BTreeMap;

const SOURCE: &str =
    "use x;\nconst LR: f64 = 0.04; // knob: log 0.01..0.1\nconst DEPTH: i64 = 8; // knob: int 1..16\nfn f() { g(1) }\n";

#[test]
fn literals_and_numbers_are_the_same_points() {
    for (line, literal) in [
        ("a = 0.1  # knob: log 0.01..0.1", "0.1"),
        ("a = 0.05  # knob: log 0.01..0.1", "0.01"),
        ("a = 0.5  # knob: lin 0..1", "1.0"),
        ("a = 0.5  # knob: lin 0..1", "0.0"),
        ("a = 3  # knob: int 1..8", "8"),
        ("a = 0x3  # knob: int 1..8", "0x8"),
        ("a = 4  # knob: {4, 8, 1_6}", "1_6"),
    ] {
        let files = [("a.py".to_owned(), line.to_owned())].into();
        let sources = Sources::new(&files);
        let site = constants::sites(&sources, &BTreeMap::new()).unwrap().remove(0);
        assert_eq!(site.literal(site.knob.number(literal).unwrap()), literal, "{line}");
    }
}

#[test]
fn a_constant_is_told_apart_from_one_that_is_commented_out() {
    use autoresearch_core::{EditablePaths, Patch};
    let line = "const A: i64 = 5; // knob: int 1..9";
    for source in
        [format!("// {line}\n{line}\nend\n"), format!("{line}\n// {line} or not\n"), format!("x\n{line}\n# {line}")]
    {
        let files = [("a.txt".to_owned(), source.clone())].into();
        let sources = Sources::new(&files);
        let site = constants::sites(&sources, &BTreeMap::new()).unwrap().remove(0);
        let edits = constants::edits("a.txt", &source, vec![(site.constant.place.clone(), "7".into())]);
        let patched = Patch { edits }.applied_to(&files, &EditablePaths::new(["a.txt"])).unwrap();
        let expected = source.lines().map(|old| if old == line { old.replace("= 5", "= 7") } else { old.into() });
        assert!(patched["a.txt"].lines().eq(expected), "{source}: {}", patched["a.txt"]);
    }
}

/// A run that kept LR 0.04 -> 0.02, lost with DEPTH 8 -> 4, kept a change of other code, crashed with
/// LR 0.02 -> 0.1, and rewrote the file with DEPTH 8 -> 9; the files are those of its end.
#[test]
fn experiments_of_whatever_proposer_are_points() {
    use autoresearch_core::internal::journal::Record;
    use autoresearch_core::internal::{self, import, journal};
    use autoresearch_core::{Journal, Program, Revision, State};
    let table = "commit\tval\tstatus\na\t1.0\tkeep\nb\t0.9\tkeep\nc\t0.95\tdiscard\nd\t0.7\tkeep\ne\t\tcrash\nf\t0.8\tdiscard\n";
    let line = |name: &str, kind: &str, value: &str| format!("const {name}: {kind} = {value};");
    let lr = |from: &str, to: &str| Patch::replace("a.rs", line("LR", "f64", from), line("LR", "f64", to));
    let today = SOURCE.replace("0.04", "0.02").replace("g(1)", "g(2)");
    let text = today.replace("= 8", "= 9");
    let patches = [
        lr("0.04", "0.02"),
        Patch::replace("a.rs", line("DEPTH", "i64", "8"), line("DEPTH", "i64", "4")),
        Patch::replace("a.rs", "g(1)", "g(2)"),
        lr("0.02", "0.1"),
        Patch { edits: vec![FileEdit::Write { path: "a.rs".into(), text }] },
    ];
    let mut records = import::parse(table, None).records("x", Direction::Minimise);
    for record in &mut records {
        if let Record::Staged(journal::StagedExperiment { experiment: at @ ExperimentId(1..), change, .. }) = record {
            *change = serde_json::to_value(&patches[at.0 as usize - 1]).unwrap();
        }
    }
    let mut journal = Journal::in_memory();
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
    let files = std::sync::Arc::new([("a.rs".to_owned(), today)].into());
    let context = internal::context(&program, &state, files).unwrap();
    assert_eq!(context.incumbent, Revision("d".into()));
    let sources = Sources::new(&context.files);
    let sites = sites(&sources, &program).unwrap();
    let found: Vec<(Vec<String>, f64)> = observations(&context, &sources, &sites)
        .into_iter()
        .map(|o| (o.values.into_iter().flatten().collect(), (o.loss * 1e6).round() / 1e6))
        .collect();
    // The change of other code gained 0.2, which everything before it is credited with.
    let expected =
        [("0.04", "8", 0.8), ("0.02", "8", 0.7), ("0.02", "4", 0.75), ("0.1", "8", f64::INFINITY), ("0.02", "9", 0.8)];
    let expected = expected.map(|(lr, depth, loss)| (vec![lr.to_owned(), depth.to_owned()], loss));
    assert_eq!(found, expected);
}

/// LR 0.04 -> 0.02 is kept while DEPTH 8 -> 4 runs, which was made from the baseline as well.
#[test]
fn an_experiment_on_a_former_incumbent_has_the_values_of_that() {
    use autoresearch_core::internal::journal::Record;
    use autoresearch_core::internal::{self, import, journal};
    use autoresearch_core::{Journal, Program, State};
    let table = "commit\tval\tstatus\na\t1.0\tkeep\nb\t0.9\tkeep\nc\t0.95\tdiscard\n";
    let set = |name: &str, kind: &str, from: &str, to: &str| {
        let line = |value: &str| format!("const {name}: {kind} = {value};");
        serde_json::to_value(Patch::replace("a.rs", line(from), line(to))).unwrap()
    };
    let mut records = import::parse(table, None).records("x", Direction::Minimise);
    for record in &mut records {
        match record {
            Record::Staged(journal::StagedExperiment { experiment: ExperimentId(1), change, .. }) => {
                *change = set("LR", "f64", "0.04", "0.02")
            }
            Record::Staged(journal::StagedExperiment { experiment: ExperimentId(2), change, parent, .. }) => {
                (*change, *parent) = (set("DEPTH", "i64", "8", "4"), Some(Revision("a".into())));
            }
            _ => {}
        }
    }
    let mut journal = Journal::in_memory();
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
    let today = SOURCE.replace("0.04", "0.02");
    let context =
        internal::context(&program, &state, std::sync::Arc::new([("a.rs".to_owned(), today)].into())).unwrap();
    let sources = Sources::new(&context.files);
    let sites = sites(&sources, &program).unwrap();
    let found: Vec<Vec<String>> = observations(&context, &sources, &sites)
        .into_iter()
        .map(|o| o.values.into_iter().flatten().collect())
        .collect();
    assert_eq!(found, [["0.04", "8"], ["0.02", "8"], ["0.04", "4"]]);
}

/// DEPTH 8 -> 4 is sacrificed; on it LR 0.04 -> 0.02 fails and LR 0.04 -> 0.08 is kept, with the sacrifice; then the next
/// excursion sacrifices DEPTH 4 -> 2.
#[test]
fn experiments_on_side_lines_are_points_with_their_sacrifices() {
    use autoresearch_core::internal::journal::ExcursionStep;
    use autoresearch_core::internal::journal::Record;
    use autoresearch_core::internal::{self, import, journal};
    use autoresearch_core::{Journal, Program, State};
    let table = "commit\tval\tstatus\na\t1.0\tkeep\nb\t1.1\tdiscard\nc\t1.2\tdiscard\nd\t0.9\tkeep\ne\t0.95\tdiscard\n";
    let set = |name: &str, kind: &str, from: &str, to: &str| {
        let line = |value: &str| format!("const {name}: {kind} = {value};");
        serde_json::to_value(Patch::replace("a.rs", line(from), line(to))).unwrap()
    };
    let patches = [
        set("DEPTH", "i64", "8", "4"),
        set("LR", "f64", "0.04", "0.02"),
        set("LR", "f64", "0.04", "0.08"),
        set("DEPTH", "i64", "4", "2"),
    ];
    let mut records = import::parse(table, None).records("x", Direction::Minimise);
    for record in &mut records {
        match record {
            Record::Staged(journal::StagedExperiment {
                experiment: at @ ExperimentId(1..), change, parent, ..
            }) => {
                *change = patches[at.0 as usize - 1].clone();
                if let ExperimentId(2) | ExperimentId(3) = at {
                    *parent = Some(Revision("b".into()));
                }
            }
            Record::Decided(journal::Decision { experiment: ExperimentId(1) | ExperimentId(4), excursion, .. }) => {
                *excursion = Some(ExcursionStep::Sacrifice)
            }
            _ => {}
        }
    }
    let mut journal = Journal::in_memory();
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
    let today = SOURCE.replace("0.04", "0.08").replace("= 8", "= 2");
    let context =
        internal::context(&program, &state, std::sync::Arc::new([("a.rs".to_owned(), today)].into())).unwrap();
    assert_eq!((&context.incumbent, context.score.get(), context.to_beat.get()), (&Revision("e".into()), 0.95, 0.9));
    let sources = Sources::new(&context.files);
    let sites = sites(&sources, &program).unwrap();
    let found: Vec<(Vec<String>, f64)> = observations(&context, &sources, &sites)
        .into_iter()
        .map(|o| (o.values.into_iter().flatten().collect(), o.loss))
        .collect();
    let expected =
        [("0.04", "8", 1.0), ("0.04", "4", 1.1), ("0.02", "4", 1.2), ("0.08", "4", 0.9), ("0.08", "2", 0.95)];
    assert_eq!(found, expected.map(|(lr, depth, loss)| (vec![lr.to_owned(), depth.to_owned()], loss)));
}
