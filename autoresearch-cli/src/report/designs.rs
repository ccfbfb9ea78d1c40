//! The section of the report on factorial designs.

use std::fmt::Write as _;

use autoresearch_agents::design::{Alias, Analysis, Effect, Step, analyses};
use autoresearch_core::{Direction, State};

use super::line::escape_cell;
use crate::text::{signed, significant};

/// The most effects that are named where several share a number.
const NAMED: usize = 4;

/// Formats the measured points and a table of the effects of each design; empty where there was no design.
pub fn designs(state: &State) -> String {
    let Some(header) = &state.header else { return String::new() };
    let tell = |analysis: &Analysis| section(analysis, &header.metric, header.direction);
    analyses(state).iter().map(tell).collect::<Vec<_>>().join("\n")
}

fn section(analysis: &Analysis, metric: &str, direction: Direction) -> String {
    let factors: Vec<String> =
        analysis.factors.iter().map(|(factor, levels)| format!("{factor} ({})", levels.join(", "))).collect();
    let mut text = format!(
        "The design `{}` over {}: {} points have a score",
        analysis.name,
        factors.join(", "),
        analysis.measured
    );
    for (count, what) in
        [(analysis.crashed, "crashed"), (analysis.without, "have none yet, or none on the full budget")]
    {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text.push_str(".\n");
    if analysis.blocks > 1 {
        let _ = writeln!(
            text,
            "The incumbent moved by other changes meanwhile, or the machine is another one: the points lie in {} blocks, and \
             each is compared only with those of its own block.",
            analysis.blocks
        );
    }
    let _ = match (analysis.sigma, analysis.by_residual) {
        (Some(sigma), false) => {
            writeln!(text, "The errors are those of single trials that differ by {sigma:.2e} (standard deviation).")
        }
        (Some(sigma), true) => writeln!(
            text,
            "Nothing was measured twice: the errors are by what main effects and interactions of two leave over ({sigma:.2e})."
        ),
        (None, _) => writeln!(text, "Nothing was measured twice: how large the errors are is not known."),
    };
    if analysis.effects.is_empty() {
        let _ = writeln!(text, "No effect can be told from these points yet.");
        return text;
    }
    text.push_str("\n| effect | what it does | not told apart from |\n|---|---|---|\n");
    for effect in &analysis.effects {
        let names: Vec<&str> = effect.of.iter().map(|step| step.factor.as_str()).collect();
        let cells = [names.join(" × "), words(effect, metric, direction), aliases(&effect.aliases)];
        let _ = writeln!(text, "| {} |", cells.map(|cell| escape_cell(&cell)).join(" | "));
    }
    if !analysis.unknown.is_empty() {
        let names: Vec<String> = analysis.unknown.iter().map(|of| of.join(" × ")).collect();
        let _ = writeln!(text, "\nNot told by these points: {}.", some(&names));
    }
    text
}

/// `raising LR from 0.02 to 0.04 lowers val_bpb by 0.012000 ± 0.003000 (better)`
fn words(effect: &Effect, metric: &str, direction: Direction) -> String {
    let error =
        |factor: f64| effect.error.map(|error| format!(" ± {}", significant(factor * error))).unwrap_or_default();
    match &effect.of[..] {
        [step] => {
            let size = effect.estimate;
            let worth = match (size > 0.0, direction) {
                _ if size == 0.0 => "",
                (true, Direction::Maximise) | (false, Direction::Minimise) => " (better)",
                _ => " (worse)",
            };
            let verb = if size > 0.0 { "raises" } else { "lowers" };
            format!("{} {verb} {metric} by {}{}{worth}", change(step), significant(size.abs()), error(1.0))
        }
        // An interaction is half of what one step adds to the effect of the other.
        [first, second] => format!(
            "with {} at {} instead of {}, {} changes {metric} by {}{} more",
            second.factor,
            second.to,
            second.from,
            change(first),
            signed(2.0 * effect.estimate),
            error(2.0)
        ),
        _ => String::new(),
    }
}

fn change(Step { factor, from, to, .. }: &Step) -> String {
    let number = |text: &str| text.replace('_', "").parse::<f64>();
    let verb = if number(from).is_ok() && number(to).is_ok() { "raising" } else { "changing" };
    format!("{verb} {factor} from {from} to {to}")
}

fn aliases(aliases: &[Alias]) -> String {
    let name = |alias: &Alias| {
        let of = alias.of.join(" × ");
        match alias.part {
            part if (part - 1.0).abs() < 1e-6 => of,
            part if (part + 1.0).abs() < 1e-6 => format!("−{of}"),
            part => format!("{part:+.2} of {of}"),
        }
    };
    some(&aliases.iter().map(name).collect::<Vec<_>>())
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{example, records, replay};
    use autoresearch_core::internal::Design;
    use autoresearch_core::internal::journal::Record;
    use autoresearch_core::{Patch, Revision};

    /// The run of a two by two design, whose baseline is its first point.
    fn state() -> State {
        let mut records = records(&[("baseline", Some(1.5)), ("a", Some(1.6)), ("b", Some(1.7)), ("c", Some(1.55))]);
        let levels = [("0.02", "4"), ("0.04", "4"), ("0.02", "6"), ("0.04", "6")];
        let mut first = None;
        for record in &mut records {
            let Record::Staged(staged) = record else { continue };
            let (lr, depth) = levels[staged.experiment.0 as usize];
            let baseline: &Revision = first.get_or_insert(staged.candidate.revision.clone());
            if !staged.experiment.is_baseline() {
                staged.parent = Some(baseline.clone());
                let mut patch = Patch { edits: Vec::new() };
                for (name, from, to) in [("LR", "0.02", lr), ("DEPTH", "4", depth)].iter().filter(|(_, a, b)| a != b) {
                    let line = |value: &str| format!("const {name}: f64 = {value};");
                    patch.edits.extend(Patch::replace("a.rs", line(from), line(to)).edits);
                }
                staged.change = serde_json::to_value(patch).unwrap();
                let levels = [("LR".to_owned(), lr.to_owned()), ("DEPTH".to_owned(), depth.to_owned())].into();
                staged.design = Some(Box::new(Design { name: "pair".into(), levels }));
            }
        }
        replay(records)
    }

    #[test]
    fn effects_are_told_in_words_with_the_way_that_is_better() {
        let text = designs(&state());
        for line in [
            "The design `pair` over DEPTH (4, 6), LR (0.02, 0.04): 4 points have a score.",
            "how large the errors are is not known",
            "| LR | raising LR from 0.02 to 0.04 lowers val_bpb by 0.025000 (better) |  |",
            "| DEPTH | raising DEPTH from 4 to 6 raises val_bpb by 0.075000 (worse) |  |",
            "| DEPTH × LR | with LR at 0.04 instead of 0.02, raising DEPTH from 4 to 6 changes val_bpb by -0.250000 more |  |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let report = crate::report::markdown(&state(), &[], "t", "p");
        assert!(report.contains("## Designs") && report.contains(&text), "{report}");
        assert!(crate::report::terminal(&state()).contains(&text));
        assert_eq!(designs(&example()), "");
    }
}
