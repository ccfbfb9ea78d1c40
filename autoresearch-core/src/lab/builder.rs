//! The builder of a lab.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;

use super::disclosure::Disclosed;
use super::excursion::ExcursionRule;
use super::screening::Screening;
use super::settings::{Settings, Workers};
use super::{Change, Lab, LabError};
use crate::cancel::Cancel;
use crate::journal::Journal;
use crate::metric::{Direction, Metric};
use crate::observer::Observer;
use crate::program::Program;
use crate::proposer::Proposer;
use crate::ratchet::{NoiseAware, Ratchet};
use crate::sandbox::{Budget, Revision, Sandbox};
use crate::state::State;
use crate::stop::Stop;

/// Storage of a lab's journal.
enum Log {
    Memory,
    File(PathBuf),
    Open(Journal),
}

/// Sets up a [`Lab`]: made by [`Lab::builder`], finished by [`LabBuilder::build`]. Everything has a default.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use autoresearch_core::testkit::{Script, SimulatedMachine, Step};
/// use autoresearch_core::{Direction, Lab, LogMetric, Stop};
///
/// let folder = tempfile::tempdir()?;
/// let metric = Arc::new(LogMetric::new("score", Direction::Maximise));
/// let lab = Lab::builder(SimulatedMachine::new(Step::score(1.0)).sandbox(), Box::new(Script::new([Step::score(2.0)])), metric)
///     .journal(folder.path().join("journal.jsonl"))
///     .tag("may1")
///     .budget(Duration::from_secs(60))
///     .stop(Stop::after(10))
///     .build()?;
/// assert!(lab.state().experiments.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lab exists only after `build`"]
pub struct LabBuilder<C> {
    sandbox: Arc<dyn Sandbox<C>>,
    proposer: Box<dyn Proposer<C>>,
    metric: Arc<dyn Metric>,
    ratchet: Arc<dyn Ratchet>,
    program: Option<Program>,
    log: Log,
    settings: Settings,
    observers: Vec<Arc<dyn Observer>>,
}

impl<C: Change> Lab<C> {
    /// Sets up a lab over these parts; see [`LabBuilder`] for the rest and its defaults.
    pub fn builder(
        sandbox: Arc<dyn Sandbox<C>>,
        proposer: Box<dyn Proposer<C>>,
        metric: Arc<dyn Metric>,
    ) -> LabBuilder<C> {
        LabBuilder::new(sandbox, proposer, metric)
    }
}

impl<C: Change> LabBuilder<C> {
    pub(super) fn new(
        sandbox: Arc<dyn Sandbox<C>>,
        proposer: Box<dyn Proposer<C>>,
        metric: Arc<dyn Metric>,
    ) -> LabBuilder<C> {
        LabBuilder {
            sandbox,
            proposer,
            metric,
            ratchet: Arc::new(NoiseAware::default()),
            program: None,
            log: Log::Memory,
            settings: Settings::new("run", Budget::default()),
            observers: Vec::new(),
        }
    }

    /// Sets the rule of acceptance. Default: [`NoiseAware`], which measures the baseline several times and keeps only what is
    /// better than the noise; [`crate::Strict`] suits a score without noise.
    pub fn ratchet(mut self, ratchet: Arc<dyn Ratchet>) -> LabBuilder<C> {
        self.ratchet = ratchet;
        self
    }

    /// Sets the research programme, for proposers that read it. Default: one line with the metric's name and direction.
    pub fn program(mut self, program: Program) -> LabBuilder<C> {
        self.program = Some(program);
        self
    }

    /// Keeps the journal in this file, which is made if it is missing. A run that it holds already is resumed. Default: in
    /// memory, so that the run ends with the process.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> LabBuilder<C> {
        self.log = Log::File(path.into());
        self
    }

    /// Uses an open journal, for instance over a medium of one's own. A run that it holds already is resumed.
    #[doc(hidden)]
    pub fn open_journal(mut self, journal: Journal) -> LabBuilder<C> {
        self.log = Log::Open(journal);
        self
    }

    /// Sets the run's name. Default: `run`.
    pub fn tag(mut self, tag: impl Into<String>) -> LabBuilder<C> {
        self.settings.tag = tag.into();
        self
    }

    /// Sets the limits of each trial. Default: five minutes each for the trial and its build.
    pub fn budget(mut self, budget: impl Into<Budget>) -> LabBuilder<C> {
        self.settings.budget = budget.into();
        self
    }

    /// Sets the run's seed, from which those of all trials follow. Default: 0.
    pub fn seed(mut self, seed: u64) -> LabBuilder<C> {
        self.settings.seed = seed;
        self
    }

    /// The revision that the search starts from, if that has a name before it is staged. None by default.
    pub fn base(mut self, base: Revision) -> LabBuilder<C> {
        self.settings.base = Some(base);
        self
    }

    /// Adds a setting that decides the number beside the parts of the lab, such as the version of a compiler: a run is never
    /// continued under another value. One that cannot be written as JSON counts as null. None by default.
    pub fn policy(mut self, setting: impl Into<String>, value: impl Serialize) -> LabBuilder<C> {
        self.settings.policy = self.settings.policy.with(setting, value);
        self
    }

    /// The file in which the run's table stands, karpathy's `results.tsv`. None is written by default.
    pub fn results(mut self, path: impl Into<PathBuf>) -> LabBuilder<C> {
        self.settings.results = Some(path.into());
        self
    }

    /// The number of rejected proposals in a row after which the run ends: 20 by default.
    pub fn rejection_limit(mut self, limit: u32) -> LabBuilder<C> {
        self.settings.rejection_limit = limit;
        self
    }

    /// The number of measurements of one experiment, of both sides, after which it is discarded if the rule still asks for more:
    /// 64 by default.
    pub fn measurement_limit(mut self, limit: usize) -> LabBuilder<C> {
        self.settings.measurement_limit = limit;
        self
    }

    /// The number of experiments after which the incumbent is measured again, to see whether the machine still gives the same
    /// code the same score; 0 for never. By default 10 under a rule that knows the noise
    /// ([`Ratchet::fresh_seeds`](crate::Ratchet::fresh_seeds)), and never under others.
    pub fn remeasure_every(mut self, experiments: u32) -> LabBuilder<C> {
        self.settings.remeasure_every = Some(experiments);
        self
    }

    /// Sets the conditions under which the run ends. Default: only when the proposer has nothing left.
    pub fn stop(mut self, stop: Stop) -> LabBuilder<C> {
        self.settings.stop = stop;
        self
    }

    /// Sets the workers. Default: one, without proposals or builds ahead.
    pub fn workers(mut self, workers: Workers) -> LabBuilder<C> {
        self.settings.workers = workers;
        self
    }

    /// Tries candidates on shares of the budget first. Default: never.
    pub fn screening(mut self, screening: Screening) -> LabBuilder<C> {
        self.settings.screening = Some(screening);
        self
    }

    /// Allows excursions from the incumbent. Default: none.
    pub fn excursions(mut self, rule: ExcursionRule) -> LabBuilder<C> {
        self.settings.excursion = Some(rule);
        self
    }

    /// Adds a listener.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> LabBuilder<C> {
        self.observers.push(observer);
        self
    }

    /// Replaces all settings at once, those of the methods before included.
    #[doc(hidden)]
    pub fn settings(mut self, settings: Settings) -> LabBuilder<C> {
        self.settings = settings;
        self
    }

    /// Opens the journal and checks the settings.
    ///
    /// # Errors
    /// [`LabError::Journal`] if the journal is in use, damaged or of another format, [`LabError::Settings`] if the settings
    /// contradict each other.
    pub fn build(self) -> Result<Lab<C>, LabError> {
        let LabBuilder { sandbox, proposer, metric, ratchet, program, log, settings, observers } = self;
        settings.check().map_err(LabError::Settings)?;
        let mut journal = match log {
            Log::Memory => Journal::in_memory(),
            Log::File(path) => Journal::open(&path)?,
            Log::Open(journal) => journal,
        };
        let mut state = State::default();
        journal.take_entries().into_iter().try_for_each(|entry| state.apply_owned(entry))?;
        Ok(Lab {
            program: Arc::new(program.unwrap_or_else(|| default_program(&*metric))),
            proposer: Arc::new(Mutex::new(proposer)),
            disclosed: Disclosed::under(ratchet.discloses()),
            sandbox,
            metric,
            ratchet,
            settings,
            journal,
            state: Arc::new(state),
            observed: 0,
            observers: Arc::new(observers),
            finish: Cancel::new(),
        })
    }
}

fn default_program(metric: &dyn Metric) -> Program {
    let verb = if metric.direction() == Direction::Minimise { "Lower" } else { "Raise" };
    let title = format!("{verb} {}", metric.name());
    Program { text: format!("# {title}\n"), title, knobs: Default::default() }
}
