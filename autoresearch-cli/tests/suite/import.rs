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

    let output = repository.run(&["import", "mine.tsv"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("experiments: 5; problems: 1; metric: score, lower is better"), "{}", text(&output));
    assert!(text(&output).contains("line 6: the status `perhaps`"), "{}", text(&output));
    let again = repository.run(&["import", "mine.tsv"]);
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

    std::fs::write(repository.folder.join("empty.tsv"), "commit\tscore\tdescription\na\t1\tx\n").unwrap();
    let empty = repository.run(&["import", "empty.tsv"]);
    assert!(!empty.status.success() && text(&empty).contains("no column is named `status`"), "{}", text(&empty));
    assert!(!repository.folder.join(".autoresearch/empty").exists());
}
