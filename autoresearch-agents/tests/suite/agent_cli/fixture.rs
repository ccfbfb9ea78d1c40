//! A repository whose program prints a score, and a run in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoresearch_agents::{Agent, AgentCliProposer, AgentSettings};
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

/// A folder with a repository in it, whose program prints `score: 5`.
pub struct Place {
    folder: tempfile::TempDir,
}

/// A finished run.
pub struct FinishedRun {
    pub state: State,
    /// Errors of proposals that the lab reported.
    pub troubles: Vec<String>,
}

#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Observer for Ear {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Retrying { error, .. } = event {
            self.0.lock().unwrap().push((*error).to_owned());
        }
    }
}

impl Place {
    pub fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        let repo = place.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        std::fs::write(repo.join("value.sh"), "# prints the score\necho 'score: 5'\n").unwrap();
        std::fs::write(repo.join("fixed.txt"), "fixed\n").unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        place.git(&["add", "."]);
        place.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]);
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.path().join("repo")).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// An executable script. A process of its own writes it: a file that is open for writing, if only in a child that another
    /// test starts at this moment, cannot be executed.
    pub fn script(&self, name: &str, body: &str) -> String {
        let path = self.path().join(name);
        let status = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"", "sh"])
            .arg(&path)
            .arg(body)
            .status();
        assert!(status.unwrap().success());
        path.to_str().unwrap().to_owned()
    }

    pub fn settings(&self, agent: Agent) -> AgentSettings {
        let mut settings = AgentSettings::new(agent, EditablePaths::new(["value.sh"]), self.path().join("scratch"));
        settings.references = vec![("fixed.txt".into(), self.path().join("repo/fixed.txt"))];
        settings.limit = Duration::from_secs(120);
        settings.repository = Some(self.path().join("repo"));
        settings.backoff.first = 0.001;
        settings
    }

    /// Runs so many experiments.
    pub async fn run_lab(&self, settings: AgentSettings, experiments: usize) -> Result<FinishedRun, LabError> {
        self.run_lab_until(settings, experiments, &Cancel::new()).await
    }

    pub async fn run_lab_until(
        &self,
        settings: AgentSettings,
        experiments: usize,
        cancel: &Cancel,
    ) -> Result<FinishedRun, LabError> {
        let base = Revision(self.git(&["rev-parse", "main"]).trim().to_owned());
        let commands = Commands {
            editable: settings.editable.clone(),
            run: ["sh", "-c", "echo ---; . ./value.sh"].map(String::from).into(),
            ..Commands::default()
        };
        let run = self.path().join("run");
        let slot = Slot::new(self.path().join("slot"));
        let sandbox =
            CommandSandbox::local(&self.path().join("repo"), "test", commands, vec![slot], run.join("logs")).unwrap();
        let sandbox = sandbox.with_base(base.clone());
        let mut of_lab = Settings::new("test", Duration::from_secs(60));
        of_lab.base = Some(base);
        of_lab.stop = Stop::after(experiments);
        let ear = Arc::new(Ear::default());
        let mut lab = Lab::builder(
            Arc::new(sandbox),
            Box::new(AgentCliProposer::new(settings)),
            Arc::new(LogMetric::new("score", Direction::Minimise)),
        )
        .ratchet(Arc::new(Strict))
        .program(Program::parse("Lower the score.").unwrap())
        .settings(of_lab)
        .open_journal(Journal::open(&run.join("journal.jsonl"))?)
        .build()?
        .observed_by(ear.clone());
        // An agent that never comes to a proposal would be asked for ever.
        let long = Duration::from_secs(120);
        match tokio::time::timeout(long, lab.run(cancel)).await {
            Ok(ended) => ended.map(drop)?,
            Err(_) => panic!("the run does not end: {:?}", ear.0.lock().unwrap()),
        }
        let troubles = ear.0.lock().unwrap().clone();
        Ok(FinishedRun { state: lab.state().clone(), troubles })
    }

    /// Returns the text of a file that an agent wrote beside the repository.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Returns the agents' folders that are left.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("scratch")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

impl FinishedRun {
    /// The experiments after the baseline, with the status of each.
    pub fn decisions(&self) -> Vec<Status> {
        self.state.experiments.iter().skip(1).map(|experiment| experiment.status).collect()
    }
}
