//! `autoresearch doctor`: every trouble with its remedy, and an exit code for scripts.

use crate::fixture::{PRINT_SUM, Repository, text};

#[test]
fn a_sound_set_up_passes_and_its_noise_is_measured() {
    let repository = Repository::new(0.0);
    let said = repository.succeeds(&["doctor", "--measure", "3"]);
    assert!(said.contains("ok      noise: score 50.500000; all 3 trials gave the same number"), "{said}");
    assert!(said.contains("ok      editable: work.txt (1 files)"), "{said}");
    assert!(!repository.folder.join(".autoresearch").exists(), "no run has begun");
    assert_eq!(std::fs::read_dir(repository.cache().join("rehearsals")).unwrap().count(), 0, "nothing is left");
    let report = crate::reading::answer(&repository, "doctor", &["doctor", "--json"]);
    assert_eq!(report["version"], 1);
    assert!(
        report["findings"].as_array().unwrap().iter().any(|one| one["check"] == "disk" && one["level"] == "fine"),
        "{report}"
    );
}

#[test]
fn all_errors_are_listed_at_once() {
    let repository = Repository::running(PRINT_SUM, "[workspace]\nshare = ['data']\n");
    repository.configure(|text| text.replace("['work.txt']", "['wrok.txt']").replace("['sh', ", "['no-such-shell', "));
    let said = repository.fails(&["doctor"]);
    for words in ["editable matches no file", "names `data`, and there is no", "no program `no-such-shell` on PATH"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let outside = repository.command(&["doctor"]).current_dir(repository.root()).output().unwrap();
    assert!(!outside.status.success() && text(&outside).contains("error   repository:"), "{}", text(&outside));
}

#[test]
fn what_measures_and_may_be_edited_is_warned_of() {
    let repository = Repository::running(PRINT_SUM, "");
    repository.write("benches/parse.sh", "wc -c < \"work.txt\"\n");
    repository.write("tests/a.sh", "true\n");
    repository.commit("a benchmark");
    let said = repository.succeeds(&["doctor"]);
    assert!(said.contains("warning measured: `benches/parse.sh` reads `work.txt` as data"), "{said}");
    repository.configure(|text| text.replace("['work.txt']", "['work.txt', 'tests/**']"));
    assert!(repository.succeeds(&["doctor"]).contains("1 files that measure or test may be edited, as `tests/a.sh`"));
}

#[test]
fn a_server_that_does_not_answer_is_an_error_and_asked_only_on_request() {
    let more = "[proposer]\nkind = 'openai'\nmodel = 'm'\nbase_url = 'http://127.0.0.1:9/v1'\n";
    let repository = Repository::running(PRINT_SUM, more);
    let doctor = |arguments: &[&str]| {
        let mut command = repository.command(arguments);
        command.env("OPENAI_API_KEY", "sk-0123456789").output().unwrap()
    };
    let offline = doctor(&["doctor"]);
    assert!(offline.status.success(), "{}", text(&offline));
    let online = doctor(&["doctor", "--online"]);
    assert!(text(&online).contains("error   model: http://127.0.0.1:9/v1 cannot be reached"), "{}", text(&online));
    repository.configure(|text| text.replace("base_url = 'http://127.0.0.1:9/v1'\n", ""));
    let mut keyless = repository.command(&["doctor"]);
    let keyless = keyless.env_remove("OPENAI_API_KEY").output().unwrap();
    assert!(!keyless.status.success() && text(&keyless).contains("OPENAI_API_KEY is not set"), "{}", text(&keyless));
}
