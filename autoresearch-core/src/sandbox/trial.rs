//! Trials: executions of a candidate under a seed, a budget and a fidelity.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::outcome::{Outcome, Phase, RunLog};
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;

/// The limits of one trial. The default is five minutes each for the run and for the build before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Wall clock from the start of the run to its end, after which it is killed.
    pub run: Duration,
    /// Wall clock of the build before it, after which that is killed.
    pub build: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::from(Duration::from_secs(300))
    }
}

impl Budget {
    /// The limits of a run on the share `fidelity` of the full budget.
    ///
    /// Half of the run's limit shrinks with it: starting and evaluating take as long however short the training between them
    /// is. A run that builds something itself has as much time for it as the build has.
    ///
    /// ```
    /// # use {autoresearch_core::Budget, std::time::Duration};
    /// let seconds = Duration::from_secs;
    /// let budget = Budget { run: seconds(600), build: seconds(60) };
    /// assert_eq!(budget.at(0.2), Budget { run: seconds(360), build: seconds(60) });
    /// assert_eq!(budget.at(1.0), budget);
    /// ```
    pub fn at(self, fidelity: f64) -> Budget {
        let share = (1.0 + fidelity.clamp(0.0, 1.0)) / 2.0;
        // What is too long for a Duration is as long as the full budget.
        let run = Duration::try_from_secs_f64(self.run.as_secs_f64() * share).unwrap_or(self.run).min(self.run);
        Budget { run: run.max(self.build.min(self.run)), ..self }
    }
}

impl From<Duration> for Budget {
    /// The same limit for the run and for the build.
    fn from(limit: Duration) -> Budget {
        Budget { run: limit, build: limit }
    }
}

/// The purpose of a trial. Each purpose has trial numbers, seeds and logs of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Purpose {
    /// To decide on an experiment.
    #[default]
    Search,
    /// To see whether the gains of kept experiments are real.
    Audit,
    /// To measure the best state again on request.
    Rerun,
    /// To measure on the sealed holdout.
    Holdout,
    /// To see whether the machine is at fault or has shifted: a health check.
    Health,
    /// To measure kept experiments again under another setting.
    Transfer,
}

impl Purpose {
    /// Its name, as in log names and seeds.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Search => "search",
            Purpose::Audit => "audit",
            Purpose::Rerun => "rerun",
            Purpose::Holdout => "holdout",
            Purpose::Health => "health",
            Purpose::Transfer => "transfer",
        }
    }

    /// The seed of the `repeat`-th trial of an experiment for this purpose, in a run with the seed `run`.
    ///
    /// It is a hash of the four with 31 bits, so that every generator of random numbers takes it; two purposes, experiments
    /// or repeats share one only by chance.
    ///
    /// ```
    /// use autoresearch_core::ExperimentId;
    /// use autoresearch_core::internal::Purpose;
    /// let baseline = ExperimentId(0);
    /// assert_eq!(Purpose::Audit.seed(7, baseline, 1), Purpose::Audit.seed(7, baseline, 1));
    /// assert_ne!(Purpose::Audit.seed(7, baseline, 1), Purpose::Rerun.seed(7, baseline, 1));
    /// ```
    pub fn seed(self, run: u64, experiment: ExperimentId, repeat: u64) -> u64 {
        let mut hash = blake3::Hasher::new();
        hash.update(&run.to_le_bytes());
        hash.update(self.name().as_bytes());
        hash.update(&experiment.0.to_le_bytes());
        hash.update(&repeat.to_le_bytes());
        let [a, b, c, d, ..] = *hash.finalize().as_bytes();
        u64::from(u32::from_le_bytes([a, b, c, d]) >> 1)
    }
}

/// One execution of one candidate under a seed, a budget and a fidelity.
///
/// ```
/// use std::time::Duration;
/// use autoresearch_core::{Budget, ExperimentId, Trial};
/// let trial = Trial::new(ExperimentId(3), 1, 42, Budget::from(Duration::from_secs(300)));
/// assert_eq!((trial.fidelity, trial.slot), (1.0, 0));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Trial {
    /// The experiment that it belongs to; of a health check, an audit and the like the one that made the revision.
    pub experiment: ExperimentId,
    /// Its number among the experiment's trials of the same purpose, from 1.
    pub number: u32,
    /// Its purpose.
    pub(crate) purpose: Purpose,
    /// The seed, which a candidate is given and cannot choose.
    pub seed: u64,
    /// The limits of a run on the full budget; a shorter run has those of [`Budget::at`] its fidelity.
    pub budget: Budget,
    /// The share of the full budget (of training, of input, of repetitions) that it is to take: 1 for all of it.
    pub fidelity: f64,
    /// The slot that it is built and executed in, from 0: no two trials at the same time have the same. A sandbox keeps one
    /// directory, or whatever a candidate needs, for each.
    pub slot: u32,
    /// The worker whose devices it may use, from 0. `None` while it is built ahead: it has no devices yet.
    pub worker: Option<u32>,
    /// Receives the trial's reports.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// Time beyond its limit that a run which ended by itself may have taken: clocks are read a little late.
const OVERRUN: Duration = Duration::from_millis(100);

impl Trial {
    /// Makes a trial for the search on the full budget, without a listener, in slot 0 and on worker 0.
    pub fn new(experiment: ExperimentId, number: u32, seed: u64, budget: Budget) -> Trial {
        Trial {
            experiment,
            number,
            purpose: Purpose::Search,
            seed,
            budget,
            fidelity: 1.0,
            slot: 0,
            worker: Some(0),
            progress: Arc::new(|_| {}),
        }
    }

    /// Its name, which no other trial of its run has: `0007` for the first trial of experiment 7, `0007-2` for the second,
    /// `0007-audit-1` for the first of an audit.
    pub fn name(&self) -> String {
        match (self.purpose, self.number) {
            (Purpose::Search, 1) => format!("{:04}", self.experiment),
            (Purpose::Search, number) => format!("{:04}-{number}", self.experiment),
            (purpose, number) => format!("{:04}-{}-{number}", self.experiment, purpose.name()),
        }
    }

    /// The limit of its run: that of the budget at its fidelity.
    pub fn limit(&self) -> Duration {
        self.budget.at(self.fidelity).run
    }

    /// Awaits `run` under the limit of the trial: a run that takes longer is [`Outcome::TimedOut`], also if it completes all
    /// the same, and one that is cancelled meanwhile ends with [`SandboxError::Cancelled`].
    ///
    /// A future is dropped at the limit, so it should end what it has started when it is dropped. One that blocks its thread
    /// cannot be ended before it returns.
    ///
    /// ```
    /// use std::time::Duration;
    /// use autoresearch_core::{Cancel, ExperimentId, Outcome, RunLog, Trial};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let trial = Trial::new(ExperimentId(1), 1, 0, Duration::from_millis(20).into());
    /// let run = async {
    ///     tokio::time::sleep(Duration::from_secs(4)).await;
    ///     Ok(Outcome::Completed(RunLog::saying("score: 1")))
    /// };
    /// let outcome = trial.within(run, &Cancel::new()).await.unwrap();
    /// assert!(matches!(outcome, Outcome::TimedOut { .. }));
    /// # });
    /// ```
    pub async fn within(
        &self,
        run: impl Future<Output = Result<Outcome, SandboxError>>,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        self.within_time(self.limit(), run, cancel).await
    }

    /// The same with a limit of its own for how long it is awaited.
    pub(crate) async fn within_time(
        &self,
        time: Duration,
        run: impl Future<Output = Result<Outcome, SandboxError>>,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        let started = tokio::time::Instant::now();
        let ended = tokio::select! {
            biased;
            ended = run => Some(ended?),
            () = cancel.cancelled() => return Err(SandboxError::Cancelled),
            // A timer cannot be set further away than this.
            () = tokio::time::sleep(time.min(Duration::from_secs(86_400 * 365))) => None,
        };
        let elapsed = started.elapsed();
        Ok(match ended {
            Some(Outcome::Completed(log)) if elapsed > time.saturating_add(OVERRUN) => {
                Outcome::TimedOut { log: RunLog { elapsed: elapsed.max(log.elapsed), ..log } }
            }
            Some(outcome) => outcome,
            None => Outcome::TimedOut { log: RunLog { elapsed, ..RunLog::default() } },
        })
    }

    /// The outcome, unless it says that the run completed beyond its limit: an overrun counts more than a good exit.
    pub(crate) fn overrun(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Completed(log) if log.elapsed > self.limit().saturating_add(OVERRUN) => Outcome::TimedOut { log },
            outcome => outcome,
        }
    }
}

/// The same trial for another purpose: those that the command makes beside a search.
pub fn for_purpose(trial: Trial, purpose: Purpose) -> Trial {
    Trial { purpose, ..trial }
}

/// The purpose of a trial.
pub fn purpose(trial: &Trial) -> Purpose {
    trial.purpose
}

/// Report of a running trial.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A phase begins.
    Phase(Phase),
    /// The newest line of the run's output.
    Line(String),
}
