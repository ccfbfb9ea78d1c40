//! What may be spent, and what is: no call begins whose worst case goes beyond a cap.

use autoresearch_core::{Cost, ProposerError};
use serde::Deserialize;

/// Caps on what is spent. What is missing is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// US dollars.
    pub dollars: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Calls that led to a bill. For a night they count from the start of this process: the journal has no calls.
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
    /// The worst case of the call that is on its way.
    in_flight: Option<Cost>,
    calls: u64,
    night_calls: u64,
}

impl Ledger {
    pub fn new(proposal: Caps, night: Caps) -> Ledger {
        Ledger { proposal, night, ..Ledger::default() }
    }

    /// A proposal begins. What one before it spent and never reported, because it was dropped, is part of it.
    pub fn open(&mut self, journaled: Cost) {
        self.journaled = journaled;
        self.calls = 0;
        // Whether a dropped call is billed nobody knows: it counts as its worst case.
        if let Some(dropped) = self.in_flight.take() {
            self.add(dropped);
        }
    }

    /// The proposal is reported with its cost: the journal has it from now on.
    pub fn close(&mut self) -> Cost {
        let cost = std::mem::take(&mut self.spent);
        self.journaled = sum(self.journaled, cost);
        cost
    }

    /// Asks for leave to make a call that costs `worst` at most.
    pub fn begin(&mut self, worst: Cost) -> Result<(), ProposerError> {
        let here = self.spent;
        let night = sum(self.journaled, here);
        let over = |caps: &Caps, spent: Cost, calls: u64| {
            let dollars = caps.dollars.filter(|cap| spent.dollars + worst.dollars > *cap);
            let tokens = caps.tokens.filter(|cap| spent.tokens.saturating_add(worst.tokens) > *cap);
            let (left, of) = match (dollars, tokens, caps.calls.filter(|cap| calls >= *cap)) {
                (Some(cap), ..) => {
                    (format!("${:.4} of ${cap} are spent", spent.dollars), format!("${:.4}", worst.dollars))
                }
                (_, Some(cap), _) => {
                    (format!("{} of {cap} tokens are spent", spent.tokens), format!("{} tokens", worst.tokens))
                }
                (_, _, Some(cap)) => (format!("{calls} of {cap} calls are made"), "one".into()),
                _ => return None,
            };
            Some(format!("{left}, and the next call may take {of}"))
        };
        if let Some(why) = over(&self.night, night, self.night_calls) {
            return Err(ProposerError::Exhausted(format!(
                "the budget of the night does not allow another call: {why}"
            )));
        }
        if let Some(why) = over(&self.proposal, here, self.calls) {
            let why = format!("the budget of a proposal does not allow another call: {why}");
            // Nothing is spent and still it is not enough: no proposal will ever be made.
            return Err(if self.calls == 0 && here == Cost::default() {
                ProposerError::Fatal(format!("{why}; raise it, or lower max_tokens"))
            } else {
                ProposerError::Transient(why)
            });
        }
        self.in_flight = Some(worst);
        Ok(())
    }

    /// The call is over, and this is its bill, if there is one.
    pub fn end(&mut self, bill: Option<Cost>) {
        self.in_flight = None;
        if let Some(bill) = bill {
            self.add(bill);
            self.calls += 1;
            self.night_calls += 1;
        }
    }

    fn add(&mut self, cost: Cost) {
        self.spent = sum(self.spent, cost);
    }
}

fn sum(a: Cost, b: Cost) -> Cost {
    Cost { tokens: a.tokens.saturating_add(b.tokens), dollars: a.dollars + b.dollars }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(dollars: f64) -> Cost {
        Cost { tokens: (dollars * 1000.0) as u64, dollars }
    }

    #[test]
    fn no_call_begins_that_may_go_beyond_a_cap() {
        let night = Caps { dollars: Some(10.0), ..Caps::default() };
        let proposal = Caps { tokens: Some(2000), ..Caps::default() };
        let mut ledger = Ledger::new(proposal, night);
        ledger.open(cost(7.0));
        ledger.begin(cost(2.0)).unwrap();
        ledger.end(Some(cost(1.5)));
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
