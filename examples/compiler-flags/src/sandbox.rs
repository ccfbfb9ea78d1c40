//! Where a candidate runs: the kernel, compiled with its flags and run several times.

use async_trait::async_trait;
use autoresearch_core::{
    AdoptedRevision, Cancel, Candidate, Executor, ExperimentId, Job, JobName, LocalExecutor, Outcome, Revision,
    Sandbox, SandboxError, StageError, Tree, Trial,
};
use tempfile::TempDir;

use crate::flags::{CommandLine, Flags};

/// The source of what is made fast.
pub const KERNEL: &str = include_str!("../kernel.c");
/// State that the search starts from.
pub const BASELINE: &str = "-O0";

/// Compiles and runs in a private folder, which is gone with it. A local executor keeps the limits and ends what is left running.
pub struct Compiler {
    program: String,
    rounds: u32,
    repeats: u32,
    executor: LocalExecutor,
    adopted: AdoptedRevision,
    /// Holds the folder of the executor.
    _folder: TempDir,
}

impl Compiler {
    /// A sandbox for the compiler `program`: the kernel works `rounds` rounds and is run `repeats` times.
    pub fn new(program: impl Into<String>, rounds: u32, repeats: u32) -> Result<Compiler, SandboxError> {
        let folder = tempfile::tempdir().map_err(|e| SandboxError::io("making a temporary folder", e))?;
        let executor = LocalExecutor::new([folder.path().join("slot")], folder.path().join("logs"));
        let adopted = AdoptedRevision::default();
        Ok(Compiler { program: program.into(), rounds, repeats, executor, adopted, _folder: folder })
    }

    /// The job of a trial. Its files are the same for all candidates: the flags stand in the command line of the build.
    fn job(&self, candidate: &Candidate, trial: &Trial) -> Result<Job, SandboxError> {
        let run = ["./kernel".to_owned(), self.rounds.to_string()];
        let name = JobName::new("compiler-flags", trial.name());
        let mut job = Job::new(name, Tree::new([("kernel.c", KERNEL)])?, run.into(), trial.limit());
        let line = CommandLine::named(&candidate.revision);
        let rest = ["-o", "kernel", "kernel.c", "-lm"];
        job.build.argv =
            [self.program.as_str()].into_iter().chain(line.flags()).chain(rest).map(str::to_owned).collect();
        job.build.limit = trial.budget.build;
        for step in [&mut job.build, &mut job.run] {
            // The compiler's words are matched and shown: always the same language.
            step.environment = vec![("LC_ALL".into(), "C".into())];
        }
        (job.repeats, job.slot, job.progress) = (self.repeats, trial.slot, trial.progress.clone());
        Ok(job)
    }
}

#[async_trait]
impl Sandbox<Flags> for Compiler {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(candidate(Revision(BASELINE.into())))
    }

    async fn stage(
        &self,
        _: ExperimentId,
        parent: &Revision,
        change: &Flags,
        _: &str,
    ) -> Result<Candidate, StageError> {
        let name = CommandLine::named(parent).with(change).name();
        if name == *parent {
            return Err(StageError::Rejected("it changes nothing".into()));
        }
        Ok(candidate(name))
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.executor.run(&self.job(candidate, trial)?, cancel).await
    }

    fn keeps_budget(&self) -> bool {
        true
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
