//! Mistakes of people who set a run up: each is told before the baseline is measured, with its remedy.
//!
//! The test prints `mistakes: N of N`, which `cargo xtask evidence any-repository` reads.

use std::process::Output;

use crate::fixture::{PRINT_SUM, Repository, text};

/// One mistake.
struct Mistake {
    name: &'static str,
    /// Makes it, in a repository whose trials leave a mark.
    make: fn(&Repository),
    /// The command that tells, with the words of the mistake and of its remedy.
    command: &'static [&'static str],
    says: &'static [&'static str],
}

const RUN: &[&str] = &["run", "--tag", "t", "--experiments", "1", "--allow-dirty"];
const DOCTOR: &[&str] = &["doctor"];

/// Adds lines to the configuration.
fn add(repository: &Repository, lines: &str) {
    repository.configure(|text| format!("{text}{lines}\n"));
}

/// Replaces a part of the configuration, which must be there.
fn replace(repository: &Repository, from: &str, to: &str) {
    repository.configure(|text| {
        assert!(text.contains(from), "{from}: {text}");
        text.replacen(from, to, 1)
    });
}

/// Replaces the command of the run.
fn command(repository: &Repository, command: &str) {
    repository.configure(|text| {
        let (before, rest) = text.split_once("command = ").unwrap();
        format!("{before}command = {command}\n{}", &rest[rest.find("[metric]").unwrap()..])
    });
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a misspelt key",
        make: |r| add(r, "[stop]\nexperimets = 3"),
        command: RUN,
        says: &["autoresearch.toml:", "do you mean experiments?"],
    },
    Mistake {
        name: "an unknown section",
        make: |r| add(r, "[sandbox]\nx = 1"),
        command: RUN,
        says: &["sandbox is not a known key", "Allowed are:"],
    },
    Mistake {
        name: "a value of the wrong type",
        make: |r| replace(r, "[metric]", "limit_seconds = 'ten'\n[metric]"),
        command: RUN,
        says: &["[run] limit_seconds", "limit_seconds = 600"],
    },
    Mistake { name: "no TOML", make: |r| add(r, "[stop"), command: RUN, says: &["this is not TOML"] },
    Mistake {
        name: "no configuration",
        make: |r| std::fs::remove_file(r.config()).unwrap(),
        command: RUN,
        says: &["there is no configuration autoresearch.toml", "autoresearch init"],
    },
    Mistake {
        name: "no programme",
        make: |r| std::fs::remove_file(r.folder.join("program.md")).unwrap(),
        command: RUN,
        says: &["cannot read the programme", "write one"],
    },
    Mistake {
        name: "no editable paths",
        make: |r| replace(r, "editable = ['work.txt']", ""),
        command: RUN,
        says: &["editable is missing", "editable = ["],
    },
    Mistake {
        name: "no change allowed",
        make: |r| replace(r, "['work.txt']", "[]"),
        command: RUN,
        says: &["editable", "Name files, or folders"],
    },
    Mistake {
        name: "editable paths that match nothing",
        make: |r| replace(r, "work.txt", "wrok.txt"),
        command: RUN,
        says: &["editable matches no file", "work.txt"],
    },
    Mistake {
        name: "no direction",
        make: |r| replace(r, "direction = 'minimise'", ""),
        command: RUN,
        says: &["[metric] direction is missing", "direction = \"minimise\""],
    },
    Mistake {
        name: "a direction that is none",
        make: |r| replace(r, "'minimise'", "'down'"),
        command: RUN,
        says: &["'down'; give minimise or maximise"],
    },
    Mistake {
        name: "a wrong name of the metric",
        make: |r| replace(r, "'score'", "'scoer'"),
        command: DOCTOR,
        says: &["no committed file", "`scoer`", "autoresearch doctor --measure"],
    },
    Mistake {
        name: "an empty command",
        make: |r| command(r, "[]"),
        command: RUN,
        says: &["[run] command is empty; give the program"],
    },
    Mistake {
        name: "a program that is not installed",
        make: |r| command(r, "['no-such-program']"),
        command: RUN,
        says: &["no program `no-such-program` on PATH; install it"],
    },
    Mistake {
        name: "a script that is not there",
        make: |r| command(r, "['python3', 'bench.py']"),
        command: RUN,
        says: &["`bench.py`, and there is no such file; correct the path"],
    },
    Mistake {
        name: "a script that is not committed",
        make: |r| {
            r.write("bench.py", "print('score: 1')\n");
            command(r, "['python3', 'bench.py']");
        },
        command: RUN,
        says: &["not in the commit", "git add bench.py"],
    },
    Mistake {
        name: "a program of an ignored environment",
        make: |r| {
            r.write(".gitignore", "/.venv/\n");
            r.write(".venv/bin/python", "");
            command(r, "['.venv/bin/python', 'work.txt']");
        },
        command: RUN,
        says: &["git ignores it; share it: [workspace] share = [\".venv\"]"],
    },
    Mistake {
        name: "a program that is not executable",
        make: |r| {
            r.write("bench.sh", "echo score: 1\n");
            r.commit("bench");
            command(r, "['./bench.sh']");
        },
        command: RUN,
        says: &["is not executable", "chmod +x bench.sh"],
    },
    Mistake {
        name: "a shared path that is not there",
        make: |r| add(r, "[workspace]\nshare = ['data']"),
        command: RUN,
        says: &["[workspace] share names `data`", "make it, or leave it out"],
    },
    Mistake {
        name: "a guard that is not installed",
        make: |r| add(r, "[guard]\ncommand = ['no-such-tests']"),
        command: RUN,
        says: &["[guard] command cannot be started", "install it"],
    },
    Mistake {
        name: "a guard without a command",
        make: |r| add(r, "[guard]\nwhen = 'before'"),
        command: RUN,
        says: &["[guard] names no command; give command ="],
    },
    Mistake {
        name: "constants without a range",
        make: |r| {
            r.write("work.txt", "const A: i64 = 50;\n");
            r.commit("no range");
        },
        command: RUN,
        says: &["the knob search", "choose another kind"],
    },
    Mistake {
        name: "an agent that is not installed",
        make: |r| add(r, "[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['no-such-agent']"),
        command: RUN,
        says: &["cannot start the agent", "install it"],
    },
    Mistake {
        name: "a key that is not set",
        make: |r| add(r, "[proposer]\nkind = 'claude'\nkey = { env = 'NO_SUCH_KEY_IS_SET' }"),
        command: RUN,
        says: &["NO_SUCH_KEY_IS_SET is not set; set it"],
    },
    Mistake {
        name: "a limit of zero seconds",
        make: |r| replace(r, "[metric]", "limit_seconds = 0\n[metric]"),
        command: RUN,
        says: &["[run] limit_seconds is 0; give a positive number"],
    },
    Mistake {
        name: "a negative number of experiments",
        make: |_| {},
        command: &["run", "--tag", "t", "--experiments=-3"],
        says: &["[stop] experiments is -3; give"],
    },
    Mistake {
        name: "no hours",
        make: |_| {},
        command: &["run", "--tag", "t", "--hours=0"],
        says: &["[stop] hours is 0; give a positive number"],
    },
    Mistake {
        name: "a tag that names no branch",
        make: |_| {},
        command: &["run", "--tag", "two words", "--experiments", "1"],
        says: &["two words", "letters"],
    },
    Mistake {
        name: "a preset that is not there",
        make: |_| {},
        command: &["run", "--tag", "t", "--preset", "fast"],
        says: &["there is no preset `fast`", "there are:"],
    },
    Mistake {
        name: "uncommitted changes",
        make: |r| r.write("work.txt", "const A: i64 = 9; // knob: int 1..99\n"),
        command: &["run", "--tag", "t", "--experiments", "1"],
        says: &["uncommitted changes", "work.txt", "commit or stash them"],
    },
    Mistake {
        name: "a branch in the way",
        make: |r| drop(r.git(&["branch", "autoresearch"])),
        command: RUN,
        says: &["refs/heads/autoresearch exists", "git branch -m autoresearch"],
    },
    Mistake {
        name: "no commit",
        make: |r| {
            std::fs::remove_dir_all(r.folder.join(".git")).unwrap();
            r.git(&["init", "-q"]);
        },
        command: RUN,
        says: &["no commit", "commit"],
    },
    Mistake {
        name: "no git repository",
        make: |r| std::fs::remove_dir_all(r.folder.join(".git")).unwrap(),
        command: RUN,
        says: &["git init"],
    },
    Mistake {
        name: "a repository without a working tree",
        make: |r| {
            let git = r.folder.join(".git");
            let bare = r.root().join("bare");
            std::fs::rename(&git, &bare).unwrap();
            std::fs::remove_dir_all(&r.folder).unwrap();
            std::fs::rename(&bare, &r.folder).unwrap();
            r.git(&["config", "core.bare", "true"]);
        },
        command: RUN,
        says: &["git clone"],
    },
    Mistake {
        name: "a detached HEAD",
        make: |r| drop(r.git(&["checkout", "-q", "--detach"])),
        command: DOCTOR,
        says: &["HEAD is detached", "git switch -c"],
    },
    Mistake {
        name: "no room on the disk",
        make: |r| {
            r.write(".gitignore", "/large\n");
            r.write("large", "");
            // Sparse: it takes no room, and a copy of it would.
            let file = std::fs::File::options().write(true).open(r.folder.join("large")).unwrap();
            file.set_len(8 << 40).unwrap();
            add(r, "[workspace]\ncopy = ['large']");
        },
        command: RUN,
        says: &["MiB are free", "free some, let [workspace] copy less"],
    },
    Mistake {
        name: "a cache folder that cannot be written",
        make: |r| {
            std::fs::remove_dir_all(r.cache()).unwrap();
            std::fs::write(r.cache(), "a file").unwrap();
        },
        command: RUN,
        says: &["cannot be written", "set AUTORESEARCH_CACHE"],
    },
    Mistake {
        name: "a benchmark that may be edited",
        make: |r| {
            r.write("benches/a.sh", "true\n");
            r.commit("a benchmark");
            replace(r, "['work.txt']", "['work.txt', 'benches/**']");
        },
        command: DOCTOR,
        says: &["that measure or test may be edited", "narrow `editable`"],
    },
];

#[test]
fn mistakes_are_told_before_the_baseline_with_the_remedy() {
    let made: Vec<&Mistake> = test_fixtures::one_in(3, MISTAKES).collect();
    let missed: Vec<String> = made.iter().filter_map(|mistake| missed(mistake).err()).collect();
    println!("mistakes: {} of {}", made.len() - missed.len(), made.len());
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// Makes one mistake, and fails if it is not told, or only after a trial.
fn missed(mistake: &Mistake) -> Result<(), String> {
    let repository = Repository::running("true", "");
    let mark = repository.root().join("mark");
    let script = format!("touch {}\n{PRINT_SUM}", mark.display());
    repository.configure(|text| text.replacen("\ntrue\n", &format!("\n{script}\n"), 1));
    repository.commit("a mark");
    (mistake.make)(&repository);
    // `git init` is no answer in a folder above which there is a repository.
    let mut command = repository.command(mistake.command);
    let output: Output = command.env("GIT_CEILING_DIRECTORIES", repository.root()).output().unwrap();
    let said = text(&output);
    let trouble = if mark.exists() {
        "a trial ran before"
    } else if mistake.command == RUN && output.status.success() {
        "the run went on"
    } else if let Some(words) = mistake.says.iter().find(|words| !said.contains(**words)) {
        return Err(format!("{}: {words:?} is not said: {said}", mistake.name));
    } else {
        return Ok(());
    };
    Err(format!("{}: {trouble}: {said}", mistake.name))
}
