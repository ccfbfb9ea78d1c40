//! A repository in a folder of its own, and the command in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Constants with ranges, which the knob search changes.
pub const WORK: &str = "\
# const A: i64 = 50; // knob: int 1..99
const A: i64 = 50; // knob: int 1..99
const B: f64 = 0.5; // knob: lin 0..1
";

/// Shell that prints the sum of the constants as the score.
pub const PRINT_SUM: &str =
    r#"echo ---; awk '/^const/ { sub(";", "", $5); s += $5 } END { print "score: " s }' work.txt"#;

/// A git repository with one commit, a cache beside it, and the command.
pub struct Repository {
    root: tempfile::TempDir,
    /// The working tree.
    pub folder: PathBuf,
}

impl Repository {
    /// A repository with these files, all of them committed.
    pub fn with(files: &[(&str, &str)]) -> Repository {
        let root = tempfile::tempdir().unwrap();
        let repository = Repository { folder: root.path().join("repository"), root };
        std::fs::create_dir(&repository.folder).unwrap();
        std::fs::create_dir(repository.cache()).unwrap();
        for (name, text) in files {
            repository.write(name, text);
        }
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("start");
        repository
    }

    /// A repository whose run is a shell script, over [`WORK`]; `more` is added to the configuration.
    pub fn running(script: &str, more: &str) -> Repository {
        let config = format!(
            "editable = ['work.txt']\n[run]\ncommand = ['sh', '-c', '''\n{script}\n''']\n[metric]\nname = 'score'\n\
             direction = 'minimise'\n{more}"
        );
        Repository::with(&[("autoresearch.toml", &config), ("program.md", "# Lower the sum\n"), ("work.txt", WORK)])
    }

    /// A program whose score follows from its constants, and takes `seconds` to tell.
    pub fn new(seconds: f64) -> Repository {
        Repository::running(&format!("sleep {seconds}\n{PRINT_SUM}"), "")
    }

    /// The folder that holds the repository and its cache.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("autoresearch.toml")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Changes the configuration without committing it.
    pub fn configure(&self, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(text)).unwrap();
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=u", "-c", "user.email=u@localhost"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command of git that does not come to its end.
    pub fn git_stops(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=u", "-c", "user.email=u@localhost"]).args(arguments);
        let output = git.current_dir(&self.folder).output().unwrap();
        assert!(!output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", message]);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoresearch"));
        command.args(arguments).current_dir(&self.folder).env("AUTORESEARCH_CACHE", self.cache()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns all that it said.
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// Runs a command that must fail with exit code 1, and returns all that it said.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// A file of a run; empty as long as there is none.
    pub fn of_run(&self, tag: &str, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(".autoresearch").join(tag).join(name)).unwrap_or_default()
    }

    /// The folder of the only run.
    pub fn only_run(&self) -> PathBuf {
        let folder = self.folder.join(".autoresearch");
        let mut runs: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.pop().unwrap()
    }

    /// The rows of the only run's results, without the hashes.
    pub fn rows(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.only_run().join("results.tsv")).unwrap_or_default();
        text.lines().skip(1).map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
    }

    /// Starts a command that is not waited for.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts the only run, and sends it a signal once its results have so many rows.
    pub fn interrupted(&self, mut command: Command, signal: &str, after_rows: usize) -> Child {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the run does not get on", || {
            // Its folder is made a moment after the one around it.
            let runs = std::fs::read_dir(self.folder.join(".autoresearch")).into_iter().flatten().flatten();
            runs.filter(|entry| entry.path().is_dir()).count() == 1 && self.rows().len() >= after_rows
        });
        send(signal, &child);
        child
    }
}

/// Sends a signal to a process.
pub fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Waits for something that must come about within a minute.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything that a command said.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
