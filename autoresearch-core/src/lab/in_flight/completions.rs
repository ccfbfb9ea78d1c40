//! Everything that the lab awaits.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::Completion;

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
