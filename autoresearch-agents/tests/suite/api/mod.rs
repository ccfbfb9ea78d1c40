//! Both vendors' proposers against servers on this machine that answer, refuse, stall and break in every documented way.

mod agentic;
mod checks;
mod faulty_runs;
mod fixture;
mod mock;
mod replies;
mod retries;
mod vendors;
mod waves;
