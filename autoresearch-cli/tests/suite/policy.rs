//! Settings that decide the number, when a run goes on.

use crate::fixture::{Repository, send, text, wait_until};

const ENVIRONMENT: &str = "[environment]\nTHREADS = '8'\n[ratchet]\nrule = 'strict'\n";

#[test]
fn what_differs_is_told_key_by_key() {
    let repository = Repository::running("echo ---; echo score: 1", ENVIRONMENT);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let before = std::fs::read_to_string(repository.config()).unwrap();
    repository.configure(|text| {
        text.replace("[run]\n", "[run]\nlimit_seconds = 40\n")
            .replace("name = 'score'", "name = 'score'\nunit = 'points'")
    });
    let go_on = ["run", "--tag", "t", "--experiments", "2"];
    let said = repository.fails(&[&go_on[..], &["--allow-dirty"]].concat());
    for line in ["\n  metric.unit: nothing then, \"points\" now\n", "\n  run.limit_seconds: 600.0 then, 40.0 now\n"] {
        assert!(said.contains(line), "{said}");
    }
    let verified = repository.fails(&["verify", "--config", "autoresearch.toml"]);
    assert!(verified.contains("run.limit_seconds: 600.0 then, 40.0 now"), "{verified}");
    // Another way to write the same is the same.
    let same = before.replace("'minimise'", "'minimize'").replace("[run]\n", "[run]\nlimit_seconds = 600.0\n");
    repository.configure(|_| same.clone());
    repository.succeeds(&go_on);
}

#[test]
fn the_variable_that_wins_decides_not_the_one_that_is_written() {
    let repository = Repository::running("echo ---; echo score: $THREADS", ENVIRONMENT);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let go_on = ["run", "--tag", "t", "--experiments", "2"];
    let output = repository.command(&go_on).env("THREADS", "4").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("environment.THREADS: \"8\" then, \"4\" now"), "{}", text(&output));
    // The same value from outside is the same.
    let output = repository.command(&go_on).env("THREADS", "8").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn nothing_binds_a_run_whose_baseline_was_never_measured() {
    let repository = Repository::running("echo no number", "[ratchet]\nrule = 'strict'\n");
    let command = ["run", "--tag", "t", "--experiments", "1"];
    let said = repository.fails(&command);
    assert!(said.contains("the baseline gave no number"), "{said}");
    // The program is mended in the repository, and its limit in the configuration.
    repository.configure(|text| text.replace("echo no number", crate::fixture::PRINT_SUM));
    repository.configure(|text| text.replace("[metric]", "limit_seconds = 50\n[metric]"));
    repository.write("work.txt", "const A: i64 = 7; // knob: int 1..99\n");
    repository.commit("mended");
    let said = repository.succeeds(&command);
    assert!(said.contains("baseline; 7.000000; baseline; KEPT"), "{said}");
    assert!(said.contains("begins anew with the last commit"), "{said}");
    assert_eq!(repository.of_run("t", "journal.jsonl").matches("\"type\":\"started\"").count(), 2);
    let verified = repository.succeeds(&["verify"]);
    assert!(verified.ends_with("\nsound\n"), "{verified}");
    // From then on it is bound.
    repository.configure(|text| text.replace("limit_seconds = 50", "limit_seconds = 60"));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2", "--allow-dirty"]);
    assert!(said.contains("run.limit_seconds: 50.0 then, 60.0 now"), "{said}");
}

#[test]
fn a_baseline_that_ends_midway_binds_nothing() {
    for signal in ["-KILL", "-INT"] {
        // Several trials of the baseline are the default.
        let repository = Repository::new(1.0);
        let mut child = repository.start(&["run", "--tag", "t", "--experiments", "1"]);
        let journal = || repository.of_run("t", "journal.jsonl");
        wait_until("no trial of the baseline ends", || journal().contains("\"type\":\"trial_measured\""));
        send(signal, &child);
        child.wait().unwrap();
        assert!(!journal().contains("\"type\":\"decided\""), "{signal} came in the middle");
        repository.configure(|text| text.replace("sleep 1\n", "").replace("[metric]", "limit_seconds = 50\n[metric]"));
        repository.write("work.txt", "const A: i64 = 7; // knob: int 1..99\n");
        repository.commit("changed");
        let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
        assert!(said.contains("begins anew with the last commit"), "{signal}: {said}");
        assert!(said.contains("baseline; 7.000000; baseline; KEPT"), "{signal}: {said}");
        let verified = repository.succeeds(&["verify"]);
        assert!(verified.ends_with("\nsound\n"), "{signal}: {verified}");
    }
}
