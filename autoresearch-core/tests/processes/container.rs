//! Commands in containers, by the real podman where it runs.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoresearch_core::internal::isolation::{Container, Isolation};
use autoresearch_core::testkit::conformance::{self, ExecutorCase};
use autoresearch_core::*;
use autoresearch_core::{Executor, Job, JobName, LocalExecutor, Provision, Tree};

const IMAGE: &str = "localhost/autoresearch-test";

/// Podman with a storage of its own, and an image of busybox alone.
struct Podman {
    folder: tempfile::TempDir,
    /// True if another test owns it.
    is_shared: bool,
    program: PathBuf,
}

/// Settings by which podman runs on more machines: one without any, one for a lab that may raise no limits, and another runtime.
const SETTINGS: &[&str] = &[
    "",
    "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4000:4000\"]\n",
    "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4000:4000\"]\n[engine]\nruntime = \"runc\"\n",
];

impl Podman {
    /// Podman where it is installed and runs.
    fn here() -> Option<Podman> {
        match Podman::made() {
            Ok(podman) => Some(podman),
            Err(why) => {
                println!("skipped: {why}");
                None
            }
        }
    }

    fn made() -> Result<Podman, String> {
        if let Some(program) = std::env::var_os("AUTORESEARCH_TEST_PODMAN") {
            return Ok(Podman { folder: tempfile::tempdir().unwrap(), is_shared: true, program: program.into() });
        }
        let which = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
            found.ok_or_else(|| format!("{name} is not installed"))
        };
        let (real, busybox) = (which("podman")?, which("busybox")?);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let root = place.join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        test_fixtures::copy_program(&busybox, &root.join("bin/busybox"));
        let list = Command::new(&busybox).arg("--list").output().unwrap().stdout;
        for name in String::from_utf8_lossy(&list).lines().filter(|name| *name != "busybox") {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let program = place.join("podman");
        let mut said = String::new();
        for settings in SETTINGS {
            std::fs::write(place.join("containers.conf"), settings).unwrap();
            let script = format!(
                "#!/bin/sh\nexport CONTAINERS_CONF={0}/containers.conf\nexec {1} --root {0}/storage --runroot {0}/state \
                 --storage-driver vfs --cgroup-manager cgroupfs \"$@\"\n",
                place.display(),
                real.display()
            );
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let archive = place.join("root.tar");
            let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap();
            assert!(packed.success());
            let imported = Command::new(&program).arg("import").arg(&archive).arg(IMAGE).output().unwrap();
            let mut tried = Command::new(&program);
            tried.args(["run", "--rm", "--init", "--network", "none", "--read-only", IMAGE, "true"]);
            let tried = tried.output().unwrap();
            if imported.status.success() && tried.status.success() {
                return Ok(Podman { folder, is_shared: false, program });
            }
            said = [imported.stderr, tried.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        }
        Err(format!("podman runs no container here: {}", said.trim_end()))
    }

    fn isolation(&self) -> Isolation {
        Isolation::best_effort().container(Container::new(self.program.to_str().unwrap(), IMAGE).unwrap())
    }

    fn executor(&self, isolation: Isolation) -> LocalExecutor {
        let slots = [self.folder.path().join("slots/0"), self.folder.path().join("slots/1")];
        LocalExecutor::new(slots, self.folder.path().join("logs")).isolated(isolation)
    }

    fn containers(&self) -> String {
        let output = Command::new(&self.program).args(["ps", "--all", "--quiet"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if !self.is_shared {
            let _ = Command::new(&self.program).args(["rm", "--force", "--all", "--time", "0"]).output();
            let _ = Command::new(&self.program).args(["rmi", "--force", "--all"]).output();
        }
    }
}

fn job(number: u32, script: &str, limit: Duration) -> Job {
    let argv = ["sh", "run.sh"].map(str::to_owned).to_vec();
    Job::new(JobName::new("t", number.to_string()), Tree::new([("run.sh", script.to_owned())]).unwrap(), argv, limit)
}

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_command_in_a_container_sees_what_is_its_own_and_ends_as_it_does_outside() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let Some(podman) = Podman::here() else { return };
    let place = podman.folder.path();
    for name in ["secret", "data", "model"] {
        std::fs::write(place.join(name), format!("{name}\n")).unwrap();
    }
    std::fs::create_dir(place.join("target")).unwrap();
    std::fs::write(place.join("target/left"), "as it was\n").unwrap();
    let isolation = podman.isolation().read(place.join("data")).pristine(place.join("target"));
    let enforcement = isolation.enforcement();
    println!("{enforcement}");
    assert!(enforcement.missing().all(|missing| missing.name == "user"), "{enforcement}");
    let executor = podman.executor(isolation);
    let script = format!(
        "set -e\ncd {0}/slots/0; cat {0}/data model; echo x > file; echo y > $HOME/y; echo z > $TMPDIR/z; echo t > /tmp/t\n\
         cat {0}/target/left; echo changed > {0}/target/left\n\
         echo x 2> /dev/null > {0}/data && exit 11; test -e {0}/secret && exit 12; test -e {0}/logs && exit 13\n\
         touch /bin/x 2> /dev/null && exit 14; wget -q -T 2 http://10.0.0.1/ 2> /dev/null && exit 15\n\
         grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && exit 16\n\
         test -n \"$CARGO_HOME$DOCKER_HOST\" && exit 17\n\
         (sh -c 'echo $$ > orphan; exec sleep 0.1' &)\ni=0\nuntil test -s orphan && ! test -e /proc/$(cat orphan); do\n\
         i=$((i + 1)); test $i -lt 100 || exit 18; sleep 0.1\ndone\necho score: 3",
        place.display()
    );
    let mut first = job(1, &script, LIMIT);
    first.provisions = vec![Provision::link(place.join("model"), "model")];
    let outcome = executor.run(&first, &Cancel::new()).await.unwrap();
    let tail = outcome.log().tail.clone();
    assert!(matches!(outcome, Outcome::Completed(_)) && tail == "data\nmodel\nas it was\nscore: 3\n", "{outcome:?}");
    assert_eq!(std::fs::read_to_string(place.join("target/left")).unwrap(), "as it was\n");
    for (number, (script, told)) in [
        ("exit 3", "the run ended with exit code 3"),
        ("exit 125", "the run ended with exit code 125"),
        ("exit 127", "the run ended with exit code 127"),
        ("trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done", "killed at its limit"),
        ("trap '' TERM; echo ready; while :; do sleep 0.1; done", "killed at its limit"),
    ]
    .into_iter()
    .enumerate()
    {
        let is_ended = told.contains("limit");
        let mut limit = if is_ended { Duration::from_secs(3) } else { LIMIT };
        let run = async |limit| executor.run(&job(10 + number as u32, script, limit), &Cancel::new()).await.unwrap();
        let mut outcome = run(limit).await;
        // Its limit counts the start of its container, which takes longer on a busy machine.
        while is_ended && !outcome.log().tail.contains("ready") {
            assert!(limit < LIMIT, "{script}: {outcome:?}");
            limit *= 2;
            outcome = run(limit).await;
        }
        assert!(outcome.describe().contains(told), "{script}: {outcome:?}");
        assert_eq!(outcome.log().tail.contains("asked"), script.contains("asked"), "{outcome:?}");
    }
    let mut absent = job(20, "", LIMIT);
    absent.run.argv = vec!["no-such-program".into()];
    // The engine's own init is started, and says what is missing.
    let outcome = executor.run(&absent, &Cancel::new()).await.unwrap();
    assert!(outcome.describe().contains("No such file or directory"), "{outcome:?}");
    let nowhere = Container::new(podman.program.to_str().unwrap(), "localhost/no-such-image").unwrap();
    let isolation = Isolation::best_effort().container(nowhere);
    assert!(isolation.enforcement().to_string().contains("has no image localhost/no-such-image; pull or build it"));
    let error = podman.executor(isolation).run(&job(21, "", LIMIT), &Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("starts no container for `sh`"), "{error}");
    assert_eq!(podman.containers(), "", "none is left");
}

#[tokio::test]
async fn an_evaluation_in_a_container_has_a_channel_of_its_own() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let Some(podman) = Podman::here() else { return };
    let executor = podman.executor(podman.isolation());
    let mut job = job(1, "mkdir out; echo 2 > out/model; echo score: 9", LIMIT);
    let argv =
        ["sh", "-c", "echo \"score: $(cat {inputs}/out/model)\" > $AUTORESEARCH_RESULT"].map(str::to_owned).to_vec();
    let step = JobStep { argv, limit: LIMIT, ..JobStep::default() };
    job.evaluation = Some(JobEvaluation::new(step, Tree::new([("a", "a")]).unwrap(), vec!["out/*".into()]));
    let outcome = executor.run(&job, &Cancel::new()).await.unwrap();
    assert_eq!(outcome.log().tail, "score: 2\n", "{outcome:?}");
}

#[tokio::test]
async fn the_local_executor_keeps_its_contract_in_containers() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let Some(podman) = Podman::here() else { return };
    let shared = podman.folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let isolation = podman.isolation().write(&shared);
    let (place, of_case) = (podman.folder.path().to_owned(), isolation.clone());
    let make = move || {
        let slots = [place.join("slots/0"), place.join("slots/1")];
        Arc::new(LocalExecutor::new(slots, place.join("logs")).isolated(of_case.clone())) as Arc<dyn Executor>
    };
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: false }).await;
    assert_eq!(podman.containers(), "");
}

/// The lab of the next test: runs a job in a container until somebody kills it.
#[tokio::test]
async fn lab_to_be_killed() {
    let Some(folder) = std::env::var_os("CONTAINER_SUITE_FOLDER") else { return };
    let podman = Podman::here().unwrap();
    let folder = Path::new(&folder);
    let executor = LocalExecutor::new([folder.join("slots/0")], folder.join("logs")).isolated(podman.isolation());
    let _ = executor.run(&job(1, "echo ready; sleep 50", LIMIT), &Cancel::new()).await;
}

#[tokio::test]
async fn what_a_lab_that_died_left_in_a_container_is_ended_by_its_folder() {
    let Some(podman) = Podman::here() else { return };
    let place = podman.folder.path();
    let mut lab = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "container::lab_to_be_killed"])
        .env("CONTAINER_SUITE_FOLDER", place)
        .env("AUTORESEARCH_TEST_PODMAN", &podman.program)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let log = place.join("logs/t-1.log");
    let is_ready = || {
        let logs = std::fs::read_dir(place.join("logs")).into_iter().flatten().flatten();
        logs.into_iter().any(|entry| std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("ready")))
    };
    while !is_ready() {
        assert!(Instant::now() < deadline, "{}: {}", log.display(), podman.containers());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(podman.containers(), "");
    lab.kill().unwrap();
    lab.wait().unwrap();
    // As an engine with a service would: the container is known, whatever became of its processes.
    assert_ne!(podman.containers(), "");
    podman.executor(podman.isolation()).recover("t", &[]).await.unwrap();
    assert_eq!(podman.containers(), "");
    std::io::stdout().flush().unwrap();
}
