//! The branch of a run, where it is not the usual one.

use crate::fixture::{PRINT_SUM, Repository, text};

#[test]
fn a_run_of_another_working_tree_is_found() {
    let repository = Repository::new(0.0);
    repository.git(&["worktree", "add", "-q", "../second", "-b", "second"]);
    let second = repository.root().join("second");
    let in_second = |tag: &str| {
        let output = repository.command(&["run", "--tag", tag, "--experiments", "0"]).current_dir(&second).output();
        let output = output.unwrap();
        (output.status.success(), text(&output))
    };
    repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
    let (done, said) = in_second("t");
    let place = repository.folder.canonicalize().unwrap();
    assert!(!done && said.contains(&format!("another working tree, {}", place.display())), "{said}");
    assert!(in_second("u").0);
    // The other way round.
    let said = repository.fails(&["run", "--tag", "u", "--experiments", "0"]);
    let place = second.canonicalize().unwrap();
    assert!(said.contains(&format!("another working tree, {}", place.display())), "{said}");
    // A branch without a journal anywhere is put aside by the command that is given.
    repository.git(&["branch", "autoresearch/v"]);
    let said = repository.fails(&["run", "--tag", "v", "--experiments", "0"]);
    assert!(said.contains("git branch -m autoresearch/v autoresearch/v-old"), "{said}");
    repository.git(&["branch", "-m", "autoresearch/v", "autoresearch/v-old"]);
    repository.succeeds(&["run", "--tag", "v", "--experiments", "0"]);
}

#[test]
fn a_branch_that_is_gone_or_moved_is_set_right_by_the_command_that_is_given() {
    for (harm, remedy) in [
        (&["branch", "-D", "autoresearch/t"][..], "git branch autoresearch/t"),
        (&["branch", "-f", "autoresearch/t", "main"], "git branch -f autoresearch/t"),
    ] {
        let repository = Repository::new(0.0);
        repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
        let remedy = format!("{remedy} {}", repository.git(&["rev-parse", "autoresearch/t"]).trim());
        repository.git(&["commit", "-q", "--allow-empty", "-m", "elsewhere"]);
        repository.git(harm);
        let said = repository.fails(&["run", "--tag", "t", "--experiments", "1"]);
        assert!(said.contains(&format!("`{remedy}`")), "{said}");
        let arguments: Vec<&str> = remedy.split(' ').skip(1).collect();
        repository.git(&arguments);
        repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    }
}

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
