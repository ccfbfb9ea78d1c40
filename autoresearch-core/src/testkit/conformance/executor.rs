//! The promises of an [`Executor`], as checks over any implementation. Each panics with the promise that is broken.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::command::{Executor, Job, JobEvaluation, JobName, JobStatus, JobStep, Tree};
use crate::git::FileMode;
use crate::sandbox::{Outcome, Phase};

mod ends;

/// An executor under test, with its properties.
pub struct ExecutorCase {
    /// Makes an executor over the same place at each call, as after a restart of the lab. It has two slots at least.
    pub make: Box<dyn Fn() -> Arc<dyn Executor>>,
    /// A folder that jobs and this suite both see, for marks.
    pub shared: PathBuf,
    /// True if a running job outlives the executor that started it, and is found running by the next one.
    pub outlives: bool,
}

/// The limit of jobs that are to end by themselves.
const LIMIT: Duration = Duration::from_secs(60);
/// Time within which something must have happened.
const PROMPT: Duration = Duration::from_secs(20);

/// Checks an executor of Unix commands: the suite's jobs are scripts for `sh`.
pub async fn executor(case: &ExecutorCase) {
    let suite = Suite { case, executor: (case.make)() };
    suite.executor.recover("suite", &[]).await.expect("there is nothing to recover, and that is no error");
    suite.completes().await;
    suite.failures_are_outcomes().await;
    suite.guards_decide_beside_the_run().await;
    suite.what_a_run_leaves_is_evaluated_or_refused().await;
    suite.a_program_of_the_candidate_that_cannot_start_is_its_crash().await;
    suite.files_are_those_of_the_tree().await;
    suite.the_environment_is_clean().await;
    suite.the_limit_ends_the_whole_tree().await;
    suite.the_limit_is_kept_while_the_caller_is_blocked().await;
    suite.cancelling_ends_the_whole_tree().await;
    suite.output_is_bounded().await;
    suite.a_build_ahead_is_used_or_harmless().await;
    suite.two_jobs_at_once_do_not_see_each_other().await;
    suite.ended_jobs_are_found_by_name().await;
    suite.running_jobs_are_found_or_lost().await;
}

struct Suite<'a> {
    case: &'a ExecutorCase,
    executor: Arc<dyn Executor>,
}

fn name(experiment: u32, trial: u32) -> JobName {
    JobName::new("suite", format!("{experiment:04}-{trial}"))
}

/// A job that runs a shell script, in a tree with a file `value` that says `4`, a script `go.sh`, and a link to `value`.
fn job(name: JobName, script: &str) -> Job {
    let file = |path: &str, mode, content: &str| (path.to_owned(), mode, content.as_bytes().to_vec());
    let tree = Tree::in_memory([
        file("value", FileMode::Regular, "4\n"),
        file("sub/go.sh", FileMode::Executable, "#!/bin/sh\necho went\n"),
        file("plain.sh", FileMode::Regular, "#!/bin/sh\necho never\n"),
        file("odd.sh", FileMode::Executable, "#!/no/such/interpreter\n"),
        file("link", FileMode::Symlink, "value"),
    ]);
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    Job::new(name, tree.expect("a tree"), argv, LIMIT)
}

impl Suite<'_> {
    async fn run(&self, job: &Job) -> Outcome {
        self.executor.run(job, &Cancel::new()).await.expect("running a job is no failure of the executor")
    }

    fn mark(&self, name: &str) -> String {
        self.case.shared.join(name).display().to_string()
    }

    fn is_marked(&self, name: &str) -> bool {
        self.case.shared.join(name).exists()
    }

    /// Waits until a job has left a mark.
    async fn until_marked(&self, name: &str) {
        let began = Instant::now();
        while !self.is_marked(name) {
            assert!(began.elapsed() < PROMPT, "a job starts within {PROMPT:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A script whose children, in sessions of their own, write the mark `beats` as long as they live.
    fn beating(&self, beats: &str, started: &str) -> String {
        format!(
            "(trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; while :; do date +%N > {}; sleep 0.05; done') & sleep 0.2; \
             touch {}; sleep 60",
            self.mark(beats),
            self.mark(started)
        )
    }

    async fn assert_no_beat(&self, beats: &str, after: &str) {
        let read = || std::fs::read(self.case.shared.join(beats)).unwrap_or_default();
        let before = read();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(read(), before, "nothing of a job runs after {after}");
    }

    async fn completes(&self) {
        let mut job = job(name(1, 1), "cat value; cat built; test -d $TMPDIR && echo 0.5 > $AUTORESEARCH_ITEMS");
        job.build.argv = ["sh", "-c", "echo building; cp value built"].map(str::to_owned).to_vec();
        job.build.limit = LIMIT;
        let outcome = self.run(&job).await;
        let Outcome::Completed(log) = &outcome else { panic!("it completes: {}", outcome.describe()) };
        assert_eq!(log.tail, "building\n4\n4\n", "the output of both phases is one log");
        assert_eq!(log.phase, Phase::Run, "it ends in its run");
        assert!(!log.elapsed.is_zero() && !log.build.is_zero(), "both phases are timed: {log:?}");
        assert!(log.machine.is_some() || self.case.outlives, "it is known where it ran");
        let items = log.artifacts.values().next().expect("the scores of items are kept");
        assert_eq!(std::fs::read_to_string(items).expect("they can be read"), "0.5\n");
        assert_eq!(self.run(&job).await.log().tail, log.tail, "a job of the same name can be run again");
        self.keeps_results().await;
        job.repeats = 3;
        job.run.argv = ["sh", "-c", "echo one"].map(str::to_owned).to_vec();
        let log = self.run(&job).await.log().clone();
        assert_eq!(
            (log.repeats.len(), log.tail.as_str()),
            (3, "building\none\none\none\n"),
            "repeats are timed one by one"
        );
    }

    async fn keeps_results(&self) {
        let mut job = job(name(1, 2), "mkdir -p out; echo 7 > out/a.json; ln -s a.json out/b.json; exit 3");
        job.results.written = ["out/*.json", "value", "left"].map(str::to_owned).to_vec();
        job.build.argv = ["sh", "-c", "echo stale > left"].map(str::to_owned).to_vec();
        job.build.limit = LIMIT;
        job.any_exit_code = true;
        let outcome = self.run(&job).await;
        let Outcome::Completed(log) = &outcome else { panic!("its exit code is a result: {}", outcome.describe()) };
        assert_eq!(log.exit_code, Some(3), "the exit code is told");
        let kept: Vec<&str> = log.artifacts.keys().map(String::as_str).collect();
        assert_eq!(
            kept,
            ["out/a.json"],
            "files that the run wrote are kept, no link, and nothing that was there before"
        );
        assert_eq!(std::fs::read_to_string(&log.artifacts["out/a.json"]).expect("it can be read"), "7\n");
    }

    async fn failures_are_outcomes(&self) {
        let outcome = self.run(&job(name(2, 1), "echo 'error: broken'; exit 3")).await;
        let Outcome::Crashed { message, .. } = &outcome else { panic!("a crash is a crash: {outcome:?}") };
        assert!(message.contains('3') && message.contains("error: broken"), "a crash says how and why: {message}");
        let mut failing = job(name(2, 2), "touch never");
        failing.build.argv = ["sh", "-c", "echo no such type; exit 1"].map(str::to_owned).to_vec();
        let outcome = self.run(&failing).await;
        assert!(
            matches!(&outcome, Outcome::Crashed { log, .. } if log.phase == Phase::Build),
            "a failed build ends it: {outcome:?}"
        );
        let outcome = self.run(&job(name(2, 3), "kill -9 $$")).await;
        assert!(
            matches!(outcome, Outcome::Crashed { .. } | Outcome::OutOfMemory { .. }),
            "so does a signal: {outcome:?}"
        );
    }

    async fn guards_decide_beside_the_run(&self) {
        let guard = |script: &str| JobStep {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            limit: LIMIT,
            ..JobStep::default()
        };
        let mut job = job(name(9, 1), "cat before; echo score: 4");
        job.before = vec![guard("echo first > before"), guard("echo score: 9")];
        job.after = vec![guard("grep -q first before")];
        let outcome = self.run(&job).await;
        let Outcome::Completed(log) = &outcome else { panic!("it passes its guards: {}", outcome.describe()) };
        assert_eq!((log.tail.as_str(), log.phase), ("first\nscore: 4\n", Phase::Run), "guards say nothing in its log");
        job.after = vec![guard("echo 'test math::adds ... FAILED'; exit 101"), guard("exit 0")];
        let outcome = self.run(&job).await;
        assert!(outcome.failed_guard(), "a guard after the run ends it: {outcome:?}");
        assert!(outcome.describe().starts_with("guard failed: math::adds ("), "{}", outcome.describe());
        job.before = vec![guard("exit 3"), guard("touch never")];
        let outcome = self.run(&job).await;
        assert!(outcome.failed_guard() && outcome.log().elapsed.is_zero(), "there is no run: {outcome:?}");
    }

    async fn what_a_run_leaves_is_evaluated_or_refused(&self) {
        let script = "echo score: 0.001; mkdir out; echo 7 > out/model; echo 'exit 9' > go.sh";
        let mut job = job(name(17, 1), script);
        let argv = ["sh", "go.sh", "{inputs}"].map(str::to_owned).to_vec();
        let step = JobStep { argv, limit: LIMIT, ..JobStep::default() };
        let go = "echo looking; ls; cat $1/out/model > $AUTORESEARCH_RESULT";
        let tree = Tree::new([("go.sh", go)]).expect("a tree can be made");
        job.evaluation = Some(JobEvaluation::new(step, tree, vec!["out/*".into()]));
        // An executor that has no place for it says so.
        let Ok(outcome) = self.executor.run(&job, &Cancel::new()).await else { return };
        let Outcome::Completed(log) = &outcome else { panic!("it can be evaluated: {}", outcome.describe()) };
        assert_eq!(log.tail, "7\n", "the results are what the evaluation wrote, and nothing that the run printed");
        job.run.argv = ["sh", "-c", "echo score: 0.001"].map(str::to_owned).to_vec();
        let outcome = self.run(&job).await;
        let left = matches!(&outcome, Outcome::Crashed { log, .. } if log.phase == Phase::Evaluation);
        assert!(left && outcome.describe().contains("out/*"), "a run that leaves nothing has crashed: {outcome:?}");
    }

    async fn a_program_of_the_candidate_that_cannot_start_is_its_crash(&self) {
        for (trial, program) in ["./not-there", "./plain.sh", "./odd.sh", "./value/x"].into_iter().enumerate() {
            let mut job = job(name(3, trial as u32 + 1), "");
            job.run.argv = vec![program.into()];
            let outcome = self.run(&job).await;
            assert!(
                matches!(outcome, Outcome::Crashed { .. }),
                "{program} cannot be started, which is a crash: {outcome:?}"
            );
        }
    }

    async fn files_are_those_of_the_tree(&self) {
        let script = "sub/go.sh; readlink link; echo > extra; echo changed > value; echo > $TMPDIR/left; ls";
        let first = self.run(&job(name(4, 1), script)).await;
        let script = "cat value; ls; ls $TMPDIR";
        let second = self.run(&job(name(4, 2), script)).await;
        assert!(first.log().tail.starts_with("went\nvalue\n"), "modes and links are kept: {first:?}");
        assert_eq!(second.log().tail, "4\nlink\nodd.sh\nplain.sh\nsub\nvalue\n", "nothing of another job is seen");
    }

    async fn the_environment_is_clean(&self) {
        let mut job = job(name(5, 1), "env; tr '\\0' '\\n' < /proc/$PPID/environ");
        job.run.environment = vec![("GIVEN".into(), "yes".into())];
        let log = self.run(&job).await.log().tail.clone();
        assert!(log.contains("GIVEN=yes") && log.contains("PATH="), "a job has its variables: {log}");
        // Set for every test by cargo, and inherited by nothing that is clean.
        assert!(!log.contains("CARGO_MANIFEST_DIR"), "a job sees nothing else, not even through its parent: {log}");
    }

    async fn output_is_bounded(&self) {
        let script = "echo first; head -c 40000000 /dev/zero | tr '\\0' x; echo; echo last";
        let outcome = self.run(&job(name(10, 1), script)).await;
        let log = outcome.log();
        assert!(matches!(outcome, Outcome::Completed(_)), "much output is no crash: {}", outcome.describe());
        assert!(log.tail.ends_with("last\n") && log.tail.len() < 1 << 20, "the tail is the end, and short");
        if let Some(path) = &log.path {
            let kept = std::fs::read(path).expect("the log can be read");
            assert!(
                kept.len() < 20_000_000 && kept.starts_with(b"first\n"),
                "the log is bounded: {} bytes",
                kept.len()
            );
        }
    }

    async fn a_build_ahead_is_used_or_harmless(&self) {
        let mut ahead = job(name(11, 1), "cat built");
        ahead.build.argv = ["sh", "-c", "cp value built"].map(str::to_owned).to_vec();
        let failed = self.executor.build(&ahead, &Cancel::new()).await.expect("a build is no failure of the executor");
        assert_eq!(failed, None, "what builds can be built ahead");
        assert_eq!(self.run(&ahead).await.log().tail, "4\n", "a job that was built ahead runs");
        let mut broken = job(name(11, 2), "echo never");
        broken.build.argv = ["sh", "-c", "exit 1"].map(str::to_owned).to_vec();
        if let Some(outcome) = self.executor.build(&broken, &Cancel::new()).await.expect("no failure either") {
            assert!(matches!(outcome, Outcome::Crashed { .. }), "a build that fails ahead is a crash: {outcome:?}");
        }
    }

    async fn two_jobs_at_once_do_not_see_each_other(&self) {
        // Each waits for the other's mark, so that both must run at the same time.
        let script = |own: &str, other: &str| {
            let (own, other) = (self.mark(own), self.mark(other));
            format!(
                "echo $$ > mine; echo $$ > $TMPDIR/mine; touch {own}; until [ -e {other} ]; do sleep 0.02; done; ls | wc -l; ls $TMPDIR"
            )
        };
        let (first, mut second) = (job(name(12, 1), &script("a", "b")), job(name(13, 1), &script("b", "a")));
        second.slot = 1;
        let (first, second) = tokio::join!(self.run(&first), self.run(&second));
        for outcome in [first, second] {
            assert!(matches!(outcome, Outcome::Completed(_)), "both run at the same time: {outcome:?}");
            let said: Vec<&str> = outcome.log().tail.split_whitespace().collect();
            assert_eq!(said, ["6", "mine"], "each sees its own files alone");
        }
    }

    async fn ended_jobs_are_found_by_name(&self) {
        let ended = [job(name(14, 1), "echo score: 4"), job(name(14, 2), "exit 3")];
        let mut outcomes = Vec::new();
        for job in &ended {
            outcomes.push(self.run(job).await);
        }
        let again = (self.case.make)();
        for (job, outcome) in ended.iter().zip(outcomes) {
            let found = again.find(&job.name).await.expect("a job can be looked up");
            assert_eq!(found, Some(JobStatus::Ended(outcome.clone())), "an ended job is found with its outcome");
            let attached = again.attach(&job.name, &Cancel::new()).await.expect("one can attach to an ended job");
            assert_eq!(attached, outcome, "which returns its outcome at once");
        }
        let another = JobName { content: "0123abcd".into(), ..ended[0].name.clone() };
        let found = again.find(&another).await.expect("looking up what was never started is no error");
        assert_eq!(found, None, "a job of another content is another job");
        let found = again.find(&name(98, 1)).await.expect("looking up what was never started is no error");
        assert_eq!(found, None, "what was never started is not found");
        assert!(again.attach(&name(98, 1), &Cancel::new()).await.is_err(), "and there is nothing to attach to");
    }

    async fn running_jobs_are_found_or_lost(&self) {
        let go = self.mark("go");
        let script = format!("touch {}; until [ -e {go} ]; do sleep 0.02; done; echo went on", self.mark("started-15"));
        let (waiting, never) = (job(name(15, 1), &script), Cancel::new());
        let looks = async {
            self.until_marked("started-15").await;
            let found = self.executor.find(&waiting.name).await.expect("a running job can be looked up");
            assert_eq!(found, Some(JobStatus::Running), "a running job is found running");
            let second = self.executor.run(&waiting, &Cancel::new()).await;
            assert!(second.is_err(), "a job that runs cannot be started a second time");
        };
        // The lab dies: nobody waits any more.
        {
            let run = self.executor.run(&waiting, &never);
            tokio::select! {
                ended = run => panic!("it waits for a mark: {ended:?}"),
                () = looks => {}
            }
        }
        let again = (self.case.make)();
        let found = again.find(&waiting.name).await.expect("it can be looked up after a restart");
        if self.case.outlives {
            assert_eq!(found, Some(JobStatus::Running), "it outlives the lab");
            let kept = std::slice::from_ref(&waiting.name);
            again.recover("suite", kept).await.expect("recovering is no failure");
            std::fs::write(&go, "").expect("a mark can be made");
            let outcome = again.attach(&waiting.name, &never).await.expect("one can attach to it");
            assert_eq!(outcome.log().tail, "went on\n", "and it ends as it would have");
        } else {
            assert_eq!(found, None, "it is lost with its machine");
        }
        let _ = std::fs::remove_file(&go);

        let beating = job(name(16, 1), &self.beating("beats-16", "started-16"));
        tokio::select! {
            ended = again.run(&beating, &never) => panic!("it goes on: {ended:?}"),
            () = self.until_marked("started-16") => {}
        }
        let recovered = (self.case.make)();
        recovered.recover("suite", &[]).await.expect("recovering is no failure");
        self.assert_no_beat("beats-16", "a recovery").await;
        let found = recovered.find(&beating.name).await.expect("it can be looked up");
        assert_eq!(found, None, "what a recovery ended has no outcome");
    }
}
