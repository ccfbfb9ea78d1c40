//! A run with several workers: a small shell workload, a death in the middle.

use std::collections::BTreeSet;

use crate::fixture::{Repository, text, wait_until};

const WORK: &str = "\
const A: i64 = 50; // knob: int 1..99
# as far from each other
# as changes must be
# to be made in one file
# without touching
const B: f64 = 0.5; // knob: lin 0..1
";

/// The build leaves the sum of the constants in a folder that all builds share; the run reads what was kept of it, and fails
/// if that is another candidate's, or if another run has its device: one that lives, since a run that is cancelled, or dies with
/// its lab, leaves its lock. Each run notes what it sees of the machine. The first three candidates on devices wait for each
/// other, a minute at most: on a machine that is busy one device could else have nothing to do.
const CONFIG: &str = r#"
editable = ["work.txt"]
[build]
command = ["sh", "-c", 'mkdir -p {target} && awk "/^const/ { sub(\";\", \"\", \$5); s += \$5 } END { print s }" work.txt > {target}/sum']
keeps = ["{target}/sum"]
[run]
command = ["sh", "-c", '''
own=$(awk "/^const/ { sub(\";\", \"\", \$5); s += \$5 } END { print s }" work.txt)
test "$own" = "$(cat "$1/sum")" || exit 9
lock={cache}/busy-$CUDA_VISIBLE_DEVICES-
mkdir "$lock" 2>/dev/null || ! kill -0 "$(cat "$lock/holder")" || exit 8
echo $$ > "$lock/holder"
echo "$CUDA_VISIBLE_DEVICES $(nproc)" >> {cache}/seen
if test -n "$CUDA_VISIBLE_DEVICES" && test "$own" != 50.5; then
    : > {cache}/began.$$
    for wait in $(seq 600); do
        test $(ls {cache} | grep -c began) -ge 3 && break
        sleep 0.1
    done
fi
sleep 0.2
rm -r "$lock"
echo "score: $own"
''', "sh", "{built}"]
[metric]
name = "score"
direction = "minimise"
[ratchet]
rule = "strict"
"#;

fn repository() -> Repository {
    Repository::with(&[("autoresearch.toml", CONFIG), ("program.md", "# Lower the sum\n"), ("work.txt", WORK)])
}

/// Returns the devices and processors that the trials saw.
fn seen(repository: &Repository) -> Vec<String> {
    let text = std::fs::read_to_string(repository.cache().join("seen")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_of_three_workers_survives_its_death_and_goes_on_with_two() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = repository();
    let run = |devices| ["run", "--tag", "t", "--experiments", "24", "--devices", devices];
    let mut first = repository.start(&run("cuda:0,cuda:1,cuda:2"));
    wait_until("the run does not get on", || repository.of_run("t", "results.tsv").lines().count() >= 8);
    first.kill().unwrap();
    first.wait().unwrap();
    let before = repository.of_run("t", "results.tsv");
    let sound = text(&repository.run(&["verify"]));
    assert!(sound.ends_with("\nsound\n"), "{sound}");

    // With two GPUs a run has other means than before.
    let other = repository.run(&run("cuda:0+1"));
    assert!(!other.status.success() && text(&other).contains("started with other settings"), "{}", text(&other));

    let output = repository.run(&run("cuda:0,cuda:1"));
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("worker 0: experiment 0") && said.contains("worker 1: experiment 0"), "{said}");
    let after = repository.of_run("t", "results.tsv");
    assert!(after.starts_with(&before) && after.lines().count() == 26, "{after}");
    assert!(!after.contains("\tcrash\t"), "no run saw another's build or device: {after}\n{said}");
    let devices: BTreeSet<String> = seen(&repository).iter().map(|line| line[..1].to_owned()).collect();
    assert_eq!(devices, ["0", "1", "2"].map(str::to_owned).into());

    // On a loaded machine the trials of all three may never overlap.
    assert!(said.contains(" workers at the same time, busy with trials "), "{said}");
    assert!(repository.of_run("t", "report.md").contains("\n## Workers\n\n- up to "));
    let verify = ["verify", "--config", "autoresearch.toml", "--devices", "cuda:0"];
    let sound = text(&repository.run(&verify));
    let journal = repository.of_run("t", "journal.jsonl");
    assert!(sound.contains("judged again: sound\n") && sound.ends_with("\nsound\n"), "{sound}{journal}");
    let without = text(&repository.run(&verify[..3]));
    assert!(without.contains("not the configuration that the run t was made with"), "{without}");
    let again = repository.run(&["rerun", "--times", "1", "--devices", "cuda:7"]);
    assert!(again.status.success() && seen(&repository).last().unwrap().starts_with("7 "), "{}", text(&again));
}

#[cfg(target_os = "linux")]
#[test]
fn workers_without_devices_have_processors_of_their_own() {
    let repository = repository();
    let allowed = std::thread::available_parallelism().unwrap().get();
    let output = repository.run(&["run", "--tag", "t", "--experiments", "4", "--workers", "2"]);
    if allowed < 2 {
        assert!(text(&output).contains("[workers] count is 2, and there are only 1 CPUs"), "{}", text(&output));
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    assert!(seen(&repository).iter().all(|line| *line == format!(" {}", allowed / 2)), "{:?}", seen(&repository));
}
