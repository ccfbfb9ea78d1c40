//! The revisions that a transfer measures, and the comparisons between them.

use autoresearch_core::internal::git::{Conflict, Lineage};
use autoresearch_core::{Candidate, Direction, EditablePaths, Experiment, ExperimentId, Revision, State, Status};
use serde::{Deserialize, Serialize};

use super::setting::{Change, Constants, Given, Setting, setting};
use crate::error::CommandError;
use crate::session::Session;

/// Everything that a transfer measures. Another plan is another transfer, with a record of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The metric's name.
    pub metric: String,
    /// The better direction of the metric.
    pub direction: Direction,
    /// The setting.
    pub setting: Setting,
    /// The revisions, the baseline first.
    pub arms: Vec<Arm>,
    /// The keeps in the order of the lineage.
    pub keeps: Vec<Recheck>,
    /// The incumbent beside the baseline.
    pub sum: Recheck,
}

/// A revision that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// The keep that made it; 0 is the baseline.
    pub experiment: ExperimentId,
    /// Its name for people.
    pub name: String,
    /// The same for all revisions with the same files.
    pub content: String,
}

/// The form in which a kept change is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The change alone on the baseline, beside the baseline.
    Alone,
    /// The change on the keeps before it, beside these.
    OnEarlier,
    /// Nothing is left of the change beside what the setting sets.
    Replaced,
    /// It cannot be measured.
    LeftOut,
}

/// One comparison: a keep, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    /// The keep; of the sum the one that made the incumbent.
    pub experiment: ExperimentId,
    /// The form in which it is measured.
    pub form: Form,
    /// The arm that it is compared with and its own, by their places, unless nothing is measured.
    pub arms: Option<(usize, usize)>,
    /// A remark for people; empty without one.
    pub note: String,
}

/// A plan with the commits that carry it out.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The candidates of the arms.
    pub candidates: Vec<Candidate>,
    /// The commit that the run started from, under the setting: an evaluation uses its files.
    pub base: Revision,
}

/// Plans the transfer of the keeps of a run. Writes commits that no ref leads to, and nothing else.
///
/// # Errors
/// If the run has kept nothing, or if the setting cannot be applied to its baseline.
pub fn plan(session: &Session, state: &State, base: &Revision, given: &Given) -> Result<Planned, CommandError> {
    let kept: Vec<&Experiment> = state.experiments.iter().filter(|made| made.status == Status::Keep).collect();
    let (Some(header), [baseline, _, ..]) = (&state.header, &kept[..]) else {
        return Err(CommandError::NothingKept(session.tag.clone()));
    };
    let lineage = session.lineage()?;
    let (setting, constants) = setting(session, &lineage, (header, base, baseline.revision()), given)?;
    let trees = Trees { lineage: &lineage, constants: &constants, editable: session.config.editable() };
    let step = |made: &&Experiment| {
        let (experiment, revision) = (made.id, made.revision().clone());
        Ok(Step { experiment, under: trees.under(&revision)?, revision })
    };
    let steps: Vec<Step> = kept.iter().map(step).collect::<Result<_, CommandError>>()?;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Err(CommandError::NothingKept(session.tag.clone()));
    };
    let mut arms = match &first.under {
        Ok(baseline) => Arms::beginning_with(baseline),
        Err(why) => return Err(CommandError::Other(format!("the setting cannot be applied to the baseline: {why}"))),
    };
    let mut keeps = Vec::new();
    for pair in steps.windows(2) {
        if let [before, keep] = pair {
            keeps.push(trees.recheck(&mut arms, first, (before, keep), &setting)?);
        }
    }
    let sum = trees.sum(&mut arms, last);
    // The files of the base hold the constants if those of the baseline do.
    let base = constants.set(&lineage, base)?.unwrap_or_else(|_| base.clone());
    let (metric, direction) = (session.config.metric.name.clone(), session.config.metric()?.direction());
    let plan = Plan { metric, direction, setting, arms: arms.arms, keeps, sum };
    Ok(Planned { plan, candidates: arms.candidates, base })
}

/// A state of the lineage: the baseline, or a keep on those before it.
struct Step {
    experiment: ExperimentId,
    revision: Revision,
    under: Under,
}

/// A revision under the setting, or why there is none.
type Under = Result<Candidate, String>;

/// The arms so far, each with its candidate. The baseline is the first one.
struct Arms {
    arms: Vec<Arm>,
    candidates: Vec<Candidate>,
}

impl Arms {
    fn beginning_with(baseline: &Candidate) -> Arms {
        let mut arms = Arms { arms: Vec::new(), candidates: Vec::new() };
        arms.add(baseline, ExperimentId::BASELINE, "baseline".into());
        arms
    }

    /// Adds an arm, unless there is one with the same files, and returns its place.
    fn add(&mut self, candidate: &Candidate, experiment: ExperimentId, name: String) -> usize {
        if let Some(place) = self.arms.iter().position(|arm| arm.content == candidate.fingerprint) {
            return place;
        }
        self.arms.push(Arm { experiment, name, content: candidate.fingerprint.clone() });
        self.candidates.push(candidate.clone());
        self.arms.len() - 1
    }

    /// Returns whether a candidate has the files of the baseline.
    fn is_baseline(&self, candidate: &Candidate) -> bool {
        self.arms.first().is_some_and(|baseline| baseline.content == candidate.fingerprint)
    }
}

/// Makes the revisions of a transfer.
struct Trees<'a> {
    lineage: &'a Lineage,
    constants: &'a Constants,
    editable: EditablePaths,
}

impl Trees<'_> {
    /// Plans the measurement of a keep: alone on the baseline, else on the keeps before it.
    fn recheck(
        &self,
        arms: &mut Arms,
        first: &Step,
        (before, keep): (&Step, &Step),
        setting: &Setting,
    ) -> Result<Recheck, CommandError> {
        let replaced = self.replaced(&before.revision, &keep.revision, setting)?;
        let experiment = keep.experiment;
        let recheck = |form, arms, note| Ok(Recheck { experiment, form, arms, note });
        let alone = self.alone(first, before, keep)?;
        if let Ok(alone) = &alone
            && !arms.is_baseline(alone)
        {
            let own = arms.add(alone, experiment, format!("keep {experiment:03}"));
            return recheck(Form::Alone, Some((0, own)), replaced);
        }
        match (&before.under, &keep.under) {
            (Ok(under), Ok(after)) if under.fingerprint == after.fingerprint => {
                let note = match replaced.is_empty() {
                    true => "it changes nothing under this setting".to_owned(),
                    false => format!("{replaced}; nothing else of it is left to measure"),
                };
                recheck(Form::Replaced, None, note)
            }
            (Ok(under), Ok(after)) => {
                let from = arms.add(under, before.experiment, format!("keeps up to {:03}", before.experiment));
                let own = arms.add(after, experiment, format!("keeps up to {experiment:03}"));
                let why = alone.err().unwrap_or_else(|| "alone it changes nothing".into());
                let note = joined(&format!("{why}, so it is measured on the keeps before it"), &replaced);
                recheck(Form::OnEarlier, Some((from, own)), note)
            }
            (_, Err(why)) => recheck(Form::LeftOut, None, why.clone()),
            (Err(_), _) => {
                let why = alone.err().unwrap_or_else(|| "alone it changes nothing".into());
                recheck(Form::LeftOut, None, format!("{why}, and the setting cannot be applied to the keeps before it"))
            }
        }
    }

    /// Plans the measurement of all keeps together.
    fn sum(&self, arms: &mut Arms, last: &Step) -> Recheck {
        let recheck =
            |form, arms, note: &str| Recheck { experiment: last.experiment, form, arms, note: note.to_owned() };
        match &last.under {
            Ok(all) if !arms.is_baseline(all) => {
                let own = arms.add(all, last.experiment, "all keeps".into());
                recheck(Form::Alone, Some((0, own)), "")
            }
            Ok(_) => recheck(Form::Replaced, None, "all keeps together change nothing under this setting"),
            Err(why) => recheck(Form::LeftOut, None, why),
        }
    }

    /// The change of a keep alone on the baseline, under the setting. The setting is applied first, so that changes of the constant
    /// itself are in no conflict; where it cannot be, it is applied to what the merge makes.
    fn alone(&self, first: &Step, before: &Step, keep: &Step) -> Result<Under, CommandError> {
        if let (Ok(first), Ok(before), Ok(keep)) = (&first.under, &before.under, &keep.under) {
            return self.merged(&before.revision, &first.revision, &keep.revision);
        }
        match self.merged(&before.revision, &first.revision, &keep.revision)? {
            Ok(alone) => self.under(&alone.revision),
            conflict => Ok(conflict),
        }
    }

    fn candidate(&self, revision: Revision) -> Result<Candidate, CommandError> {
        let fingerprint = self.lineage.fingerprint(&revision, &self.editable)?;
        Ok(Candidate { revision, fingerprint, added_lines: 0 })
    }

    /// A revision under the setting.
    fn under(&self, revision: &Revision) -> Result<Under, CommandError> {
        match self.constants.set(self.lineage, revision)? {
            Ok(revision) => Ok(Ok(self.candidate(revision)?)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Applies the change from one revision to another to a third one, or says which files are in conflict.
    fn merged(&self, from: &Revision, onto: &Revision, to: &Revision) -> Result<Under, CommandError> {
        let merge = self.lineage.merge(from, onto, to)?;
        if !merge.conflicts.is_empty() {
            let files: Vec<&str> = merge.conflicts.iter().map(Conflict::path).collect();
            return Ok(Err(format!("it does not apply alone: it conflicts with the baseline in {}", files.join(", "))));
        }
        Ok(Ok(self.candidate(self.lineage.commit_merge(onto, &merge.changed, to)?)?))
    }

    /// The constants that a keep changes itself, in whose place the setting's values stand; empty if it changes none.
    fn replaced(&self, before: &Revision, after: &Revision, setting: &Setting) -> Result<String, CommandError> {
        let mut changed = Vec::new();
        for Change { name, value, .. } in &setting.constants {
            let of = |revision| self.constants.value(self.lineage, revision, name);
            if let (Some(then), Some(now)) = (of(before)?, of(after)?)
                && then != now
            {
                changed.push(format!("it changes {name} ({then} -> {now}), which is {value} here"));
            }
        }
        Ok(changed.join(", "))
    }
}

/// Joins two remarks, either of which may be empty.
fn joined(one: &str, other: &str) -> String {
    if other.is_empty() { one.to_owned() } else { format!("{one}; {other}") }
}
