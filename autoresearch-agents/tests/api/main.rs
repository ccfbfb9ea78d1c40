//! Both vendors' proposers against servers on this machine that answer, refuse, stall and break in every documented way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agentic;
mod bench;
mod checks;
mod mock;
mod nights;
mod replies;
mod retries;
mod waves;
mod wire;
