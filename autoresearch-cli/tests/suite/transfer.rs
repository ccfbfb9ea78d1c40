//! The keeps of a run under another setting.

use std::path::PathBuf;

use serde_json::Value;

use crate::fixture::{Repository, send, text, wait_until};
use crate::reading::answer;

/// The constants of the program. The lines between them let changes of neighbours be merged.
const WORK: &str = "\
SIZE=10
# the first part grows with the size
FIRST=5
# the second part does not
SECOND=5
# a cache costs the size, and saves twenty
CACHE=0
# the check fails on large sizes
CHECK=1
";

const BENCH: &str = "\
. ./work.sh
SIZE=${SIZE:-$LENGTH}
FACTOR=1
test $CHECK = 1 || test $SIZE -lt 30 || exit 7
sleep ${NAP:-0}
echo \"score: $((FACTOR * (SIZE * FIRST + SECOND + CACHE * (SIZE - 20)) + CHECK + ${1:-0}))\"
";

/// Proposes one change after the other: the first that is not kept yet.
const IDEAS: &str = "\
change() { sed \"s/^$1=.*/$1=$2/\" work.sh > new && mv new work.sh; echo \"$1 is $2\"; exit 0; }
grep -q FIRST=5 work.sh && change FIRST 4
grep -q SECOND=5 work.sh && change SECOND 3
grep -q CACHE=0 work.sh && change CACHE 1
grep -q FIRST=4 work.sh && change FIRST 3
grep -q SIZE=10 work.sh && change SIZE 8
grep -q CHECK=1 work.sh && change CHECK 0
exit 1
";

const CONFIG: &str = "\
editable = ['work.sh']
[run]
command = ['sh', 'bench.sh']
limit_seconds = 20
[metric]
name = 'score'
direction = 'minimise'
[ratchet]
rule = 'strict'
[proposer]
kind = 'agent'
command = ['sh', 'ideas.sh', '{prompt_file}']
references = ['ideas.sh']
key = 'login'
[workers]
ahead = false
";

/// A repository with a run `t` of this many kept changes.
fn with_keeps(keeps: usize) -> Repository {
    with_ideas(IDEAS, keeps)
}

/// The same with the ideas of another script.
fn with_ideas(ideas: &str, keeps: usize) -> Repository {
    let files = [("work.sh", WORK), ("bench.sh", BENCH), ("ideas.sh", ideas), ("autoresearch.toml", CONFIG)];
    let repository = Repository::with(&[&files[..], &[("program.md", "# Lower the score\n")]].concat());
    repository.succeeds(&["run", "--tag", "t", "--experiments", &keeps.to_string()]);
    assert_eq!(repository.rows().iter().filter(|row| row.contains("\tkeep\t")).count(), keeps + 1);
    repository
}

/// Everything that a transfer must leave as it is.
fn untouched(repository: &Repository) -> (String, String, String) {
    let refs = repository.git(&["for-each-ref"]);
    (repository.git(&["status", "--porcelain", "--ignored"]), refs, repository.of_run("t", "journal.jsonl"))
}

/// The records of the run's transfers.
fn records(repository: &Repository) -> Vec<PathBuf> {
    let folder = repository.folder.join(".autoresearch/t/transfer");
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn lines(path: &PathBuf) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn verdicts(answer: &Value) -> Vec<String> {
    let keeps = answer["keeps"].as_array().unwrap().iter().chain([&answer["sum"]]);
    keeps.map(|keep| format!("{} {}", keep["form"].as_str().unwrap(), keep["verdict"].as_str().unwrap())).collect()
}

#[test]
fn each_keep_and_their_sum_are_measured_under_another_setting() {
    let repository = with_keeps(5);
    let before = untouched(&repository);
    let transfer = ["transfer", "--from", "t", "--set", "SIZE=40"];
    let listed = repository.succeeds(&[&transfer[..], &["--dry-run"]].concat());
    for part in [
        "5 rounds of 6 revisions; 30 trials are left, about ",
        "SIZE = 40 (10 in the run)",
        "001 FIRST is 4: keep 001 against baseline\n",
        "004 FIRST is 3: keeps up to 004 against keeps up to 003 (it does not apply alone: it conflicts with the baseline in work.sh",
        "005 SIZE is 8: not measured (it changes SIZE (10 -> 8), which is 40 here; nothing else of it is left",
        "sum all keeps: keeps up to 004 against baseline\n",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(records(&repository).is_empty(), "a dry run measures nothing");

    let said = repository.succeeds(&transfer);
    for part in [
        "| 001 | FIRST is 4 | +10.000000 | +40.000000 | +40.000000 to +40.000000 | transferred |",
        "| 002 | SECOND is 3 | +2.000000 | +2.000000 | +2.000000 to +2.000000 | transferred |",
        "| 003 | CACHE is 1 | +10.000000 | -20.000000 | -20.000000 to -20.000000 | worse |",
        "| 004 | FIRST is 3 | +10.000000 | +40.000000 | +40.000000 to +40.000000 | transferred |",
        "| 005 | SIZE is 8 | +8.000000 | - | - | replaced |",
        "| sum | all keeps | +40.000000 | +62.000000 | +62.000000 to +62.000000 | transferred |",
        "3 of 5 keeps transferred, 1 worse, 1 replaced; the sum: transferred.",
        "agree to the last bit",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(untouched(&repository), before);
    repository.succeeds(&["verify"]);

    // The same command measures nothing anew; more repeats go on with the record.
    let record = records(&repository).pop().unwrap();
    assert_eq!(lines(&record).len(), 1 + 5 * 6, "{:?}", lines(&record));
    let again = answer(&repository, "transfer", &[&transfer[..], &["--json"]].concat());
    assert_eq!((&again["rounds"], &again["trials_left"], &again["dry_run"]), (&5.into(), &0.into(), &false.into()));
    let expected =
        ["alone transferred", "alone transferred", "alone worse", "on_earlier transferred", "replaced replaced"];
    assert_eq!(verdicts(&again), [&expected[..], &["alone transferred"]].concat());
    let more = answer(&repository, "transfer", &[&transfer[..], &["--json", "--repeats", "6"]].concat());
    assert_eq!((&more["rounds"], &more["trials"]), (&6.into(), &36.into()));
    assert_eq!(records(&repository), [record]);

    // The report and the experiment show it.
    let report = repository.succeeds(&["report"]);
    assert!(report.contains("## Transfer: SIZE = 40\n") && report.contains("| 003 | CACHE is 1 |"), "{report}");
    assert!(repository.of_run("t", "report.md").contains("## Transfer: SIZE = 40\n"));
    let report = answer(&repository, "report", &["report", "--json"]);
    assert_eq!(report["transfers"][0]["keeps"][2]["gain"], -20.0);
    let shown = repository.succeeds(&["show", "3"]);
    assert!(shown.contains("transfer: SIZE = 40: worse, gain -20.000000 (-20.000000 to -20.000000)"), "{shown}");
    assert_eq!(
        answer(&repository, "show", &["show", "3", "--json"])["detail"]["transfers"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_keep_that_fails_under_the_setting_is_a_finding() {
    let repository = with_keeps(6);
    let answer = answer(&repository, "transfer", &["transfer", "--set", "SIZE=40", "--json"]);
    assert_eq!(verdicts(&answer)[5..], ["alone no number", "alone no number"]);
    assert!(answer["keeps"][5]["note"].as_str().unwrap().contains("exit code 7"), "{answer}");
    assert_eq!(answer["keeps"][0]["verdict"], "transferred");
    // Without the baseline there is nothing to compare with.
    let said = repository.fails(&["transfer", "--run", "sh nowhere.sh"]);
    assert!(said.contains("the baseline gives no number under this setting: ") && said.contains("its log: "), "{said}");
}

#[test]
fn a_keep_that_takes_the_constant_away_is_left_out_and_one_after_it_is_not() {
    let rename =
        "grep -q ^SIZE work.sh && sed s/^SIZE=10/LENGTH=9/ work.sh > new && mv new work.sh && echo renamed && exit 0\n";
    let third = "grep -q CACHE=0";
    let repository = with_ideas(&IDEAS.replace(third, &format!("{rename}{third}")), 4);
    let answer = answer(&repository, "transfer", &["transfer", "--set", "SIZE=40", "--json"]);
    let expected = ["alone transferred", "alone transferred", "left_out left out", "alone worse", "left_out left out"];
    assert_eq!(verdicts(&answer), expected, "{answer:#}");
    let note = answer["keeps"][2]["note"].as_str().unwrap();
    assert!(note.contains("no editable file has a value named SIZE; there are: LENGTH"), "{note}");
}

#[test]
fn a_transfer_that_was_killed_goes_on_where_it_was() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = with_keeps(3);
    let transfer = ["transfer", "--set", "SIZE=40", "--env", "NAP=0.2", "--repeats", "5"];
    let before = untouched(&repository);
    let measured = || records(&repository).iter().map(|path| lines(path).len()).sum::<usize>();
    for (signal, code) in [("-KILL", None), ("-KILL", None), ("-INT", Some(130))] {
        // Two more than there are: so it has begun to go on, and can be told to end.
        let goal = measured().max(1) + 2;
        let mut child = repository.start(&transfer);
        wait_until("the transfer does not get on", || measured() >= goal);
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), code);
        assert_eq!(untouched(&repository), before);
    }
    let record = records(&repository).pop().unwrap();
    let so_far = lines(&record);
    let listed = repository.succeeds(&[&transfer[..], &["--dry-run"]].concat());
    let left = 5 * 5 + 1 - so_far.len();
    assert!(
        listed.contains(&format!("; {left} trials are left, about ")) && listed.contains("at its pace"),
        "{listed}"
    );
    let answer = answer(&repository, "transfer", &[&transfer[..], &["--json"]].concat());
    assert_eq!((&answer["rounds"], &answer["trials"]), (&5.into(), &25.into()));
    assert_eq!(verdicts(&answer), ["alone transferred", "alone transferred", "alone worse", "alone transferred"]);
    let whole = lines(&record);
    assert_eq!((&whole[..so_far.len()], whole.len()), (&so_far[..], 26), "nothing is measured twice");
    assert_eq!(records(&repository).len(), 1);

    // A limit of time ends it between two trials.
    let said = repository.succeeds(&["transfer", "--set", "SIZE=50", "--hours", "0.0000001"]);
    assert!(said.contains("the time is over: 25 trials are left; the same command goes on"), "{said}");
}

#[test]
fn a_setting_is_a_constant_a_variable_a_command_or_another_configuration() {
    let repository = with_keeps(1);
    let gain = |arguments: &[&str]| {
        let answer = answer(&repository, "transfer", &[&["transfer", "--json", "--repeats", "2"], arguments].concat());
        (answer["keeps"][0]["gain"].as_f64().unwrap(), answer["baseline"].as_f64().unwrap(), answer["setting"].clone())
    };
    // A constant of a file that is not editable, by the file's name.
    let (by, baseline, setting) = gain(&["--set", "bench.sh:FACTOR=2"]);
    assert_eq!((by, baseline), (20.0, 111.0));
    assert_eq!(setting["constants"][0]["before"], "1");
    // Another command line, and another limit.
    let (by, baseline, setting) = gain(&["--run", "sh bench.sh 1000", "--limit", "30"]);
    assert_eq!((by, baseline), (10.0, 1056.0));
    let keys: Vec<&str> = setting["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(keys, ["run.command", "run.limit_seconds"]);
    // A variable.
    let (by, _, setting) = gain(&["--env", "NAP=0.01"]);
    assert_eq!(
        (by, &setting["variables"][0]["name"], &setting["variables"][0]["before"]),
        (10.0, &"NAP".into(), &"nothing".into())
    );
    // A preset with constants of its own.
    repository.write("presets/large.toml", "[constants]\nSIZE = '100'\n");
    let (by, baseline, setting) = gain(&["--preset", "large"]);
    assert_eq!((by, baseline, &setting["constants"][0]["value"]), (100.0, 506.0, &"100".into()));
    assert_eq!(records(&repository).len(), 4);
}

#[test]
fn a_run_with_constants_of_a_preset_transfers_to_none() {
    let files = [("work.sh", WORK), ("bench.sh", BENCH), ("ideas.sh", IDEAS), ("autoresearch.toml", CONFIG)];
    let preset = ("presets/small.toml", "[constants]\nSIZE = '4'\n");
    let repository = Repository::with(&[&files[..], &[("program.md", "# Lower the score\n"), preset]].concat());
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1", "--preset", "small"]);
    let said = repository.succeeds(&["transfer"]);
    assert!(said.contains("SIZE = 10 (4 in the run)") && said.contains("| +4.000000 | +10.000000 |"), "{said}");
}

#[test]
fn mistakes_are_told_before_anything_is_measured() {
    let repository = with_keeps(2);
    let none = repository.run(&["transfer", "--from", "x", "--set", "SIZE=40"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(text(&none).contains("there is no run x; the runs of this repository are: t"), "{}", text(&none));
    for (arguments, part) in [
        (
            &["--set", "SIEZ=40"][..],
            "--set SIEZ: no editable file has a value named SIEZ; do you mean SIZE? There are: SIZE, FIRST",
        ),
        (&["--set", "size=40"], "do you mean SIZE?"),
        (&["--set", "bench.sh:FACTR=2"], "do you mean FACTOR?"),
        (&["--set", "SIZE=10"], "--set SIZE=10: SIZE is 10 in the baseline already, and nothing would change"),
        (&[], "nothing differs from the setting of the run; give another one, as --set DEPTH=8"),
        (&["--run", "sh 'bench.sh"], "is no command line; close its quotes"),
        (&["--set", "SIZE=40", "--limit=-1"], "the command line: [run] limit_seconds is -1"),
        (&["--set", "SIZE=40", "--hours", "0"], "--hours is 0; give a positive number of hours"),
    ] {
        let said = repository.fails(&[&["transfer"], arguments].concat());
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    for arguments in [&["--set", "SIZE"][..], &["--set", "=4"], &["--env", "NAP="], &["--repeats", "1"]] {
        let wrong = repository.run(&[&["transfer"], arguments].concat());
        assert_eq!(wrong.status.code(), Some(2), "{arguments:?}: {}", text(&wrong));
    }
    assert!(records(&repository).is_empty());

    // A run that kept nothing.
    repository.succeeds(&["run", "--tag", "none", "--experiments", "0"]);
    let nothing = repository.run(&["transfer", "--from", "none", "--set", "SIZE=40"]);
    assert_eq!(nothing.status.code(), Some(3), "{}", text(&nothing));
    assert!(text(&nothing).contains("the run none has kept nothing yet beside its baseline"), "{}", text(&nothing));
}
