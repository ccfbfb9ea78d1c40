//! A [`Session`] is what every subcommand that runs candidates shares: a repository, a configuration, a run in it, and the
//! sandbox made of them.

use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_core::Slot;
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::{CommandSandbox, Journal, LocalExecutor, Program, Provision, Revision, State};
use autoresearch_core::{Commands, Evaluation};

use crate::config::Config;
use crate::control;
use crate::error::CommandError;
use crate::placeholders::{Placeholders, Provided};
use crate::plan::WorkerPlan;
use crate::policy;
use crate::repository::Repository;
use crate::start;

/// A repository, a configuration, and the run that it is for.
#[derive(Debug)]
pub struct Session {
    /// The repository with its runs.
    pub repository: Repository,
    /// The configuration.
    pub config: Config,
    /// The values of the configuration's placeholders.
    pub placeholders: Placeholders,
    /// The workers on this machine.
    pub plan: WorkerPlan,
    /// The run's name.
    pub tag: String,
    /// The experiments of another run, as a section of the programme; empty without one.
    pub history: String,
    /// The branch of the run: that on which it began, else that of the configuration.
    pub branch: String,
}

/// A run that was measured before and is now locked, so that no other command works in its slots.
pub struct LockedRun {
    /// The open journal, which holds the lock.
    pub journal: Journal,
    /// The state that its records add up to.
    pub state: State,
    /// The commit that the run started from.
    pub base: Revision,
    /// The seed of the run.
    pub seed: u64,
}

impl Session {
    /// Puts the parts together. Writes nothing.
    pub fn new(repository: Repository, config: Config, tag: String) -> Result<Session, CommandError> {
        let placeholders = Placeholders::find(repository.root.clone(), &config.preset)?;
        let plan = WorkerPlan::new(&config).map_err(|error| config.locate(error))?;
        let branch = repository.bound_branch(&tag).unwrap_or_else(|| config.git.branch(&tag));
        Ok(Session { repository, config, placeholders, plan, tag, branch, history: String::new() })
    }

    /// The lineage of the run.
    pub fn lineage(&self) -> Result<Lineage, CommandError> {
        Ok(Lineage::open(&self.repository.root, &self.tag)?.on_branch(&self.branch)?)
    }

    /// The folder of the run.
    pub fn folder(&self) -> PathBuf {
        self.repository.run_folder(&self.tag)
    }

    /// The folder with the slots of the run.
    pub fn slots(&self) -> PathBuf {
        self.placeholders.slots().join(&self.tag)
    }

    /// The settings that decide the number.
    pub fn policy(&self) -> Result<autoresearch_core::internal::Policy, CommandError> {
        policy::policy(&self.config, &self.placeholders, &self.plan)
    }

    /// The human's programme, with the ranges of the configuration.
    pub fn program(&self) -> Result<Program, CommandError> {
        let mut program = Program::read(&self.repository.root.join(&self.config.program))?;
        for (name, range) in &self.config.knobs {
            program.knobs.entry(name.clone()).or_insert_with(|| range.clone());
        }
        if !self.history.is_empty() {
            program.text = format!("{}\n\n{}", program.text.trim_end(), self.history);
        }
        Ok(program)
    }

    /// The commands that build and run candidates.
    pub fn commands(&self) -> Commands {
        let Session { config, placeholders, plan, .. } = self;
        Commands {
            editable: config.editable(),
            provisions: self.provisions(),
            locked: config.deciding_files().map(|name| placeholders.place(name)).collect(),
            repository: config.workspace.git,
            guards: config
                .guard
                .as_ref()
                .map_or_else(Vec::new, |guard| guard.guards(|argv| placeholders.fill_all(argv))),
            evaluation: self.evaluation(),
            build: placeholders.fill_all(&config.build.command),
            keeps: placeholders.fill_all(&config.build.keeps).into_iter().map(PathBuf::from).collect(),
            run: placeholders.fill_all(&config.run.command),
            environment: placeholders.environment(&config.environment),
            limits: config.limits.limits(),
            cpus: config.run.cpus,
            build_cpus: plan.build_cpus,
            devices: plan.devices.clone(),
            results: config.results(),
            any_exit_code: config.metric.any_exit_code(),
            repeats: config.run.repeats,
            pass: config.run.pass.clone(),
            ..Commands::default()
        }
    }

    /// The files and folders beside the commit that candidates get. What does not lie below the root they reach by its own path.
    fn provisions(&self) -> Vec<Provision> {
        let workspace = &self.config.workspace;
        let mut provisions = self.shared(&workspace.share).0;
        let copies = workspace.copy.iter().filter_map(|path| match self.placeholders.provided(path) {
            Provided::Elsewhere(_) => None,
            Provided::Below(target) => Some(Provision::copy(self.repository.root.join(&target), target)),
        });
        provisions.extend(copies);
        provisions
    }

    /// Shared files and folders: those below the repository's root as links, and the paths of the others.
    fn shared(&self, paths: &[String]) -> (Vec<Provision>, Vec<PathBuf>) {
        let (mut links, mut elsewhere) = (Vec::new(), Vec::new());
        for path in paths {
            match self.placeholders.provided(path) {
                Provided::Elsewhere(path) => elsewhere.push(path),
                Provided::Below(target) => links.push(Provision::link(self.repository.root.join(&target), target)),
            }
        }
        (links, elsewhere)
    }

    /// The command that measures what a run left, if the run does not print its number itself.
    fn evaluation(&self) -> Option<Evaluation> {
        let section = self.config.evaluate.as_ref()?;
        let mut evaluation = section.evaluation(|argv| self.placeholders.fill_all(argv));
        (evaluation.provisions, evaluation.reads) = self.shared(&section.share);
        Some(evaluation)
    }

    /// The walls around the commands of candidates.
    pub fn isolation(&self) -> Isolation {
        let mut shared = self.shared(&self.config.workspace.share).1;
        // A repository that cannot be opened is told elsewhere.
        let objects = self.lineage().ok().filter(|_| self.config.workspace.git).map(|lineage| lineage.object_folders());
        shared.extend(objects.unwrap_or_default());
        let mut isolation = self.config.isolation.isolation(|path| self.placeholders.place(path), shared);
        isolation.hidden = self.repository.root.canonicalize().ok();
        isolation
    }

    /// The sandbox of the run, which writes the output of `commands` into the folder `logs` of the run.
    pub fn sandbox(&self, commands: Commands, base: &Revision, logs: &str) -> Result<CommandSandbox, CommandError> {
        let (folder, needed) = (self.slots(), self.plan.workers.slots());
        // Those of an earlier call with more workers, too: what it left running there must end.
        let slots = (0..).map(|number: usize| (number, folder.join(number.to_string())));
        let slots = slots.take_while(|(number, path)| *number < needed || path.exists());
        let slots = slots.map(|(_, path)| Slot::new(path));
        let constants = start::constants_patch(&self.config, &self.lineage()?, base)?;
        let logs = self.folder().join(logs);
        let executor = Arc::new(LocalExecutor::new(slots, logs).isolated(self.isolation()));
        let sandbox = CommandSandbox::new(&self.repository.root, &self.tag, commands, executor)?;
        let sandbox = sandbox.with_branch(&self.branch)?.with_base(base.clone());
        Ok(match constants {
            Some(patch) => sandbox.with_preset(patch, "baseline: constants of the preset"),
            None => sandbox,
        })
    }

    /// Locks a run that was measured before. Fails if another command works on it.
    pub fn lock(&self) -> Result<LockedRun, CommandError> {
        let journal = Journal::open(&self.repository.journal(&self.tag)?)?;
        control::clear(&self.folder());
        let state = State::replay(journal.entries())?;
        if is_imported(&state) {
            return Err(CommandError::Imported(self.tag.clone()));
        }
        let measured = state.header.as_ref().filter(|_| state.incumbent.is_some());
        let header = measured.ok_or_else(|| CommandError::NothingMeasured(self.tag.clone()))?;
        let base = header.base.clone();
        let base = base
            .ok_or_else(|| CommandError::Other(format!("the run {} names no commit that it starts from", self.tag)))?;
        let seed = header.seed;
        Ok(LockedRun { journal, state, base, seed })
    }
}
