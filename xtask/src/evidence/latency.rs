//! From a one-line edit of train.rs to the new program's first output, with everything else built.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figure::Line;
use crate::{places, setup, sh};

const FILE: &str = "autoresearch-llm/train.rs";
const PRESET: &str = "examples/nanochat/presets/cpu.toml";

/// The median of five edits.
pub fn edit_to_running() -> Result<Line, String> {
    let libtorch = setup::setup()?;
    let folder = std::env::temp_dir().join(format!("autoresearch-latency-{}", std::process::id()));
    let measured = measure(&folder, &libtorch);
    let _ = fs::remove_dir_all(&folder);
    let (mut running, mut stepping) = measured?;
    running.sort_by(f64::total_cmp);
    stepping.sort_by(f64::total_cmp);
    let value =
        format!("{:.2} s to its first output, {:.2} s to its first step (medians of 5)", running[2], stepping[2]);
    Ok(Line::Measured(running[2] <= 3.0, value, "3 s to running"))
}

/// A clone whose train.rs has the preset's constants, built, and data for it.
pub struct Built {
    clone: PathBuf,
    target: PathBuf,
    libtorch: PathBuf,
    source: String,
    /// Folder that `prepare` made.
    pub data: PathBuf,
}

const PACKAGE: [&str; 6] = ["--locked", "--profile", "experiment", "--package", "autoresearch-llm", "--bin"];

impl Built {
    /// Everything in `folder`, except what cargo builds.
    pub fn new(folder: &Path, libtorch: &Path) -> Result<Built, String> {
        let clone = folder.join("clone");
        sh::output(Command::new("git").args(["clone", "--quiet"]).arg(places::root()).arg(&clone))?;
        // Where the run builds, so that nothing is built for this alone.
        let target = places::cache()?.join("target");
        let target = std::path::absolute(&target).unwrap_or(target);
        let data = folder.join("data");
        let mut built = Built { clone, target, libtorch: libtorch.to_owned(), source: String::new(), data };
        let data = built.data.display().to_string();
        sh::output(built.cargo("run").args(["prepare", "--", "--preset", PRESET, "--out", &data]))?;
        let read = |path: PathBuf| fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()));
        built.source = with_preset(read(built.clone.join(FILE))?, &read(built.clone.join(PRESET))?)?;
        built.build(&built.source)?;
        Ok(built)
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.clone).arg(command).args(PACKAGE);
        cargo.env("CARGO_TARGET_DIR", &self.target).env("LIBTORCH", &self.libtorch);
        cargo
    }

    fn build(&self, source: &str) -> Result<(), String> {
        fs::write(self.clone.join(FILE), source).map_err(|e| e.to_string())?;
        sh::output(self.cargo("build").arg("train")).map(|_| ())
    }

    /// Builds the source as it is, or with its one place where `edit.0` stands replaced by `edit.1`.
    pub fn build_edited(&self, edit: Option<(&str, &str)>) -> Result<(), String> {
        match edit {
            None => self.build(&self.source),
            Some((from, to)) if self.source.matches(from).count() == 1 => self.build(&self.source.replace(from, to)),
            Some((from, _)) => Err(format!("{FILE} has no single `{from}`")),
        }
    }

    /// The program that the last build made.
    pub fn program(&self) -> PathBuf {
        self.target.join("experiment/train")
    }
}

fn measure(folder: &Path, libtorch: &Path) -> Result<(Vec<f64>, Vec<f64>), String> {
    let built = Built::new(folder, libtorch)?;
    let (mut running, mut stepping) = (Vec::new(), Vec::new());
    for number in 1..=5 {
        let edited = with(&built.source, "MATRIX_LR", &format!("0.04{number}"))?;
        let began = Instant::now();
        built.build(&edited)?;
        let (first, step) = start(&built.program(), &built.data, began)?;
        running.push(first);
        stepping.push(step);
    }
    Ok((running, stepping))
}

/// Starts the program; the times of its first output and of its first step.
fn start(program: &PathBuf, data: &Path, began: Instant) -> Result<(f64, f64), String> {
    let mut command = Command::new(program);
    command
        .env("AUTORESEARCH_DATA", data)
        .env("AUTORESEARCH_DEVICE", "cpu")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
    let output = child.stdout.take().ok_or("no output")?;
    let (mut first, mut step) = (None, None);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        first.get_or_insert_with(|| began.elapsed().as_secs_f64());
        if line.trim_start().starts_with("step ") {
            step = Some(began.elapsed().as_secs_f64());
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    first.zip(step).ok_or_else(|| "the program ended before its first step".into())
}

/// A clone of this checkout in `folder`, at a revision, with a preset's constants in train.rs.
pub fn clone_at(folder: &Path, revision: &str, preset: &str) -> Result<(), String> {
    sh::output(Command::new("git").args(["clone", "--quiet", "--no-checkout"]).arg(places::root()).arg(folder))?;
    sh::output(Command::new("git").arg("-C").arg(folder).args(["checkout", "--quiet", "--detach", revision]))?;
    let path = folder.join(FILE);
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let preset = read(&folder.join(format!("examples/nanochat/presets/{preset}.toml")))?;
    // Without a table of constants the preset is what stands in the file.
    if !preset.contains("\n[constants]") {
        return Ok(());
    }
    fs::write(&path, with_preset(read(&path)?, &preset)?).map_err(|e| e.to_string())
}

/// The source with the constants of a preset.
fn with_preset(mut source: String, preset: &str) -> Result<String, String> {
    let table =
        preset.split("\n[").find_map(|table| table.strip_prefix("constants]")).ok_or("the preset has no constants")?;
    for (name, value) in table.lines().filter_map(|line| line.split_once(" = ")) {
        source = with(&source, name, value.trim().trim_matches('"'))?;
    }
    Ok(source)
}

fn with(source: &str, name: &str, value: &str) -> Result<String, String> {
    let start = format!("const {name}: ");
    let line =
        source.lines().find(|line| line.starts_with(&start)).ok_or_else(|| format!("no constant {name} in {FILE}"))?;
    let (before, after) =
        line.split_once(" = ").and_then(|(b, a)| Some((b, a.split_once(';')?.1))).ok_or("an odd constant")?;
    Ok(source.replacen(line, &format!("{before} = {value};{after}"), 1))
}
