//! The books of spending: no call starts whose worst case would pass a limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autoresearch_core::internal::CANCELLED;
use autoresearch_core::{Cost, ProposerError, RejectedDraft};

use super::caps::Caps;

/// Spending of one proposal and of the run around it. Proposals that are made at the same time have an account each in the
/// same books, so that calls in flight for one of them count for all.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    books: Arc<Mutex<Books>>,
    account: usize,
}

#[derive(Debug, Default)]
struct Books {
    proposal: Caps,
    run: Caps,
    /// Total of the journal.
    journaled: Cost,
    /// Cost of the closed accounts of a wave that the lab has not been given yet.
    closed: Cost,
    /// Spending by account that is not journaled yet.
    accounts: BTreeMap<usize, Account>,
    /// Account and worst case of each call in flight.
    in_flight: BTreeMap<u64, (usize, Cost)>,
    started: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    spent: Cost,
    /// Number of proposals that one conversation makes, if more than one.
    proposals: Option<u64>,
}

impl Books {
    /// Takes all spending that no journal holds.
    fn take_unreported(&mut self) -> Cost {
        // A dropped call may be billed or not: it counts with its worst case.
        let dropped = std::mem::take(&mut self.in_flight).into_values().map(|(_, worst)| worst);
        let accounts = std::mem::take(&mut self.accounts).into_values().map(|account| account.spent);
        accounts.chain(dropped).fold(std::mem::take(&mut self.closed), std::ops::Add::add)
    }
}

impl Ledger {
    /// Opens books with the limits of one proposal and of the run.
    pub fn new(proposal: Caps, run: Caps) -> Ledger {
        let books = Books { proposal, run, ..Books::default() };
        Ledger { books: Arc::new(Mutex::new(books)), account: 0 }
    }

    /// Returns the same books with the account of the `nth` proposal of a wave, from 0.
    pub fn account(&self, nth: usize) -> Ledger {
        Ledger { books: self.books.clone(), account: nth }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the limits of the run.
    pub fn set_run_caps(&self, caps: Caps) {
        self.books().run = caps;
    }

    /// Returns the limits of the run as they are enforced, the default in dollars included.
    pub fn run_caps(&self) -> Caps {
        self.books().run.or_default_dollars()
    }

    /// Returns true if a limit in dollars was set by hand: then every model needs a price.
    pub fn limits_dollars(&self) -> bool {
        let books = self.books();
        [books.proposal.dollars, books.run.dollars].into_iter().flatten().any(f64::is_finite)
    }

    /// Fails if the journal's total has reached a limit of the run, for spending that no call of ours announces.
    pub fn check_run(&self) -> Result<(), ProposerError> {
        let books = self.books();
        let caps = books.run.or_default_dollars();
        let spent = books.journaled;
        let over = caps.dollars.is_some_and(|cap| spent.dollars >= cap && cap.is_finite())
            || caps.tokens.is_some_and(|cap| spent.tokens >= cap);
        match over {
            true => Err(ProposerError::Exhausted(format!(
                "the run may spend {caps}; ${:.4} and {} tokens are spent; raise the limit to continue",
                spent.dollars, spent.tokens
            ))),
            false => Ok(()),
        }
    }

    /// Starts a wave. Spending of dropped proposals, which was never reported, becomes part of the first account.
    pub fn open(&self, journaled: Cost) {
        let mut books = self.books();
        books.journaled = journaled;
        let spent = books.take_unreported();
        books.accounts.insert(0, Account { spent, proposals: None });
    }

    /// Ends a wave: its costs are with the lab.
    pub fn report(&self) {
        self.books().closed = Cost::default();
    }

    /// Takes the spending of a wave that was dropped, as a draft for the journal.
    pub fn unreported(&self) -> Vec<RejectedDraft> {
        let mut books = self.books();
        let cost = books.take_unreported();
        books.journaled = books.journaled + cost;
        let draft = || RejectedDraft::new(CANCELLED, "the run ended before the proposal was made", cost);
        (cost != Cost::default()).then(draft).into_iter().collect()
    }

    /// Lets this account make `proposals` proposals, which share the limits of each.
    pub fn stands_for(&self, proposals: usize) {
        self.books().accounts.entry(self.account).or_default().proposals = Some(proposals as u64);
    }

    /// Returns the spending of this account so far, without calls in flight.
    pub fn spent(&self) -> Cost {
        self.books().accounts.get(&self.account).map_or(Cost::default(), |account| account.spent)
    }

    /// Closes the account and returns its cost, which the journal will hold from now on.
    pub fn close(&self) -> Cost {
        let mut books = self.books();
        let mut cost = books.accounts.remove(&self.account).unwrap_or_default().spent;
        let mut dropped = Cost::default();
        books.in_flight.retain(|_, (account, worst)| {
            let stays = *account != self.account;
            if !stays {
                dropped = dropped + *worst;
            }
            stays
        });
        cost = cost + dropped;
        books.journaled = books.journaled + cost;
        books.closed = books.closed + cost;
        cost
    }

    /// Starts a call that costs at most `worst`, unless it might pass a limit. The number is for [`Ledger::finish_call`].
    pub fn start_call(&self, worst: Cost) -> Result<u64, ProposerError> {
        let mut books = self.books();
        let in_flight = |mine: bool| {
            let calls = books.in_flight.values().filter(move |(account, _)| !mine || *account == self.account);
            calls.map(|(_, worst)| *worst)
        };
        let everybody = books.accounts.values().map(|account| account.spent).chain(in_flight(false));
        let all = everybody.fold(books.journaled, std::ops::Add::add);
        if let Some(why) = books.run.or_default_dollars().exceeded_by(all, worst) {
            return Err(ProposerError::Exhausted(format!(
                "the budget of the run does not allow another call: {why}; raise it to continue"
            )));
        }
        let account = books.accounts.get(&self.account).copied().unwrap_or_default();
        let here = in_flight(true).fold(account.spent, std::ops::Add::add);
        if let Some(why) = books.proposal.times(account.proposals.unwrap_or(1)).exceeded_by(here, worst) {
            let why = format!("the budget of a proposal does not allow another call: {why}");
            // Not even the first call fits: no proposal will ever be made.
            return Err(if here == Cost::default() {
                ProposerError::Fatal(format!("{why}; raise it, or lower max_tokens"))
            } else {
                ProposerError::Transient(why)
            });
        }
        books.started += 1;
        let call = books.started;
        books.in_flight.insert(call, (self.account, worst));
        Ok(call)
    }

    /// Finishes a call with its bill, if there is one. A call whose account was closed before is counted already.
    pub fn finish_call(&self, call: u64, bill: Option<Cost>) {
        let mut books = self.books();
        if let Some((account, _)) = books.in_flight.remove(&call) {
            let account = books.accounts.entry(account).or_default();
            account.spent = account.spent + bill.unwrap_or_default();
        }
    }

    /// Returns true while calls of this account are in flight.
    pub fn is_busy(&self) -> bool {
        self.books().in_flight.values().any(|(account, _)| *account == self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(dollars: f64) -> Cost {
        Cost { tokens: (dollars * 1000.0) as u64, dollars, calls: 1 }
    }

    #[test]
    fn no_call_starts_that_may_pass_a_limit() {
        let run = Caps { dollars: Some(10.0), ..Caps::default() };
        let proposal = Caps { tokens: Some(2000), ..Caps::default() };
        let ledger = Ledger::new(proposal, run);
        ledger.open(cost(7.0));
        let call = ledger.start_call(cost(2.0)).unwrap();
        ledger.finish_call(call, Some(cost(1.5)));
        let error = ledger.start_call(cost(1.0)).unwrap_err();
        assert!(matches!(error, ProposerError::Transient(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "the budget of a proposal does not allow another call: 1500 of 2000 tokens are spent, and the next call may take 1000 tokens"
        );
        assert_eq!(ledger.close(), cost(1.5));
        ledger.report();
        ledger.open(cost(8.5));
        let error = ledger.start_call(cost(1.6)).unwrap_err();
        assert!(matches!(error, ProposerError::Exhausted(_)), "{error}");
        ledger.start_call(cost(1.5)).unwrap();
    }

    #[test]
    fn calls_in_flight_count_with_their_worst_cases() {
        let ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
        ledger.open(Cost::default());
        let first = ledger.start_call(cost(3.0)).unwrap();
        assert!(ledger.start_call(cost(3.0)).is_err() && ledger.is_busy());
        let second = ledger.start_call(cost(2.0)).unwrap();
        ledger.finish_call(first, None);
        ledger.start_call(cost(3.0)).unwrap();
        ledger.finish_call(second, Some(cost(0.5)));
        assert_eq!(ledger.close(), Cost { tokens: 3500, dollars: 3.5, calls: 2 });
        ledger.finish_call(second, Some(cost(9.0)));
        assert_eq!(ledger.close(), Cost::default(), "it is counted already");
    }

    /// Proposals that are made at the same time share the limits of the run and have a limit each.
    #[test]
    fn accounts_share_the_run_and_have_their_own_limit() {
        let proposal = Caps { calls: Some(2), ..Caps::default() };
        let first = Ledger::new(proposal, Caps { dollars: Some(5.0), ..Caps::default() });
        first.open(Cost::default());
        let second = first.account(1);
        let (a, b) = (first.start_call(cost(2.0)).unwrap(), second.start_call(cost(2.0)).unwrap());
        assert!(matches!(first.start_call(cost(2.0)), Err(ProposerError::Exhausted(_))), "four are in flight for both");
        first.finish_call(a, Some(cost(1.0)));
        first.start_call(cost(1.0)).unwrap();
        assert!(matches!(first.start_call(cost(1.0)), Err(ProposerError::Transient(_))), "two calls of its own");
        second.finish_call(b, Some(cost(0.5)));
        assert_eq!((second.spent(), second.close(), second.is_busy()), (cost(0.5), cost(0.5), false));
        assert_eq!(first.close(), Cost { tokens: 2000, dollars: 2.0, calls: 2 }, "with the worst case of the other");
        first.report();
        first.open(Cost::default());
        first.stands_for(2);
        for _ in 0..4 {
            first.start_call(cost(0.1)).unwrap();
        }
        assert!(first.start_call(cost(0.1)).is_err());
        // A dropped wave is paid for by the next proposal.
        second.start_call(cost(1.0)).unwrap();
        first.open(Cost::default());
        assert_eq!(first.close().calls, 5);
    }

    /// One session of a wave has ended, one has paid for a call, and one waits for an answer.
    #[test]
    fn a_wave_that_is_dropped_tells_everything_once() {
        let first = Ledger::new(Caps::default(), Caps { dollars: Some(10.0), ..Caps::default() });
        first.open(Cost::default());
        let (second, third) = (first.account(1), first.account(2));
        for (ledger, bill) in [(&first, Some(1.0)), (&second, Some(0.5)), (&third, None)] {
            let call = ledger.start_call(cost(2.0)).unwrap();
            if let Some(bill) = bill {
                ledger.finish_call(call, Some(cost(bill)));
            }
        }
        assert_eq!(first.close(), cost(1.0));
        let told: Vec<Cost> = first.unreported().iter().map(|draft| draft.cost).collect();
        assert_eq!(told, [Cost { tokens: 3500, dollars: 3.5, calls: 3 }]);
        assert!(first.unreported().is_empty());
        first.open(cost(3.5));
        assert_eq!(first.close(), Cost::default());
        first.report();
        assert!(first.unreported().is_empty(), "what was reported is no part of it");
    }

    #[test]
    fn calls_before_a_restart_count() {
        let ledger = Ledger::new(Caps::default(), Caps { calls: Some(3), ..Caps::default() });
        ledger.open(Cost { calls: 2, ..Cost::default() });
        let call = ledger.start_call(cost(1.0)).unwrap();
        ledger.finish_call(call, Some(cost(1.0)));
        let error = ledger.start_call(cost(1.0)).unwrap_err().to_string();
        assert!(error.contains("3 of 3 calls are made, and the next call may take one"), "{error}");
    }

    #[test]
    fn a_call_that_was_dropped_counts_as_its_worst_case() {
        let ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
        ledger.open(Cost::default());
        ledger.start_call(cost(4.0)).unwrap();
        ledger.open(Cost::default());
        assert!(ledger.start_call(cost(2.0)).is_err());
        assert_eq!(ledger.close(), cost(4.0));
    }

    #[test]
    fn a_run_without_a_limit_in_dollars_has_the_default_one() {
        let ledger = Ledger::new(Caps::default(), Caps::default());
        ledger.open(cost(crate::model::DEFAULT_RUN_DOLLARS - 1.0));
        assert!(!ledger.limits_dollars(), "models without a price may be used");
        ledger.check_run().unwrap();
        assert!(
            matches!(ledger.start_call(cost(1.5)), Err(ProposerError::Exhausted(why)) if why.contains("of $20 are spent"))
        );
        ledger.open(cost(crate::model::DEFAULT_RUN_DOLLARS));
        assert!(matches!(ledger.check_run(), Err(ProposerError::Exhausted(why)) if why.contains("may spend $20")));
        ledger.set_run_caps(Caps { dollars: Some(f64::INFINITY), ..Caps::default() });
        ledger.check_run().unwrap();
        ledger.start_call(cost(1000.0)).unwrap();
    }

    #[test]
    fn a_limit_that_allows_no_call_at_all_is_an_error() {
        let ledger = Ledger::new(Caps { calls: Some(0), ..Caps::default() }, Caps::default());
        ledger.open(Cost::default());
        assert!(matches!(ledger.start_call(cost(1.0)), Err(ProposerError::Fatal(_))));
    }
}
