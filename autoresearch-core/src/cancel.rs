//! A request to stop that everything long-running listens to.

use tokio_util::sync::CancellationToken;

/// A cancellation token: clones share one state, and once cancelled it stays so.
///
/// ```
/// use autoresearch_core::Cancel;
/// let run = Cancel::new();
/// let trial = run.child();
/// trial.cancel();
/// assert!(!run.is_cancelled(), "the end of a part is not the end of the whole");
/// run.cancel();
/// assert!(run.child().is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// Makes a token that is not cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Makes a token that is cancelled with this one, and can be cancelled by itself.
    ///
    /// ```
    /// # use autoresearch_core::Cancel;
    /// let run = Cancel::new();
    /// let (one, another) = (run.child(), run.child());
    /// one.cancel();
    /// assert!(one.is_cancelled() && !another.is_cancelled() && !run.is_cancelled());
    /// run.cancel();
    /// assert!(another.is_cancelled());
    /// ```
    pub fn child(&self) -> Cancel {
        Cancel(self.0.child_token())
    }

    /// Asks everything that holds a clone or a child to stop.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Tells whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until [`Cancel::cancel`] is called.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}
