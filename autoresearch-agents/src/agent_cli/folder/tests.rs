use super::*;

fn files() -> BTreeMap<String, String> {
    let long: String = (0..40).map(|i| format!("line {i}\n")).collect();
    [("a.txt".to_owned(), long), ("src/b.txt".to_owned(), "x = 1\n".to_owned())].into()
}

fn after(work: impl FnOnce(&Path)) -> Change {
    let place = tempfile::tempdir().unwrap();
    let reference = place.path().join("notes");
    fs::write(&reference, "read me\n").unwrap();
    let folder = Folder::make(&place.path().join("scratch"), &files(), &[("notes".into(), reference)]).unwrap();
    work(&folder.work());
    folder.change(&files(), &EditablePaths::new(["a.txt", "src/**"])).unwrap()
}

#[test]
fn a_small_change_becomes_a_replacement_and_a_large_one_a_whole_file() {
    let change = after(|work| {
        let text = files()["a.txt"].replace("line 7\n", "line seven\n");
        fs::write(work.join("a.txt"), text).unwrap();
        fs::write(work.join("src/b.txt"), "y = 2\n").unwrap();
        fs::write(work.join("src/new.txt"), "new\n").unwrap();
    });
    let Change::Edits(patch) = change else { panic!("{change:?}") };
    let write = |path: &str, text: &str| FileEdit::Write { path: path.into(), text: text.into() };
    let replace = Patch::replace("a.txt", "line 7\n", "line seven\n").edits.remove(0);
    assert_eq!(patch.edits, [replace, write("src/b.txt", "y = 2\n"), write("src/new.txt", "new\n")]);
}

#[test]
fn every_edit_leads_to_what_the_agent_left() {
    // Lines that repeat, insertions, removals, line ends: whatever is chosen must apply.
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
        let done = Patch { edits: vec![edit.clone()] }.apply(&files, &editable).unwrap();
        assert_eq!(done["f"], after, "{edit:?}");
    }
}

#[test]
fn what_lies_outside_is_named() {
    let strays = |work: fn(&Path)| match after(work) {
        Change::Strays(names) => names,
        other => panic!("{other:?}"),
    };
    assert_eq!(strays(|work| fs::write(work.join("other.txt"), "x").unwrap()), "other.txt was made");
    assert_eq!(strays(|work| fs::remove_file(work.join("a.txt")).unwrap()), "a.txt is gone");
    assert_eq!(strays(|work| fs::write(work.join("a.txt"), [0xff]).unwrap()), "a.txt is no text any more");
    let overwritten = strays(|work| {
        fs::remove_file(work.join("notes")).unwrap();
        fs::write(work.join("notes"), "x").unwrap();
    });
    assert_eq!(overwritten, "notes was changed");
    let many = strays(|work| (0..20).for_each(|i| fs::write(work.join(format!("{i:02}")), "").unwrap()));
    assert!(many.ends_with("07 was made, and 12 more"), "{many}");
}

#[cfg(unix)]
#[test]
fn a_link_is_no_file() {
    let change = after(|work| {
        fs::remove_file(work.join("src/b.txt")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", work.join("src/b.txt")).unwrap();
    });
    assert_eq!(change, Change::Strays("src/b.txt is no plain file, src/b.txt is gone".into()));
}

#[test]
fn leftovers_of_a_dead_harness_are_removed() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("agent-dead/work")).unwrap();
    fs::write(place.path().join("mine"), "").unwrap();
    clear(place.path()).unwrap();
    let folder = Folder::make(place.path(), &files(), &[]).unwrap();
    assert!(!place.path().join("agent-dead").exists() && place.path().join("mine").exists());
    assert_eq!(folder.change(&files(), &EditablePaths::new(["**"])).unwrap(), Change::Nothing);
    drop(folder);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
