//! A night over a noisy program, its report, and its audit, as a user meets them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

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

fn repository(folder: &Path, rule: &str) {
    let config = format!("{CONFIG}[ratchet]\nrule = '{rule}'\n");
    let work = "const A: i64 = 80; // knob: int 1..99\nconst B: i64 = 5; // knob: int 1..9\n";
    for (name, text) in
        [("autoresearch.toml", config.as_str()), ("program.md", "# Lower the loss\n"), ("work.txt", work)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "x"],
    ] {
        assert!(Command::new("git").args(arguments).current_dir(folder).status().unwrap().success());
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoresearch"));
    command.args(arguments).current_dir(folder).env("AUTORESEARCH_CACHE", folder.join(".git/cache"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[test]
fn the_default_confirms_audits_and_says_how_sure_it_is() {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), "noise-aware");
    run(folder.path(), &["run", "--tag", "night", "--experiments", "25"]);
    let report = run(folder.path(), &["report"]);
    assert!(report.contains("standard deviation, from") && report.contains("candidates were tested"), "{report}");
    assert!(report.contains("; discarded (better by"), "why a better number was not enough: {report}");
    assert!(report.contains("| gain when chosen | gain since |") && !report.contains("not measured again"), "{report}");
    let journal = std::fs::read_to_string(folder.path().join(".autoresearch/night/journal.jsonl")).unwrap();
    assert!(journal.contains(r#""rule":{"name":"noise-aware""#) && journal.contains(r#""reference":3"#));
    let verified = run(folder.path(), &["verify", "--config", "autoresearch.toml"]);
    assert!(verified.contains("decisions: 25 judged again: sound"), "{verified}");
    assert!(verified.trim_end().ends_with("\nsound"), "{verified}");
    println!("{report}");
}

#[test]
fn an_audit_of_a_strict_night_says_which_gains_are_real() {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), "strict");
    run(folder.path(), &["run", "--tag", "night", "--experiments", "25"]);
    let before = run(folder.path(), &["report"]);
    assert!(before.contains("`autoresearch audit` measures the kept ones again"), "{before}");
    let branch = || run_git(folder.path(), &["rev-parse", "autoresearch/night"]);
    let tip = branch();
    let audited = run(folder.path(), &["audit", "--rounds", "4"]);
    assert!(audited.contains("gain since") && audited.contains("000 baseline; loss: "), "{audited}");
    assert!(!audited.contains("not measured again") && audited.contains("Would not be kept today"), "{audited}");
    println!("{audited}");
    // It counts on, and changes nothing.
    let more = run(folder.path(), &["audit", "--rounds", "1"]);
    assert!(more.contains("of 5 and 5") || more.contains("| 5 and 5 |"), "{more}");
    assert_eq!(branch(), tip);
    let verified = run(folder.path(), &["verify"]);
    assert!(verified.trim_end().ends_with("\nsound"), "{verified}");
    run(folder.path(), &["run", "--tag", "night", "--experiments", "27"]);
}

fn run_git(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(Command::new("git").args(arguments).current_dir(folder).output().unwrap().stdout).unwrap()
}
