//! The checks of the repository against the journal: refs, ancestry and objects.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::experiment_id::ExperimentId;
use crate::git::{GitError, Lineage};
use crate::sandbox::{Candidate, Revision};
use crate::state::{Experiment, State, Status};

/// Checks that the commits and refs of a run are those of its journal, and that everything they need can be read.
pub fn repository(state: &State, lineage: &Lineage) -> Result<Vec<Violation>, GitError> {
    let mut violations = refs(state, lineage, &BTreeSet::new())?;
    violations.extend(objects(state, lineage, &BTreeSet::new())?.1);
    Ok(violations)
}

/// Lists all experiments: the decided ones in the order of their decisions, then the open ones.
fn made(state: &State) -> impl Iterator<Item = &Experiment> {
    state.experiments.iter().chain(state.pending())
}

/// Lists the candidates of an experiment, the oldest first, each with its parent.
fn candidates(made: &Experiment) -> impl Iterator<Item = (Option<&Revision>, &Candidate)> {
    let earlier = made.rebased.iter().map(|earlier| (earlier.parent.as_ref(), &earlier.candidate));
    earlier.chain([(made.parent.as_ref(), &made.candidate)])
}

/// True if the candidates of an experiment may be gone: a keep is always needed.
fn is_removed(made: &Experiment, removed: &BTreeSet<ExperimentId>) -> bool {
    made.status != Status::Keep && removed.contains(&made.id)
}

/// Checks the refs and the ancestry alone; unreadable objects are left to [`objects`]. The candidates of the experiments
/// `removed`, none of which may be a keep, need not be there any more.
pub fn refs(state: &State, lineage: &Lineage, removed: &BTreeSet<ExperimentId>) -> Result<Vec<Violation>, GitError> {
    let mut refs = lineage.refs()?;
    let mut violations = Vec::new();
    let mut wrong = |what: String| violations.push(Violation::new(what));
    if let Some(header) = state.header.as_ref().filter(|header| header.tag != lineage.tag()) {
        wrong(format!("the journal is that of the run {}; give it back its name", header.tag));
        return Ok(violations);
    }

    let tip = refs.remove(&lineage.branch());
    let expected: Vec<Option<&Revision>> = match (&state.unadopted, &state.incumbent) {
        // Whether the branch has moved already is not journaled yet.
        (Some((from, to)), _) => vec![Some(to), from.as_ref()],
        (None, incumbent) => vec![incumbent.as_ref().map(|incumbent| &incumbent.revision)],
    };
    if !expected.contains(&tip.as_ref()) {
        let branch = lineage.branch();
        let shown = |at: Option<&Revision>| at.map_or("nowhere".to_owned(), Revision::to_string);
        let mend = match expected[0] {
            Some(right) => format!("git update-ref {branch} {right}"),
            None => format!("git update-ref -d {branch}"),
        };
        let (found, right) = (shown(tip.as_ref()), shown(expected[0]));
        wrong(format!("the branch {branch} is at {found}, but the journal says {right}; move it back: {mend}"));
    }

    let base = state.header.as_ref().and_then(|header| header.base.as_ref());
    let mut before: Option<&Revision> = None;
    let pin_of = |id: ExperimentId, times: u32| match times {
        0 => lineage.pin_of(id),
        times => lineage.pin_of_rebase(id, times),
    };
    for made in made(state).filter(|made| !is_removed(made, removed)) {
        let id = made.id;
        // The baseline is the commit that the search starts from, or one on it.
        let follows = |commit: &Revision, parent: Option<&Revision>| match (parent, lineage.tree_and_parents(commit)) {
            (Some(parent), Ok((_, parents))) => (id.is_baseline() && commit == parent) || parents == [parent.clone()],
            _ => true,
        };
        for (times, (parent, candidate)) in (0..).zip(candidates(made)) {
            let (pin, commit) = (pin_of(id, times), &candidate.revision);
            let whose = match times {
                0 => format!("the candidate of experiment {id}"),
                times => format!("the candidate of experiment {id} after its rebase {times}"),
            };
            match refs.remove(&pin) {
                Some(pinned) if pinned == *commit => {}
                Some(pinned) => wrong(format!("{pin} is at {pinned}, but {whose} is {commit}")),
                None => {
                    wrong(format!("{whose} is not pinned, so git may drop it: git update-ref {pin} {commit}"));
                }
            }
            if !follows(commit, if id.is_baseline() { base } else { parent }) {
                wrong(format!("{whose}, {commit}, does not follow its parent in the journal"));
            }
        }
        // An open experiment is rebased before that is journaled; and if that makes it the same as another one, it is
        // discarded. Until it is decided its status is that, too.
        if made.status == Status::Discard {
            refs.remove(&lineage.pin_of_rebase(id, made.rebased.len() as u32 + 1));
        }
        let Some(kept) = &made.kept_as else { continue };
        if !follows(kept, if id.is_baseline() { base } else { before }) {
            wrong(format!("experiment {id} was kept as {kept}, which does not follow the incumbent before it"));
        }
        let commit = &made.candidate.revision;
        if let (Ok((ran, _)), Ok((is, _))) = (lineage.tree_and_parents(commit), lineage.tree_and_parents(kept))
            && ran != is
        {
            wrong(format!("experiment {id} was kept as {kept}, whose files are not those of its candidate {commit}"));
        }
        before = Some(kept);
    }
    // A candidate is pinned before its record is written.
    refs.remove(&lineage.pin_of(state.next_experiment()));
    for name in refs.keys() {
        wrong(format!("{name} belongs to no experiment of the journal; if nothing needs it: git update-ref -d {name}"));
    }
    Ok(violations)
}

/// Checks that everything the run's commits need can be read and has its hash. Also returns the number of whole objects.
pub fn objects(
    state: &State,
    lineage: &Lineage,
    removed: &BTreeSet<ExperimentId>,
) -> Result<(usize, Vec<Violation>), GitError> {
    let mut from: BTreeMap<&Revision, String> = BTreeMap::new();
    for made in made(state).filter(|made| !is_removed(made, removed)) {
        let id = made.id;
        for (_, candidate) in candidates(made) {
            from.entry(&candidate.revision).or_insert_with(|| format!("the candidate of experiment {id}"));
        }
        if let Some(kept) = &made.kept_as {
            from.entry(kept).or_insert_with(|| format!("what experiment {id} was kept as"));
        }
    }
    let refs = lineage.refs()?;
    for (name, revision) in &refs {
        from.entry(revision).or_insert_with(|| format!("what {name} points at"));
    }
    let from: Vec<(String, Revision)> = from.into_iter().map(|(revision, who)| (who, revision.clone())).collect();
    let (whole, wrong) = lineage.read_everything(&from)?;
    Ok((whole, wrong.into_iter().map(Violation::new).collect()))
}

/// Runs git's own check of the repository; `None` where there is no git.
pub fn fsck(lineage: &Lineage) -> Option<Vec<Violation>> {
    Some(lineage.fsck()?.into_iter().map(Violation::new).collect())
}
