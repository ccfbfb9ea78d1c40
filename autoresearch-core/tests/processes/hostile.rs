//! Hostile proposals and candidates harm nothing but their own outcome: names, modes, processes, leftovers, and reads of the
//! parent's memory.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use autoresearch_core::Commands;
use autoresearch_core::internal::process;
use autoresearch_core::*;

/// A repository with an executable script `run.sh`.
struct Fixture {
    folder: PathBuf,
}

impl Fixture {
    fn at(folder: &Path) -> Fixture {
        let fixture = Fixture { folder: folder.to_owned() };
        std::fs::create_dir_all(fixture.repo()).unwrap();
        std::fs::write(fixture.repo().join("run.sh"), "#!/bin/sh\necho score: 10\n").unwrap();
        std::fs::set_permissions(fixture.repo().join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        for arguments in ["init -q --template=", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
            let git = Command::new("git").args(arguments.split(' ')).current_dir(fixture.repo()).output().unwrap();
            assert!(git.status.success(), "{}", String::from_utf8_lossy(&git.stderr));
        }
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    fn slot(&self) -> PathBuf {
        self.folder.join("slot")
    }

    fn sandbox(&self, commands: Commands) -> CommandSandbox {
        let commands = Commands { editable: EditablePaths::new(["**"]), run: vec!["./run.sh".into()], ..commands };
        CommandSandbox::local(&self.repo(), "t", commands, [self.slot()], self.folder.join("logs")).unwrap()
    }
}

fn write(path: &str, text: &str) -> Patch {
    Patch { edits: vec![FileEdit::Write { path: path.into(), text: text.into() }] }
}

fn script(text: &str) -> Patch {
    write("run.sh", &format!("#!/bin/sh\n{text}\n"))
}

async fn run(sandbox: &CommandSandbox, number: u32, patch: &Patch) -> Outcome {
    let base = sandbox.baseline().await.unwrap().revision;
    let candidate = sandbox.stage(ExperimentId(number), &base, patch, "a change").await.unwrap();
    let trial = Trial::new(ExperimentId(number), 1, 0, Duration::from_secs(30).into());
    sandbox.run(&candidate, &trial, &Cancel::new()).await.unwrap()
}

#[tokio::test]
async fn a_candidate_whose_program_cannot_be_started_has_crashed() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(folder.path());
    let sandbox = fixture.sandbox(Commands::default());
    for (number, first_line) in ["#!/no/such/shell", "#!", "#!/etc/hostname", "#!/bin"].into_iter().enumerate() {
        let outcome =
            run(&sandbox, number as u32 + 1, &write("run.sh", &format!("{first_line}\necho score: 1\n"))).await;
        // A shell tries what the kernel cannot run itself; the result of that is the candidate's as well.
        assert!(matches!(outcome, Outcome::Crashed { .. } | Outcome::Completed(_)), "{first_line}: {outcome:?}");
        if first_line.contains("such") {
            let Outcome::Crashed { message, .. } = outcome else { panic!("{first_line}") };
            assert!(message.contains("`./run.sh`: its first line names a program that is not there"), "{message}");
        }
    }
    let outcome = run(&sandbox, 9, &script("echo score: 3")).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "the next one is not to blame: {outcome:?}");

    // A missing program of the configuration is no crash of a candidate.
    let commands = Commands { run: vec!["no-such-program".into()], ..Commands::default() };
    let logs = folder.path().join("logs");
    let sandbox = CommandSandbox::local(&fixture.repo(), "t", commands, [fixture.slot()], logs).unwrap();
    let baseline = sandbox.baseline().await.unwrap();
    let trial = Trial::new(ExperimentId(0), 1, 0, Duration::from_secs(30).into());
    let error = sandbox.run(&baseline, &trial, &Cancel::new()).await.unwrap_err();
    assert!(matches!(error, SandboxError::CannotStart { .. }), "{error}");
}

#[tokio::test]
async fn names_that_no_file_can_have_are_rejected_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(folder.path());
    let sandbox = fixture.sandbox(Commands::default());
    let base = sandbox.baseline().await.unwrap().revision;
    let refs = || std::fs::read_dir(fixture.repo().join(".git/refs/autoresearch/t/exp")).unwrap().count();
    let before = refs();
    let long = format!("src/{}.rs", "a".repeat(300));
    let deep = "d/".repeat(2000) + "x";
    for path in [long.as_str(), deep.as_str(), "src/x\n/tmp/victim", "a\0b", "a\u{1b}[2Jb", "a\rb", "a\u{202e}b"] {
        let diff = FileEdit::Diff { diff: format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n") };
        for patch in
            [write(path, "x"), Patch { edits: vec![FileEdit::Write { path: "ok".into(), text: "x".into() }, diff] }]
        {
            let rejected = sandbox.stage(ExperimentId(1), &base, &patch, "odd").await;
            let Err(StageError::Rejected(why)) = rejected else { panic!("{path:?}: {rejected:?}") };
            assert!(!why.contains(|c: char| c.is_control() && c != '\n'), "the message is safe to show: {why:?}");
        }
    }
    assert_eq!(refs(), before, "nothing was staged");
    // A NUL in a description reaches no C string.
    let candidate = sandbox.stage(ExperimentId(1), &base, &write("ok", "x"), "odd \0 \u{1b}[31mname").await.unwrap();
    let kept = sandbox.commit(&candidate, None, "kept \0 too").await.unwrap();
    let git =
        Command::new("git").args(["log", "-1", "--format=%B", &kept.0]).current_dir(fixture.repo()).output().unwrap();
    assert!(String::from_utf8(git.stdout).unwrap().starts_with("kept \u{fffd} too"));
}

#[tokio::test]
async fn leftovers_are_removed_as_soon_as_a_trial_ends() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(folder.path());
    let sandbox = fixture.sandbox(Commands::default());
    let litter =
        "mkdir -p deep/er; echo x > deep/er/file; echo x > checkpoint; echo x > $TMPDIR/cache; echo changed >> run.sh";
    for (number, ending) in ["echo score: 1", "exit 3", "kill -9 $$"].into_iter().enumerate() {
        run(&sandbox, number as u32 + 1, &script(&format!("{litter}; {ending}"))).await;
        let left: Vec<String> = walk(&fixture.folder).into_iter().filter(|path| path.contains("slot")).collect();
        assert_eq!(left, ["slot.filled", "slot/run.sh"], "after `{ending}`");
    }
}

#[tokio::test]
async fn a_file_may_become_a_folder_and_a_folder_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(folder.path());
    let sandbox = fixture.sandbox(Commands::default());
    let base = sandbox.baseline().await.unwrap().revision;
    let delete = |path: &str| FileEdit::Delete { path: path.into() };
    let list = script("echo score: 1; find . -type f ! -name run.sh | LC_ALL=C sort").edits;
    let edits = |paths: &[&str]| paths.iter().flat_map(|path| write(path, "x").edits).collect::<Vec<_>>();
    let first = Patch { edits: [list, edits(&["part", "deep/er/a", "deep/er/b"])].concat() };
    let first = sandbox.stage(ExperimentId(1), &base, &first, "files").await.unwrap();
    let turned = [edits(&["part/a", "deep/er"]), ["part", "deep/er/a", "deep/er/b"].map(delete).to_vec()].concat();
    let second = sandbox.stage(ExperimentId(2), &first.revision, &Patch { edits: turned }, "turned").await.unwrap();
    for (number, (candidate, files)) in [
        (&first, "./deep/er/a\n./deep/er/b\n./part\n"),
        (&second, "./deep/er\n./part/a\n"),
        (&first, "./deep/er/a\n./deep/er/b\n./part\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let trial = Trial::new(ExperimentId(1), number as u32 + 1, 0, Duration::from_secs(30).into());
        let outcome = sandbox.run(candidate, &trial, &Cancel::new()).await.unwrap();
        assert_eq!(outcome.log().tail, format!("score: 1\n{files}"));
    }
    // Both at once cannot be.
    for edits in [edits(&["part/a"]), edits(&["deep"]), edits(&["new", "new/below"])] {
        let staged = sandbox.stage(ExperimentId(3), &first.revision, &Patch { edits }, "both").await;
        assert!(matches!(&staged, Err(StageError::Rejected(why)) if why.contains("folder")), "{staged:?}");
    }
}

/// The files below the folder, relative to it, the repository and the logs left out.
fn walk(root: &Path) -> Vec<String> {
    let (mut files, mut left) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => left.push(entry.path()),
                false => files.push(entry.path().strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    files.retain(|path| !path.starts_with("repo") && !path.starts_with("logs"));
    files
}

#[tokio::test]
async fn a_trial_sees_no_key_neither_its_own_nor_its_parent_s() {
    let folder = tempfile::tempdir().unwrap();
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "hostile::looks_for_keys", "--nocapture"]).env("HOSTILE_FOLDER", folder.path());
    for name in ["ANTHROPIC_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "ROCR_TOKEN", "TORCH_TOKEN"] {
        inner.env(name, "sesame-secret");
    }
    inner.env("OPENAI_API_KEY", "sk-other-sesame");
    inner.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID").env("CUDA_VISIBLE_DEVICES", "1").env("HIP_VISIBLE_DEVICES", "2");
    inner.env("PYTORCH_ALLOC_CONF", "expandable_segments:True").env("TORCH_CUDNN_V8_API_DEBUG", "0");
    inner
        .env("VIRTUAL_ENV", "/venv")
        .env("HF_HOME", "/hf")
        .env("https_proxy", "http://proxy:1")
        .env("MINE", "passed on");
    inner.env("http_proxy", "http://me:sesame-secret@proxy:1").env("SSL_CERT_FILE", "/cert");
    let output = inner.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Plays the trial of the test before, which gives it keys in its environment.
#[tokio::test]
async fn looks_for_keys() {
    let Some(folder) = std::env::var_os("HOSTILE_FOLDER") else { return };
    let fixture = Fixture::at(Path::new(&folder));
    let sandbox = fixture.sandbox(Commands {
        pass: ["MINE", "NOT_SET", "OPENAI_API_KEY"].map(str::to_owned).to_vec(),
        ..Commands::default()
    });
    // Turned around, so that what is hidden in the text does not hide a leak.
    let look = "env; (env; tr '\\0' '\\n' < /proc/$PPID/environ) | grep -v ^OPENAI | rev; echo done";
    let log = run(&sandbox, 1, &script(look)).await.log().tail.clone();
    assert!(log.contains("done") && !log.contains("sesame") && !log.contains("emases"), "{log}");
    for given in [
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES=1",
        "HIP_VISIBLE_DEVICES=2",
        "PYTORCH_ALLOC_CONF=expandable_segments:True",
        "TORCH_CUDNN_V8_API_DEBUG=0",
        "VIRTUAL_ENV=/venv",
        "HF_HOME=/hf",
        "https_proxy=http://proxy:1",
        "SSL_CERT_FILE=/cert",
        "MINE=passed on",
        // Passed on by name, and hidden in texts for journals and prompts.
        "OPENAI_API_KEY=[OPENAI_API_KEY is hidden]",
    ] {
        assert!(log.lines().any(|line| line == given), "{given}: {log}");
    }
    // The raw log holds no key either, not even one that arrives in pieces, or that the configuration sets.
    let sandbox = fixture.sandbox(Commands {
        pass: vec!["OPENAI_API_KEY".into()],
        environment: vec![("SET_TOKEN".into(), "set-by-a-file".into())],
        ..Commands::default()
    });
    let pieces =
        "printf sk-oth; sleep 0.3; echo er-sesame; printf 'unfinished sk-other'; sleep 0.3; echo; echo $SET_TOKEN";
    let outcome = run(&sandbox, 2, &script(pieces)).await;
    let raw = std::fs::read_to_string(outcome.log().path.as_ref().unwrap()).unwrap();
    assert_eq!(raw, "[OPENAI_API_KEY is hidden]\nunfinished sk-other\n[SET_TOKEN is hidden]\n");
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// Runs a test of this program with these variables, as another user if this one is root, in a copy of the program. Returns
/// what it prints.
pub fn output_as_an_ordinary_user(test: &str, variables: &[(&str, String)]) -> String {
    const NOBODY: u32 = 65534;
    output_as(NOBODY, test, variables)
}

/// The same, as the user of this number.
pub fn output_as(user: u32, test: &str, variables: &[(&str, String)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let program = folder.path().join("program");
    // By a process of its own: a fork of another thread would keep a file open for writing that is to be executed.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut inner = Command::new(&program);
    inner.args(["--exact", test, "--nocapture"]).envs(variables.iter().map(|(name, value)| (name, value)));
    inner.env("HOME", folder.path()).env("TMPDIR", folder.path()).current_dir(folder.path());
    if is_root() {
        inner.uid(user).gid(user);
    }
    let output = inner.output().unwrap();
    // So that the folder can be removed.
    let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(folder.path()).output();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

/// Runs a test of this file as an ordinary user. The folder is at `HOSTILE_FOLDER`.
fn as_an_ordinary_user(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let place = folder.path().join("place");
    let variables = [("HOSTILE_FOLDER", place.display().to_string()), ("HOSTILE_MARK", "sesame-mark".into())];
    let said = output_as_an_ordinary_user(test, &variables);
    let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(folder.path()).output();
    assert!(said.contains("1 passed"), "{said}");
}

/// Runs as an ordinary user, since root is bound by no permissions.
#[test]
fn permissions_that_a_candidate_takes_away_stop_nobody() {
    as_an_ordinary_user("hostile::takes_permissions_away");
}

#[test]
fn a_lab_can_hide_its_own_memory_from_trials() {
    as_an_ordinary_user("hostile::hides_its_memory");
}

#[tokio::test]
async fn hides_its_memory() {
    let Some(folder) = std::env::var_os("HOSTILE_FOLDER").filter(|_| std::env::var_os("HOSTILE_MARK").is_some()) else {
        return;
    };
    let fixture = Fixture::at(Path::new(&folder));
    let sandbox = fixture.sandbox(Commands::default());
    // The parent's parent is the lab.
    let look =
        "lab=$(sed 's/.*) . //; s/ .*//' /proc/$PPID/stat); tr '\\0' '\\n' < /proc/$lab/environ; echo looked at $lab";
    let seen = run(&sandbox, 1, &script(look)).await.log().tail.clone();
    assert!(seen.contains("sesame") && seen.contains(&format!("looked at {}", std::process::id())), "{seen}");
    process::hide_memory().unwrap();
    let seen = run(&sandbox, 2, &script(look)).await.log().tail.clone();
    assert!(!seen.contains("sesame") && seen.contains("looked at"), "{seen}");
}

#[tokio::test]
async fn takes_permissions_away() {
    let Some(folder) = std::env::var_os("HOSTILE_FOLDER") else { return };
    let fixture = Fixture::at(Path::new(&folder));
    let sandbox = fixture.sandbox(Commands::default());
    let cases = [
        "mkdir -p out/mod; touch out/mod/f; chmod 555 out/mod",
        "mkdir -p $TMPDIR/mod/deep; touch $TMPDIR/mod/deep/f; chmod 555 $TMPDIR/mod/deep; chmod 0 $TMPDIR/mod",
        "echo x > out; chmod 444 out",
        "chmod 0 run.sh",
        "chmod 555 .",
        "chmod 0 $TMPDIR; chmod 0 .",
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let number = number as u32 * 2 + 1;
        run(&sandbox, number, &script(&format!("{case}; echo score: 1"))).await;
        let next = run(&sandbox, number + 1, &script("echo score: 2; ls -A; ls -A $TMPDIR")).await;
        assert_eq!(next.log().tail, "score: 2\nrun.sh\n", "after `{case}`: {next:?}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_emptied_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(folder.path());
    let sandbox = fixture.sandbox(Commands::default());
    run(&sandbox, 1, &script("echo score: 1")).await;
    // Not even root removes what is immutable. Not every file system knows that.
    let stuck = fixture.slot().join("stuck");
    std::fs::create_dir(&stuck).unwrap();
    std::fs::write(stuck.join("file"), "x").unwrap();
    let set =
        |flag: &str, path: &Path| Command::new("chattr").arg(flag).arg(path).output().is_ok_and(|o| o.status.success());
    if !set("+i", &stuck) {
        eprintln!("skipped: files cannot be made immutable here");
        return;
    }
    let next = run(&sandbox, 2, &script("echo score: 2; ls -A")).await;
    let aside = folder.path().join("slot.abandoned-1/stuck");
    let was_moved = aside.exists();
    set("-i", if was_moved { &aside } else { &stuck });
    assert_eq!(next.log().tail, "score: 2\nrun.sh\n");
    assert!(was_moved);
    sandbox.recover().await.unwrap();
    assert!(!folder.path().join("slot.abandoned-1").exists(), "it is removed as soon as that succeeds");
}
