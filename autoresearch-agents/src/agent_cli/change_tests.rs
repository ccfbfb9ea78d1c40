use super::*;

fn files() -> BTreeMap<String, String> {
    let long: String = (0..40).map(|i| format!("line {i}\n")).collect();
    [("a.txt".to_owned(), long), ("src/b.txt".to_owned(), "x = 1\n".to_owned())].into()
}

fn change_by(editable: &[&str], work: impl FnOnce(&Path)) -> Change {
    let place = tempfile::tempdir().unwrap();
    let repository = place.path().join("repository");
    fs::create_dir(&repository).unwrap();
    for (name, text) in [("notes", "read me\n"), ("run.py", "locked\n"), (".gitignore", "*.log\n")] {
        fs::write(repository.join(name), text).unwrap();
    }
    let references = [("notes".to_owned(), repository.join("notes"))];
    let folder = Folder::make(&place.path().join("scratch"), &files(), &references, Some(&repository)).unwrap();
    work(&folder.work());
    let editable = EditablePaths::new(editable.iter().copied());
    let rules = Rules { editable: &editable, litter: &Litter::of(Some(&repository)), repository: Some(&repository) };
    Change::read(&folder, &files(), &rules).unwrap()
}

fn change(work: impl FnOnce(&Path)) -> Change {
    change_by(&["a.txt", "src/**"], work)
}

fn write(path: &str, text: &str) -> FileEdit {
    FileEdit::Write { path: path.into(), text: text.into() }
}

#[test]
fn a_small_change_becomes_a_replacement_and_a_large_one_a_whole_file() {
    let change = change(|work| {
        let text = files()["a.txt"].replace("line 7\n", "line seven\n");
        fs::write(work.join("a.txt"), text).unwrap();
        fs::write(work.join("src/b.txt"), "y = 2\n").unwrap();
        fs::write(work.join("src/new.txt"), "new\n").unwrap();
    });
    let replace = Patch::replace("a.txt", "line 7\n", "line seven\n").edits.remove(0);
    let edits = vec![replace, write("src/b.txt", "y = 2\n"), write("src/new.txt", "new\n")];
    assert_eq!(change, Change { patch: Patch { edits }, ..Change::default() });
}

#[test]
fn every_edit_leads_to_the_text_that_the_agent_left() {
    // Lines that repeat, insertions, removals, line ends: whichever edit is chosen must apply.
    let editable = EditablePaths::new(["f"]);
    let before = "a\nb\na\nb\na\nb\nc\nd\ne\nf\ng\nh\na\nb\na\n";
    let crlf = before.replace('\n', "\r\n");
    for (before, after) in [
        (before.to_owned(), before.replacen("a\nb\n", "", 1)),
        (before.to_owned(), before.replacen("c\n", "c\nc\n", 1)),
        (before.to_owned(), before.replace("h\n", "")),
        (before.to_owned(), format!("{before}end")),
        (before.to_owned(), format!("start\n{before}")),
        (before.to_owned(), String::new()),
        (crlf.clone(), crlf.replacen("d\r\n", "D\n", 1)),
        (crlf.clone(), crlf.replacen("d\r\n", "D\r\n", 1)),
        (String::new(), "x".to_owned()),
    ] {
        let edit = edit("f", Some(&before), &after, &editable);
        let files = BTreeMap::from([("f".to_owned(), before.clone())]);
        let made = Patch { edits: vec![edit.clone()] }.applied_to(&files, &editable).unwrap();
        assert_eq!(made["f"], after, "{edit:?}");
    }
}

#[test]
fn a_removal_and_a_renaming_of_an_editable_file_are_changes() {
    let removed = change(|work| fs::remove_file(work.join("src/b.txt")).unwrap());
    let delete = FileEdit::Delete { path: "src/b.txt".into() };
    assert_eq!((removed.patch.edits, removed.forbidden), (vec![delete.clone()], vec![]));
    let renamed = change(|work| fs::rename(work.join("src/b.txt"), work.join("src/c.txt")).unwrap());
    assert_eq!((renamed.patch.edits, renamed.forbidden), (vec![write("src/c.txt", "x = 1\n"), delete], vec![]));
}

#[test]
fn litter_is_no_part_of_a_change_even_where_every_path_is_editable() {
    for editable in [&["a.txt", "src/**"][..], &["**"]] {
        let change = change_by(editable, |work| {
            for path in
                ["node_modules/x/1.js", "src/__pycache__/b.pyc", ".aider.chat.history.md", "run.log", ".DS_Store"]
            {
                fs::create_dir_all(work.join(path).parent().unwrap()).unwrap();
                fs::write(work.join(path), [0xff]).unwrap();
            }
            fs::write(work.join("src/b.txt"), "x = 2\n").unwrap();
        });
        assert_eq!(change.patch.edits, [write("src/b.txt", "x = 2\n")]);
        assert!(change.outside.is_empty() && change.forbidden.is_empty(), "{change:?}");
    }
}

#[test]
fn new_files_outside_are_told_from_forbidden_changes() {
    let outside = |work: fn(&Path)| change(work).outside.join(", ");
    let forbidden = |work: fn(&Path)| change(work).forbidden.join(", ");
    assert_eq!(outside(|work| fs::write(work.join("other.txt"), "x").unwrap()), "other.txt was made");
    assert_eq!(forbidden(|work| fs::write(work.join("run.py"), "x").unwrap()), "run.py was overwritten");
    assert_eq!(forbidden(|work| fs::remove_file(work.join("notes")).unwrap()), "notes is gone");
    assert_eq!(forbidden(|work| fs::write(work.join("a.txt"), [0xff]).unwrap()), "a.txt is not text (UTF-8)");
    assert!(forbidden(|work| fs::write(work.join("src/a\nb"), "x").unwrap()).contains("control character"));
    let overwritten = forbidden(|work| {
        fs::remove_file(work.join("notes")).unwrap();
        fs::write(work.join("notes"), "x").unwrap();
    });
    assert_eq!(overwritten, "notes was changed");
    let many = change(|work| (0..20).for_each(|i| fs::write(work.join(format!("{i:02}")), "").unwrap()));
    assert_eq!(many.outside.len(), 20);
    assert!(name_some(&many.outside).ends_with(" more"), "{}", name_some(&many.outside));
}

#[cfg(unix)]
#[test]
fn a_link_is_no_file() {
    let change = change(|work| {
        fs::remove_file(work.join("src/b.txt")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", work.join("src/b.txt")).unwrap();
    });
    assert_eq!(change.forbidden, ["src/b.txt is no plain file"]);
    assert!(change.patch.edits.is_empty());
}

#[cfg(unix)]
#[test]
fn executable_bits_are_kept() {
    let place = tempfile::tempdir().unwrap();
    for name in ["a.txt", "tool"] {
        fs::write(place.path().join(name), "#!/bin/sh\n").unwrap();
        crate::files::set_executable(&place.path().join(name), true).unwrap();
    }
    let references = [("tool".to_owned(), place.path().join("tool"))];
    let folder = Folder::make(&place.path().join("scratch"), &files(), &references, Some(place.path())).unwrap();
    let executable = ["a.txt", "tool", "src/b.txt"].map(|name| crate::files::is_executable(&folder.work().join(name)));
    assert_eq!(executable, [true, true, false]);
}

#[cfg(unix)]
#[test]
fn what_an_agent_locked_is_read_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(&place.path().join("scratch"), &files(), &[], None).unwrap();
    let mode = |path: &str, mode: u32| fs::set_permissions(folder.work().join(path), fs::Permissions::from_mode(mode));
    mode("src/b.txt", 0o000).unwrap();
    mode("src", 0o000).unwrap();
    folder.unlock();
    let found = fs::metadata(folder.work().join("src/b.txt")).unwrap().permissions().mode();
    assert_eq!(found & 0o700, 0o400, "whoever is not root needs it");
}

#[test]
fn files_larger_than_memory_together_are_not_read() {
    let large = |work: &Path| {
        for number in 0..40 {
            // Holes, which take no space.
            fs::File::create(work.join(format!("src/{number}"))).unwrap().set_len(LARGEST).unwrap();
        }
    };
    let change = change_by(&["a.txt"], large);
    assert_eq!((change.outside.len(), change.forbidden.len()), (40, 0));
    let change = change_by(&["a.txt", "src/**"], large);
    assert!(change.unreadable.as_ref().is_some_and(|why| why.contains("too large together")), "{change:?}");
    assert!(change.patch.edits.is_empty() && change.forbidden.is_empty(), "nothing is taken to be gone: {change:?}");
}

/// Makes empty files whose names come before and after all others, in a folder and beside the rest.
fn make_many(work: &Path, folder: &str) {
    fs::create_dir_all(work.join(folder)).unwrap();
    for number in 0..=FILES / 2 {
        fs::File::create(work.join(folder).join(number.to_string())).unwrap();
        fs::File::create(work.join(folder).join(format!("z{number}"))).unwrap();
    }
}

#[test]
fn an_edit_counts_beside_any_number_of_new_files_outside() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let edit = |work: &Path| {
        make_many(work, "data");
        make_many(work, ".");
        fs::write(work.join("src/b.txt"), "x = 2\n").unwrap();
    };
    let made = change(edit);
    assert_eq!(made.patch.edits, [write("src/b.txt", "x = 2\n")]);
    assert!(made.forbidden.is_empty() && made.unreadable.is_none(), "{:?}", made.forbidden);
    assert_eq!(made.outside[0], "20004 new files in all");
    let overwritten = change(|work| {
        edit(work);
        fs::write(work.join("run.py"), "x").unwrap();
    });
    assert_eq!(overwritten.forbidden, ["run.py was overwritten"]);
}

#[test]
fn too_many_editable_files_are_one_clear_reason() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let made = change(|work| {
        make_many(work, "src/made");
        fs::write(work.join("a.txt"), "x\n").unwrap();
    });
    let why = made.unreadable.as_deref().unwrap_or_default();
    assert!(why.contains("more than 10000 new files") && why.contains(".gitignore"), "{why}");
    assert!(made.patch.edits.is_empty() && made.forbidden.is_empty() && made.outside.is_empty());
}

#[test]
fn leftovers_of_a_dead_process_are_removed() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("agent-dead/work")).unwrap();
    fs::write(place.path().join("mine"), "").unwrap();
    crate::agent_cli::folder::clear(place.path()).unwrap();
    let folder = Folder::make(place.path(), &files(), &[], None).unwrap();
    assert!(!place.path().join("agent-dead").exists() && place.path().join("mine").exists());
    let rules = Rules { editable: &EditablePaths::new(["**"]), litter: &Litter::default(), repository: None };
    assert_eq!(Change::read(&folder, &files(), &rules).unwrap(), Change::default());
    drop(folder);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
