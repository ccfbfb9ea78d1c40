//! The fixed part of the GPT workload: data, tokenizer, packing, the training clock and val_bpb. `train.rs` beside it is
//! the part that is researched.
//!
//! The modules stand in the order of the data flow: documents are prepared once into token shards ([`prepare`]), the
//! loader packs them into rows ([`loader`]), a model is trained within a [`budget`] and judged by [`evaluate`], or by a process
//! that its program has no part in ([`strict`]).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod error;

pub mod corpus;
pub mod download;
pub mod tokenizer;

pub mod prepare;
pub mod shards;
pub mod workload;

pub mod loader;

mod libraries;
pub mod ops;

pub mod batch;
pub mod budget;
pub mod checkpoint;
pub mod device;
pub mod evaluate;
pub mod failure;
pub mod log;
pub mod strict;
pub mod summary;

pub use error::DataError;
pub use loader::Loader;
pub use workload::{Split, Workload};
