//! Checks of keys that stand in different sections.

use super::error::KeyError;
use super::file::Config;
use super::metric::MetricKind;
use super::ratchet::Rule;

/// Stands in the run's command for the folder with what the build keeps; the sandbox fills it in.
const BUILT: &str = "{built}";

/// Finds sections that contradict each other.
pub fn check(config: &Config) -> Result<(), KeyError> {
    let Config { build, run, holdout, metric, ratchet, .. } = config;
    if run.command.is_empty() {
        return Err(KeyError::new("run.command", "is empty; give the program that prints the metric"));
    }
    if build.keeps.is_empty()
        && let Some((name, _)) = [("run", &run.command), ("holdout", &holdout.command)]
            .into_iter()
            .find(|(_, command)| command.iter().any(|argument| argument.contains(BUILT)))
    {
        let why = format!("has {BUILT}, the folder with what [build] keeps, and that is empty; give [build] keeps");
        return Err(KeyError::new(format!("{name}.command"), why));
    }
    if ratchet.rule == Rule::Ladder && metric.kind != MetricKind::Items {
        let why = "is 'ladder', which compares item by item; give [metric] kind = 'items'";
        return Err(KeyError::new("ratchet.rule", why));
    }
    if ratchet.rule == Rule::Pareto && metric.is_time() {
        let why = "is 'pareto', which compares means, and a time needs trials made in turns; give [metric] kind = 'number' with a \
                   quantity such as 'cpu', or another rule with [ratchet.limits]";
        return Err(KeyError::new("ratchet.rule", why));
    }
    check_evaluation(config)?;
    check_classes(config)?;
    check_workers(config)
}

/// An evaluation gives one number, which nothing of a candidate writes.
fn check_evaluation(config: &Config) -> Result<(), KeyError> {
    if config.evaluate.is_none() {
        return Ok(());
    }
    if let Some(file) = config.results().written.first() {
        let why = format!(
            "measures what the run leaves, and [metric] reads {file}, which the run writes itself; let the evaluation read that \
             file, name it in [evaluate] inputs, and write the number into AUTORESEARCH_RESULT as `{}: 1.5`",
            config.metric.name
        );
        return Err(KeyError::new("evaluate", why));
    }
    match config.metric.repeats_of(config.run.repeats) {
        Some(_) => {
            let why = "is more than 1, and [evaluate] measures what the last repeat left; leave it out, or let the evaluation \
                       repeat its measurement";
            Err(KeyError::new("run.repeats", why))
        }
        None => Ok(()),
    }
}

fn check_workers(config: &Config) -> Result<(), KeyError> {
    let (section, count) = (&config.workers, config.workers.count());
    let devices = section.devices()?;
    let unpinned = devices.iter().any(|device| device.cpus.is_empty());
    if config.metric.is_time() && count > 1 && unpinned {
        let why = ": a time is disturbed by whatever else runs on its CPUs; name CPUs of its own for each worker, as 'cpus:0' \
                   or 'cuda:0/cpus:0-7'";
        return Err(KeyError::new("workers.devices", why));
    }
    if !config.run.cpus.is_empty() && devices.iter().any(|device| !device.cpus.is_empty()) {
        let why = "and [workers] devices both name CPUs; leave [run] cpus out";
        return Err(KeyError::new("run.cpus", why));
    }
    if config.excursion.is_some() {
        let so = "since a side line is gone one step at a time; leave it out, or [excursion]";
        if count > 1 {
            let why = format!("needs one worker, and [workers] count or devices gives {count}, {so}");
            return Err(KeyError::new("excursion", why));
        }
        if section.ahead == Some(true) {
            return Err(KeyError::new("excursion", format!("needs [workers] ahead = false, {so}")));
        }
    }
    Ok(())
}

fn check_classes(config: &Config) -> Result<(), KeyError> {
    let classes = config.workers.classes();
    let known = || {
        let mut known: Vec<&str> = classes.iter().map(String::as_str).filter(|class| !class.is_empty()).collect();
        known.dedup();
        if known.is_empty() { "none".into() } else { known.join(", ") }
    };
    let short = config.screening.as_ref().and_then(|screening| screening.class());
    if let Some(class) = short.filter(|class| !classes.contains(class)) {
        let why = format!(
            "is '{class}', and no worker is of that class (there are: {}); name it in [workers] devices as \
             {{ device = '…', class = '{class}' }}",
            known()
        );
        return Err(KeyError::new("screening.class", why));
    }
    let first = classes.first().map(String::as_str).unwrap_or_default();
    match classes.iter().find(|class| *class != first && short != Some(class)) {
        Some(class) => {
            let why = format!(
                ": nothing runs on the class '{class}': trials on the full budget are for the class of the first worker, \
                 '{first}'; give [screening] class = '{class}', or leave its workers out"
            );
            Err(KeyError::new("workers.devices", why))
        }
        None => Ok(()),
    }
}
