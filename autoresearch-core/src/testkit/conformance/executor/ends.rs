//! The ends that an executor brings about: at the limit of a job, and when somebody cancels it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{PROMPT, Suite, job, name};
use crate::cancel::Cancel;
use crate::sandbox::{Outcome, SandboxError};

/// The limit of jobs that are to be ended.
const SHORT: Duration = Duration::from_millis(200);

impl Suite<'_> {
    pub(super) async fn the_limit_ends_the_whole_tree(&self) {
        let mut job = job(name(6, 1), &self.beating("beats-6", "started-6"));
        job.run.limit = Duration::from_secs(1);
        let began = Instant::now();
        let outcome = self.run(&job).await;
        assert!(matches!(outcome, Outcome::TimedOut { .. }), "it ends at its limit: {outcome:?}");
        assert!(began.elapsed() < PROMPT, "a limit is a limit");
        self.assert_no_beat("beats-6", "a timeout").await;
    }

    pub(super) async fn the_limit_is_kept_while_the_caller_is_blocked(&self) {
        // Everything takes longer each time: a busy machine may start or end a job late, while a caller that keeps the limit or
        // measures the time itself fails every time.
        let mut told = String::new();
        for round in 0..7 {
            let (limit, block) = (SHORT * (1 << round), 5 * SHORT * (1 << round));
            let mark = format!("started-7-{round}");
            let script = format!("touch {}; sleep {}; echo score: 1", self.mark(&mark), 2.5 * limit.as_secs_f64());
            let mut job = job(name(7, 1 + round), &script);
            job.run.limit = limit;
            let (cancel, is_over) = (Cancel::new(), Cell::new(false));
            let run = async {
                let outcome = self.executor.run(&job, &cancel).await;
                is_over.set(true);
                outcome.expect("a timeout is no failure of the executor")
            };
            let blocked = async {
                while !self.is_marked(&mark) && !is_over.get() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                if !is_over.get() {
                    std::thread::sleep(block);
                }
                !is_over.get()
            };
            let (outcome, was_blocked) = tokio::join!(run, blocked);
            assert!(matches!(outcome, Outcome::TimedOut { .. }), "what overran has not completed: {outcome:?}");
            let elapsed = outcome.log().elapsed;
            assert!(elapsed >= limit, "a job has its whole limit: {elapsed:?}");
            if was_blocked && elapsed < block {
                return;
            }
            told = format!("{elapsed:?}, with a limit of {limit:?} and a caller blocked for {block:?}: {was_blocked}");
        }
        panic!("time is measured where a job runs: {told}");
    }

    pub(super) async fn cancelling_ends_the_whole_tree(&self) {
        let cancel = Cancel::new();
        let stop = async {
            self.until_marked("started-8").await;
            cancel.cancel();
        };
        let job_8 = job(name(8, 1), &self.beating("beats-8", "started-8"));
        let (ended, ()) = tokio::join!(self.executor.run(&job_8, &cancel), stop);
        assert!(matches!(ended, Err(SandboxError::Cancelled)), "a cancelled job says so: {ended:?}");
        self.assert_no_beat("beats-8", "a cancellation").await;

        let job_9 = job(name(9, 1), &self.beating("beats-9", "started-9"));
        let stop = async {
            self.until_marked("started-9").await;
            self.executor.cancel(&job_9.name).await.expect("a job can be cancelled by its name");
            self.assert_no_beat("beats-9", "a cancellation by name").await;
            self.executor.cancel(&job_9.name).await.expect("cancelling it again succeeds");
        };
        let never = Cancel::new();
        let (ended, ()) = tokio::join!(self.executor.run(&job_9, &never), stop);
        assert!(matches!(ended, Err(SandboxError::Cancelled)), "a job that is cancelled by name says so: {ended:?}");
        let found = self.executor.find(&job_9.name).await.expect("it can be looked up");
        assert_eq!(found, None, "a cancelled job has no outcome");
        self.executor.cancel(&name(99, 1)).await.expect("cancelling what was never started succeeds");
    }
}
