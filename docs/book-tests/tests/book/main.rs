//! The book says what is: its commands run, its configurations are read, its links lead somewhere, its words are those of the
//! glossary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod annotations;
mod commands;
mod configurations;
mod invariants;
mod links;
mod messages;
mod program;
mod tutorial;
mod words;

use autoresearch_book::page::{Page, pages, root};

/// The pages of the book and all other Markdown files.
fn all() -> Vec<Page> {
    let pages = pages(&root());
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    pages
}

/// Fails with everything that was found, one to a line.
fn report(found: &[String]) {
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}
