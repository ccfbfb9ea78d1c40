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
mod tests;
