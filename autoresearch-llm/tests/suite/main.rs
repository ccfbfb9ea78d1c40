//! The fixed part of the workload: its data, its measure and its operations. The test that must open CUDA before anything else
//! does is a binary of its own (`tests/ops_cuda.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpus;
mod download;
mod flash;
mod host;
mod kernels;
mod ops;
mod packing;
mod strict;
mod tokenizer;
mod val_bpb;
