//! The path of a newcomer, timed: from `init` in a repository that the command has never seen to the first measured baseline.

use std::fs;
use std::time::Instant;

use super::folder::{Folder, autoresearch};
use crate::figure::Line;

/// Seconds that the program of the newcomer takes.
const PROGRAM_SECONDS: u32 = 5;
const MAX_SECONDS: f64 = 60.0;

/// Seconds from `init --yes` to the first measured baseline of a program that takes five.
pub fn first_baseline() -> Result<Line, String> {
    let program = autoresearch()?;
    let folder = Folder::new("newcomer")?;
    let script = format!("import time\nWIDTH = 8\ntime.sleep({PROGRAM_SECONDS})\nprint('loss:', 1 / WIDTH)\n");
    fs::write(folder.path().join("train.py"), script).map_err(|e| e.to_string())?;
    folder.commit()?;
    let began = Instant::now();
    let init = ["init", "--yes", "--run", "python3 train.py", "--metric", "loss", "--direction", "minimise"];
    let said = folder.run(&program, &init)?;
    let seconds = began.elapsed().as_secs_f64();
    // `init` measures the program in a slot of the sandbox, as the baseline of a run is measured.
    let measured = said.lines().filter(|line| line.contains("loss")).count();
    let value = format!("{seconds:.0} s from init to the measured program of {PROGRAM_SECONDS} s");
    Ok(Line::Measured(measured > 0 && seconds < MAX_SECONDS, value, "60 s"))
}
