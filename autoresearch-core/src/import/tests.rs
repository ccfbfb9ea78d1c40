//! Tables in every spelling.

use super::*;
use crate::journal::Journal;
use crate::results::{deviations, table};
use proptest::prelude::*;

const SAMPLE: &str = "\
commit\tval_bpb\tmemory_gb\tstatus\tdescription
baseline\t1.200000\t12.0\tkeep\tbaseline
a000001\t1.180000\t12.0\tkeep\twider layers
a000002\t1.185000\t12.0\tdiscard\tmore warm-up
a000003\t1.170000\t14.5\tkeep\tone layer more, 8 to 9
a000004\t0.000000\t0.0\tcrash\tbatch 4x (assert fail: not divisible)
a000005\t1.171000\t14.5\tdiscard\tseed 1 to 2
a000006\t1.172000\t14.5\tkeep\tfewer lines, a little worse
a000007\t1.168000\t14.5\tkeep\tRoPE base 10K to 20K
a000008\t1.167500\t14.5\tdiscard\tbetter, but 80 lines more
a000009\t1.168000\t14.5\tkeep\tthe same without the cache
a000010\t1.168000\t14.5\tdiscard\tequal
a000011\t0.000000\t0.0\tcrash\ttwice as deep
a000012\t1.160000\t14.4\tkeep\tLR 0.02 to 0.03
";

fn replayed(imported: &Imported) -> State {
    let mut journal = Journal::in_memory();
    let records = imported.records("t", Direction::Minimise).into_iter();
    let entries: Vec<_> = records.map(|record| journal.append(record).unwrap()).collect();
    State::replay(&entries).unwrap()
}

/// The sample as the program writes it: it shows seven characters of a commit.
fn shown() -> String {
    SAMPLE.replace("baseline\t1", "baselin\t1")
}

/// Status and score of every row.
fn brief(imported: &Imported) -> Vec<(Status, Option<f64>)> {
    imported.rows.iter().map(|row| (row.status, row.score.map(Score::get))).collect()
}

fn problems(text: &str) -> Vec<String> {
    parse(text, None).problems.iter().map(Problem::to_string).collect()
}

#[test]
fn a_table_in_karpathys_columns_has_no_problems_and_comes_back_unchanged() {
    let imported = parse(SAMPLE, None);
    assert_eq!((imported.rows.len(), &imported.problems[..]), (13, &[][..]));
    let state = replayed(&imported);
    assert_eq!(table(&state), shown());
    assert!(is_imported(&state) && state.unadopted.is_none() && state.open.is_empty());
    assert_eq!(state.incumbent.unwrap().revision.0, "a000012");
}

#[test]
fn decisions_that_strict_improvement_would_not_have_made_are_found() {
    let state = replayed(&parse(SAMPLE, None));
    let found: Vec<(u32, String)> = deviations(&state).into_iter().map(|d| (d.experiment.id.0, d.strict)).collect();
    let expected =
        [(6, "worse by 0.002000"), (8, "better by 0.000500"), (9, "equal, and no simpler")].map(|(n, w)| (n, w.into()));
    assert_eq!(found, expected);
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let text = "Notes\tDecision\tid\tSHA\tMemory (MB)\tAccuracy\nfirst\tkeep\t1\tabc\t2048\t0.5\n";
    let imported = parse(text, None);
    assert_eq!((imported.metric.as_str(), imported.problems.len()), ("Accuracy", 0));
    let row = &imported.rows[0];
    assert_eq!((row.commit.as_str(), row.description.as_str(), row.memory_gb), ("abc", "first", Some(2.0)));
    assert_eq!(row.score.unwrap().get(), 0.5);
}

#[test]
fn the_metric_can_be_named() {
    let text = "commit\tloss\tresult\tstatus\nabc\t3\t7\tkeep\n";
    assert_eq!(brief(&parse(text, None)), [(Status::Keep, Some(3.0))]);
    assert_eq!(brief(&parse(text, Some("RESULT"))), [(Status::Keep, Some(7.0))]);
    let missing = parse(text, Some("speed"));
    assert!(missing.rows.is_empty());
    assert!(missing.problems[0].why.contains("no column is named `speed`; name one of `commit`, `loss`"));
    assert_eq!(parse("abc\t3\t0\tkeep\n", Some("loss")).metric, "loss");
}

#[test]
fn a_table_without_a_header_has_karpathys_columns() {
    let imported = parse(SAMPLE.split_once('\n').unwrap().1, None);
    assert_eq!(imported.metric, "val_bpb");
    assert_eq!(brief(&imported), brief(&parse(SAMPLE, None)));
}

#[test]
fn commas_separate_if_the_first_line_has_no_tab() {
    let text =
        "commit,val_bpb,status,description\na,1.5,keep,\"wider, and \"\"deeper\"\"\"\nb,,crash,batch, twice\n,,,\n";
    let imported = parse(text, None);
    assert_eq!(imported.problems, []);
    let descriptions: Vec<&str> = imported.rows.iter().map(|row| row.description.as_str()).collect();
    assert_eq!(descriptions, ["wider, and \"deeper\"", "batch, twice"]);
}

#[test]
fn statuses_are_understood_in_odd_spellings() {
    for text in ["KEEP", "kept", "keep*", "accepted", "Improved", "✓ keep", "keep (best so far)", "keep - best"] {
        assert_eq!(status(text), Some(Status::Keep), "{text}");
    }
    for text in ["discard", "Discarded", "revert", "reverted", "REJECTED", "discard: worse"] {
        assert_eq!(status(text), Some(Status::Discard), "{text}");
    }
    for text in ["crash", "crashed", "OOM", "out of memory", "timeout", "timed-out", "failed", "ERROR", "crash (OOM)"] {
        assert_eq!(status(text), Some(Status::Crash), "{text}");
    }
    for text in ["", "maybe", "not kept", "keep/discard", "failed to improve", "(keep)", "0.98"] {
        assert_eq!(status(text), None, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_named_by_its_line() {
    let text = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n\
        a\t1.0\t1\tkeep\tbaseline\n\
        b\t0.9\t1\tmaybe\tx\n\
        \n\
        c\tsoon\t1\tkeep\tx\n\
        d\tNaN\t1\tdiscard\tx\n\
        e\t0.9\n\
        f\t\t1\tkeep\tx\n\
        g\t\t1\tdiscard\tx\n\
        h\tn/a\t\tOOM\tx\n";
    let imported = parse(text, None);
    let discard = (Status::Discard, None);
    assert_eq!(brief(&imported), [(Status::Keep, Some(1.0)), discard, (Status::Crash, None)]);
    let lines: Vec<usize> = imported.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 5, 6, 7, 8, 9]);
    assert_eq!(problems(text)[0], "line 3: the status `maybe` is no keep, discard or crash; the row is left out");
    assert_eq!(replayed(&imported).experiments.len(), 3);
}

#[test]
fn the_baseline_is_the_first_keep() {
    let text = "a\t0\t0\tcrash\tx\nb\t\t1\tdiscard\tx\nc\t1.1\t1\tkeep\tbaseline\n";
    let imported = parse(text, None);
    assert_eq!((imported.rows.len(), imported.rows[0].line), (1, 3));
    assert_eq!(problems(text).len(), 2);
    assert!(problems(text)[1].starts_with("line 2: a discard before the first keep"), "{:?}", problems(text));
    assert!(parse("a\t1\t1\tdiscard\tx\n", None).rows.is_empty());
}

#[test]
fn a_header_without_decisions_is_a_problem() {
    let text = "commit\tval_bpb\tdescription\na\t1\tx\n";
    assert!(problems(text)[0].starts_with("line 1: no column is named `status`"), "{:?}", problems(text));
}

#[test]
fn what_editors_leave_behind_changes_nothing() {
    let text = format!("\u{feff}\n{}\t\t\n\n", SAMPLE.replace('\n', "\t\t\r\n"));
    assert_eq!(problems(&text), [""; 0]);
    assert_eq!(brief(&parse(&text, None)), brief(&parse(SAMPLE, None)));
    assert_eq!(table(&replayed(&parse(&text, None))), shown());
}

#[test]
fn what_a_terminal_would_obey_is_left_out_of_texts() {
    let imported = parse("a\t1\t1\tkeep\tred \u{1b}[31malert\n", None);
    assert_eq!(imported.rows[0].description, "red  [31malert");
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "commit", "status", "val_bpb", "mem", "notes", "keep", "discard", "crash", "1.5", "", "\""
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(?s).{0,200}", metric in prop::option::of(".{0,4}")) {
        replayed(&parse(&text, metric.as_deref()));
    }

    #[test]
    fn no_table_is_too_odd(
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..8),
        separator in prop::sample::select(vec!["\t", ","]),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        metric in prop::option::of(cell()),
    ) {
        let text = rows.iter().map(|row| row.join(separator)).collect::<Vec<_>>().join(end);
        let imported = parse(&text, metric.as_deref());
        prop_assert_eq!(replayed(&imported).experiments.len(), imported.rows.len());
        prop_assert!(imported.problems.iter().all(|problem| problem.line > 0));
    }

    #[test]
    fn the_table_of_a_run_is_read_back(
        baseline in -1e4..1e4f64,
        steps in prop::collection::vec((0..3u8, -1e4..1e4f64, 0.0..80f64, "\\PC{0,12}"), 0..20),
    ) {
        let row = |line, status, score: Option<f64>, memory, description: &str| Row {
            line,
            commit: format!("{line:07x}"),
            score: score.and_then(Score::new),
            memory_gb: Some(memory),
            status,
            recorded: String::new(),
            description: description.to_owned(),
        };
        let mut rows = vec![row(2, Status::Keep, Some(baseline), 1.0, "baseline")];
        for (line, (kind, score, memory, description)) in (3..).zip(&steps) {
            let status = [Status::Keep, Status::Discard, Status::Crash][usize::from(*kind)];
            rows.push(row(line, status, (status != Status::Crash).then_some(*score), *memory, description));
        }
        let state = replayed(&Imported { metric: "val_bpb".into(), rows, problems: vec![] });
        let text = table(&state);
        let back = parse(&text, None);
        prop_assert_eq!(&back.problems, &[]);
        prop_assert_eq!(back.rows.len(), state.experiments.len());
        for (row, experiment) in back.rows.iter().zip(&state.experiments) {
            prop_assert_eq!(row.status, experiment.status);
            // The table has six digits.
            prop_assert_eq!(row.score.map(|s| format!("{s:.6}")), experiment.score().map(|s| format!("{s:.6}")));
            prop_assert_eq!(&row.description, experiment.description.trim());
        }
        prop_assert_eq!(table(&replayed(&back)).lines().count(), text.lines().count());
    }
}

#[test]
fn a_tiny_score_in_the_table_is_not_the_value_of_a_crash() {
    let imported = parse("commit\terror\tmemory_gb\tstatus\tdescription\na\t5e-8\t1\tkeep\tbaseline\n", None);
    let written = table(&replayed(&imported));
    assert!(written.contains("a\t5.00000e-8\t1.0\tkeep\tbaseline"), "{written}");
    assert_eq!(brief(&parse(&written, None)), brief(&imported));
}
