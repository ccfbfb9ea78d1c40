//! The command as a user meets it: real processes, real git, real signals. One module for each behaviour.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;

mod apply;
mod attack;
mod branches;
mod bundle;
mod clock;
mod control;
mod doctor;
mod early_errors;
mod environments;
mod evaluate;
mod git_settings;
mod holdout;
mod import;
mod init;
mod interruption;
mod isolation;
mod knobs;
mod layouts;
mod metrics;
mod mistakes;
mod models;
mod noise;
mod pictures;
mod policy;
mod reading;
mod reference;
mod rerun;
mod run;
mod screening;
mod slots;
mod text;
mod timing;
mod transfer;
mod verify;
mod wiring;
mod workers;
mod workspace;
