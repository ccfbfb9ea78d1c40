//! The machine that a run is bundled on, as `doctor` describes it, without what changes by the minute.

use autoresearch_core::MachineId;
use autoresearch_core::internal::isolation::Isolation;
use serde::Serialize;

use crate::checks::{self, Finding, Subject};

/// The description of a machine.
#[derive(Serialize)]
pub struct Machine {
    /// Its identity, as trials have it.
    machine: MachineId,
    /// Its operating system and its architecture.
    system: String,
    findings: Vec<Finding>,
}

impl Machine {
    /// Describes this machine.
    pub fn here(subject: &Subject<'_>) -> Machine {
        let mut findings = checks::lasting();
        findings.push(checks::devices(subject));
        findings.push(Finding::fine("isolation", Isolation::best_effort().enforcement().to_string()));
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Machine { machine: MachineId::here(), system, findings }
    }
}
