//! The cost of each keep: all that was proposed since the keep before it.

use std::fmt::Write as _;

use autoresearch_core::{Cost, Experiment, State, Status};

use super::line::escape_cell;
use crate::text::clean_line;

/// All that was proposed up to a keep.
struct Share<'a> {
    /// The keep; `None` for what came after the last one.
    keep: Option<&'a Experiment>,
    experiments: usize,
    rejected: usize,
    cost: Cost,
}

/// The shares of all keeps but the baseline, and one for the proposals after them. Together they are all that was spent.
fn shares(state: &State) -> Vec<Share<'_>> {
    let empty = || Share { keep: None, experiments: 0, rejected: 0, cost: Cost::default() };
    let mut shares = Vec::new();
    let mut share = empty();
    let mut rejected = state.rejections.iter().peekable();
    for experiment in state.experiments.iter().skip(1) {
        while let Some(rejection) = rejected.next_if(|rejection| rejection.experiment <= experiment.id) {
            share.rejected += 1;
            share.cost = share.cost + rejection.cost;
        }
        share.experiments += 1;
        share.cost = share.cost + experiment.cost;
        if experiment.status == Status::Keep {
            shares.push(Share { keep: Some(experiment), ..std::mem::replace(&mut share, empty()) });
        }
    }
    for rejection in rejected {
        share.rejected += 1;
        share.cost = share.cost + rejection.cost;
    }
    for pending in state.pending() {
        share.cost = share.cost + pending.cost;
    }
    if share.experiments + share.rejected > 0 || share.cost != Cost::default() {
        shares.push(share);
    }
    shares
}

/// The cost of all proposals in one line; `None` if they cost nothing.
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

/// Formats the total and a line for each keep, for a terminal. Empty if nothing cost anything.
pub fn terminal(state: &State) -> String {
    let Some(total) = total(state) else { return String::new() };
    let mut text = format!("{total}\n");
    for Share { keep, experiments, rejected, cost } in shares(state) {
        let what = match keep {
            Some(keep) => format!("{:03} {}", keep.id, clean_line(&keep.description)),
            None => "since the last keep".to_owned(),
        };
        let rejected = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
        let _ = writeln!(
            text,
            "- {what}: {}, {} tokens ({}{rejected})",
            money(cost.dollars),
            cost.tokens,
            count(experiments, "experiment")
        );
    }
    text + "\n"
}

/// Formats the same as a table, for a file.
pub fn markdown(state: &State) -> String {
    let Some(total) = total(state) else { return String::new() };
    let mut text = format!(
        "\n## Cost of the keeps\n\n{total}. A keep has cost whatever was proposed since the one before it.\n\n\
         | keep | change | experiments | rejected | calls | tokens | cost |\n|---|---|---|---|---|---|---|\n"
    );
    for Share { keep, experiments, rejected, cost: Cost { tokens, dollars, calls } } in shares(state) {
        let (id, change) = match keep {
            Some(keep) => (format!("{:03}", keep.id), escape_cell(&keep.description)),
            None => ("-".to_owned(), "since the last keep".to_owned()),
        };
        let dollars = money(dollars);
        let _ = writeln!(text, "| {id} | {change} | {experiments} | {rejected} | {calls} | {tokens} | {dollars} |");
    }
    text
}

/// Formats US dollars with cents, and below one dollar with hundredths of them.
fn money(dollars: f64) -> String {
    if dollars >= 1.0 { format!("${dollars:.2}") } else { format!("${dollars:.4}") }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{records, run_of};
    use autoresearch_core::ExperimentId;
    use autoresearch_core::Journal;
    use autoresearch_core::internal::journal::Record;

    /// A run in which every experiment cost the same, with two rejections: one before the first keep, one at the end.
    fn paid() -> State {
        let mut journal = Journal::in_memory();
        let cost = Cost { tokens: 100, dollars: 0.25, calls: 2 };
        let rejection = Record::Rejected {
            description: "x".into(),
            reason: "y".into(),
            change: serde_json::Value::Null,
            cost: Cost { tokens: 10, dollars: 1.0, calls: 1 },
            proposer: String::new(),
        };
        let mut entries = Vec::new();
        let scores =
            [("baseline", Some(1.5)), ("no", Some(1.6)), ("a | b", Some(1.4)), ("yes", Some(1.3)), ("fails", None)];
        let records = records(&scores);
        for mut record in records {
            if let Record::Staged(staged) = &mut record
                && !staged.experiment.is_baseline()
            {
                staged.cost = cost;
                if staged.experiment == ExperimentId(2) {
                    entries.push(journal.append(rejection.clone()).unwrap());
                }
            }
            entries.push(journal.append(record).unwrap());
        }
        entries.push(journal.append(rejection).unwrap());
        State::replay(&entries).unwrap()
    }

    #[test]
    fn a_keep_costs_all_that_was_proposed_since_the_one_before() {
        let state = paid();
        assert_eq!(
            terminal(&state),
            "The proposals cost $3.00, 420 tokens in 10 calls; $1.50 for each of 2 keeps\n\
             - 002 a | b: $1.50, 210 tokens (2 experiments, 1 rejected)\n\
             - 003 yes: $0.2500, 100 tokens (1 experiment)\n\
             - since the last keep: $1.25, 110 tokens (1 experiment, 1 rejected)\n\n"
        );
        let text = markdown(&state);
        assert!(
            text.contains("| 002 | a \\| b | 2 | 1 | 5 | 210 | $1.50 |\n| 003 | yes | 1 | 0 | 2 | 100 | $0.2500 |"),
            "{text}"
        );
        assert!(text.contains("| - | since the last keep | 1 | 1 | 3 | 110 | $1.25 |\n"), "{text}");
        let all = shares(&state).iter().fold(Cost::default(), |all, share| all + share.cost);
        assert_eq!(all, state.cost);
        assert!(crate::report::terminal(&state).contains(&terminal(&state)));
        assert!(crate::report::markdown(&state, &[], "t", "p").contains(&text));
    }

    #[test]
    fn nothing_is_said_of_a_run_that_cost_nothing() {
        let state = run_of(&[("baseline", Some(1.5)), ("a", Some(1.4))]);
        assert_eq!((terminal(&state), markdown(&state)), (String::new(), String::new()));
    }
}
