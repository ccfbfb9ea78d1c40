//! Texts of a candidate or a model reach people as text and nothing else.

use crate::fixture::{PRINT_SUM, Repository, text};

/// No escape sequences, and no control characters but line breaks and tabs.
fn assert_clean(what: &str, text: &str) {
    let dirty: Vec<char> = text.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).collect();
    assert!(dirty.is_empty(), "{what} has {dirty:?}: {}", text.escape_debug());
}

#[test]
fn a_candidate_s_output_commands_no_terminal() {
    // The baseline works; every candidate fails with a clipboard command and a colour in its last line.
    let hostile = r#"printf "\033]52;c;cHduZWQ=\007\033[31merror\010\033[0m: it failed\n"; exit 1"#;
    let script =
        format!("if grep -q '= 50;' work.txt && grep -q '= 0.5;' work.txt; then {PRINT_SUM}\nelse {hostile}\nfi");
    let repository = Repository::running(&script.replace("'''", ""), "[ratchet]\nrule = 'strict'\n");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(said.contains("CRASHED"), "{said}");
    assert_clean("the display", &said);
    assert_clean("the report on the terminal", &repository.succeeds(&["report"]));
    for name in ["report.md", "progress.svg"] {
        assert_clean(name, &repository.of_run("t", name));
    }
}

#[test]
fn a_description_of_an_agent_is_one_clean_line_for_people() {
    let agent = r#"sed -i "s/= 50;/= 40;/" work.txt; printf "lower\033[2J A\007\n""#;
    let more = format!(
        "[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['sh', '-c', '''{agent}''']\n[ratchet]\nrule = 'strict'\n"
    );
    let repository = Repository::running(PRINT_SUM, &more);
    let output = repository.run(&["run", "--tag", "t", "--experiments", "1"]);
    assert_clean("the display", &text(&output));
    assert_clean("the report", &(repository.succeeds(&["report"]) + &repository.of_run("t", "report.md")));
    assert_clean("the plot", &repository.of_run("t", "progress.svg"));
}

#[test]
fn errors_are_clean_too() {
    let repository = Repository::new(0.0);
    let output = repository.run(&["report", "--tag", "a\u{1b}[2Jb"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("there is no run ab"), "{said}");
    assert_clean("an error", &said);
}

#[test]
fn small_scores_do_not_look_like_zero() {
    let script = PRINT_SUM.replace("\" s }", "\" s * 1e-9 }");
    let repository = Repository::running(&script, "[ratchet]\nrule = 'strict'\n");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "3"]);
    assert!(said.contains("; 5.05000e-8; baseline; KEPT") && !said.contains("0.000000"), "{said}");
    let report = repository.succeeds(&["report"]) + &repository.of_run("t", "report.md");
    assert!(report.contains("5.05000e-8 -> ") && !report.contains("0.000000"), "{report}");
}
