//! Setting a repository up: what is in it, the configuration that follows, and the numbers that its program prints.

mod detect;
mod draft;
mod metric;
mod numbers;
mod place;
mod programme;
mod question;
mod templates;

pub use detect::{Look, quoted};
pub use draft::{Draft, ProposerDraft, WallsDraft};
pub use metric::MetricFlags;
pub use numbers::{benchmarks, found, list, list_benchmarks};
pub use place::{Place, seconds};
pub use programme::programme;
pub use question::ask;
pub use templates::{Template, draft};
