use super::*;
use crate::metric::MetricError;

fn value(output: &str, name: &str) -> Result<f64, MetricError> {
    read(output, name, "", None).map(|reading| reading.value)
}

#[test]
fn a_training_log_gives_its_last_epoch() {
    let log = "epoch 1: loss: 2.0, val_loss: 1.5\nepoch 2: loss: 1.0, val_loss: 1.2 (new best)\nsaved\n";
    assert_eq!(value(log, "val_loss"), Ok(1.2));
    assert_eq!(value(log, "loss"), Ok(1.0));
    let reading = read(log, "val_loss", "", None).unwrap();
    assert!(reading.source.contains("line 2") && reading.source.contains("last of 2"), "{}", reading.source);
}

#[test]
fn lines_of_different_words_must_agree() {
    for log in [
        "train loss, loss: 0.9\nvalidation, loss: 0.5\n",
        "Train:\nloss: 0.9\nValidation:\nloss: 0.5\n",
        "train:\n  loss: 0.9\nval:\n  loss: 0.5\n",
        "[train]\nloss = 0.9\n[val]\nloss = 0.5\n",
        "loss: 0.9 (train)\nloss: 0.5 (val)\n",
        "Loss: 0.9\nloss: 0.5\n",
        "{\"split\": \"train\", \"loss\": 0.9}\n{\"split\": \"val\", \"loss\": 0.5}\n",
        "[rank0]: loss: 0.9\n[rank1]: loss: 0.5\n",
        "| model | loss |\n|---|---|\n| small | 0.9 |\n| large | 0.5 |\n",
        "loss: 0.9 | loss: 0.5\n",
    ] {
        let error = value(log, "loss").unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, MetricError::Ambiguous { .. }), "{log}: {told}");
        assert!(told.contains("0.9") && told.contains("0.5") && told.contains("which ="), "{told}");
        assert_eq!(read(log, "loss", "", Some(Which::Min)).map(|reading| reading.value), Ok(0.5), "{log}");
    }
    assert_eq!(value("train:\n  loss: 0.9\nval:\n  loss: 0.5\n", "val.loss"), Ok(0.5));
    assert_eq!(value("epoch 3: loss: 0.42\nfinal, loss: 0.4213\n", "loss"), Ok(0.4213), "the same, with more digits");
}

#[test]
fn a_progress_bar_gives_way_to_a_line_that_stays() {
    assert_eq!(value("\rstep 1 loss: 3.0\rstep 2 loss: 2.0\rdone\nfinally, loss: 0.5\n", "loss"), Ok(0.5));
    assert_eq!(value("\rstep 1 loss: 3.0\rstep 2 loss: 2.0\rdone\n", "loss"), Ok(2.0));
}

#[test]
fn a_unit_that_changes_is_converted_or_refused() {
    assert!(value("time: 1.2 s\n", "time").unwrap_err().to_string().contains("unit = \"s\""));
    let in_ms = |log: &str| read(log, "time", "ms", None).map(|reading| reading.value);
    assert_eq!(
        (in_ms("time: 1.2 s\n"), in_ms("time: 980 ms\n"), in_ms("time: 980\n")),
        (Ok(1200.0), Ok(980.0), Ok(980.0))
    );
    assert!(in_ms("time: 3 MB\n").is_err());
    assert_eq!(value("accuracy: 95.5%\n", "accuracy"), Ok(95.5));
}

/// Comparing each with all others would take minutes.
#[test]
fn hundreds_of_thousands_of_other_names_are_answered() {
    let log: String = (0..300_000).map(|number| format!("k{number}: {number}\n")).collect();
    let told = value(&log, "k299999").map_err(|error| error.to_string());
    assert_eq!(told, Ok(299_999.0));
    let told = value(&log, "score").unwrap_err().to_string();
    assert!(told.contains(", and 4088 more"), "{told}");
}

#[test]
fn what_was_seen_is_listed_with_the_nearest_names_first() {
    let error = value("epoch 1: val_loss: 0.5, accuracy: 0.9, lr=0.001\n", "loss").unwrap_err().to_string();
    let place = |name: &str| error.find(name).unwrap_or(usize::MAX);
    assert!(place("val_loss 0.5") < place("accuracy 0.9") && error.contains("line 1"), "{error}");
    assert!(value("nothing\n", "loss").unwrap_err().to_string().contains("no line `loss"));
}
