//! What each keep cost: everything that was proposed since the one before it.

use std::fmt::Write as _;

use autoresearch_core::{Cost, Experiment, State, Status};

/// Everything that was proposed up to a keep.
struct Share<'a> {
    /// The keep; `None` for what came after the last one.
    keep: Option<&'a Experiment>,
    experiments: usize,
    refused: usize,
    cost: Cost,
}

/// The shares of all keeps but the baseline, and what came after them. Together they are all that was spent.
fn shares(state: &State) -> Vec<Share<'_>> {
    let empty = || Share { keep: None, experiments: 0, refused: 0, cost: Cost::default() };
    let mut shares = Vec::new();
    let mut share = empty();
    let mut refused = state.rejections.iter().peekable();
    for experiment in state.experiments.iter().skip(1) {
        while let Some(rejection) = refused.next_if(|rejection| rejection.experiment <= experiment.id) {
            share.refused += 1;
            share.cost = share.cost.plus(rejection.cost);
        }
        share.experiments += 1;
        share.cost = share.cost.plus(experiment.cost);
        if experiment.status == Status::Keep {
            shares.push(Share { keep: Some(experiment), ..std::mem::replace(&mut share, empty()) });
        }
    }
    for rejection in refused {
        share.refused += 1;
        share.cost = share.cost.plus(rejection.cost);
    }
    for pending in state.pending() {
        share.cost = share.cost.plus(pending.cost);
    }
    if share.experiments + share.refused > 0 || share.cost != Cost::default() {
        shares.push(share);
    }
    shares
}

/// What all proposals cost, in one line; `None` if they cost nothing.
fn total(state: &State) -> Option<String> {
    let Cost { tokens, dollars, calls } = state.cost;
    if state.cost == Cost::default() {
        return None;
    }
    let keeps = state.experiments.iter().skip(1).filter(|experiment| experiment.status == Status::Keep).count();
    let each = match keeps {
        0 => String::new(),
        keeps => format!("; {} for each of {}", money(dollars / keeps as f64), count(keeps, "keep")),
    };
    let calls = if calls > 0 { format!(" in {}", count(calls as usize, "call")) } else { String::new() };
    Some(format!("The proposals cost {}, {tokens} tokens{calls}{each}", money(dollars)))
}

/// For a terminal: the total, and a line for each keep. Empty if nothing cost anything.
pub fn terminal(state: &State) -> String {
    let Some(total) = total(state) else { return String::new() };
    let mut text = format!("{total}\n");
    for Share { keep, experiments, refused, cost } in shares(state) {
        let what = match keep {
            Some(keep) => format!("{:03} {}", keep.id, keep.description),
            None => "since the last keep".to_owned(),
        };
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        let _ = writeln!(
            text,
            "- {what}: {}, {} tokens ({}{refused})",
            money(cost.dollars),
            cost.tokens,
            count(experiments, "experiment")
        );
    }
    text + "\n"
}

/// For a file: the same as a table.
pub fn markdown(state: &State) -> String {
    let Some(total) = total(state) else { return String::new() };
    let mut text = format!(
        "\n## What the keeps cost\n\n{total}. A keep has cost whatever was proposed since the one before it.\n\n\
         | keep | change | experiments | refused | calls | tokens | cost |\n|---|---|---|---|---|---|---|\n"
    );
    for Share { keep, experiments, refused, cost: Cost { tokens, dollars, calls } } in shares(state) {
        let (id, change) = match keep {
            Some(keep) => (format!("{:03}", keep.id), keep.description.replace('\\', "\\\\").replace('|', "\\|")),
            None => ("-".to_owned(), "since the last keep".to_owned()),
        };
        let dollars = money(dollars);
        let _ = writeln!(text, "| {id} | {change} | {experiments} | {refused} | {calls} | {tokens} | {dollars} |");
    }
    text
}

/// US dollars: cents, and below one dollar hundredths of them.
fn money(dollars: f64) -> String {
    if dollars >= 1.0 { format!("${dollars:.2}") } else { format!("${dollars:.4}") }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::night;
    use autoresearch_core::Journal;
    use autoresearch_core::journal::{Record, StagedExperiment};

    /// A night in which every experiment cost the same, with two refusals: one before the first keep, one at the end.
    fn paid() -> State {
        let mut journal = Journal::in_memory();
        let cost = Cost { tokens: 100, dollars: 0.25, calls: 2 };
        let refusal = Record::Rejected {
            description: "x".into(),
            reason: "y".into(),
            change: serde_json::Value::Null,
            cost: Cost { tokens: 10, dollars: 1.0, calls: 1 },
            proposer: String::new(),
        };
        let mut entries = Vec::new();
        let scores =
            [("baseline", Some(1.5)), ("no", Some(1.6)), ("a | b", Some(1.4)), ("yes", Some(1.3)), ("fails", None)];
        let records = crate::report::tests::records(&scores);
        for mut record in records {
            if let Record::Staged(StagedExperiment { experiment, cost: place, .. }) = &mut record
                && *experiment > 0
            {
                *place = cost;
                if *experiment == 2 {
                    entries.push(journal.append(refusal.clone()).unwrap());
                }
            }
            entries.push(journal.append(record).unwrap());
        }
        entries.push(journal.append(refusal).unwrap());
        State::replay(&entries).unwrap()
    }

    #[test]
    fn a_keep_costs_all_that_was_proposed_since_the_one_before() {
        let state = paid();
        assert_eq!(
            terminal(&state),
            "The proposals cost $3.00, 420 tokens in 10 calls; $1.50 for each of 2 keeps\n\
             - 002 a | b: $1.50, 210 tokens (2 experiments, 1 refused)\n\
             - 003 yes: $0.2500, 100 tokens (1 experiment)\n\
             - since the last keep: $1.25, 110 tokens (1 experiment, 1 refused)\n\n"
        );
        let text = markdown(&state);
        assert!(
            text.contains("| 002 | a \\| b | 2 | 1 | 5 | 210 | $1.50 |\n| 003 | yes | 1 | 0 | 2 | 100 | $0.2500 |"),
            "{text}"
        );
        assert!(text.contains("| - | since the last keep | 1 | 1 | 3 | 110 | $1.25 |\n"), "{text}");
        let all = shares(&state).iter().fold(Cost::default(), |all, share| all.plus(share.cost));
        assert_eq!(all, state.cost);
        assert!(crate::report::terminal(&state).contains(&terminal(&state)));
        assert!(crate::report::markdown(&state, "t", "p").contains(&text));
    }

    #[test]
    fn nothing_is_said_of_a_night_that_cost_nothing() {
        let state = night(&[("baseline", Some(1.5)), ("a", Some(1.4))]);
        assert_eq!((terminal(&state), markdown(&state)), (String::new(), String::new()));
    }
}
