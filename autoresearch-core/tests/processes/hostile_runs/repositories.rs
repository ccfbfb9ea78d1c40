//! Repositories that users have: odd names, modes, links, attributes, settings, hooks, and shapes of the store.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use test_fixtures::git;

use super::dice::Dice;

fn write(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Makes a repository below `folder` and returns its working tree, from which the run is started.
pub fn make(dice: &mut Dice, folder: &Path) -> PathBuf {
    let repo = folder.join(dice.pick(&["repo", "my repo", "repö", "-repo", "re'po$(x)"]));
    std::fs::create_dir_all(&repo).unwrap();
    git(&repo, &["init", "-q", "-b", "main", "--template="]);
    for (name, value) in [("user.name", "u"), ("user.email", "u@localhost"), ("gc.auto", "0")] {
        git(&repo, &["config", name, value]);
    }
    write(&repo.join("run.sh"), b"#!/bin/sh\necho score: 10\n", 0o755);
    write(&repo.join("notes/a.txt"), b"a note\n", 0o644);
    write(&repo.join("protected.txt"), b"protected\n", 0o644);
    for _ in 0..dice.below(4) {
        add_files(dice, &repo);
    }
    git(&repo, &["add", "-f", "."]);
    if dice.percent(8) {
        let id = "160000,0123456789012345678901234567890123456789,sub";
        git(&repo, &["update-index", "--add", "--cacheinfo", id]);
    }
    git(&repo, &["commit", "-qnm", "start"]);
    let mut place = repo.clone();
    for _ in 0..dice.below(3) {
        place = change_setting(dice, &repo, place);
    }
    place
}

fn add_files(dice: &mut Dice, repo: &Path) {
    match dice.below(16) {
        0 => {
            for name in [" a b ", "-rf", "it's \"x\"", "$(touch x)", "*", "größe", "a\nb", "tab\tx", "\u{1b}[31m"] {
                write(&repo.join("odd").join(name), b"x\n", 0o644);
            }
        }
        1 => write(&repo.join("n".repeat(255)), b"x", 0o600),
        2 => write(&repo.join("d/".repeat(40)).join("x"), b"", 0o644),
        3 => {
            let _ = symlink("run.sh", repo.join("link"));
            let _ = symlink("notes", repo.join("dir-link"));
        }
        4 => {
            for (name, to) in
                [("dangling", "nowhere"), ("outside", "../../outside"), ("absolute", "/etc/passwd"), ("self", "self")]
            {
                let _ = symlink(to, repo.join(name));
            }
        }
        5 => write(&repo.join("notes/tool"), b"#!/bin/sh\n", 0o755),
        6 => write(&repo.join("big.bin"), &(0..200_000u32).map(|n| ((n * 7) >> 3) as u8).collect::<Vec<_>>(), 0o644),
        7 => (0..120).for_each(|n| write(&repo.join(format!("many/{n}")), b"x\n", 0o644)),
        8 => write(
            &repo.join(".gitattributes"),
            // As in every such repository: a script with CRLF starts nowhere, in the user's checkout neither.
            b"* text=auto eol=crlf ident\n*.sh eol=lf\n*.txt merge=ours diff=x export-ignore -crlf\n",
            0o644,
        ),
        9 => write(&repo.join(".gitignore"), b"*\n", 0o644),
        10 => write(&repo.join(".gitmodules"), b"[submodule \"sub\"]\n\tpath = sub\n\turl = ../nowhere\n", 0o644),
        11 => write(&repo.join("notes/crlf.txt"), b"one\r\ntwo\r\n", 0o644),
        12 => write(&repo.join("notes/bytes.txt"), b"\xff\xfe\0\x01", 0o644),
        13 => write(&repo.join("notes/bom.txt"), b"\xef\xbb\xbftext", 0o644),
        14 => write(&repo.join("target/debris"), b"x", 0o644),
        _ => write(&repo.join("empty"), b"", 0o644),
    }
}

/// Runs git; an earlier setting, a hook for instance, may keep it from its work.
fn try_git(repo: &Path, arguments: &[&str]) {
    let _ = std::process::Command::new("git").args(arguments).current_dir(repo).output();
}

/// Changes the settings or the store; returns where the run is started.
fn change_setting(dice: &mut Dice, repo: &Path, place: PathBuf) -> PathBuf {
    let set = |name: &str, value: &str| try_git(repo, &["config", name, value]);
    match dice.below(16) {
        0 => set("core.filemode", "false"),
        1 => set("core.ignorecase", "true"),
        2 => {
            set("commit.gpgsign", "true");
            set("gpg.program", "false");
        }
        3 => {
            set("user.name", "");
            set("user.useConfigOnly", "true");
        }
        4 => {
            for hook in ["pre-commit", "commit-msg", "post-commit", "reference-transaction", "post-checkout", "update"]
            {
                write(&repo.join(".git/hooks").join(hook), b"#!/bin/sh\nexit 1\n", 0o755);
            }
        }
        5 => set("core.fsmonitor", "false # no such program"),
        6 => try_git(repo, &["pack-refs", "--all"]),
        7 => try_git(repo, &["gc", "-q"]),
        8 => try_git(repo, &["checkout", "-q", "--detach"]),
        9 => {
            std::fs::write(repo.join("notes/a.txt"), "being edited\n").unwrap();
            std::fs::write(repo.join("staged.txt"), "staged\n").unwrap();
            try_git(repo, &["add", "-f", "staged.txt"]);
        }
        10 => std::fs::write(repo.join(".git/index.lock"), "").unwrap(),
        11 => try_git(repo, &["branch", "-q", "-f", "autoresearch/other", "main"]),
        12 => try_git(repo, &["tag", "-f", "autoresearch", "main"]),
        13 => set("core.logAllRefUpdates", "always"),
        14 => {
            let other = repo.parent().unwrap().join("worktree");
            if !other.exists() {
                try_git(repo, &["worktree", "add", "-q", "--detach", other.to_str().unwrap(), "main"]);
            }
            return if other.join("run.sh").exists() { other } else { place };
        }
        _ => {
            let name = std::ffi::OsString::from_vec(b"untracked \xff".to_vec());
            std::fs::write(repo.join(name), "x").unwrap();
        }
    }
    place
}
