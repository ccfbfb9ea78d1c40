//! Repositories of other people, fetched from the registries: from `init --yes` to a decided change without a line of
//! configuration by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::{Folder, autoresearch};
use crate::figure::Line;
use crate::sh;

/// A repository of somebody else.
struct Foreign {
    name: &'static str,
    /// Where it comes from.
    kind: &'static str,
    /// Brings its files into the folder. `None` if something that it needs is not on this machine, which is named.
    fetch: fn(&Path) -> Result<Option<String>, String>,
    /// Options of `init --yes`.
    init: &'static [&'static str],
    /// Script of the agent, if an agent proposes: the change that somebody might try. The knob search needs none.
    agent: Option<&'static str>,
    /// True if it is small enough for every change of this project.
    small: bool,
}

/// The most commands that a user types.
const MAX_COMMANDS: usize = 5;

const FOREIGN: &[Foreign] = &[
    Foreign {
        name: "mistune 3.4.0",
        kind: "a PyPI source distribution with a benchmark",
        fetch: |folder| pypi("mistune", "3.4.0", folder),
        init: &[
            "--run",
            "env PYTHONPATH=src python3 benchmark/bench.py paragraph",
            "--metric",
            "paragraph_ms",
            "--pattern",
            r"mistune \(core\) - paragraph: (?<value>[0-9.]+)ms",
            "--direction",
            "minimise",
            "--edit",
            "src/mistune/**",
        ],
        agent: Some(
            "sed -i 's/^import re$/import re\\nre._MAXCACHE = 2048/' src/mistune/core.py; echo 'a larger cache of regular expressions'",
        ),
        small: true,
    },
    Foreign {
        name: "fast-uri 4.2.4",
        kind: "an npm package with a benchmark",
        fetch: |folder| npm("fast-uri", "4.2.4", folder),
        init: &[
            "--run",
            "node benchmark/equal.mjs",
            "--pattern",
            "'equal string with string'[^']*'[^']*'[^']*'(?<value>[0-9.]+)",
            "--metric",
            "equal_ns",
            "--direction",
            "minimise",
            "--edit",
            "index.js",
            "--edit",
            "lib/**",
        ],
        agent: Some(
            "sed -i \"1s/^'use strict'$/'use strict'\\n\\/\\/ hot: equal/\" index.js; echo 'a note on the hot function'",
        ),
        small: true,
    },
    Foreign {
        name: "itoa 1.0.19",
        kind: "a crate with a criterion benchmark",
        fetch: |folder| crates_io("itoa", "1.0.19", "", folder),
        init: &[
            "--run",
            "cargo bench --bench bench -- u64.max./itoa --warm-up-time 0.5 --measurement-time 1",
            "--edit",
            "src/**",
        ],
        agent: Some("sed -i 's/#\\[inline\\]/#[inline(always)]/' src/lib.rs; echo 'inline always'"),
        small: true,
    },
    Foreign {
        name: "mustache 1.1.1",
        kind: "a Ruby gem from Debian",
        fetch: |folder| debian("ruby-mustache", "ruby", "usr/lib/ruby/vendor_ruby", folder),
        init: &[
            "--run",
            "ruby -I. -rmustache -e \"t = 'Hi {{a}} {{#b}}{{c}}{{/b}} ' * 40; 300.times { Mustache.new.tap { |m| m.template = t }.render(a: 1, b: [{c: 2}, {c: 3}]) }\"",
            "--metric",
            "cpu",
            "--direction",
            "minimise",
            "--edit",
            "mustache/**",
        ],
        agent: Some("sed -i '1s/^/# frozen_string_literal: true\\n/' mustache/utils.rb; echo 'frozen string literals'"),
        small: false,
    },
    Foreign {
        name: "lz4 1.10.0",
        kind: "a C library",
        fetch: |folder| crates_io("lz4-sys", "1.11.1", "liblz4", folder),
        init: &[
            "--run",
            "sh -c \"make -s -C programs lz4 && ./programs/lz4 -c -1 lib/lz4hc.c | wc -c | sed 's/^/compressed_bytes: /'\"",
            "--metric",
            "compressed_bytes",
            "--direction",
            "minimise",
            "--edit",
            "lib/lz4.h",
            "--knob",
            "LZ4_MEMORY_USAGE_DEFAULT=int 10..20",
        ],
        agent: None,
        small: false,
    },
];

/// Those of every change of this project.
pub fn small() -> Result<Line, String> {
    research(FOREIGN.iter().filter(|foreign| foreign.small), "three, each to a decision in at most 5 commands")
}

/// All of them.
pub fn all() -> Result<Line, String> {
    research(FOREIGN.iter(), "five, each to a decision in at most 5 commands")
}

fn research<'a>(foreign: impl Iterator<Item = &'a Foreign>, bar: &'static str) -> Result<Line, String> {
    let program = autoresearch()?;
    let (mut decided, mut skipped, mut all, mut said) = (0, 0, 0, Vec::new());
    for one in foreign {
        all += 1;
        let outcome = match decide(one, &program) {
            Ok(Decision::Made(outcome)) => {
                decided += 1;
                outcome
            }
            Ok(Decision::Impossible(missing)) => {
                skipped += 1;
                format!("not possible here: {missing}")
            }
            Err(why) => why,
        };
        eprintln!("  {} ({}): {outcome}", one.name, one.kind);
        said.push(format!("{}: {}", one.name, outcome.lines().next().unwrap_or_default()));
    }
    let value = format!("{decided} of {all} ({})", said.join("; "));
    // Not all of the bar, and not what was tried that fell short of it.
    if skipped > 0 && decided + skipped == all {
        return Ok(Line::Skip(value));
    }
    Ok(Line::Measured(decided == all, value, bar))
}

/// The end of the way of one repository.
enum Decision {
    /// A candidate was kept or discarded.
    Made(String),
    /// A program that it needs is not on this machine.
    Impossible(String),
}

/// Takes a repository from `init` to a decision, and says what it was.
fn decide(foreign: &Foreign, program: &Path) -> Result<Decision, String> {
    let folder = Folder::new(foreign.name.split(' ').next().unwrap_or_default())?;
    if let Some(missing) = (foreign.fetch)(&folder.path())? {
        return Ok(Decision::Impossible(missing));
    }
    folder.commit()?;
    let agent = folder.beside("agent.sh");
    let agent_command = format!("sh {}", agent.display());
    let mut init = vec!["init", "--yes"];
    init.extend(foreign.init);
    if let Some(script) = foreign.agent {
        fs::write(&agent, format!("{script}\n")).map_err(|e| e.to_string())?;
        init.extend(["--agent", &agent_command]);
    }
    let commands = [init, vec!["run", "--experiments", "1"], vec!["verify"], vec!["export", "--format", "tsv"]];
    let mut said = Vec::new();
    for arguments in &commands {
        said.push(folder.run(program, arguments)?);
    }
    let table = said.last().map(String::as_str).unwrap_or_default();
    let decisions: Vec<&str> =
        table.lines().skip(2).filter(|row| row.contains("keep") || row.contains("discard")).collect();
    if decisions.is_empty() || commands.len() > MAX_COMMANDS {
        return Err(format!("nothing was decided: {table}"));
    }
    let detected =
        said.first().and_then(|said| said.lines().find(|line| line.starts_with("layout"))).unwrap_or_default();
    let decisions = decisions.join(" | ").replace('\t', " ");
    Ok(Decision::Made(format!("{} commands, {detected}, {decisions}", commands.len())))
}

/// Unpacks a source distribution.
fn pypi(name: &str, version: &str, folder: &Path) -> Result<Option<String>, String> {
    let downloads = beside(folder, "downloads")?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "--dest"]).arg(&downloads);
    sh::output(pip.arg(format!("{name}=={version}")))?;
    unpack(&downloads, folder)
}

/// Unpacks a package, and installs what its benchmark needs.
fn npm(name: &str, version: &str, folder: &Path) -> Result<Option<String>, String> {
    if sh::output(Command::new("npm").arg("--version")).is_err() {
        return Ok(Some("npm is not on this machine".into()));
    }
    let downloads = beside(folder, "downloads")?;
    sh::output(
        Command::new("npm").current_dir(&downloads).args(["pack", "--silent"]).arg(format!("{name}@{version}")),
    )?;
    unpack(&downloads, folder)?;
    sh::output(Command::new("npm").current_dir(folder).args(["install", "--silent", "--prefix", "benchmark"]))?;
    fs::write(folder.join(".gitignore"), "node_modules\n").map_err(|e| e.to_string())?;
    Ok(None)
}

/// Copies a folder of a crate's source.
fn crates_io(name: &str, version: &str, part: &str, folder: &Path) -> Result<Option<String>, String> {
    let user = beside(folder, "user")?;
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
    );
    fs::write(user.join("Cargo.toml"), manifest).map_err(|e| e.to_string())?;
    fs::write(user.join("lib.rs"), "").map_err(|e| e.to_string())?;
    sh::output(sh::cargo().current_dir(&user).args(["vendor", "--quiet", "vendor"]))?;
    let source = user.join("vendor").join(name).join(part);
    sh::output(Command::new("cp").arg("-r").arg(format!("{}/.", source.display())).arg(folder))?;
    if folder.join("Cargo.toml").exists() {
        // The checksums of `cargo vendor` forbid every change; the target folder is no part of the source.
        let _ = fs::remove_file(folder.join(".cargo-checksum.json"));
        fs::write(folder.join(".gitignore"), "/target\n").map_err(|e| e.to_string())?;
        sh::output(sh::cargo().current_dir(folder).args(["fetch", "--quiet"]))?;
    }
    Ok(None)
}

/// Copies a folder of a Debian package, which need not be installed.
fn debian(package: &str, interpreter: &str, part: &str, folder: &Path) -> Result<Option<String>, String> {
    if sh::output(Command::new(interpreter).arg("--version")).is_err() {
        return Ok(Some(format!("{interpreter} is not on this machine: apt install {interpreter}")));
    }
    let downloads = beside(folder, "downloads")?;
    sh::output(Command::new("apt-get").current_dir(&downloads).args(["download", "-q", package]))?;
    let archive = only_file(&downloads)?;
    let unpacked = downloads.join("unpacked");
    sh::output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
    sh::output(Command::new("cp").arg("-r").arg(format!("{}/.", unpacked.join(part).display())).arg(folder))?;
    Ok(None)
}

/// A new folder beside another.
fn beside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.with_file_name(name);
    fs::create_dir_all(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    Ok(path)
}

fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let files = fs::read_dir(folder).map_err(|e| e.to_string())?.flatten();
    let mut files = files.map(|entry| entry.path()).filter(|path| path.is_file());
    files.next().ok_or_else(|| format!("nothing came into {}", folder.display()))
}

/// Unpacks the one archive in `downloads`, without the folder that holds all of it.
fn unpack(downloads: &Path, folder: &Path) -> Result<Option<String>, String> {
    let archive = only_file(downloads)?;
    sh::output(Command::new("tar").args(["-xzf"]).arg(archive).args(["--strip-components", "1", "-C"]).arg(folder))?;
    Ok(None)
}
