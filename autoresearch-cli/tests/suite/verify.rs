//! Checking that a run is valid.

use std::process::Stdio;

use crate::fixture::{Repository, text};

#[test]
fn a_run_is_verified_and_each_fault_has_its_words() {
    let repository = Repository::new(0.0);
    assert!(repository.run(&["run", "--experiments", "5", "--tag", "t"]).status.success());
    let before = repository.git(&["for-each-ref"]);
    let verify = |tag: &str| repository.run(&["verify", "--tag", tag]);
    let sound = || {
        let output = verify("t");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let broken = |words: &[&str]| {
        let output = verify("t");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(words.iter().all(|word| text(&output).contains(word)), "{words:?}: {}", text(&output));
    };
    let said = sound();
    for words in [
        "records, 5 experiments: sound\n",
        "repository: 6 candidates, ",
        "git fsck: sound\n",
        "results.tsv: 6 rows: sound\n",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.ends_with("\nsound\n"), "{said}");
    assert_eq!(repository.git(&["for-each-ref"]), before);
    assert!(text(&repository.run(&["verify"])).ends_with("\nsound\n"), "the latest run");

    let run = repository.folder.join(".autoresearch/t");
    let (journal, table) = (run.join("journal.jsonl"), run.join("results.tsv"));
    let whole = std::fs::read(&journal).unwrap();
    let third = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    let mut flipped = whole.clone();
    flipped[third + 40] ^= 1;
    std::fs::write(&journal, flipped).unwrap();
    broken(&["journal: not readable: 1 violation\n", "line 4 of ", "is damaged", "not checked", "\n1 violation\n"]);
    std::fs::write(&journal, &whole[..whole.len() - 5]).unwrap();
    assert!(sound().contains("note: journal: its last line is torn"));
    std::fs::write(&journal, &whole).unwrap();

    let branch = "refs/heads/autoresearch/t";
    let tip = repository.git(&["rev-parse", branch]);
    repository.git(&["update-ref", branch, "HEAD"]);
    broken(&[
        "branch autoresearch/t: 1 violation\n",
        "repository: the branch refs/heads/autoresearch/t is at",
        tip.trim(),
    ]);
    repository.git(&["update-ref", branch, tip.trim()]);

    let pin = "refs/autoresearch/t/exp/2";
    let candidate = repository.git(&["rev-parse", pin]);
    repository.git(&["update-ref", "-d", pin]);
    broken(&["the candidate of experiment 2 is not pinned", "\n1 violation\n"]);
    repository.git(&["update-ref", pin, candidate.trim()]);

    let rows = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, rows.replacen("50.500000", "10.500000", 1)).unwrap();
    broken(&["results.tsv: 6 rows: 1 violation\n", "results.tsv: line 2 is `", "the next run writes it anew\n"]);
    let last = rows.trim_end().rfind('\n').unwrap();
    std::fs::write(&table, &rows[..=last]).unwrap();
    assert!(sound().contains("note: results.tsv: the last decision is missing"));
    std::fs::write(&table, &rows).unwrap();
    sound();

    std::fs::write(repository.folder.join("mine.tsv"), "aaaaaaa\t5\t1\tkeep\tas it is\n").unwrap();
    assert!(repository.run(&["import", "mine.tsv", "--direction", "minimise"]).status.success());
    let imported = verify("mine");
    assert!(imported.status.success(), "{}", text(&imported));
    assert!(text(&imported).contains("repository: imported: no commits to check\n"), "{}", text(&imported));
    let missing = verify("nothing");
    assert!(!missing.status.success() && text(&missing).contains("there is no run nothing"), "{}", text(&missing));
}

#[test]
fn a_run_that_goes_on_is_sound() {
    let repository = Repository::new(0.05);
    let experiments = test_fixtures::by_default_or_thorough(8, 20).to_string();
    let mut running = repository.command(&["run", "--experiments", &experiments, "--tag", "t"]);
    let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = repository.folder.join(".autoresearch/t/journal.jsonl");
    let mut checks = 0;
    while running.try_wait().unwrap().is_none() {
        if journal.exists() {
            let output = repository.run(&["verify", "--tag", "t"]);
            assert!(output.status.success(), "{}", text(&output));
            checks += 1;
        }
    }
    assert!(checks > 2, "{checks}");
    assert!(repository.run(&["verify"]).status.success());
}

#[test]
fn a_line_of_somebody_else_is_named_and_set_aside_with_a_copy() {
    let repository = Repository::new(0.0);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let path = repository.folder.join(".autoresearch/t/journal.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = whole.split_inclusive('\n').collect();
    lines.insert(3, "{\"forged\": true}\n");
    std::fs::write(&path, lines.concat()).unwrap();

    let said = repository.fails(&["verify", "--tag", "t"]);
    assert!(said.contains("line 4 is no record, something else than the lab wrote it"), "{said}");
    assert!(repository.succeeds(&["report", "--tag", "t"]).contains("50.5"), "the run can be read");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(said.contains("line 4 of ") && said.contains("verify --set-aside"), "{said}");
    let said = repository.succeeds(&["verify", "--tag", "t", "--set-aside"]);
    assert!(said.contains("set aside: the journal as it was is ") && said.ends_with("sound\n"), "{said}");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(repository.succeeds(&["verify", "--tag", "t"]).ends_with("sound\n"));
    assert!(std::fs::read_to_string(path.with_extension("with-foreign-lines-1")).unwrap().contains("forged"));
}
