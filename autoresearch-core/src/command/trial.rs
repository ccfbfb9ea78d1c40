//! From a trial of a candidate to the job of an executor.

use std::ffi::OsString;

use super::commands::Commands;
use super::cpus::Cpus;
use super::devices::Device;
use super::environment::passed;
use super::executor::{Job, JobEvaluation, JobName, JobStep};
use super::guard::GuardTime;
use super::limits::Limits;
use super::tree::Tree;
use crate::revision::Revision;
use crate::sandbox::{SandboxError, Trial};

/// Makes the job of a trial: its name, its commands with their environment, and the limits and devices of its worker.
///
/// `base` is the tree that the search started from, which evaluates.
pub(super) fn job(
    commands: &Commands,
    run: String,
    (tree, base): (Tree, Tree),
    trial: &Trial,
) -> Result<Job, SandboxError> {
    let device = device(commands, trial)?;
    let budget = trial.budget.at(trial.fidelity);
    let of_worker = device.map(|device| device.cpus).unwrap_or_default();
    let or = |cpus: Cpus, otherwise: Cpus| if cpus.is_empty() { otherwise } else { cpus };
    let build_cpus = if trial.worker.is_none() { commands.build_cpus } else { of_worker };

    let mut environment: Vec<_> = passed(&commands.pass).collect();
    environment.extend(commands.environment.iter().cloned());
    environment.push(("AUTORESEARCH_SEED".into(), trial.seed.to_string().into()));
    // There is no repository in a candidate's folder that could be asked.
    environment.push(("AUTORESEARCH_COMMIT".into(), tree.revision().0.clone().into()));
    let mut run_environment = environment.clone();
    run_environment.push(("AUTORESEARCH_FIDELITY".into(), trial.fidelity.to_string().into()));
    run_environment.extend(commands.run_environment.iter().cloned());

    let run_limits = Limits { cpus: or(of_worker, commands.cpus), ..commands.limits };
    let guards = |when: GuardTime| {
        let guards = commands.guards.iter().filter(|guard| guard.when == when);
        let step = |argv: &Vec<String>, limit| {
            let environment = run_environment.clone();
            JobStep { argv: argv.clone(), environment, limit, limits: run_limits }
        };
        guards.map(|guard| step(&guard.argv, guard.limit)).collect()
    };
    let evaluation = commands.evaluation.as_ref().map(|evaluation| {
        let argv = evaluation.argv.clone();
        let environment = [run_environment.clone(), evaluation.environment.clone()].concat();
        let step = JobStep { argv, environment, limit: evaluation.limit, limits: run_limits };
        let provisions = [commands.provisions.clone(), evaluation.provisions.clone()].concat();
        JobEvaluation {
            provisions,
            reads: evaluation.reads.clone(),
            ..JobEvaluation::new(step, base, evaluation.inputs.clone())
        }
    });
    let content = digest(tree.revision(), commands, &environment, &run_environment);
    let name = JobName { content, ..JobName::new(run, trial.name()) };
    Ok(Job {
        provisions: commands.provisions.clone(),
        build: JobStep {
            argv: commands.build.clone(),
            environment,
            limit: budget.build,
            limits: Limits { cpus: or(build_cpus, commands.limits.cpus), ..commands.limits },
        },
        keeps: commands.keeps.clone(),
        before: guards(GuardTime::Before),
        after: guards(GuardTime::After),
        run: JobStep {
            argv: commands.run.clone(),
            environment: run_environment,
            limit: budget.run,
            limits: run_limits,
        },
        repeats: commands.repeats.max(1),
        evaluation,
        results: commands.results.clone(),
        any_exit_code: commands.any_exit_code,
        devices: device.cloned().unwrap_or_default(),
        slot: trial.slot,
        progress: trial.progress.clone(),
        ..Job::new(name, tree, Vec::new(), budget.run)
    })
}

/// Digits of the digest in a job's name.
const DIGITS: usize = 8;

/// Digests what a job executes: files, commands and variables, the seed among them. Slots, limits and devices may be others after
/// a restart.
fn digest(
    revision: &Revision,
    commands: &Commands,
    build: &[(String, OsString)],
    run: &[(String, OsString)],
) -> String {
    let read = (&commands.evaluation, &commands.results, commands.any_exit_code);
    let beside = (&commands.provisions, &commands.guards, read);
    let what = format!("{:?}", (revision, &commands.build, build, &commands.run, run, commands.repeats.max(1), beside));
    let mut digest = blake3::hash(what.as_bytes()).to_hex().to_string();
    digest.truncate(DIGITS);
    digest
}

/// Finds the devices of the trial's worker. `None` if all workers share the machine, or the trial is only built.
fn device<'a>(commands: &'a Commands, trial: &Trial) -> Result<Option<&'a Device>, SandboxError> {
    match trial.worker {
        Some(worker) if !commands.devices.is_empty() => match commands.devices.get(worker as usize) {
            Some(device) => Ok(Some(device)),
            None => Err(SandboxError::Other(format!(
                "worker {worker} has no devices: there are those of {} workers; name some for each worker",
                commands.devices.len()
            ))),
        },
        _ => Ok(None),
    }
}
