//! What the contracts of the traits promise, as checks over any implementation. Each panics with the promise that is broken.

#[cfg(feature = "command")]
mod executor;

#[cfg(feature = "command")]
pub use executor::{ExecutorCase, executor};

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cancel::Cancel;
use crate::lab::{Lab, Settings};
use crate::metric::{Direction, Measurement, Metric, Score};
use crate::program::Program;
use crate::proposer::Proposer;
use crate::ratchet::{Arm, Evidence, Ratchet, Side, Strict, Verdict};
use crate::sandbox::{Budget, Outcome, Rebase, Rebased, RunLog, Sandbox, SandboxError, StageError, Trial};
use crate::stop::Stop;
use crate::testkit::{Machine, Step};

/// Changes that a sandbox is tried with.
pub struct SandboxCases<C> {
    /// Can be applied to the baseline, and completes.
    pub good: C,
    /// Another one, which leads to another state.
    pub other: C,
    /// Cannot be applied.
    pub bad: Option<C>,
    /// Can be applied, and runs for longer than a second.
    pub endless: Option<C>,
    /// Can be applied, and crashes.
    pub crashing: Option<C>,
}

/// Checks a sandbox. `make` gives one that starts from nothing at each call.
pub async fn sandbox<C: Sync>(make: impl Fn() -> Arc<dyn Sandbox<C>>, cases: SandboxCases<C>) {
    let budget = Budget { run: Duration::from_secs(60), build: Duration::from_secs(60) };
    let (sandbox, never) = (make(), Cancel::new());
    sandbox.clean().await.expect("there is nothing to clean, and that is no error");
    let baseline = sandbox.baseline().await.expect("the baseline can be staged");
    let again = sandbox.baseline().await.expect("the baseline can be staged again");
    assert_eq!(again.fingerprint, baseline.fingerprint, "the baseline is the same whenever it is staged");
    let trial = |attempt| Trial::new(0, attempt, 1, budget);
    let outcome = sandbox.run(&baseline, &trial(1), &never).await.expect("running the baseline is no failure of ours");
    assert!(matches!(outcome, Outcome::Completed(_)), "the baseline completes: {}", outcome.describe());

    let sealed = sandbox.seal(&baseline, "baseline").await.expect("a candidate can be sealed");
    sandbox.promote(None, &sealed).await.expect("the baseline becomes the first incumbent");
    sandbox.promote(None, &sealed).await.expect("a promotion that has happened succeeds again");

    let good = sandbox.stage(1, &sealed, &cases.good, "good").await.expect("a good change can be staged");
    let other = sandbox.stage(2, &sealed, &cases.other, "other").await.expect("another change can be staged");
    assert_ne!(good.fingerprint, baseline.fingerprint, "a change leads to another state");
    assert_ne!(good.fingerprint, other.fingerprint, "another change leads to another state");
    let twin = sandbox.stage(3, &sealed, &cases.good, "good").await.expect("a change can be staged again");
    assert_eq!(twin.fingerprint, good.fingerprint, "the same change leads to the same state");
    if let Some(bad) = &cases.bad {
        let refused = sandbox.stage(3, &sealed, bad, "bad").await;
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
    let rebase = Rebase {
        experiment: 2,
        times: 1,
        candidate: &other,
        from: &sealed,
        onto: &good.revision,
        change: &cases.other,
        description: "other",
    };
    let moved =
        sandbox.rebase(rebase).await.expect("moving a change is no failure of ours, even if it cannot be moved");
    if let Rebased::Candidate(moved) = moved {
        let again = sandbox.rebase(rebase).await.expect("it can be moved again, as after a crash");
        assert!(
            matches!(again, Rebased::Candidate(again) if again.fingerprint == moved.fingerprint),
            "the same move leads to the same state"
        );
        sandbox.run(&moved, &trial(1), &never).await.expect("a run of what was moved is no failure of ours");
        sandbox.seal_onto(&sealed, &moved, "both").await.expect("what was moved can be sealed on another state");
    }
    if let Some(crashing) = &cases.crashing {
        let candidate = sandbox.stage(4, &sealed, crashing, "crashing").await.expect("it can be staged");
        let outcome = sandbox.run(&candidate, &trial(1), &never).await.expect("a crash is no failure of ours");
        assert!(!matches!(outcome, Outcome::Completed(_)), "a crash is no completion");
    }
    if let Some(endless) = &cases.endless {
        let candidate = sandbox.stage(5, &sealed, endless, "endless").await.expect("it can be staged");
        let short = Trial::new(5, 1, 1, Budget { run: Duration::from_millis(300), ..budget });
        let began = Instant::now();
        let outcome = sandbox.run(&candidate, &short, &never).await.expect("a timeout is no failure of ours");
        assert!(matches!(outcome, Outcome::TimedOut { .. }), "it ends at its limit: {}", outcome.describe());
        assert!(began.elapsed() < Duration::from_secs(30), "a limit is a limit");
        let cancel = Cancel::new();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        };
        let long = Trial::new(5, 2, 1, budget);
        let (outcome, ()) = tokio::join!(sandbox.run(&candidate, &long, &cancel), stop);
        assert!(matches!(outcome, Err(SandboxError::Cancelled)), "a cancelled run says so");
    }

    let kept = sandbox.seal(&good, "good").await.expect("a candidate can be sealed");
    sandbox.promote(Some(&sealed), &kept).await.expect("the incumbent moves from where it is");
    sandbox.promote(Some(&sealed), &kept).await.expect("a promotion that has happened succeeds again");
    let elsewhere = sandbox.seal(&other, "other").await.expect("a candidate can be sealed");
    let wrong = sandbox.promote(Some(&sealed), &elsewhere).await;
    assert!(wrong.is_err(), "the incumbent does not move from where it is not");
    sandbox.promote(Some(&kept), &kept).await.expect("a refused promotion moves nothing");
}

/// Checks a metric. `completed` is a run that it can read.
pub fn metric(metric: &dyn Metric, completed: RunLog) {
    let name = metric.name();
    assert!(!name.is_empty() && !name.contains(['\t', '\n']), "the name can head a column");
    let outcome = Outcome::Completed(completed.clone());
    let read = metric.read(&outcome).expect("a completed run can be read");
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

/// Checks a ratchet over many random pairs of arms whose scores lie between `low` and `high`.
pub fn ratchet(ratchet: &dyn Ratchet, (low, high): (f64, f64)) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2000 {
        let lines = random.between(-3.0, 3.0).round() as i64;
        // Few different scores, so that ties are common.
        let mut score = || low + (high - low) * (random.between(0.0, 1.0) * 12.0).round() / 12.0;
        let arms = (arm([score()]), arm([score()]));
        let mirrored = (mirror(&arms.0), mirror(&arms.1));
        let down = judge(ratchet, arms.clone(), Direction::Minimise, lines, &mut score);
        // Asked again, the same; and seen in a mirror, the same.
        let up = ratchet.judge(&Evidence::new(mirrored.0, mirrored.1, Direction::Maximise, lines));
        let first = ratchet.judge(&Evidence::new(arms.0.clone(), arms.1.clone(), Direction::Minimise, lines));
        assert_eq!(kind(&first), kind(&up), "which way is better must not matter: {arms:?}");
        if let Verdict::Keep(why) = down.0 {
            let gain = Direction::Minimise.gain(down.1.mean().expect("measured"), down.2.mean().expect("measured"));
            assert!(gain >= 0.0, "what is worse is never kept ({why}): {:?} {:?}", down.1, down.2);
        }
        let unmeasured = ratchet.judge(&Evidence::new(arms.0, Arm::default(), Direction::Minimise, lines));
        assert!(!matches!(unmeasured, Verdict::Keep(_)), "what was never measured is never kept");
    }
}

/// Judges until there is a decision, with further scores as asked.
fn judge(
    ratchet: &dyn Ratchet,
    (mut incumbent, mut candidate): (Arm, Arm),
    direction: Direction,
    lines: i64,
    score: &mut impl FnMut() -> f64,
) -> (Verdict, Arm, Arm) {
    for _ in 0..1000 {
        let evidence = Evidence::new(incumbent.clone(), candidate.clone(), direction, lines);
        let verdict = ratchet.judge(&evidence);
        assert_eq!(verdict, ratchet.judge(&evidence), "the same evidence gives the same verdict");
        let Verdict::Measure(sides) = verdict else { return (verdict, incumbent, candidate) };
        assert!(!sides.is_empty(), "who asks for more says for what");
        for side in sides {
            match side {
                Side::Incumbent => incumbent.measurements.extend(arm([score()]).measurements),
                Side::Candidate => candidate.measurements.extend(arm([score()]).measurements),
            }
        }
    }
    panic!("a thousand rounds of measurements must be enough for a decision");
}

fn kind(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Keep(_) => 0,
        Verdict::Discard(_) => 1,
        Verdict::Measure(_) => 2,
    }
}

fn arm(scores: impl IntoIterator<Item = f64>) -> Arm {
    let measured = |score| Measurement::new(Score::new(score).expect("finite"));
    Arm { measurements: scores.into_iter().map(measured).collect() }
}

fn mirror(of: &Arm) -> Arm {
    arm(of.scores().map(|score| -score.get()))
}

/// A small generator of its own, so that the library needs none: xorshift64* (Vigna 2016).
struct Random(u64);

impl Random {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        low + (high - low) * bits as f64 / (1u64 << 53) as f64
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
    let program = Program::parse("Find a better one.").expect("a programme");
    let lab = |sandbox: Arc<dyn Sandbox<C>>, disk: &Machine, stop| {
        let mut settings = Settings::new("conformance", Duration::from_secs(60));
        settings.stop = stop;
        let journal = disk.journal().expect("a sound journal");
        Lab::new(program.clone(), make(), sandbox, metric.clone(), Arc::new(Strict), settings, journal).expect("a lab")
    };
    // Of these machines only the disks are used.
    let disks = [Machine::new(Step::score(0.0)), Machine::new(Step::score(0.0))];
    let mut whole = lab(sandbox(), &disks[0], Stop::after(experiments));
    whole.run(&Cancel::new()).await.expect("the search runs");
    let (parts, mut changes) = (sandbox(), Vec::new());
    for count in 0..=experiments {
        let mut part = lab(parts.clone(), &disks[1], Stop::after(count));
        part.run(&Cancel::new()).await.expect("the search goes on");
        changes = part.state().experiments.iter().map(|experiment| experiment.change.clone()).collect();
    }
    for experiment in &whole.state().experiments {
        assert!(!experiment.description.trim().is_empty(), "a proposal says what it is");
        let json = &experiment.change;
        assert!(experiment.id == 0 || C::deserialize(json).is_ok(), "a change can be read back: {json}");
    }
    if deterministic {
        let once: Vec<_> = whole.state().experiments.iter().map(|experiment| experiment.change.clone()).collect();
        assert_eq!(once, changes, "an interrupted search makes the same proposals");
    }
}
