//! Combinations of changes that failed narrowly, each by itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use autoresearch_core::{
    Context, EditablePaths, Experiment, FileEdit, Patch, Proposal, Proposer, ProposerError, Status, Wave,
};
use serde::Deserialize;

use crate::constants::{Located, Sources, edits_of};
use crate::space::{Change, changes};

/// Number of the best near misses that are combined; they have some hundreds of subsets of three.
const CANDIDATES: usize = 12;

/// Combines near misses: discarded changes that beat the incumbent of their time, or were worse by a margin at most, and that
/// apply together to the present incumbent.
///
/// The set with the greatest sum of gains comes first, on the assumption that effects are independent; of equal sums the
/// smaller set. No set is proposed twice. The proposer is exhausted while there is no further set; new experiments may add one.
///
/// ```
/// let proposer = autoresearch_agents::MergeProposer::new(0.0005).with_most(2);
/// ```
#[derive(Debug, Clone)]
pub struct MergeProposer {
    margin: f64,
    most: usize,
}

/// A discarded change that failed narrowly.
struct Miss<'a> {
    experiment: &'a Experiment,
    gain: f64,
    patch: Patch,
    /// Files that it changes in the incumbent, `None` for a removed one.
    result: BTreeMap<String, Option<String>>,
}

impl MergeProposer {
    /// Combines changes that were worse by `margin` at most, in the metric's unit, up to three at a time.
    pub fn new(margin: f64) -> MergeProposer {
        MergeProposer { margin, most: 3 }
    }

    /// Sets the greatest number of changes in one set.
    pub fn with_most(mut self, most: usize) -> MergeProposer {
        self.most = most;
        self
    }

    fn misses<'a>(&self, context: &Context<'a, Patch>) -> Vec<Miss<'a>> {
        let mut misses: Vec<Miss<'a>> = context
            .changes()
            .filter(|(_, experiment)| experiment.status == Status::Discard)
            .filter_map(|(patch, experiment)| {
                let gain = context.direction.gain(experiment.before?, experiment.score()?);
                (gain >= -self.margin).then_some((patch, experiment, gain))
            })
            .filter_map(|(patch, experiment, gain)| {
                Some(Miss { experiment, gain, result: apply(&patch, &context.files)?, patch })
            })
            .collect();
        // A change that contains another near miss, such as a combination, adds nothing to its parts.
        let keys: Vec<BTreeSet<String>> = misses.iter().map(|miss| key(&miss.patch.edits)).collect();
        let mut at = 0..misses.len();
        misses.retain(|_| {
            let key = at.next().and_then(|at| keys.get(at));
            key.is_some_and(|key| !keys.iter().any(|other| other != key && other.is_subset(key)))
        });
        misses.sort_by(|a, b| b.gain.total_cmp(&a.gain).then(a.experiment.id.cmp(&b.experiment.id)));
        misses.truncate(CANDIDATES);
        // From here on in the order of the experiments: a later change may build on an earlier one.
        misses.sort_by_key(|miss| miss.experiment.id);
        misses
    }
}

#[async_trait]
impl Proposer<Patch> for MergeProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let exhausted = || ProposerError::Exhausted("no untried combination of near misses applies".into());
        Ok(self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(exhausted)??)
    }

    async fn propose_wave(&mut self, context: &Context<'_, Patch>, most: usize) -> Result<Wave, ProposerError> {
        let misses = self.misses(context);
        let sources = Sources::new(&context.files);
        let pending = context.pending.iter().filter_map(|experiment| Patch::deserialize(&experiment.change).ok());
        let mut tried: HashSet<BTreeSet<String>> = context
            .changes()
            .map(|(patch, _)| patch)
            .chain(context.rejected_changes().map(|(patch, _)| patch))
            .chain(pending)
            .map(|patch| key(&patch.edits))
            .collect();
        let mut sets = Vec::new();
        choose(misses.len(), self.most, 0, &mut Vec::new(), &mut sets);
        let gain = |set: &[usize]| set.iter().filter_map(|at| misses.get(*at)).map(|miss| miss.gain).sum::<f64>();
        sets.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(a.len().cmp(&b.len())).then(a.cmp(b)));
        let mut wave = Vec::new();
        for set in &sets {
            if wave.len() >= most.max(1) {
                break;
            }
            let members: Vec<&Miss<'_>> = set.iter().filter_map(|at| misses.get(*at)).collect();
            let Some(patch) = joined(&members, &context.files, &sources) else { continue };
            let key = key(&patch.edits);
            if tried.contains(&key) {
                continue;
            }
            tried.insert(key);
            let names: Vec<String> = members.iter().map(|miss| format!("#{}", miss.experiment.id)).collect();
            let alone = members.iter().map(|miss| format!("#{} {:+.6}", miss.experiment.id, miss.gain));
            let why = format!(
                "Each failed narrowly alone ({}), and they touch different places: together they may gain.",
                alone.collect::<Vec<_>>().join(", ")
            );
            let description = format!("{} near misses: {}", names.len(), names.join(" + "));
            wave.push(Ok(Proposal::new(patch, description).because(why)));
        }
        if wave.is_empty() {
            let why = format!("no untried combination of {} near misses applies", misses.len());
            return Err(ProposerError::Exhausted(why));
        }
        Ok(wave)
    }
}

/// Returns the patch with the changes of all members, if they fit together.
fn joined(members: &[&Miss<'_>], files: &BTreeMap<String, String>, sources: &Sources<'_>) -> Option<Patch> {
    let patch = Patch { edits: members.iter().flat_map(|miss| miss.patch.edits.iter().cloned()).collect() };
    if is_union(&patch, members, files) { Some(patch) } else { of_constants(members, sources) }
}

/// Returns the patch of members that change different constants and nothing else: two on one line cannot be replaced one after
/// the other.
fn of_constants(members: &[&Miss<'_>], sources: &Sources<'_>) -> Option<Patch> {
    let mut changed: Vec<(Located<'_>, String)> = Vec::new();
    for miss in members {
        let changes = changes(&miss.patch, sources);
        if changes.others || changes.constants.is_empty() {
            return None;
        }
        for Change { path, name, nth, old, new } in changes.constants {
            let one = sources.named_in(&path, &name, nth).filter(|one| old.as_deref() == Some(one.constant.value))?;
            if changed.iter().any(|(other, _)| other.path == one.path && other.constant.place == one.constant.place) {
                return None;
            }
            changed.push((one, new));
        }
    }
    let places = changed.into_iter().map(|(one, new)| (one.path, one.source, one.constant.place, new));
    Some(Patch { edits: edits_of(places) })
}

/// Returns true if every member matters: without any of them the patch would have another result.
fn is_union(patch: &Patch, members: &[&Miss<'_>], files: &BTreeMap<String, String>) -> bool {
    let Some(all) = apply(patch, files) else { return false };
    (0..members.len()).all(|left_out| {
        let others = members.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, miss)| miss);
        match others.clone().count() {
            1 => others.clone().all(|miss| miss.result != all),
            _ => {
                let edits = others.flat_map(|miss| miss.patch.edits.iter().cloned()).collect();
                apply(&Patch { edits }, files).as_ref() != Some(&all)
            }
        }
    })
}

/// Returns the files that a patch changes in the incumbent, if it still applies.
fn apply(patch: &Patch, files: &BTreeMap<String, String>) -> Option<BTreeMap<String, Option<String>>> {
    // The sandbox accepted these patches once, so their paths are editable.
    let paths: Vec<Vec<String>> = patch.edits.iter().map(|edit| edit.paths().ok()).collect::<Option<_>>()?;
    patch.apply(files, &EditablePaths::new(paths.into_iter().flatten())).ok()
}

/// Returns a key that is the same for the same edits in any order.
fn key(edits: &[FileEdit]) -> BTreeSet<String> {
    edits.iter().map(|edit| format!("{edit:?}")).collect()
}

/// Collects all sets of two to `most` numbers below `count`.
fn choose(count: usize, most: usize, from: usize, set: &mut Vec<usize>, sets: &mut Vec<Vec<usize>>) {
    if set.len() >= 2 {
        sets.push(set.clone());
    }
    if set.len() < most {
        for next in from..count {
            set.push(next);
            choose(count, most, next + 1, set, sets);
            set.pop();
        }
    }
}
