//! Numbers from files, patterns, tools and the run itself, and several of them at once.

use crate::fixture::{Repository, WORK, text};

/// A repository whose run is a shell script and whose metric has these keys; `files` are committed beside the work.
fn with(script: &str, metric: &str, more: &str, files: &[(&str, &str)]) -> Repository {
    let config = format!(
        "editable = ['work.txt']\n[run]\ncommand = ['sh', '-c', '''\n{script}\n''']\n[metric]\nname = 'score'\ndirection = \
         'minimise'\n{metric}\n[ratchet]\n{more}"
    );
    let own = [("autoresearch.toml", config.as_str()), ("program.md", "# Lower the sum\n"), ("work.txt", WORK)];
    Repository::with(&[&own[..], files].concat())
}

/// Shell that leaves the sum of the constants in `$sum`.
const SUM: &str = r#"sum=$(awk '/^const/ { sub(";", "", $5); s += $5 } END { print s }' work.txt)"#;

#[test]
fn a_file_is_read_anew_in_each_trial_and_never_from_before() {
    let script = format!("{SUM}\nmkdir -p out\necho \"{{\\\"val\\\": {{\\\"loss\\\": $sum}}}}\" > out/result.json");
    let metric = "file = 'out/result.json'\npointer = '/val/loss'";
    let stale = [("out/result.json", "{\"val\": {\"loss\": -1000}}\n")];
    let repository = with(&script, metric, "rule = 'strict'", &stale);
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "6"]);
    assert!(said.contains("score was read from /val/loss in out/result.json"), "{said}");
    let rows = repository.rows();
    assert!(rows[0].starts_with("50.5"), "{rows:?}");
    assert!(repository.succeeds(&["report"]).contains("kept"));

    // A program that writes nothing leaves the committed file, which is none of its own.
    let silent = with("true", metric, "rule = 'strict'", &stale);
    let error = silent.fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(error.contains("the run wrote no file `out/result.json`"), "{error}");
    let pattern = with("true", "file = '**/*.json'\npointer = '/val/loss'", "rule = 'strict'", &stale);
    let error = pattern.fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(error.contains("the run wrote no file"), "a committed file that the run did not change: {error}");
}

#[test]
fn patterns_tools_and_quantities_are_read() {
    let strict = "rule = 'strict'";
    for (script, metric, value) in [
        ("echo score: 3; echo best of 10: 7", "pattern = '^best of \\d+: (?<value>\\S+)'", "7.0"),
        ("echo 'fib 20  time:   [26.029 us 26.251 us 26.505 us]'", "reader = 'criterion'\nunit = 'us'", "26.251"),
        ("echo any; exit 3", "quantity = 'exit_code'", "3.0"),
        ("echo any", "quantity = 'lines_of_code'", "3.0"),
        ("true", "quantity = 'binary_size'\nfiles = ['work.txt']\nunit = 'kB'", &format!("0.{:03}", WORK.len())),
        ("printf 'epoch 1: score: 5\\nepoch 2: score: 4\\nbest, score: 3\\n'", "which = 'min'", "3.0"),
        ("echo '2026-03-08 10:11:12 INFO Score = 1,234.5 ms'", "unit = 'ms'", "1234.5"),
        (
            "echo loss: 2; echo latency: 0.05 s",
            "composite = 'loss + latency/100ms'\n[metric.parts.latency]\nunit = 'ms'",
            "2.5",
        ),
    ] {
        let repository = with(script, metric, strict, &[]);
        repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
        let journal = repository.of_run("t", "journal.jsonl");
        assert!(journal.contains(&format!("\"score\":{value}")), "{metric}: {journal}");
        assert!(journal.contains("\"source\":\""), "{metric}");
    }
}

#[test]
fn a_number_in_doubt_ends_the_run_with_the_candidates() {
    let script = "echo 'train: score: 9'; echo 'val: score: 5'";
    let error = with(script, "", "rule = 'strict'", &[]).fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(error.contains("several numbers for score") && error.contains("val: score: 5"), "{error}");
    let error = with("echo loss: 3", "", "rule = 'strict'", &[]).fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(error.contains("no line `score: <number>`; it has: loss 3"), "{error}");
}

#[test]
fn keys_that_do_not_go_together_are_told_before_anything_runs() {
    for (metric, word) in [
        ("pattern = 'loss'", "(?<value>"),
        ("file = 'a.json'", "pointer"),
        ("pointer = '/a'", "needs the file"),
        ("file = '/tmp/a.json'\npointer = '/a'", "below the folder"),
        ("pattern = '(.*)'\nreader = 'criterion'", "both say where"),
        ("reader = 'criterium'", "criterion"),
        ("quantity = 'binary_size'", "files"),
        ("quantity = 'wall'\nwhich = 'min'", "which"),
        ("composite = 'loss + latency'\n[metric.parts.latency]\nunit = 'ms'", "different units"),
        ("composite = 'loss +'", "ends"),
        ("kind = 'items'\npattern = '(.*)'", "kind = 'number'"),
    ] {
        let repository = with("echo score: 1", metric, "rule = 'strict'", &[]);
        let error = repository.fails(&["run", "--tag", "t", "--experiments", "1"]);
        assert!(error.contains(word) && error.contains("autoresearch.toml"), "{metric}: {error}");
    }
    let without = with("echo score: 1", "", "rule = 'pareto'", &[]);
    let error = without.fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(error.contains("[ratchet.objectives]"), "{error}");
}

#[test]
fn a_front_keeps_what_gains_in_one_metric_and_the_report_shows_it() {
    // A lowers the score and costs memory: whatever A is, no candidate dominates another.
    let script =
        r#"awk '/^const A/ { sub(";", "", $5); a = $5 } END { print "score: " a; print "memory: " 100 - a }' work.txt"#;
    let rule =
        "rule = 'pareto'\nmin_gain = 0.5\n[ratchet.objectives]\nmemory = { direction = 'minimise', min_gain = 0.5 }";
    let repository = with(script, "", rule, &[]);
    let output = repository.run(&["run", "--tag", "t", "--experiments", "12"]);
    assert!(output.status.success(), "{}", text(&output));
    let kept = repository.of_run("t", "results.tsv").lines().filter(|line| line.contains("\tkeep\t")).count();
    assert!(kept >= 4, "{}", text(&output));
    let report = repository.succeeds(&["report"]);
    let (_, front) = report
        .split_once("## The front")
        .or_else(|| report.split_once("The front:"))
        .unwrap_or_else(|| panic!("{report}"));
    assert!(front.contains("memory"), "{front}");
    let verified = repository.succeeds(&["verify", "--config", "autoresearch.toml"]);
    assert!(verified.trim_end().ends_with("\nsound"), "{verified}");
    let journal = repository.of_run("t", "journal.jsonl");
    assert!(journal.contains("extends the front of") && journal.contains("\"comparison\":\"front\""), "{journal}");
}
