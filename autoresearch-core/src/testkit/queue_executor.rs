//! An executor over a queue directory: jobs are folders, taken by a runner that may live elsewhere.
//!
//! It is small on purpose. It shows what an engine such as Slurm needs of the seam: jobs that are shipped, outlive the
//! process that asked for them, and are found again by name.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::command::{Cpus, Executor, Job, JobName, JobStatus, JobStep, Limits, LocalExecutor, Slot, Tree};
use crate::sandbox::{Outcome, Progress, ResultFiles, SandboxError};

/// Interval at which both sides look at the directory.
const POLL: Duration = Duration::from_millis(10);

/// A job's order, as it lies in its folder.
const ORDER: &str = "job.json";
/// Its files.
const FILES: &str = "tree";
/// Request to end, put there by a client.
const CANCEL: &str = "cancel";
/// Mark of the runner that took the job.
const TAKEN: &str = "taken";
/// Its end, put there by the runner.
const END: &str = "end.json";

/// A job as it is shipped.
#[derive(Serialize, Deserialize)]
struct Order {
    run: String,
    trial: String,
    content: String,
    build: Phase,
    keeps: Vec<PathBuf>,
    main: Phase,
    repeats: u32,
    before: Vec<Phase>,
    after: Vec<Phase>,
    results: ResultFiles,
    any_exit_code: bool,
}

/// A step as it is shipped.
#[derive(Serialize, Deserialize)]
struct Phase {
    argv: Vec<String>,
    environment: Vec<(String, OsString)>,
    limit: Duration,
    memory: Option<u64>,
    file_size: Option<u64>,
    processes: Option<u64>,
    cpus: Vec<usize>,
}

/// The end of a job. A failure of the runner itself is no outcome.
#[derive(Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "written once for each job")]
enum End {
    Outcome(Outcome),
    Cancelled,
    Failed(String),
}

impl From<&JobStep> for Phase {
    fn from(step: &JobStep) -> Phase {
        let Limits { memory, file_size, processes, cpus } = step.limits;
        let cpus = cpus.iter().collect();
        let (argv, environment) = (step.argv.clone(), step.environment.clone());
        Phase { argv, environment, limit: step.limit, memory, file_size, processes, cpus }
    }
}

impl Phase {
    fn step(self) -> Result<JobStep, SandboxError> {
        let Phase { argv, environment, limit, memory, file_size, processes, cpus } = self;
        let cpus = Cpus::new(cpus).map_err(SandboxError::Other)?;
        Ok(JobStep { argv, environment, limit, limits: Limits { memory, file_size, processes, cpus } })
    }
}

/// Puts jobs into a directory and waits for their ends.
#[derive(Debug, Clone)]
pub struct QueueExecutor {
    queue: PathBuf,
}

impl QueueExecutor {
    /// An executor over the directory `queue`, which [`QueueRunner`]s take jobs from.
    pub fn new(queue: impl Into<PathBuf>) -> QueueExecutor {
        QueueExecutor { queue: queue.into() }
    }

    fn folder(&self, name: &JobName) -> PathBuf {
        self.queue.join(name.to_string())
    }

    /// Ships a job: its folder appears at once, with everything in it.
    fn submit(&self, job: &Job) -> Result<(), SandboxError> {
        let folder = self.folder(&job.name);
        if folder.exists() && !folder.join(END).exists() {
            return Err(SandboxError::Other(format!(
                "the job {} is running already; wait for it, or cancel it first",
                job.name
            )));
        }
        if let Some(provision) = job.provisions.first() {
            return Err(SandboxError::Other(format!(
                "a queue ships the files of the commit alone, and {} is not among them; commit it, or run on this machine",
                provision.source.display()
            )));
        }
        if job.evaluation.is_some() {
            let why = "a queue evaluates nothing; let the run print its number, or run on this machine";
            return Err(SandboxError::Other(why.into()));
        }
        let partial = self.queue.join(format!("{}.partial", job.name));
        let failed = |e| SandboxError::io(format!("queueing {}", job.name), e);
        remove(&partial).and_then(|()| remove(&folder)).map_err(failed)?;
        fs::create_dir_all(&partial).map_err(failed)?;
        job.tree.export(&partial.join(FILES))?;
        let JobName { run, trial, content } = job.name.clone();
        let (build, mut main) = (Phase::from(&job.build), Phase::from(&job.run));
        main.environment.extend(job.devices.environment.iter().cloned());
        let guards = |steps: &[JobStep]| steps.iter().map(Phase::from).collect();
        let (before, after) = (guards(&job.before), guards(&job.after));
        let (keeps, results) = (job.keeps.clone(), job.results.clone());
        let (repeats, any_exit_code) = (job.repeats, job.any_exit_code);
        let order = Order { run, trial, content, build, keeps, main, repeats, before, after, results, any_exit_code };
        write(&partial.join(ORDER), &order)?;
        fs::rename(&partial, &folder).map_err(failed)
    }

    /// Waits for the end of a job that is in the queue.
    async fn wait(&self, name: &JobName, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let folder = self.folder(name);
        loop {
            match read::<End>(&folder.join(END))? {
                Some(End::Outcome(outcome)) => return Ok(outcome),
                Some(End::Cancelled) => return Err(SandboxError::Cancelled),
                Some(End::Failed(why)) => return Err(SandboxError::Other(why)),
                None => {}
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = cancel.cancelled() => {
                    self.cancel(name).await?;
                    return Err(SandboxError::Cancelled);
                }
            }
        }
    }
}

#[async_trait]
impl Executor for QueueExecutor {
    async fn run(&self, job: &Job, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        self.submit(job)?;
        (job.progress)(Progress::Phase(crate::sandbox::Phase::Run));
        self.wait(&job.name, cancel).await
    }

    async fn find(&self, name: &JobName) -> Result<Option<JobStatus>, SandboxError> {
        let folder = self.folder(name);
        Ok(match read::<End>(&folder.join(END))? {
            Some(End::Outcome(outcome)) => Some(JobStatus::Ended(outcome)),
            Some(_) => None,
            None => folder.exists().then_some(JobStatus::Running),
        })
    }

    async fn attach(&self, name: &JobName, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        if !self.folder(name).exists() {
            return Err(SandboxError::Other(format!("there is no job {name}; start it")));
        }
        self.wait(name, cancel).await
    }

    async fn cancel(&self, name: &JobName) -> Result<(), SandboxError> {
        let folder = self.folder(name);
        while folder.exists() && !folder.join(END).exists() {
            fs::write(folder.join(CANCEL), "").map_err(|e| SandboxError::io(format!("cancelling {name}"), e))?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn recover(&self, run: &str, keep: &[JobName]) -> Result<(), SandboxError> {
        for folder in folders(&self.queue) {
            if folder.join(END).exists() {
                continue;
            }
            if let Some(order) = read::<Order>(&folder.join(ORDER))?.filter(|order| order.run == run) {
                let name = JobName { content: order.content, ..JobName::new(order.run, order.trial) };
                if !keep.contains(&name) {
                    self.cancel(&name).await?;
                }
            }
        }
        Ok(())
    }
}

/// Takes jobs from a queue directory and runs them, on a thread of its own. Dropped, it dies as if it were killed: jobs that it
/// was running stay in the queue, and the next runner starts them again.
#[derive(Debug)]
pub struct QueueRunner {
    dead: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl QueueRunner {
    /// Starts a runner for the directory `queue` with `slots` slots.
    pub fn start(queue: &Path, slots: usize) -> Result<QueueRunner, SandboxError> {
        let failed = |e| SandboxError::io("starting a queue runner", e);
        fs::create_dir_all(queue).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (queue, dead) = (queue.to_owned(), Arc::new(AtomicBool::new(false)));
        let stop = dead.clone();
        let work = move || runtime.block_on(serve(&queue, slots, &stop));
        let thread = std::thread::Builder::new().name("queue".into()).spawn(work).map_err(failed)?;
        Ok(QueueRunner { dead, thread: Some(thread) })
    }
}

impl Drop for QueueRunner {
    fn drop(&mut self) {
        self.dead.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the runner has failed its jobs' test by now.
            let _ = thread.join();
        }
    }
}

/// Serves a queue until it is told to die; then whatever it was running ends with it.
async fn serve(queue: &Path, slots: usize, stop: &AtomicBool) {
    let place = queue.with_extension("runner");
    let folders_of_slots = (0..slots).map(|slot| Slot::new(place.join(slot.to_string())));
    let local = Arc::new(LocalExecutor::new(folders_of_slots, place.join("logs")));
    // What an earlier runner left taken is free again.
    for folder in folders(queue) {
        let _ = fs::remove_file(folder.join(TAKEN));
    }
    let mut jobs = tokio::task::JoinSet::new();
    let mut busy: HashMap<PathBuf, (usize, Cancel)> = HashMap::new();
    while !stop.load(Ordering::Acquire) {
        while let Some(ended) = jobs.try_join_next() {
            if let Ok(folder) = ended {
                busy.remove(&folder);
            }
        }
        for folder in folders(queue) {
            if let Some((_, cancel)) = busy.get(&folder) {
                if folder.join(CANCEL).exists() {
                    cancel.cancel();
                }
                continue;
            }
            if folder.join(END).exists() || folder.join(TAKEN).exists() {
                continue;
            }
            let free = (0..slots).find(|slot| busy.values().all(|(taken, _)| taken != slot));
            if let Some(slot) = free
                && fs::write(folder.join(TAKEN), "").is_ok()
            {
                let (cancel, local) = (Cancel::new(), local.clone());
                if folder.join(CANCEL).exists() {
                    cancel.cancel();
                }
                busy.insert(folder.clone(), (slot, cancel.clone()));
                jobs.spawn(async move {
                    let end = execute(&local, &folder, slot, &cancel).await.unwrap_or_else(|error| match error {
                        SandboxError::Cancelled => End::Cancelled,
                        error => End::Failed(error.to_string()),
                    });
                    let _ = write(&folder.join(END), &end);
                    folder
                });
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn execute(local: &LocalExecutor, folder: &Path, slot: usize, cancel: &Cancel) -> Result<End, SandboxError> {
    let order: Order = read(&folder.join(ORDER))?.ok_or_else(|| SandboxError::Other("a job has no order".into()))?;
    let name = JobName { content: order.content, ..JobName::new(order.run, order.trial) };
    let mut job = Job::new(name, Tree::from_folder(&folder.join(FILES))?, Vec::new(), Duration::ZERO);
    (job.build, job.run) = (order.build.step()?, order.main.step()?);
    let guards = |guards: Vec<Phase>| guards.into_iter().map(Phase::step).collect::<Result<Vec<_>, _>>();
    (job.before, job.after) = (guards(order.before)?, guards(order.after)?);
    (job.results, job.any_exit_code) = (order.results, order.any_exit_code);
    (job.keeps, job.repeats, job.slot) = (order.keeps, order.repeats, u32::try_from(slot).unwrap_or_default());
    Ok(End::Outcome(local.run(&job, cancel).await?))
}

/// Lists the folders of whole jobs.
fn folders(queue: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(queue).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries
        .filter(|path| path.join(ORDER).exists() && path.extension().is_none_or(|end| end != "partial"))
        .collect();
    folders.sort();
    folders
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), SandboxError> {
    let failed = |e| SandboxError::io(format!("writing {}", path.display()), e);
    let text = serde_json::to_vec(value).map_err(|e| failed(e.into()))?;
    let partial = path.with_extension("json.partial");
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).map_err(failed)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, SandboxError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|e| SandboxError::Other(e.to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SandboxError::io(format!("reading {}", path.display()), error)),
    }
}
