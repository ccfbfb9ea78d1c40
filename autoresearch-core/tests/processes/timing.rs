//! Times are measured in turns, on the CPUs given, and compared on one machine only.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Clock;
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::process::Cpus;
use autoresearch_core::internal::verify;
use autoresearch_core::testkit::Script;
use autoresearch_core::*;

/// A sandbox on a machine that is slower than another by a factor.
struct SlowMachine {
    name: &'static str,
    slower: f64,
}

#[async_trait]
impl Sandbox<f64> for SlowMachine {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(Candidate::new("10"))
    }

    async fn stage(&self, _: ExperimentId, _: &Revision, time: &f64, _: &str) -> Result<Candidate, StageError> {
        Ok(Candidate::new(time.to_string()))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let time = self.slower * candidate.revision.0.parse::<f64>().unwrap();
        let log = RunLog::saying(format!("---\nms: {time} {time} {time}\n"));
        Ok(Outcome::Completed(RunLog { machine: Some(MachineId::named(self.name)), ..log }))
    }

    async fn adopt(&self, _: Option<&Revision>, _: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_run_that_goes_on_elsewhere_measures_its_incumbent_there() {
    let noise_aware = {
        let mut settings = autoresearch_core::NoiseAwareSettings::default();
        settings.paired = true;
        NoiseAware::new(settings).unwrap()
    };
    let rules: [Arc<dyn Ratchet>; 3] =
        [Arc::new(Strict), Arc::new(Paired::new(Strict, 2).unwrap()), Arc::new(noise_aware)];
    for ratchet in rules {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let script = || Box::new(Script::new([9.0, 9.5, 8.5, 8.75]));
        // The second machine takes twice as long, the third a tenth: earlier times would lead to wrong decisions there.
        for (place, experiments) in [
            (SlowMachine { name: "first", slower: 1.0 }, 2),
            (SlowMachine { name: "second", slower: 2.0 }, 3),
            (SlowMachine { name: "third", slower: 0.1 }, 4),
        ] {
            let mut settings = Settings::new("times", Duration::from_secs(1));
            settings.stop = Stop::after(experiments);
            let program = Program::parse("Be quick.").unwrap();
            let metric = Arc::new(Timing::new("ms"));
            let journal = Journal::open(&path).unwrap();
            let mut lab = Lab::builder(Arc::new(place), script(), metric)
                .ratchet(ratchet.clone())
                .program(program)
                .settings(settings)
                .open_journal(journal)
                .build()
                .unwrap();
            lab.run(&Cancel::new()).await.unwrap();
            let state = State::replay(&Journal::read(&path).unwrap()).unwrap();
            assert_eq!(&state, lab.state(), "the same journal gives the same state");
        }
        let entries = Journal::read(&path).unwrap();
        let state = State::replay(&entries).unwrap();
        let decided = |id: usize| (state.experiments[id].status, state.experiments[id].before.unwrap().get());
        assert_eq!(decided(1), (Status::Keep, 10.0));
        assert_eq!(decided(2), (Status::Discard, 9.0));
        assert_eq!(decided(3), (Status::Keep, 18.0), "17 against 18, not against 9");
        let (status, before) = decided(4);
        assert!(status == Status::Discard && (before - 0.85).abs() < 1e-9, "0.875 against 0.85, not against 17");
        assert_eq!(verify::journal(&entries), []);
        let machine = state.experiments[3].arm.measurements[0].machine.as_ref().unwrap();
        assert_eq!(machine.to_string(), "second");
    }
}

/// A repository whose program is `script`.
fn repository(folder: &Path, script: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
    };
    std::fs::write(folder.join("run.sh"), script).unwrap();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "start"]);
}

async fn run(folder: &Path, script: &str, change: impl FnOnce(&mut Commands)) -> Outcome {
    let place = folder.join("repo");
    repository(&place, script);
    let mut commands = Commands {
        editable: EditablePaths::new(["run.sh"]),
        run: vec!["sh".into(), "run.sh".into()],
        ..Commands::default()
    };
    change(&mut commands);
    let slot = Slot::new(folder.join("slot"));
    let sandbox = CommandSandbox::local(&place, "test", commands, vec![slot], folder.join("logs")).unwrap();
    let candidate = sandbox.baseline().await.unwrap();
    let trial = Trial::new(ExperimentId(0), 1, 1, Duration::from_secs(30).into());
    sandbox.run(&candidate, &trial, &Cancel::new()).await.unwrap()
}

#[tokio::test]
async fn repeats_are_timed_by_the_lab_and_the_limit_is_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), "sleep 0.05; echo again", |commands| commands.repeats = 3).await;
    let metric = Timing::new("ms").with_unit("ms").clock(Clock::Wall);
    let measurement = metric.read(&outcome).unwrap();
    assert!(measurement.score.get() >= 50.0 && measurement.secondary["ms_samples"] == 3.0, "{measurement:?}");
    assert_eq!(measurement.machine, Some(MachineId::here()));
    assert_eq!(outcome.log().tail, "again\nagain\nagain\n");
    assert!(outcome.log().elapsed >= Duration::from_millis(150));

    let folder = tempfile::tempdir().unwrap();
    let script = "echo $$ >> ../count; test $(wc -l < ../count) -lt 2";
    let outcome = run(folder.path(), script, |commands| commands.repeats = 5).await;
    assert!(matches!(outcome, Outcome::Crashed { .. }), "one bad repeat spoils the run: {outcome:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("count")).unwrap().lines().count(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_trial_is_pinned_and_the_build_is_not() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let last: usize = allowed.rsplit([',', '-']).next().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), "grep Cpus_allowed_list /proc/self/status", |commands| {
        commands.build = ["grep", "Cpus_allowed_list", "/proc/self/status"].map(String::from).into();
        commands.cpus = Cpus::new([last]).unwrap();
    });
    let expected = format!("Cpus_allowed_list:\t{allowed}\nCpus_allowed_list:\t{last}\n");
    assert_eq!(outcome.await.log().tail, expected);
}

#[tokio::test]
async fn scores_of_items_are_read_where_the_trial_was_told_to_write_them() {
    let metric = ItemMetric::new("loss", Direction::Minimise);
    let folder = tempfile::tempdir().unwrap();
    let script = "seq 1 3000 > $AUTORESEARCH_ITEMS; echo secret is $SECRET";
    let outcome = run(folder.path(), script, |commands| {
        let build = "echo 7 > $TMPDIR/items; echo build: $AUTORESEARCH_ITEMS $SECRET";
        commands.build = ["sh", "-c", build].map(String::from).into();
        commands.run_environment = vec![("SECRET".into(), "open".into())];
    });
    let outcome = outcome.await;
    let measurement = metric.read(&outcome).unwrap();
    assert_eq!((measurement.items.len(), measurement.score.get()), (3000, 1500.5));
    assert_eq!(outcome.log().tail, "build:\nsecret is open\n", "the build is told nothing of the run's variables");

    // Nothing, a file that only the build wrote, or a link to another file.
    for script in ["true", "ln -s ../elsewhere $AUTORESEARCH_ITEMS; echo 1 > ../elsewhere"] {
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(folder.path(), script, |commands| {
            commands.build = ["sh", "-c", "echo 7 > $TMPDIR/items"].map(String::from).into();
        });
        let error = metric.read(&outcome.await).unwrap_err().to_string();
        assert!(error.contains("wrote no scores of items"), "{script}: {error}");
    }
}
