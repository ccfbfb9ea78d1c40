//! The bundle that measures the trainer on a GPU elsewhere: its size, its rehearsal on the CPU, and the same on a GPU that is here.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::evidence::{cuda, pytorch};
use crate::figure::Line;
use crate::gpu_bundle::{self, Data};
use crate::sh;

/// The lines that a call of the bundle's script prints.
const LINES: [&str; 11] = [
    "loading",
    "floor",
    "operations",
    "losses",
    "training",
    "warnings",
    "memory",
    "outside",
    "data-wait",
    "data-limit",
    "beside-pytorch",
];

/// The bundle, packed once, and its size in bytes.
fn packed() -> Result<&'static (PathBuf, u64), String> {
    static PACKED: OnceLock<Result<(PathBuf, u64), String>> = OnceLock::new();
    let pack = || {
        let file = sh::target()?.join(format!("{}-evidence.tar.gz", gpu_bundle::NAME));
        let size = gpu_bundle::pack(&file, Data::Full)?;
        Ok((file, size))
    };
    PACKED.get_or_init(pack).as_ref().map_err(Clone::clone)
}

/// Of the file.
pub fn size() -> Result<Line, String> {
    let mebibytes = packed()?.1 as f64 / f64::from(1 << 20);
    let fits = mebibytes <= gpu_bundle::MOST_MIB as f64;
    Ok(Line::Measured(fits, format!("{mebibytes:.1} MiB"), "64 MiB"))
}

/// Unpacks the bundle in an empty folder and runs its script there, with nothing in the environment but the system's programs. Returns the
/// lines of its figures.
fn measured(options: &[&str]) -> Result<Vec<String>, String> {
    let folder = std::env::temp_dir().join(format!("autoresearch-gpu-bundle-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let run = || {
        sh::output(Command::new("tar").arg("-xzf").arg(&packed()?.0).arg("-C").arg(&folder))?;
        let mut script = Command::new(folder.join(gpu_bundle::NAME).join("run.sh"));
        script.arg("--python").arg(pytorch::python()?).args(options).current_dir(&folder);
        script.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &folder);
        eprintln!("> {}", sh::shown(&script));
        // Its status is not 0 where a line is short: the lines are what counts.
        let output = script.output().map_err(|e| format!("cannot start the bundle's script: {e}"))?;
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        eprint!("{text}");
        Ok::<_, String>(figures(&text))
    };
    let lines = run();
    let _ = std::fs::remove_dir_all(&folder);
    lines
}

/// The lines of figures in an output.
fn figures(text: &str) -> Vec<String> {
    let is_figure = |line: &&str| ["PASS ", "SHORT ", "SKIP "].iter().any(|status| line.starts_with(status));
    text.lines().filter(is_figure).map(str::to_owned).collect()
}

/// The figure of a call that printed these lines: all of them must be there and pass.
fn figure(lines: &[String], bar: &'static str) -> Line {
    let has = |name: &&&str| lines.iter().any(|line| line.starts_with(&format!("PASS {name}: ")));
    let missing: Vec<&str> = LINES.iter().filter(|name| !has(name)).copied().collect();
    let fine = missing.is_empty() && lines.len() == LINES.len();
    let value = match fine {
        true => format!("{} of {} lines pass; {}", lines.len(), LINES.len(), lines.last().map_or("", String::as_str)),
        false => format!("not passed: {}; {}", missing.join(", "), lines.join(" | ")),
    };
    Line::Measured(fine, value, bar)
}

/// Every step, on the CPU with small sizes.
pub fn rehearsal() -> Result<Line, String> {
    Ok(figure(&measured(&["--rehearse"])?, "every step runs on the CPU with that Python alone"))
}

/// The same on a GPU, at the h100 preset's sizes.
pub fn device() -> Result<Line, String> {
    match cuda::missing() {
        Some(skip) => Ok(skip),
        None => Ok(figure(&measured(&[])?, "every step passes its own bar")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_must_be_there_and_pass() {
        let all: Vec<String> = LINES.iter().map(|name| format!("PASS {name}: 1 (bar)")).collect();
        let fine = |lines: &[String]| matches!(figure(lines, ""), Line::Measured(true, ..));
        assert!(fine(&figures(&format!("noise\n{}\nresults.json; 9 s", all.join("\n")))));
        assert!(!fine(&all[1..]));
        let mut short = all.clone();
        short[4] = "SHORT training: not measured: it did not end in 150 s".into();
        assert!(!fine(&short) && !fine(&[]));
    }
}
