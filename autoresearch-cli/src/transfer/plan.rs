//! The revisions that a transfer measures, and the comparisons between them.

use autoresearch_core::internal::git::{Conflict, Lineage};
use autoresearch_core::{Candidate, Direction, EditablePaths, Experiment, Revision, State, Status};
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
    pub experiment: u32,
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
    pub experiment: u32,
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
    let nothing = || CommandError::NothingKept(session.tag.clone());
    let kept: Vec<&Experiment> = state.experiments.iter().filter(|made| made.status == Status::Keep).collect();
    let (Some(header), [baseline, keeps @ ..]) = (&state.header, &kept[..]) else { return Err(nothing()) };
    let last = keeps.last().ok_or_else(nothing)?;
    let lineage = session.lineage()?;
    let (setting, constants) = setting(session, &lineage, (header, base, baseline.revision()), given)?;
    let trees = Trees { lineage: &lineage, constants: &constants, editable: session.config.editable() };
    // Each state of the lineage under the setting, or why it cannot be applied there.
    let under: Vec<Under> = kept.iter().map(|made| trees.under(made.revision())).collect::<Result<_, _>>()?;
    let first = under.first().cloned().ok_or_else(nothing)?;
    let first =
        first.map_err(|why| CommandError::Other(format!("the setting cannot be applied to the baseline: {why}")))?;

    let mut arms = Arms::default();
    arms.add(&first, 0, "baseline".into());
    let mut rechecks = Vec::new();
    for (place, pair) in kept.windows(2).enumerate() {
        let [before, keep] = pair else { continue };
        let (id, replaced) = (keep.id, trees.replaced(before.revision(), keep.revision(), &setting)?);
        let steps = (under.get(place).and_then(|under| under.as_ref().ok()), under.get(place + 1));
        let alone = match steps {
            (Some(before), Some(Ok(after))) => trees.merged(&before.revision, &first.revision, &after.revision)?,
            _ => match trees.merged(before.revision(), baseline.revision(), keep.revision())? {
                Ok(alone) => trees.under(&alone.revision)?,
                conflict => conflict,
            },
        };
        rechecks.push(match (alone, steps) {
            (Ok(alone), _) if alone.fingerprint != first.fingerprint => {
                let own = arms.add(&alone, id, format!("keep {id:03}"));
                Recheck { experiment: id, form: Form::Alone, arms: Some((0, own)), note: replaced }
            }
            (_, (Some(before), Some(Ok(after)))) if before.fingerprint == after.fingerprint => {
                let note = match replaced.is_empty() {
                    true => "it changes nothing under this setting".to_owned(),
                    false => format!("{replaced}; nothing else of it is left to measure"),
                };
                Recheck { experiment: id, form: Form::Replaced, arms: None, note }
            }
            (alone, (Some(before), Some(Ok(after)))) => {
                let why = alone.err().unwrap_or_else(|| "alone it changes nothing".into());
                let to = kept.get(place).map_or(0, |made| made.id);
                let from = arms.add(before, to, format!("keeps up to {to:03}"));
                let own = arms.add(after, id, format!("keeps up to {id:03}"));
                let note = joined(&format!("{why}, so it is measured on the keeps before it"), &replaced);
                Recheck { experiment: id, form: Form::OnEarlier, arms: Some((from, own)), note }
            }
            (alone, (_, after)) => {
                let after = after.and_then(|after| after.as_ref().err()).cloned();
                let why =
                    after.or_else(|| alone.err()).unwrap_or_else(|| "the setting cannot be applied before it".into());
                Recheck { experiment: id, form: Form::LeftOut, arms: None, note: why }
            }
        });
    }
    let (id, sum) = (last.id, under.last());
    let sum = match sum {
        Some(Ok(all)) if all.fingerprint != first.fingerprint => {
            let own = arms.add(all, id, "all keeps".into());
            Recheck { experiment: id, form: Form::Alone, arms: Some((0, own)), note: String::new() }
        }
        Some(Err(why)) => Recheck { experiment: id, form: Form::LeftOut, arms: None, note: why.clone() },
        _ => {
            let note = "all keeps together change nothing under this setting".into();
            Recheck { experiment: id, form: Form::Replaced, arms: None, note }
        }
    };
    // The files of the base hold the constants if those of the baseline do.
    let base = constants.set(&lineage, base)?.unwrap_or_else(|_| base.clone());
    let (metric, direction) = (session.config.metric.name.clone(), session.config.metric()?.direction());
    let plan = Plan { metric, direction, setting, arms: arms.arms, keeps: rechecks, sum };
    Ok(Planned { plan, candidates: arms.candidates, base })
}

/// A revision under the setting, or why there is none.
type Under = Result<Candidate, String>;

/// The arms so far, each with its candidate.
#[derive(Default)]
struct Arms {
    arms: Vec<Arm>,
    candidates: Vec<Candidate>,
}

impl Arms {
    /// Adds an arm, unless there is one with the same files, and returns its place.
    fn add(&mut self, candidate: &Candidate, experiment: u32, name: String) -> usize {
        if let Some(place) = self.arms.iter().position(|arm| arm.content == candidate.fingerprint) {
            return place;
        }
        self.arms.push(Arm { experiment, name, content: candidate.fingerprint.clone() });
        self.candidates.push(candidate.clone());
        self.arms.len() - 1
    }
}

/// Makes the revisions of a transfer.
struct Trees<'a> {
    lineage: &'a Lineage,
    constants: &'a Constants,
    editable: EditablePaths,
}

impl Trees<'_> {
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
