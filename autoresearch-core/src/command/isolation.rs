//! Keeping the commands of candidates away from everything that is not theirs: the protections that there are, those of them that
//! this machine has, and the things that commands may use all the same.

mod allowed;
mod contained;
mod container;
mod enforcement;
mod hosts;
mod isolated;
mod layer;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod none;
mod settings;

pub(super) use contained::Contained;
pub use container::Container;
pub(super) use container::{ContainerEnd, of_engines};
pub use enforcement::{Enforcement, Protection};
pub use hosts::{Hosts, Network};
pub use isolated::Isolated;
pub use layer::Layer;
#[cfg(target_os = "linux")]
pub(super) use linux::{Entrance, Walls};
#[cfg(not(target_os = "linux"))]
pub(super) use none::{Entrance, Walls};
pub use settings::{Isolation, IsolationLevel};
