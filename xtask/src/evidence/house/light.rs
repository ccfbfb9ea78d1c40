//! The build of the core alone, without its default features, as a user's crate has it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use crate::{places, sh};

/// A fresh build of a crate that depends on nothing but the core.
pub struct Build {
    /// Crates of git among its dependencies.
    pub git: Vec<String>,
    /// Wall clock of the build.
    pub seconds: f64,
    /// Processor time of the compilers, where the system tells it.
    pub cpu: Option<f64>,
}

/// Makes a crate outside the workspace, adds the core without its default features, and builds it by two jobs with cargo's own
/// development profile: this workspace's profile optimises dependencies, and would not be a user's.
pub fn build() -> Result<Build, String> {
    let root = places::root();
    // The download is not the build.
    sh::output(sh::cargo().args(["fetch", "--locked"]))?;
    let folder = std::env::temp_dir().join(format!("autoresearch-light-{}", std::process::id()));
    empty(&folder)?;
    let built = build_in(&folder, &root);
    empty(&folder)?;
    built
}

fn build_in(folder: &Path, root: &Path) -> Result<Build, String> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = sh::cargo();
        // Whatever the caller's shell sets is not a user's either.
        cargo.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target")).args(arguments);
        ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_INCREMENTAL"].iter().fold(cargo, |mut cargo, name| {
            cargo.env_remove(name);
            cargo
        })
    };
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    sh::output(&mut cargo(&["init", "--quiet", "--lib", "--vcs", "none", "--name", "light"]))?;
    // The versions that were fetched, so that nothing is resolved anew.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).map_err(|e| format!("cannot copy Cargo.lock: {e}"))?;
    let core = root.join("autoresearch-core").display().to_string();
    sh::output(&mut cargo(&["add", "--quiet", "--offline", "--no-default-features", "--path", &core]))?;
    let tree = sh::output(&mut cargo(&["tree", "--offline", "-e", "normal", "--prefix", "none"]))?;
    let git = tree.lines().filter(|line| line.starts_with("libgit2") || line.starts_with("git2"));
    let (began, cpu) = (Instant::now(), of_children());
    sh::output(&mut cargo(&["build", "--offline", "--jobs", "2"]))?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Build {
        git: git.map(str::to_owned).collect(),
        seconds,
        cpu: of_children().zip(cpu).map(|(now, then)| now - then),
    })
}

fn empty(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Seconds of processor time of the ended processes below this one.
fn of_children() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything: the state is the first field, and times are in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(13)? + ticks(14)?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_time_of_a_process_counts_when_it_has_ended() {
        let before = of_children().unwrap();
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        assert!(of_children().unwrap() > before);
    }
}
