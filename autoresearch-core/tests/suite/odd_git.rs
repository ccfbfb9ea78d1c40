//! Repositories of unusual shape: carried as they are, or rejected with a remedy before anything is paid for.
#![cfg(target_os = "linux")]

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use autoresearch_core::Commands;
use autoresearch_core::internal::git::{GitError, Lineage, root_of};
use autoresearch_core::*;

mod uncommitted;

/// A repository with a file `value`, and a folder for the sandbox.
struct Fixture {
    folder: tempfile::TempDir,
}

fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=u", "-c", "user.email=u@localhost", "-c", "protocol.file.allow=always"]);
    let output = git.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with(&["init", "-q", "-b", "main", "--template="])
    }

    fn with(init: &[&str]) -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(fixture.repo()).unwrap();
        fixture.git(init);
        std::fs::write(fixture.repo().join("value"), "score: 5\n").unwrap();
        fixture.commit();
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.repo(), arguments)
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", "more"]);
    }

    fn sandbox(&self, script: &str) -> CommandSandbox {
        let commands = Commands {
            editable: EditablePaths::new(["**"]),
            run: ["sh", "-c", script].map(str::to_owned).to_vec(),
            ..Commands::default()
        };
        let fixture = self.folder.path();
        CommandSandbox::local(&self.repo(), "t", commands, [fixture.join("slot")], fixture.join("logs")).unwrap()
    }

    /// The refs of runs in the repository.
    fn refs(&self) -> String {
        self.git(&["for-each-ref", "--format=%(refname)", "refs/autoresearch", "refs/heads/autoresearch"])
    }
}

fn trial(number: u32) -> Trial {
    Trial::new(ExperimentId(number), 1, 0, Duration::from_secs(60).into())
}

fn write(path: &str, text: &str) -> Patch {
    Patch { edits: vec![FileEdit::Write { path: path.into(), text: text.into() }] }
}

async fn obstacle(sandbox: &CommandSandbox) -> String {
    let started = sandbox.recover().await.map_err(|error| error.to_string());
    match started {
        Err(why) => why,
        Ok(()) => sandbox.baseline().await.unwrap_err().to_string(),
    }
}

#[tokio::test]
async fn a_branch_in_the_way_is_told_before_the_baseline() {
    for (branch, words) in [
        ("autoresearch", "refs/heads/autoresearch exists"),
        ("autoresearch/t/mine", "refs/heads/autoresearch/t/mine exists"),
    ] {
        let fixture = Fixture::new();
        fixture.git(&["branch", branch]);
        let why = obstacle(&fixture.sandbox("cat value")).await;
        assert!(why.contains(words) && why.contains(&format!("git branch -m {branch}")), "{why}");
        assert_eq!(fixture.refs().lines().count(), 1, "nothing was written: {}", fixture.refs());
        fixture.git(&["branch", "-m", branch, "other"]);
        let sandbox = fixture.sandbox("cat value");
        sandbox.recover().await.unwrap();
        sandbox.baseline().await.unwrap();
    }
    let fixture = Fixture::new();
    fixture.git(&["update-ref", "refs/autoresearch/t", "HEAD"]);
    assert!(obstacle(&fixture.sandbox("cat value")).await.contains("refs/autoresearch/t exists"));
    // A branch of another run, and one whose name only begins alike, are not in the way.
    let fixture = Fixture::new();
    fixture.git(&["branch", "autoresearch/other"]);
    fixture.git(&["branch", "autoresearch-t"]);
    fixture.sandbox("cat value").baseline().await.unwrap();
}

#[tokio::test]
async fn a_checked_out_branch_is_not_moved_under_its_user() {
    for linked in [false, true] {
        let fixture = Fixture::new();
        let sandbox = fixture.sandbox("cat value");
        let baseline = sandbox.baseline().await.unwrap();
        let base = sandbox.commit(&baseline, None, "baseline").await.unwrap();
        sandbox.adopt(None, &base).await.unwrap();
        let candidate = sandbox.stage(ExperimentId(1), &base, &write("value", "score: 4\n"), "lower").await.unwrap();
        let kept = sandbox.commit(&candidate, None, "lower").await.unwrap();

        let worktree = match linked {
            false => fixture.repo(),
            true => fixture.folder.path().join("linked"),
        };
        match linked {
            false => fixture.git(&["switch", "-q", "autoresearch/t"]),
            true => fixture.git(&["worktree", "add", "-q", worktree.to_str().unwrap(), "autoresearch/t"]),
        };
        let why = sandbox.adopt(Some(&base), &kept).await.unwrap_err().to_string();
        assert!(why.contains("autoresearch/t is checked out") && why.contains("git switch -"), "{why}");
        assert!(why.contains(worktree.canonicalize().unwrap().to_str().unwrap()), "{why}");
        assert_eq!(git_in(&worktree, &["status", "--porcelain"]), "", "its user sees no change");
        let started = sandbox.recover().await.unwrap_err().to_string();
        assert!(started.contains("is checked out"), "it is told at the start as well: {started}");

        git_in(&worktree, &["switch", "-q", "--detach"]);
        sandbox.recover().await.unwrap();
        sandbox.adopt(Some(&base), &kept).await.unwrap();
    }
}

#[tokio::test]
async fn links_inside_the_tree_are_carried_and_submodules_left_empty() {
    let fixture = Fixture::new();
    let other = fixture.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    git_in(&other, &["init", "-q"]);
    std::fs::write(other.join("a"), "a").unwrap();
    git_in(&other, &["add", "."]);
    git_in(&other, &["commit", "-qm", "a"]);
    fixture.git(&["submodule", "-q", "add", other.to_str().unwrap(), "lib"]);
    std::fs::create_dir(fixture.repo().join("sub")).unwrap();
    std::os::unix::fs::symlink("../value", fixture.repo().join("sub/link")).unwrap();
    std::os::unix::fs::symlink("sub", fixture.repo().join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", fixture.repo().join("outside")).unwrap();
    fixture.commit();

    let sandbox = fixture.sandbox("cat sub/link folder/link; ls lib | wc -l; ls outside");
    let warnings = sandbox.warnings().await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("submodule lib") && warnings[1].contains("link outside"), "{warnings:?}");
    let baseline = sandbox.baseline().await.unwrap();
    let read = sandbox.files(&baseline.revision).await.unwrap();
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        ["value"],
        "links are not edited as text, and .gitmodules is not editable"
    );
    let candidate =
        sandbox.stage(ExperimentId(1), &baseline.revision, &write("value", "score: 4\n"), "lower").await.unwrap();
    let outcome = sandbox.run(&candidate, &trial(1), &Cancel::new()).await.unwrap();
    assert!(outcome.log().tail.starts_with("score: 4\nscore: 4\n0\n"), "{outcome:?}");
    assert!(outcome.log().tail.contains("No such file"), "{outcome:?}");
    let entries = fixture.git(&["ls-tree", "-r", &candidate.revision.0]);
    assert!(entries.contains("160000 commit") && entries.contains("120000 blob"), "the commit keeps them: {entries}");

    for path in ["sub/link", "folder/link", "lib/a", "folder"] {
        let staged = sandbox.stage(ExperimentId(2), &baseline.revision, &write(path, "x"), "x").await;
        assert!(matches!(staged, Err(StageError::Rejected(_))), "{path}: {staged:?}");
    }
    // Two changes of different files merge beside links and submodules.
    let left = sandbox.stage(ExperimentId(3), &baseline.revision, &write("left", "l"), "l").await.unwrap();
    let rebase = Rebase {
        experiment: ExperimentId(3),
        times: 1,
        candidate: &left,
        from: &baseline.revision,
        onto: &candidate.revision,
        change: &write("left", "l"),
        description: "l",
    };
    let Rebased::Candidate(both) = sandbox.rebase(rebase).await.unwrap() else { panic!("no conflict") };
    let outcome = sandbox.run(&both, &trial(3), &Cancel::new()).await.unwrap();
    assert!(outcome.log().tail.starts_with("score: 4\nscore: 4\n0\n"), "{outcome:?}");
}

#[tokio::test]
async fn files_that_git_changes_at_checkout_are_rejected_by_name() {
    let fixture = Fixture::new();
    std::fs::write(fixture.repo().join(".gitattributes"), "*.dat filter=up\n").unwrap();
    std::fs::write(fixture.repo().join("big.dat"), "HELLO\n").unwrap();
    fixture.commit();
    // Without the filter git checks the stored text out as it is, and so do candidates.
    fixture.sandbox("cat value").baseline().await.unwrap();
    fixture.git(&["config", "filter.up.smudge", "tr A-Z a-z"]);
    let why = obstacle(&fixture.sandbox("cat value")).await;
    assert!(why.contains("big.dat") && why.contains("filter=up"), "{why}");
}

#[tokio::test]
async fn files_are_converted_as_git_checks_them_out() {
    let fixture = Fixture::new();
    let attributes =
        "*.bat eol=crlf\n*.u16 working-tree-encoding=UTF-16LE-BOM\n*.id ident\n*.txt text=auto\n*.bin -text\n";
    let write = |path: &str, content: &[u8]| std::fs::write(fixture.repo().join(path), content).unwrap();
    std::fs::create_dir(fixture.repo().join("sub")).unwrap();
    write(".gitattributes", attributes.as_bytes());
    write("sub/.gitattributes", b"*.bat -eol -text\n");
    write("a.bat", b"one\r\ntwo\r\n");
    write("sub/b.bat", b"one\ntwo\n");
    write("c.id", b"$Id$\n");
    write("d.txt", b"one\ntwo\n");
    write("e.bin", b"one\n\0two\n");
    write("f.txt", b"one\n\0two\n");
    write("g.u16", b"\xff\xfeh\0\xe9\0\n\0");
    fixture.commit();
    for autocrlf in ["false", "true"] {
        fixture.git(&["config", "core.autocrlf", autocrlf]);
        let sandbox = fixture.sandbox("sha256sum $(find . -type f | LC_ALL=C sort)");
        assert_eq!(sandbox.warnings().await.unwrap(), [""; 0]);
        let baseline = sandbox.baseline().await.unwrap();
        // The editable text is the stored one; a change of it is converted as well.
        let files = sandbox.files(&baseline.revision).await.unwrap();
        assert_eq!((files["a.bat"].as_str(), files["g.u16"].as_str()), ("one\ntwo\n", "h\u{e9}\n"));
        let change = Patch { edits: vec![FileEdit::Write { path: "g.u16".into(), text: "\u{e9}h\n".into() }] };
        let changed = sandbox.stage(ExperimentId(1), &baseline.revision, &change, "turn around").await.unwrap();
        for candidate in [baseline, changed] {
            let outcome = sandbox.run(&candidate, &trial(1), &Cancel::new()).await.unwrap();
            let checkout = fixture.folder.path().join(format!("{autocrlf}-{}", candidate.revision));
            fixture.git(&["worktree", "add", "-q", "--detach", checkout.to_str().unwrap(), &candidate.revision.0]);
            let sums = Command::new("sh")
                .args(["-c", "sha256sum $(find . -type f ! -name .git | LC_ALL=C sort)"])
                .current_dir(&checkout)
                .output();
            let sums = String::from_utf8(sums.unwrap().stdout).unwrap();
            assert!(sums.contains("./g.u16") && sums.contains("./sub/b.bat"), "{sums}");
            assert_eq!(outcome.log().tail, sums, "autocrlf {autocrlf}");
            // A filled slot is as git would have it, so that nothing is written again.
            let again = sandbox.run(&candidate, &trial(1), &Cancel::new()).await.unwrap();
            assert_eq!(again.log().tail, sums);
        }
    }
    assert_eq!(fixture.git(&["status", "--porcelain"]), "", "the user's index and files are as they were");
}

#[test]
fn formats_that_are_not_supported_are_named() {
    for (init, words) in [
        (["init", "-q", "--object-format=sha256"], "objectformat"),
        (["init", "-q", "--ref-format=reftable"], "refstorage"),
    ] {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(fixture.repo()).unwrap();
        let done = Command::new("git").args(init).current_dir(fixture.repo()).output().unwrap();
        if !done.status.success() {
            eprintln!("skipped: this git does not know {init:?}");
            continue;
        }
        let why = Lineage::open(&fixture.repo(), "t").unwrap_err().to_string();
        assert!(why.contains(words) && why.contains("not supported"), "{init:?}: {why}");
    }
}

#[test]
fn a_partial_clone_says_which_objects_it_needs() {
    let fixture = Fixture::new();
    fixture.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = fixture.folder.path().join("clone");
    let url = format!("file://{}", fixture.repo().display());
    git_in(
        fixture.folder.path(),
        &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, clone.to_str().unwrap()],
    );
    let why = match Lineage::open(&clone, "t") {
        Err(error) => error.to_string(),
        Ok(lineage) => {
            let head = lineage.head().unwrap();
            lineage.editable_files(&head, &EditablePaths::new(["**"])).unwrap_err().to_string()
        }
    };
    assert!(why.contains("partial") && why.contains("git fetch --refetch"), "{why}");
}

#[test]
fn each_obstacle_has_its_own_message_and_remedy() {
    let fixture = Fixture::new();
    let bare = fixture.folder.path().join("bare.git");
    fixture.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let error = root_of(&bare).unwrap_err();
    assert!(matches!(error, GitError::Repository { .. }) && error.to_string().contains("clone it"), "{error}");

    let name = std::ffi::OsString::from_vec(b"caf\xe9.txt".to_vec());
    std::fs::write(fixture.repo().join(name), "x").unwrap();
    fixture.commit();
    let lineage = Lineage::open(&fixture.repo(), "t").unwrap();
    let error = lineage.tree(&lineage.head().unwrap()).unwrap_err();
    assert!(matches!(error, GitError::File { .. }) && error.to_string().contains("not UTF-8"), "{error}");

    let error = Lineage::open(Path::new("/proc"), "t").unwrap_err();
    assert!(error.to_string().contains("is not in a git repository; run `git init`"), "{error}");
    for tag in ["", "a/b", "a b", "..", "x.lock", "-x", &"x".repeat(300)] {
        assert!(matches!(Lineage::open(&fixture.repo(), tag), Err(GitError::BadTag(_))), "{tag}");
    }
}

#[test]
fn a_repository_of_another_user_comes_with_the_remedy() {
    let fixture = Fixture::new();
    // Only root can make one.
    if std::os::unix::fs::chown(fixture.repo(), Some(12345), None).is_err() {
        eprintln!("skipped: this test needs root");
        return;
    }
    std::os::unix::fs::chown(fixture.repo().join(".git"), Some(12345), None).unwrap();
    let Err(error) = Lineage::open(&fixture.repo(), "t") else {
        eprintln!("skipped: git trusts every repository here");
        return;
    };
    assert!(error.to_string().contains("git config --global --add safe.directory"), "{error}");
}
