//! The record of a transfer: a file of JSON lines beside the journal of the run, the plan in the first and a trial in each
//! further one. Each is on the disk before the next step.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use autoresearch_core::internal::journal::Moment;
use autoresearch_core::{SandboxError, Score};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::error::CommandError;
use crate::repository::Repository;
use crate::text::terminal;

/// The folder of the records, in that of the run.
const FOLDER: &str = "transfer";
/// The ending of their names.
const ENDING: &str = "jsonl";

/// One trial of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Time of its end (UTC).
    pub at: Moment,
    /// The round, from 1.
    pub round: u32,
    /// The place of the arm.
    pub arm: usize,
    /// The seed, which all arms share in a round.
    pub seed: u64,
    /// Wall clock of the build, the run and the evaluation.
    pub seconds: f64,
    /// Its score, or why there is none.
    pub result: Result<Score, String>,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Plan(Box<Plan>),
    Trial(Measured),
}

/// A transfer, as far as it is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Path of its file.
    pub path: PathBuf,
    /// The plan.
    pub plan: Plan,
    /// The trials, in their order.
    pub trials: Vec<Measured>,
}

impl Record {
    /// Reads the record of a plan, or begins one. Nothing is written before the first trial.
    pub fn open(repository: &Repository, tag: &str, plan: Plan) -> Result<Record, CommandError> {
        let text = json(&Line::Plan(Box::new(plan.clone())))?;
        let name = blake3::hash(text.as_bytes()).to_hex();
        let path = folder(repository, tag).join(format!("{}.{ENDING}", &name.as_str()[..8]));
        match path.exists() {
            true => Record::read(&path).map(|record| record.unwrap_or(Record { path, plan, trials: Vec::new() })),
            false => Ok(Record { path, plan, trials: Vec::new() }),
        }
    }

    /// Reads all records of a run, the one that was begun first at the beginning. One that cannot be read is passed over with a
    /// warning, since a report is not for it alone.
    pub fn all(repository: &Repository, tag: &str) -> Vec<Record> {
        let files = std::fs::read_dir(folder(repository, tag)).into_iter().flatten().flatten();
        let paths =
            files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
        let mut all: Vec<Record> = Vec::new();
        for path in paths {
            match Record::read(&path) {
                Ok(record) => all.extend(record.filter(|record| !record.trials.is_empty())),
                Err(error) => terminal::err(format_args!("warning: {error}")),
            }
        }
        all.sort_by_key(|record| record.trials.first().map(|trial| trial.at));
        all
    }

    /// The name of the record, as in its path.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Adds a trial and waits until it is on the disk.
    pub fn add(&mut self, trial: Measured) -> Result<(), CommandError> {
        let failed = |e| CommandError::Sandbox(SandboxError::io(format!("writing {}", self.path.display()), e));
        let mut text = String::new();
        if self.trials.is_empty() {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).map_err(failed)?;
            text += &json(&Line::Plan(Box::new(self.plan.clone())))?;
        }
        text += &json(&Line::Trial(trial.clone()))?;
        let mut file = File::options().append(true).create(true).open(&self.path).map_err(failed)?;
        let bytes = std::fs::read(&self.path).map_err(failed)?;
        // What a crash tore off was never acknowledged.
        let whole = if self.trials.is_empty() { 0 } else { whole(&bytes).len() };
        file.set_len(whole as u64).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
        self.trials.push(trial);
        Ok(())
    }

    /// The score of an arm in a round, if it has one.
    pub fn score(&self, arm: usize, round: u32) -> Option<Score> {
        let trial = self.trials.iter().find(|trial| trial.arm == arm && trial.round == round)?;
        trial.result.as_ref().ok().copied()
    }

    /// Why an arm gave no number, if a trial of it gave none.
    pub fn failure(&self, arm: usize) -> Option<&str> {
        let mut of_arm = self.trials.iter().filter(|trial| trial.arm == arm);
        of_arm.find_map(|trial| trial.result.as_ref().err().map(String::as_str))
    }

    /// The last round with a trial; 0 without one.
    pub fn last_round(&self) -> u32 {
        self.trials.iter().map(|trial| trial.round).max().unwrap_or_default()
    }

    /// The trials that are left until `rounds` rounds are whole, by round and arm. Every second round goes the other way, so
    /// that a steady drift of the machine falls on all arms alike.
    pub fn left(&self, rounds: u32) -> Vec<(u32, usize)> {
        let is_left = |round: u32, arm: usize| self.failure(arm).is_none() && self.score(arm, round).is_none();
        let order = |round: u32| {
            let count = self.plan.arms.len();
            (0..count).map(move |at| (round, if round % 2 == 1 { at } else { count - 1 - at }))
        };
        (1..=rounds).flat_map(order).filter(|(round, arm)| is_left(*round, *arm)).collect()
    }

    /// Reads a file; `None` if not even its plan is whole.
    fn read(path: &Path) -> Result<Option<Record>, CommandError> {
        let bytes = std::fs::read(path).map_err(|e| SandboxError::io(format!("reading {}", path.display()), e))?;
        let (mut plan, mut trials) = (None, Vec::new());
        for (number, line) in whole(&bytes).split_inclusive(|byte| *byte == b'\n').enumerate() {
            match serde_json::from_slice(line) {
                Ok(Line::Plan(first)) if number == 0 => plan = Some(*first),
                Ok(Line::Trial(trial)) if number > 0 => trials.push(trial),
                found => {
                    let why = found.err().map_or("it does not belong there".into(), |error| error.to_string());
                    let (path, line) = (path.display(), number + 1);
                    return Err(CommandError::Other(format!(
                        "{path}:{line} is no line of a transfer: {why}; move the file away, and the transfer is measured anew"
                    )));
                }
            }
        }
        Ok(plan.map(|plan| Record { path: path.to_owned(), plan, trials }))
    }
}

fn folder(repository: &Repository, tag: &str) -> PathBuf {
    repository.run_folder(tag).join(FOLDER)
}

/// The bytes up to the end of the last whole line.
fn whole(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

fn json(line: &Line) -> Result<String, CommandError> {
    let text = serde_json::to_string(line);
    text.map(|text| text + "\n")
        .map_err(|error| CommandError::Other(format!("a trial cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests;
