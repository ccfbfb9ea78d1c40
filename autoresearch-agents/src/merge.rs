//! Combinations of changes that failed narrowly, each alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use autoresearch_core::{
    Context, EditablePaths, Experiment, FileEdit, Patch, Proposal, Proposer, ProposerError, Status,
};
use serde::Deserialize;

/// So many of the best near misses are combined: the sets of three among them are some hundreds.
const CANDIDATES: usize = 12;

/// Combines near misses: discarded changes that were better than the incumbent of their time, or worse by a margin at most,
/// and that apply together to the incumbent of today.
///
/// The set with the greatest sum of gains comes first, which takes their effects as independent; of equal ones the smaller
/// set. No set is proposed twice. It is exhausted as long as there is no further set, which new experiments may change.
#[derive(Debug, Clone)]
pub struct MergeProposer {
    margin: f64,
    most: usize,
}

/// A discarded change.
struct Miss<'a> {
    experiment: &'a Experiment,
    gain: f64,
    patch: Patch,
    /// What it makes of the incumbent's files.
    result: BTreeMap<String, String>,
}

impl MergeProposer {
    /// Combines changes that were worse by `margin` at most, in the metric's unit, up to three at once.
    pub fn new(margin: f64) -> MergeProposer {
        MergeProposer { margin, most: 3 }
    }

    /// The same with up to so many at once.
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
        // What contains another near miss, a combination for instance, adds nothing that its parts would not.
        let keys: Vec<BTreeSet<String>> = misses.iter().map(|miss| key(&miss.patch.edits)).collect();
        let mut at = 0..misses.len();
        misses.retain(|_| {
            let key = at.next().and_then(|at| keys.get(at));
            key.is_some_and(|key| !keys.iter().any(|other| other != key && other.is_subset(key)))
        });
        misses.sort_by(|a, b| b.gain.total_cmp(&a.gain).then(a.experiment.id.cmp(&b.experiment.id)));
        misses.truncate(CANDIDATES);
        // From here on in the order in which they were tried: a later change may have seen an earlier one.
        misses.sort_by_key(|miss| miss.experiment.id);
        misses
    }
}

#[async_trait]
impl Proposer<Patch> for MergeProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let exhausted = || ProposerError::Exhausted("no untried combination of near misses applies".into());
        self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(exhausted)
    }

    async fn propose_wave(
        &mut self,
        context: &Context<'_, Patch>,
        most: usize,
    ) -> Result<Vec<Proposal>, ProposerError> {
        let misses = self.misses(context);
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
            let edits: Vec<FileEdit> = members.iter().flat_map(|miss| miss.patch.edits.iter().cloned()).collect();
            let key = key(&edits);
            let patch = Patch { edits };
            if tried.contains(&key) || !is_union(&patch, &members, &context.files) {
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
            wave.push(Proposal::new(patch, description).because(why));
        }
        if wave.is_empty() {
            let why = format!("no untried combination of {} near misses applies", misses.len());
            return Err(ProposerError::Exhausted(why));
        }
        Ok(wave)
    }
}

/// Whether every member counts: without any of them the patch would lead elsewhere.
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

/// What a patch that was staged once makes of today's files, if it still applies.
fn apply(patch: &Patch, files: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    // The sandbox judges what may be edited; these patches passed it.
    let paths: Vec<Vec<String>> = patch.edits.iter().map(|edit| edit.paths().ok()).collect::<Option<_>>()?;
    patch.apply(files, &EditablePaths::new(paths.into_iter().flatten())).ok()
}

/// The same for the same edits in whatever order.
fn key(edits: &[FileEdit]) -> BTreeSet<String> {
    edits.iter().map(|edit| format!("{edit:?}")).collect()
}

/// All sets of two to `most` numbers below `count`.
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
