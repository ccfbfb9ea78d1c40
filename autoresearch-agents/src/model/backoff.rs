//! Waits of a paid proposer whose proposals come to nothing, and their limit.

use std::time::Duration;

use autoresearch_core::{ProposerError, Wave};
use serde::Deserialize;

use crate::http::seconds;
use crate::text::shorten;

/// Waits after proposals in a row that came to nothing, each of which may have cost something.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// Failed proposals in a row without a wait. Default: 2.
    pub free: u32,
    /// Seconds of the first wait, doubled for each further failed proposal. Default: 1.
    pub first: f64,
    /// Longest wait in seconds. Default: 300.
    pub most: f64,
    /// Failed proposals in a row after which the proposer makes no further one, which ends the run. Default: 20.
    pub limit: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { free: 2, first: 1.0, most: 300.0, limit: 20 }
    }
}

impl Backoff {
    /// Returns the wait after `failures` failed proposals in a row.
    ///
    /// ```
    /// use std::time::Duration;
    /// use autoresearch_agents::model::Backoff;
    /// let waits = [0, 2, 3, 4, 30].map(|failures| Backoff::default().wait_after(failures).as_secs());
    /// assert_eq!(waits, [0, 0, 1, 2, 300]);
    /// ```
    pub fn wait_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free.saturating_add(1)) {
            None => Duration::ZERO,
            Some(doublings) => seconds((self.first * 2f64.powi(doublings.min(60) as i32)).min(self.most)),
        }
    }
}

/// Proposals in a row that came to nothing.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    backoff: Backoff,
    failures: u32,
    last: String,
}

impl Streak {
    pub fn new(backoff: Backoff) -> Streak {
        Streak { backoff, ..Streak::default() }
    }

    /// Waits before the next proposal, or fails if too many in a row came to nothing.
    pub async fn wait(&self) -> Result<(), ProposerError> {
        if self.failures >= self.backoff.limit.max(1) {
            return Err(ProposerError::Exhausted(format!(
                "{} proposals in a row came to nothing, the last one because {}; mend the cause and run the same command again",
                self.failures, self.last
            )));
        }
        let wait = self.backoff.wait_after(self.failures);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Counts the entries of a wave, and beside them the failures of `unpaid`, each with its reason: proposals whose cost is not
    /// known. A failure that surely cost nothing is left to the lab, which backs off by itself.
    pub fn note(&mut self, result: &Result<Wave, ProposerError>, unpaid: &[String]) {
        let wave = result.as_deref().unwrap_or_default();
        if wave.iter().any(Result::is_ok) {
            self.failures = 0;
            return;
        }
        let reasons = wave.iter().filter_map(|entry| entry.as_ref().err()).map(|draft| &draft.reason);
        if let Some(last) = reasons.chain(unpaid).last() {
            self.failures = self.failures.saturating_add((wave.len() + unpaid.len()) as u32);
            self.last = shorten(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use autoresearch_core::{Cost, Patch, Proposal, RejectedDraft};

    use super::*;

    #[tokio::test]
    async fn failures_in_a_row_wait_longer_each_time_and_end() {
        let failed = || Ok(vec![Err(RejectedDraft::new("d", "no edits", Cost::default()))]);
        let mut streak = Streak::new(Backoff { free: 1, first: 0.02, most: 0.05, limit: 5 });
        let mut waits = Vec::new();
        for _ in 0..5 {
            let started = Instant::now();
            streak.wait().await.unwrap();
            waits.push(started.elapsed().as_millis());
            streak.note(&failed(), &[]);
        }
        assert!(waits[1] < 20 && waits[2] >= 20 && waits[3] >= 40 && waits[4] >= 50, "{waits:?}");
        streak.note(&Err(ProposerError::Transient("unpaid".into())), &[]);
        let ended = streak.wait().await.unwrap_err();
        assert!(
            matches!(&ended, ProposerError::Exhausted(why) if why.contains("5 proposals in a row") && why.contains("no edits"))
        );
        let proposed = || Ok(vec![Ok(Proposal::new(Patch::default(), "p"))]);
        streak.note(&proposed(), &["killed".into()]);
        streak.wait().await.unwrap();
        streak.note(&Err(ProposerError::Transient("killed".into())), &vec!["killed".into(); 5]);
        let ended = streak.wait().await.unwrap_err().to_string();
        assert!(ended.contains("5 proposals in a row") && ended.contains("killed"), "{ended}");
    }
}
