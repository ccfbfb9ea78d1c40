//! The space of the annotated constants, and past experiments of any proposer as its points.

use std::collections::{HashMap, HashSet};

use autoresearch_core::{Context, Direction, Experiment, FileEdit, Patch, ProposerError, Revision, Status};
use rand::{Rng, RngExt};
use serde::Deserialize;

use crate::constants::{Constant, Knob};

mod changes;

pub(crate) use changes::{Changes, changes};

/// One constant that may be changed, with its place and its range.
#[derive(Debug, Clone)]
pub(crate) struct Site<'a> {
    pub path: &'a str,
    /// Text of the file.
    pub source: &'a str,
    pub constant: Constant<'a>,
    pub knob: Knob,
}

/// An experiment as a point of the space.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    /// Literal of each site, where it is known.
    pub values: Vec<Option<String>>,
    /// Loss, of which less is better; infinite for a crash.
    pub loss: f64,
}

/// Returns the constants with a `knob:` range in the file or in the programme.
pub(crate) fn sites<'a>(context: &'a Context<'_, Patch>) -> Result<Vec<Site<'a>>, ProposerError> {
    let mut sites = Vec::new();
    let overridden = &context.program.knobs;
    for (path, source) in context.files.iter() {
        for constant in Constant::all(source) {
            let Some(range) = overridden.get(constant.name).map(String::as_str).or(constant.range) else {
                continue;
            };
            let knob = Knob::parse(constant.name, range).map_err(|e| ProposerError::Fatal(e.to_string()))?;
            sites.push(Site { path, source, constant, knob });
        }
    }
    if let Some(name) = overridden.keys().find(|name| !sites.iter().any(|site| site.constant.name == *name)) {
        return Err(ProposerError::Fatal(format!(
            "there is a range for {name}, in program.md or [knobs], but no editable file has a line `const {name}: … = …;`"
        )));
    }
    match sites.is_empty() {
        true => Err(ProposerError::Fatal(
            "no constant in the editable files has a range; annotate one: `const LR: f64 = 0.04; // knob: log 0.01..0.1`".into(),
        )),
        false => Ok(sites),
    }
}

impl Site<'_> {
    /// Returns the edit that gives the constant another literal. Where a longer line holds the same text, as one that is
    /// commented out does, the ends of the lines tell them apart.
    pub fn edit(&self, value: &str) -> FileEdit {
        let (line, new) = (self.constant.line, self.constant.line_with(value));
        // The line is a part of the source.
        let start = (line.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        let above = self.source.get(..start).unwrap_or_default();
        let below = self.source.get(start + line.len()..).unwrap_or_default();
        let is_it_alone = |(before, after): &(&str, &str)| {
            let stands_here = above.ends_with(before) && below.starts_with(after);
            stands_here && self.source.matches(&format!("{before}{line}{after}")).count() == 1
        };
        let around = [("", ""), ("\n", ""), ("", "\n"), ("\n", "\n")].into_iter().find(is_it_alone);
        let (before, after) = around.unwrap_or_default();
        FileEdit::Replace {
            path: self.path.to_owned(),
            search: format!("{before}{line}{after}"),
            replace: format!("{before}{new}{after}"),
        }
    }
}

impl Knob {
    /// Returns the ends of the numbers that stand for its values, the second one excluded: logarithms for `log`, places in
    /// the list for choices.
    pub(crate) fn ends(&self) -> (f64, f64) {
        match self {
            Knob::Log(low, high) => (low.ln(), high.ln()),
            Knob::Lin(low, high) => (*low, *high),
            Knob::Int(low, high) => (*low as f64, *high as f64 + 1.0),
            Knob::Choice(choices) => (0.0, choices.len() as f64),
        }
    }

    /// Returns the number that stands for a literal, if it lies in the range.
    pub(crate) fn number(&self, literal: &str) -> Option<f64> {
        let literal = literal.replace('_', "");
        let (low, high) = self.ends();
        let number = match self {
            // The upper end belongs to the range and not to the numbers that stand for it.
            Knob::Log(..) => literal.parse::<f64>().ok()?.ln().min(high - (high - low) * 1e-9),
            Knob::Lin(..) => literal.parse::<f64>().ok().filter(|v| *v <= high)?.min(high - (high - low) * 1e-9),
            Knob::Int(..) => literal.parse::<i64>().ok()? as f64 + 0.5,
            Knob::Choice(choices) => choices.iter().position(|c| c.replace('_', "") == literal)? as f64 + 0.5,
        };
        (low..high).contains(&number).then_some(number)
    }

    /// Returns the literal that a number stands for.
    pub(crate) fn literal(&self, number: f64) -> String {
        match self {
            Knob::Log(low, high) => float(number.exp().clamp(*low, *high), *low, *high),
            Knob::Lin(low, high) => float(number.clamp(*low, *high), *low, *high),
            Knob::Int(low, high) => (number.floor() as i64).clamp(*low, *high).to_string(),
            Knob::Choice(choices) => {
                let at = (number.max(0.0) as usize).min(choices.len().saturating_sub(1));
                choices.get(at).cloned().unwrap_or_default()
            }
        }
    }

    /// Draws a literal from the whole range, uniform in the numbers that stand for its values.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> String {
        let (low, high) = self.ends();
        self.literal(low + rng.random::<f64>() * (high - low))
    }
}

/// Returns a Rust float literal with two significant digits within the range: finer steps drown in the noise.
pub(crate) fn float(value: f64, low: f64, high: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let text = rounded.clamp(low, high).to_string();
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

/// Returns the experiments whose point in the space is known at least in part, the baseline included.
///
/// A kept change of other code is taken to shift all scores alike: earlier scores count as better by that change's gain.
pub(crate) fn observations(context: &Context<'_, Patch>, sites: &[Site<'_>]) -> Vec<Observation> {
    let lines = SideLines::of(context);
    let changes_of = |experiment: &Experiment| match Patch::deserialize(&experiment.change) {
        Ok(patch) => changes(&patch, &context.files),
        // A change that cannot be read may have changed anything; the baseline changed nothing.
        Err(_) => Changes { others: experiment.parent.is_some(), ..Changes::default() },
    };
    let unreadable =
        |experiment: &Experiment| experiment.parent.is_some() && Patch::deserialize(&experiment.change).is_err();
    let sign = if context.direction == Direction::Minimise { 1.0 } else { -1.0 };
    let mut values: Vec<Option<String>> = sites.iter().map(|site| Some(site.constant.value.to_owned())).collect();
    let mut shift = 0.0;
    let undo = |values: &mut Vec<Option<String>>, line: &[&Experiment]| {
        for experiment in line.iter().rev() {
            match unreadable(experiment) {
                true => values.iter_mut().for_each(|value| *value = None),
                false => set(sites, values, &changes_of(experiment), |(old, _)| old.clone()),
            }
        }
    };
    // On an excursion the files are those of its tip.
    undo(&mut values, &lines.up_to(&context.incumbent));
    // With the sacrifices that it was made on: together they are its change of the incumbent.
    let line_of =
        |experiment: &'_ Experiment| experiment.parent.as_ref().map_or(Vec::new(), |parent| lines.up_to(parent));
    // Each state of the lineage. Backwards, since the values are known now: every kept change says what stood there before it.
    let mut states = HashMap::new();
    for experiment in context.experiments.iter().rev().filter(|experiment| experiment.status == Status::Keep) {
        let here = (values.clone(), shift);
        states.insert(&experiment.candidate.revision, here.clone());
        states.insert(experiment.revision(), here);
        let mut line = line_of(experiment);
        line.push(experiment);
        if line.iter().any(|experiment| changes_of(experiment).others) {
            let gain = experiment.before.zip(experiment.score()).map(|(a, b)| context.direction.gain(a, b));
            shift += gain.unwrap_or(0.0);
        }
        undo(&mut values, &line);
        if experiment.conflict.is_some() {
            // It replaced more than its own change says.
            values.iter_mut().for_each(|value| *value = None);
        }
    }
    let mut found = Vec::new();
    for experiment in context.experiments {
        let mut line = line_of(experiment);
        line.push(experiment);
        let changes: Vec<Changes> = line.iter().map(|experiment| changes_of(experiment)).collect();
        let others = changes.iter().any(|changes| changes.others);
        let kept = experiment.status == Status::Keep;
        // Its base may be older than the incumbent that it was compared with.
        let from =
            if kept { Some(experiment.revision()) } else { line.first().and_then(|first| first.parent.as_ref()) };
        let Some((values, shift)) = from.and_then(|from| states.get(from)) else { continue };
        let loss = match (experiment.score(), experiment.status) {
            (_, Status::Crash) => Some(f64::INFINITY),
            (score, _) => score.map(|score| sign * score.get() - shift),
        };
        let mut here = values.clone();
        if !kept {
            changes.iter().for_each(|changes| set(sites, &mut here, changes, |(_, new)| Some(new.clone())));
        }
        if let Some(loss) = loss.filter(|_| !others && here.iter().any(Option::is_some)) {
            found.push(Observation { values: here, loss });
        }
    }
    found
}

/// Sacrifices of excursions by the revision that ran: experiments that others have as their base although they were not kept.
struct SideLines<'a>(HashMap<&'a Revision, &'a Experiment>);

impl<'a> SideLines<'a> {
    fn of(context: &Context<'a, Patch>) -> SideLines<'a> {
        let tips: HashSet<&Revision> = context.experiments.iter().filter_map(|e| e.parent.as_ref()).collect();
        let on_one = !context.sacrifices.is_empty();
        let sacrificed = context.experiments.iter().filter(|e| {
            let tip = &e.candidate.revision;
            e.status == Status::Discard && (tips.contains(tip) || (on_one && *tip == context.incumbent))
        });
        // Imported tables may name two commits alike; a revision of the lineage is on no side line.
        let kept: HashSet<&Revision> = context.experiments.iter().filter_map(|e| e.kept_as.as_ref()).collect();
        SideLines(sacrificed.map(|e| (&e.candidate.revision, e)).filter(|(tip, _)| !kept.contains(tip)).collect())
    }

    /// Returns the sacrifices between the lineage and a revision, in their order; none for a revision of the lineage.
    fn up_to(&self, revision: &Revision) -> Vec<&'a Experiment> {
        let first = self.0.get(revision).copied();
        let parent = |e: &&'a Experiment| self.0.get(e.parent.as_ref()?).copied().filter(|before| before.id < e.id);
        let mut line: Vec<&Experiment> = std::iter::successors(first, parent).collect();
        line.reverse();
        line
    }
}

fn set(
    sites: &[Site<'_>],
    values: &mut [Option<String>],
    changes: &Changes,
    which: impl Fn(&(Option<String>, String)) -> Option<String>,
) {
    for (site, value) in sites.iter().zip(values) {
        if let Some(change) = changes.constants.get(site.constant.name) {
            *value = which(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use x;\nconst LR: f64 = 0.04; // knob: log 0.01..0.1\nconst DEPTH: i64 = 8; // knob: int 1..16\nfn f() { g(1) }\n";

    #[test]
    fn literals_and_numbers_are_the_same_points() {
        for (range, literal) in [
            ("log 0.01..0.1", "0.1"),
            ("log 0.01..0.1", "0.01"),
            ("lin 0..1", "1.0"),
            ("lin 0..1", "0.0"),
            ("int 1..8", "8"),
            ("{4, 8, 1_6}", "1_6"),
        ] {
            let knob = Knob::parse("A", range).unwrap();
            assert_eq!(knob.literal(knob.number(literal).unwrap()), literal, "{range}");
        }
        assert_eq!(Knob::Int(1, 8).number("9"), None);
        assert_eq!(Knob::Lin(0.0, 1.0).number("1.5"), None);
    }

    #[test]
    fn a_constant_is_told_apart_from_one_that_is_commented_out() {
        use autoresearch_core::{EditablePaths, Patch};
        let line = "const A: i64 = 5; // knob: int 1..9";
        for source in
            [format!("// {line}\n{line}\nend\n"), format!("{line}\n{line} or not\n"), format!("x\n{line}\n# {line}")]
        {
            let constant = Constant::all(&source).next().unwrap();
            let site = Site { path: "a", source: &source, constant, knob: Knob::Int(1, 9) };
            let files = [("a".to_owned(), source.clone())].into();
            let patched = Patch { edits: vec![site.edit("7")] }.applied_to(&files, &EditablePaths::new(["a"])).unwrap();
            let expected = source.lines().map(|old| if old == line { old.replace("= 5", "= 7") } else { old.into() });
            assert!(patched["a"].lines().eq(expected), "{source}: {}", patched["a"]);
        }
    }

    /// A run that kept LR 0.04 -> 0.02, lost with DEPTH 8 -> 4, kept a change of other code, crashed with
    /// LR 0.02 -> 0.1, and rewrote the file with DEPTH 8 -> 9; the files are those of its end.
    #[test]
    fn experiments_of_whatever_proposer_are_points() {
        use autoresearch_core::internal::journal::Record;
        use autoresearch_core::internal::{import, journal};
        use autoresearch_core::{Journal, Program, Revision, State};
        let table = "commit\tval\tstatus\na\t1.0\tkeep\nb\t0.9\tkeep\nc\t0.95\tdiscard\nd\t0.7\tkeep\ne\t\tcrash\nf\t0.8\tdiscard\n";
        let line = |name: &str, kind: &str, value: &str| format!("const {name}: {kind} = {value};");
        let lr = |from: &str, to: &str| Patch::replace("a.rs", line("LR", "f64", from), line("LR", "f64", to));
        let today = SOURCE.replace("0.04", "0.02").replace("g(1)", "g(2)");
        let text = today.replace("= 8", "= 9");
        let patches = [
            lr("0.04", "0.02"),
            Patch::replace("a.rs", line("DEPTH", "i64", "8"), line("DEPTH", "i64", "4")),
            Patch::replace("a.rs", "g(1)", "g(2)"),
            lr("0.02", "0.1"),
            Patch { edits: vec![FileEdit::Write { path: "a.rs".into(), text }] },
        ];
        let mut records = import::parse(table, None).records("x", Direction::Minimise);
        for record in &mut records {
            if let Record::Staged(journal::StagedExperiment { experiment: at @ 1.., change, .. }) = record {
                *change = serde_json::to_value(&patches[*at as usize - 1]).unwrap();
            }
        }
        let mut journal = Journal::in_memory();
        let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
        let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
        let files = std::sync::Arc::new([("a.rs".to_owned(), today)].into());
        let context = Context::new(&program, &state, files).unwrap();
        assert_eq!(context.incumbent, Revision("d".into()));
        let sites = sites(&context).unwrap();
        let found: Vec<(Vec<String>, f64)> = observations(&context, &sites)
            .into_iter()
            .map(|o| (o.values.into_iter().flatten().collect(), (o.loss * 1e6).round() / 1e6))
            .collect();
        // The change of other code gained 0.2, which everything before it is credited with.
        let expected = [
            ("0.04", "8", 0.8),
            ("0.02", "8", 0.7),
            ("0.02", "4", 0.75),
            ("0.1", "8", f64::INFINITY),
            ("0.02", "9", 0.8),
        ];
        let expected = expected.map(|(lr, depth, loss)| (vec![lr.to_owned(), depth.to_owned()], loss));
        assert_eq!(found, expected);
    }

    /// LR 0.04 -> 0.02 is kept while DEPTH 8 -> 4 runs, which was made from the baseline as well.
    #[test]
    fn an_experiment_on_a_former_incumbent_has_the_values_of_that() {
        use autoresearch_core::internal::journal::Record;
        use autoresearch_core::internal::{import, journal};
        use autoresearch_core::{Journal, Program, State};
        let table = "commit\tval\tstatus\na\t1.0\tkeep\nb\t0.9\tkeep\nc\t0.95\tdiscard\n";
        let set = |name: &str, kind: &str, from: &str, to: &str| {
            let line = |value: &str| format!("const {name}: {kind} = {value};");
            serde_json::to_value(Patch::replace("a.rs", line(from), line(to))).unwrap()
        };
        let mut records = import::parse(table, None).records("x", Direction::Minimise);
        for record in &mut records {
            match record {
                Record::Staged(journal::StagedExperiment { experiment: 1, change, .. }) => {
                    *change = set("LR", "f64", "0.04", "0.02")
                }
                Record::Staged(journal::StagedExperiment { experiment: 2, change, parent, .. }) => {
                    (*change, *parent) = (set("DEPTH", "i64", "8", "4"), Some(Revision("a".into())));
                }
                _ => {}
            }
        }
        let mut journal = Journal::in_memory();
        let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
        let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
        let today = SOURCE.replace("0.04", "0.02");
        let context = Context::new(&program, &state, std::sync::Arc::new([("a.rs".to_owned(), today)].into())).unwrap();
        let sites = sites(&context).unwrap();
        let found: Vec<Vec<String>> =
            observations(&context, &sites).into_iter().map(|o| o.values.into_iter().flatten().collect()).collect();
        assert_eq!(found, [["0.04", "8"], ["0.02", "8"], ["0.04", "4"]]);
    }

    /// DEPTH 8 -> 4 is sacrificed; on it LR 0.04 -> 0.02 fails and LR 0.04 -> 0.08 is kept, with the sacrifice; then the next
    /// excursion sacrifices DEPTH 4 -> 2.
    #[test]
    fn experiments_on_side_lines_are_points_with_their_sacrifices() {
        use autoresearch_core::internal::journal::ExcursionStep;
        use autoresearch_core::internal::journal::Record;
        use autoresearch_core::internal::{import, journal};
        use autoresearch_core::{Journal, Program, State};
        let table =
            "commit\tval\tstatus\na\t1.0\tkeep\nb\t1.1\tdiscard\nc\t1.2\tdiscard\nd\t0.9\tkeep\ne\t0.95\tdiscard\n";
        let set = |name: &str, kind: &str, from: &str, to: &str| {
            let line = |value: &str| format!("const {name}: {kind} = {value};");
            serde_json::to_value(Patch::replace("a.rs", line(from), line(to))).unwrap()
        };
        let patches = [
            set("DEPTH", "i64", "8", "4"),
            set("LR", "f64", "0.04", "0.02"),
            set("LR", "f64", "0.04", "0.08"),
            set("DEPTH", "i64", "4", "2"),
        ];
        let mut records = import::parse(table, None).records("x", Direction::Minimise);
        for record in &mut records {
            match record {
                Record::Staged(journal::StagedExperiment { experiment: at @ 1.., change, parent, .. }) => {
                    *change = patches[*at as usize - 1].clone();
                    if let 2 | 3 = at {
                        *parent = Some(Revision("b".into()));
                    }
                }
                Record::Decided(journal::Decision { experiment: 1 | 4, excursion, .. }) => {
                    *excursion = Some(ExcursionStep::Sacrifice)
                }
                _ => {}
            }
        }
        let mut journal = Journal::in_memory();
        let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
        let (state, program) = (State::replay(&entries).unwrap(), Program::parse("Lower it.").unwrap());
        let today = SOURCE.replace("0.04", "0.08").replace("= 8", "= 2");
        let context = Context::new(&program, &state, std::sync::Arc::new([("a.rs".to_owned(), today)].into())).unwrap();
        assert_eq!(
            (&context.incumbent, context.score.get(), context.to_beat.get()),
            (&Revision("e".into()), 0.95, 0.9)
        );
        let sites = sites(&context).unwrap();
        let found: Vec<(Vec<String>, f64)> = observations(&context, &sites)
            .into_iter()
            .map(|o| (o.values.into_iter().flatten().collect(), o.loss))
            .collect();
        let expected =
            [("0.04", "8", 1.0), ("0.04", "4", 1.1), ("0.02", "4", 1.2), ("0.08", "4", 0.9), ("0.08", "2", 0.95)];
        assert_eq!(found, expected.map(|(lr, depth, loss)| (vec![lr.to_owned(), depth.to_owned()], loss)));
    }
}
