//! Tables that were written by hand.

use crate::fixture::{Repository, text};

#[test]
fn a_table_written_by_hand_is_imported_and_only_reported() {
    let repository = Repository::new(0.0);
    // A run that an import must not stand in the way of.
    assert!(repository.run(&["run", "--experiments", "1", "--tag", "own"]).status.success());
    let table = "SHA\tscore\tresult\tnotes\r\n\
        aaaaaaa\t50.5\tKEEP\tas it is\r\n\
        bbbbbbb\t40\tkept\tless of it\r\n\
        ccccccc\t41\tkeep*\tsimpler\r\n\
        ddddddd\t\tOOM\tmore of it\r\n\
        eeeeeee\t39\tperhaps\tunsure\r\n\
        fffffff\t45\treverted\tthe other way\r\n";
    std::fs::write(repository.folder.join("mine.tsv"), table).unwrap();

    let output = repository.run(&["import", "mine.tsv", "--direction", "minimise"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("experiments: 5; problems: 1; metric: score, lower is better"), "{}", text(&output));
    assert!(text(&output).contains("line 6: the status `perhaps`"), "{}", text(&output));
    let again = repository.run(&["import", "mine.tsv", "--direction", "minimise"]);
    assert!(!again.status.success() && text(&again).contains("there is a run mine already"), "{}", text(&again));

    let report = repository.run(&["report", "--tag", "mine"]);
    assert!(report.status.success(), "{}", text(&report));
    assert!(text(&report).contains("4 experiments: 2 kept, 1 discarded, 1 crashed"), "{}", text(&report));
    assert!(
        text(&report).contains(
            "Decisions that strict improvement would not have made:\n\
             - 002 simpler: 40.000000 -> 41.000000, KEPT (worse by 1.000000)\n\n"
        ),
        "{}",
        text(&report)
    );
    let folder = repository.folder.join(".autoresearch/mine");
    for file in ["report.md", "progress.png", "progress.svg", "results.tsv"] {
        assert!(folder.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5, "nothing else is left");

    for command in ["run", "rerun"] {
        let refused = repository.run(&[command, "--tag", "mine"]);
        assert!(!refused.status.success(), "{}", text(&refused));
        assert!(text(&refused).contains("the run mine was imported, it can only be reported"), "{}", text(&refused));
    }
    let on = repository.run(&["run", "--experiments", "2"]);
    assert!(text(&on).contains("run: own "), "the run without a name goes on with one's own: {}", text(&on));

    // Nothing is guessed, and nothing is left of what failed.
    let asked = repository.fails(&["import", "mine.tsv", "--tag", "other"]);
    assert!(asked.contains("whether lower or higher `score` is better; give --direction"), "{asked}");
    repository.write("empty.tsv", "commit\tdescription\na\tx\n");
    let empty = repository.fails(&["import", "empty.tsv", "--direction", "minimise"]);
    assert!(empty.contains("without a column of numbers"), "{empty}");
    repository.write("prose.txt", "No table.\n");
    let unknown = repository.fails(&["import", "prose.txt"]);
    assert!(
        unknown.contains("known are") && unknown.contains("Optuna") && unknown.contains("ShinkaEvolve"),
        "{unknown}"
    );
    for tag in ["other", "empty", "prose"] {
        assert!(!repository.folder.join(".autoresearch").join(tag).exists(), "{tag}");
    }
}

#[test]
fn whatever_a_table_says_is_imported_reported_and_drawn() {
    let repository = Repository::new(0.0);
    let (long, many) = ("d".repeat(100_000), "c".repeat(10_000));
    let rows = [
        format!("{many}\t1e308\t1e308\tkeep\tbaseline"),
        "HEAD\t-1e308\tnan\tkeep\ta \u{1b}]52;c;aGVsbG8=\u{7}\u{1b}[2J title\u{202e}".into(),
        format!("--output=pwned\t-1.7e308\t-5\tkeep\t{long}"),
        "x\tnan\t0\tkeep\tno number".into(),
    ];
    repository.write("odd.tsv", &format!("commit\tscore\tmemory_gb\tstatus\tdescription\n{}\n", rows.join("\n")));
    let said = repository.succeeds(&["import", "odd.tsv", "--direction", "minimise"]);
    assert!(said.contains("experiments: 3; problems: 1"), "{said}");
    let said = repository.succeeds(&["report", "--tag", "odd"]) + &repository.of_run("odd", "results.tsv");
    assert!(said.contains("a title") && !said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    assert!(said.len() < 5000, "one row cannot fill the screen: {}", said.len());
    repository.succeeds(&["verify", "--tag", "odd"]);
    repository.fails(&["diff", "2", "--tag", "odd"]);
    assert!(!repository.folder.join("pwned").exists());
}

#[test]
fn an_imported_run_is_the_past_of_a_proposer() {
    let agent = "n=$(cat n.txt)\necho $((n - 1)) > n.txt\necho '{\"description\": \"less\", \"hypothesis\": \"\"}'\n";
    let config = format!(
        "editable = ['n.txt']\n[run]\ncommand = ['sh', '-c', 'echo \"score: $(cat n.txt)\"']\n[metric]\nname = 'score'\n\
         direction = 'minimise'\n[ratchet]\nrule = 'strict'\n[proposer]\nkind = 'agent'\ncommand = ['sh', '-c', '''\n{agent}''']\n\
         key = 'login'\n"
    );
    let repository =
        Repository::with(&[("autoresearch.toml", &config), ("program.md", "# Lower it\n"), ("n.txt", "50\n")]);
    let table =
        "commit\tscore\tstatus\tdescription\na\t50\tkeep\tbaseline\nb\t40\tkeep\tless of it\nc\t\tcrash\tnone of it\n";
    std::fs::write(repository.folder.join("old.tsv"), table).unwrap();
    repository.succeeds(&["import", "old.tsv", "--direction", "minimise"]);
    let asked = |arguments: &[&str]| repository.succeeds(&[&["run", "--tag", "t", "--dry-run"], arguments].concat());
    assert!(!asked(&[]).contains("What was tried before"));
    let said = asked(&["--history", "old"]);
    for part in [
        "# What was tried before",
        "The run old tried",
        "keep: 40.000000, better by 10.000000: less of it",
        "crash: no number: none of it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1", "--history", "old"]);
    // The run goes on with it, whatever becomes of the other one.
    std::fs::remove_dir_all(repository.folder.join(".autoresearch/old")).unwrap();
    assert!(asked(&[]).contains("keep: 40.000000, better by 10.000000: less of it"));
    repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
    let missing = repository.run(&["run", "--tag", "t", "--history", "old"]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
    repository.configure(|text| text.split("[proposer]").next().unwrap().to_owned());
    let searcher = repository.fails(&["run", "--tag", "u", "--history", "t", "--allow-dirty"]);
    assert!(searcher.contains("--history is shown to models and agents"), "{searcher}");
}
