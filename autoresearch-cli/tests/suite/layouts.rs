//! Layouts of repositories that `init` recognises, and results of benchmark tools.
#![cfg(unix)]

use std::process::Command;

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

/// Layouts with a program that each of them needs.
const LAYOUTS: &[(&str, Files)] = &[
    (
        "npm",
        &[
            ("package.json", "{\"name\": \"m\", \"scripts\": {\"bench\": \"node bench.js\"}}\n"),
            ("bench.js", "console.log('score: ' + require('./lib/index.js').a)\n"),
            ("lib/index.js", "exports.a = 3\n"),
        ],
    ),
    (
        "go",
        &[
            ("go.mod", "module example.com/m\n\ngo 1.18\n"),
            (
                "fib.go",
                "package m\n\nfunc Fib(n int) int {\n\tif n < 2 {\n\t\treturn n\n\t}\n\treturn Fib(n-1) + Fib(n-2)\n}\n",
            ),
            (
                "fib_test.go",
                "package m\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n\nfunc BenchmarkFib(b *testing.B) {\n\tfor i := 0; i < b.N; i++ {\n\t\tFib(20)\n\t}\n\t\
                 if b.N == 1 {\n\t\tfmt.Println(\"\\nscore: 3\")\n\t}\n}\n",
            ),
        ],
    ),
    (
        "make",
        &[
            ("Makefile", "bench:\n\t@cc -O2 -o a.out a.c && ./a.out\n"),
            (
                "a.c",
                "#include <stdio.h>\nint main(void) { FILE *f = tmpfile(); printf(\"score: %d\\n\", f ? 3 : 9); }\n",
            ),
        ],
    ),
    (
        "cargo",
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"m\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[[bench]]\nname = \"fast\"\nharness = false\n[workspace]\n",
            ),
            ("benches/fast.rs", "fn main() { println!(\"score: {}\", m::A) }\n"),
            ("src/lib.rs", "pub const A: u32 = 3;\n"),
        ],
    ),
    (
        "ruby",
        &[
            (
                "bench.rb",
                "require 'json'\nrequire 'a'\nrequire 'tempfile'\nTempfile.create('x') { puts \"score: #{A}\" }\n",
            ),
            ("lib/a.rb", "A = 3\n"),
        ],
    ),
    (
        "lua",
        &[
            ("bench.lua", "local f = io.open(os.tmpname(), 'w')\nf:write('x')\nprint('score: ' .. require('a').a)\n"),
            ("a.lua", "return { a = 3 }\n"),
        ],
    ),
    (
        "python3",
        &[
            ("scripts/base_train.py", "from nanochat.gpt import WIDTH\nprint('val_bpb:', WIDTH - 1)\n"),
            ("nanochat/gpt.py", "WIDTH = 4\n"),
        ],
    ),
    (
        "python3",
        &[
            (
                "bench.py",
                "import multiprocessing, os, tempfile\nfrom fast import a\nif __name__ == '__main__':\n    with tempfile.TemporaryFile() as file:\n        \
                 file.write(b'x')\n    os.makedirs(os.path.expanduser('~/.cache/x'), exist_ok=True)\n    \
                 with multiprocessing.Pool(2) as pool:\n        print('score:', sum(pool.map(a, [1, 2])))\n",
            ),
            ("fast.py", "def a(x):\n    return x\n"),
        ],
    ),
];

#[cfg(target_os = "linux")]
#[test]
fn each_layout_that_init_writes_runs_behind_walls() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let mut tried = Vec::new();
    for (program, files) in LAYOUTS {
        if Command::new(program).arg(if *program == "go" { "version" } else { "--version" }).output().is_err() {
            println!("skipped: there is no {program}");
            continue;
        }
        let repository = Repository::with(files);
        let bpb = files.iter().any(|(_, text)| text.contains("val_bpb"));
        let metric = ["--metric", if bpb { "val_bpb" } else { "score" }, "--direction", "minimise"];
        let said = repository.succeeds(&[&["init", "--yes", "--agent", "true", "--trials", "1"], &metric[..]].concat());
        let written = std::fs::read_to_string(repository.config()).unwrap();
        assert!(written.contains("level = \"best-effort\""), "{program}: {said}{written}");
        let shares = written.contains("{target}");
        assert_eq!(written.contains("pristine = [\"{target}\"]"), shares, "{written}");
        repository.commit("set up");
        repository.succeeds(&["run", "--tag", "t", "--experiments", "0"]);
        assert!(repository.rows()[0].starts_with("3.000000"), "{program}: {:?}", repository.rows());
        let report = repository.of_run("t", "report.md");
        assert!(report.contains("Isolation of candidates: ") && report.contains("pristine") == shares, "{report}");
        assert!(text(&repository.run(&["doctor"])).contains("isolation: "), "{program}");
        tried.push(*program);
    }
    println!("evidence layouts tried {} known {}", tried.len(), LAYOUTS.len());
    assert!(tried.contains(&"python3"), "{tried:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn init_writes_no_walls_that_the_program_fails_behind() {
    let said_by = |script: &str| {
        let repository = Repository::with(&[("a.py", "A = 1\n")]);
        let registry = repository.root().join(".cargo/registry");
        std::fs::create_dir_all(&registry).unwrap();
        std::fs::write(repository.root().join("outside"), "3").unwrap();
        repository.write("bench.sh", &script.replace("ROOT", &repository.root().display().to_string()));
        repository.commit("names a file of the machine");
        let run = |arguments: &[&str]| {
            let mut command = repository.command(arguments);
            let output = command.env("HOME", repository.root()).env_remove("CARGO_HOME").output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", text(&output));
            text(&output)
        };
        let given = ["init", "--yes", "--run", "sh bench.sh", "--edit", "a.py", "--agent", "true", "--metric", "score"];
        let said = run(&[&given[..], &["--direction", "minimise"]].concat());
        repository.commit("set up");
        run(&["run", "--tag", "t", "--experiments", "0"]);
        assert!(repository.rows()[0].starts_with("3.000000"), "{:?}", repository.rows());
        (said, std::fs::read_to_string(repository.config()).unwrap())
    };
    let (said, written) = said_by("set -e\ncat ROOT/outside > seen\necho \"score: $(cat seen)\"\n");
    assert!(said.contains("isolation: none; behind walls the run ended with exit code"), "{said}");
    assert!(written.contains("level = \"none\"") && written.contains("# behind walls the run ended with"), "{written}");
    // What its first run without walls fetched is there behind them, as the registry of a build tool is.
    let fetches = "set -e\nregistry=${CARGO_HOME:-$HOME/.cargo}/registry\ntest -e $registry/fetched || echo x > $registry/fetched\n\
                   echo score: 3\n";
    let (said, written) = said_by(fetches);
    assert!(said.contains("isolation: best-effort") && written.contains("level = \"best-effort\""), "{said}{written}");
}
