//! `autoresearch run`: puts the parts of a night together, and `rerun`, which measures its best state again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autoresearch_agents::{ConstantError, constants};
use autoresearch_core::git::{GitError, Lineage, root_of};
use autoresearch_core::import::is_imported;
use autoresearch_core::journal::Entry;
use autoresearch_core::process::Cpus;
use autoresearch_core::slot::Slot;
use autoresearch_core::workspace::Commands;
use autoresearch_core::{
    Cancel, CommandSandbox, FileEdit, Journal, JournalError, Lab, LabError, Observer, Outcome, Patch, Program,
    ProgramError, ProposerError, Revision, Sandbox, SandboxError, Settings, State, StopReason, Trial, Workers,
};
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::places::Places;
use crate::proposer;
use crate::workers::Plan;

/// The name of the folder in the repository that holds the runs.
const FOLDER: &str = ".autoresearch";

/// Why a command failed. Each message says what to do next.
#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("[constants]: {0}")]
    Constants(#[from] ConstantError),
    #[error(
        "the repository has uncommitted changes, and a run starts from the last commit:\n{files}\ncommit or stash them, or give --allow-dirty to run without them"
    )]
    Dirty { files: String },
    #[error(
        "the branch autoresearch/{0} exists already, but this repository has no journal of that run; give another --tag, or delete the branch: git branch -D autoresearch/{0}"
    )]
    BranchExists(String),
    #[error("the run {0} is complete; give a larger --experiments to go on with it, or another --tag")]
    Complete(String),
    #[error("there is no run {0}; the runs of this repository are: {1}")]
    NoRun(String, String),
    #[error(
        "the run {0} was imported, it can only be reported: autoresearch report --tag {0}; give another --tag for a run of your own"
    )]
    Imported(String),
    #[error(
        "there is a run {0} already, and an import does not replace it; give another --tag, or remove the folder {folder}",
        folder = .1.display()
    )]
    RunExists(String, PathBuf),
    #[error("the proposer: {0}")]
    Proposer(#[from] ProposerError),
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    #[error("{0}")]
    Other(String),
}

/// The repository with its runs.
pub struct Home {
    pub root: PathBuf,
}

impl Home {
    /// The repository around the current folder.
    pub fn find() -> Result<Home, RunError> {
        let here = std::env::current_dir().map_err(|e| RunError::Other(format!("the current folder is gone: {e}")))?;
        Ok(Home { root: root_of(&here)? })
    }

    /// The folder of one run.
    pub fn run(&self, tag: &str) -> PathBuf {
        self.root.join(FOLDER).join(tag)
    }

    /// The journal of a run that there is.
    pub fn journal(&self, tag: &str) -> Result<PathBuf, RunError> {
        let path = self.run(tag).join("journal.jsonl");
        match path.is_file() {
            true => Ok(path),
            false => Err(RunError::NoRun(tag.into(), self.tags().join(", "))),
        }
    }

    /// The records of a run.
    pub fn entries(&self, tag: &str) -> Result<Vec<Entry>, RunError> {
        Ok(Journal::read(&self.journal(tag)?)?)
    }

    /// What the journal of a run says.
    pub fn state(&self, tag: &str) -> Result<State, RunError> {
        Ok(State::replay(&self.entries(tag)?)?)
    }

    /// The runs, the one written last at the end.
    pub fn tags(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.root.join(FOLDER)).into_iter().flatten().flatten();
        let written = folders.filter_map(|entry| {
            let modified = entry.path().join("journal.jsonl").metadata().and_then(|m| m.modified()).ok()?;
            Some((modified, entry.file_name().to_str()?.to_owned()))
        });
        let mut tags: Vec<_> = written.collect();
        tags.sort();
        tags.into_iter().map(|(_, tag)| tag).collect()
    }

    /// The run that a report is about when none is named.
    pub fn latest(&self) -> Result<String, RunError> {
        self.tags().pop().ok_or_else(|| RunError::NoRun("here yet".into(), "none".into()))
    }

    /// The run that the same command goes on with: the latest unfinished one, else a new one named after today.
    pub fn tag_for(&self, wanted: Option<usize>) -> Result<String, RunError> {
        for tag in self.tags().into_iter().rev() {
            let state = self.state(&tag)?;
            // An import in between does not hide the run that it came after.
            if is_imported(&state) {
                continue;
            }
            let unfinished = wanted.is_none_or(|count| state.finished() < count);
            // A run whose baseline never worked is not worth going on with: the next one starts from today's commit.
            if unfinished && state.incumbent.is_some() {
                return Ok(tag);
            }
            break;
        }
        let today = jiff::Zoned::now().strftime("%b%-d").to_string().to_lowercase();
        let free =
            |tag: &String| Lineage::open(&self.root, tag).and_then(|git| git.tip()).is_ok_and(|tip| tip.is_none());
        let names = std::iter::once(today.clone()).chain((2..).map(|n| format!("{today}-{n}")));
        names
            .filter(|tag| !self.run(tag).exists())
            .find(free)
            .ok_or_else(|| RunError::Other("no free name for a run".into()))
    }
}

/// What `run` is asked for.
pub struct Request {
    pub config: Config,
    pub tag: Option<String>,
    pub seed: u64,
    pub allow_dirty: bool,
}

/// A run that is ready to go.
pub struct Night {
    pub tag: String,
    pub folder: PathBuf,
    pub program: Program,
    pub workers: Workers,
    lab: Lab<Patch>,
}

impl Night {
    /// Checks everything that can be checked before the first minute is spent.
    pub fn prepare(home: &Home, request: Request) -> Result<Night, RunError> {
        let Request { config, tag, seed, allow_dirty } = request;
        let program = program(home, &config)?;
        let places = Places::find(home.root.clone(), &config.preset)?;
        let policy = config.policy(&places)?;
        let workers = config.plan()?.workers;
        let tag = match tag {
            Some(tag) => tag,
            None => home.tag_for(config.stop.experiments)?,
        };
        let lineage = Lineage::open(&home.root, &tag)?;
        let folder = home.run(&tag);
        // A run that failed before its first record has not begun.
        if folder.join("journal.jsonl").metadata().map_or(0, |m| m.len()) == 0 {
            check_new(&lineage, &tag, allow_dirty)?;
        }
        make_folder(&folder)?;
        let (journal, entries) = Journal::open(&folder.join("journal.jsonl"))?;
        let state = State::replay(&entries)?;
        if is_imported(&state) {
            return Err(RunError::Imported(tag));
        }
        if state.open.iter().all(|open| open.attempts == 0)
            && config.stop.experiments.is_some_and(|count| state.incumbent.is_some() && state.finished() >= count)
        {
            return Err(RunError::Complete(tag));
        }
        // A run that is continued starts from the commit that it began with, wherever the user is today.
        let base = match state.header.and_then(|header| header.base) {
            Some(base) => base,
            None => lineage.head()?,
        };

        let metric = config.metric.metric();
        let proposer = proposer::proposer(&config, &places, &home.root, &tag, seed)?;
        let sandbox = Arc::new(sandbox(
            &config,
            &places,
            commands(&config, &places)?,
            lineage,
            &base,
            &tag,
            folder.join("logs"),
        )?);
        let mut settings = Settings::new(tag.clone(), config.budget());
        settings.base = Some(base);
        settings.policy = policy;
        settings.seed = seed;
        settings.stop = config.stop();
        settings.results = Some(folder.join("results.tsv"));
        settings.remeasure_every = config.ratchet.remeasure_every();
        settings.screening = config.screening.as_ref().map(|screening| screening.screening());
        settings.workers = workers.clone();
        settings.excursion = config.excursion.as_ref().map(|excursion| excursion.excursion());
        let ratchet = Arc::new(config.ratchet.ratchet(config.metric.is_time()).map_err(RunError::Other)?);
        let lab = Lab::new(program.clone(), proposer, sandbox, metric, ratchet, settings, (journal, entries))?;
        Ok(Night { tag, folder, program, workers, lab })
    }

    /// Runs it to its end, or until it is cancelled.
    pub async fn run(mut self, observer: Arc<dyn Observer>, cancel: &Cancel) -> Result<(StopReason, State), RunError> {
        self.lab = self.lab.observed_by(observer);
        let reason = self.lab.run(cancel).await?;
        Ok((reason, self.lab.state().clone()))
    }
}

/// The human's programme, with the ranges of the configuration.
pub fn program(home: &Home, config: &Config) -> Result<Program, RunError> {
    let mut program = Program::read(&home.root.join(&config.program))?;
    for (name, range) in &config.knobs {
        program.knobs.entry(name.clone()).or_insert_with(|| range.clone());
    }
    Ok(program)
}

/// What is measured again.
#[derive(Debug, Clone, Copy)]
pub struct Rerun {
    /// How often.
    pub times: u32,
    /// The baseline too, in turns with the best: what the machine does to both shows in both.
    pub baseline: bool,
    /// With seeds of their own instead of the run's.
    pub fresh_seeds: bool,
}

/// Measures the best state of a run again; `on_score` is told which state, and its score.
pub async fn rerun(
    home: &Home,
    config: &Config,
    tag: &str,
    wanted: Rerun,
    cancel: &Cancel,
    on_score: impl Fn(&str, f64),
) -> Result<(), RunError> {
    let state = home.state(tag)?;
    if is_imported(&state) {
        return Err(RunError::Imported(tag.into()));
    }
    let (Some(header), Some(incumbent)) = (state.header, state.incumbent) else {
        return Err(RunError::Other(format!("the run {tag} has no measured state yet")));
    };
    let base =
        header.base.ok_or_else(|| RunError::Other(format!("the run {tag} names no commit that it starts from")))?;
    let places = Places::find(home.root.clone(), &config.preset)?;
    let (lineage, commands) = (Lineage::open(&home.root, tag)?, commands(config, &places)?);
    let sandbox = sandbox(config, &places, commands, lineage, &base, tag, home.run(tag).join("logs"))?;
    let metric = config.metric.metric();
    let baseline = state.experiments.first().filter(|_| wanted.baseline);
    let baseline = baseline.map(|experiment| ("baseline ", experiment.id, &experiment.candidate));
    let best = ("", incumbent.experiment, &incumbent.candidate);
    // Beyond the attempts of the run itself.
    for attempt in (1000u32..).take(wanted.times as usize) {
        for (which, experiment, candidate) in baseline.into_iter().chain([best]) {
            let seed = if wanted.fresh_seeds { header.seed.wrapping_add(u64::from(attempt)) } else { header.seed };
            let trial = Trial::new(experiment, attempt, seed, config.budget());
            let outcome = sandbox.run(candidate, &trial, cancel).await?;
            let measurement = metric.read(&outcome).map_err(|error| match outcome {
                Outcome::Completed(_) => RunError::Other(error.to_string()),
                other => RunError::Other(other.describe()),
            })?;
            on_score(which, measurement.score.get());
        }
    }
    Ok(())
}

/// How candidates are built and run.
pub fn commands(config: &Config, places: &Places) -> Result<Commands, RunError> {
    let cpus = Cpus::new(config.run.cpus.iter().copied());
    let cpus = cpus.and_then(|cpus| cpus.check().map(|()| cpus));
    let Plan { devices, build_cpus, .. } = config.plan()?;
    Ok(Commands {
        editable: config.editable.clone(),
        build: places.fill_all(&config.build.command),
        keeps: places.fill_all(&config.build.keeps).into_iter().map(PathBuf::from).collect(),
        run: places.fill_all(&config.run.command),
        environment: places.environment(&config.environment),
        limits: config.limits(),
        cpus: cpus.map_err(|why| RunError::Other(format!("[run] cpus: {why}")))?,
        build_cpus,
        devices,
        repeats: config.run.repeats,
        ..Commands::default()
    })
}

/// The sandbox of a run, which writes what its commands say into `logs`.
pub fn sandbox(
    config: &Config,
    places: &Places,
    commands: Commands,
    lineage: Lineage,
    base: &Revision,
    tag: &str,
    logs: PathBuf,
) -> Result<CommandSandbox, RunError> {
    let folder = places.slots(tag);
    // Those of an earlier call with more workers, too: what it left running there must end.
    let slots = (0..).map(|number: usize| (number, folder.join(number.to_string())));
    let needed = config.plan()?.workers.slots();
    let slots =
        slots.take_while(|(number, place)| *number < needed || place.exists()).map(|(_, place)| Slot::new(place));
    let preset = preset(config, &lineage, base)?;
    let sandbox = CommandSandbox::new(lineage, base.clone(), commands, slots.collect(), logs);
    Ok(match preset {
        Some(patch) => sandbox.with_preset(patch, "baseline: constants of the preset"),
        None => sandbox,
    })
}

/// The editable files of a revision.
pub fn editable_files(
    config: &Config,
    lineage: &Lineage,
    revision: &Revision,
) -> Result<BTreeMap<String, String>, RunError> {
    let mut files = BTreeMap::new();
    for (path, file) in lineage.tree(revision)?.iter() {
        // A binary file cannot be edited as text.
        if config.editable.allows(path)
            && let Ok(text) = String::from_utf8(lineage.blob(file.blob)?)
        {
            files.insert(path.clone(), text);
        }
    }
    Ok(files)
}

/// The patch that sets the configuration's constants, unless they stand like that already.
pub fn preset(config: &Config, lineage: &Lineage, base: &Revision) -> Result<Option<Patch>, RunError> {
    let mut files = editable_files(config, lineage, base)?;
    let before = files.clone();
    for (name, value) in &config.constants {
        let holds = |text: &&mut String| constants::Constant::all(text).any(|constant| constant.name == name);
        match files.values_mut().find(holds) {
            Some(text) => *text = constants::set(text, name, value)?,
            None => {
                let all: Vec<&str> =
                    files.values().flat_map(|text| constants::Constant::all(text)).map(|c| c.name).collect();
                return Err(ConstantError::Unknown { name: name.clone(), known: all.join(", ") }.into());
            }
        }
    }
    let changed = files.into_iter().filter(|(path, text)| before.get(path) != Some(text));
    let edits: Vec<FileEdit> = changed.map(|(path, text)| FileEdit::Write { path, text }).collect();
    Ok((!edits.is_empty()).then_some(Patch { edits }))
}

/// A run that begins must not build on what the user did not commit, nor take over somebody's branch.
fn check_new(lineage: &Lineage, tag: &str, allow_dirty: bool) -> Result<(), RunError> {
    if lineage.tip()?.is_some() {
        return Err(RunError::BranchExists(tag.into()));
    }
    let changed = lineage.uncommitted()?;
    if !changed.is_empty() && !allow_dirty {
        let shown = changed.iter().take(10).map(|path| format!("  {path}")).collect::<Vec<_>>().join("\n");
        return Err(RunError::Dirty { files: shown });
    }
    lineage.head().map(drop).map_err(RunError::from)
}

/// Makes the run's folder, invisible to git without touching any file of the user's.
pub fn make_folder(folder: &Path) -> Result<(), RunError> {
    let failed = |e| SandboxError::io(format!("making {}", folder.display()), e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let ignore = folder.with_file_name(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n").map_err(failed)?;
    }
    Ok(())
}
