//! The path of a newcomer, timed: from `init` in a repository that the command has never seen to the first measured baseline.

use std::fs;
use std::time::Instant;

use super::folder::{Folder, autoresearch};
use crate::figure::Line;

/// Seconds that the program of the newcomer takes.
const PROGRAM_SECONDS: u32 = 5;
const MAX_SECONDS: f64 = 60.0;

/// Seconds from `init --yes` to the measured baseline, and to the decision on one experiment, of a program that takes five.
pub fn first_baseline() -> Result<Line, String> {
    let program = autoresearch()?;
    let folder = Folder::new("newcomer")?;
    let script = format!("import time\nWIDTH = 8\ntime.sleep({PROGRAM_SECONDS})\nprint('loss:', 1 / WIDTH)\n");
    fs::write(folder.path().join("train.py"), script).map_err(|e| e.to_string())?;
    folder.commit()?;
    let began = Instant::now();
    let flags =
        ["--run", "python3 train.py", "--metric", "loss", "--direction", "minimise", "--knob", "WIDTH=int 4..64"];
    folder.run(&program, &[&["init", "--yes"][..], &flags].concat())?;
    let ready = began.elapsed().as_secs_f64();
    folder.run(&program, &["run", "--experiments", "1"])?;
    let all = began.elapsed().as_secs_f64();
    let measured = folder.run(&program, &["log"])?.contains("Experiment 000");
    let value = format!(
        "a program of {PROGRAM_SECONDS} s is known after {ready:.0} s, its baseline measured and one experiment decided after {all:.0} s"
    );
    Ok(Line::Measured(measured && all < MAX_SECONDS, value, "60 s to the baseline"))
}
