//! Whole runs over hostile proposals, candidates and repositories, interrupted and continued: none ends in an error, none
//! blocks a restart, and every journal verifies.
//!
//! A run follows from its seed alone: `HOSTILE_SEED=17 HOSTILE_RUNS=1` plays the run of that seed again.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::{Settings, text, verify};
use autoresearch_core::*;
use test_fixtures::by_default_or_thorough;

mod candidates;
mod dice;
mod proposals;
mod repositories;

use dice::Dice;
use proposals::Hostile;

/// Limit of each build and each run. A run whose baseline is late is played again with twice as much, so many times.
const LIMIT: Duration = Duration::from_millis(1500);
const ROUNDS: u32 = 5;
/// Time within which a part of a run ends or is interrupted.
const PATIENCE: Duration = Duration::from_secs(120);
const TAG: &str = "hostile";
/// Names of the variables of a part of the runs in a process of its own.
const SEED: &str = "HOSTILE_SEED";
const RUNS: &str = "HOSTILE_RUNS";
const ALONE: &str = "HOSTILE_ALONE";

/// The way in which one process of a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Interruption {
    None,
    /// In an orderly way, at the event of this number.
    Cancelled(usize),
    /// As by a crash, at the event of this number: nothing more is written.
    Dropped(usize),
}

/// The fault of a run.
enum Fault {
    /// The first process ended with an error.
    Error(String),
    /// A later process could not go on.
    Blocked(String),
    /// It went on, and what is left is not sound.
    Unsound(String),
}

/// One run: what it is made of.
struct Run {
    seed: u64,
    limit: Duration,
    folder: PathBuf,
    /// Where the user starts it.
    place: PathBuf,
    base: Revision,
}

impl Run {
    fn new(seed: u64, limit: Duration, folder: &Path) -> Run {
        let place = repositories::make(&mut Dice::of(seed, "repository", 0), folder);
        std::fs::create_dir(folder.join("victim")).unwrap();
        std::fs::write(folder.join("victim/precious"), "precious\n").unwrap();
        let base = Revision(test_fixtures::git(&place, &["rev-parse", "HEAD"]).trim().to_owned());
        Run { seed, limit, folder: folder.to_owned(), place, base }
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("run/journal.jsonl")
    }

    fn rule(&self) -> Arc<dyn Ratchet> {
        match Dice::of(self.seed, "rule", 0).percent(15) {
            true => Arc::new(NoiseAware::default()),
            false => Arc::new(Strict),
        }
    }

    fn lab(&self) -> Result<Lab<Patch>, LabError> {
        let mut dice = Dice::of(self.seed, "settings", 0);
        let commands = Commands {
            editable: EditablePaths::new(dice.pick(&[&["**"][..], &["run.sh", "notes/**"], &["run.sh"]]).to_vec()),
            build: if dice.percent(30) { vec!["sh".into(), "-n".into(), "run.sh".into()] } else { Vec::new() },
            run: if dice.percent(70) { vec!["./run.sh".into()] } else { vec!["sh".into(), "run.sh".into()] },
            repeats: if dice.percent(10) { 2 } else { 1 },
            ..Commands::default()
        };
        let mut settings = Settings::new(TAG, self.limit);
        settings.workers = if dice.percent(25) { Workers::new(2) } else { Workers::default() };
        let slots = (0..settings.workers.slots()).map(|at| self.folder.join(format!("slots/{at}")));
        let sandbox = CommandSandbox::local(&self.place, TAG, commands, slots, self.folder.join("run/logs"));
        let sandbox = sandbox?.with_base(self.base.clone());
        settings.base = Some(self.base.clone());
        settings.seed = self.seed >> 32;
        settings.results = Some(self.folder.join("run/results.tsv"));
        settings.suspicious_crashes = 2;
        settings.rejection_limit = 4;
        let ideas = 2 + dice.below(3);
        let proposer = Box::new(Hostile { seed: self.seed, ideas, asked: 0 });
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        Lab::builder(Arc::new(sandbox), proposer, metric)
            .ratchet(self.rule())
            .settings(settings)
            .journal(self.journal())
            .build()
    }

    /// Plays one process of the run, which ends as it is told. Returns true if it came to its own end.
    fn play(&self, interruption: Interruption) -> Result<bool, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let mut lab = self.lab().map_err(|error| error.to_string())?;
            let (cancel, death) = (Cancel::new(), Cancel::new());
            let (events, stop, die) = (AtomicUsize::new(0), cancel.clone(), death.clone());
            lab = lab.observed_by(Arc::new(move |_: &Event<'_>| {
                let event = events.fetch_add(1, Ordering::SeqCst);
                match interruption {
                    Interruption::Cancelled(at) if at == event => stop.cancel(),
                    Interruption::Dropped(at) if at == event => die.cancel(),
                    _ => {}
                }
            }));
            tokio::select! {
                biased;
                () = death.cancelled() => Ok(false),
                ended = tokio::time::timeout(PATIENCE, lab.run(&cancel)) => match ended {
                    Ok(Ok(StopReason::Cancelled)) => Ok(false),
                    Ok(Ok(_)) => Ok(true),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("it did not end within {PATIENCE:?}")),
                },
            }
        });
        // Work on other threads ends before anything goes on.
        drop(runtime);
        ended
    }

    /// Plays the run to its end over at least one restart.
    fn play_to_its_end(&self) -> Result<(), Fault> {
        let mut dice = Dice::of(self.seed, "interruptions", 0);
        let mut draw = |share| match (dice.percent(share), dice.percent(50), dice.below(24)) {
            (false, ..) => Interruption::None,
            (true, true, at) => Interruption::Cancelled(at),
            (true, false, at) => Interruption::Dropped(at),
        };
        let mut interruption = draw(85);
        self.play(interruption).map_err(|error| Fault::Error(format!("{interruption:?}: {error}")))?;
        loop {
            if matches!(interruption, Interruption::Dropped(at) if at % 3 == 0) {
                self.tear_the_journal();
            }
            interruption = draw(30);
            let whole =
                self.play(interruption).map_err(|error| Fault::Blocked(format!("{interruption:?}: {error}")))?;
            if whole && interruption == Interruption::None {
                break;
            }
        }
        self.play(Interruption::None).map_err(|error| Fault::Blocked(format!("once more: {error}")))?;
        Ok(())
    }

    /// As a crash in the middle of a write leaves it.
    fn tear_the_journal(&self) {
        use std::io::Write;
        if let Ok(mut file) = std::fs::File::options().append(true).open(self.journal()) {
            file.write_all(b"{\"crc\":\"0123").unwrap();
        }
    }

    /// Everything that is wrong with what the run left.
    fn unsound(&self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let entries = Journal::read(&self.journal())?;
        let mut found = verify::journal(&entries);
        found.extend(verify::decisions(&entries, &*self.rule()).1);
        let (state, lineage) = (State::replay(&entries)?, Lineage::open(&self.place, TAG)?);
        found.extend(verify::repository(&state, &lineage)?);
        let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
        if self.seed.is_multiple_of(8) {
            found.extend(lineage.fsck().unwrap_or_default());
        }
        if !state.open.is_empty() {
            found.push(format!("{} experiments are open", state.open.len()));
        }
        let journal = std::fs::read_to_string(self.journal())?;
        if journal.contains("\\u001b") || journal.contains("\\u0000") || journal.contains('\u{202e}') {
            // A change is kept as it was proposed, and a tail as it was printed; texts for people are clean.
            let texts = state.experiments.iter().map(|e| format!("{}{}{}", e.description, e.hypothesis, e.reason));
            let texts = texts.chain(state.rejections.iter().map(|r| format!("{}{}", r.description, r.reason)));
            found.extend(texts.filter(|text| text::clean(text) != *text).map(|text| format!("not clean: {text:?}")));
        }
        for row in std::fs::read_to_string(self.folder.join("run/results.tsv"))?.lines() {
            if row.split('\t').count() != 5 {
                found.push(format!("results.tsv: {row:?}"));
            }
        }
        let precious = std::fs::read(self.folder.join("victim/precious"));
        if !precious.as_ref().is_ok_and(|bytes| bytes == b"precious\n") {
            let shown = precious.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned());
            found.push(format!("a file outside is gone or changed: {shown:?}"));
        }
        let home = self.folder.join("slots");
        found.extend(processes_below(&home).into_iter().map(|process| format!("still running: {process}")));
        Ok(found)
    }

    /// The parts of the repository that its user sees.
    fn seen(&self) -> Vec<String> {
        let arguments = [&["rev-parse", "HEAD"][..], &["-c", "core.fsmonitor=false", "status", "--porcelain", "-uall"]];
        arguments
            .iter()
            .map(|arguments| {
                let output = Command::new("git").args(*arguments).current_dir(&self.place).output().unwrap();
                String::from_utf8_lossy(&output.stdout).into_owned()
            })
            .collect()
    }
}

/// The command lines of processes of this user whose environment names a folder below `folder`.
fn processes_below(folder: &Path) -> Vec<String> {
    let wanted = format!("AUTORESEARCH_SLOT={}", folder.display());
    let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let marked = folders.filter(|path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted.as_bytes()))
    });
    marked.map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " ")).collect()
}

impl Fault {
    /// True if the program that every run begins with, which only prints its score, has not ended in time.
    fn is_late_baseline(&self) -> bool {
        let (Fault::Error(why) | Fault::Blocked(why) | Fault::Unsound(why)) = self;
        why.contains("the baseline gave no number") && why.contains("killed at its limit")
    }
}

fn check(seed: u64, folder: &Path) -> Result<(), Fault> {
    let mut checked = Ok(());
    for round in 0..ROUNDS {
        let folder = folder.join(round.to_string());
        std::fs::create_dir(&folder).unwrap();
        checked = check_once(seed, LIMIT * (1 << round), &folder);
        if !matches!(&checked, Err(fault) if fault.is_late_baseline()) {
            break;
        }
    }
    checked
}

fn check_once(seed: u64, limit: Duration, folder: &Path) -> Result<(), Fault> {
    let run = Run::new(seed, limit, folder);
    let before = run.seen();
    run.play_to_its_end()?;
    let unsound = run.unsound().map_err(|error| Fault::Unsound(error.to_string()))?;
    if !unsound.is_empty() {
        return Err(Fault::Unsound(unsound.join("; ")));
    }
    match run.seen() {
        after if after == before => Ok(()),
        after => Err(Fault::Unsound(format!("the user's checkout changed from {before:?} to {after:?}"))),
    }
}

/// Plays the runs of these seeds, several at a time, and prints those with a fault. Returns the number of each fault.
fn play_all(seeds: std::ops::Range<u64>) -> [usize; 3] {
    let (next, faults) = (AtomicUsize::new(0), [const { AtomicUsize::new(0) }; 3]);
    let count = (seeds.end - seeds.start) as usize;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= count {
                        return;
                    }
                    let seed = seeds.start + at as u64;
                    let mut folder = tempfile::tempdir().unwrap();
                    // To look at what is left.
                    folder.disable_cleanup(std::env::var_os("HOSTILE_KEEP").is_some());
                    let began = std::time::Instant::now();
                    let checked = std::panic::catch_unwind(|| check(seed, folder.path()));
                    let fault = match checked {
                        Ok(Ok(())) => None,
                        Ok(Err(fault)) => Some(fault),
                        Err(panic) => {
                            let said = panic.downcast_ref::<String>().cloned();
                            Some(Fault::Error(format!("panic: {}", said.unwrap_or_default())))
                        }
                    };
                    if began.elapsed() > Duration::from_secs(25) {
                        println!("run {seed} took {:?}", began.elapsed());
                    }
                    let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(folder.path()).output();
                    if let Some(fault) = fault {
                        let (kind, name, why) = match fault {
                            Fault::Error(why) => (0, "error", why),
                            Fault::Blocked(why) => (1, "blocked", why),
                            Fault::Unsound(why) => (2, "unsound", why),
                        };
                        println!("run {seed}: {name}: {why}");
                        faults[kind].fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    faults.map(AtomicUsize::into_inner)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn print(runs: usize, [errors, blocked, unsound]: [usize; 3]) {
    println!("evidence hostile-runs runs {runs} errors {errors} blocked {blocked} unsound {unsound}");
}

#[test]
fn no_run_ends_in_an_error_or_blocks_a_restart() {
    let runs = number(RUNS).unwrap_or(by_default_or_thorough(15, 2000) as u64);
    let first = number(SEED).unwrap_or(0);
    // Where the user is root, half of the runs are those of an ordinary user, whom permissions bind.
    let (own, others) = match super::hostile::is_root() && std::env::var_os(ALONE).is_none() {
        true => (first..first + runs - runs / 2, first + runs - runs / 2..first + runs),
        false => (first..first + runs, 0..0),
    };
    let mut faults = [0; 3];
    std::thread::scope(|scope| {
        let theirs = (!others.is_empty()).then(|| scope.spawn(|| as_an_ordinary_user(others.clone())));
        faults = play_all(own.clone());
        if let Some(theirs) = theirs {
            faults.iter_mut().zip(theirs.join().unwrap()).for_each(|(sum, more)| *sum += more);
        }
    });
    print(runs as usize, faults);
    assert_eq!(faults, [0; 3], "errors, blocked restarts, unsound runs");
}

/// Plays the runs of these seeds as another user than root, in a copy of this program.
fn as_an_ordinary_user(seeds: std::ops::Range<u64>) -> [usize; 3] {
    let said = super::hostile::output_as_an_ordinary_user(
        "hostile_runs::no_run_ends_in_an_error_or_blocks_a_restart",
        &[(SEED, seeds.start.to_string()), (RUNS, (seeds.end - seeds.start).to_string()), (ALONE, "1".into())],
    );
    let (faults, rest): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.contains("evidence hostile-runs"));
    println!("{}", rest.iter().filter(|line| line.starts_with("run ")).cloned().collect::<Vec<_>>().join("\n"));
    let words: Vec<usize> =
        faults.iter().flat_map(|line| line.split(' ')).filter_map(|word| word.parse().ok()).collect();
    match words[..] {
        [_, errors, blocked, unsound] => [errors, blocked, unsound],
        _ => panic!("the runs of an ordinary user printed no result: {said}"),
    }
}
