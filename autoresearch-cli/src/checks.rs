//! Checks of what a run needs. `run` makes the cheap ones before the baseline, which may cost several trials; `doctor` makes all.

use autoresearch_core::Revision;
use autoresearch_core::internal::git::Lineage;

use crate::error::CommandError;
use crate::session::Session;

mod editable;
mod isolation;
mod machine;
mod measured;
mod metric;
mod programs;
mod proposer;
mod subject;
mod workspace;

pub use machine::{devices, lasting, machine};
pub use measured::measured;
pub use metric::metric;
pub use programs::find_program;
pub use proposer::{has_knobs, with_repository};
pub use subject::{Finding, Level, Subject};

/// Checks a run that starts from `base`. Returns what is worth saying and stops nothing.
pub async fn before_run(session: &Session, lineage: &Lineage, base: &Revision) -> Result<Vec<String>, CommandError> {
    let mut warnings = Vec::new();
    for finding in cheap(&Subject::new(session, lineage, base)?).await? {
        match finding.level {
            Level::Error => return Err(CommandError::Other(finding.message)),
            Level::Warning => warnings.push(finding.message),
            Level::Fine => {}
        }
    }
    Ok(warnings)
}

/// Makes the checks that take no time worth mentioning, and start nothing.
pub async fn cheap(subject: &Subject<'_>) -> Result<Vec<Finding>, CommandError> {
    let mut findings = of_setup(subject);
    findings.extend(proposer::proposer(subject).await?);
    Ok(findings)
}

/// Makes those of them that need no proposer and no programme.
pub fn of_setup(subject: &Subject<'_>) -> Vec<Finding> {
    let parts = [
        files,
        editable::editable,
        workspace::workspace,
        isolation::isolation,
        programs::programs,
        machine::repository,
        machine::space,
    ];
    parts.iter().flat_map(|check| check(subject)).collect()
}

/// The files of the commit must be those that candidates' folders can hold.
fn files(subject: &Subject<'_>) -> Vec<Finding> {
    const NAME: &str = "commit";
    match subject.lineage.check_files(subject.base) {
        Ok(warnings) if warnings.is_empty() => {
            vec![Finding::fine(NAME, format!("{} files in {}", subject.files.len(), subject.base.short()))]
        }
        Ok(warnings) => warnings.into_iter().map(|warning| Finding::warning(NAME, warning)).collect(),
        Err(error) => vec![Finding::error(NAME, error.to_string())],
    }
}
