//! The metrics over what programs print and write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod forms;
mod never_wrong;
mod tools;
