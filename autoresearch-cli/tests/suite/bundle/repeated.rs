//! Measurements that somebody else makes again from a bundle.

use super::{bundle, elsewhere, sound, unsound};
use crate::fixture::{PRINT_SUM, Repository, text};

const STRICT: &str = "[ratchet]\nrule = 'strict'\n";

#[test]
fn best_and_baseline_give_their_scores_again() {
    let repository = Repository::running(PRINT_SUM, STRICT);
    repository.succeeds(&["run", "--tag", "t", "--experiments", "6"]);
    let kept = repository.rows().into_iter().rfind(|row| row.contains("keep")).unwrap();
    let best = kept.split('\t').next().unwrap().to_owned();
    let file = bundle(&repository);
    std::fs::remove_dir_all(&repository.folder).unwrap();
    let said = sound(&file, &["--rerun", "best,baseline"]);
    assert!(said.contains(&format!("\nscore: {best} (journal: {best}; experiment ")), "{said}");
    assert!(said.contains("\nbaseline score: 50.500000 (journal: 50.500000; experiment 0, seed 42)\n"), "{said}");
    let output = elsewhere(&["verify", file.to_str().unwrap(), "--rerun", "best", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["bundle"]["reruns"][0]["score"].as_f64(), best.parse().ok(), "{answer}");
}

#[test]
fn the_commands_of_a_bundle_run_only_when_they_are_asked_for() {
    let repository = Repository::running("true", STRICT);
    let (mark, script) = (repository.root().join("mark"), PRINT_SUM);
    let script = format!("\ntouch {}\n{script}\n", mark.display());
    repository.configure(|text| text.replacen("\ntrue\n", &script, 1));
    repository.commit("mark");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    std::fs::remove_file(&mark).unwrap();
    let file = bundle(&repository);
    sound(&file, &[]);
    assert!(!mark.exists(), "a check executes nothing");
    if cfg!(target_os = "linux") {
        sound(&file, &["--rerun", "best"]);
        assert!(!mark.exists(), "the configuration asks for no walls, and has them all the same");
    }
    sound(&file, &["--rerun", "best", "--isolation", "bundle"]);
    assert!(mark.exists());
}

#[test]
fn walls_that_a_bundle_opens_are_told_first() {
    let repository = Repository::running(
        PRINT_SUM,
        &format!("{STRICT}[isolation]\nlevel = 'best-effort'\nwrite = ['{{cache}}']\nnetwork = true\n"),
    );
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let file = bundle(&repository);
    sound(&file, &[]);
    let said = unsound(&file, &["--rerun", "best"]);
    assert!(said.contains("opens the walls: its code writes {cache}, uses the network; read it"), "{said}");
    sound(&file, &["--rerun", "best", "--isolation", "bundle"]);

    let hosts = "[isolation]\nlevel = 'best-effort'\nnetwork = ['pypi.org', '*.crates.io']\n";
    let reaching = Repository::running(PRINT_SUM, &format!("{STRICT}{hosts}"));
    reaching.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let said = unsound(&bundle(&reaching), &["--rerun", "best"]);
    assert!(said.contains("its code reaches pypi.org, reaches *.crates.io; read it"), "{said}");

    let secret = repository.root().join("secret");
    std::fs::write(&secret, "1").unwrap();
    let naming = Repository::running(PRINT_SUM, &format!("{STRICT}[environment]\nDATA = '{}'\n", secret.display()));
    naming.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let said = unsound(&bundle(&naming), &["--rerun", "best"]);
    assert!(said.contains(&format!("its code reads {}", secret.display())), "{said}");
}

#[cfg(unix)]
#[test]
fn a_bundle_gets_out_by_no_path() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let place = |name: &str| root.join(name).display().to_string();
    let (secret, kept, data) = (place("secret"), place("kept"), place("data"));
    for path in [&secret, &kept, &data] {
        std::fs::write(path, "1").unwrap();
    }
    let more = format!(
        "{STRICT}[isolation]\nlevel = 'best-effort'\npristine = ['{{cache}}/../built', '{{target}}']\n\
         [environment]\nMY_A = '/usr/..{secret}'\nMY_B = '/proc/self/root{secret}'\nMY_C = '{{repo}}/link'\n\
         MY_D = '{{cache}}/../secret'\nMY_E = '/usr/bin/env'\nMY_F = '{{target}}'\n\
         [build]\ncommand = ['true']\nkeeps = ['{kept}']\n\
         [evaluate]\ncommand = ['sh', '-c', 'cat {{inputs}}/out > $AUTORESEARCH_RESULT', '{secret}']\n\
         inputs = ['out']\nshare = ['{data}']\n"
    );
    let repository = Repository::running(&format!("{{ {PRINT_SUM}\n}} | tee out"), &more);
    std::os::unix::fs::symlink(&secret, repository.folder.join("link")).unwrap();
    repository.commit("a link");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let said = unsound(&bundle(&repository), &["--rerun", "best"]);
    let listed = said.split_once("opens the walls: its code ").map(|(_, rest)| rest.split_once("; read it").unwrap().0);
    let listed: Vec<&str> = listed.unwrap_or_else(|| panic!("{said}")).split(", ").collect();
    let expected = [
        "writes {cache}/../built".to_owned(),
        format!("reads {data}"),
        format!("reads {secret}"),
        format!("reads /usr/..{secret}"),
        format!("reads /proc/self/root{secret}"),
        "/work/link".to_owned(),
        "/cache/../secret".to_owned(),
        format!("reads {kept}"),
    ];
    for (listed, expected) in listed.iter().zip(&expected) {
        assert!(listed.ends_with(expected), "{listed} is not {expected}");
    }
    assert_eq!(listed.len(), expected.len(), "{said}");
}

#[test]
fn variables_have_the_values_of_the_journal_and_secrets_none() {
    let script = "echo ---; echo \"score: $FACTOR\"; echo \"$MY_API_TOKEN\" > /dev/null";
    let more = format!("{STRICT}[environment]\nOTHER_TOKEN = 'written'\n");
    let repository = Repository::running(script, &more);
    repository.configure(|text| text.replacen("[run]\n", "[run]\npass = ['FACTOR', 'MY_API_TOKEN']\n", 1));
    repository.commit("variables");
    let run = |arguments: &[&str]| {
        let mut command = repository.command(arguments);
        let output = command.env("FACTOR", "7").env("MY_API_TOKEN", "very-secret-0123456789").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    run(&["run", "--tag", "t", "--experiments", "1"]);
    let file = repository.root().join("t.bundle.tar");
    let said = run(&["bundle", "t", "--output", file.to_str().unwrap()]);
    assert!(said.contains("warning: [environment] sets OTHER_TOKEN, and the bundle holds"), "{said}");
    assert!(said.contains("warning: the journal holds the values that these variables had: FACTOR\n"), "{said}");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(11).any(|part| part == b"very-secret"), "a secret that is passed is in no bundle");
    let mut again = std::process::Command::new(env!("CARGO_BIN_EXE_autoresearch"));
    let again = again.args(["verify", file.to_str().unwrap(), "--rerun", "best"]).env("FACTOR", "8").output().unwrap();
    assert!(text(&again).contains("\nscore: 7.000000 (journal: 7.000000;"), "{}", text(&again));
    assert!(
        text(&again)
            .contains("a repetition needs variables that the run inherited, if they were set then: MY_API_TOKEN")
    );
}

#[test]
fn what_a_repetition_lacks_is_said() {
    let repository = Repository::running(PRINT_SUM, &format!("{STRICT}[workspace]\nshare = ['data']\n"));
    repository.write(".gitignore", "data\n");
    repository.write("data/x", "1");
    repository.commit("ignore");
    repository.succeeds(&["run", "--tag", "t", "--experiments", "1"]);
    let file = bundle(&repository);
    let said = sound(&file, &[]);
    assert!(said.contains("a repetition needs files beside the commit, which [workspace] names: data"), "{said}");
    let said = unsound(&file, &["--rerun", "best"]);
    assert!(said.contains("this run cannot be repeated from its bundle: it needs files beside the commit"), "{said}");
}
