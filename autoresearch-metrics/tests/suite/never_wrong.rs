//! The number of a metric is one that was printed for its name, or there is none, among any decoys.

use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog};
use autoresearch_metrics::found;
use proptest::prelude::*;

/// A line that has the number of `name`, in one of several forms.
fn telling(name: &'static str) -> impl Strategy<Value = (f64, String)> {
    let number = prop_oneof![
        (-1_000_000..1_000_000i64).prop_map(|whole| (whole as f64, whole.to_string())),
        (0..100_000u32, 1..6usize).prop_map(|(value, decimals)| {
            let text = format!("{:.decimals$}", f64::from(value) / 7.0);
            (text.parse().unwrap(), text)
        }),
        (1..999u32, 0..999u32, 0..99u32)
            .prop_map(|(a, b, c)| (f64::from(a * 1000 + b) + f64::from(c) / 100.0, format!("{a},{b:03}.{c:02}")))
            .prop_map(|(_, text)| (text.replace(',', "").parse().unwrap(), text)),
        (1..10_000u32, -9..9i32).prop_map(|(a, e)| {
            let text = format!("{a}e{e}");
            (text.parse().unwrap(), text)
        }),
    ];
    (number, 0..10usize).prop_map(move |((value, text), form)| {
        let line = match form {
            0 => format!("{name}: {text}"),
            1 => format!("{name}={text}"),
            2 => format!("{name} = {text} (best of 3)"),
            3 => format!("2026-03-08 10:11:12,345 - train - INFO - {name}: {text}"),
            4 => format!("epoch 3: loss: 0.5, {name}: {text}, lr=0.01"),
            5 => format!("{{\"epoch\": 3, \"{name}\": {}}}", text.replace(',', "")),
            6 => format!("\x1b[32m{name}\x1b[0m: \x1b[1m{text}\x1b[0m"),
            7 => format!("| {name} | {text} |"),
            8 => format!("\r 10%|#   | 1/10\r100%|####| 10/10 [00:01<00:00]\n{name}: {text}"),
            _ => format!("{}: {text} ± 0.3", name.to_uppercase()),
        };
        (value, line)
    })
}

/// A line with numbers of other names, or of none.
fn decoy() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "val_score_ema",
        "best score",
        "score2",
        "my_score",
        "scores",
        "loss",
        "sco re",
        "scorer",
        "old score",
        "score_std",
        "epoch",
        "test/score",
        "score (train)",
        "no score",
        "fold 1 score",
        "score.max",
    ]);
    (names, -1000..1000i32, 0..9usize).prop_map(|(name, value, form)| match form {
        0 => format!("{name}: {value}"),
        1 => format!("{name}={value}"),
        2 => format!("step {value} | {name}: {value}.5 | {value}"),
        3 => format!("{{\"{name}\": {value}}}"),
        4 => format!("took {value} s to print the score"),
        5 => format!("| {name} | {value} |"),
        6 => format!("{value} score points were expected"),
        7 => format!("saved to /tmp/score/{value}.ckpt"),
        _ => format!("a score above {value} would be good"),
    })
}

fn read(output: &str) -> Result<f64, String> {
    let metric = LogMetric::new("score", Direction::Maximise);
    let read = metric.read(&Outcome::Completed(RunLog::saying(output)));
    read.map(|measurement| measurement.score.get()).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without a decoy a form is read; among decoys it is read, or there is an error.
    #[test]
    fn never_a_number_other_than_the_one_printed_for_the_name(
        (value, line) in telling("score"),
        before in prop::collection::vec(decoy(), 0..6),
        after in prop::collection::vec(decoy(), 0..6),
    ) {
        prop_assert_eq!(read(&line), Ok(value), "{}", line);
        let output = [before, vec![line], after].concat().join("\n");
        if let Ok(read) = read(&output) {
            prop_assert_eq!(read, value, "{}", output);
        }
    }

    /// Several numbers of the name: one of them, or an error.
    #[test]
    fn of_several_numbers_it_is_one_of_them(lines in prop::collection::vec(telling("score"), 2..5)) {
        let output: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        if let Ok(read) = read(&output) {
            prop_assert!(lines.iter().any(|(value, _)| *value == read), "{read} is none of\n{output}");
        }
    }

    /// Decoys alone have no number.
    #[test]
    fn decoys_are_no_number(lines in prop::collection::vec(decoy(), 1..8)) {
        let output = lines.join("\n");
        prop_assert!(read(&output).is_err(), "{:?} from\n{}", read(&output), output);
    }

    /// Any text at all is read or refused without a panic, and what is found can be read by its name.
    #[test]
    fn whatever_is_printed_there_is_an_answer(text in "[a-c:=,.|0-9 \\-\\[\\]{}()\"'%\t\r\nµ–é\u{1b}]{0,60}", any in any::<String>()) {
        for output in [&text, &any] {
            for one in found(output) {
                let metric = LogMetric::new(&one.name, Direction::Minimise).with_unit(&one.unit);
                let read = metric.read(&Outcome::Completed(RunLog::saying(output.as_str())));
                prop_assert_eq!(read.map(|read| read.score.get()).ok(), Some(one.value + 0.0), "{} in {:?}", one.name, output);
            }
        }
    }
}
