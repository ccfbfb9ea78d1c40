//! Keeping the commands of candidates away from everything that is not theirs: which protections there are, which of them this
//! machine has, and what commands may use all the same.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod allowed;
mod isolated;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod none;

use allowed::Allowed;
pub use isolated::Isolated;
#[cfg(target_os = "linux")]
pub(super) use linux::Walls;
#[cfg(target_os = "linux")]
use linux::protections;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Walls;
#[cfg(not(target_os = "linux"))]
use none::protections;

/// How much of an isolation must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// Commands may do what the lab's user may do.
    #[default]
    None,
    /// The protections that this machine has; which they are is told by [`Isolation::enforcement`].
    BestEffort,
    /// All protections. Nothing is run where one is missing.
    Strict,
}

/// What the commands of candidates are kept from, and what they may use beside their own folder.
///
/// An isolated command reads and executes the system's programs, the folders of `PATH` and of the tool chains that the environment
/// names, and what the job provides; it writes into its own folder, a folder for temporary files and an empty `HOME` alone. It has no network, no capability, no socket of the machine's services, and no way to another process. The repository, the
/// journal and the user's files are not among what it reads.
///
/// ```
/// use autoresearch_core::internal::isolation::Isolation;
/// use autoresearch_core::{LocalExecutor, Slot};
/// let isolation = Isolation::strict().read("/data/imagenet").network(false);
/// let executor = LocalExecutor::new([Slot::new("/tmp/slots/0")], "/tmp/logs").isolated(isolation);
/// # let _ = executor;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Isolation {
    /// How much of it must be there.
    pub level: IsolationLevel,
    /// Files and folders that commands may also read and execute. One that is not there is passed over.
    pub read: Vec<PathBuf>,
    /// Files and folders that commands may also write. One that is not there is passed over.
    pub write: Vec<PathBuf>,
    /// True if commands may use the network.
    pub network: bool,
}

impl Isolation {
    /// The protections that this machine has.
    pub fn best_effort() -> Isolation {
        Isolation { level: IsolationLevel::BestEffort, ..Isolation::default() }
    }

    /// All protections, and nothing is run without.
    pub fn strict() -> Isolation {
        Isolation { level: IsolationLevel::Strict, ..Isolation::default() }
    }

    /// Lets commands read and execute a file or folder, too.
    pub fn read(mut self, path: impl Into<PathBuf>) -> Isolation {
        self.read.push(path.into());
        self
    }

    /// Lets commands write a file or folder, too.
    pub fn write(mut self, path: impl Into<PathBuf>) -> Isolation {
        self.write.push(path.into());
        self
    }

    /// Says whether commands may use the network.
    pub fn network(mut self, network: bool) -> Isolation {
        self.network = network;
        self
    }

    /// Says which protections hold on this machine. Each was tried in a process of its own, once.
    pub fn enforcement(&self) -> Enforcement {
        if self.level == IsolationLevel::None {
            return Enforcement { protections: Vec::new() };
        }
        Enforcement { protections: protections(self) }
    }
}

/// One protection, and whether it holds on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Protection {
    /// What it is for, as `files`.
    pub name: String,
    /// True if it holds.
    pub enforced: bool,
    /// The means if it holds, the reason if it does not.
    pub how: String,
}

/// The protections of an isolation on this machine: exactly what holds, and what does not.
///
/// ```
/// use autoresearch_core::internal::isolation::Isolation;
/// assert!(Isolation::default().enforcement().protections.is_empty());
/// let enforcement = Isolation::best_effort().enforcement();
/// assert_eq!(enforcement.is_full(), enforcement.missing().next().is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Enforcement {
    /// All protections that the isolation asks for; empty if it asks for none.
    pub protections: Vec<Protection>,
}

impl Enforcement {
    /// Returns whether all protections hold.
    pub fn is_full(&self) -> bool {
        self.protections.iter().all(|protection| protection.enforced)
    }

    /// The protections that do not hold.
    pub fn missing(&self) -> impl Iterator<Item = &Protection> {
        self.protections.iter().filter(|protection| !protection.enforced)
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protections.is_empty() {
            return f.write_str("commands may do what the user may do");
        }
        let shown = |enforced: bool| {
            let those = self.protections.iter().filter(move |protection| protection.enforced == enforced);
            those.map(|protection| format!("{} ({})", protection.name, protection.how)).collect::<Vec<_>>().join(", ")
        };
        let (held, missing) = (shown(true), shown(false));
        f.write_str(if held.is_empty() { "nothing is enforced" } else { &held })?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; not enforced: {missing}") }
    }
}

pub(super) fn protection(name: &str, result: Result<String, String>) -> Protection {
    let enforced = result.is_ok();
    Protection { name: name.to_owned(), enforced, how: result.unwrap_or_else(|why| why) }
}
