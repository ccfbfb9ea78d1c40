use std::collections::HashSet;
use std::time::Duration;

use super::*;

#[test]
fn a_budget_without_an_end_stays_without_one() {
    let endless = Budget::from(Duration::MAX);
    assert_eq!((endless.at(1.0), endless.at(0.1).build), (endless, Duration::MAX));
    assert_eq!(Budget { build: Duration::ZERO, ..endless }.at(1.0).run, Duration::MAX);
}

#[test]
fn purposes_experiments_and_repeats_have_seeds_and_names_of_their_own() {
    let purposes =
        [Purpose::Search, Purpose::Audit, Purpose::Rerun, Purpose::Holdout, Purpose::Health, Purpose::Transfer];
    let (mut seeds, mut names) = (HashSet::new(), HashSet::new());
    for purpose in purposes {
        for experiment in 0..40 {
            for number in 1..40 {
                assert!(
                    seeds.insert(purpose.seed(7, ExperimentId(experiment), number)),
                    "{purpose:?} {experiment} {number}"
                );
                let trial =
                    for_purpose(Trial::new(ExperimentId(experiment), number as u32, 0, Budget::default()), purpose);
                assert!(names.insert(trial.name()), "{}", trial.name());
            }
        }
    }
    assert!(seeds.iter().all(|seed| *seed < 1 << 31));
}

#[tokio::test(start_paused = true)]
async fn a_run_beyond_its_limit_is_timed_out_however_it_ends() {
    let trial = Trial::new(ExperimentId(1), 1, 0, Duration::from_secs(1).into());
    let after = |seconds: u64| async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(Outcome::Completed(RunLog::saying("score: 1")))
    };
    let never = Cancel::new();
    assert!(matches!(trial.within(after(0), &never).await, Ok(Outcome::Completed(_))));
    let late = trial.within(after(4), &never).await.unwrap();
    assert!(matches!(&late, Outcome::TimedOut { log } if log.elapsed == Duration::from_secs(1)), "{late:?}");
    // One that blocks, and so cannot be ended, is late all the same.
    let blocks = async {
        tokio::time::advance(Duration::from_secs(4)).await;
        Ok(Outcome::Completed(RunLog::default()))
    };
    assert!(matches!(trial.within(blocks, &never).await, Ok(Outcome::TimedOut { .. })));
    let cancelled = Cancel::new();
    cancelled.cancel();
    assert!(matches!(trial.within(after(4), &cancelled).await, Err(SandboxError::Cancelled)));
}

#[test]
fn a_run_that_says_itself_that_it_took_too_long_is_timed_out() {
    let trial = Trial::new(ExperimentId(1), 1, 0, Duration::from_secs(1).into());
    let took = |elapsed| trial.overrun(Outcome::Completed(RunLog { elapsed, ..RunLog::default() }));
    assert!(matches!(took(Duration::from_secs(1)), Outcome::Completed(_)));
    assert!(matches!(took(Duration::from_secs(4)), Outcome::TimedOut { .. }));
}

#[test]
fn an_incumbent_moves_only_from_where_it_is() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Revision(name.into()));
    let adopted = AdoptedRevision::default();
    adopted.adopt(None, &a).unwrap();
    adopted.adopt(None, &a).unwrap();
    adopted.adopt(Some(&a), &b).unwrap();
    adopted.adopt(Some(&a), &b).unwrap();
    let wrong = adopted.adopt(Some(&a), &c).unwrap_err().to_string();
    assert!(wrong.contains("the incumbent is b, not a"), "{wrong}");
    // A new process knows of none.
    AdoptedRevision::default().adopt(Some(&b), &c).unwrap();
}
