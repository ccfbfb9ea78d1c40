//! Whole runs with agents' command lines: scripts that fall into every trap, and the real Claude Code and Codex against
//! servers on loopback that speak their vendors' words.

mod aider;
mod behaviour;
mod fixture;
mod key_proxy;
mod mock;
mod real_agents;
mod traps;
mod waves;
