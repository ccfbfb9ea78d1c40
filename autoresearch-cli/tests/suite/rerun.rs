//! Measuring the incumbent again.

use crate::fixture::{Repository, wait_until};

#[test]
fn the_incumbent_can_be_measured_again() {
    let repository = Repository::new(0.0);
    repository.run(&["run", "--experiments", "6", "--tag", "t"]);
    let best =
        repository.rows().iter().rfind(|row| row.contains("keep")).unwrap().split('\t').next().unwrap().to_owned();
    let output = repository.run(&["rerun", "--tag", "t", "--times", "2", "--baseline"]);
    let pair = format!("baseline score: 50.500000\nscore: {best}\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), pair.repeat(2));
}

#[test]
fn a_run_that_goes_on_is_not_disturbed() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::new(2.0);
    repository.configure(|text| text + "[ratchet]\nrule = 'strict'\n");
    let go_on = |experiments| ["run", "--tag", "t", "--experiments", experiments, "--allow-dirty"];
    repository.succeeds(&go_on("1"));
    let mut running = repository.start(&go_on("2"));
    wait_until("the run does not go on", || {
        repository
            .of_run("t", "journal.jsonl")
            .lines()
            .any(|line| line.contains("\"type\":\"trial_started\"") && line.contains("\"experiment\":2"))
    });
    let said = repository.fails(&["rerun", "--tag", "t", "--times", "1"]);
    assert!(said.contains("in use") || said.contains("another") || said.contains("lock"), "{said}");
    assert!(running.wait().unwrap().success());
    // The row of experiment 2 is the score of its own files.
    let files = repository.git(&["show", "refs/autoresearch/t/exp/2:work.txt"]);
    let constants = files.lines().filter(|line| line.starts_with("const"));
    let sum: f64 = constants.map(|line| line.split(['=', ';']).nth(1).unwrap().trim().parse::<f64>().unwrap()).sum();
    let row = repository.rows().pop().unwrap();
    let score: f64 = row.split('\t').next().unwrap().parse().unwrap();
    assert!((score - sum).abs() < 0.01, "{row}: {files}");
}

#[test]
fn fresh_seeds_are_those_of_no_other_trial() {
    let repository =
        Repository::running("echo \"---\nscore: 1\nseed: $AUTORESEARCH_SEED\"", "[ratchet]\nrule = 'strict'\n");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
    repository.succeeds(&["rerun", "--tag", "t", "--times", "3", "--fresh-seeds"]);
    let logs = std::fs::read_dir(repository.folder.join(".autoresearch/t/logs")).unwrap();
    let (mut own, mut fresh) = (Vec::new(), Vec::new());
    for path in logs.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let seeds = text.lines().filter_map(|line| line.strip_prefix("seed: ")).map(str::to_owned);
        let again = path.file_stem().unwrap().to_string_lossy().contains('-');
        if again { fresh.extend(seeds) } else { own.extend(seeds) }
    }
    assert!(fresh.len() == 3 && own.len() >= 3, "{fresh:?} {own:?}");
    assert!(fresh.iter().all(|seed| !own.contains(seed) && fresh.iter().filter(|other| *other == seed).count() == 1));
}
