use super::*;

#[test]
fn a_changed_file_is_found_whatever_its_times_say() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::new([("a", "as committed\n"), ("b", "as committed\n")]).unwrap();
    let slot = Slot::new(folder.path().join("slot"));
    slot.fill(&tree).unwrap();

    let modified = |name| fs::metadata(slot.path().join(name)).unwrap().modified().unwrap();
    let (a, b) = (modified("a"), modified("b"));
    // The same size, and the time put back.
    fs::write(slot.path().join("a"), "as tampered.\n").unwrap();
    fs::File::options().write(true).open(slot.path().join("a")).unwrap().set_modified(a).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    slot.fill(&tree).unwrap();
    assert_eq!(fs::read(slot.path().join("a")).unwrap(), b"as committed\n");
    assert_eq!(modified("b"), b, "what did not change was not written");
}

#[cfg(unix)]
#[test]
fn a_file_whose_time_was_set_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::new([("a", "as committed\n"), ("b", "as committed\n")]).unwrap();
    let slot = Slot::new(folder.path().join("slot"));
    slot.fill(&tree).unwrap();
    let modified = |name| fs::metadata(slot.path().join(name)).unwrap().modified().unwrap();
    let b = modified("b");
    std::thread::sleep(std::time::Duration::from_millis(20));
    // A build tool takes what it made of another version for newer than this.
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(slot.path().join("a")).unwrap().set_modified(old).unwrap();
    slot.fill(&tree).unwrap();
    assert!(modified("a") > b && modified("b") == b);
    let a = modified("a");
    slot.fill(&tree).unwrap();
    assert_eq!(modified("a"), a, "as it was written");
}

#[test]
fn a_file_that_grew_beyond_measure_is_removed_unread() {
    let folder = tempfile::tempdir().unwrap();
    let large = "x".repeat(3 << 20);
    let tree = Tree::new([("d/a", "as committed\n".to_owned()), ("large", large.clone())]).unwrap();
    let slot = Slot::new(folder.path().join("slot"));
    slot.fill(&tree).unwrap();
    let grow = |path: &str| {
        // A hole, which takes no space; as content it is more than any memory.
        let file = fs::File::options().write(true).open(slot.path().join(path)).unwrap();
        file.set_len(1 << 40).unwrap();
    };
    grow("d/a");
    slot.empty(&tree);
    assert!(!slot.path().join("d/a").exists() && slot.path().join("large").exists());
    slot.fill(&tree).unwrap();
    grow("d/a");
    grow("large");
    slot.fill(&tree).unwrap();
    assert_eq!(fs::read(slot.path().join("d/a")).unwrap(), b"as committed\n");
    assert_eq!(fs::read_to_string(slot.path().join("large")).unwrap(), large);
}

#[cfg(unix)]
#[test]
fn a_slot_that_a_candidate_replaced_by_a_link_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("precious"), "untouched").unwrap();
    let tree = Tree::new([("a", "as committed\n")]).unwrap();
    let slot = Slot::new(folder.path().join("slot"));
    slot.fill(&tree).unwrap();
    let replacements: [&dyn Fn(&Path); 3] = [
        &|place| std::os::unix::fs::symlink(&victim, place).unwrap(),
        &|place| std::os::unix::fs::symlink("nowhere", place).unwrap(),
        &|place| fs::write(place, "a file").unwrap(),
    ];
    for replace in replacements {
        for own in [slot.path().to_owned(), slot.scratch(), slot.built()] {
            let _ = fs::remove_dir_all(&own);
            replace(&own);
        }
        slot.empty(&tree);
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 1, "only the file that was there");
        slot.fill(&tree).unwrap();
        assert!(is_folder(slot.path()) && is_folder(&slot.scratch()));
        assert_eq!(fs::read(slot.path().join("a")).unwrap(), b"as committed\n");
        assert_eq!(fs::read(victim.join("precious")).unwrap(), b"untouched");
    }
}

#[cfg(unix)]
#[test]
fn links_are_carried_and_replaced_files_restored() {
    let folder = tempfile::tempdir().unwrap();
    let file = |path: &str, mode, content: &str| (path.to_owned(), mode, content.as_bytes().to_vec());
    let tree = Tree::in_memory([
        file("d/run.sh", FileMode::Executable, "#!/bin/sh\n"),
        file("link", FileMode::Symlink, "d/run.sh"),
        file("outside", FileMode::Symlink, "/etc/passwd"),
        file("lib", FileMode::Submodule, ""),
    ])
    .unwrap();
    let slot = Slot::new(folder.path().join("slot"));
    let check = || {
        slot.fill(&tree).unwrap();
        assert_eq!(fs::read_link(slot.path().join("link")).unwrap(), Path::new("d/run.sh"));
        assert_eq!(fs::read(slot.path().join("d/run.sh")).unwrap(), b"#!/bin/sh\n");
        assert!(fs::symlink_metadata(slot.path().join("d/run.sh")).unwrap().is_file());
        assert!(fs::symlink_metadata(slot.path().join("outside")).is_err());
        assert_eq!(fs::read_dir(slot.path().join("lib")).unwrap().count(), 0);
    };
    check();
    // What a candidate may do: links to elsewhere, a folder in place of a file, files in the submodule's folder.
    let victim = folder.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::remove_file(slot.path().join("d/run.sh")).unwrap();
    std::os::unix::fs::symlink(&victim, slot.path().join("d/run.sh")).unwrap();
    fs::remove_file(slot.path().join("link")).unwrap();
    fs::create_dir(slot.path().join("link")).unwrap();
    fs::write(slot.path().join("lib/x"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", slot.path().join("outside")).unwrap();
    check();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
}
