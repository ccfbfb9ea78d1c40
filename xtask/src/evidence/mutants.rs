//! Every protection of the core, taken away one by one in a copy of the crate: some test must fail each time. The table with
//! the invariants is in `autoresearch-core/tests/suite/semantics.rs`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::Line;
use crate::test::THOROUGH;
use crate::{places, sh};

mod table;

use table::MUTANTS;

/// Longest time for one test: enough for each of them, and an end for a mutant that hangs.
const PATIENCE: Duration = Duration::from_secs(400);

/// Counts the protections that some test guards.
pub fn mutations() -> Result<Line, String> {
    let folder = std::env::temp_dir().join(format!("autoresearch-mutants-{}", std::process::id()));
    let result = in_copy(&folder);
    let _ = fs::remove_dir_all(&folder);
    let unseen = result?;
    let seen = MUTANTS.len() - unseen.len();
    let value = format!("{seen} of {} mutants are seen by a test{}", MUTANTS.len(), unseen.join(""));
    Ok(Line::Measured(unseen.is_empty(), value, "all"))
}

fn in_copy(folder: &Path) -> Result<Vec<String>, String> {
    let copy = folder.join("copy");
    sh::output(Command::new("git").args(["clone", "--quiet"]).arg(places::root()).arg(&copy))?;
    let mut unseen = Vec::new();
    for mutant in MUTANTS {
        let path = copy.join("autoresearch-core/src").join(mutant.file);
        let source = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if source.matches(mutant.search).count() != 1 {
            return Err(format!("`{}` must stand once in {}", mutant.search, mutant.file));
        }
        fs::write(&path, source.replacen(mutant.search, mutant.replace, 1)).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let verdict = test(&copy, &folder.join("target"), mutant.test)?;
        fs::write(&path, source).map_err(|e| e.to_string())?;
        eprintln!("  {:<55} {verdict} ({:.0} s)", mutant.invariant, began.elapsed().as_secs_f64());
        if !verdict.starts_with("seen") {
            unseen.push(format!("; {}: {verdict}", mutant.invariant));
        }
    }
    Ok(unseen)
}

/// Runs the tests and says whether one fails.
fn test(copy: &Path, target: &Path, arguments: &[&str]) -> Result<&'static str, String> {
    let cargo = |last: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(copy).args(["test", "-p", "autoresearch-core"]).args(arguments).args(last);
        // The first failure is enough.
        cargo.env("CARGO_TARGET_DIR", target).env("PROPTEST_MAX_SHRINK_ITERS", "0").env("RUST_BACKTRACE", "0");
        cargo.env(THOROUGH, "1");
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cargo
    };
    let started = |e| format!("cannot start cargo: {e}");
    if !cargo(&["--no-run"]).status().map_err(started)?.success() {
        return Ok("does not build");
    }
    let mut child = cargo(&[]).spawn().map_err(started)?;
    let began = Instant::now();
    loop {
        match child.try_wait().map_err(started)? {
            Some(status) if status.success() => return Ok("NOT SEEN"),
            Some(_) => return Ok("seen"),
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok("seen: it hangs");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protection_that_is_taken_away_is_there_once() {
        for mutant in MUTANTS {
            let path = places::root().join("autoresearch-core/src").join(mutant.file);
            let source = fs::read_to_string(&path).unwrap();
            assert_eq!(source.matches(mutant.search).count(), 1, "{}: {}", mutant.invariant, mutant.search);
        }
    }
}
