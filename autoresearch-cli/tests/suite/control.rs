//! Stopping a run from another process, and hints to its proposer.

use std::process::Command;

use crate::fixture::{PRINT_SUM, Repository, send, wait_until};

const STRICT: &str = "[ratchet]\nrule = 'strict'\n";

fn slow() -> Repository {
    Repository::running(&format!("sleep 0.3\n{PRINT_SUM}"), STRICT)
}

fn last_record(repository: &Repository) -> String {
    repository.of_run("t", "journal.jsonl").lines().last().unwrap_or_default().to_owned()
}

fn rows(repository: &Repository) -> usize {
    repository.of_run("t", "results.tsv").lines().count()
}

#[test]
fn a_run_stops_after_the_experiment_and_goes_on_later() {
    let repository = slow();
    let arguments = ["run", "--tag", "t", "--experiments", "40"];
    let mut child = repository.start(&arguments);
    wait_until("no experiment", || rows(&repository) >= 3);
    let said = repository.succeeds(&["stop", "--wait"]);
    assert!(said.contains("asked to stop after the experiments in flight"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(0), "an orderly end");
    let last = last_record(&repository);
    assert!(last.contains("\"stopped\"") && last.contains("asked to stop"), "{last}");
    let journal = repository.of_run("t", "journal.jsonl");
    assert!(!journal.contains("trial_cancelled"), "nothing in flight was lost");
    let done = rows(&repository) - 2;
    assert!(done < 40);
    // The request is not left for the next process.
    let more = (done + 2).to_string();
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", &more]);
    assert!(said.contains(&format!("all {more} experiments are done")), "{said}");
}

#[test]
fn a_run_stops_now() {
    let repository = slow();
    let mut child = repository.start(&["run", "--tag", "t", "--experiments", "60"]);
    wait_until("no experiment", || rows(&repository) >= 4);
    repository.succeeds(&["stop", "--now", "--tag", "t"]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = last_record(&repository);
    assert!(last.contains("\"stopped\"") && last.contains("interrupted"), "{last}");
}

#[test]
fn a_request_for_a_dead_process_stops_no_later_one() {
    let repository = slow();
    let mut child = repository.start(&["run", "--tag", "t", "--experiments", "40"]);
    wait_until("no experiment", || rows(&repository) >= 2);
    let process: serde_json::Value = serde_json::from_str(&repository.of_run("t", "process.json")).unwrap();
    send("-KILL", &child);
    child.wait().unwrap();
    let said = repository.succeeds(&["status"]);
    assert!(said.contains("interrupted, its process is gone; go on with it: autoresearch run --tag t"), "{said}");
    assert_eq!(repository.run(&["stop"]).status.code(), Some(3), "nothing is in progress");
    let request = serde_json::json!({ "process": process["id"], "when": "now" }).to_string();
    repository.write(".autoresearch/t/stop.json", &request);
    let more = (rows(&repository) + 2).to_string();
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", &more]);
    assert!(said.contains(&format!("all {more} experiments are done")), "{said}");
}

#[test]
fn an_audit_of_an_older_run_hides_no_interrupted_one() {
    let repository = slow();
    repository.succeeds(&["run", "--tag", "a", "--experiments", "6"]);
    let mut child = repository.start(&["run", "--tag", "t", "--experiments", "40"]);
    wait_until("no keep", || repository.of_run("t", "results.tsv").matches("\tkeep\t").count() > 1);
    send("-KILL", &child);
    child.wait().unwrap();
    // An audit that a person interrupts says so; it takes nothing of a run's name that a killed process has left.
    let mut audit = repository.start(&["audit", "--tag", "t", "--rounds", "50"]);
    wait_until("no lock", || !repository.folder.join(".autoresearch/t/process.json").exists());
    assert_eq!(repository.run(&["stop", "--tag", "t"]).status.code(), Some(3), "an audit is no run");
    wait_until("no audit", || repository.of_run("t", "journal.jsonl").contains("\"audited\""));
    send("-INT", &audit);
    assert_eq!(audit.wait().unwrap().code(), Some(130));
    repository.succeeds(&["audit", "--tag", "a", "--rounds", "1"]);
    // Nor does what an attack of `doctor` has left.
    repository.write(".autoresearch/.attack-1/journal.jsonl", "");
    let more = (rows(&repository) + 1).to_string();
    let said = repository.succeeds(&["run", "--experiments", &more]);
    assert!(said.contains("run: t ("), "{said}");
}

#[test]
fn a_hint_reaches_the_next_prompt_and_is_journaled_once() {
    let repository = Repository::with(&[("README.md", "An agent\n")]);
    // The agent keeps its tasks, and lowers the number by one.
    let tasks = repository.root().join("tasks");
    std::fs::create_dir(&tasks).unwrap();
    let agent = format!(
        "cp \"$1\" {0}/$(ls {0} | wc -l)\nn=$(cat n.txt)\necho $((n - 1)) > n.txt\necho '{{\"description\": \"less\", \"hypothesis\": \"\"}}'\n",
        tasks.display()
    );
    let config = format!(
        "editable = ['n.txt']\n[run]\ncommand = ['sh', '-c', 'echo \"score: $(cat n.txt)\"']\n[metric]\nname = 'score'\n\
         direction = 'minimise'\n{STRICT}[proposer]\nkind = 'agent'\ncommand = ['sh', '-c', '''\n{agent}''', 'agent', \
         '{{prompt_file}}']\nkey = 'login'\n"
    );
    for (name, text) in [("autoresearch.toml", config.as_str()), ("program.md", "# Lower it\n"), ("n.txt", "50\n")] {
        repository.write(name, text);
    }
    repository.commit("an agent");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let said = repository.succeeds(&["hint", "leave the sign alone"]);
    assert!(said.contains("the run has it when it goes on"), "{said}");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "2"]);
    repository.succeeds(&["hint", "try\nprimes"]);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "4"]);
    let task = |number: usize| std::fs::read_to_string(tasks.join(number.to_string())).unwrap();
    assert!(!task(0).contains("# Hints"), "{}", task(0));
    assert!(task(1).contains("- leave the sign alone\n") && !task(1).contains("primes"), "{}", task(1));
    for later in [2, 3] {
        assert!(task(later).contains("- leave the sign alone\n- try\n  primes\n"), "{}", task(later));
    }
    let journal = repository.of_run("t", "journal.jsonl");
    assert_eq!(journal.matches("\"type\":\"hinted\"").count(), 2, "each once, over all restarts");
    assert!(repository.succeeds(&["status"]).contains("last of 2 hints: try primes"));
    assert!(repository.succeeds(&["verify", "--config", "autoresearch.toml"]).ends_with("\nsound\n"));
}

#[test]
fn a_hint_reaches_a_run_in_progress() {
    let agent = "[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['sh', '-c', 'date +%N >> work.txt']\n";
    for (proposer, words) in
        [(agent, "the next prompt has it"), ("", "its proposer asks no model or agent, and reads none")]
    {
        let repository = slow();
        repository.configure(|text| text + proposer);
        let mut child = repository.start(&["run", "--tag", "t", "--experiments", "60", "--allow-dirty"]);
        wait_until("no experiment", || rows(&repository) >= 2);
        let said = repository.succeeds(&["hint", "smaller"]);
        assert!(said.contains(words), "{said}");
        wait_until("the hint is not journaled", || {
            repository.of_run("t", "journal.jsonl").contains("\"text\":\"smaller\"")
        });
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap();
    }
}
