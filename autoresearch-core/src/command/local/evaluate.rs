//! The evaluation of what a run left, with files and in a folder that are none of the candidate's.

use std::fs;
use std::path::Path;

use super::super::executor::JobEvaluation;
use super::super::process::{log_tail, outcome};
use super::phases::{Ended, Phases, Room};
use super::place::{blocking, items, keep_items};
use super::record;
use super::results::found;
use super::slot::Slot;
use crate::sandbox::{Outcome, Phase, RunLog, SandboxError};

/// Stands in the command for the folder with the files that the run left.
const INPUTS: &str = "{inputs}";

impl Phases<'_> {
    /// Evaluates what a run left that ended well, of which `log` is. The log of the outcome is that of the results: what metrics
    /// read there, no candidate wrote.
    pub(super) async fn evaluate(&self, evaluation: &JobEvaluation, log: RunLog) -> Result<Outcome, SandboxError> {
        let evaluator = &self.place.evaluator;
        let (slot, to, of_job) = (self.place.slot.clone(), evaluator.clone(), evaluation.clone());
        let missing = blocking(move || {
            to.fill(&of_job.tree)?;
            of_job.provisions.iter().try_for_each(|provision| provision.put_into(to.path()))?;
            gather(&slot, &to.built(), &of_job.inputs)
        })
        .await?;
        let run_log = log.path.clone().unwrap_or_default();
        let mut log = RunLog { phase: Phase::Evaluation, path: Some(record::evaluation_log(&run_log)), ..log };
        if let Some(missing) = missing {
            let message = format!("the run ended well, but left no file {missing}, which is to be evaluated");
            return Ok(Outcome::Crashed { message, log: RunLog { path: Some(run_log), ..log } });
        }
        let inputs = evaluator.built();
        let folder = inputs.to_str().ok_or_else(|| {
            SandboxError::Other(format!("{} is not UTF-8; put the slots into another folder", inputs.display()))
        })?;
        let mut step = evaluation.step.clone();
        step.argv = step.argv.iter().map(|argument| argument.replace(INPUTS, folder)).collect();
        step.environment.extend(self.job.devices.environment.iter().cloned());
        step.environment.push(("AUTORESEARCH_INPUTS".into(), folder.into()));
        step.environment.push(("AUTORESEARCH_ITEMS".into(), items(evaluator).into()));
        let results = record::results_path(&run_log);
        let JobEvaluation { provisions, reads, .. } = evaluation;
        let room = Room { slot: evaluator, provisions, reads, writes: &[], results: Some(results.clone()) };
        let ended = self.execute_in(&room, Phase::Evaluation, &step, &log).await?;
        let Ended::Finished(ended) = ended else {
            return Err(SandboxError::Other("the evaluation's own program counts as a candidate's".into()));
        };
        log.evaluation = ended.elapsed;
        let evaluated = outcome(&ended, "the evaluation", log.clone())?;
        if !matches!(evaluated, Outcome::Completed(_)) {
            return Ok(evaluated);
        }
        let from = items(evaluator);
        log = blocking(move || keep_items(&from, &mut log).map(|()| log)).await?;
        log.tail = log_tail(&results).map_err(|e| SandboxError::io(format!("reading {}", results.display()), e))?;
        Ok(Outcome::Completed(RunLog { path: Some(results), ..log }))
    }

    /// Removes what the evaluation left.
    pub(super) async fn empty_evaluator(&self) -> Result<(), SandboxError> {
        let Some(evaluation) = &self.job.evaluation else { return Ok(()) };
        let (evaluator, tree) = (self.place.evaluator.clone(), evaluation.tree.clone());
        blocking(move || {
            evaluator.empty(&tree);
            Ok(())
        })
        .await
    }
}

/// Puts the files of a run that `inputs` name into the folder `to`, under their paths, and names one that is missing.
///
/// Links are none of them: what they lead to is not what the run left. A file keeps its content, since nobody is left who could
/// write to it.
fn gather(slot: &Slot, to: &Path, inputs: &[String]) -> Result<Option<String>, SandboxError> {
    let failed = |place: &Path, e| SandboxError::io(format!("providing {} for the evaluation", place.display()), e);
    fs::create_dir_all(to).map_err(|e| failed(to, e))?;
    for pattern in inputs {
        let files = found(slot, std::slice::from_ref(pattern)).into_iter().map(|(path, _)| path);
        let is_file = |path: &String| fs::symlink_metadata(slot.path().join(path)).is_ok_and(|found| found.is_file());
        let files: Vec<String> = files.filter(is_file).collect();
        if files.is_empty() {
            return Ok(Some(pattern.clone()));
        }
        for path in files {
            let (from, to) = (slot.path().join(&path), to.join(&path));
            if to.exists() {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
            }
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).map_err(|e| failed(&from, e))?;
        }
    }
    Ok(None)
}
