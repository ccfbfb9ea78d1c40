//! A run over a noisy program, its report, and its audit.

use crate::fixture::Repository;

/// Lower is better by a tenth of the constant; the seed and the code add noise with a standard deviation of about 1.
const CONFIG: &str = r#"editable = ['work.txt']
[run]
command = ['sh', '-c', '''
awk -v seed="$AUTORESEARCH_SEED" '
  /^const/ { sub(";", "", $5); code = code * 31 + $5 }
  /^const A/ { value = $5 / 10 }
  END {
    srand((seed * 7919 + code * 1009) % 1000003)
    for (i = 0; i < 16; i++) rand()
    for (i = 0; i < 12; i++) noise += rand() - 0.5
    printf "---\nloss: %.6f\n", value + noise
  }' work.txt
''']
[metric]
name = 'loss'
direction = 'minimise'
"#;

fn repository(rule: &str) -> Repository {
    let config = format!("{CONFIG}[ratchet]\nrule = '{rule}'\n");
    let work = "const A: i64 = 80; // knob: int 1..99\nconst B: i64 = 5; // knob: int 1..9\n";
    Repository::with(&[("autoresearch.toml", &config), ("program.md", "# Lower the loss\n"), ("work.txt", work)])
}

#[test]
fn the_default_confirms_audits_and_says_how_sure_it_is() {
    let repository = repository("noise-aware");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "25"]);
    let report = repository.succeeds(&["report"]);
    assert!(report.contains("standard deviation, from") && report.contains("candidates were tested"), "{report}");
    assert!(
        report.contains("; discarded (by the trials that the rule compares: better by"),
        "why a better number was not enough: {report}"
    );
    assert!(report.contains("| gain when chosen | gain since |") && !report.contains("not measured again"), "{report}");
    let journal = repository.of_run("t", "journal.jsonl");
    assert!(journal.contains(r#""rule":{"name":"noise-aware""#) && journal.contains(r#""reference":3"#));
    let verified = repository.succeeds(&["verify", "--config", "autoresearch.toml"]);
    assert!(verified.contains("decisions: 25 judged again: sound"), "{verified}");
    assert!(verified.trim_end().ends_with("\nsound"), "{verified}");
    println!("{report}");
}

#[test]
fn an_audit_of_a_strict_run_says_which_gains_are_real() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = repository("strict");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "25"]);
    let before = repository.succeeds(&["report"]);
    assert!(before.contains("`autoresearch audit` measures the kept ones again"), "{before}");
    let branch = || repository.git(&["rev-parse", "autoresearch/t"]);
    let tip = branch();
    let audited = repository.succeeds(&["audit", "--rounds", "4"]);
    repository.succeeds(&["rerun", "--times", "1"]);
    let status = repository.succeeds(&["status"]);
    assert!(status.starts_with("run t: stopped: all 25 experiments are done"), "as before the audit: {status}");
    assert!(audited.contains("gain since") && audited.contains("000 baseline; loss: "), "{audited}");
    assert!(!audited.contains("not measured again") && audited.contains("Would not be kept today"), "{audited}");
    println!("{audited}");
    // It counts on, and changes nothing.
    let more = repository.succeeds(&["audit", "--rounds", "1"]);
    assert!(more.contains("of 5 and 5") || more.contains("| 5 and 5 |"), "{more}");
    assert_eq!(branch(), tip);
    let verified = repository.succeeds(&["verify"]);
    assert!(verified.trim_end().ends_with("\nsound"), "{verified}");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "27"]);
}

#[test]
fn an_audit_that_is_interrupted_measures_its_last_round_again() {
    let repository = repository("strict");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "12"]);
    let scores = || repository.of_run("t", "journal.jsonl").matches("\"type\":\"audited\"").count();
    let keeps =
        repository.succeeds(&["audit", "--rounds", "1"]).lines().filter(|line| line.contains("; loss: ")).count();
    assert!(keeps > 2 && scores() == keeps, "{keeps}");
    // The journal as a crash in the middle of the second round leaves it.
    repository.succeeds(&["audit", "--rounds", "1"]);
    let path = repository.folder.join(".autoresearch/t/journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&path, lines[..lines.len() - 1].concat()).unwrap();
    repository.succeeds(&["audit", "--rounds", "2"]);
    assert_eq!(scores(), 4 * keeps - 1, "the second round again, and a third one");
    let report = repository.succeeds(&["report"]);
    assert!(report.contains("of 3 and 3") || report.contains("| 3 and 3 |"), "each round pairs all keeps: {report}");
    assert!(repository.succeeds(&["verify"]).trim_end().ends_with("\nsound"));
}
