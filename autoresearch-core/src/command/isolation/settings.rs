//! The settings of an isolation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::container::Container;
use super::hosts::{Hosts, Network};

/// How much of an isolation must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// Commands may do what the lab's user may do.
    #[default]
    None,
    /// The protections that this machine has; [`Isolation::enforcement`] tells which they are.
    BestEffort,
    /// All protections. Nothing is run where one is missing.
    Strict,
}

/// Walls around the commands of candidates, and the things outside that they may use all the same.
///
/// An isolated command reads and executes the system's programs, the folders of `PATH` and of the tool chains that the environment
/// names, and what the job provides; it writes into its own folder, a folder for temporary files and an empty `HOME` alone. It has
/// no network, no capability, no socket of the machine's services, and no way to another process. The repository, the journal and
/// the user's files are not among what it reads, unless they lie in `/usr` or `/opt`.
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
    /// Folders that each candidate finds as the baseline's build left them, such as the target folder of a build tool: it may write
    /// there, and what it writes is gone after its trial. They are made where they are missing.
    pub pristine: Vec<PathBuf>,
    /// The container engine that has the walls, and the image that takes the place of the machine's programs. By default the walls
    /// are the lab's own.
    pub container: Option<Container>,
    /// The network that commands have.
    pub network: Network,
    /// A folder that no variable and no argument opens by naming one around it: that of the repository, where the runs lie.
    pub hidden: Option<PathBuf>,
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

    /// Lets each candidate find a folder as the baseline's build left it, and change it for itself alone.
    pub fn pristine(mut self, path: impl Into<PathBuf>) -> Isolation {
        self.pristine.push(path.into());
        self
    }

    /// Runs commands in containers.
    pub fn container(mut self, container: Container) -> Isolation {
        self.container = Some(container);
        self
    }

    /// Says whether commands may use the machine's network.
    pub fn network(mut self, network: bool) -> Isolation {
        self.network = if network { Network::Machine } else { Network::None };
        self
    }

    /// Lets commands reach some hosts, and nothing else.
    pub fn hosts(mut self, hosts: Hosts) -> Isolation {
        self.network = Network::Hosts(hosts);
        self
    }
}
