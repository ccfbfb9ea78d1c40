//! Tests of what the lab, its rules, its journal and its repository promise. Tests that start processes and measure time are
//! a binary of their own (`tests/processes`), so that these do not disturb them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod excursion;
mod interrupted;
mod ladder;
mod lineage;
mod noise;
mod odd_git;
mod parallel;
mod rebase;
mod rejected;
mod rules;
mod screening;
mod semantics;
mod trouble;
mod twins;
mod verify;
