//! Everything a newcomer can get wrong: a clear message with the next step, an exit code that is not 0, nothing lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::figure::Line;
use crate::{setup, sh};

/// The programs and folders of the cases.
struct Bench {
    folder: PathBuf,
    /// Where cargo puts what it builds.
    built: PathBuf,
}

/// A case: its name, what is done, and the words that the message must have.
type Case = (&'static str, fn(&Bench) -> Result<Option<Output>, String>, &'static [&'static str]);

const CASES: &[Case] = &[
    ("no python3", no_python, &["no python3", "apt install python3"]),
    ("python3 without venv", no_venv, &["cannot make an environment", "apt install python3-venv"]),
    ("wrong libtorch", wrong_libtorch, &["2.10.0", "2.11.0 is needed", "unset LIBTORCH"]),
    ("missing corpus", |b| prepare(b, "missing"), &["cannot read", "missing"]),
    ("empty corpus", |b| prepare(b, "empty"), &["no documents", "give text files"]),
    ("binary corpus", |b| prepare(b, "binary.txt"), &["line 1", "not UTF-8", "convert it"]),
    ("corrupt shard", corrupt_shard, &["damaged", "run `prepare` again"]),
    ("nothing prepared", nothing_prepared, &["no prepared data", "run `prepare`"]),
    ("malformed program.md", malformed_program, &["front matter", "never closed", "+++"]),
    ("dirty repository", dirty, &["uncommitted changes", "work.sh", "commit or stash"]),
    ("branch exists", branch_exists, &["autoresearch/march exists already", "another --tag"]),
    ("unknown preset", unknown_preset, &["no preset `fast`"]),
    ("no disk space", no_space, &["no space is left", "same command"]),
];

/// Runs all cases.
pub fn bad_input() -> Result<Line, String> {
    let built = setup::programs()?;
    let folder = std::env::temp_dir().join(format!("autoresearch-bad-{}", std::process::id()));
    let bench = Bench { folder, built };
    let (mut wrong, mut skipped) = (Vec::new(), Vec::new());
    for (name, case, words) in CASES {
        let _ = fs::remove_dir_all(&bench.folder);
        fs::create_dir_all(&bench.folder).map_err(|e| e.to_string())?;
        match case(&bench) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(None) => skipped.push(*name),
            Ok(Some(output)) => {
                let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(**word)).collect();
                if output.status.success() || !missing.is_empty() || text.contains("panicked") {
                    wrong.push(format!("{name}: {}, without {missing:?}: {text}", output.status));
                }
            }
        }
    }
    let _ = fs::remove_dir_all(&bench.folder);
    let mut value = format!(
        "{} of {} cases have a clear message and lose nothing",
        CASES.len() - wrong.len() - skipped.len(),
        CASES.len()
    );
    if !skipped.is_empty() {
        value += &format!("; not possible here: {}", skipped.join(", "));
    }
    if !wrong.is_empty() {
        value += &format!("; wrong: {}", wrong.join("; "));
    }
    Ok(Line::Measured(wrong.is_empty() && skipped.len() <= 1, value, "all"))
}

fn output(command: &mut Command) -> Result<Option<Output>, String> {
    command.output().map(Some).map_err(|e| format!("{}: {e}", sh::shown(command)))
}

/// A folder of programs for PATH: real ones by link, and scripts.
fn path_with(bench: &Bench, scripts: &[(&str, &str)]) -> Result<PathBuf, String> {
    let bin = bench.folder.join("bin");
    fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
    let real = ["c++", "df", "sh"].map(|name| (name, format!("#!/bin/sh\nexec {} \"$@\"\n", which(name))));
    let scripts = scripts.iter().map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in real.into_iter().chain(scripts) {
        write_script(&bin.join(name), &text)?;
    }
    Ok(bin)
}

fn which(name: &str) -> String {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|p| p.is_file());
    found.map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

fn write_script(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| e.to_string())?;
    sh::output(Command::new("chmod").arg("755").arg(path)).map(|_| ())
}

fn set_up(bench: &Bench, path: &Path, libtorch: Option<&Path>) -> Result<Option<Output>, String> {
    let mut command = Command::new(bench.built.join("xtask"));
    command
        .arg("setup")
        .env("AUTORESEARCH_ROOT", &bench.folder)
        .env("PATH", path)
        .env_remove("LIBTORCH")
        .env_remove("CXX");
    if let Some(libtorch) = libtorch {
        command.env("LIBTORCH", libtorch);
    }
    output(&mut command)
}

fn no_python(bench: &Bench) -> Result<Option<Output>, String> {
    set_up(bench, &path_with(bench, &[])?, None)
}

fn no_venv(bench: &Bench) -> Result<Option<Output>, String> {
    let python = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho No module named venv >&2\nexit 1\n";
    set_up(bench, &path_with(bench, &[("python3", python)])?, None)
}

fn wrong_libtorch(bench: &Bench) -> Result<Option<Output>, String> {
    let fake = bench.folder.join("libtorch");
    fs::create_dir_all(&fake)
        .and_then(|()| fs::write(fake.join("version.py"), "__version__ = '2.10.0'\n"))
        .map_err(|e| e.to_string())?;
    set_up(bench, &path_with(bench, &[])?, Some(&fake))
}

fn preset(bench: &Bench) -> Result<PathBuf, String> {
    let path = bench.folder.join("small.toml");
    let text = "[workload]\ncorpus = 'crates'\nvocab_size = 270\nmax_seq_len = 16\neval_tokens = 64\ntime_budget_seconds = 1\nuntimed_steps = 0\n";
    fs::write(&path, text).map_err(|e| e.to_string())?;
    Ok(path)
}

fn prepare(bench: &Bench, data: &str) -> Result<Option<Output>, String> {
    fs::create_dir_all(bench.folder.join("empty")).map_err(|e| e.to_string())?;
    fs::write(bench.folder.join("binary.txt"), [0xff, 0xfe, 0x00]).map_err(|e| e.to_string())?;
    let text: String = (0..2000).map(|i| format!("Sentence {i} of a small text.<|endoftext|>")).collect();
    fs::write(bench.folder.join("good.txt"), text).map_err(|e| e.to_string())?;
    let mut command = Command::new(bench.built.join("prepare"));
    command
        .arg("--preset")
        .arg(preset(bench)?)
        .arg("--data")
        .arg(bench.folder.join(data))
        .arg("--out")
        .arg(bench.folder.join("data"));
    output(&mut command)
}

fn train(bench: &Bench) -> Result<Option<Output>, String> {
    let mut command = Command::new(bench.built.join("train"));
    output(command.env("AUTORESEARCH_DATA", bench.folder.join("data")).env("AUTORESEARCH_DEVICE", "cpu"))
}

fn nothing_prepared(bench: &Bench) -> Result<Option<Output>, String> {
    train(bench)
}

fn corrupt_shard(bench: &Bench) -> Result<Option<Output>, String> {
    let prepared = prepare(bench, "good.txt")?;
    if !prepared.is_some_and(|output| output.status.success()) {
        return Err("the good corpus was not prepared".into());
    }
    let shards =
        fs::read_dir(bench.folder.join("data")).map_err(|e| e.to_string())?.flatten().map(|entry| entry.path());
    for path in shards.filter(|path| path.extension().is_some_and(|e| e == "bin")) {
        let mut bytes = fs::read(&path).map_err(|e| e.to_string())?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).map_err(|e| e.to_string())?;
    }
    // With the published sizes a model would need gigabytes before it looked at the data: the check comes first.
    train(bench)
}

const CONFIG: &str = "editable = ['work.sh', 'knobs.txt']\n[run]\ncommand = ['sh', 'work.sh']\n[metric]\nname = 'score'\ndirection = 'minimise'\n[stop]\nexperiments = 1\n";

/// A small repository that could be researched.
fn repository(bench: &Bench) -> Result<PathBuf, String> {
    let repo = bench.folder.join("repo");
    fs::create_dir_all(&repo).map_err(|e| e.to_string())?;
    let (work, knobs) = ("echo 'score: 1'\n", "const A: i64 = 1; // knob: int 1..9\n");
    let files = [("autoresearch.toml", CONFIG), ("program.md", "Lower it.\n"), ("work.sh", work), ("knobs.txt", knobs)];
    for (name, text) in files {
        fs::write(repo.join(name), text).map_err(|e| e.to_string())?;
    }
    git(&repo, &["init", "-q"])?;
    git(&repo, &["add", "."])?;
    git(&repo, &["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "start"])?;
    Ok(repo)
}

fn git(repo: &Path, arguments: &[&str]) -> Result<String, String> {
    sh::output(Command::new("git").args(arguments).current_dir(repo))
}

/// Starts a run there, and sees to it that nothing of the user's changes.
fn start_run(bench: &Bench, repo: &Path, arguments: &[&str]) -> Result<Option<Output>, String> {
    let mut command = Command::new(bench.built.join("autoresearch"));
    command
        .args(["run", "--tag", "march"])
        .args(arguments)
        .current_dir(repo)
        .env("AUTORESEARCH_CACHE", bench.folder.join("cache"));
    unchanged(repo, || output(&mut command))
}

fn unchanged(repo: &Path, work: impl FnOnce() -> Result<Option<Output>, String>) -> Result<Option<Output>, String> {
    let look = || -> Result<_, String> {
        Ok((git(repo, &["rev-parse", "HEAD"])?, git(repo, &["status", "--porcelain"])?, git(repo, &["diff", "HEAD"])?))
    };
    let before = look()?;
    let output = work()?;
    if look()? == before { Ok(output) } else { Err("the user's repository changed".into()) }
}

fn malformed_program(bench: &Bench) -> Result<Option<Output>, String> {
    let repo = repository(bench)?;
    fs::write(repo.join("program.md"), "+++\n[knobs]\n").map_err(|e| e.to_string())?;
    start_run(bench, &repo, &[])
}

fn dirty(bench: &Bench) -> Result<Option<Output>, String> {
    let repo = repository(bench)?;
    fs::write(repo.join("work.sh"), "echo 'score: 2'\n").map_err(|e| e.to_string())?;
    start_run(bench, &repo, &[])
}

fn branch_exists(bench: &Bench) -> Result<Option<Output>, String> {
    let repo = repository(bench)?;
    git(&repo, &["branch", "autoresearch/march"])?;
    start_run(bench, &repo, &[])
}

fn unknown_preset(bench: &Bench) -> Result<Option<Output>, String> {
    let repo = repository(bench)?;
    start_run(bench, &repo, &["--preset", "fast"])
}

/// On a file system of its own that is full. Without the right to mount one the case cannot be run.
fn no_space(bench: &Bench) -> Result<Option<Output>, String> {
    let repo = repository(bench)?;
    let small = bench.folder.join("small");
    fs::create_dir_all(&small).map_err(|e| e.to_string())?;
    let script = r#"
        mount -t tmpfs -o size=1m none "$1" 2>/dev/null || exit 77
        cp -r "$2" "$1/repo" && cd "$1/repo" && git rev-parse HEAD > "$3.before"
        head -c 2m /dev/zero > "$1/full" 2>/dev/null
        AUTORESEARCH_CACHE="$3" "$4" run --tag march
        code=$?
        git rev-parse HEAD | cmp - "$3.before" && cmp work.sh "$2/work.sh" && cmp .git/index "$2/.git/index" && git fsck || exit 78
        exit $code
    "#;
    let run = |mut command: Command| {
        command.args(["sh", "-c", script, "sh"]).args([
            &small,
            &repo,
            &bench.folder.join("cache"),
            &bench.built.join("autoresearch"),
        ]);
        command.output().ok().filter(|output| !matches!(output.status.code(), Some(77)))
    };
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    let output = run(unshare(&["--mount"])).or_else(|| run(unshare(&["--user", "--map-root-user", "--mount"])));
    match output {
        Some(output) if output.status.code() == Some(78) => Err("the repository was damaged".into()),
        other => Ok(other),
    }
}
