//! A run from its start to its report.

use std::process::Command;

use crate::fixture::{Repository, text};

#[test]
fn a_run_ends_with_a_report_and_is_the_same_by_seed() {
    let runs: Vec<Vec<String>> = (0..2)
        .map(|_| {
            let repository = Repository::new(0.0);
            let output = repository.run(&["run", "--experiments", "12"]);
            assert!(output.status.success(), "{}", text(&output));
            assert!(
                text(&output).contains("12 experiments:") && text(&output).contains("report: "),
                "{}",
                text(&output)
            );
            let run = repository.only_run();
            for file in ["report.md", "progress.png", "progress.svg", "results.tsv", "journal.jsonl", "logs/0000.log"] {
                assert!(run.join(file).metadata().unwrap().len() > 0, "{file}");
            }
            assert_eq!(repository.git(&["status", "--porcelain"]), "", "the run's folder is invisible to git");
            repository.rows()
        })
        .collect();
    assert_eq!(runs[0].len(), 13);
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].iter().skip(1).any(|row| row.contains("keep")), "{:?}", runs[0]);
}

#[test]
fn a_run_by_a_portfolio_is_replayed_with_the_same_decisions() {
    let repository = Repository::new(0.0);
    let config = repository.config();
    let before = std::fs::read_to_string(&config).unwrap();
    let portfolio = "[proposer]\nkind = 'portfolio'\n[proposer.members.estimator]\nkind = 'knobs'\nstrategy = 'tpe'\n\
                     [proposer.members.steps]\nkind = 'knobs'\n[proposer.members.merge]\nkind = 'merge'\nmargin = 1.0\n";
    let replay = "[proposer]\nkind = 'replay'\njournal = '.autoresearch/first/journal.jsonl'\n";
    let mut runs = Vec::new();
    for (tag, proposer, experiments) in [("first", portfolio, "10"), ("again", replay, "100")] {
        std::fs::write(&config, format!("{before}{proposer}")).unwrap();
        let output = repository.run(&["run", "--tag", tag, "--experiments", experiments, "--allow-dirty"]);
        assert!(output.status.success(), "{}", text(&output));
        let folder = repository.folder.join(".autoresearch").join(tag);
        let rows = std::fs::read_to_string(folder.join("results.tsv")).unwrap();
        runs.push(rows.lines().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect::<Vec<_>>());
        let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
        assert!(
            ["steps", "estimator"].iter().all(|name| journal.contains(&format!("\"proposer\":\"{name}\""))),
            "{tag}"
        );
    }
    assert_eq!(runs[0].len(), 12, "the header, the baseline and ten experiments");
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let repository = Repository::new(0.0);
    for arguments in [&["run", "--experiments", "2", "--tag", "t"][..], &["report", "--tag", "t"], &["verify"]] {
        let mut command = repository.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stderr(writer.try_clone().unwrap()).stdout(writer);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_continued_is_said() {
    let repository = Repository::new(0.0);
    assert!(repository.run(&["run", "--experiments", "1", "--tag", "t"]).status.success());
    let again = repository.run(&["run", "--experiments", "1", "--tag", "t"]);
    assert!(!again.status.success() && text(&again).contains("the run t is complete"), "{}", text(&again));
    let seed = repository.run(&["run", "--experiments", "2", "--tag", "t", "--seed", "1"]);
    assert!(!seed.status.success() && text(&seed).contains("seed: 42 then, 1 now"), "{}", text(&seed));
    let missing = repository.run(&["report", "--tag", "nothing"]);
    assert!(
        !missing.status.success() && text(&missing).contains("the runs of this repository are: t"),
        "{}",
        text(&missing)
    );
    let outside = Command::new(env!("CARGO_BIN_EXE_autoresearch")).arg("report").current_dir("/").output().unwrap();
    assert!(!outside.status.success() && text(&outside).contains("git init"), "{}", text(&outside));
}
