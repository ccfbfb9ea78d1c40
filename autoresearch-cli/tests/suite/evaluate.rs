//! A number that no candidate can print.
#![cfg(unix)]

use crate::fixture::Repository;

/// A program that predicts some numbers of a file, and a command that holds them against the real ones.
const PREDICT: &str = "for n in $(cat inputs); do echo $((n * 3)); done > predictions\n";
const EVALUATE: &str = "echo the real numbers are secret\n\
    paste $1/predictions ${TRUTH:-truth} | awk '{ d = $1 - $2; s += d * d } END { print \"error: \" s }' > $AUTORESEARCH_RESULT\n";

/// An agent whose first change is honest, whose second one prints a number, and whose third one changes what evaluates.
const AGENT: &str = r#"#!/bin/sh
count=$(cat "$MARK" 2>/dev/null || echo 0)
echo $((count + 1)) > "$MARK"
case $count in
    0) sed -i 's/n \* 3/n * 2/' predict.sh; echo 'two is nearer' ;;
    1) echo 'echo error: 0; echo 99 > predictions' >> predict.sh; echo 'prints its number' ;;
    *) echo 'echo error: 0 > $AUTORESEARCH_RESULT' > evaluate.sh; sed -i 's/n \* 2/n * 9/' predict.sh; echo 'evaluates itself' ;;
esac
"#;

/// The repository; `more` is added to the configuration.
fn repository(more: &str) -> Repository {
    let config = format!(
        "editable = ['*.sh']\n[run]\ncommand = ['sh', 'predict.sh']\n[metric]\nname = 'error'\ndirection = 'minimise'\n\
         [ratchet]\nrule = 'strict'\n[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['sh', '{{repo}}/agent']\n\
         environment = {{ MARK = '{{cache}}/mark' }}\n[workers]\nahead = false\n{more}"
    );
    let files = [
        ("autoresearch.toml", config.as_str()),
        ("program.md", "# Predict\n"),
        ("predict.sh", PREDICT),
        ("evaluate.sh", EVALUATE),
        ("agent", AGENT),
        ("inputs", "1\n2\n3\n"),
        (".gitignore", "truth\n"),
    ];
    let repository = Repository::with(&files);
    repository.write("truth", "2\n4\n7\n");
    repository
}

const SECTION: &str =
    "[evaluate]\ncommand = ['sh', 'evaluate.sh', '{inputs}']\ninputs = ['predictions']\nshare = ['truth']\n";

#[test]
fn a_candidate_is_kept_for_what_it_left_and_not_for_what_it_prints() {
    let isolation = if cfg!(target_os = "linux") { "[isolation]\nlevel = 'best-effort'\n" } else { "" };
    let repository = repository(&format!("{SECTION}{isolation}"));
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "3"]);
    let rows = repository.rows();
    let statuses: Vec<&str> = rows.iter().map(|row| row.split('\t').nth(2).unwrap()).collect();
    assert_eq!(statuses, ["keep", "keep", "discard", "discard"], "{rows:?}: {said}");
    assert!(rows[0].starts_with("9.000000") && rows[1].starts_with("1.000000"), "{rows:?}");
    let report = repository.of_run("t", "report.md");
    assert!(report.contains("An evaluation of the base commit measures it over what each run leaves"), "{report}");
    assert!(report.contains(" of builds, ") && report.contains(" of evaluations."), "{report}");
    assert!(repository.succeeds(&["verify", "--tag", "t"]).contains("sound"));
    assert!(repository.of_run("t", "logs/0000.evaluation.log").contains("the real numbers are secret"));
    // What evaluates binds the run.
    repository.configure(|text| text.replace("'{inputs}'", "'{inputs}', 'again'"));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "4", "--allow-dirty"]);
    assert!(said.contains("evaluate.command: "), "{said}");
}

#[test]
fn the_report_says_that_candidates_print_the_number_where_they_do() {
    let repository = Repository::new(0.0);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let report = repository.of_run("t", "report.md");
    assert!(report.contains("Each candidate prints it itself, and could print another"), "{report}");
    assert!(report.contains("No isolation: candidates could do what you may do."), "{report}");
}

#[test]
fn the_holdout_is_measured_by_the_evaluation_alone() {
    let holdout =
        "[holdout]\ncommand = ['sh', 'evaluate.sh', '{inputs}']\nenvironment = { TRUTH = '{repo}/../sealed' }\n";
    let repository = repository(&format!("{SECTION}{holdout}"));
    std::fs::write(repository.root().join("sealed"), "2\n4\n6\n").unwrap();
    // A candidate that knew of it would say so.
    repository.write("predict.sh", &format!("test -z \"$TRUTH\" || exit 9\n{PREDICT}"));
    repository.commit("asks");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let said = repository.succeeds(&["report", "--open-holdout"]);
    assert!(said.contains("error on the holdout: 14.000000 -> 0.000000"), "{said}");
}

#[test]
fn data_that_a_candidate_changes_ends_the_run_until_it_is_put_back() {
    let repository = repository(SECTION);
    let truth = repository.folder.join("truth");
    // Without walls it may write there.
    let cheat = format!("{PREDICT}cp predictions {}\n", truth.display());
    let agent = format!(
        "printf '{}' > predict.sh\necho x >> $MARK; echo \"# $(wc -l < $MARK)\" >> predict.sh; echo 'changes the truth'\n",
        cheat.replace('\n', "\\n")
    );
    repository.write("agent", &agent);
    repository.commit("an agent that cheats");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(said.contains("truth decides the number and changed while the run went on; put it back"), "{said}");
    assert!(said.contains("which decides the number, changed while it ran; no number; CRASHED"), "{said}");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(said.contains("locked.truth: "), "it differs from what the run began with: {said}");
    // The one that is staged does the same, which costs that one alone.
    for (experiments, status) in [("2", "crash"), ("3", "keep")] {
        repository.write("truth", "2\n4\n7\n");
        repository.write("agent", "sed -i 's/n \\* 3/n * 2/' predict.sh; echo honest\n");
        let said = repository.succeeds(&["run", "--tag", "t", "--experiments", experiments, "--allow-dirty"]);
        let last = repository.rows().pop().unwrap();
        assert!(last.contains(status), "{last}: {said}");
    }
}

#[test]
fn what_does_not_go_together_is_told_before_anything_runs() {
    let command = "[evaluate]\ncommand = ['sh', 'evaluate.sh']\n";
    for (section, words) in [
        ("[evaluate]\ninputs = ['a']\n", "[evaluate] command is empty; give the program that measures"),
        (command, "[evaluate] inputs is empty; name the files that the run leaves"),
        (&format!("{command}inputs = ['/tmp/model']\n"), "has \"/tmp/model\"; give paths below the candidate's folder"),
        (&format!("{command}inputs = ['a']\nshare = ['../x']\n"), "which leads out of the repository"),
        (
            "[evaluate]\ncommand = ['sh', 'evaluatr.sh']\ninputs = ['a']\n",
            "names `evaluatr.sh`, and there is no such file",
        ),
    ] {
        let said = repository(section).fails(&["run", "--tag", "t", "--experiments", "1"]);
        assert!(said.contains(words), "{section}: {said}");
    }
    let with_file = repository(SECTION);
    with_file.configure(|text| text.replace("name = 'error'", "name = 'error'\nfile = 'r.json'\npointer = '/error'"));
    let said = with_file.fails(&["run", "--tag", "t", "--allow-dirty"]);
    assert!(said.contains("[metric] reads r.json, which the run writes itself"), "{said}");
    let repeated = repository(SECTION);
    repeated.configure(|text| text.replace("[metric]", "repeats = 3\n[metric]"));
    let said = repeated.fails(&["run", "--tag", "t", "--allow-dirty"]);
    assert!(said.contains("[run] repeats is more than 1, and [evaluate] measures what the last repeat left"), "{said}");
}

#[test]
fn a_run_that_leaves_nothing_to_evaluate_is_told_with_the_key() {
    let repository = repository(&SECTION.replace("predictions", "model.bin"));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("the run ended well, but left no file model.bin, which is to be evaluated"), "{said}");
    assert!(said.contains("[evaluate] inputs"), "{said}");
}
