//! The branch of a run, where it is not the usual one.

use crate::fixture::{PRINT_SUM, Repository};

#[test]
fn a_run_may_have_a_branch_of_another_name_and_keeps_it() {
    let repository = Repository::running(PRINT_SUM, "[git]\nbranch = 'research/{tag}-kept'\n");
    // With the usual name this one would be in the way.
    repository.git(&["branch", "autoresearch"]);
    let run = |count: &str| repository.succeeds(&["run", "--tag", "t", "--experiments", count, "--allow-dirty"]);
    run("2");
    let refs = || repository.git(&["for-each-ref", "--format=%(refname)"]);
    assert!(
        refs().contains("refs/heads/research/t-kept\n") && refs().contains("refs/autoresearch/t/exp/0\n"),
        "{}",
        refs()
    );
    assert!(repository.succeeds(&["verify", "--tag", "t"]).contains("branch research/t-kept: sound"));
    assert!(repository.of_run("t", "report.md").contains("`git log research/t-kept`"));

    // The run goes on with its branch whatever the configuration says by then.
    repository.configure(|text| text.replace("research/{tag}-kept", "other/{tag}"));
    let said = run("3");
    assert!(said.contains("goes on with its branch, research/t-kept"), "{said}");
    assert!(!refs().contains("refs/heads/other/"), "{}", refs());
    assert!(repository.succeeds(&["verify", "--tag", "t"]).ends_with("sound\n"));
}
