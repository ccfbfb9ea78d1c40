//! The sealed holdout.

use crate::fixture::{Repository, text};

#[test]
fn a_holdout_stays_sealed_until_it_is_opened_and_each_opening_is_remembered() {
    let repository = Repository::new(0.0);
    let config = repository.config();
    let seen = repository.root().join("seen");
    let config_before = std::fs::read_to_string(&config).unwrap();
    let holdout = format!(
        "[holdout]\nenvironment = {{ HOLDOUT_DATA = '1000' }}\ncommand = ['sh', '-c', \"\"\"\n\
         echo opened >> {}\n\
         echo ---\n\
         awk -v more=$HOLDOUT_DATA '/^const/ {{ sub(\";\", \"\", $5); s += $5 }} END {{ print \"score: \" s + more }}' work.txt\n\
         \"\"\"]\n",
        seen.display()
    );
    // A run that reads its own variables would crash here if it had that of the holdout.
    let guarded = config_before.replace("echo ---", "test -z \"$HOLDOUT_DATA\" || exit 9\necho ---");
    std::fs::write(&config, format!("{guarded}{holdout}")).unwrap();
    let output = repository.run(&["run", "--tag", "t", "--experiments", "6", "--allow-dirty"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!seen.exists(), "the run never ran it");
    let sealed = text(&repository.run(&["report"]));
    assert!(!sealed.contains("holdout"), "{sealed}");

    let opened = repository.run(&["report", "--open-holdout"]);
    assert!(opened.status.success(), "{}", text(&opened));
    assert_eq!(std::fs::read_to_string(&seen).unwrap().lines().count(), 2, "the baseline and the incumbent");
    let shown = text(&opened);
    assert!(shown.contains("The holdout was opened once") && shown.contains("after experiment 6"), "{shown}");
    assert!(
        shown.contains("score on the holdout: 1050.500000 -> ") && shown.contains("own score: 50.500000 -> "),
        "{shown}"
    );
    let report = std::fs::read_to_string(repository.only_run().join("report.md")).unwrap();
    assert!(report.contains("## The holdout") && report.contains("- score on the holdout: 1050.5"), "{report}");
    let later = text(&repository.run(&["report"]));
    assert!(later.contains("opened once"), "the report keeps both numbers: {later}");

    let again = text(&repository.run(&["report", "--open-holdout"]));
    assert!(again.contains("The holdout has been opened 2 times"), "{again}");
    let verified = repository.run(&["verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    let more = repository.run(&["run", "--tag", "t", "--experiments", "8", "--allow-dirty"]);
    assert!(more.status.success(), "{}", text(&more));
    assert!(text(&repository.run(&["report"])).contains("2 experiments were made since"));

    // Numbers of another metric never join those of this run.
    std::fs::write(&config, format!("{}{holdout}", guarded.replace("score", "accuracy"))).unwrap();
    let journal = repository.of_run("t", "journal.jsonl");
    for command in [&["report", "--open-holdout"][..], &["audit", "--rounds", "1"]] {
        let said = repository.fails(command);
        assert!(said.contains("not the configuration that the run t was made with"), "{said}");
        assert_eq!(repository.of_run("t", "journal.jsonl"), journal, "{command:?}");
    }

    std::fs::write(&config, guarded).unwrap();
    let none = repository.run(&["report", "--open-holdout"]);
    assert!(!none.status.success() && text(&none).contains("[holdout] with a command"), "{}", text(&none));
    let _ = std::fs::remove_file(seen);
}
