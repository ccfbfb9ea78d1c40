//! The main job: set-up, data, then a run of experiments.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{places, setup, sh};

/// The configuration of a search whose candidates print their number, and of one whose candidates are measured.
const SIMPLE: &str = "examples/nanochat/autoresearch.toml";
const STRICT: &str = "examples/nanochat/strict.toml";

/// Runs it; `arguments` go to `autoresearch run`, except that `--data`, `--val` and `--corpus` go to `prepare`, and `--strict`
/// chooses the configuration.
pub fn nanochat(arguments: &[String]) -> Result<(), String> {
    let libtorch = setup::setup()?;
    let is_strict = |argument: &String| argument == "--strict";
    let rest: Vec<String> = arguments.iter().filter(|argument| !is_strict(argument)).cloned().collect();
    let config = if arguments.iter().any(is_strict) { STRICT } else { SIMPLE };
    let (preset, for_prepare, for_run) = split(&rest, places::nvidia())?;
    // Absolute, because what follows runs in the root, wherever it was called from.
    let cache = places::cache()?;
    let cache = std::path::absolute(&cache).unwrap_or(cache);

    let preset_file = format!("examples/nanochat/presets/{preset}.toml");
    if !places::root().join(&preset_file).is_file() {
        return Err(format!("there is no preset `{preset}`; look into examples/nanochat/presets"));
    }
    // Experiments are built apart from the user's own builds, so that neither waits for the other.
    let mut prepare = sh::cargo();
    prepare
        .args(["run", "--locked", "--profile", "experiment", "--package", "autoresearch-llm", "--bin", "prepare"])
        .args(["--", "--preset", &preset_file])
        .args(&for_prepare)
        .env("AUTORESEARCH_CACHE", &cache)
        .env("CARGO_TARGET_DIR", cache.join("target"))
        .env("LIBTORCH", &libtorch);
    sh::run(&mut prepare)?;
    if config == STRICT {
        evaluator(&cache, &libtorch)?;
    }
    sh::exec(main_run(config, &preset, &for_run, &libtorch).env("AUTORESEARCH_CACHE", &cache))
}

/// Puts the program that measures into the cache. It is built where candidates write nothing: their builds share a folder of
/// which it takes no part.
fn evaluator(cache: &Path, libtorch: &Path) -> Result<(), String> {
    let mut build = sh::cargo();
    build.args(["build", "--locked", "--package", "autoresearch-llm", "--bin", "evaluate"]).env("LIBTORCH", libtorch);
    sh::run(&mut build)?;
    let (built, folder) = (sh::target()?.join("debug/evaluate"), cache.join("strict"));
    let failed = |e: std::io::Error| format!("cannot copy {} to {}: {e}", built.display(), folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // Renamed, since an evaluation of another run may execute the one that is there.
    let new = folder.join("evaluate.new");
    fs::copy(&built, &new).and_then(|_| fs::rename(&new, folder.join("evaluate"))).map_err(failed)
}

/// The command line of the run itself.
fn main_run(config: &str, preset: &str, arguments: &[String], libtorch: &Path) -> Command {
    let mut main_run = sh::cargo();
    main_run
        .args(["run", "--locked", "--package", "autoresearch-cli", "--bin", "autoresearch", "--", "run"])
        .args(["--config", config, "--preset", preset])
        .args(arguments)
        .env("LIBTORCH", libtorch);
    main_run
}

/// The preset, the options for `prepare`, and those for `autoresearch run`.
type Split = (String, Vec<String>, Vec<String>);

fn split(arguments: &[String], nvidia: bool) -> Result<Split, String> {
    let mut preset = if nvidia { "h100" } else { "cpu" }.to_owned();
    let (mut for_prepare, mut for_run) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, joined) =
            argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let to_prepare = matches!(name, "--data" | "--val" | "--corpus" | "--num-shards" | "--base-url");
        if name != "--preset" && !to_prepare {
            for_run.push(argument.clone());
            continue;
        }
        let value = joined.or_else(|| rest.next().cloned()).ok_or_else(|| format!("{name} needs a value"))?;
        match to_prepare {
            true if matches!(name, "--data" | "--val") => {
                let path = std::path::absolute(&value).map_err(|e| format!("{value}: {e}"))?;
                for_prepare.extend([name.to_owned(), path.display().to_string()]);
            }
            true => for_prepare.extend([name.to_owned(), value]),
            false => preset = value,
        }
    }
    Ok((preset, for_prepare, for_run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, nvidia: bool) -> Split {
        split(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), nvidia).unwrap()
    }

    #[test]
    fn strict_chooses_the_configuration() {
        for config in [SIMPLE, STRICT] {
            assert!(places::root().join(config).is_file(), "{config}");
        }
        let command = main_run(STRICT, "cpu", &["--seed=3".into()], Path::new("/torch"));
        let shown = sh::shown(&command);
        assert!(shown.ends_with("run --config examples/nanochat/strict.toml --preset cpu --seed=3"), "{shown}");
    }

    #[test]
    fn options_go_where_they_belong() {
        assert_eq!(of("", false).0, "cpu");
        assert_eq!(of("", true).0, "h100");
        assert_eq!(of("--preset=cpu", true).0, "cpu");
        let (preset, prepare, run) = of("--experiments 8 --data /a.txt --preset h100 --seed=3", false);
        assert_eq!(
            (preset.as_str(), prepare, run),
            (
                "h100",
                vec!["--data".into(), "/a.txt".into()],
                vec!["--experiments".into(), "8".into(), "--seed=3".into()]
            )
        );
        assert!(split(&["--preset".into()], false).is_err());
    }
}
