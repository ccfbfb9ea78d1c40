//! `[workspace]` and `[guard]`: what a candidate needs beside its commit, and what it must pass beside its measurement.

use crate::fixture::Repository;

const PYTHON: &str = "import helper\nprint('score:', helper.total(open('data/train.txt').read()))\n";

/// A Python program whose helper module and data are not committed: git ignores the data.
fn python() -> Repository {
    let repository = Repository::running("python3 run.py", "[proposer]\nkind = 'merge'\nmargin = 1.0\n");
    repository.write("run.py", PYTHON);
    repository.write("pkg/__init__.py", "");
    repository.write(".gitignore", "/data/\n__pycache__/\n");
    repository.commit("program");
    repository.write("helper.py", "def total(text):\n    return sum(map(int, text.split()))\n");
    repository.write("data/train.txt", "1 2 3\n");
    repository
}

const ONE: [&str; 6] = ["run", "--tag", "t", "--experiments", "0", "--allow-dirty"];

#[test]
fn a_failed_baseline_says_what_was_left_out_and_the_line_to_add() {
    let repository = python();
    let said = repository.fails(&ONE);
    assert!(said.contains("hint: helper.py is in the working tree and not committed: git add helper.py"), "{said}");
    repository.git(&["add", "helper.py"]);
    repository.git(&["commit", "-qm", "helper"]);
    let said = repository.fails(&ONE);
    assert!(
        said.contains("data (git ignores it); add to the configuration:\n  [workspace]\n  share = [\"data\"]"),
        "{said}"
    );
    repository.configure(|text| text + "[workspace]\nshare = [\"data\"]\n");
    let said = repository.succeeds(&ONE);
    assert!(said.contains("6.000000"), "{said}");
    assert!(repository.folder.join("data/train.txt").is_file(), "the user's data is as it was");
    // It belongs to what a run is bound to.
    repository.configure(|text| text.replace("share = [", "copy = ["));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(
        said.contains("workspace.share: [\"data\"] then, nothing now") || said.contains("workspace.copy"),
        "{said}"
    );
}

#[test]
fn a_program_that_asks_git_is_told_of_the_variable() {
    let repository =
        Repository::running("git rev-parse HEAD && echo score: 1", "[proposer]\nkind = 'merge'\nmargin = 1.0\n");
    let said = repository.fails(&ONE);
    assert!(said.contains("the variable AUTORESEARCH_COMMIT holds the candidate's commit"), "{said}");
    repository.configure(|text| text.replace("git rev-parse HEAD", "test ${#AUTORESEARCH_COMMIT} -eq 40"));
    repository.succeeds(&ONE);
}

#[test]
fn a_candidate_s_folder_is_a_repository_where_that_is_asked_for() {
    let script = "set -e; test $(git rev-parse HEAD) = $AUTORESEARCH_COMMIT; git describe --tags > seen; cat seen\n\
                  test -z \"$(git status --porcelain --untracked-files=no)\"; git log --format=%s | tail -1\n\
                  git branch --list | grep main && exit 9; git commit -q --allow-empty -m mine; git tag theirs\n\
                  echo ---; awk '/^const/ { sub(\";\", \"\", $5); s += $5 } END { print \"score: \" s }' work.txt";
    let names =
        "GIT_AUTHOR_NAME = 'c'\nGIT_AUTHOR_EMAIL = 'c@x'\nGIT_COMMITTER_NAME = 'c'\nGIT_COMMITTER_EMAIL = 'c@x'\n";
    for isolation in ["", "[isolation]\nlevel = 'best-effort'\n"] {
        let repository =
            Repository::running(script, &format!("[workspace]\ngit = true\n{isolation}[environment]\n{names}"));
        repository.git(&["tag", "v1.0"]);
        let before = repository.git(&["for-each-ref"]);
        let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
        assert!(!said.contains("CRASHED") && repository.rows().len() == 3, "{said}");
        let log = repository.of_run("t", "logs/0001-1.log") + &repository.of_run("t", "logs/0001.log");
        assert!(log.contains("v1.0-1-g") && log.contains("start"), "{log}");
        let after = repository.git(&["for-each-ref"]);
        let own: Vec<&str> = after
            .lines()
            .filter(|line| !line.contains("refs/autoresearch/") && !line.contains("heads/autoresearch/"))
            .collect();
        assert_eq!(own, before.lines().collect::<Vec<_>>(), "what a candidate commits stays in its folder");
    }
}

#[test]
fn paths_of_the_workspace_are_checked_before_the_baseline() {
    for (section, words) in [
        ("share = ['date']", "[workspace] share names `date`, and there is no"),
        ("copy = ['../data']", "leads out of the repository"),
        ("copy = ['/usr']", "name it in [workspace] share"),
        ("share = ['.git']", "no candidate may see it"),
        ("share = ['']", "names no file below the repository's root"),
        ("shared = ['data']", "do you mean share?"),
    ] {
        let repository = python();
        repository.configure(|text| format!("{text}[workspace]\n{section}\n"));
        let said = repository.fails(&ONE);
        assert!(said.contains(words) && said.contains("autoresearch.toml:"), "{section}: {said}");
        assert!(!repository.folder.join(".autoresearch").exists());
    }
}

#[test]
fn a_script_that_is_not_committed_is_told_before_the_baseline() {
    let repository = python();
    repository.configure(|text| text.replace("['sh', '-c', '''\npython3 run.py\n''']", "['python3', 'bench.py']"));
    let said = repository.fails(&ONE);
    assert!(said.contains("[run] command names `bench.py`, and there is no such file"), "{said}");
    repository.write("bench.py", PYTHON);
    let said = repository.fails(&ONE);
    assert!(
        said.contains("is in the working tree but not in the commit") && said.contains("git add bench.py"),
        "{said}"
    );
}

#[test]
fn a_guard_that_fails_discards_and_names_the_test() {
    let more = "[guard]\ncommand = ['sh', 'tests.sh']\n[ratchet]\nrule = 'strict'\n[proposer]\nkind = 'agent'\nkey = 'login'\n\
                command = ['sh', '-c', 'sed -i s/=.50\\;/=\\ 1\\;/ work.txt; echo lower A']\n[workers]\nahead = false\n";
    let repository = Repository::running(crate::fixture::PRINT_SUM, more);
    repository.write("tests.sh", "grep -q '= 50;' work.txt || { echo '--- FAIL: TestLarge (0.00s)'; exit 1; }\n");
    repository.commit("tests");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("guard failed: TestLarge"), "{said}");
    let report = repository.of_run("t", "report.md");
    assert!(
        report.contains("1 of them by a guard")
            && report.contains("## Failed guards")
            && !report.contains("## Crashes"),
        "{report}"
    );
    assert!(
        repository.rows()[1].contains("discard") && repository.rows()[1].contains("guard failed: TestLarge"),
        "{:?}",
        repository.rows()
    );
    assert!(repository.succeeds(&["verify", "--tag", "t", "--config", "autoresearch.toml"]).contains("sound"));
    // An unchanged program that fails its guard is no start.
    repository.write("tests.sh", "echo '--- FAIL: TestAll (0.00s)'; exit 1\n");
    repository.commit("broken");
    let said = repository.fails(&["run", "--tag", "u", "--experiments", "1"]);
    assert!(said.contains("the baseline gave no number: guard failed: TestAll"), "{said}");
}
