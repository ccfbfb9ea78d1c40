//! Setting a repository up: what is in it, the configuration that follows, and the numbers that its program prints.

mod detect;
mod draft;
mod numbers;
mod place;
mod programme;
mod templates;

pub use detect::{Look, quoted};
pub use draft::{Draft, MetricDraft, ProposerDraft};
pub use numbers::{Choice, Found, choose, found, list};
pub use place::{Place, seconds};
pub use programme::programme;
pub use templates::{Template, draft};
