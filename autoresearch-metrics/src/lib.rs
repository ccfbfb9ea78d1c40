#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod composite;
mod direction;
mod file;
mod files;
mod found;
mod metric;
mod part;
mod pattern;
mod quantity;
mod readers;
mod reading;

pub use composite::Composite;
pub use direction::suggested_direction;
pub use file::{FilePlace, Format, FoundPlace, found_in_file};
pub use found::{Found, found};
pub use metric::SourceMetric;
pub use part::{Part, Source};
pub use pattern::Pattern;
pub use quantity::Quantity;
pub use readers::{Benchmark, TOOLS, Tool, ToolResult, benchmarks};
pub use reading::Reading;
