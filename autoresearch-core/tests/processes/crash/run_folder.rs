//! A folder with a run: its repository, its lab, and the checks that hold for both at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::journal::{Decision, Entry, Record, StagedExperiment};
use autoresearch_core::internal::results;
use autoresearch_core::*;

/// Environment variable with the folder of the run that a lab continues.
pub const FOLDER: &str = "CRASH_SUITE_FOLDER";
/// File whose presence turns on screening and excursions.
const EXCURSIONS: &str = "excursions";
/// Exit code of a run that ended with an error, as opposed to a panic.
pub const FAILED: i32 = 3;
/// Time within which dead processes must be gone.
const PROMPT: Duration = Duration::from_secs(5);

/// Proposes from a list by the number of the proposal, so that a lab that starts anew continues where it was.
struct Scripted(Vec<String>);

#[async_trait]
impl Proposer for Scripted {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let Some(text) = self.0.get(context.proposals()) else {
            return Err(ProposerError::Exhausted("the script ends".into()));
        };
        let edit = match text.strip_prefix("fixed:") {
            Some(text) => FileEdit::Write { path: "fixed.txt".into(), text: text.into() },
            None => FileEdit::Write { path: "value.sh".into(), text: text.clone() },
        };
        let change = Patch { edits: vec![edit] };
        Ok(Proposal::new(change, text.clone()).because("it may help"))
    }
}

/// Continues the run in `folder` until its script ends.
pub async fn go_on(folder: &Path) -> Result<StopReason, LabError> {
    let script: Vec<String> = serde_json::from_slice(&std::fs::read(folder.join("script.json")).unwrap()).unwrap();
    let commands = Commands {
        editable: EditablePaths::new(["value.sh"]),
        run: ["sh", "-c", "echo ---; . ./value.sh"].map(String::from).into(),
        ..Commands::default()
    };
    let run = folder.join("run");
    let slots = [folder.join("slot")];
    let sandbox = CommandSandbox::local(&folder.join("repo"), "test", commands, slots, run.join("logs")).unwrap();
    sandbox.uncommitted().unwrap();
    let limit = Duration::from_secs(60);
    let mut settings = Settings::new("test", Budget { run: limit, build: limit });
    settings.base = Some(sandbox.base().clone());
    settings.results = Some(run.join("results.tsv"));
    // No death of the lab counts as a candidate's crash, so that the decisions stay the same.
    settings.loss_limit = 1000;
    if folder.join(EXCURSIONS).exists() {
        settings.screening = Some(Screening { control: 2, ..Screening::new([0.2, 0.5]) });
        settings.excursion = Some(ExcursionRule { after: 1, steps: 2, tolerance: 1.0 });
    }
    let mut lab = Lab::builder(
        Arc::new(sandbox),
        Box::new(Scripted(script)),
        Arc::new(LogMetric::new("score", Direction::Minimise)),
    )
    .ratchet(Arc::new(Strict))
    .program(Program::parse("Lower it.").unwrap())
    .settings(settings)
    .open_journal(Journal::open(&run.join("journal.jsonl"))?)
    .build()?;
    lab.run(&Cancel::new()).await
}

/// Kind of file system that holds the files of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// In memory, where that is possible: a killed process loses nothing that it has written, wherever that is, and the
    /// suite makes a great many files.
    InMemory,
    /// On a disk, where every fsync takes its time: a kill at random then hits the middle of a write as often as not.
    OnDisk,
}

/// Folder of a run, which is removed in the end.
pub struct RunFolder {
    folder: tempfile::TempDir,
    files: Files,
}

/// Result of a run, which must be the same however often its lab dies.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub head: Option<String>,
    pub decisions: Vec<String>,
    pub results: String,
    pub mine: BTreeMap<PathBuf, Vec<u8>>,
}

impl RunFolder {
    /// A repository whose program runs `value.sh`, with a change in the working tree and one in the index.
    pub fn new(script: &[String], files: Files) -> RunFolder {
        let run = RunFolder::empty(files);
        let repo = run.repo();
        std::fs::create_dir(&repo).unwrap();
        std::fs::write(run.path().join("script.json"), serde_json::to_vec(script).unwrap()).unwrap();
        run.git(&["init", "-q", "-b", "main", "--template="]);
        for (name, text) in [("value.sh", "echo 'score: 5'\n"), ("fixed.txt", "fixed\n"), ("notes.txt", "notes\n")] {
            std::fs::write(repo.join(name), text).unwrap();
        }
        run.git(&["add", "."]);
        run.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]);
        std::fs::write(repo.join("notes.txt"), "being edited\n").unwrap();
        std::fs::write(repo.join("staged.txt"), "staged\n").unwrap();
        run.git(&["add", "staged.txt"]);
        run
    }

    /// The same repository, for a run with screening and excursions.
    pub fn with_excursions(script: &[String], files: Files) -> RunFolder {
        let run = RunFolder::new(script, files);
        std::fs::write(run.path().join(EXCURSIONS), "").unwrap();
        run
    }

    fn empty(files: Files) -> RunFolder {
        let folder = match files {
            Files::InMemory => tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()),
            Files::OnDisk => tempfile::tempdir(),
        };
        RunFolder { folder: folder.unwrap(), files }
    }

    /// Copies all files to another folder.
    pub fn copy(&self) -> RunFolder {
        let copy = RunFolder::empty(self.files);
        copy_folder(self.path(), copy.path());
        copy
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn repo(&self) -> PathBuf {
        self.path().join("repo")
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments)
    }

    /// A lab that continues the run: this test binary, as another process.
    pub fn lab(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::lab_to_be_killed", "--nocapture", "--test-threads=1"]);
        self.prepare(&mut command);
        command
    }

    /// Gives `command` the environment and the streams of a lab.
    pub fn prepare(&self, command: &mut Command) {
        let errors = std::fs::File::options().create(true).append(true).open(self.path().join("errors.txt")).unwrap();
        command.env(FOLDER, self.path()).env("SOURCE_DATE_EPOCH", "1750000000");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    }

    /// Continues the run until it ends, or until the lab dies at the `at`-th point.
    pub fn go_on(&self, at: Option<usize>) -> ExitStatus {
        let mut lab = self.lab();
        if let Some(at) = at {
            lab.env("AUTORESEARCH_FAIL_AT", at.to_string());
        }
        lab.status().unwrap()
    }

    /// Continues the run until it ends. Returns its status and the points at which the lab could have died.
    pub fn go_on_listing(&self) -> (ExitStatus, Vec<String>) {
        let list = self.path().join("points.txt");
        let _ = std::fs::remove_file(&list);
        let status = self.lab().env("AUTORESEARCH_FAIL_LIST", &list).status().unwrap();
        let points = std::fs::read_to_string(&list).unwrap_or_default();
        (status, points.lines().map(str::to_owned).collect())
    }

    /// Text that labs wrote to their standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.path().join("errors.txt")).unwrap_or_default()
    }

    /// Whole lines of the journal: the records that may have been acknowledged.
    pub fn journal(&self) -> Vec<u8> {
        let mut bytes = std::fs::read(self.path().join("run/journal.jsonl")).unwrap_or_default();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        bytes
    }

    fn results(&self) -> Option<String> {
        std::fs::read_to_string(self.path().join("run/results.tsv")).ok()
    }

    fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        match self.path().join("run/journal.jsonl") {
            path if path.exists() => Journal::read(&path),
            _ => Ok(Vec::new()),
        }
    }

    fn reference(&self, name: &str) -> Option<String> {
        let repository = git2::Repository::open(self.repo()).unwrap();
        let commit = repository.find_reference(name).ok()?.peel_to_commit().ok()?;
        // A commit is worth nothing without its tree and the files in it.
        commit.tree().ok()?.iter().all(|entry| entry.to_object(&repository).is_ok()).then(|| commit.id().to_string())
    }

    fn head(&self) -> Option<String> {
        self.reference("refs/heads/autoresearch/test")
    }

    /// The user's files: the working tree, and of the repository what belongs to the user's branch.
    fn mine(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let repo = self.repo();
        for path in files_below(&repo, &|path| path != repo.join(".git")) {
            files.insert(path.strip_prefix(&repo).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
        for name in [".git/index", ".git/HEAD", ".git/config", ".git/refs/heads/main", ".git/logs/HEAD"] {
            files.insert(name.into(), std::fs::read(repo.join(name)).unwrap());
        }
        files
    }

    /// Result of the run so far.
    pub fn outcome(&self) -> Outcome {
        let entries = self.entries().unwrap();
        let decisions = entries.iter().filter_map(|entry| match &entry.record {
            Record::Decided(Decision { experiment, status, reason, kept_as: to, .. }) => {
                Some(format!("{experiment} {status} {reason} {}", to.as_ref().map_or("-", |to| to.0.as_str())))
            }
            _ => None,
        });
        let results = self.results().unwrap_or_default();
        Outcome { head: self.head(), decisions: decisions.collect(), results, mine: self.mine() }
    }

    /// Violations of the properties that hold at every moment. `acknowledged` are the whole lines of an earlier moment.
    pub fn violations(&self, acknowledged: &[u8], reference: &Outcome) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                found.push(what.to_owned());
            }
        };
        check(self.journal().starts_with(acknowledged), "an acknowledged record is lost");
        let (entries, state) = match self.entries().and_then(|e| State::replay(&e).map(|state| (e, state))) {
            Ok(both) => both,
            Err(error) => {
                check(false, &format!("the journal cannot be read: {error}"));
                return found;
            }
        };
        check(entries.iter().enumerate().all(|(at, entry)| entry.seq == at as u64), "the numbers have gaps");

        let mut decided = BTreeSet::new();
        for entry in &entries {
            match &entry.record {
                Record::Staged(StagedExperiment { experiment, candidate, .. }) => {
                    let pin = self.reference(&format!("refs/autoresearch/test/exp/{experiment}"));
                    check(
                        pin.as_ref() == Some(&candidate.revision.0),
                        &format!("candidate {experiment} is not pinned"),
                    );
                }
                Record::Decided(Decision { experiment, .. }) => {
                    check(decided.insert(*experiment), &format!("experiment {experiment} was decided twice"));
                }
                _ => {}
            }
        }
        let head = self.head();
        let incumbent = state.incumbent.as_ref().map(|incumbent| incumbent.revision.0.clone());
        let before = state.unadopted.as_ref().map(|(from, _)| from.as_ref().map(|from| from.0.clone()));
        check(head == incumbent || Some(&head) == before.as_ref(), &format!("the branch is at {head:?}"));

        // The table may lag behind by the last decision, and is whole at every moment.
        let table = results::table(&state);
        let rows = table.lines().count();
        match self.results() {
            None => check(rows == 1, "the table of results is missing"),
            Some(seen) => check(
                table.starts_with(&seen) && seen.ends_with('\n') && seen.lines().count() + 1 >= rows,
                "the table of results is not a whole table",
            ),
        }
        check(self.mine() == reference.mine, "the user's files were touched");
        check(!self.path().join("slot/.git").exists(), "the slot is a repository");
        found
    }

    /// Violations at the end of the run, which must be as if its lab had never died.
    pub fn violations_at_the_end(&self, status: ExitStatus, acknowledged: &[u8], reference: &Outcome) -> Vec<String> {
        let mut found = self.violations(acknowledged, reference);
        if !status.success() {
            found.push(format!("the run did not end well ({status}): {}", self.errors()));
            return found;
        }
        let outcome = self.outcome();
        if &outcome != reference {
            found.push(format!("the run ended otherwise: {outcome:?}"));
        }
        let state = State::replay(&self.entries().unwrap_or_default()).unwrap_or_default();
        if state.stopped.is_none() || self.results() != Some(results::table(&state)) {
            found.push("the table does not say what the journal says".into());
        }
        let fsck = Command::new("git").args(["fsck", "--strict", "--no-progress"]).current_dir(self.repo()).output();
        let fsck = fsck.unwrap();
        let said = [fsck.stdout, fsck.stderr].concat();
        // A kept commit whose decision never reached the journal is dangling; git may say nothing else.
        let complaint = String::from_utf8_lossy(&said).lines().find(|line| !line.starts_with("dangling ")).is_some();
        if !fsck.status.success() || complaint {
            found.push(format!("git fsck: {}", String::from_utf8_lossy(&said)));
        }
        found.extend(self.survivors());
        found
    }

    /// Processes of this run that do not end.
    pub fn survivors(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || began.elapsed() > PROMPT {
                return left.into_iter().map(|stat| format!("a process survives: {stat}")).collect();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// All processes of this run: labs, their supervisors, and whatever they started.
    fn processes(&self) -> Vec<String> {
        let lab = format!("{FOLDER}={}", self.path().display());
        let command = format!("AUTORESEARCH_SLOT={}", self.path().join("slot").display());
        let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let marked = folders.filter(|path| {
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == lab.as_bytes() || variable == command.as_bytes())
        });
        marked
            .map(|path| std::fs::read_to_string(path.join("stat")).unwrap_or_default())
            .filter(|stat| !stat.is_empty())
            .collect()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// All files below `folder`, without those in folders for which `wanted` is false.
fn files_below(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true if wanted(&entry.path()) => files.extend(files_below(&entry.path(), wanted)),
            true => {}
            false => files.push(entry.path()),
        }
    }
    files
}
