//! Every shipped executor keeps the contract, and a sandbox works over each of them.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoresearch_core::testkit::conformance::{self, ExecutorCase, SandboxCases};
use autoresearch_core::testkit::{QueueExecutor, QueueRunner};
use autoresearch_core::*;
use autoresearch_core::{Commands, Executor, Job, JobName, JobStatus, LocalExecutor, Tree};

#[tokio::test]
async fn the_local_executor_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let make = move || {
        let slots = [place.join("slots/0"), place.join("slots/1")];
        Arc::new(LocalExecutor::new(slots, place.join("logs"))) as Arc<dyn Executor>
    };
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: false }).await;
}

#[tokio::test]
async fn a_queue_of_jobs_keeps_it_too() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let queue = folder.path().join("queue");
    let _runner = QueueRunner::start(&queue, 2).unwrap();
    let make = move || Arc::new(QueueExecutor::new(&queue)) as Arc<dyn Executor>;
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: true }).await;
}

#[tokio::test]
async fn a_command_sandbox_works_over_a_queue_of_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let queue = folder.path().join("queue");
    let _runner = QueueRunner::start(&queue, 2).unwrap();
    let count = std::cell::Cell::new(0);
    let make = || -> Arc<dyn Sandbox> {
        count.set(count.get() + 1);
        let repo = folder.path().join(count.get().to_string());
        std::fs::create_dir_all(&repo).unwrap();
        std::fs::write(repo.join("value.sh"), "echo 'score: 5'\n").unwrap();
        for arguments in ["init -q", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
            let git = std::process::Command::new("git").args(arguments.split(' ')).current_dir(&repo).status();
            assert!(git.unwrap().success());
        }
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            run: vec!["sh".into(), "value.sh".into()],
            ..Commands::default()
        };
        Arc::new(CommandSandbox::new(&repo, "t", commands, Arc::new(QueueExecutor::new(&queue))).unwrap())
    };
    let write = |text: &str| Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text: text.into() }] };
    let cases = SandboxCases {
        good: write("echo 'score: 4'\n"),
        other: write("echo 'score: 6'\n"),
        bad: Some(Patch::replace("value.sh", "not there", "x")),
        endless: Some(write("sleep 100\n")),
        crashing: Some(write("exit 3\n")),
    };
    conformance::sandbox(make, cases).await;
}

const PROMPT: Duration = Duration::from_secs(20);

fn counting(folder: &Path) -> Job {
    let tree = Tree::new([("value", "score: 4\n")]).unwrap();
    let (starts, go) = (folder.join("starts"), folder.join("go"));
    let script =
        format!("echo x >> {}; until [ -e {} ]; do sleep 0.02; done; cat value", starts.display(), go.display());
    let name = JobName::new("kill", "0001");
    Job::new(name, tree, ["sh", "-c", &script].map(str::to_owned).to_vec(), Duration::from_secs(60))
}

fn starts(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("starts")).map_or(0, |text| text.lines().count())
}

async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PROMPT, "it happens within {PROMPT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Proposes one change, whose trial waits for a mark.
struct Once;

#[async_trait::async_trait]
impl Proposer for Once {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        match context.proposals() {
            0 => Ok(Proposal::new(Patch::replace("value", "5", "4"), "lower")),
            _ => Err(ProposerError::Exhausted("there is one change".into())),
        }
    }
}

/// A whole run over the queue in `folder`, whose trials count their starts and wait for the mark `go-` with their value.
fn search(folder: &Path) -> Lab<Patch> {
    let repo = folder.join("repo");
    if !repo.exists() {
        std::fs::create_dir(&repo).unwrap();
        std::fs::write(repo.join("value"), "5\n").unwrap();
        for arguments in ["init -q", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
            let git = std::process::Command::new("git").args(arguments.split(' ')).current_dir(&repo).status();
            assert!(git.unwrap().success());
        }
    }
    let place = folder.display();
    let script = format!(
        "echo x >> {place}/starts; until [ -e {place}/go-$(cat value) ]; do sleep 0.02; done; echo score: $(cat value)"
    );
    let commands = Commands {
        editable: EditablePaths::new(["value"]),
        run: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        ..Commands::default()
    };
    let executor = Arc::new(QueueExecutor::new(folder.join("queue")));
    let sandbox = CommandSandbox::new(&repo, "t", commands, executor).unwrap();
    Lab::builder(Arc::new(sandbox), Box::new(Once), Arc::new(LogMetric::new("score", Direction::Minimise)))
        .ratchet(Arc::new(Strict))
        .tag("t")
        .budget(Duration::from_secs(60))
        .journal(folder.join("journal.jsonl"))
        .build()
        .unwrap()
}

/// This test binary as another process, which plays the part `role` until somebody kills it.
fn process(role: &str, folder: &Path) -> std::process::Child {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "executor::plays_a_part_until_it_is_killed"])
        .env("EXECUTOR_ROLE", role)
        .env("EXECUTOR_FOLDER", folder);
    process.stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn plays_a_part_until_it_is_killed() {
    let (Ok(role), Some(folder)) = (std::env::var("EXECUTOR_ROLE"), std::env::var_os("EXECUTOR_FOLDER")) else {
        return;
    };
    let folder = PathBuf::from(folder);
    match role.as_str() {
        "runner" => {
            let _runner = QueueRunner::start(&folder.join("queue"), 1).unwrap();
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        "search" => drop(search(&folder).run(&Cancel::new()).await),
        "lab" => drop(QueueExecutor::new(folder.join("queue")).run(&counting(&folder), &Cancel::new()).await),
        role => panic!("there is no part {role}"),
    }
}

#[tokio::test]
async fn a_job_outlives_the_lab_and_even_its_runner() {
    let folder = tempfile::tempdir().unwrap();
    let job = counting(folder.path());
    let (mut runner, mut lab) = (process("runner", folder.path()), process("lab", folder.path()));
    until(|| starts(folder.path()) == 1).await;

    lab.kill().unwrap();
    lab.wait().unwrap();
    let executor = QueueExecutor::new(folder.path().join("queue"));
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Running), "found by its name");

    // The machine that runs it dies, and another one takes its jobs over: it starts anew.
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Running), "it waits in the queue");
    let mut second = process("runner", folder.path());
    until(|| starts(folder.path()) == 2).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    let outcome = executor.attach(&job.name, &Cancel::new()).await.unwrap();
    assert!(matches!(&outcome, Outcome::Completed(log) if log.tail == "score: 4\n"), "{outcome:?}");
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Ended(outcome)));
    second.kill().unwrap();
    second.wait().unwrap();
}

#[tokio::test]
async fn a_run_that_goes_on_takes_the_results_of_trials_that_outlived_its_lab() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let _runner = QueueRunner::start(&place.join("queue"), 1).unwrap();
    let ended = || {
        let jobs = std::fs::read_dir(place.join("queue")).unwrap().flatten();
        jobs.filter(|job| job.path().join("end.json").exists()).count()
    };
    // The lab dies while the baseline runs, which ends while nobody waits for it.
    let mut lab = process("search", place);
    until(|| starts(place) == 1).await;
    lab.kill().unwrap();
    lab.wait().unwrap();
    std::fs::write(place.join("go-5"), "").unwrap();
    until(|| ended() == 1).await;
    // The next one takes that result, and dies while its candidate runs, which goes on.
    let mut lab = process("search", place);
    until(|| starts(place) == 2).await;
    lab.kill().unwrap();
    lab.wait().unwrap();
    let mut lab = search(place);
    let (last, let_go) = (Cancel::new(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::write(place.join("go-4"), "").unwrap();
    });
    let (reason, ()) = tokio::join!(lab.run(&last), let_go);
    reason.unwrap();

    assert_eq!(starts(place), 2, "each trial ran once");
    let state = lab.state();
    let scores: Vec<_> = state.experiments.iter().map(|made| (made.status, made.score().unwrap().get())).collect();
    assert_eq!(scores, [(Status::Keep, 5.0), (Status::Keep, 4.0)]);
    let journal = std::fs::read_to_string(place.join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches("\"trial_started\"").count(), 2, "{journal}");
    assert!(journal.contains("\"attached\":[[0,1]]") && journal.contains("\"attached\":[[1,1]]"), "{journal}");
}

#[tokio::test]
async fn a_restarted_sandbox_knows_what_had_ended_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    std::fs::write(repo.join("value"), "score: 5\n").unwrap();
    for arguments in ["init -q", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
        let git = std::process::Command::new("git").args(arguments.split(' ')).current_dir(&repo).status();
        assert!(git.unwrap().success());
    }
    let sandbox = |run: &str| {
        let run = ["sh", "-c", run].map(str::to_owned).to_vec();
        let commands = Commands { editable: EditablePaths::new(["value"]), run, ..Commands::default() };
        let (slot, logs) = (folder.path().join("slot"), folder.path().join("logs"));
        CommandSandbox::local(&repo, "t", commands, [slot], logs).unwrap()
    };
    let (never, budget) = (Cancel::new(), Budget::from(Duration::from_secs(30)));
    let script = "[ $AUTORESEARCH_SEED != 8 ] || sleep 20; cat value";
    let first = sandbox(script);
    let baseline = first.baseline().await.unwrap();
    let other =
        first.stage(ExperimentId(1), &baseline.revision, &Patch::replace("value", "5", "4"), "lower").await.unwrap();
    let trial = Trial::new(ExperimentId(0), 1, 7, budget);
    let outcome = first.run(&baseline, &trial, &never).await.unwrap();
    // It is started, and dies with its lab: the future is dropped.
    let endless = Trial::new(ExperimentId(0), 2, 8, budget);
    let dropped = tokio::time::timeout(Duration::from_millis(300), first.run(&baseline, &endless, &never)).await;
    assert!(dropped.is_err());

    let again = sandbox(script);
    let same_name = |seed| Trial::new(ExperimentId(0), 1, seed, budget);
    let interrupted = [
        (baseline.clone(), endless),
        (baseline.clone(), trial.clone()),
        // These have the name of the trial that ended, and are others.
        (other, trial.clone()),
        (baseline.clone(), same_name(8)),
    ];
    assert_eq!(again.resume(&interrupted).await.unwrap(), [1], "what had ended, and nothing that is lost or another");
    assert_eq!(again.attach(&baseline, &trial, &never).await.unwrap(), outcome);
    let mended = sandbox("cat value");
    assert_eq!(mended.resume(&interrupted).await.unwrap(), [0_usize; 0], "the program was mended since");
}
