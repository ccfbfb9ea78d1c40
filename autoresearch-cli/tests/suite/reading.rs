//! The commands that read a run: their texts, their JSON, and their exit codes.

use serde_json::Value;

use crate::fixture::{Repository, send, text, wait_until};

const STRICT: &str = "[ratchet]\nrule = 'strict'\n";

/// A repository with a finished run `t` of this many experiments.
pub fn finished(experiments: &str) -> Repository {
    let repository = Repository::running(crate::fixture::PRINT_SUM, STRICT);
    repository.succeeds(&["run", "--tag", "t", "--experiments", experiments]);
    repository
}

/// The JSON that a command answers with, which is valid under its schema.
pub fn answer(repository: &Repository, name: &str, arguments: &[&str]) -> Value {
    let output = repository.run(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", text(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema: Value = serde_json::from_str(&repository.succeeds(&["schema", name])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{arguments:?}: {wrong:?}\n{answer:#}");
    // Every field is in the book.
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let page = std::fs::read_to_string(page).unwrap();
    for field in fields(&schema) {
        assert!(page.contains(&format!("`{field}`")), "docs/json.md does not name `{field}` of {name}");
    }
    assert_eq!(answer["version"], 1, "{arguments:?}");
    answer
}

/// The names of all properties of a schema.
fn fields(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match schema {
        Value::Object(map) => {
            for (name, value) in map {
                if let ("properties", Value::Object(properties)) = (name.as_str(), value) {
                    found.extend(properties.keys().cloned());
                }
                found.extend(fields(value));
            }
        }
        Value::Array(values) => found.extend(values.iter().flat_map(fields)),
        _ => {}
    }
    found
}

#[test]
fn a_run_that_kept_nothing_has_no_gain() {
    // The incumbent gets better from trial to trial, and every change is worse.
    let script = "test $(awk '/^const A/ { sub(\";\", \"\", $5); print $5 }' work.txt) = 50 || { echo score: 20; exit; }\n\
                  echo >> {cache}/trials\nawk 'END { print \"score: \" 10 - NR / 100 }' {cache}/trials";
    let repository = Repository::running(script, "[ratchet]\nremeasure_every = 1\n");
    repository.write("work.txt", "const A: i64 = 50; // knob: int 1..99\n");
    repository.commit("one constant");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "4"]);
    let again = repository.of_run("t", "journal.jsonl").matches(r#""type":"health_checked""#).count();
    assert!(again > 0 && said.contains(": 0 kept, 4 discarded"), "the baseline is measured {again} times more: {said}");
    let status = answer(&repository, "status", &["status", "--json"]);
    let report = answer(&repository, "report", &["report", "--json"]);
    let best = answer(&repository, "best", &["best", "--json"]);
    for (whole, name) in [(&status, "best"), (&report, "best"), (&best, "score")] {
        assert_eq!((&whole["baseline"], &whole[name]), (&status["baseline"], &status["baseline"]), "{whole:#}");
    }
    assert_eq!(best["gain"], 0.0);
    let score = format!("{:.6}", status["baseline"].as_f64().unwrap());
    let same = format!("score {score} -> {score}, +0.00%");
    assert!(said.contains(&same) && repository.succeeds(&["report"]).contains(&same), "{same}: {said}");
    assert!(repository.succeeds(&["best"]).contains(&format!("score: {score} -> {score} by 0 kept changes")));
}

#[test]
fn a_report_that_cannot_be_written_is_printed() {
    let repository = finished("2");
    let picture = repository.folder.join(".autoresearch/t/progress.svg");
    std::fs::remove_file(&picture).unwrap();
    // Nobody writes a file where a folder is.
    std::fs::create_dir(&picture).unwrap();
    let output = repository.run(&["report"]);
    let (printed, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("2 experiments: "), "{}", text(&output));
    assert!(warned.starts_with("warning: the report is printed and not written: cannot draw "), "{warned}");
}

#[test]
fn a_finished_run_is_read_in_words_and_as_json() {
    let repository = finished("6");
    let said = repository.succeeds(&["status"]);
    for part in
        ["run t: stopped: all 6 experiments are done", "metric: score, lower is better", "best: ", "so far: 6 exp"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let status = answer(&repository, "status", &["status", "--json"]);
    assert_eq!((&status["activity"], &status["totals"]["experiments"]), (&"stopped".into(), &6.into()));

    let all = answer(&repository, "log", &["log", "--json"]);
    let all = all["experiments"].as_array().unwrap();
    assert_eq!(all.len(), 7);
    let kept = answer(&repository, "log", &["log", "--json", "--kept"]);
    let kept = kept["experiments"].as_array().unwrap();
    assert!(kept.len() > 1 && kept.iter().all(|made| made["status"] == "keep"), "{kept:?}");
    assert_eq!(answer(&repository, "log", &["log", "--json", "--since", "3"])["experiments"][0]["experiment"], 3);
    assert_eq!(repository.succeeds(&["log", "--limit", "2"]).lines().count(), 2);
    assert_eq!(repository.succeeds(&["log", "--crashed"]), "");

    let last_kept = kept.last().unwrap()["experiment"].to_string();
    let said = repository.succeeds(&["show", &last_kept]);
    assert!(said.contains("decision: keep (") && said.contains("trials: ") && said.contains("log: "), "{said}");
    let shown = answer(&repository, "show", &["show", &last_kept, "--json"]);
    assert_eq!(shown["detail"]["change"]["edits"][0]["path"], "work.txt");

    let diff = repository.succeeds(&["diff", &last_kept]);
    assert!(
        diff.contains("--- a/work.txt\n+++ b/work.txt\n") && diff.contains("\n-const ") && diff.contains("\n+const ")
    );
    let whole = answer(&repository, "diff", &["diff", "--json"]);
    let by_number = answer(&repository, "diff", &["diff", "0", &last_kept, "--json"]);
    assert_eq!(whole["diff"], by_number["diff"], "the last keep is the best");

    let best = answer(&repository, "best", &["best", "--json"]);
    assert_eq!(best["experiment"]["experiment"].to_string(), last_kept);
    assert!(best["gain"].as_f64().unwrap() > 0.0 && best["score"].as_f64() < best["baseline"].as_f64(), "{best}");
    let tip = repository.git(&["rev-parse", "autoresearch/t"]);
    assert!(repository.succeeds(&["best"]).contains(tip.trim()));

    assert_eq!(repository.succeeds(&["export", "--format", "tsv"]), repository.of_run("t", "results.tsv"));
    let csv = repository.succeeds(&["export", "--format", "csv"]);
    assert!(csv.starts_with("experiment,status,score,before,gain,description,") && csv.lines().count() == 8, "{csv}");
    assert_eq!(answer(&repository, "log", &["export"])["experiments"].as_array().unwrap().len(), 7);
    answer(&repository, "gc", &["gc", "--json"]);
    assert_eq!(answer(&repository, "verify", &["verify", "--json"])["violations"], 0);
    let report = answer(&repository, "report", &["report", "--json"]);
    assert_eq!((&report["totals"], &report["best"]), (&status["totals"], &best["score"]));
}

#[test]
fn exit_codes_are_stable() {
    let empty = Repository::new(0.0);
    let code = |repository: &Repository, arguments: &[&str]| repository.run(arguments).status.code();
    for arguments in [&["status"][..], &["log"], &["best"], &["export"], &["stop"], &["hint", "x"], &["apply"]] {
        assert_eq!(code(&empty, arguments), Some(3), "{arguments:?}: there is no run");
        assert_eq!(code(&empty, &[arguments, &["--tag", "x"]].concat()), Some(3), "{arguments:?}");
    }
    let repository = finished("1");
    for (arguments, expected) in [
        (&["status"][..], 0),
        (&["log", "--kept"], 0),
        (&["show", "9"], 3),
        (&["diff", "9"], 3),
        (&["stop"], 3),
        (&["stop", "--tag", "t", "--now"], 3),
        (&["schema", "nonsense"], 1),
        (&["hint", " "], 1),
        (&["show"], 2),
        (&["log", "--limit", "x"], 2),
        (&["no-such-command"], 2),
        (&["--help"], 0),
    ] {
        assert_eq!(code(&repository, arguments), Some(expected), "{arguments:?}");
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exit-codes.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!([0, 1, 2, 3, 130].iter().all(|code| page.contains(&format!("\n| {code} |"))), "{page}");
}

#[test]
fn a_run_in_progress_is_read_without_its_lock() {
    let repository = Repository::running(&format!("sleep 0.3\n{}", crate::fixture::PRINT_SUM), STRICT);
    let mut child = repository.start(&["run", "--tag", "t", "--experiments", "30"]);
    wait_until("no experiment", || repository.of_run("t", "results.tsv").lines().count() > 2);
    let status = answer(&repository, "status", &["status", "--json"]);
    assert_eq!((&status["activity"], &status["limits"]["experiments"]), (&"running".into(), &30.into()), "{status}");
    assert!(status["experiments_left"].as_u64().unwrap() < 30 && status["seconds_left"].as_f64().unwrap() > 0.0);
    assert_eq!(status["pid"], child.id());
    let said = repository.succeeds(&["status"]);
    assert!(said.contains("run t: running since") && said.contains("left: "), "{said}");
    assert!(repository.succeeds(&["log"]).lines().count() >= 2);
    // A record that is just being written.
    let copy = repository.folder.join(".autoresearch/torn");
    std::fs::create_dir(&copy).unwrap();
    let journal = repository.of_run("t", "journal.jsonl");
    std::fs::write(copy.join("journal.jsonl"), &journal[..journal.trim_end().len() - 7]).unwrap();
    answer(&repository, "log", &["log", "--json", "--tag", "torn"]);
    // A watcher ends with the run.
    let mut watcher = repository.start(&["status", "--watch", "--tag", "t"]);
    send("-INT", &child);
    assert_eq!((child.wait().unwrap().code(), watcher.wait().unwrap().code()), (Some(130), Some(0)));
}

#[test]
fn quiet_leaves_the_results_alone() {
    let repository = Repository::running(crate::fixture::PRINT_SUM, STRICT);
    let said = repository.succeeds(&["run", "--quiet", "--tag", "t", "--experiments", "2"]);
    assert!(said.starts_with("2 experiments: ") && !said.contains("report:") && !said.contains("baseline:"), "{said}");
    let loud = repository.succeeds(&["report"]);
    assert!(loud.contains("report: ") && !repository.succeeds(&["report", "-q"]).contains("report: "), "{loud}");
    assert!(!repository.succeeds(&["log"]).contains('\u{1b}'), "a pipe gets no colours");
}
