//! Where a candidate runs: the kernel, compiled with its flags and run several times.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
// The workspace's own runner of processes, which is no part of the promise: `tokio::process` with `kill_on_drop` will do, too.
use autoresearch_core::internal::process::{self, Command, Finished};
use autoresearch_core::{
    AdoptedRevision, Cancel, Candidate, MachineId, Outcome, Phase, Progress, Revision, RunLog, Sandbox, SandboxError,
    StageError, Trial,
};
use tempfile::TempDir;

use crate::flags::{CommandLine, Flags};

/// The source of what is made fast.
pub const KERNEL: &str = include_str!("../kernel.c");
/// State that the search starts from.
pub const BASELINE: &str = "-O0";

/// Compiles and runs in a private folder, which is gone with it.
pub struct Compiler {
    program: String,
    rounds: u32,
    repeats: u32,
    folder: TempDir,
    adopted: AdoptedRevision,
}

impl Compiler {
    /// A sandbox for the compiler `program`: the kernel works `rounds` rounds and is run `repeats` times.
    pub fn new(program: impl Into<String>, rounds: u32, repeats: u32) -> Result<Compiler, SandboxError> {
        let folder = tempfile::tempdir().map_err(|e| SandboxError::io("making a temporary folder", e))?;
        std::fs::write(folder.path().join("kernel.c"), KERNEL)
            .map_err(|e| SandboxError::io("writing the kernel's source", e))?;
        Ok(Compiler { program: program.into(), rounds, repeats, folder, adopted: AdoptedRevision::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn command(
        &self,
        argv: Vec<String>,
        log: PathBuf,
        limit: Duration,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Finished, SandboxError> {
        // The compiler's words are matched and shown: always the same language.
        let environment = vec![("LC_ALL".into(), "C".into())];
        let command = Command {
            argv,
            directory: self.folder.path().to_owned(),
            environment,
            log,
            limit,
            grace: process::GRACE,
            limits: process::Limits::default(),
        };
        let progress = trial.progress.clone();
        command.run(cancel, &move |line| progress(Progress::Line(line))).await
    }
}

#[async_trait]
impl Sandbox<Flags> for Compiler {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(candidate(Revision(BASELINE.into())))
    }

    async fn stage(&self, _: u32, parent: &Revision, change: &Flags, _: &str) -> Result<Candidate, StageError> {
        let name = CommandLine::named(parent).with(change).name();
        if name == *parent {
            return Err(StageError::Rejected("it changes nothing".into()));
        }
        Ok(candidate(name))
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let (build_log, run_log, program) = (self.path("build.log"), self.path("run.log"), self.path("kernel"));
        // Nothing of the last candidate may be taken for this one's.
        for old in [&build_log, &run_log, &program] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(SandboxError::io(format!("removing {}", old.display()), error));
                }
                _ => {}
            }
        }
        let mut log = RunLog { phase: Phase::Build, ..RunLog::default() };

        (trial.progress)(Progress::Phase(Phase::Build));
        let line = CommandLine::named(&candidate.revision);
        let rest = ["-o", "kernel", "kernel.c", "-lm"];
        let argv = [self.program.as_str()].into_iter().chain(line.flags()).chain(rest).map(str::to_owned).collect();
        let build = self.command(argv, build_log.clone(), trial.budget.build, trial, cancel).await?;
        log.build = build.elapsed;
        log.path = Some(build_log);
        if !build.succeeded() {
            return process::outcome(&build, "the compiler", log);
        }

        (trial.progress)(Progress::Phase(Phase::Run));
        log.phase = Phase::Run;
        log.machine = Some(MachineId::here());
        log.path = Some(run_log.clone());
        let mut last = build;
        for _ in 0..self.repeats {
            let argv = vec![program.display().to_string(), self.rounds.to_string()];
            // The limit is for all repeats together.
            let left = trial.budget.run.saturating_sub(log.elapsed);
            last = self.command(argv, run_log.clone(), left, trial, cancel).await?;
            log.elapsed += last.elapsed;
            log.peak_memory = log.peak_memory.max(last.peak_memory);
            if !last.succeeded() {
                break;
            }
        }
        process::outcome(&last, "the kernel", log)
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.adopted.adopt(from, to)
    }
}

fn candidate(name: Revision) -> Candidate {
    Candidate { fingerprint: name.0.clone(), revision: name, added_lines: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Switch;
    use autoresearch_core::testkit::conformance::{self, SandboxCases};
    use std::sync::Arc;

    #[tokio::test]
    async fn the_compiler_keeps_the_contract_of_a_sandbox() {
        let cc = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
        if std::process::Command::new(&cc).arg("--version").output().is_err() {
            eprintln!("skipped: there is no compiler `{cc}`");
            return;
        }
        let make = || Arc::new(Compiler::new(&cc, 20, 1).unwrap()) as Arc<dyn Sandbox<Flags>>;
        let on = |flag: &str| Flags(vec![Switch::On(flag.into())]);
        let cases = SandboxCases {
            good: on("-O1"),
            other: on("-O2"),
            // What the baseline has already: nothing changes.
            bad: Some(on("-O0")),
            endless: None,
            crashing: Some(on("-fno-such-flag")),
        };
        conformance::sandbox(make, cases).await;
    }
}
