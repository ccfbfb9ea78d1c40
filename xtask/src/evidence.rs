//! `cargo xtask evidence NAME`: measures the figures of NAME anew and prints a line each,
//! `PASS|SHORT|SKIP name: value (bar)`. Nothing stored is ever read.

use std::time::Instant;

use crate::figure::{Line, Measure};

mod any_repository;
mod bad_input;
mod choices;
mod contest;
mod cuda;
mod durable_core;
mod faults;
mod gpu;
mod house;
mod isolation;
mod ladder;
mod latency;
mod main_job;
mod main_run;
mod mutants;
mod noise;
pub mod operations;
mod pace;
mod parallel;
mod proposers;
mod pytorch;
pub mod race;
mod strict;
mod trainer;
mod walls;

pub use house::store_public_api;

/// The figures of each evidence, by its name.
const EVIDENCE: &[(&str, &[(&str, Measure)])] = &[
    ("main-job", main_job::FIGURES),
    ("durable-core", durable_core::FIGURES),
    ("trainer", trainer::FIGURES),
    ("choices", choices::FIGURES),
    ("proposers", proposers::FIGURES),
    ("noise", noise::FIGURES),
    ("parallel", parallel::FIGURES),
    ("house", house::FIGURES),
    ("faults", faults::FIGURES),
    ("any-repository", any_repository::FIGURES),
    ("isolation", isolation::FIGURES),
    ("gpu", gpu::FIGURES),
];

/// Measures the figures of the named evidence.
pub fn evidence(arguments: &[String]) -> Result<(), String> {
    let known = || EVIDENCE.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (name, rest) = arguments.split_first().ok_or_else(|| format!("name the evidence: {}", known()))?;
    let (_, figures) = EVIDENCE
        .iter()
        .find(|(known, _)| known == name)
        .ok_or_else(|| format!("there is no evidence `{name}`; there are {}", known()))?;
    let names: Vec<&str> = figures.iter().map(|(name, _)| *name).collect();
    let wanted: Vec<&str> = match rest {
        [] => names.clone(),
        [list] if list == "--list" => {
            println!("{}", names.join("\n"));
            return Ok(());
        }
        [only, list] if only == "--only" => list.split(',').collect(),
        _ => return Err("give --list, or --only A,B".into()),
    };
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(format!("there is no figure `{unknown}`; there are {}", names.join(", ")));
    }
    let (mut short, mut lines) = (0, Vec::new());
    for (name, measure) in figures.iter().filter(|(name, _)| wanted.contains(name)) {
        eprintln!("measuring {name}");
        let began = Instant::now();
        let line = match measure() {
            Ok(Line::Measured(true, value, bar)) => format!("PASS {name}: {value} ({bar})"),
            Ok(Line::Measured(false, value, bar)) => format!("SHORT {name}: {value} ({bar})"),
            Ok(Line::Skip(why)) => format!("SKIP {name}: {why}"),
            Err(why) => format!("SHORT {name}: not measured: {why}"),
        };
        short += usize::from(line.starts_with("SHORT"));
        eprintln!("{line}\n  (took {:.0} s)", began.elapsed().as_secs_f64());
        lines.push(line);
    }
    main_run::clean();
    println!("{}", lines.join("\n"));
    if short == 0 { Ok(()) } else { Err(format!("{short} of {} figures are short", lines.len())) }
}
