//! A whole run over a hostile mix of candidates, behind walls and under limits: it ends in order, honest candidates between them
//! have their right score, and nothing is left.
//!
//! `SOAK_SECONDS=600` makes it a long one.
#![cfg(target_os = "linux")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::internal::{Settings, verify};
use autoresearch_core::*;
use test_fixtures::by_default_or_thorough;

const SECONDS: &str = "SOAK_SECONDS";
const ALONE: &str = "SOAK_ALONE";
const TAG: &str = "soak";
/// Limit of each run, which a busy machine does not reach, and of the run behind its last experiment.
const LIMIT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);
/// A user whom nobody else is, so that its processes and files are the candidates'.
const USER: u32 = 61_931;
/// Score of the program as it was, which no candidate reaches: the base stays.
const BASE: f64 = 1_000.0;

/// Hostile programs. Those that would take the machine's memory, disk or processes are ended by the limits of [`limits`].
const HOSTILE: &[(&str, &str)] = &[
    ("forks for ever", "b() { test $1 -gt 12 && sleep 30; b $(($1 + 1)) & b $(($1 + 1)) & wait; }; b 0"),
    ("fills the disk by one file", "head -c 4G /dev/zero > big && echo score: 5000"),
    (
        "fills the disk by many files",
        "for i in $(seq 30); do head -c 8M /dev/zero > f$i; done; mkdir -p $TMPDIR/d; cp f* $TMPDIR/d; exit 3",
    ),
    ("fills the memory of /tmp", "head -c 60M /dev/zero > /tmp/big; head -c 60M /dev/zero > /dev/shm/big; exit 3"),
    ("floods its log", "yes score: 5000 | head -c 300M; exit 3"),
    ("takes all memory", "perl -e '$x .= \"x\" x 1e7 while 1'"),
    ("takes all memory by a pipe", "head -c 4G /dev/zero | tail -c 3G > /dev/null"),
    (
        "opens sockets",
        "perl -MSocket -e 'while (socket(my $s, PF_UNIX, SOCK_STREAM, 0)) { push @s, $s } sleep 1; exit 3'",
    ),
    ("opens files", "perl -e 'while (open my $f, \"<\", \"/dev/null\") { push @f, $f } sleep 1; exit 3'"),
    (
        "leaves daemons",
        "for i in $(seq 30); do setsid sleep 30 & setsid sleep 30 < /dev/null > /dev/null 2>&1 & done; exit 3",
    ),
    (
        "leaves daemons without an environment",
        "for i in $(seq 10); do (setsid env -i sleep 30 > /dev/null 2>&1 < /dev/null &); done; exit 3",
    ),
    ("makes zombies", "perl -e 'for (1 .. 150) { fork or exit } sleep 1; exit 3'"),
    ("ignores signals", "trap '' TERM INT HUP QUIT; while :; do sleep 0.1; done"),
    ("stops itself", "kill -STOP $$"),
    ("kills everybody", "kill -9 -1; sleep 30"),
    ("kills its supervisor", "setsid sleep 30 & kill -9 $PPID; sleep 30"),
    ("leaves deep folders", "perl -e 'for (1 .. 2000) { mkdir \"d\" x 9; chdir \"d\" x 9 or last }'; exit 3"),
    ("leaves folders that may not be entered", "mkdir -p a/b $TMPDIR/c; chmod 0 a/b a $TMPDIR/c .; exit 3"),
    ("leaves many files", "seq 4000 | xargs touch; exit 3"),
    ("leaves pipes and links", "mkfifo $AUTORESEARCH_ITEMS p; ln -s / root; ln -s /dev/zero zero; exit 3"),
    (
        "writes where others do",
        "for d in / /tmp /var/tmp .. ../.. ~ ~/.. $HOME; do echo x > $d/soak-was-here; done; exit 3",
    ),
    ("prints what is no number", "echo score: NaN; printf '\\033]0;x\\007\\000score: \\n'"),
];

fn limits() -> Limits {
    Limits { memory: Some(256 << 20), file_size: Some(64 << 20), processes: Some(400), ..Limits::default() }
}

/// Proposes honest and hostile programs in turns.
struct Mix(Arc<AtomicUsize>);

#[async_trait]
impl Proposer for Mix {
    async fn propose(&mut self, _: &Context<'_>) -> Result<Proposal, ProposerError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        let (name, script) = match number % 2 {
            0 => {
                let score = number % 97;
                let work = "seq 1000 | awk '{ s += $1 } END { exit s != 500500 }' && f=$(mktemp) && echo x > $f && (true & wait)";
                (format!("honest {score}"), format!("set -e\n{work}\necho score: {score}"))
            }
            _ => {
                let (name, script) = HOSTILE[number / 2 % HOSTILE.len()];
                (format!("hostile: {name}"), script.to_owned())
            }
        };
        let text = format!("# {number}\n{script}\n");
        let patch = Patch { edits: vec![FileEdit::Write { path: "run.sh".into(), text }] };
        Ok(Proposal::new(patch, name))
    }
}

struct Fixture {
    folder: PathBuf,
}

impl Fixture {
    fn journal(&self) -> PathBuf {
        self.folder.join("run/journal.jsonl")
    }

    fn lab(&self, seconds: u64) -> Lab<Patch> {
        let repository = self.folder.join("repository");
        std::fs::create_dir(&repository).unwrap();
        std::fs::write(repository.join("run.sh"), format!("echo score: {BASE}\n")).unwrap();
        test_fixtures::init(&repository);
        let commands = Commands {
            editable: EditablePaths::new(["run.sh"]),
            run: ["bash", "run.sh"].map(str::to_owned).to_vec(),
            limits: limits(),
            ..Commands::default()
        };
        let mut settings = Settings::new(TAG, LIMIT);
        settings.workers = Workers::new(3);
        settings.results = Some(self.folder.join("run/results.tsv"));
        settings.stop.wall = Some(Duration::from_secs(seconds));
        let slots = (0..settings.workers.slots()).map(|at| self.folder.join(format!("slots/{at}")));
        let executor = LocalExecutor::new(slots, self.folder.join("run/logs")).isolated(Isolation::best_effort());
        let sandbox = CommandSandbox::new(&repository, TAG, commands, Arc::new(executor)).unwrap();
        settings.base = Some(sandbox.base().clone());
        let metric = Arc::new(LogMetric::new("score", Direction::Maximise));
        Lab::builder(Arc::new(sandbox), Box::new(Mix(Arc::default())), metric)
            .ratchet(Arc::new(Strict))
            .settings(settings)
            .journal(self.journal())
            .build()
            .unwrap()
    }

    /// Everything that is wrong with the journal, the repository and the table.
    fn unsound(&self, state: &State) -> Vec<String> {
        let entries = Journal::read_all(&self.journal()).unwrap();
        let mut found = verify::journal(&entries.entries);
        found.extend(verify::decisions(&entries.entries, &Strict).1);
        found.extend(verify::repository(state, &Lineage::open(&self.folder.join("repository"), TAG).unwrap()).unwrap());
        let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
        found.extend(entries.foreign.iter().map(|line| format!("line {} of somebody else", line.number)));
        found
    }
}

/// The processes of this user beside this one, by their command lines.
fn processes() -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let theirs = numbers.filter(|entry| entry.file_name().to_str() != Some(&own));
    let theirs = theirs.filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == USER));
    theirs
        .map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default().replace('\0', " "))
        .collect()
}

/// Files of this user, or of the name that a candidate gives, in folders that everybody may write to.
fn files_outside(folder: &Path) -> Vec<PathBuf> {
    let places = [Path::new("/"), Path::new("/tmp"), Path::new("/dev/shm"), Path::new("/var/tmp")];
    let entries = places.iter().flat_map(|place| std::fs::read_dir(place).into_iter().flatten().flatten());
    let is_theirs = |path: &Path| {
        path.ends_with("soak-was-here") || std::fs::symlink_metadata(path).is_ok_and(|found| found.uid() == USER)
    };
    entries.map(|entry| entry.path()).filter(|path| !folder.starts_with(path) && is_theirs(path)).collect()
}

fn bytes(path: &Path) -> u64 {
    let Ok(found) = path.symlink_metadata() else { return 0 };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    if found.is_dir() { entries.map(|entry| bytes(&entry.path())).sum() } else { found.len() }
}

/// Runs as a user of its own, since nothing limits root's processes.
#[test]
#[ignore = "takes the whole machine: cargo xtask evidence isolation --only soak"]
fn a_hostile_mix_leaves_nothing_and_changes_no_score() {
    if std::env::var_os(ALONE).is_some() {
        return;
    }
    if !super::hostile::is_root() {
        let folder = tempfile::tempdir().unwrap();
        return play(folder.path());
    }
    let seconds = std::env::var(SECONDS).unwrap_or_else(|_| by_default_or_thorough(12, 60).to_string());
    let variables = [(SECONDS, seconds), (ALONE, "1".to_owned())];
    let said = super::hostile::output_as(USER, "soak::plays_the_mix", &variables);
    println!("{said}");
    assert!(said.contains("1 passed"));
}

/// Plays the mix of the test before.
#[test]
fn plays_the_mix() {
    if std::env::var_os(ALONE).is_some() {
        play(&std::env::current_dir().unwrap());
    }
}

fn play(folder: &Path) {
    let enforcement = Isolation::best_effort().enforcement();
    if enforcement.missing().any(|missing| missing.name == "other processes" || missing.name == "what can be seen") {
        eprintln!("skipped: candidates would kill this user's processes, since {enforcement}");
        return;
    }
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok());
    let seconds = seconds.unwrap_or(by_default_or_thorough(12, 60) as u64);
    let fixture = Fixture { folder: folder.to_owned() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut wrong, mut faults) = (Vec::new(), Vec::new());
    let state = runtime.block_on(async {
        let mut lab = fixture.lab(seconds);
        let limit = Duration::from_secs(seconds) + PATIENCE;
        match tokio::time::timeout(limit, lab.run(&Cancel::new())).await {
            Ok(Ok(StopReason::Wall(_))) => {}
            ended => faults.push(format!("the lab ended otherwise: {ended:?}")),
        }
        lab.state().clone()
    });
    drop(runtime);
    faults.extend(fixture.unsound(&state));
    let (mut honest, mut hostile) = (0, 0);
    for experiment in &state.experiments {
        let score = experiment.score().map(|score| score.get());
        let tail = experiment.outcome.as_ref().map_or_else(String::new, |outcome| outcome.describe());
        let told = || format!("{} {}: {score:?}: {} {tail}", experiment.id, experiment.description, experiment.reason);
        match experiment.description.strip_prefix("honest ") {
            Some(right) => {
                honest += 1;
                if score != right.parse().ok() {
                    wrong.push(told());
                }
            }
            None if experiment.description.starts_with("hostile: ") => {
                hostile += 1;
                if score.is_some() {
                    wrong.push(told());
                }
            }
            None => {}
        }
    }
    let outside = files_outside(folder);
    let left = bytes(&folder.join("slots")) as f64 / 1e6;
    let processes = if super::hostile::is_root() { Vec::new() } else { processes() };
    println!(
        "evidence soak seconds {seconds} experiments {} hostile {hostile} honest {honest} wrong {} unsound {} processes {} files {} left_mb {left:.1}",
        state.experiments.len(),
        wrong.len(),
        faults.len(),
        processes.len(),
        outside.len()
    );
    faults.iter().chain(&wrong).for_each(|fault| println!("{fault}"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(processes.is_empty(), "{processes:?}");
    assert!(outside.is_empty() && left <= 1.0, "{outside:?}, {left} MB");
    assert!(honest > 2 && hostile > 2, "{honest} honest and {hostile} hostile candidates");
}
