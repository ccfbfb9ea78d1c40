//! Mistakes that are told before the baseline, which may cost several trials, is measured.

use crate::fixture::{PRINT_SUM, Repository, text};

/// A repository whose trials leave a mark, so that none goes unnoticed.
fn marking(more: &str) -> Repository {
    let repository = Repository::running("true", more);
    let mark = repository.root().join("mark");
    let run = format!("touch {}\n{PRINT_SUM}", mark.display());
    repository.configure(|text| text.replacen("\ntrue\n", &format!("\n{run}\n"), 1));
    repository
}

/// Runs into an error before any trial.
fn told_early(repository: &Repository, words: &[&str]) {
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2", "--allow-dirty"]);
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    assert!(said.contains("autoresearch.toml:") || said.contains("branch"), "the place of the key: {said}");
    assert!(!repository.root().join("mark").exists(), "a trial ran before: {said}");
    assert!(!repository.folder.join(".autoresearch/t").exists(), "the run has not begun: {said}");
}

#[test]
fn a_search_without_knobs_is_told() {
    let repository = marking("");
    repository.write("work.txt", "const A: i64 = 50;\n");
    repository.commit("no ranges");
    told_early(&repository, &["[proposer] kind is the knob search", "// knob: log", "kind = \"claude\""]);
    repository.write("work.txt", "const A: i64 = 50; // knob: int 9..1\n");
    repository.commit("a wrong range");
    told_early(&repository, &["[proposer] kind is the knob search", "9..1"]);
}

#[test]
fn editable_paths_that_match_nothing_are_told() {
    let repository = marking("");
    repository.configure(|text| text.replace("['work.txt']", "['wrok.txt', 'src/**']"));
    told_early(
        &repository,
        &["editable matches no file", "wrok.txt, src/**", "autoresearch.toml, program.md, work.txt"],
    );
    // One that matches nothing beside one that does may be a file that is yet to be made.
    repository.configure(|text| text.replace("'wrok.txt'", "'work.txt'"));
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("warning: editable: `src/**` matches no committed file"), "{said}");
}

#[test]
fn files_that_candidates_lack_are_told() {
    let repository = marking("");
    std::os::unix::fs::symlink("/etc/hostname", repository.folder.join("outside")).unwrap();
    repository.commit("a link");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("warning: the symbolic link outside leads outside the repository"), "{said}");
}

#[test]
fn an_agent_that_cannot_be_started_is_told() {
    for (command, words) in [
        ("agent = 'codex'\ncommand = ['no-such-agent']", "there is no program `no-such-agent` on PATH"),
        ("command = ['no-such-agent', '{prompt_file}']", "there is no program `no-such-agent` on PATH"),
        ("command = ['./agent.sh']", "is not executable; make it so: chmod +x"),
        ("command = ['{repo}/missing.sh']", "there is no file `"),
    ] {
        let repository = marking(&format!("[proposer]\nkind = 'agent'\nkey = 'login'\n{command}\n"));
        repository.write("agent.sh", "#!/bin/sh\n");
        told_early(&repository, &["[proposer] command cannot start the agent", words]);
    }
    let repository = marking("[proposer]\nkind = 'agent'\nagent = 'codex'\nkey = 'login'\ncommand = ['/bin/false']\n");
    let mut run = repository.command(&["run", "--tag", "t", "--experiments", "0", "--allow-dirty"]);
    let output =
        run.env("HOME", repository.root()).env_remove("CODEX_HOME").env_remove("OPENAI_API_KEY").output().unwrap();
    assert!(text(&output).contains("warning: no login of the agent was found"), "{}", text(&output));
}

#[test]
fn an_agents_argument_that_lies_in_the_repository_alone_is_told() {
    let agent = |arguments: &str| format!("[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['sh', {arguments}]\n");
    for written in ["edit.sh", "./edit.sh"] {
        let repository = marking(&agent(&format!("'{written}', 'work.txt'")));
        repository.write("edit.sh", "sed -i 's/= 50;/= 40;/' work.txt\n");
        let names = format!("[proposer] command names `{written}`, a file of the repository");
        let line = r#"command = ["sh", "{repo}/edit.sh", "work.txt"]"#;
        told_early(&repository, &[&names, line]);
        assert!(repository.fails(&["doctor"]).contains(line));
    }
    // What the agent's folder holds is found there.
    let repository = marking(&(agent("'edit.sh', 'work.txt'") + "references = ['edit.sh']\n"));
    repository.write("edit.sh", "sed -i 's/= 50;/= 40;/' work.txt\n");
    repository.commit("agent");
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    assert!(said.contains("50.500000 -> 40.500000"), "{said}");
}

#[test]
fn an_agent_of_the_repository_is_started_from_anywhere() {
    for program in ["./agent.sh", "{repo}/agent.sh"] {
        let more =
            format!("[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['{program}']\n[ratchet]\nrule = 'strict'\n");
        let repository = Repository::running(PRINT_SUM, &more);
        repository.write("agent.sh", "#!/bin/sh\nsed -i 's/= 50;/= 40;/' work.txt\necho lower A\n");
        assert!(
            std::process::Command::new("chmod")
                .arg("+x")
                .arg(repository.folder.join("agent.sh"))
                .status()
                .unwrap()
                .success()
        );
        repository.commit("agent");
        let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
        assert!(said.contains("50.500000 -> 40.500000; -10.000000; KEPT"), "{program}: {said}");
        // Its end is known.
        assert!(!said.contains("limit:"), "{said}");
    }
    let more = "[proposer]\nkind = 'agent'\nkey = 'login'\ncommand = ['true']\n[stop]\nplateau = 1\n";
    let said = text(&Repository::running(PRINT_SUM, more).run(&["run", "--tag", "t"]));
    assert!(said.contains("limit: the agent does not tell what its calls cost"), "{said}");
}

#[test]
fn a_known_agent_that_is_not_installed_is_told_at_the_key_that_is_written() {
    let repository = marking("[proposer]\nkind = 'agent'\nagent = 'claude-code'\nkey = 'login'\n");
    let git = which("git");
    let mut run = repository.command(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    // The shell and git alone.
    std::os::unix::fs::symlink(git, repository.cache().join("git")).unwrap();
    std::os::unix::fs::symlink(which("sh"), repository.cache().join("sh")).unwrap();
    let output = run.env("PATH", repository.cache()).output().unwrap();
    let said = text(&output);
    assert!(said.contains("[proposer] agent cannot start the agent") && said.contains("npm install -g"), "{said}");
}

/// The path of a program.
fn which(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file()).unwrap()
}

#[test]
fn a_baseline_beyond_its_limit_names_the_key() {
    let repository = Repository::running("sleep 60", "");
    repository.configure(|text| text.replace("[run]\n", "[run]\nlimit_seconds = 0.2\n"));
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("hint: [run] limit_seconds says how long it may take"), "{said}");
    let repository = Repository::running(PRINT_SUM, "[build]\ncommand = ['sleep', '60']\nlimit_seconds = 0.2\n");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("hint: [build] limit_seconds says how long it may take"), "{said}");
}

#[test]
fn a_baseline_whose_output_a_reader_knows_names_the_reader() {
    let repository = Repository::running("echo 'BenchmarkParse-8   100   123.0 ns/op'", "");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("add reader = \"go-bench\" to [metric]"), "{said}");
    repository.configure(|text| text.replace("[metric]\n", "[metric]\nreader = 'go-bench'\n"));
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "0", "--allow-dirty"]);
    assert!(said.contains("123.0"), "{said}");
    // No reader reads this one, and none is named.
    let repository = Repository::running("echo 'accuracy: 0.5'", "");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "1", "--allow-dirty"]);
    assert!(!said.contains("reader ="), "{said}");
}

#[test]
fn a_repository_that_cannot_be_written_is_told_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let repository = marking("");
    let allow = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let program = repository.root().join("autoresearch");
    test_fixtures::copy_program(env!("CARGO_BIN_EXE_autoresearch").as_ref(), &program);
    allow(repository.root(), 0o755);
    allow(&repository.cache(), 0o777);
    for (folder, what) in [("", "its journal"), (".git/objects", "its commits"), (".git/refs", "its branch")] {
        for below in ["", ".git/objects", ".git/refs"] {
            allow(&repository.folder.join(below), if below == folder { 0o555 } else { 0o777 });
        }
        let arguments = ["run", "--tag", "t", "--experiments", "1", "--allow-dirty"];
        let mut run = std::process::Command::new(&program);
        // Nothing stops root: somebody else asks then.
        if std::fs::write(repository.folder.join(folder).join("probe"), "").is_ok() {
            run = std::process::Command::new("setpriv");
            run.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        }
        run.args(arguments).current_dir(&repository.folder).env("AUTORESEARCH_CACHE", repository.cache());
        run.env("HOME", repository.root())
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*");
        let said = text(&run.output().unwrap());
        let words = ["cannot be written", &format!("a run keeps {what} there"), "git clone "];
        assert!(words.iter().all(|word| said.contains(word)), "{folder}: {said}");
        assert!(!repository.root().join("mark").exists(), "a trial ran before: {said}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_told() {
    for (command, words) in [
        (
            "['no-such-program']",
            &["[run] command cannot be started", "there is no program `no-such-program` on PATH"][..],
        ),
        ("['./bench.sh']", &["`bench.sh` is not in the commit"]),
        ("['./script.sh']", &["`script.sh` is not executable", "git update-index --chmod=+x script.sh"]),
        ("['./windows.sh']", &["the lines of `windows.sh` end as on Windows", r"sed -i 's/\r$//' windows.sh"]),
    ] {
        let repository = marking("");
        repository.write("windows.sh", "#!/bin/sh\r\necho score: 1\r\n");
        std::fs::set_permissions(
            repository.folder.join("windows.sh"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        repository.write("script.sh", "#!/bin/sh\necho score: 1\n");
        repository.commit("script");
        repository.write("bench.sh", "never committed\n");
        repository.configure(|text| {
            let (before, rest) = text.split_once("command = ").unwrap();
            format!("{before}command = {command}\n{}", &rest[rest.find("[metric]").unwrap()..])
        });
        told_early(&repository, words);
    }
}

#[test]
fn a_branch_in_the_way_is_told() {
    let repository = marking("");
    repository.git(&["branch", "autoresearch"]);
    let words = ["refs/heads/autoresearch exists", "git branch -m autoresearch", "branch = \"research/{tag}\""];
    told_early(&repository, &words);
    // A branch below that of the run is in its way as well.
    let repository = marking("[git]\nbranch = 'research/{tag}'\n");
    repository.git(&["branch", "research/t/mine"]);
    told_early(&repository, &["refs/heads/research/t/mine exists", "refs/heads/research/t cannot be made"]);
}

#[test]
fn limits_of_the_command_line_are_checked_like_those_of_the_file() {
    let repository = marking("");
    for (argument, words) in [
        ("--hours=-1", "[stop] hours is -1; give a positive number of hours"),
        ("--hours=nan", "[stop] hours is NaN"),
        ("--target=nan", "[stop] target is NaN"),
        ("--experiments=-3", "[stop] experiments is -3"),
        ("--workers=0", "[workers] count is 0"),
    ] {
        let said = repository.fails(&["run", "--tag", "t", argument]);
        assert!(said.contains("the command line:") && said.contains(words), "{argument}: {said}");
    }
    repository.configure(|text| text + "[stop]\nhours = -8.0\n");
    let said = repository.fails(&["run", "--tag", "t"]);
    let line = std::fs::read_to_string(repository.config()).unwrap().lines().count();
    assert!(said.contains(&format!("autoresearch.toml:{line}: [stop] hours is -8")), "{said}");
}

#[test]
fn odd_places_are_told_with_their_remedy() {
    let repository = marking("");
    repository.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = repository.command(&["run"]).current_dir(repository.root().join("bare.git")).output().unwrap();
    assert!(text(&bare).contains("git clone ") && !text(&bare).contains("git init"), "{}", text(&bare));
    std::fs::remove_file(repository.config()).unwrap();
    let said = repository.fails(&["run"]);
    assert!(
        said.contains("there is no configuration autoresearch.toml") && said.contains("direction = \"minimise\""),
        "{said}"
    );
}

#[test]
fn a_metric_that_cannot_be_read_costs_one_trial() {
    for more in ["", "[workers]\ncount = 2\n", "[ratchet]\nrule = 'sequential'\n"] {
        let repository = Repository::running("true", more);
        let count = repository.root().join("count");
        repository.configure(|text| {
            let run = format!("echo x >> {}\necho 'accuracy: 0.93'\necho 'time: 12.5'", count.display());
            text.replacen("\ntrue\n", &format!("\n{run}\n"), 1)
        });
        let said = repository.fails(&["run", "--tag", "t", "--experiments", "2", "--allow-dirty"]);
        assert!(said.contains("score") && said.contains("accuracy") && said.contains("12.5"), "what was seen: {said}");
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n", "no more trials are paid: {said}");
    }
}
