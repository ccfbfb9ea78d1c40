//! The metrics over what programs print and write.

mod forms;
mod properties;
mod tools;
