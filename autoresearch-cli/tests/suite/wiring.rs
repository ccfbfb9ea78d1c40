//! Keys of the configuration reach the parts that they are for.

use crate::fixture::{PRINT_SUM, Repository, text};

/// A repository whose proposer is an agent of this script; `more` is added to its section.
fn with_agent(script: &str, more: &str) -> Repository {
    let section = format!(
        "[ratchet]\nrule = 'strict'\n[check]\ncommand = ['sh', '-c', '! grep -q forty work.txt']\n\
         [proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['sh', '{{repo}}/agent.sh']\n{more}\n"
    );
    let repository = Repository::running(PRINT_SUM, &section);
    repository.write("agent.sh", script);
    repository.commit("agent");
    repository
}

#[test]
fn a_pattern_chooses_the_description_of_an_agent() {
    let script = "echo a banner\nsed -i 's/= 50;/= 40;/' work.txt\necho 'SUMMARY: lower A'\necho done\n";
    let repository = with_agent(script, "description = '(?m)^SUMMARY: (.*)$'");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("; lower A; 50.500000 -> 40.500000;"), "{said}");
}

#[test]
fn a_change_of_an_agent_passes_the_check_before_it_costs_an_experiment() {
    // The first answer fails the check, the second one does not.
    let script = "number=40\nif ! [ -e \"$MARK\" ]; then touch \"$MARK\"; number=forty; fi\n\
                  sed -i \"s/= 50;/= $number;/\" work.txt\necho \"$number it is\"\n";
    let repository = with_agent(script, "environment = { MARK = '{cache}/mark' }");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("rejected: forty it is"), "{said}");
    assert!(said.contains("; 40 it is; 50.500000 -> 40.500000;") && !said.contains("CRASHED"), "{said}");
    let journal = repository.of_run("t", "journal.jsonl");
    assert_eq!(journal.matches("\"type\":\"rejected\"").count(), 1, "{journal}");
}

#[test]
fn files_that_an_agent_leaves_outside_are_dropped_or_reject_the_proposal() {
    let script =
        "sed -i 's/= 50;/= 40;/' work.txt\n[ -e \"$MARK\" ] || echo x > notes.txt\ntouch \"$MARK\"\necho lower\n";
    let mark = "environment = { MARK = '{cache}/mark' }\n";
    let dropped = with_agent(script, mark);
    let said = dropped.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(!said.contains("rejected: "), "{said}");
    let rejected = with_agent(script, &format!("{mark}outside = 'reject'"));
    let said = rejected.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("rejected: ") && said.contains("notes.txt"), "{said}");
}

#[test]
fn a_variable_is_passed_on_by_name_and_binds_the_run() {
    let repository = Repository::running("echo ---; echo score: ${MY_DATA:-9}", "[ratchet]\nrule = 'strict'\n");
    let run = |experiments: &str, value: &str| {
        let mut command = repository.command(&["run", "--tag", "t", "--experiments", experiments, "--allow-dirty"]);
        text(&command.env("MY_DATA", value).output().unwrap())
    };
    repository.configure(|text| text.replace("[metric]", "pass = ['MY_DATA']\n[metric]"));
    let said = run("1", "5");
    assert!(said.contains("baseline; 5.000000; baseline; KEPT"), "{said}");
    let said = run("2", "6");
    assert!(said.contains("run.pass.MY_DATA: \"5\" then, \"6\" now"), "{said}");
    // Not the key of the proposer.
    let key = "kind = 'claude'\nkey = { env = 'MODEL_KEY' }\n";
    repository.configure(|text| text.replace("['MY_DATA']", "['MODEL_KEY']") + "[proposer]\n" + key);
    let said = repository.fails(&["run", "--tag", "u", "--allow-dirty"]);
    assert!(said.contains("[run] pass would give MODEL_KEY, the proposer's key, to every experiment"), "{said}");
}

#[test]
fn the_number_of_several_repeats_that_counts_is_chosen() {
    let script =
        "n=$(cat count 2>/dev/null || echo 0); n=$((n + 1)); echo $n > count; echo ---; echo score: $((n * n))";
    for (which, score) in [("", "4.000000"), ("repeats_of = 'mean'", "4.666667"), ("repeats_of = 'min'", "1.000000")] {
        let repository = Repository::running(script, "[ratchet]\nrule = 'strict'\n");
        repository.configure(|text| {
            text.replace("[metric]", "repeats = 3\n[metric]")
                .replace("name = 'score'", &format!("name = 'score'\n{which}"))
        });
        let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
        assert!(said.contains(&format!("baseline; {score}")), "{which}: {said}");
    }
}
