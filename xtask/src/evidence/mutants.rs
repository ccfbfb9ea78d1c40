//! Every protection of the core, taken away one by one in a copy of the crate: some test must fail each time. The table with
//! the invariants is in `autoresearch-core/tests/suite/semantics.rs`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::Line;
use crate::test::THOROUGH;
use crate::{places, sh};

/// One protection and how it is taken away.
struct Mutant {
    invariant: &'static str,
    file: &'static str,
    /// Text that stands exactly once in the file.
    search: &'static str,
    replace: &'static str,
    /// The tests that must fail, as arguments of `cargo test`.
    test: &'static [&'static str],
}

const SEMANTICS: &[&str] = &["--test", "suite", "semantics::"];
const PARALLEL: &[&str] = &["--test", "suite", "parallel::"];
const REBASE: &[&str] = &["--test", "suite", "rebase::"];
const SLOTS: &[&str] = &["--test", "processes", "slots::"];
const RUN: &[&str] = &["--test", "processes", "run::"];
const HOSTILE: &[&str] = &["--test", "processes", "hostile::"];
const KILL: &[&str] = &["--test", "processes", "kill::"];
const ORDER: &[&str] = &["--test", "processes", "git_s_files"];
const LIB: &[&str] = &["--lib"];

const MUTANTS: &[Mutant] = &[
    Mutant {
        invariant: "ties are discarded",
        file: "ratchet/strict.rs",
        search: "if gain > self.0 {",
        replace: "if gain >= self.0 {",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "NaN and infinities are no scores",
        file: "metric.rs",
        search: "value.is_finite().then_some(Score(value + 0.0))",
        replace: "Some(Score(value + 0.0))",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "what did not complete is never kept",
        file: "metric/log.rs",
        search: "let Outcome::Completed(log) = outcome else {\n            return Err(MetricError::NotCompleted(outcome.describe()));\n        };",
        replace: "let log = outcome.log();",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "1: the incumbent moves after the durable decision",
        file: "lab/decide.rs",
        search: "        self.record(Record::Decided(Decision { experiment, status, reason, kept_as, reference, alpha, excursion }))?;",
        replace: "        if let Some(to) = &to { self.sandbox.adopt(from.as_ref(), to).await?; }\n        self.record(Record::Decided(Decision { experiment, status, reason, kept_as, reference, alpha, excursion }))?;",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "2: recovery carries out a keep that was decided",
        file: "lab.rs",
        search: "if let Some((from, to)) = self.state.unadopted.clone() {",
        replace: "if let Some((from, to)) = self.state.unadopted.clone().filter(|_| false) {",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "2: an incumbent that somebody moved stops the search",
        file: "lab.rs",
        search: "self.sandbox.adopt(Some(&incumbent.revision), &incumbent.revision).await?;",
        replace: "let _ = incumbent;",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "3: a record is on the disk before the next step",
        file: "journal.rs",
        search: "medium.append(&line).and_then(|()| medium.sync())",
        replace: "medium.append(&line)",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "3: git's files are on the disk before the journal names them",
        file: "git/lineage.rs",
        search: "        fsync_everything();\n",
        replace: "",
        test: ORDER,
    },
    Mutant {
        invariant: "4: checksums are compared",
        file: "journal.rs",
        search: "if found == line.crc {",
        replace: "if found.len() == 8 {",
        test: LIB,
    },
    Mutant {
        invariant: "4: numbers are gapless",
        file: "journal.rs",
        search: "if entry.seq != entries.len() as u64 {",
        replace: "if entry.seq > 1 << 60 {",
        test: LIB,
    },
    Mutant {
        invariant: "5: every candidate is pinned",
        file: "command/workspace.rs",
        search: "            git.pin(experiment, &revision)?;\n",
        replace: "            let _ = experiment;\n",
        test: RUN,
    },
    Mutant {
        invariant: "6: a torn tail is cut off",
        file: "journal.rs",
        search: "if valid < bytes.len() {",
        replace: "if valid > bytes.len() {",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "7: an open experiment is finished, not forgotten",
        file: "lab/trials.rs",
        search: "let open = self.state.open.iter();",
        replace: "let open = self.state.open.iter().filter(|open| open.trials_started != 1);",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "8: one decision per experiment",
        file: "state/apply.rs",
        search: "let Decision { experiment, status, reason, kept_as, reference, alpha, excursion } = decision;\n        let place = self.place_of_open(experiment)?;",
        replace: "let Decision { experiment, status, reason, kept_as, reference, alpha, excursion } = decision;\n        let Ok(place) = self.place_of_open(experiment) else { return Ok(()) };",
        test: LIB,
    },
    Mutant {
        invariant: "9: lost trials are capped",
        file: "lab/schedule.rs",
        search: "lost >= settings.loss_limit.max(1)",
        replace: "lost == u32::MAX",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "9: every trial is announced",
        file: "lab/trials.rs",
        search: "        self.record(Record::TrialStarted(TrialStart { experiment, trial: number, side, seed, fidelity, class }))?;\n",
        replace: "        let _ = (TrialStart::new(experiment, number, side), class);\n",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "every link is measured: a change of a former incumbent is not kept as it is",
        file: "lab/schedule.rs",
        search: "Verdict::Keep(_) | Verdict::Measure(_) => Step::Rebase { into_queue: true },",
        replace: "Verdict::Keep(reason) => Step::Decide(Status::Keep, reason),\n            Verdict::Measure(_) => Step::Rebase { into_queue: true },",
        test: PARALLEL,
    },
    Mutant {
        invariant: "every link is measured: replay refuses a keep that is no change of the incumbent",
        file: "state/apply.rs",
        search: "if status == Status::Keep && !is_current {",
        replace: "if false {",
        test: LIB,
    },
    Mutant {
        invariant: "what was measured before a rebase says nothing about the new candidate",
        file: "state/decided.rs",
        search: "arm: std::mem::take(&mut made.arm),",
        replace: "arm: made.arm.clone(),",
        test: PARALLEL,
    },
    Mutant {
        invariant: "trials of another incumbent are not mixed",
        file: "state/apply.rs",
        search: "Side::Incumbent if open.experiment.conflict.is_some() && running.incumbent != incumbent => {}",
        replace: "Side::Incumbent if open.lost == u32::MAX && incumbent.is_some() => {}",
        test: PARALLEL,
    },
    Mutant {
        invariant: "one trial at a time in a slot and on a worker",
        file: "lab/in_flight.rs",
        search: "*slot = (Some(candidate.clone()), true);",
        replace: "slot.0 = Some(candidate.clone());",
        test: PARALLEL,
    },
    Mutant {
        invariant: "5: the candidate of a rebase is pinned",
        file: "command/workspace.rs",
        search: "            git.pin_rebase(*experiment, *times, &revision)?;\n",
        replace: "            let _ = (experiment, times);\n",
        test: REBASE,
    },
    Mutant {
        invariant: "5: the pin of the first candidate stays",
        file: "git/names.rs",
        search: "format!(\"{}.{times}\", self.pin_of(experiment))",
        replace: "format!(\"{}\", self.pin_of(experiment + times - times))",
        test: REBASE,
    },
    Mutant {
        invariant: "a rebase changes what may be edited, and nothing else",
        file: "command/workspace.rs",
        search: "find(|path| !self.commands.editable.allows(path))",
        replace: "find(|path| path.is_empty())",
        test: REBASE,
    },
    Mutant {
        invariant: "a rebase merges against the parent of the change",
        file: "command/workspace.rs",
        search: "git.merge(from, onto, candidate)",
        replace: "git.merge(onto, onto, candidate).or_else(|_| git.merge(from, onto, onto))",
        test: REBASE,
    },
    Mutant {
        invariant: "a file where a folder is is a conflict",
        file: "git/merge.rs",
        search: "merge.conflicts.extend(collisions);",
        replace: "drop(collisions);",
        test: REBASE,
    },
    Mutant {
        invariant: "every candidate of an experiment is checked",
        file: "verify/repository.rs",
        search: "earlier.chain([",
        replace: "earlier.take(0).chain([",
        test: REBASE,
    },
    Mutant {
        invariant: "what was built ahead is its own trial's",
        file: "command/local/place.rs",
        search: "(built.job == job.name && built.candidate == *job.tree.revision()).then_some(built.log)",
        replace: "(job.repeats > 0).then_some(built.log)",
        test: SLOTS,
    },
    Mutant {
        invariant: "what was built ahead is run once",
        file: "command/local/place.rs",
        search: "unwrap_or_else(PoisonError::into_inner).take()?;",
        replace: "unwrap_or_else(PoisonError::into_inner);\n        let built = built.as_ref().map(|b| Built { job: b.job.clone(), candidate: b.candidate.clone(), log: b.log.clone() })?;",
        test: SLOTS,
    },
    Mutant {
        invariant: "one build at a time",
        file: "command/local/phases.rs",
        search: "turn = self.builds.lock() => turn,",
        replace: "turn = self.builds.lock() => drop(turn),",
        test: SLOTS,
    },
    Mutant {
        invariant: "a worker's devices are its own",
        file: "command/trial.rs",
        search: "Some(worker) if !commands.devices.is_empty() => match commands.devices.get(worker as usize) {",
        replace: "Some(worker) if !commands.devices.is_empty() => match commands.devices.get(worker as usize).and(commands.devices.first()) {",
        test: SLOTS,
    },
    Mutant {
        invariant: "10: one writer",
        file: "journal.rs",
        search: "match file.try_lock() {",
        replace: "match file.try_lock().or(Ok::<(), TryLockError>(())) {",
        test: LIB,
    },
    Mutant {
        invariant: "10: nothing of a trial survives it",
        file: "command/process/linux/supervisor.rs",
        search: "text.survivors = kill_children();",
        replace: "libc::kill(command, libc::SIGKILL); text.survivors = 0;",
        test: KILL,
    },
    Mutant {
        invariant: "10: nothing of a trial survives its lab",
        file: "command/process/linux/supervisor.rs",
        search: "if ready[1].revents != 0 {",
        replace: "if ready[1].revents & libc::POLLIN != 0 {",
        test: KILL,
    },
    Mutant {
        invariant: "10: what escaped its supervisor is found",
        file: "command/process/sweep.rs",
        search: "any(|variable| variable == wanted)",
        replace: "any(|variable| variable.is_empty() && variable == wanted)",
        test: KILL,
    },
    Mutant {
        invariant: "10: what ended after its limit has timed out",
        file: "command/process/linux/supervisor.rs",
        search: "text.overrun |= i64::from(text.elapsed_nanoseconds > self.limit);",
        replace: "text.elapsed_nanoseconds = text.elapsed_nanoseconds.min(self.limit);",
        test: LIB,
    },
    Mutant {
        invariant: "a supervisor shows no key",
        file: "command/process/linux/supervisor.rs",
        search: "std::ptr::write_bytes(",
        replace: "let _ = (",
        test: HOSTILE,
    },
    Mutant {
        invariant: "11: no folder pattern opens the tools' own files",
        file: "change/editable.rs",
        search: "path.split('/').any(configures_tools);",
        replace: "path.split('/').any(|name| name.is_empty() && configures_tools(name));",
        test: LIB,
    },
    Mutant {
        invariant: "12: the branch moves only from where the journal says",
        file: "git/refs.rs",
        search: "if found.as_ref() != from {",
        replace: "let from = found.as_ref();\n        if found.as_ref() != from {",
        test: RUN,
    },
    Mutant {
        invariant: "13: a journal that failed writes no more",
        file: "journal.rs",
        search: "self.failed = true;",
        replace: "",
        test: LIB,
    },
    Mutant {
        invariant: "what was measured is not run again",
        file: "state.rs",
        search: "self.by_fingerprint.get(&hash(fingerprint))",
        replace: "self.by_fingerprint.get(&hash(fingerprint)).filter(|id| **id == u32::MAX)",
        test: SEMANTICS,
    },
    Mutant {
        invariant: "scores are read back to the last bit",
        file: "../../Cargo.toml",
        search: "features = [\"float_roundtrip\", \"raw_value\"]",
        replace: "features = [\"raw_value\"]",
        test: LIB,
    },
];

/// Longest time for one test: enough for each of them, and an end for a mutant that hangs.
const PATIENCE: Duration = Duration::from_secs(400);

/// Counts the protections that some test guards.
pub fn mutations() -> Result<Line, String> {
    let folder = std::env::temp_dir().join(format!("autoresearch-mutants-{}", std::process::id()));
    let result = in_copy(&folder);
    let _ = fs::remove_dir_all(&folder);
    let unseen = result?;
    let seen = MUTANTS.len() - unseen.len();
    let value = format!("{seen} of {} mutants are seen by a test{}", MUTANTS.len(), unseen.join(""));
    Ok(Line::Measured(unseen.is_empty(), value, "all"))
}

fn in_copy(folder: &Path) -> Result<Vec<String>, String> {
    let copy = folder.join("copy");
    sh::output(Command::new("git").args(["clone", "--quiet"]).arg(places::root()).arg(&copy))?;
    let mut unseen = Vec::new();
    for mutant in MUTANTS {
        let path = copy.join("autoresearch-core/src").join(mutant.file);
        let source = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if source.matches(mutant.search).count() != 1 {
            return Err(format!("`{}` must stand once in {}", mutant.search, mutant.file));
        }
        fs::write(&path, source.replacen(mutant.search, mutant.replace, 1)).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let verdict = test(&copy, &folder.join("target"), mutant.test)?;
        fs::write(&path, source).map_err(|e| e.to_string())?;
        eprintln!("  {:<55} {verdict} ({:.0} s)", mutant.invariant, began.elapsed().as_secs_f64());
        if !verdict.starts_with("seen") {
            unseen.push(format!("; {}: {verdict}", mutant.invariant));
        }
    }
    Ok(unseen)
}

/// Runs the tests and says whether one fails.
fn test(copy: &Path, target: &Path, arguments: &[&str]) -> Result<&'static str, String> {
    let cargo = |last: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(copy).args(["test", "-p", "autoresearch-core"]).args(arguments).args(last);
        // The first failure is enough.
        cargo.env("CARGO_TARGET_DIR", target).env("PROPTEST_MAX_SHRINK_ITERS", "0").env("RUST_BACKTRACE", "0");
        cargo.env(THOROUGH, "1");
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cargo
    };
    let started = |e| format!("cannot start cargo: {e}");
    if !cargo(&["--no-run"]).status().map_err(started)?.success() {
        return Ok("does not build");
    }
    let mut child = cargo(&[]).spawn().map_err(started)?;
    let began = Instant::now();
    loop {
        match child.try_wait().map_err(started)? {
            Some(status) if status.success() => return Ok("NOT SEEN"),
            Some(_) => return Ok("seen"),
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok("seen: it hangs");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protection_that_is_taken_away_is_there_once() {
        for mutant in MUTANTS {
            let path = places::root().join("autoresearch-core/src").join(mutant.file);
            let source = fs::read_to_string(&path).unwrap();
            assert_eq!(source.matches(mutant.search).count(), 1, "{}: {}", mutant.invariant, mutant.search);
        }
    }
}
