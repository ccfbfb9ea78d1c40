//! The recipes of the book for environments of Python, with the real programs.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Repository;

const TRAIN: &str =
    "import sys, only_here\nLR = 0.5  # knob: lin 0..1\nprint(sys.prefix)\nprint('val_loss:', only_here.VALUE)\n";
const PROJECT: &str = "[project]\nname = \"p\"\nversion = \"0.1\"\nrequires-python = \">=3.9\"\n";

/// The program that a variable names, else the one on PATH. `None` where there is none.
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let program = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
    if Command::new(&program).arg("--version").output().is_err() {
        println!("skipped: there is no {name}; `cargo xtask agents` installs it, and {variable} names its program");
        return None;
    }
    Some(program)
}

/// A command in the repository, with a home of its own and everything that it says shown if it fails.
fn said(repository: &Repository, program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&repository.folder).env("HOME", repository.root());
    command.env_remove("VIRTUAL_ENV").env("POETRY_CACHE_DIR", repository.root().join("poetry"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", crate::fixture::text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Puts a module into an environment, as an installation would.
fn install_module(environment: &Path) {
    let lib = std::fs::read_dir(environment.join("lib")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(lib.join("site-packages/only_here.py"), "VALUE = 2.5\n").unwrap();
}

/// Runs the baseline under this configuration, without walls and behind them, and returns the logs.
fn baseline(repository: &Repository, sections: &str, path: &str) -> [String; 2] {
    [("plain", "none"), ("walled", "best-effort")].map(|(tag, level)| {
        let config = format!(
            "editable = ['train.py']\n{sections}\n[isolation]\nlevel = '{level}'\n[metric]\nname = 'val_loss'\n\
             direction = 'minimise'\n"
        );
        repository.write("autoresearch.toml", &config);
        repository.commit("set up");
        let mut command = repository.command(&["run", "--tag", tag, "--experiments", "0"]);
        let command = command.env("PATH", path).env("HOME", repository.root()).env_remove("VIRTUAL_ENV");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{level}: {}", crate::fixture::text(&output));
        let results = repository.of_run(tag, "results.tsv");
        assert!(results.contains("2.500000"), "{level}: {results}");
        repository.of_run(tag, "logs/0000-1.log") + &repository.of_run(tag, "logs/0000.log")
    })
}

fn repository() -> Repository {
    let ignored = ".venv/\nuv.lock\n__pycache__/\n";
    Repository::with(&[
        ("train.py", TRAIN),
        ("pyproject.toml", PROJECT),
        ("program.md", "# Train\n"),
        (".gitignore", ignored),
    ])
}

#[test]
fn uv_finds_the_shared_environment_and_leaves_it_alone() {
    let Some(uv) = program("AUTORESEARCH_TEST_UV", "uv") else { return };
    let repository = repository();
    said(&repository, &uv, &["venv", "--offline", ".venv"]);
    let environment = repository.folder.join(".venv");
    install_module(&environment);
    let sections =
        "[run]\ncommand = ['uv', 'run', 'train.py']\n[workspace]\nshare = ['.venv']\n[environment]\nUV_NO_SYNC = '1'";
    let folder = uv.parent().map(|folder| folder.display().to_string()).filter(|folder| !folder.is_empty());
    let path = std::env::var("PATH").unwrap();
    let logs = baseline(&repository, sections, &folder.map_or(path.clone(), |folder| format!("{folder}:{path}")));
    assert!(logs.iter().all(|log| log.contains(".venv")), "{logs:?}");
    assert!(!repository.folder.join("uv.lock").exists(), "nothing was resolved");
}

#[test]
fn an_environment_outside_the_repository_is_named_by_its_python() {
    let Some(poetry) = program("AUTORESEARCH_TEST_POETRY", "poetry") else { return };
    let repository = repository();
    said(&repository, &poetry, &["env", "use", "--no-interaction", "python3"]);
    // The line of the recipe.
    let python = said(&repository, &poetry, &["env", "info", "--executable"]);
    let environment = Path::new(&python).parent().and_then(Path::parent).unwrap();
    assert!(!environment.starts_with(&repository.folder), "{python}");
    install_module(environment);
    let sections = format!("[run]\ncommand = ['{python}', 'train.py']");
    let logs = baseline(&repository, &sections, &std::env::var("PATH").unwrap());
    assert!(logs.iter().all(|log| log.contains(&environment.display().to_string())), "{logs:?}");
}
