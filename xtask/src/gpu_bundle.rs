//! `cargo xtask gpu-bundle`: one file with all that measures the trainer on a machine with a GPU and without a network, a
//! compiler or this repository. There it takes bash and a Python with torch 2.11, and `run.sh`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::evidence::operations::{self, cargo, prepared};
use crate::evidence::race::sizes;
use crate::{places, sh};

/// The folder in the archive.
pub const NAME: &str = "autoresearch-gpu-bundle";
/// The most that the archive may take, in MiB.
pub const MOST_MIB: u64 = 64;
/// Scripts and fixtures, with their places in the bundle. PyTorch's trainer looks for the model two folders above.
const FILES: [(&str, &str); 5] = [
    ("xtask/gpu-bundle/run.sh", "run.sh"),
    ("xtask/gpu-bundle/measure.py", "measure.py"),
    ("autoresearch-llm/tests/reference/parity.safetensors", "reference/parity.safetensors"),
    ("autoresearch-llm/tests/reference/gpt.py", "pytorch/tests/reference/gpt.py"),
    ("autoresearch-llm/benches/python/train.py", "pytorch/benches/python/train.py"),
];

/// How much of the validation split is evaluated once at the h100 preset's sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// As many tokens as the preset says, so that the time of the evaluation is measured.
    Full,
    /// A fortieth of them: an evaluation of a second or less.
    Cut,
}

impl Data {
    /// The tokens that are evaluated, as an option of `prepare`; none where the preset says it.
    fn options(self) -> &'static [&'static str] {
        // The offline corpus is what fits.
        if self == Data::Full { &["--corpus", "crates"] } else { &["--corpus", "crates", "--eval-tokens", "524288"] }
    }
}

/// The command, with its options.
pub fn command(arguments: &[String]) -> Result<(), String> {
    let (mut out, mut data) = (None, Data::Full);
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let (name, joined) = option.split_once('=').map_or((option.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let value = joined.or_else(|| rest.next().cloned()).ok_or_else(|| format!("{name} needs a value"))?;
        match (name, value.as_str()) {
            ("--out", file) => out = Some(std::path::absolute(file).map_err(|e| format!("{file}: {e}"))?),
            ("--data", "full") => data = Data::Full,
            ("--data", "cut") => data = Data::Cut,
            ("--data", other) => return Err(format!("--data takes full or cut, and not `{other}`")),
            _ => return Err(format!("there is no option {name}; there are --out FILE and --data full|cut")),
        }
    }
    let out = out.map_or_else(|| Ok(sh::target()?.join(format!("{NAME}.tar.gz"))), Ok::<_, String>)?;
    let size = pack(&out, data)?;
    println!("{} ({:.1} MiB)", out.display(), size as f64 / f64::from(1 << 20));
    Ok(())
}

/// Builds and prepares everything and writes the archive; returns its size in bytes.
pub fn pack(out: &Path, data: Data) -> Result<u64, String> {
    let folder = sh::target()?.join("gpu-bundle").join(NAME);
    let _ = fs::remove_dir_all(&folder);
    for (preset, options) in [("h100", data.options()), ("cpu", &[])] {
        let prepared = prepared(preset, options)?;
        for part in ["", "-val"] {
            copy_folder(&suffixed(&prepared, part), &suffixed(&folder.join("data").join(preset), part))?;
        }
        program(&operations::built(preset)?, &folder, &format!("train-{preset}"))?;
    }
    let root = places::root();
    sh::output(&mut cargo("build", "--example", "rows", &root)?)?;
    program(&places::cache()?.join("target/experiment/examples/rows"), &folder, "rows")?;
    for (kind, target, name) in [("--bin", "train", "train-tests"), ("--test", "ops_cuda", "ops-cuda")] {
        let built = sh::output(cargo("test", kind, target, &root)?.args(["--no-run", "--message-format", "json"]))?;
        program(
            &test_program(&built).ok_or_else(|| format!("cargo named no program for {kind} {target}"))?,
            &folder,
            name,
        )?;
    }
    for (from, to) in FILES {
        copy(&root.join(from), &folder.join(to))?;
    }
    let about = folder.join("bundle.json");
    fs::write(&about, about_it(data)?).map_err(|e| format!("{}: {e}", about.display()))?;
    // The folder's parent holds nothing else.
    let parent = folder.parent().unwrap_or(&folder);
    sh::output(Command::new("tar").arg("-czf").arg(out).arg("-C").arg(parent).arg(NAME))?;
    let size = fs::metadata(out).map_err(|e| format!("{}: {e}", out.display()))?.len();
    match size <= MOST_MIB << 20 {
        true => Ok(size),
        false => Err(format!("{} has {} MiB, more than the {MOST_MIB} that it may have", out.display(), size >> 20)),
    }
}

/// `data-val` for `data` and `-val`.
fn suffixed(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    folder.with_file_name(name)
}

/// Commit and sizes that the bundle was made from, for its measuring script and for whoever reads the results.
fn about_it(data: Data) -> Result<String, String> {
    let commit = sh::output(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(places::root()))?;
    let preset = |name: &str| {
        let sizes = sizes(name)?;
        Ok::<_, String>(format!("\"{name}\": {{\"sizes\": {:?}, \"tokens\": {}}}", sizes.of_python, sizes.tokens))
    };
    Ok(format!(
        "{{\"commit\": \"{}\", \"evaluation\": \"{}\", \"presets\": {{{}, {}}}}}\n",
        commit.trim(),
        if data == Data::Full { "full" } else { "cut" },
        preset("h100")?,
        preset("cpu")?
    ))
}

/// The path of the test program in cargo's messages: every target says whether it can be tested, and a profile that it was.
fn test_program(messages: &str) -> Option<PathBuf> {
    let is_tested = |line: &&str| {
        let profile = line.split_once("\"profile\":{").and_then(|(_, rest)| rest.split('}').next());
        profile.is_some_and(|profile| profile.contains("\"test\":true"))
    };
    let (_, rest) = messages.lines().find(is_tested)?.split_once("\"executable\":\"")?;
    rest.split('"').next().map(PathBuf::from)
}

/// Copies a program and takes its symbols away: nobody debugs it there.
fn program(from: &Path, folder: &Path, name: &str) -> Result<(), String> {
    let to = folder.join("bin").join(name);
    copy(from, &to)?;
    sh::output(Command::new("strip").arg(&to)).map(drop)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot copy {} to {}: {e}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(failed)?;
    fs::copy(from, to).map(drop).map_err(failed)
}

/// Copies the files of a folder, which has no folders below it.
fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    let entries = fs::read_dir(from).map_err(|e| format!("{}: {e}", from.display()))?;
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_program_of_a_test() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"prepare","test":true},"profile":{"opt_level":"0","test":false},"executable":"/t/prepare"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"ops_cuda","test":true},"profile":{"opt_level":"0","test":true},"executable":"/t/deps/ops_cuda-1f"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"train","test":true},"profile":{"opt_level":"0","test":false},"executable":"/t/train"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(test_program(messages), Some(PathBuf::from("/t/deps/ops_cuda-1f")));
        assert_eq!(test_program("{}"), None);
    }

    #[test]
    fn options_that_mean_nothing_are_named() {
        let of = |line: &str| command(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(of("--data all"), "--data takes full or cut, and not `all`");
        assert!(of("--out").contains("--out needs a value") && of("--size=1").contains("there are --out FILE"));
        assert_eq!(suffixed(Path::new("/c/data/h100"), "-val"), Path::new("/c/data/h100-val"));
        assert!(FILES.iter().all(|(file, _)| places::root().join(file).is_file()));
    }

    #[test]
    fn the_bundle_says_what_it_was_made_from() {
        let about = about_it(Data::Cut).unwrap();
        assert!(about.contains(r#""h100": {"sizes": [8, 512, 4, 128, 2], "tokens": 524288}"#), "{about}");
        assert!(about.contains(r#""evaluation": "cut""#) && about.ends_with("}}}\n"), "{about}");
    }
}
