//! The points of a design as they stand in a journal: which levels were measured, on what code.

use std::collections::{BTreeMap, HashMap, HashSet};

use autoresearch_core::{Experiment, Measurement, Patch, Revision, State, Status};
use serde::Deserialize;

use crate::space::changes;

/// The level of each factor.
pub(super) type Levels = BTreeMap<String, String>;

/// A point that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub levels: Levels,
    /// What its score may be compared with: those of the same code but for the factors, from the same machine.
    pub block: Block,
    /// Its measurements, one at least.
    pub scores: Vec<f64>,
}

/// The experiment that made the code which points were made from, but for the points themselves; and the machine.
pub(super) type Block = (u32, Option<String>);

/// The experiments of one design among all.
pub(super) struct Points<'a> {
    /// The experiments of the design, by their number.
    members: Vec<&'a Experiment>,
    /// Who made a revision, by the name that it ran under and by the one that it was kept as.
    makers: HashMap<&'a Revision, &'a Experiment>,
    /// The experiments that are not decided.
    pending: HashSet<u32>,
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

    /// The points that need not be proposed again: measured, failed, or under way.
    pub fn taken(&self) -> Vec<Levels> {
        self.members.iter().filter_map(|member| self.counts(member).map(|(levels, ..)| levels)).collect()
    }

    /// What was measured, and the code that the points were made from, where that is a point of the design itself.
    pub fn samples(&self, state: &State) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut roots: BTreeMap<u32, &Experiment> = BTreeMap::new();
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

    /// What an experiment says of the design: the levels, what it was made from, and what was measured.
    ///
    /// One that was given up unmeasured, because it would have been the same as another where it was to be moved to, says
    /// nothing. One that was moved to another parent counts with what was measured before. If that was nothing, it counts as what it
    /// became: a factor that its change leaves alone has the level of the new parent then.
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

    /// The levels of the change of `member`, made to `parent`.
    fn moved(&self, member: &Experiment, parent: &Revision, depth: usize) -> Option<Levels> {
        let mut levels = self.levels_within(self.makers.get(parent)?, depth.checked_sub(1)?)?;
        for (factor, (_, new)) in constants(member)? {
            if let Some(level) = levels.get_mut(&factor) {
                *level = new;
            }
        }
        Some(levels)
    }

    /// The level of each factor in the candidate of an experiment, if the journal says so.
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
        // A point that was made from it shows what stood there before, and shares what it does not change.
        let is_made_from = |member: &&&Experiment| {
            let first = member.rebased.first().map_or(&member.parent, |earlier| &earlier.parent);
            first.as_ref().and_then(|parent| self.makers.get(parent)).is_some_and(|other| other.id == maker.id)
        };
        let member = self.members.iter().find(is_made_from)?;
        let mut levels = self.design_of(member)?.clone();
        for (factor, (old, _)) in constants(member)? {
            if let Some(level) = levels.get_mut(&factor) {
                *level = old?;
            }
        }
        Some(levels)
    }

    fn design_of<'e>(&self, experiment: &'e Experiment) -> Option<&'e Levels> {
        experiment.design.as_ref().filter(|design| design.name == self.name).map(|design| &design.levels)
    }

    /// The latest experiment on the way to a revision that is no point of the design.
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

/// Whether there is a score of it, also one from before it was moved.
pub(super) fn is_measured(experiment: &Experiment) -> bool {
    let mut arms = experiment.rebased.iter().map(|earlier| &earlier.arm).chain([&experiment.arm]);
    arms.any(|arm| !arm.measurements.is_empty())
}

/// The constants that a point's change sets, with what stood there before.
fn constants(member: &Experiment) -> Option<BTreeMap<String, (Option<String>, String)>> {
    let patch = Patch::deserialize(&member.change).ok()?;
    Some(changes(&patch, &BTreeMap::new()).constants)
}

/// The measurements that did not choose an experiment, which its score is the mean of.
fn unbiased(experiment: &Experiment) -> &[Measurement] {
    let all = &experiment.arm.measurements;
    all.get(all.len().saturating_sub(experiment.reference as usize)..).unwrap_or_default()
}

/// The mean of measurements from the machine of the latest.
fn sample(levels: Levels, root: u32, measured: &[Measurement]) -> Option<Sample> {
    let machine = &measured.last()?.machine;
    let scores: Vec<f64> = measured.iter().filter(|m| m.machine == *machine).map(|m| m.score.get()).collect();
    let block = (root, machine.as_ref().map(ToString::to_string));
    Some(Sample { levels, block, scores })
}

impl Sample {
    /// The mean.
    pub fn score(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }
}
