//! The report of a wave to the lab: every proposal and every draft that came to nothing, each with its own cost.

use autoresearch_core::{Cost, Proposal, ProposerError, RejectedDraft, Wave};

use crate::text::shorten;

/// Reports the entries of a wave, each with its cost.
///
/// A draft that was paid for, or that the model itself failed to make, is an entry of the wave. A failure that cost nothing is
/// an error of the whole wave if nothing else came of it, so that the lab backs off and asks again. An error that ends the run
/// waits in `end` until the costs beside it are journaled.
pub(crate) fn report_wave(
    made: Vec<(Result<Proposal, ProposerError>, Cost)>,
    end: &mut Option<ProposerError>,
) -> Result<Wave, ProposerError> {
    let (mut wave, mut unpaid): (Wave, Vec<ProposerError>) = Default::default();
    for (result, cost) in made {
        match result {
            Ok(proposal) => wave.push(Ok(Proposal { cost, ..proposal })),
            Err(ProposerError::Rejected(draft)) => {
                wave.push(Err(RejectedDraft::new(draft.description, draft.reason, cost)));
            }
            Err(error) => {
                if cost != Cost::default() {
                    wave.push(Err(RejectedDraft::new("no proposal", shorten(&error.to_string()), cost)));
                }
                unpaid.push(error);
            }
        }
    }
    // The error that says most about the next step.
    let severity = |error: &ProposerError| match error {
        ProposerError::Fatal(_) => 2,
        ProposerError::Transient(_) => 1,
        _ => 0,
    };
    let worst = unpaid.into_iter().max_by_key(severity);
    if wave.is_empty() {
        return Err(worst.unwrap_or_else(|| ProposerError::Transient("nothing was proposed".into())));
    }
    *end = worst.filter(|error| matches!(error, ProposerError::Fatal(_)));
    Ok(wave)
}

#[cfg(test)]
mod tests {
    use autoresearch_core::Patch;

    use super::*;

    fn cost(dollars: f64) -> Cost {
        Cost { tokens: 1, dollars, calls: 1 }
    }

    fn proposal() -> Result<Proposal, ProposerError> {
        Ok(Proposal::new(Patch::default(), "p"))
    }

    fn rejected(reason: &str) -> Result<Proposal, ProposerError> {
        Err(RejectedDraft::new("d", reason, Cost::default()).into())
    }

    #[test]
    fn a_rejected_draft_beside_a_proposal_keeps_its_record_and_its_cost() {
        let transient = || Err(ProposerError::Transient("cut".into()));
        let made =
            vec![(proposal(), cost(1.0)), (rejected("edits a forbidden file"), cost(2.0)), (transient(), cost(4.0))];
        let mut end = None;
        let wave = report_wave(made, &mut end).unwrap();
        let costs: Vec<f64> =
            wave.iter().map(|entry| entry.as_ref().map_or_else(|d| d.cost.dollars, |p| p.cost.dollars)).collect();
        assert_eq!(costs, [1.0, 2.0, 4.0]);
        let reasons: Vec<&str> = wave.iter().filter_map(|entry| Some(&*entry.as_ref().err()?.reason)).collect();
        assert_eq!(reasons, ["edits a forbidden file", "cut"]);
        assert!(end.is_none());
    }

    #[test]
    fn what_ends_the_run_waits_until_the_costs_are_journaled() {
        let fatal = || Err(ProposerError::Fatal("wrong key".into()));
        let mut end = None;
        let wave = report_wave(vec![(fatal(), cost(1.0))], &mut end).unwrap();
        assert!(matches!(&wave[..], [Err(draft)] if draft.cost == cost(1.0)));
        assert!(matches!(end, Some(ProposerError::Fatal(_))));
        let mut end = None;
        assert!(matches!(report_wave(vec![(fatal(), Cost::default())], &mut end), Err(ProposerError::Fatal(_))));
        let unpaid = vec![(Err(ProposerError::Transient("t".into())), Cost::default())];
        assert!(matches!(report_wave(unpaid, &mut end), Err(ProposerError::Transient(_))));
    }
}
