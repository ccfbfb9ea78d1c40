//! The promises of the traits' contracts, as checks of any implementation. Each panics with the promise that is broken.
//!
//! | check | promises |
//! |---|---|
//! | [`sandbox`] | recovery of nothing is no error; the baseline and equal changes give equal fingerprints, other changes others; a change that cannot be applied is rejected; crashes and timeouts are outcomes, not errors; limits and cancellation are kept; a rebase can be repeated; the incumbent moves only from where it is, and a repeated move succeeds |
//! | [`metric`] | the name can head a column; the same outcome gives the same measurement; only a completed trial has a score, and one that printed nothing has none; secondary values and items are finite |
//! | [`ratchet`] | the properties of [`crate::testkit::ratchet`] |
//! | [`proposer`] | a proposal has a description of one line; its change survives the journal; its cost is a finite number; a deterministic proposer proposes the same after every interruption |

#[cfg(feature = "command")]
mod executor;

#[cfg(feature = "command")]
pub use executor::{ExecutorCase, executor};

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ratchet::RatchetCheck;
use super::search::{Search, search};
use super::{SimulatedMachine, Step};
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::lab::Settings;
use crate::metric::Metric;
use crate::proposer::Proposer;
use crate::ratchet::{Ratchet, Strict};
use crate::sandbox::{Budget, Outcome, Rebase, Rebased, RunLog, Sandbox, SandboxError, StageError, Trial};
use crate::stop::Stop;

/// The changes that a sandbox is checked with.
pub struct SandboxCases<C> {
    /// A change that can be applied to the baseline, and completes.
    pub good: C,
    /// Another one, which leads to another state.
    pub other: C,
    /// A change that cannot be applied.
    pub bad: Option<C>,
    /// A change that can be applied, and runs for longer than a second.
    pub endless: Option<C>,
    /// A change that can be applied, and crashes.
    pub crashing: Option<C>,
}

/// Checks a sandbox. `make` gives one that starts from nothing at each call.
///
/// # Panics
/// If the sandbox breaks a promise of its contract, with that promise.
pub async fn sandbox<C: Sync>(make: impl Fn() -> Arc<dyn Sandbox<C>>, cases: SandboxCases<C>) {
    let budget = Budget { run: Duration::from_secs(60), build: Duration::from_secs(60) };
    let (sandbox, never) = (make(), Cancel::new());
    sandbox.recover().await.expect("there is nothing to recover, and that is no error");
    let baseline = sandbox.baseline().await.expect("the baseline can be staged");
    let again = sandbox.baseline().await.expect("the baseline can be staged again");
    assert_eq!(again.fingerprint, baseline.fingerprint, "the baseline is the same whenever it is staged");
    let trial = |attempt| Trial::new(ExperimentId(0), attempt, 1, budget);
    let outcome = sandbox.run(&baseline, &trial(1), &never).await.expect("running the baseline is no failure of ours");
    assert!(matches!(outcome, Outcome::Completed(_)), "the baseline completes: {}", outcome.describe());

    let sealed = sandbox.commit(&baseline, None, "baseline").await.expect("a candidate can be committed");
    sandbox.adopt(None, &sealed).await.expect("the baseline becomes the first incumbent");
    sandbox.adopt(None, &sealed).await.expect("an adoption that has happened succeeds again");

    let good = sandbox.stage(ExperimentId(1), &sealed, &cases.good, "good").await.expect("a good change can be staged");
    let other =
        sandbox.stage(ExperimentId(2), &sealed, &cases.other, "other").await.expect("another change can be staged");
    assert_ne!(good.fingerprint, baseline.fingerprint, "a change leads to another state");
    assert_ne!(good.fingerprint, other.fingerprint, "another change leads to another state");
    let twin =
        sandbox.stage(ExperimentId(3), &sealed, &cases.good, "good").await.expect("a change can be staged again");
    assert_eq!(twin.fingerprint, good.fingerprint, "the same change leads to the same state");
    if let Some(bad) = &cases.bad {
        let refused = sandbox.stage(ExperimentId(3), &sealed, bad, "bad").await;
        assert!(matches!(refused, Err(StageError::Rejected(_))), "a change that cannot be applied is refused");
    }
    for attempt in 1..=2 {
        let outcome = sandbox.run(&good, &trial(attempt), &never).await.expect("a run is no failure of ours");
        assert!(matches!(outcome, Outcome::Completed(_)), "it completes each time: {}", outcome.describe());
    }
    let ahead = Trial { worker: None, ..trial(3) };
    let built = sandbox.build(&good, &ahead, &never).await.expect("a build ahead is no failure of ours");
    assert!(built.is_none(), "what completes can be built ahead");
    let outcome = sandbox.run(&good, &trial(3), &never).await.expect("a run is no failure of ours");
    assert!(matches!(outcome, Outcome::Completed(_)), "what was built ahead runs: {}", outcome.describe());
    let rebase = || Rebase {
        experiment: ExperimentId(2),
        times: 1,
        candidate: &other,
        from: &sealed,
        onto: &good.revision,
        change: &cases.other,
        description: "other",
    };
    let moved =
        sandbox.rebase(rebase()).await.expect("moving a change is no failure of ours, even if it cannot be moved");
    if let Rebased::Candidate(moved) = moved {
        let again = sandbox.rebase(rebase()).await.expect("it can be moved again, as after a crash");
        assert!(
            matches!(again, Rebased::Candidate(again) if again.fingerprint == moved.fingerprint),
            "the same move leads to the same state"
        );
        sandbox.run(&moved, &trial(1), &never).await.expect("a run of what was moved is no failure of ours");
        sandbox
            .commit(&moved, Some(&sealed), "both")
            .await
            .expect("a rebased candidate can be committed on another state");
    }
    if let Some(crashing) = &cases.crashing {
        let candidate = sandbox.stage(ExperimentId(4), &sealed, crashing, "crashing").await.expect("it can be staged");
        let outcome = sandbox.run(&candidate, &trial(1), &never).await.expect("a crash is no failure of ours");
        assert!(!matches!(outcome, Outcome::Completed(_)), "a crash is no completion");
    }
    if let Some(endless) = &cases.endless {
        let candidate = sandbox.stage(ExperimentId(5), &sealed, endless, "endless").await.expect("it can be staged");
        let short = Trial::new(ExperimentId(5), 1, 1, Budget { run: Duration::from_millis(300), ..budget });
        let began = Instant::now();
        let outcome = sandbox.run(&candidate, &short, &never).await.expect("a timeout is no failure of ours");
        assert!(matches!(outcome, Outcome::TimedOut { .. }), "it ends at its limit: {}", outcome.describe());
        assert!(began.elapsed() < Duration::from_secs(30), "a limit is a limit");
        let cancel = Cancel::new();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        };
        let long = Trial::new(ExperimentId(5), 2, 1, budget);
        let (outcome, ()) = tokio::join!(sandbox.run(&candidate, &long, &cancel), stop);
        assert!(matches!(outcome, Err(SandboxError::Cancelled)), "a cancelled run says so");
    }

    let kept = sandbox.commit(&good, Some(&sealed), "good").await.expect("a candidate can be committed");
    sandbox.adopt(Some(&sealed), &kept).await.expect("the incumbent moves from where it is");
    sandbox.adopt(Some(&sealed), &kept).await.expect("an adoption that has happened succeeds again");
    let elsewhere = sandbox.commit(&other, Some(&sealed), "other").await.expect("a candidate can be committed");
    let wrong = sandbox.adopt(Some(&sealed), &elsewhere).await;
    assert!(wrong.is_err(), "the incumbent does not move from where it is not");
    sandbox.adopt(Some(&kept), &kept).await.expect("a refused adoption moves nothing");
}

/// Checks a metric. `completed` is the log of a trial that the metric can read.
pub fn metric(metric: &dyn Metric, completed: RunLog) {
    let name = metric.name();
    assert!(!name.is_empty() && !name.contains(['\t', '\n']), "the name can head a column");
    let outcome = Outcome::Completed(completed.clone());
    let read = metric.read(&outcome).expect("a completed run can be read");
    let finite = read.secondary.values().chain(&read.items).all(|value| value.is_finite());
    assert!(finite, "secondary values and items are finite, or the journal could not hold them: {read:?}");
    assert_eq!(metric.read(&outcome), Ok(read), "the same outcome gives the same measurement");
    for outcome in [
        Outcome::Crashed { message: "crashed".into(), log: completed.clone() },
        Outcome::TimedOut { log: completed.clone() },
        Outcome::OutOfMemory { log: completed },
    ] {
        assert!(metric.read(&outcome).is_err(), "what did not complete has no score: {}", outcome.describe());
    }
    assert!(metric.read(&Outcome::Completed(RunLog::default())).is_err(), "a run that says nothing has no score");
}

/// Checks a ratchet on random evidence with scores between `low` and `high`: all properties of
/// [`testkit::ratchet`](crate::testkit::ratchet) that every rule must have, but for the demand to keep what is better.
/// [`RatchetCheck`] checks more, where a rule claims more.
pub fn ratchet<R: Ratchet>(make: impl Fn() -> R, (low, high): (f64, f64)) {
    if let Err(broken) = RatchetCheck::new(make).scores(low, high).may_keep_nothing().run() {
        panic!("{broken}");
    }
}

/// Checks a proposer by letting it search: `experiments` in one go, and again with an interruption after each one and a new
/// proposer over what the journal says. A proposer that is `deterministic` must propose the same both times.
pub async fn proposer<C: Serialize + DeserializeOwned + Send + Sync + 'static>(
    make: impl Fn() -> Box<dyn Proposer<C>>,
    sandbox: impl Fn() -> Arc<dyn Sandbox<C>>,
    metric: Arc<dyn Metric>,
    experiments: usize,
    deterministic: bool,
) {
    let one = |sandbox: Arc<dyn Sandbox<C>>, disk, count| {
        let mut settings = Settings::new("conformance", Duration::from_secs(60));
        settings.stop = Stop::after(count);
        search(Search {
            goal: "Find a better one.",
            proposer: make(),
            sandbox,
            metric: metric.clone(),
            ratchet: Arc::new(Strict),
            settings,
            journal: Some(disk),
        })
    };
    // Of these machines only the disks are used.
    let disks = [SimulatedMachine::new(Step::score(0.0)), SimulatedMachine::new(Step::score(0.0))];
    let whole = one(sandbox(), &disks[0], experiments).await.expect("the search runs");
    let (parts, mut changes) = (sandbox(), Vec::new());
    for count in 0..=experiments {
        let part = one(parts.clone(), &disks[1], count).await.expect("the search is resumed");
        changes = part.experiments.iter().map(|experiment| experiment.change.clone()).collect();
    }
    for experiment in &whole.experiments {
        assert!(!experiment.description.trim().is_empty(), "a proposal says what it is");
        assert!(!experiment.description.contains('\n'), "a description is one line: {:?}", experiment.description);
        let json = &experiment.change;
        assert!(experiment.id.is_baseline() || C::deserialize(json).is_ok(), "a change can be read back: {json}");
    }
    let cost = whole.cost;
    assert!(cost.dollars.is_finite() && cost.dollars >= 0.0, "a cost is a finite number of dollars: {cost:?}");
    if deterministic {
        let once: Vec<_> = whole.experiments.iter().map(|experiment| experiment.change.clone()).collect();
        assert_eq!(once, changes, "an interrupted search makes the same proposals");
    }
}
