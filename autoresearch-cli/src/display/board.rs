//! The work of each worker, and what is prepared for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use autoresearch_core::ExperimentId;

/// The state of all workers, as the events tell it.
pub struct Board {
    /// True if anything goes on beside a trial. If not, every event belongs to the one worker.
    parallel: bool,
    workers: Vec<Worker>,
    /// Descriptions of the open experiments.
    descriptions: BTreeMap<ExperimentId, String>,
    thinking: bool,
    built: BTreeSet<ExperimentId>,
    waiting: BTreeSet<ExperimentId>,
    /// Experiments whose first trial was not told of yet.
    unsaid: BTreeSet<ExperimentId>,
}

/// The work of one worker.
#[derive(Debug, Clone)]
pub struct Worker {
    experiment: Option<ExperimentId>,
    /// The experiment's name.
    pub name: String,
    /// Its progress in one line.
    pub message: String,
    /// Its progress from 0 to 1.
    pub share: f64,
    /// The time of the last line on it, or of the start of its experiment.
    said: Instant,
}

impl Worker {
    fn idle() -> Worker {
        let (name, message) = ("idle".to_owned(), String::new());
        Worker { experiment: None, name, message, share: 0.0, said: Instant::now() }
    }
}

impl Board {
    /// A board of idle workers; `ahead` says that anything is prepared while trials run.
    pub fn new(workers: usize, ahead: bool) -> Board {
        Board {
            parallel: ahead || workers > 1,
            workers: vec![Worker::idle(); workers.max(1)],
            descriptions: BTreeMap::new(),
            thinking: false,
            built: BTreeSet::new(),
            waiting: BTreeSet::new(),
            unsaid: BTreeSet::new(),
        }
    }

    /// The workers by their numbers.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// The description of an experiment.
    pub fn description(&self, experiment: ExperimentId) -> &str {
        self.descriptions.get(&experiment).map_or("", String::as_str)
    }

    /// The description of an experiment when it is asked for the first time since it was staged.
    pub fn first_description(&mut self, experiment: ExperimentId) -> Option<&str> {
        self.unsaid.remove(&experiment).then(|| self.description(experiment))
    }

    /// Notes that the proposer is asked for an experiment.
    pub fn start_proposing(&mut self, experiment: ExperimentId) {
        self.thinking = true;
        if !self.parallel {
            self.show_progress(experiment, Some(0), "waiting for a proposal".into(), 0.0);
        }
    }

    /// Notes that the proposer has answered.
    pub fn finish_proposing(&mut self) {
        self.thinking = false;
    }

    /// Notes that an experiment is there and not in flight.
    pub fn note_waiting(&mut self, experiment: ExperimentId) {
        self.clear_experiment(experiment);
        self.waiting.insert(experiment);
    }

    /// Notes that the first trial of an experiment begins.
    pub fn note_staged(&mut self, experiment: ExperimentId, description: &str) {
        self.descriptions.insert(experiment, description.to_owned());
        self.unsaid.insert(experiment);
        if !self.parallel {
            self.workers[0].said = Instant::now();
        }
    }

    /// Notes that a trial begins on this worker, or its build ahead. The same experiment may run on others, too.
    pub fn start_trial(&mut self, experiment: ExperimentId, worker: Option<u32>) {
        self.waiting.remove(&experiment);
        match worker {
            Some(worker) => {
                self.built.remove(&experiment);
                if let Some(worker) = self.worker(worker) {
                    *worker = Worker { experiment: Some(experiment), name: name(experiment), ..Worker::idle() };
                }
            }
            None => {
                self.built.insert(experiment);
            }
        }
    }

    /// Notes that a trial leaves this worker, or what was built ahead.
    pub fn finish_trial(&mut self, experiment: ExperimentId, worker: Option<u32>) {
        match worker {
            Some(worker) => {
                if let Some(worker) = self.worker(worker) {
                    *worker = Worker::idle();
                }
            }
            None => {
                self.built.remove(&experiment);
            }
        }
    }

    /// A worker, where there is more to show than one thing after the other.
    fn worker(&mut self, worker: u32) -> Option<&mut Worker> {
        self.workers.get_mut(worker as usize).filter(|_| self.parallel)
    }

    /// Notes that nothing of an experiment is in flight any more.
    fn clear_experiment(&mut self, experiment: ExperimentId) {
        self.waiting.remove(&experiment);
        self.built.remove(&experiment);
        let on = |worker: &&mut Worker| worker.experiment == Some(experiment);
        self.workers.iter_mut().filter(on).for_each(|worker| *worker = Worker::idle());
    }

    /// Notes that an experiment is decided.
    pub fn finish_experiment(&mut self, experiment: ExperimentId) {
        self.clear_experiment(experiment);
        self.descriptions.remove(&experiment);
        self.unsaid.remove(&experiment);
    }

    /// Notes the progress of a trial.
    pub fn show_progress(&mut self, experiment: ExperimentId, worker: Option<u32>, message: String, share: f64) {
        let Some(worker) = worker.and_then(|worker| self.workers.get_mut(worker as usize)) else { return };
        (worker.name, worker.message, worker.share) = (name(experiment), message, share);
    }

    /// Returns whether the last line on a worker is at least `pause` ago; if so, the next one counts from now.
    pub fn is_due(&mut self, worker: u32, pause: Duration) -> bool {
        let Some(worker) = self.workers.get_mut(worker as usize) else { return false };
        let due = worker.said.elapsed() >= pause;
        if due {
            worker.said = Instant::now();
        }
        due
    }

    /// Everything that is prepared, in one line.
    pub fn ahead(&self) -> String {
        let list = |what: &str, experiments: &BTreeSet<ExperimentId>| {
            let numbers: Vec<String> = experiments.iter().map(|number| format!("{number:03}")).collect();
            (!numbers.is_empty()).then(|| format!("{what} {}", numbers.join(", ")))
        };
        let thinking = self.thinking.then(|| "waiting for a proposal".to_owned());
        let parts = [thinking, list("built ahead", &self.built), list("waiting", &self.waiting)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing".into() } else { parts.join(" | ") }
    }
}

/// The name of an experiment on its bar: `baseline` or `exp 007`.
pub fn name(experiment: ExperimentId) -> String {
    if experiment.is_baseline() { "baseline".into() } else { format!("exp {experiment:03}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(board: &Board) -> Vec<String> {
        board.workers().iter().map(|worker| format!("{} {}", worker.name, worker.message)).collect()
    }

    #[test]
    fn each_worker_has_its_experiment_and_the_rest_is_ahead() {
        let mut board = Board::new(2, true);
        board.start_proposing(ExperimentId(1));
        assert_eq!(board.ahead(), "waiting for a proposal");
        board.finish_proposing();
        for experiment in [1, 2, 3, 4] {
            board.note_waiting(ExperimentId(experiment));
        }
        board.start_trial(ExperimentId(1), None);
        board.start_trial(ExperimentId(2), Some(0));
        board.start_trial(ExperimentId(3), Some(1));
        assert_eq!(board.ahead(), "built ahead 001 | waiting 004");
        board.show_progress(ExperimentId(3), Some(1), "step 7".into(), 0.5);
        board.show_progress(ExperimentId(1), None, "Compiling".into(), 0.0);
        assert_eq!(shown(&board), ["exp 002 ", "exp 003 step 7"], "a build ahead is on no worker");
        board.finish_trial(ExperimentId(2), Some(0));
        board.start_trial(ExperimentId(1), Some(0));
        assert_eq!(shown(&board), ["exp 001 ", "exp 003 step 7"]);
        board.finish_experiment(ExperimentId(3));
        board.finish_experiment(ExperimentId(1));
        assert_eq!((shown(&board), board.ahead()), (vec!["idle ".to_owned(); 2], "waiting 004".to_owned()));
        // Moved onto another parent, it waits again.
        board.start_trial(ExperimentId(4), Some(1));
        board.note_waiting(ExperimentId(4));
        assert_eq!((shown(&board), board.ahead()), (vec!["idle ".to_owned(); 2], "waiting 004".to_owned()));
    }

    #[test]
    fn an_experiment_may_run_on_several_workers() {
        let mut board = Board::new(3, true);
        board.start_trial(ExperimentId(0), Some(0));
        board.start_trial(ExperimentId(0), Some(1));
        board.show_progress(ExperimentId(0), Some(1), "step 1".into(), 0.1);
        assert_eq!(shown(&board), ["baseline ", "baseline step 1", "idle "]);
        board.finish_trial(ExperimentId(0), Some(0));
        assert_eq!(shown(&board), ["idle ", "baseline step 1", "idle "]);
        board.finish_experiment(ExperimentId(0));
        assert_eq!(shown(&board), ["idle ", "idle ", "idle "]);
    }

    #[test]
    fn one_worker_shows_whatever_happens() {
        let mut board = Board::new(1, false);
        board.start_proposing(ExperimentId(4));
        assert_eq!(shown(&board), ["exp 004 waiting for a proposal"]);
        board.note_staged(ExperimentId(4), "LR up");
        board.start_trial(ExperimentId(4), Some(0));
        board.show_progress(ExperimentId(4), Some(0), "starting".into(), 0.0);
        assert_eq!((shown(&board), board.description(ExperimentId(4))), (vec!["exp 004 starting".to_owned()], "LR up"));
    }
}
