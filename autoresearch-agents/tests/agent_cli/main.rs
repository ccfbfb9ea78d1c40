//! Whole nights with agents' command lines: scripts that fall into every trap, and the real Claude Code and Codex against
//! servers on loopback that speak their vendors' words.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keys;
mod mock;
mod place;
mod real;
mod traps;
mod waves;
