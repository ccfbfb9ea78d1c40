//! Parts that the other crates of this workspace share: the command, the proposers, and the evidence.
//!
//! Nothing in here is part of the promise that the version of this crate makes: any release may change it.

pub use crate::change::{check_path, matches};
pub use crate::lab::Settings;
pub use crate::policy::{Difference, Policy};
pub use crate::proposal::{CANCELLED, Design};
pub use crate::proposer::context;
pub use crate::ratchet::{DecisionRule, mean_of_scores as mean};
pub use crate::sandbox::{Purpose, Repeat, SIZES, Sizes, for_purpose, purpose};

/// Attacks of a candidate on the lab, the user's files and the machine.
#[cfg(all(feature = "attacks", target_os = "linux"))]
pub mod attacks {
    pub use crate::attacks::*;
}

/// The measured winner's curse of a run, and what a rerun of its kept changes says.
#[cfg(feature = "command")]
pub mod audit {
    pub use crate::audit::*;
}

/// The git side of a run: the lineage, the pins and the three-way merge.
#[cfg(feature = "git")]
pub mod git {
    pub use crate::git::*;
}

/// The digest of a file or folder that decides the number.
#[cfg(feature = "command")]
pub use crate::command::digest;

/// Walls around the commands of candidates.
#[cfg(feature = "command")]
pub mod isolation {
    pub use crate::command::isolation::{
        Container, Enforcement, Hosts, Isolation, IsolationLevel, Network, Protection,
    };
}

/// Tables of other programs, read as a run.
#[cfg(feature = "command")]
pub mod import {
    pub use crate::import::*;
}

/// The records of a journal.
pub mod journal {
    pub use crate::journal::{
        Decision, Entry, ExcursionStep, ForeignLine, JournalContent, JournalFault, Medium, Moment, Promotion, Record,
        RunHeader, StagedExperiment, TrialResult, TrialStart, VERSION,
    };
}

/// Numbers as reports and programs print them, the name of the list of items, and the number of a command that is repeated.
pub mod metric {
    pub use crate::metric::printed::{
        Printed, Reading, convert_unit, folded_name, is_unit, parse_number, printed, read,
    };
    pub use crate::metric::{ITEMS, Repeats, of_output, signed, significant, summary_numbers, units_in_a_second};
}

/// Processes: started in a group of their own, limited, and killed as a whole.
#[cfg(feature = "command")]
pub mod process {
    pub use crate::command::environment;
    pub use crate::command::process::*;
}

/// Views of a run: the table of results, deviations from strict improvement, and the agreement of screening.
pub mod results {
    pub use crate::results::*;
}

/// The parts of a state that displays and reports read.
pub mod state {
    pub use crate::state::{
        AuditScore, BaseStatus, EarlierCandidate, FinishedExcursion, HoldoutUse, OpenExperiment, Rung, RungResult,
        Rungs, Running, SANDBOX_FAILURES, ScreeningRecord, Shift, SideLine,
    };
}

/// Text from outside, cleaned before it is kept or shown.
pub mod text {
    pub use crate::text::*;
}

/// The checks of a journal, and of the repository that belongs to it.
#[cfg(feature = "command")]
pub mod verify {
    pub use crate::verify::*;
}
