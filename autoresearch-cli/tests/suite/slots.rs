//! The folders in the cache that candidates are built and run in.

use crate::fixture::{PRINT_SUM, Repository, wait_until};

fn slots(repository: &Repository) -> Vec<String> {
    let of_repository = std::fs::read_dir(repository.cache().join("slots")).unwrap().next().unwrap().unwrap().path();
    let mut names: Vec<String> = std::fs::read_dir(of_repository)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn those_of_ended_runs_are_removed_and_their_size_is_told() {
    let repository = Repository::running(&format!("dd if=/dev/zero of=/dev/null count=1 2>/dev/null\n{PRINT_SUM}"), "");
    // What a trial leaves is removed when it ends; the files of the commit stay in its slot.
    repository.write("big", &"x".repeat(3_000_000));
    repository.commit("a large file");
    repository.succeeds(&["run", "--tag", "old", "--experiments", "1"]);
    // One that was killed may have processes left in its slots; one without a journal has nobody to go on with it.
    let lost = repository.cache().join("slots").join(slots_of(&repository)).join("lost/0");
    std::fs::create_dir_all(&lost).unwrap();
    std::fs::set_permissions(&lost, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    assert_eq!(slots(&repository), ["lost", "old"]);

    repository.configure(|text| text.replace("dd if", "sleep 5; dd if"));
    let mut killed = repository.start(&["run", "--tag", "killed", "--experiments", "5", "--allow-dirty"]);
    wait_until("the run does not begin", || slots(&repository).contains(&"killed".into()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(slots(&repository), ["killed"], "removed when the run began");

    repository.configure(|text| text.replace("sleep 5; ", ""));
    let said = repository.succeeds(&["run", "--tag", "new", "--experiments", "1", "--allow-dirty"]);
    assert_eq!(slots(&repository), ["killed", "new"], "{said}");
    let said = repository.succeeds(&["run", "--tag", "last", "--experiments", "1", "--allow-dirty"]);
    assert!(said.contains("removed the working folders of 1 ended run: "), "{said}");
    assert_eq!(slots(&repository), ["killed", "last"]);
    // The run itself is still there, and can be measured again.
    repository.succeeds(&["rerun", "--tag", "old", "--times", "1"]);
}

fn slots_of(repository: &Repository) -> std::ffi::OsString {
    std::fs::read_dir(repository.cache().join("slots")).unwrap().next().unwrap().unwrap().file_name()
}
