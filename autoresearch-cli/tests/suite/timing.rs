//! Metrics that are times, or lists of items.

use crate::fixture::{Repository, text};

#[test]
fn a_time_is_decided_by_pairs_on_one_machine() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::new(0.0);
    let config = repository.config();
    let before = std::fs::read_to_string(&config).unwrap();
    let timing = before.replace(
        "[metric]",
        "repeats = 3\n[ratchet]\nrule = 'strict'\npairs = 2\n[metric]\nkind = 'timing'\nstatistic = 'minimum'",
    );
    std::fs::write(&config, &timing).unwrap();
    let output = repository.run(&["run", "--tag", "t", "--experiments", "6", "--allow-dirty"]);
    assert!(output.status.success(), "{}", text(&output));
    let journal = std::fs::read_to_string(repository.only_run().join("journal.jsonl")).unwrap();
    let kept =
        journal.lines().filter(|line| line.contains("over 2 pairs") && line.contains("\"status\":\"keep\"")).count();
    assert!(kept > 0, "{}", text(&output));
    assert!(journal.contains("\"score_samples\":3.0") && journal.contains(" processors, "), "{journal}");
    assert!(journal.contains("\"side\":\"incumbent\""));

    std::fs::write(&config, timing.replace("repeats = 3", "repeats = 3\ncpus = [1023]")).unwrap();
    let refused = repository.run(&["run", "--tag", "other", "--experiments", "1", "--allow-dirty"]);
    assert!(!refused.status.success() && text(&refused).contains("CPUs 1023: allowed here are"), "{}", text(&refused));

    std::fs::write(&config, before.replace("[metric]", "[ratchet]\nrule = 'ladder'\n[metric]\nkind = 'items'"))
        .unwrap();
    let without = repository.run(&["run", "--tag", "items", "--experiments", "1", "--allow-dirty"]);
    assert!(!without.status.success() && text(&without).contains("AUTORESEARCH_ITEMS"), "{}", text(&without));
}
