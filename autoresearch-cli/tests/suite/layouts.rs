//! Layouts of repositories that `init` recognises, and results of benchmark tools.
#![cfg(unix)]

use crate::fixture::{Repository, text};

type Files = &'static [(&'static str, &'static str)];

fn detected(files: Files) -> String {
    Repository::with(files).succeeds(&["init", "--detect"])
}

#[test]
fn the_command_of_a_benchmark_is_that_of_the_layout() {
    let cases: [(&str, Files, &[&str]); 6] = [
        (
            "nanochat",
            &[("scripts/base_train.py", "print(1)\n"), ("nanochat/gpt.py", "WIDTH = 4\n")],
            &["\"-m\", \"scripts.base_train\"", "nanochat/gpt.py", "name = \"val_bpb\""],
        ),
        (
            "command",
            &[
                ("package.json", "{\"scripts\": {\"bench\": \"node bench.js\", \"test\": \"node test.js\"}}\n"),
                ("bench.js", "console.log(1)\n"),
                ("lib/index.js", "exports.a = 1\n"),
            ],
            &["npm", "bench", "lib/**"],
        ),
        (
            "command",
            &[("go.mod", "module example.com/m\n"), ("fib.go", "package m\n"), ("fib_test.go", "package m\n")],
            &[
                "[\"go\", \"test\", \"-run\", \"^$\", \"-bench\", \".\", \"./...\"]",
                "fib.go",
                "\"go\", \"test\", \"./...\"",
            ],
        ),
        (
            "command",
            &[("Makefile", "bench:\n\t./a\ntest:\n\t./t\n"), ("a.c", "int main() {}\n")],
            &["[\"make\", \"-s\", \"bench\"]", "a.c", "\"make\", \"-s\", \"test\""],
        ),
        (
            "cargo-bench",
            &[("Cargo.toml", "[package]\nname = \"m\"\n"), ("benches/fast.rs", "fn main() {}\n"), ("src/lib.rs", "\n")],
            &["[\"cargo\", \"bench\", \"--bench\", \"fast\"]", "src/**", "CARGO_TARGET_DIR = \"{target}\""],
        ),
        (
            "command",
            &[("bench.rb", "puts 1\n"), ("lib/a.rb", "A = 1\n"), ("Rakefile", "task :test\n")],
            &["\"ruby\"", "bench.rb", "lib/", "\"rake\", \"test\""],
        ),
    ];
    for (layout, files, words) in cases {
        let said = detected(files);
        assert!(said.contains(&format!("layout: {layout} ")), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("fib_test.go"), "{said}");
    }
}

/// Lines of criterion, whose numbers a shell script computes.
const CRITERION: &str = "echo 'Benchmarking fib 20'\n\
    echo 'fib 20                  time:   [1.2034 µs 1.2510 µs 1.3102 µs]'\n\
    echo '                        change: [-2.1% -1.5% +0.3%] (p = 0.04 < 0.05)'\n";

#[test]
fn the_result_of_a_benchmark_is_read_by_the_reader_of_its_tool() {
    let files = |script: &str| Repository::with(&[("bench.sh", script), ("fast.txt", "a\n")]);
    let init = |more: &[&'static str]| {
        let given = ["init", "--yes", "--run", "sh bench.sh", "--edit", "fast.txt", "--agent", "true"];
        [&given, more].concat()
    };
    let repository = files(CRITERION);
    let said = repository.succeeds(&init(&[]));
    assert!(said.contains("fib 20 = 1251") && said.contains("(criterion)"), "{said}");
    let written = std::fs::read_to_string(repository.config()).unwrap();
    for line in ["name = \"fib 20\"", "direction = \"minimise\"", "reader = \"criterion\"", "unit = \"ns\""] {
        assert!(written.contains(line), "{line}: {written}");
    }
    repository.commit("set up");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
    assert!(repository.rows()[0].starts_with("1251"), "{:?}", repository.rows());

    let several = files(&(CRITERION.to_owned() + &CRITERION.replace("fib 20", "fib 30")));
    let said = text(&several.run(&init(&[])));
    assert!(said.contains("criterion has several results; name the one that counts, as --metric 'fib 20'"), "{said}");
    let said = several.succeeds(&init(&["--metric", "fib 30"]));
    let written = std::fs::read_to_string(several.config()).unwrap();
    assert!(written.contains("entry = \"fib 30\""), "{said}{written}");
}
