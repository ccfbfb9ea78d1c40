//! What may be spent, and what is: no call begins whose worst case goes beyond a cap.

use std::collections::BTreeMap;

use autoresearch_core::{Cost, ProposerError};
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

/// What one proposal and the night around it spend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub proposal: Caps,
    pub night: Caps,
    /// What the journal says.
    journaled: Cost,
    /// What this proposal spent.
    spent: Cost,
    /// The worst cases of the calls that are on their way.
    in_flight: BTreeMap<u64, Cost>,
    begun: u64,
}

impl Ledger {
    pub fn new(proposal: Caps, night: Caps) -> Ledger {
        Ledger { proposal, night, ..Ledger::default() }
    }

    /// A proposal begins. What one before it spent and never reported, because it was dropped, is part of it.
    pub fn open(&mut self, journaled: Cost) {
        self.journaled = journaled;
        self.give_up();
    }

    /// The proposal is reported with its cost: the journal has it from now on.
    pub fn close(&mut self) -> Cost {
        self.give_up();
        let cost = std::mem::take(&mut self.spent);
        self.journaled = self.journaled.plus(cost);
        cost
    }

    /// Whether calls that were dropped are billed nobody knows: they count as their worst case.
    fn give_up(&mut self) {
        let dropped = std::mem::take(&mut self.in_flight).into_values();
        self.spent = dropped.fold(self.spent, Cost::plus);
    }

    /// Asks for leave to make a call that costs `worst` at most. The number is for [`Ledger::end`].
    pub fn begin(&mut self, worst: Cost) -> Result<u64, ProposerError> {
        let here = self.in_flight.values().copied().fold(self.spent, Cost::plus);
        if let Some(why) = over(&self.night, self.journaled.plus(here), worst) {
            return Err(ProposerError::Exhausted(format!(
                "the budget of the night does not allow another call: {why}"
            )));
        }
        if let Some(why) = over(&self.proposal, here, worst) {
            let why = format!("the budget of a proposal does not allow another call: {why}");
            // Nothing is spent and still it is not enough: no proposal will ever be made.
            return Err(if here == Cost::default() {
                ProposerError::Fatal(format!("{why}; raise it, or lower max_tokens"))
            } else {
                ProposerError::Transient(why)
            });
        }
        self.begun += 1;
        self.in_flight.insert(self.begun, worst);
        Ok(self.begun)
    }

    /// The call is over, and this is its bill, if there is one. A call that was given up before has its place already.
    pub fn end(&mut self, call: u64, bill: Option<Cost>) {
        if self.in_flight.remove(&call).is_some() {
            self.spent = self.spent.plus(bill.unwrap_or_default());
        }
    }

    /// Whether calls are on their way.
    pub fn busy(&self) -> bool {
        !self.in_flight.is_empty()
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
        ProposerError::Refused { description, reason, .. } => ProposerError::Refused { description, reason, cost },
        error if cost == Cost::default() => error,
        error => {
            let reason = shorten(&error.to_string());
            *end = Some(error).filter(|error| matches!(error, ProposerError::Fatal(_)));
            ProposerError::Refused { description: "no proposal".into(), reason, cost }
        }
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
        let mut ledger = Ledger::new(proposal, night);
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
        let mut ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
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

    #[test]
    fn calls_before_a_restart_count() {
        let mut ledger = Ledger::new(Caps::default(), Caps { calls: Some(3), ..Caps::default() });
        ledger.open(Cost { calls: 2, ..Cost::default() });
        let call = ledger.begin(cost(1.0)).unwrap();
        ledger.end(call, Some(cost(1.0)));
        let error = ledger.begin(cost(1.0)).unwrap_err().to_string();
        assert!(error.ends_with("3 of 3 calls are made, and the next call may take one"), "{error}");
    }

    #[test]
    fn a_call_that_was_dropped_counts_as_its_worst_case() {
        let mut ledger = Ledger::new(Caps::default(), Caps { dollars: Some(5.0), ..Caps::default() });
        ledger.open(Cost::default());
        ledger.begin(cost(4.0)).unwrap();
        ledger.open(Cost::default());
        assert!(ledger.begin(cost(2.0)).is_err());
        assert_eq!(ledger.close(), cost(4.0));
    }

    #[test]
    fn a_cap_that_allows_no_call_at_all_is_an_error() {
        let mut ledger = Ledger::new(Caps { calls: Some(0), ..Caps::default() }, Caps::default());
        ledger.open(Cost::default());
        assert!(matches!(ledger.begin(cost(1.0)), Err(ProposerError::Fatal(_))));
    }
}
