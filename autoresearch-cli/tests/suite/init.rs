//! `autoresearch init`: from a repository to a configuration that runs, without a line written by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::fixture::{Repository, text};

/// A repository with these files, and the folder of programs that its commands find first.
fn repository(files: &[(&str, &str)]) -> Repository {
    let repository = Repository::with(files);
    std::fs::create_dir(programs(&repository)).unwrap();
    repository
}

fn programs(repository: &Repository) -> PathBuf {
    repository.root().join("programs")
}

/// Runs the command without any agent or key of the machine's own: only system folders and `programs` are on PATH.
fn run(repository: &Repository, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs(repository).display());
    let mut command = repository.command(arguments);
    command.env("PATH", path).env("HOME", repository.root());
    for name in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CLAUDE_CONFIG_DIR", "VIRTUAL_ENV"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn succeeds(repository: &Repository, arguments: &[&str]) -> String {
    let output = run(repository, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    if cfg!(target_os = "linux") && arguments.starts_with(&["init", "--yes"]) {
        assert!(config(repository).contains("level = \"best-effort\""), "{arguments:?}: {}", text(&output));
    }
    text(&output)
}

fn fails(repository: &Repository, arguments: &[&str]) -> String {
    let output = run(repository, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
    text(&output)
}

fn config(repository: &Repository) -> String {
    std::fs::read_to_string(repository.config()).unwrap()
}

/// A Python program with constants that carry ranges.
const TRAIN: &str = "LR = 0.5  # knob: lin 0..1\nDEPTH = 4  # knob: int 1..9\nprint('step 1 loss: 9.0')\nprint('---')\n\
                     print(f'val_loss: {(LR - 0.3) ** 2 + DEPTH}')\nprint(f'depth: {DEPTH}')\n";

#[test]
fn a_python_script_is_set_up_and_searched_in_two_commands() {
    let repository = repository(&[("train.py", TRAIN), ("README.md", "a program\n")]);
    let said = succeeds(&repository, &["init", "--yes"]);
    for words in [
        "Python (1)",
        "layout: python",
        "numbers in its output:",
        "val_loss = 4.04",
        "metric: val_loss = 4.04",
        "lower is better; its name says so",
        "all 3 trials gave the same number",
        "8 hours have room for",
        "wrote autoresearch.toml",
        "wrote program.md",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let written = config(&repository);
    assert!(written.lines().count() <= 25 && written.contains("editable = [\"train.py\"]"), "{written}");
    let refs = repository.git(&["for-each-ref", "refs/autoresearch"]);
    assert!(refs.is_empty() && !repository.folder.join(".autoresearch").exists(), "no run has begun: {refs}");
}

#[test]
fn nothing_is_overwritten_and_detect_writes_nothing() {
    let repository = repository(&[("train.py", TRAIN)]);
    let said = succeeds(&repository, &["init", "--detect"]);
    assert!(said.contains("would write autoresearch.toml") && said.contains("command = [\"python"), "{said}");
    assert!(!repository.config().exists() && !repository.folder.join("program.md").exists());
    assert!(fails(&repository, &["init"]).contains("give --yes"));
    repository.write("program.md", "# My own\n");
    repository.write("autoresearch.toml", "mine\n");
    assert!(fails(&repository, &["init", "--yes"]).contains("give --force to replace it"));
    assert_eq!(config(&repository), "mine\n");
    succeeds(&repository, &["init", "--yes", "--force"]);
    assert!(config(&repository).contains("val_loss"));
    assert_eq!(std::fs::read_to_string(repository.folder.join("program.md")).unwrap(), "# My own\n");
}

#[test]
fn a_direction_is_never_guessed() {
    let repository = repository(&[("bench.py", "print('quux: 4.5')\n"), ("lib/a.py", "A = 1\n")]);
    let said = fails(&repository, &["init", "--yes"]);
    assert!(said.contains("does not tell which way is better; say it: --direction minimise"), "{said}");
    assert!(!repository.config().exists());
    let said = succeeds(&repository, &["init", "--yes", "--direction", "maximize"]);
    assert!(said.contains("higher is better"), "{said}");
    assert!(config(&repository).contains("direction = \"maximise\"") && config(&repository).contains("lib/**"));
    let said = fails(&repository, &["init", "--yes", "--force", "--metric", "speed"]);
    assert!(said.contains("no number `speed`") && said.contains("quux = 4.5"), "{said}");
}

#[test]
fn what_git_ignores_is_found_missing_and_shared() {
    let program =
        "import json\nprint('accuracy:', json.load(open('data/set.json'))['n'])\nprint(open('weights.bin').read())\n";
    let repository =
        repository(&[("eval.py", program), ("src/model.py", "A = 1\n"), (".gitignore", "/data/\n*.bin\n")]);
    repository.write("data/set.json", "{\"n\": 0.5}");
    repository.write("weights.bin", "w");
    let said = succeeds(&repository, &["init", "--yes"]);
    assert!(
        said.contains("data was missing, since git ignores it") && said.contains("weights.bin was missing"),
        "{said}"
    );
    assert!(config(&repository).contains("share = [\"data\", \"weights.bin\"]"), "{}", config(&repository));
    // A module that was never committed is not ours to share.
    repository.write("eval.py", "import helper\n");
    repository.commit("needs a helper");
    repository.write("helper.py", "print('accuracy: 0.5')\n");
    let said = fails(&repository, &["init", "--yes", "--force"]);
    assert!(said.contains("hint: helper.py is in the working tree and not committed: git add helper.py"), "{said}");
}

#[test]
fn a_command_of_any_language_is_taken_by_flags() {
    let files = [("fast.awk", "BEGIN { n = 1000; print \"ns/op: \" n }\n"), ("tests.sh", "test -f fast.awk\n")];
    let repository = repository(&files);
    assert!(
        fails(&repository, &["init", "--yes", "--edit", "fast.awk", "--run", "awk -f gone.awk"])
            .contains("nothing was written")
    );
    let arguments = [
        "init",
        "--yes",
        "--run",
        "awk -f fast.awk",
        "--metric",
        "wall",
        "--edit",
        "fast.awk",
        "--guard",
        "sh tests.sh",
    ];
    let said = succeeds(&repository, &arguments);
    let written = config(&repository);
    assert!(
        written.contains("clock = \"wall\"") && written.contains("[guard]") && written.lines().count() <= 25,
        "{written}"
    );
    assert!(said.contains("the knob search, which needs constants with a range"), "{said}");
    std::fs::write(programs(&repository).join("codex"), "#!/bin/sh\n").unwrap();
    make_executable(&programs(&repository).join("codex"));
    succeeds(&repository, &[&arguments[..], &["--force"]].concat());
    assert!(config(&repository).contains("agent = \"codex\"") && config(&repository).contains("key = \"login\""));
}

#[test]
fn an_agent_that_is_a_script_of_the_repository_is_found_by_its_run() {
    let script = "sed -i 's/n = 1000/n = 900/' fast.awk\necho fewer\n";
    let repository = repository(&[("fast.awk", "BEGIN { n = 1000; print \"ns/op: \" n }\n"), ("edit.sh", script)]);
    let flags = ["--run", "awk -f fast.awk", "--metric", "ns/op", "--direction", "minimise", "--edit", "fast.awk"];
    let init = [&["init", "--yes"], &flags[..], &["--agent", "sh edit.sh"]].concat();
    let line = r#"command = ["sh", "{repo}/edit.sh"]"#;
    let detected = text(&run(&repository, &[&init[..], &["--detect"]].concat()));
    assert!(detected.contains(line), "{detected}");
    succeeds(&repository, &init);
    assert!(config(&repository).contains(line), "{}", config(&repository));
    repository.commit("set up");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("1000.000000 -> 900.000000") && said.contains("KEPT"), "{said}");
}

#[test]
fn a_program_that_prints_nothing_is_measured_by_what_it_takes() {
    for (quantity, unit) in [("cpu", "s"), ("max_rss", "B")] {
        let repository = repository(&[("fast.awk", "BEGIN { for (i = 0; i < 100000; i++) n += i }\n")]);
        let run = [
            "init",
            "--yes",
            "--run",
            "awk -f fast.awk",
            "--metric",
            quantity,
            "--edit",
            "fast.awk",
            "--agent",
            "true",
        ];
        succeeds(&repository, &run);
        let written = config(&repository);
        for line in [format!("quantity = \"{quantity}\""), format!("unit = \"{unit}\"")] {
            assert!(written.contains(&line), "{line}: {written}");
        }
        repository.commit("set up");
        repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
        assert_eq!(repository.rows().len(), 1);
    }
}

#[test]
fn a_virtual_environment_in_the_repository_is_used_and_shared() {
    let program = "import sys, only_here\nprint(sys.prefix)\nprint('val_loss:', only_here.VALUE)\n";
    let repository = repository(&[("train.py", program), (".gitignore", ".venv/\n")]);
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip", ".venv"]).current_dir(&repository.folder).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: this Python makes no virtual environment");
        return;
    }
    let lib = std::fs::read_dir(repository.folder.join(".venv/lib")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(lib.join("site-packages/only_here.py"), "VALUE = 2.5\n").unwrap();
    succeeds(&repository, &["init", "--yes"]);
    let written = config(&repository);
    assert!(
        written.contains("share = [\".venv\"]") && written.contains("[\".venv/bin/python\", \"train.py\"]"),
        "{written}"
    );
    // Another Python does not have the module, and the hint says which one does.
    let said = fails(&repository, &["init", "--yes", "--force", "--run", "python3 train.py"]);
    assert!(said.contains("the module only_here is installed in .venv"), "{said}");
}

#[test]
fn packages_of_node_are_shared() {
    if Command::new("node").arg("--version").output().is_err() {
        println!("skipped: there is no node");
        return;
    }
    let files = [
        ("package.json", "{\"name\": \"p\", \"scripts\": {\"test\": \"node test.js\"}}\n"),
        ("bench.js", "console.log('ops/sec: ' + require('left').value * require('./lib/a').factor)\n"),
        ("lib/a.js", "exports.factor = 2;\n"),
        (".gitignore", "node_modules/\n"),
    ];
    let repository = repository(&files);
    repository.write("node_modules/left/index.js", "exports.value = 21;\n");
    let node = Command::new("sh").args(["-c", "command -v node"]).output().unwrap();
    let node = String::from_utf8(node.stdout).unwrap();
    std::os::unix::fs::symlink(node.trim(), programs(&repository).join("node")).unwrap();
    let said = succeeds(&repository, &["init", "--yes", "--direction", "maximise"]);
    let written = config(&repository);
    assert!(
        said.contains("= 42") && written.contains("share = [\"node_modules\"]") && written.contains("lib/**"),
        "{said}\n{written}"
    );
}

fn make_executable(path: &Path) {
    assert!(Command::new("chmod").arg("+x").arg(path).status().unwrap().success());
}

/// An agent that does what karpathy's programme tells it to, results.tsv and log included; its proposals are a better rate, a
/// program that is broken, and a worse rate.
const CLAUDE: &str = r#"#!/bin/sh
count=$(cat "$HOME/count" 2>/dev/null || echo 0)
echo $((count + 1)) > "$HOME/count"
case $count in
    0) sed -i 's/^LR = .*/LR = 1.0/' train.py ;;
    1) echo 'raise RuntimeError("diverged")' >> train.py ;;
    *) sed -i "s/^LR = .*/LR = 0.0$count/" train.py ;;
esac
printf 'commit\tval_bpb\n' > results.tsv
echo training > run.log
printf '%s\n' "{\"type\": \"result\", \"subtype\": \"success\", \"is_error\": false, \"result\": \"{\\\"description\\\": \\\"change $count\\\", \\\"hypothesis\\\": \\\"it may help\\\"}\"}"
"#;

#[test]
fn a_repository_in_karpathys_layout_is_driven_as_it_is() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/karpathy");
    let files = ["train.py", "prepare.py", "program.md", "pyproject.toml"]
        .map(|name| (name, std::fs::read_to_string(data.join(name)).unwrap()));
    let ignored = std::fs::read_to_string(data.join("gitignore")).unwrap();
    let mut named: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    named.push((".gitignore", &ignored));
    let repository = repository(&named);
    let prepared = Command::new("python3").arg("prepare.py").current_dir(&repository.folder).status().unwrap();
    assert!(prepared.success());
    std::fs::write(programs(&repository).join("claude"), CLAUDE).unwrap();
    make_executable(&programs(&repository).join("claude"));
    std::fs::create_dir(repository.root().join(".claude")).unwrap();
    std::fs::write(repository.root().join(".claude/.credentials.json"), "{}").unwrap();
    // He keeps his own table there, which is not ours to touch.
    repository.write("results.tsv", "mine\n");

    let said = succeeds(&repository, &["init", "--yes"]);
    assert!(said.contains("layout: karpathy") && said.contains("data was missing, since git ignores it"), "{said}");
    assert!(said.contains("metric: val_bpb") && said.contains("Claude Code, which is installed"), "{said}");
    assert!(said.contains("program.md is there, and stays as it is"), "{said}");
    let written = config(&repository);
    assert!(written.contains("editable = [\"train.py\"]") && written.contains("limit_seconds = 600"), "{written}");

    let said = succeeds(&repository, &["run", "--tag", "mar8", "--experiments", "3"]);
    let table = repository.of_run("mar8", "results.tsv");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["commit", "val_bpb", "memory_gb", "status", "description"], "{table}");
    // Two proposals are made at once: either may be staged first.
    let mut statuses: Vec<&str> = rows[1..].iter().map(|row| row[3]).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["crash", "discard", "keep", "keep"], "{table}\n{said}");
    assert!(rows[1..].iter().all(|row| row.len() == 5 && row[0].len() == 7), "{table}");
    assert!(rows.iter().any(|row| row[3] == "crash" && row[1] == "0.000000"), "{table}");
    // The kept commit changes train.py and nothing else.
    let changed = repository.git(&["diff", "--name-only", "main", "autoresearch/mar8"]);
    assert_eq!(changed.trim(), "train.py");
    assert_eq!(std::fs::read_to_string(repository.folder.join("results.tsv")).unwrap(), "mine\n");
    // The agent was told who does what.
    let asked = succeeds(&repository, &["run", "--tag", "next", "--dry-run"]);
    assert!(asked.contains("The lab does the rest") && asked.contains("LOOP FOREVER"), "{asked}");
}
