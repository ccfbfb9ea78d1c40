use std::fs;

use super::*;

/// The list of a command in an environment of these variables alone.
fn listed(variables: &[(&str, &Path)], around: &Surroundings<'_>) -> Allowed {
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    Allowed::new(&Isolation::best_effort(), around, &variable)
}

#[test]
fn a_repository_is_open_by_no_variable() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("work/repository");
    for below in [".git", "bin", "lib"] {
        fs::create_dir_all(repository.join(below)).unwrap();
    }
    let (bin, lib) = (repository.join("bin"), repository.join("lib"));
    for (name, value) in [("PATH", &bin), ("PYTHONPATH", &repository), ("PYTHONPATH", &repository.join(".git"))] {
        let read = listed(&[(name, value)], &Surroundings::default()).read;
        assert!(!read.iter().any(|path| repository.starts_with(path) || path.ends_with(".git")), "{name}: {read:?}");
    }
    assert!(listed(&[("PATH", &bin)], &Surroundings::default()).read.contains(&bin));
    assert!(listed(&[("PYTHONPATH", &lib)], &Surroundings::default()).read.contains(&lib));
}

#[test]
fn a_folder_around_the_repository_of_the_run_is_open_by_no_variable_either() {
    let folder = tempfile::tempdir().unwrap();
    let around = folder.path().canonicalize().unwrap().join("work");
    let repository = around.join("repository");
    [repository.join("data"), around.join("bin")].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
    let isolation = Isolation { hidden: Some(repository.clone()), ..Isolation::best_effort() };
    let bin = around.join("bin");
    for (name, value) in [("PATH", &bin), ("PYTHONPATH", &around), ("VIRTUAL_ENV", &around)] {
        let variable = |wanted: &str| (wanted == name).then(|| value.clone().into_os_string());
        let read = Allowed::new(&isolation, &Surroundings::default(), &variable).read;
        assert!(!read.iter().any(|path| repository.starts_with(path)), "{name}: {read:?}");
    }
    let argv = ["cat".to_owned(), around.display().to_string(), repository.join("data").display().to_string()];
    let allowed = Allowed::new(&isolation, &Surroundings { argv: &argv, ..Surroundings::default() }, &|_| None);
    assert!(!allowed.read.contains(&around) && allowed.read.contains(&repository.join("data")), "{:?}", allowed.read);
}

#[cfg(unix)]
#[test]
fn nothing_is_resolved_below_what_a_candidate_writes() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().canonicalize().unwrap().join(name);
    let (slot, built, secret) = (place("a/slot"), place("a/built"), place("b/secret"));
    [&slot, &built, &secret].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
    for link in [slot.join("link"), built.join("train")] {
        std::os::unix::fs::symlink(&secret, link).unwrap();
    }
    std::os::unix::fs::symlink(place("a"), place("alias")).unwrap();
    let words = [built.join("train"), slot.join("link"), place("alias/slot/link"), slot.join("link/../secret")];
    let mut argv = words.map(|path| path.display().to_string()).to_vec();
    argv.push(format!("--data={}", place("b/secret/../../a/slot/link").display()));
    let around =
        Surroundings { argv: &argv, own: vec![slot.clone()], reads: vec![built.clone()], ..Surroundings::default() };
    let allowed = listed(&[], &around);
    assert!(!allowed.read.iter().any(|path| path.starts_with(place("b"))), "{:?}", allowed.read);
    assert!(allowed.write.contains(&slot) && allowed.read.contains(&built));
}
