//! The space of the annotated constants, and past experiments of any proposer as its points.

use std::collections::{HashMap, HashSet};

use autoresearch_core::{Context, Direction, Experiment, Patch, Program, ProposerError, Revision, Status};
use serde::Deserialize;

use crate::constants::{self, Site, Sources};

mod changes;

pub(crate) use changes::{Change, Changes, changes};

/// An experiment as a point of the space.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    /// Literal of each site, where it is known.
    pub values: Vec<Option<String>>,
    /// Loss, of which less is better; infinite for a crash.
    pub loss: f64,
}

/// Returns the constants with a range in the files, in the configuration or in the programme.
pub(crate) fn sites<'a>(sources: &Sources<'a>, program: &Program) -> Result<Vec<Site<'a>>, ProposerError> {
    let sites = constants::sites(sources, &program.knobs).map_err(|e| ProposerError::Fatal(e.to_string()))?;
    match sites.is_empty() {
        true => Err(ProposerError::Fatal(
            "no constant in the editable files has a range; write one behind a value, as in `lr = 0.04  # knob: log 0.01..0.1` or \
             `const LR: f64 = 0.04; // knob: log 0.01..0.1`, or in [knobs] by name: `lr = \"log 0.01..0.1\"`"
                .into(),
        )),
        false => Ok(sites),
    }
}

/// Returns the experiments whose point in the space is known at least in part, the baseline included.
///
/// A kept change of other code is taken to shift all scores alike: earlier scores count as better by that change's gain.
pub(crate) fn observations(
    context: &Context<'_, Patch>,
    sources: &Sources<'_>,
    sites: &[Site<'_>],
) -> Vec<Observation> {
    let lines = SideLines::of(context);
    let changes_of = |experiment: &Experiment| match Patch::deserialize(&experiment.change) {
        Ok(patch) => {
            let mut changes = changes(&patch, sources);
            // A constant outside the space is other code.
            changes.others |= !changes.are_of(sites);
            changes
        }
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
                false => set(sites, values, &changes_of(experiment), |change| change.old.clone()),
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
            changes.iter().for_each(|changes| set(sites, &mut here, changes, |change| Some(change.new.clone())));
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
    which: impl Fn(&Change) -> Option<String>,
) {
    for (site, value) in sites.iter().zip(values) {
        if let Some(change) = changes.of(site) {
            *value = which(&change);
        }
    }
}

#[cfg(test)]
mod tests;
