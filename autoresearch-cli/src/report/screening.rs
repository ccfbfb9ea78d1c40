//! What the report says of short runs.

use std::fmt::Write as _;
use std::time::Duration;

use autoresearch_core::State;
use autoresearch_core::results::{Agreement, screened};

use super::duration;

/// A few lines, or nothing where nothing was screened.
pub fn screening(state: &State) -> String {
    let Some(found) = screened(state) else { return String::new() };
    let mut text = format!(
        "{} screened out after short runs, {} promoted, {} promoted as controls",
        found.out, found.passed, found.controls
    );
    for (count, what) in [
        (found.unscreened, "not screened, since the incumbent gave no number in a short run"),
        (found.crashed, "crashed in a short run"),
        (found.second_looks, "had a longer second look"),
    ] {
        if count > 0 {
            let _ = write!(text, "; {count} {what}");
        }
    }
    let time = |seconds: f64| duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let _ = match found.saved_seconds {
        saved if saved >= 0.0 => writeln!(text, "; about {} saved", time(saved)),
        lost => writeln!(text, "; it took {} more than it saved", time(-lost)),
    };
    for agreement in &found.agreement {
        let _ = writeln!(text, "{}", agrees(agreement));
    }
    text
}

fn agrees(agreement: &Agreement) -> String {
    let Agreement { fidelity, pairs, controls, correlation, .. } = *agreement;
    let share = format!("{} % of the budget", (fidelity * 1e5).round() / 1e3);
    let Some(correlation) = correlation else {
        return format!(
            "at {share} nothing can be said of the rank correlation with the full budget: too few pairs, n = {pairs}"
        );
    };
    let mut text = format!(
        "at {share} the rank correlation with the full budget is {correlation:.2} (Spearman, of gains; n = {pairs})"
    );
    if controls == 0 {
        text.push_str("; no candidate that failed is among them, so it holds only for those that passed");
    }
    if agreement.misleads() {
        text.push_str(
            "; screening at this share misleads: what is better there is rarely better on the full budget. Give a larger \
             share, or leave the screening out",
        );
    }
    text
}
