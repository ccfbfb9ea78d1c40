//! The walls around candidates: which of them this machine has.

use std::path::Path;

use autoresearch_core::internal::isolation::{Enforcement, IsolationLevel};

use super::subject::{Finding, Subject};

const NAME: &str = "isolation";

/// Strict isolation needs all protections; what else there is, and what is not, is told.
pub fn isolation(subject: &Subject<'_>) -> Vec<Finding> {
    let isolation = subject.session.isolation();
    let enforcement = isolation.enforcement();
    if let Some(missing) = enforcement.missing().find(|missing| missing.name == "container") {
        return vec![subject.wrong(NAME, "isolation.container", format!(": {}", missing.how))];
    }
    let is_root = enforcement.missing().any(|missing| missing.name == "user");
    let mut findings = vec![of_level(subject, isolation.level, &enforcement)];
    if isolation.level != IsolationLevel::None && is_root && Path::new("/dev/nvidiactl").exists() {
        let why = "as root CUDA does not open behind the walls: it names its threads by files in /proc, where root may write \
                   nothing; start the lab as another user, or give [isolation] level = \"none\"";
        findings.push(Finding::warning(NAME, why));
    }
    findings
}

fn of_level(subject: &Subject<'_>, level: IsolationLevel, enforcement: &Enforcement) -> Finding {
    match level {
        IsolationLevel::None if subject.session.config.evaluate.is_some() && cfg!(target_os = "linux") => {
            let why = "none: no candidate can print the number that [evaluate] measures, but each may change files of yours that \
                       the evaluation reads; give [isolation] level = \"best-effort\"";
            Finding::warning(NAME, why)
        }
        IsolationLevel::None => Finding::fine(NAME, "none: commands of candidates may do what you may do"),
        IsolationLevel::Strict if !enforcement.is_full() => {
            let why =
                format!("is strict, and this machine does not have all of it: {enforcement}; give \"best-effort\"");
            subject.wrong(NAME, "isolation.level", why)
        }
        _ if !enforcement.is_full() => {
            let missing = enforcement.missing().map(|missing| format!("{}: {}", missing.name, missing.how));
            Finding::warning(NAME, format!("the isolation lacks: {}", missing.collect::<Vec<_>>().join("; ")))
        }
        _ => Finding::fine(NAME, enforcement.to_string()),
    }
}
