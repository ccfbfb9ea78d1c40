//! Templates: the drafts of configurations for the layouts that are recognised.

use autoresearch_core::Direction;
use clap::ValueEnum;

use super::detect::Look;
use super::draft::{Draft, MetricDraft};
use crate::checks::find_program;

/// A layout of repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// train.py, which is edited, and prepare.py beside it, as in karpathy/autoresearch.
    Karpathy,
    /// A checkout of nanochat.
    Nanochat,
    /// A Python script that prints its number.
    Python,
    /// A crate with benchmarks.
    CargoBench,
    /// Any command.
    Command,
}

impl Template {
    /// Recognises the layout of a repository.
    pub fn of(look: &Look<'_>) -> Template {
        let is_crate = look.has("Cargo.toml") && look.below("benches").any(|path| path.ends_with(".rs"));
        match look.languages().first().map(|(name, _)| *name) {
            _ if look.has("train.py") && look.has("prepare.py") => Template::Karpathy,
            _ if look.has("scripts/base_train.py") && look.has_folder("nanochat") => Template::Nanochat,
            _ if is_crate => Template::CargoBench,
            Some("Python") => Template::Python,
            _ => Template::Command,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Drafts the configuration of a repository. What cannot be told stays empty.
pub fn draft(look: &Look<'_>, template: Template) -> Draft {
    match template {
        Template::Karpathy => karpathy(look),
        Template::Nanochat => nanochat(look),
        Template::Python => python(look),
        Template::CargoBench => cargo_bench(look),
        Template::Command => command(look),
    }
}

/// The number of karpathy's trainers.
fn val_bpb() -> Option<MetricDraft> {
    Some(MetricDraft { name: "val_bpb".into(), direction: Some(Direction::Minimise), ..MetricDraft::default() })
}

fn karpathy(look: &Look<'_>) -> Draft {
    let (mut run, mut share) = look.python();
    run.push("train.py".into());
    // His prepare.py leaves data and tokenizer there.
    let cache = std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".cache/autoresearch"));
    if cache.is_some_and(|cache| cache.join("tokenizer").exists()) {
        share.push("~/.cache/autoresearch".into());
    }
    Draft { run, share, editable: vec!["train.py".into()], metric: val_bpb(), limit: Some(600), ..Draft::default() }
}

fn nanochat(look: &Look<'_>) -> Draft {
    let (mut run, share) = look.python();
    run.extend(["-m".to_owned(), "scripts.base_train".into()]);
    let editable = vec!["nanochat/gpt.py".into(), "scripts/base_train.py".into()];
    Draft { run, share, editable, metric: val_bpb(), ..Draft::default() }
}

fn python(look: &Look<'_>) -> Draft {
    let (mut run, share) = look.python();
    let script = look.scripts(&["py"]).first().copied();
    let editable = look.sources(&["py"], script);
    match script {
        Some(script) => run.push(script.to_owned()),
        None if look.has_folder("src") || editable.len() > 1 => run.clear(),
        None => match editable.first().filter(|path| path.ends_with(".py")) {
            Some(only) => run.push(only.clone()),
            None => run.clear(),
        },
    }
    // A layout with src/ is imported from there, and not from wherever the package may be installed.
    let environment = match look.has_folder("src") {
        true => vec![("PYTHONPATH".to_owned(), "src".to_owned())],
        false => Vec::new(),
    };
    let (mut python, _) = look.python();
    python.extend(["-m", "pytest", "-q"].map(str::to_owned));
    let guard = look.files.keys().any(|path| path.starts_with("test") && path.ends_with(".py")).then_some(python);
    Draft { run, share, editable, environment, guard, ..Draft::default() }
}

fn cargo_bench(look: &Look<'_>) -> Draft {
    let mut benches: Vec<&str> = look.below("benches").filter_map(|path| path.strip_suffix(".rs")).collect();
    benches.sort_by_key(|path| path.matches('/').count());
    let name = benches.first().and_then(|path| path.split('/').nth(1)).unwrap_or_default();
    let cargo = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    Draft {
        build: cargo(&["cargo", "bench", "--bench", name, "--no-run"]),
        run: cargo(&["cargo", "bench", "--bench", name]),
        editable: vec!["src/**".into()],
        environment: vec![("CARGO_TARGET_DIR".into(), "{target}".into())],
        guard: Some(cargo(&["cargo", "test", "-q"])),
        ..Draft::default()
    }
}

/// Any other repository: the command that its own files name for a benchmark.
fn command(look: &Look<'_>) -> Draft {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let makefile = look.text("Makefile");
    let target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    if look.has("package.json") {
        return node(look);
    }
    if look.has("go.mod") {
        let sources = look.sources(&["go"], None);
        let editable = sources.into_iter().filter(|path| !path.ends_with("_test.go")).collect();
        let (run, guard) = (words("go test -run ^$ -bench . ./..."), Some(words("go test ./...")));
        // Newer versions compile their own library into it.
        let environment = vec![("GOCACHE".to_owned(), "{target}/go".to_owned())];
        return Draft { run, guard, editable, environment, ..Draft::default() };
    }
    if let Some(name) = ["bench", "benchmark", "perf"].into_iter().find(|name| target(name)) {
        let editable = look.sources(&["c", "h", "cc", "cpp", "hpp", "rs", "go", "rb", "py", "js", "lua"], None);
        let guard =
            ["test", "check"].into_iter().find(|name| target(name)).map(|name| words(&format!("make -s {name}")));
        return Draft { run: words(&format!("make -s {name}")), guard, editable, ..Draft::default() };
    }
    let interpreters: [(&str, &[&str], &[&str]); 6] = [
        ("ruby", &["-Ilib"], &["rb"]),
        ("julia", &["--project"], &["jl"]),
        ("Rscript", &[], &["R"]),
        ("lua", &[], &["lua"]),
        ("php", &[], &["php"]),
        ("sh", &[], &["sh"]),
    ];
    for (interpreter, options, ends) in interpreters {
        let Some(script) = look.scripts(ends).first().copied() else { continue };
        let mut run = vec![interpreter.to_owned()];
        run.extend(options.iter().map(|option| (*option).to_owned()));
        run.push(script.to_owned());
        let editable = match interpreter {
            "sh" => Vec::new(),
            _ => look.sources(ends, Some(script)),
        };
        let guard = (interpreter == "ruby" && look.has("Rakefile")).then(|| words("rake test"));
        return Draft { run, editable, guard, ..Draft::default() };
    }
    let languages = look.languages();
    let ends: &[&str] = match languages.first().map(|(name, _)| *name) {
        Some("Rust") => &["rs"],
        Some("Ruby") => &["rb"],
        Some("JavaScript" | "TypeScript") => &["js", "mjs", "ts"],
        _ => &["c", "h", "cc", "cpp", "hpp"],
    };
    Draft { editable: look.sources(ends, None), ..Draft::default() }
}

/// A package of Node: its benchmark script, or a file that looks like one.
fn node(look: &Look<'_>) -> Draft {
    let package: serde_json::Value = serde_json::from_str(&look.text("package.json")).unwrap_or_default();
    let script = |name: &str| package["scripts"][name].as_str().filter(|line| !line.contains("no test specified"));
    let npm = |name: &str| ["npm", "run", "--silent", name].map(str::to_owned).to_vec();
    let ends = ["js", "mjs", "cjs", "ts"];
    let file = look.scripts(&ends).first().copied();
    let named = ["bench", "benchmark", "perf"].into_iter().find(|name| script(name).is_some());
    let run = match (named, file) {
        (Some(name), _) if find_program("npm").is_ok() => npm(name),
        (_, Some(file)) => vec!["node".into(), file.to_owned()],
        _ => Vec::new(),
    };
    let share = look.has_beside("node_modules").then(|| "node_modules".to_owned()).into_iter().collect();
    let guard = script("test").is_some().then(|| npm("test"));
    Draft { run, share, guard, editable: look.sources(&ends, file), ..Draft::default() }
}
