//! Everything that the lab awaits, and its results.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::experiment_id::ExperimentId;
use crate::proposer::{ProposerError, Wave};
use crate::sandbox::{Outcome, Revision, SandboxError};

/// A future that the lab awaited has finished.
pub(super) enum Completion<C> {
    /// The proposer has answered.
    Proposed(Answer<C>),
    /// A build ahead of a trial has ended: with the outcome of the trial, if the build failed.
    Built { trial: TrialId, result: Result<Option<Outcome>, SandboxError> },
    /// A trial of an experiment has ended.
    TrialEnded { trial: TrialId, result: Result<Outcome, SandboxError> },
    /// A trial of the incumbent outside of any experiment has ended.
    HealthCheckEnded(Result<Outcome, SandboxError>),
    /// The wait after a failure is over.
    BackedOff(Backoff),
}

/// The answer of the proposer.
pub(super) struct Answer<C> {
    /// The revision whose files it was asked about.
    pub(super) parent: Revision,
    /// Number of proposals that it was asked for.
    pub(super) asked: usize,
    pub(super) result: Result<Wave<C>, ProposerError>,
    pub(super) took: Duration,
}

/// A trial by its experiment and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrialId {
    pub(super) experiment: ExperimentId,
    pub(super) number: u32,
}

/// The part that waits after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backoff {
    Proposer,
    Machine,
    Experiment(ExperimentId),
}

/// Futures that are awaited together: one for each worker, build and wait. They are so few that all are polled when one wakes.
pub(super) struct Completions<C>(Vec<Pin<Box<dyn Future<Output = Completion<C>> + Send>>>);

impl<C> Completions<C> {
    pub(super) fn new() -> Completions<C> {
        Completions(Vec::new())
    }

    pub(super) fn add(&mut self, future: impl Future<Output = Completion<C>> + Send + 'static) {
        self.0.push(Box::pin(future));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Waits for the first of them that completes, the oldest where several have; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<Completion<C>> {
        poll_fn(|context| {
            let completed =
                self.0.iter_mut().enumerate().find_map(|(at, future)| match future.as_mut().poll(context) {
                    Poll::Ready(completion) => Some((at, completion)),
                    Poll::Pending => None,
                });
            match completed {
                Some((at, completion)) => {
                    drop(self.0.remove(at));
                    Poll::Ready(Some(completion))
                }
                None if self.0.is_empty() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }
}
