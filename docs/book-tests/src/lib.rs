//! Tests of the book, which are the only content of this crate.
//!
//! The Rust blocks of every page are doctests of the modules below, one module for each page. Everything else is checked by
//! `tests/book`: `sh` blocks are run or parsed, `toml` blocks are read by the real command, links lead somewhere, and the
//! words are those of the glossary.

pub mod page;

/// The pages, made by the build script: doctests are all that is in them.
pub mod pages {
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}
