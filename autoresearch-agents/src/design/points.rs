//! The points of a design in a journal: their levels, their code, and their measurements.

use std::collections::{BTreeMap, HashMap, HashSet};

use autoresearch_core::{Experiment, ExperimentId, Measurement, Patch, Revision, State, Status};
use serde::Deserialize;

use crate::constants::Sources;
use crate::space::{Change, changes};

/// Level of each factor.
pub(super) type Levels = BTreeMap<String, String>;

/// A measured point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub levels: Levels,
    /// Block of the points whose scores are comparable: the same code besides the factors, and the same machine.
    pub block: Block,
    /// Measurements, at least one.
    pub scores: Vec<f64>,
}

/// Experiment that made the common base of some points, and the machine.
pub(super) type Block = (ExperimentId, Option<String>);

/// The experiments of one design.
pub(super) struct Points<'a> {
    /// Experiments of the design in the order of their numbers.
    members: Vec<&'a Experiment>,
    /// Experiment that made a revision, by its candidate's revision and by its kept one.
    makers: HashMap<&'a Revision, &'a Experiment>,
    /// Experiments in flight.
    pending: HashSet<ExperimentId>,
    name: &'a str,
}

impl<'a> Points<'a> {
    pub fn new(name: &'a str, decided: &'a [Experiment], pending: impl Iterator<Item = &'a Experiment>) -> Points<'a> {
        let (mut members, mut makers) = (Vec::new(), HashMap::new());
        let pending: Vec<&Experiment> = pending.collect();
        for experiment in decided.iter().chain(pending.iter().copied()) {
            for revision in [Some(&experiment.candidate.revision), experiment.kept_as.as_ref()].into_iter().flatten() {
                makers.entry(revision).or_insert(experiment);
            }
            if experiment.design.as_ref().is_some_and(|design| design.name == name) {
                members.push(experiment);
            }
        }
        members.sort_by_key(|experiment| experiment.id);
        let pending = pending.iter().map(|experiment| experiment.id).collect();
        Points { members, makers, pending, name }
    }

    pub fn members(&self) -> &[&'a Experiment] {
        &self.members
    }

    /// Returns the points that need not be proposed again: measured, failed, or in flight.
    pub fn taken(&self) -> Vec<Levels> {
        self.members.iter().filter_map(|member| self.counts(member).map(|(levels, ..)| levels)).collect()
    }

    /// Returns the measured points, and their base where that is a point of the design itself.
    pub fn samples(&self, state: &State) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut roots: BTreeMap<ExperimentId, &Experiment> = BTreeMap::new();
        for member in &self.members {
            let Some((levels, parent, measured)) = self.counts(member) else { continue };
            let Some(root) = self.root(parent) else { continue };
            roots.insert(root.id, root);
            samples.extend(sample(levels, root.id, measured));
        }
        for root in roots.values() {
            let incumbent = state.incumbent.as_ref().filter(|incumbent| incumbent.experiment == root.id);
            let measured = incumbent.map_or(unbiased(root), |incumbent| &incumbent.arm.measurements);
            if let Some(levels) = self.levels(root) {
                samples.extend(sample(levels, root.id, measured));
            }
        }
        samples
    }

    /// Returns the levels, the base and the measurements of an experiment.
    ///
    /// An experiment that ended unmeasured, because its rebase would have repeated another one, counts for nothing. A rebased
    /// one counts with the measurements before its rebase; without any it counts with its new base, whose levels it has where
    /// its change leaves a factor alone.
    fn counts(&self, member: &'a Experiment) -> Option<(Levels, &'a Revision, &'a [Measurement])> {
        let design = member.design.as_ref()?;
        let given_up = !self.pending.contains(&member.id) && member.status == Status::Discard;
        if given_up && member.screening.is_none() && !is_measured(member) {
            return None;
        }
        match member.rebased.first() {
            None => Some((design.levels.clone(), member.parent.as_ref()?, unbiased(member))),
            Some(first) if !first.arm.measurements.is_empty() => {
                Some((design.levels.clone(), first.parent.as_ref()?, &first.arm.measurements))
            }
            Some(_) => {
                let measured = member.rebased.iter().find(|earlier| !earlier.arm.measurements.is_empty());
                let (parent, measured) = match measured {
                    Some(earlier) => (earlier.parent.as_ref()?, earlier.arm.measurements.as_slice()),
                    None => (member.parent.as_ref()?, unbiased(member)),
                };
                Some((self.moved(member, parent, self.members.len())?, parent, measured))
            }
        }
    }

    /// Returns the levels of the change of `member` on the base `parent`.
    fn moved(&self, member: &Experiment, parent: &Revision, depth: usize) -> Option<Levels> {
        let mut levels = self.levels_within(self.makers.get(parent)?, depth.checked_sub(1)?)?;
        for change in constants(member)? {
            if let Some((_, level)) = levels.iter_mut().find(|(factor, _)| change.has_key(factor)) {
                *level = change.new;
            }
        }
        Some(levels)
    }

    /// Returns the level of each factor in the candidate of an experiment, if the journal tells.
    pub fn levels(&self, maker: &Experiment) -> Option<Levels> {
        self.levels_within(maker, self.members.len() + 1)
    }

    fn levels_within(&self, maker: &Experiment, depth: usize) -> Option<Levels> {
        if let Some(design) = self.design_of(maker) {
            return match maker.rebased.is_empty() {
                true => Some(design.clone()),
                false => self.moved(maker, maker.parent.as_ref()?, depth),
            };
        }
        // A point based on it shows the former levels, and shares those that it does not change.
        let is_made_from = |member: &&&Experiment| {
            let first = member.rebased.first().map_or(&member.parent, |earlier| &earlier.parent);
            first.as_ref().and_then(|parent| self.makers.get(parent)).is_some_and(|other| other.id == maker.id)
        };
        let member = self.members.iter().find(is_made_from)?;
        let mut levels = self.design_of(member)?.clone();
        for change in constants(member)? {
            if let Some((_, level)) = levels.iter_mut().find(|(factor, _)| change.has_key(factor)) {
                *level = change.old?;
            }
        }
        Some(levels)
    }

    fn design_of<'e>(&self, experiment: &'e Experiment) -> Option<&'e Levels> {
        experiment.design.as_ref().filter(|design| design.name == self.name).map(|design| &design.levels)
    }

    /// Returns the latest experiment on the way to a revision that is no point of the design.
    pub fn root(&self, revision: &Revision) -> Option<&'a Experiment> {
        let mut maker = *self.makers.get(revision)?;
        for _ in 0..=self.members.len() {
            match self.design_of(maker) {
                None => return Some(maker),
                Some(_) => maker = self.makers.get(maker.parent.as_ref()?)?,
            }
        }
        None
    }
}

/// Returns true if an experiment has a score, including one from before its rebase.
pub(super) fn is_measured(experiment: &Experiment) -> bool {
    let mut arms = experiment.rebased.iter().map(|earlier| &earlier.arm).chain([&experiment.arm]);
    arms.any(|arm| !arm.measurements.is_empty())
}

/// Returns the constants that a point's change sets, with their former literals.
fn constants(member: &Experiment) -> Option<Vec<Change>> {
    let patch = Patch::deserialize(&member.change).ok()?;
    Some(changes(&patch, &Sources::new(&BTreeMap::new())).constants)
}

/// Returns the measurements whose mean is the score: those that did not choose the experiment.
fn unbiased(experiment: &Experiment) -> &[Measurement] {
    let all = &experiment.arm.measurements;
    all.get(all.len().saturating_sub(experiment.reference as usize)..).unwrap_or_default()
}

/// Makes a sample of the measurements from the machine of the latest one.
fn sample(levels: Levels, root: ExperimentId, measured: &[Measurement]) -> Option<Sample> {
    let machine = &measured.last()?.machine;
    let scores: Vec<f64> = measured.iter().filter(|m| m.machine == *machine).map(|m| m.score.get()).collect();
    let block = (root, machine.as_ref().map(ToString::to_string));
    Some(Sample { levels, block, scores })
}

impl Sample {
    /// Returns the mean score.
    pub fn score(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }
}
