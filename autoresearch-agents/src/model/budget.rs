//! What may be spent, and what is: no call begins whose worst case goes beyond a cap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autoresearch_core::{Cost, Proposal, ProposerError};
use serde::Deserialize;

use super::shorten;

/// Caps on what is spent. What is missing is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// US dollars.
    pub dollars: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Calls that led to a bill.
    pub calls: Option<u64>,
}

impl Caps {
    /// What so many may spend together.
    fn times(self, count: u64) -> Caps {
        Caps {
            dollars: self.dollars.map(|dollars| dollars * count as f64),
            tokens: self.tokens.map(|tokens| tokens.saturating_mul(count)),
            calls: self.calls.map(|calls| calls.saturating_mul(count)),
        }
    }
}

/// What one proposal and the night around it spend. Proposals that are made at the same time have an account each in the same
/// books, so that what is on its way for one of them counts for all.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    books: Arc<Mutex<Books>>,
    account: usize,
}

#[derive(Debug, Default)]
struct Books {
    proposal: Caps,
    night: Caps,
    /// What the journal says.
    journaled: Cost,
    /// What each account spent that no journal has yet.
    accounts: BTreeMap<usize, Account>,
    /// The worst cases of the calls that are on their way, and whose they are.
    in_flight: BTreeMap<u64, (usize, Cost)>,
    begun: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    spent: Cost,
    /// How many proposals come of one conversation, if more than one.
    proposals: Option<u64>,
}

impl Ledger {
    pub fn new(proposal: Caps, night: Caps) -> Ledger {
        let books = Books { proposal, night, ..Books::default() };
        Ledger { books: Arc::new(Mutex::new(books)), account: 0 }
    }

    /// The same books with the account of the `nth` proposal of a wave, from 0.
    pub fn account(&self, nth: usize) -> Ledger {
        Ledger { books: self.books.clone(), account: nth }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what all proposals together may cost.
    pub fn set_night(&self, caps: Caps) {
        self.books().night = caps;
    }

    /// Whether there is a limit in dollars.
    pub fn limits_dollars(&self) -> bool {
        let books = self.books();
        books.proposal.dollars.or(books.night.dollars).is_some()
    }

    /// Proposals begin. What those before them spent and never reported, because they were dropped, is part of the first.
    pub fn open(&self, journaled: Cost) {
        let mut books = self.books();
        books.journaled = journaled;
        // Whether calls that were dropped are billed nobody knows: they count as their worst case.
        let dropped = std::mem::take(&mut books.in_flight).into_values().map(|(_, worst)| worst);
        let unreported = std::mem::take(&mut books.accounts).into_values().map(|account| account.spent);
        let spent = unreported.chain(dropped).fold(Cost::default(), Cost::plus);
        books.accounts.insert(0, Account { spent, proposals: None });
    }

    /// So many proposals will come of this account, and share what each may cost.
    pub fn stands_for(&self, proposals: usize) {
        self.books().accounts.entry(self.account).or_default().proposals = Some(proposals as u64);
    }

    /// What this account spent so far, without what is on its way.
    pub fn spent(&self) -> Cost {
        self.books().accounts.get(&self.account).map_or(Cost::default(), |account| account.spent)
    }

    /// The proposal is reported with its cost: the journal has it from now on.
    pub fn close(&self) -> Cost {
        let mut books = self.books();
        let mut cost = books.accounts.remove(&self.account).unwrap_or_default().spent;
        let mut dropped = Cost::default();
        books.in_flight.retain(|_, (account, worst)| {
            let stays = *account != self.account;
            if !stays {
                dropped = dropped.plus(*worst);
            }
            stays
        });
        cost = cost.plus(dropped);
        books.journaled = books.journaled.plus(cost);
        cost
    }

    /// Asks for leave to make a call that costs `worst` at most. The number is for [`Ledger::end`].
    pub fn begin(&self, worst: Cost) -> Result<u64, ProposerError> {
        let mut books = self.books();
        let on_its_way = |mine: bool| {
            let calls = books.in_flight.values().filter(move |(account, _)| !mine || *account == self.account);
            calls.map(|(_, worst)| *worst)
        };
        let everybody = books.accounts.values().map(|account| account.spent).chain(on_its_way(false));
        let all = everybody.fold(books.journaled, Cost::plus);
        if let Some(why) = over(&books.night, all, worst) {
            return Err(ProposerError::Exhausted(format!(
                "the budget of the night does not allow another call: {why}"
            )));
        }
        let account = books.accounts.get(&self.account).copied().unwrap_or_default();
        let here = on_its_way(true).fold(account.spent, Cost::plus);
        if let Some(why) = over(&books.proposal.times(account.proposals.unwrap_or(1)), here, worst) {
            let why = format!("the budget of a proposal does not allow another call: {why}");
            // Nothing is spent and still it is not enough: no proposal will ever be made.
            return Err(if here == Cost::default() {
                ProposerError::Fatal(format!("{why}; raise it, or lower max_tokens"))
            } else {
                ProposerError::Transient(why)
            });
        }
        books.begun += 1;
        let call = books.begun;
        books.in_flight.insert(call, (self.account, worst));
        Ok(call)
    }

    /// The call is over, and this is its bill, if there is one. A call that was given up before has its place already.
    pub fn end(&self, call: u64, bill: Option<Cost>) {
        let mut books = self.books();
        if let Some((account, _)) = books.in_flight.remove(&call) {
            let account = books.accounts.entry(account).or_default();
            account.spent = account.spent.plus(bill.unwrap_or_default());
        }
    }

    /// Whether calls of this account are on their way.
    pub fn busy(&self) -> bool {
        self.books().in_flight.values().any(|(account, _)| *account == self.account)
    }
}

/// Which cap `spent` and one more call go beyond.
fn over(caps: &Caps, spent: Cost, worst: Cost) -> Option<String> {
    let next = spent.plus(worst);
    let (left, of) = if let Some(cap) = caps.dollars.filter(|cap| next.dollars > *cap) {
        (format!("${:.4} of ${cap} are spent", spent.dollars), format!("${:.4}", worst.dollars))
    } else if let Some(cap) = caps.tokens.filter(|cap| next.tokens > *cap) {
        (format!("{} of {cap} tokens are spent", spent.tokens), format!("{} tokens", worst.tokens))
    } else if let Some(cap) = caps.calls.filter(|cap| next.calls > *cap) {
        (format!("{} of {cap} calls are made", spent.calls), "one".into())
    } else {
        return None;
    };
    Some(format!("{left}, and the next call may take {of}"))
}

/// What the lab is told of an attempt that came to nothing: with a cost it is a refused proposal, so that the journal has
/// it. What ends the run waits in `end` for the next attempt then; a budget that does not allow another call of a long
/// conversation may allow the first one of another.
pub(crate) fn paid(error: ProposerError, cost: Cost, end: &mut Option<ProposerError>) -> ProposerError {
    match error {
        ProposerError::Rejected { description, reason, .. } => ProposerError::Rejected { description, reason, cost },
        error if cost == Cost::default() => error,
        error => {
            let reason = shorten(&error.to_string());
            *end = Some(error).filter(|error| matches!(error, ProposerError::Fatal(_)));
            ProposerError::Rejected { description: "no proposal".into(), reason, cost }
        }
    }
}

/// What the lab is told of proposals that were made at the same time, each with its cost. What came to nothing is paid for by
/// the first that came to something; if none did, it is one refused proposal with all of it.
pub(crate) fn together(
    made: Vec<(Result<Proposal, ProposerError>, Cost)>,
    end: &mut Option<ProposerError>,
) -> Result<Vec<Proposal>, ProposerError> {
    let (mut wave, mut errors, mut lost) = (Vec::new(), Vec::new(), Cost::default());
    for (result, cost) in made {
        match result {
            Ok(proposal) => wave.push(Proposal { cost, ..proposal }),
            Err(error) => {
                errors.push(error);
                lost = lost.plus(cost);
            }
        }
    }
    // The one that says most about what to do next.
    let weight = |error: &ProposerError| match error {
        ProposerError::Fatal(_) => 3,
        ProposerError::Rejected { .. } => 2,
        ProposerError::Transient(_) => 1,
        _ => 0,
    };
    let worst = errors.into_iter().max_by_key(weight);
    match (wave.first_mut(), worst) {
        (Some(first), worst) => {
            first.cost = first.cost.plus(lost);
            *end = worst.filter(|error| matches!(error, ProposerError::Fatal(_)));
            Ok(wave)
        }
        (None, Some(error)) => Err(paid(error, lost, end)),
        (None, None) => Err(ProposerError::Transient("nothing was proposed".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(dollars: f64) -> Cost {
        Cost { tokens: (dollars * 1000.0) as u64, dollars, calls: 1 }
    }

    #[test]
    fn no_call_begins_that_may_go_beyond_a_cap() {
        let night = Caps { dollars: Some(10.0), ..Caps::default() };
        let proposal = Caps { tokens: Some(2000), ..Caps::default() };
        let ledger = Ledger::new(proposal, night);
        ledger.open(cost(7.0));
        let call = ledger.begin(cost(2.0)).unwrap();
        ledger.end(call, Some(cost(1.5)));
        let error = ledger.begin(cost(1.0)).unwrap_err();
        assert!(matches!(error, ProposerError::Transient(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "the budget of a proposal does not allow another call: 1500 of 2000 tokens are spent, and the next call may take 1000 tokens"
        );
        assert_eq!(ledger.close(), cost(1.5));
        ledger.open(cost(8.5));
        let error = ledger.begin(cost(1.6)).unwrap_err();
        assert!(matches!(error, ProposerError::Exhausted(_)), "{error}");
        ledger.begin(cost(1.5)).unwrap();
    }

    #[test]
    fn calls_that_are_on_their_way_together_count_with_their_worst_cases() {
        let ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
        ledger.open(Cost::default());
        let first = ledger.begin(cost(3.0)).unwrap();
        assert!(ledger.begin(cost(3.0)).is_err() && ledger.busy());
        let second = ledger.begin(cost(2.0)).unwrap();
        ledger.end(first, None);
        ledger.begin(cost(3.0)).unwrap();
        ledger.end(second, Some(cost(0.5)));
        assert_eq!(ledger.close(), Cost { tokens: 3500, dollars: 3.5, calls: 2 });
        ledger.end(second, Some(cost(9.0)));
        assert_eq!(ledger.close(), Cost::default(), "it is counted already");
    }

    /// Proposals that are made at the same time have one night, and a limit each.
    #[test]
    fn accounts_share_the_night_and_have_their_own_limit() {
        let proposal = Caps { calls: Some(2), ..Caps::default() };
        let first = Ledger::new(proposal, Caps { dollars: Some(5.0), ..Caps::default() });
        first.open(Cost::default());
        let second = first.account(1);
        let (a, b) = (first.begin(cost(2.0)).unwrap(), second.begin(cost(2.0)).unwrap());
        assert!(matches!(first.begin(cost(2.0)), Err(ProposerError::Exhausted(_))), "four are on their way for both");
        first.end(a, Some(cost(1.0)));
        first.begin(cost(1.0)).unwrap();
        assert!(matches!(first.begin(cost(1.0)), Err(ProposerError::Transient(_))), "two calls of its own");
        second.end(b, Some(cost(0.5)));
        assert_eq!((second.spent(), second.close(), second.busy()), (cost(0.5), cost(0.5), false));
        assert_eq!(first.close(), Cost { tokens: 2000, dollars: 2.0, calls: 2 }, "with the worst case of the other");
        first.open(Cost::default());
        first.stands_for(2);
        for _ in 0..4 {
            first.begin(cost(0.1)).unwrap();
        }
        assert!(first.begin(cost(0.1)).is_err());
        // A wave that was dropped is paid for by the next proposal, whoever's account it was.
        second.begin(cost(1.0)).unwrap();
        first.open(Cost::default());
        assert_eq!(first.close().calls, 5);
    }

    #[test]
    fn calls_before_a_restart_count() {
        let ledger = Ledger::new(Caps::default(), Caps { calls: Some(3), ..Caps::default() });
        ledger.open(Cost { calls: 2, ..Cost::default() });
        let call = ledger.begin(cost(1.0)).unwrap();
        ledger.end(call, Some(cost(1.0)));
        let error = ledger.begin(cost(1.0)).unwrap_err().to_string();
        assert!(error.ends_with("3 of 3 calls are made, and the next call may take one"), "{error}");
    }

    #[test]
    fn a_call_that_was_dropped_counts_as_its_worst_case() {
        let ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
        ledger.open(Cost::default());
        ledger.begin(cost(4.0)).unwrap();
        ledger.open(Cost::default());
        assert!(ledger.begin(cost(2.0)).is_err());
        assert_eq!(ledger.close(), cost(4.0));
    }

    #[test]
    fn a_cap_that_allows_no_call_at_all_is_an_error() {
        let ledger = Ledger::new(Caps { calls: Some(0), ..Caps::default() }, Caps::default());
        ledger.open(Cost::default());
        assert!(matches!(ledger.begin(cost(1.0)), Err(ProposerError::Fatal(_))));
    }
}
