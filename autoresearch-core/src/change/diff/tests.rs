use std::collections::BTreeMap;

use proptest::prelude::*;
use similar::TextDiff;

use crate::change::{EditablePaths, FileEdit, Patch, PatchFault};

const NUMBERS: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";

fn apply_all(files: &[(&str, &str)], diff: &str) -> Result<BTreeMap<String, String>, PatchFault> {
    let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    let patch = Patch { edits: vec![FileEdit::Diff { diff: diff.into() }] };
    let changed = patch.checked(&files, &EditablePaths::new(["x", "y", "dir/**"]))?;
    Ok(changed.into_iter().filter_map(|(path, text)| Some((path, text?))).collect())
}

/// Applies hunks to a file of this text.
fn apply(text: &str, hunks: &str) -> Result<String, PatchFault> {
    let diff = format!("--- a/x\n+++ b/x\n{hunks}");
    apply_all(&[("x", text)], &diff).map(|mut changed| changed.remove("x").unwrap())
}

fn malformed_at(result: Result<impl std::fmt::Debug, PatchFault>) -> usize {
    match result {
        Err(PatchFault::MalformedDiff { line, .. }) => line,
        other => panic!("{other:?} is no malformed diff"),
    }
}

#[test]
fn several_files_are_changed_by_one_diff() {
    let diff = "diff --git a/x b/x\nindex 1111111..2222222 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ fn f()\n-one\n+1\n two\n\
                diff --git a/dir/new b/dir/new\nnew file mode 100644\nindex 0000000..3333333\n--- /dev/null\n+++ b/dir/new\n\
                @@ -0,0 +1,2 @@\n+new\n+file\n--- y\t2025-01-01 00:00:00\n+++ y\t2025-01-02 00:00:00\n@@ -1 +1 @@\n-y\n+z\n";
    let changed = apply_all(&[("x", "one\ntwo\n"), ("y", "y\n")], diff).unwrap();
    let expected = [("dir/new", "new\nfile\n"), ("x", "1\ntwo\n"), ("y", "z\n")];
    assert_eq!(changed, expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
}

#[test]
fn files_are_named_with_or_without_prefixes() {
    for headers in
        ["--- a/x\n+++ b/x", "--- x\n+++ x", "--- x\n+++ b/x", "Sure, here it is:\n\n--- a/x\t1\n+++ b/x\t2\n"]
    {
        assert_eq!(apply_all(&[("x", "o\n")], &format!("{headers}\n@@\n-o\n+n\n")).unwrap()["x"], "n\n", "{headers}");
    }
    let folder = FileEdit::Diff { diff: "--- a/x\n+++ a/x\n@@\n-o\n+n\n".into() };
    assert_eq!(folder.paths().unwrap(), ["a/x"]);
}

#[test]
fn a_unique_place_is_found_whatever_the_header_says() {
    for header in [
        "@@ -2,3 +2,3 @@",
        "@@ -900,1 +7,99 @@",
        "@@ -0,0 +0,0 @@",
        "@@",
        "@@ ... @@",
        "@@ -99999999999999999999999 @@",
    ] {
        let hunk = format!("{header}\n two\n-three\n+3\n four\n");
        assert_eq!(apply(NUMBERS, &hunk).unwrap(), NUMBERS.replace("three", "3"), "{header}");
    }
}

#[test]
fn hunks_match_whole_lines_only() {
    assert!(matches!(apply("one two\n", "@@ -1 +1 @@\n-two\n+2\n"), Err(PatchFault::NoMatch { line: 1, .. })));
    assert!(matches!(apply("two!\n", "@@ -1 +1 @@\n-two\n+2\n"), Err(PatchFault::NoMatch { .. })));
}

#[test]
fn among_several_places_the_stated_line_decides() {
    assert_eq!(apply("a\nb\na\nb\n", "@@ -3 +3 @@\n-a\n+c\n").unwrap(), "a\nb\nc\nb\n");
    let ambiguous = Err(PatchFault::Ambiguous { path: "x".into(), count: 2 });
    assert_eq!(apply("a\nb\na\nb\n", "@@ -2 +2 @@\n-a\n+c\n"), ambiguous);
    assert_eq!(apply("a\nb\na\nb\n", "@@ @@\n-a\n+c\n"), ambiguous);
    // The first hunk adds two lines, so that old line 3 is line 5 when the second is applied.
    assert_eq!(
        apply("a\nb\na\nb\n", "@@ -1 +1,3 @@\n-a\n+n\n+n\n+a\n@@ -3 +5 @@\n-a\n+c\n").unwrap(),
        "n\nn\na\nb\nc\nb\n"
    );
}

#[test]
fn a_hunk_that_fits_nowhere_names_the_nearest_line() {
    let Err(PatchFault::NoMatch { path, line, nearest }) =
        apply("fn a()\nlet rate = 1;\n", "@@ -1 +1 @@\n-let rate = 2;\n+let rate = 3;\n")
    else {
        panic!("must not match")
    };
    assert_eq!((path.as_str(), line, nearest.as_str()), ("x", 2, "let rate = 1;"));
    assert!(matches!(apply(NUMBERS, "@@\n-one\n+1\n@@\n-eight\n+8\n"), Err(PatchFault::NoMatch { .. })), "the second");
}

#[test]
fn an_insertion_without_context_comes_after_the_stated_line() {
    assert_eq!(apply("a\nb\n", "@@ -1,0 +2 @@\n+n\n").unwrap(), "a\nn\nb\n");
    assert_eq!(apply("a\nb\n", "@@ -0,0 +1 @@\n+n\n").unwrap(), "n\na\nb\n");
    assert_eq!(apply("", "@@ -7,0 +1 @@\n+n\n").unwrap(), "n\n");
    assert!(matches!(apply("a\nb\n", "@@\n+n\n"), Err(PatchFault::Ambiguous { count: 3, .. })));
    assert!(matches!(apply("a\nb\n", "@@ -3,0 +4 @@\n+n\n"), Err(PatchFault::Ambiguous { .. })));
}

#[test]
fn an_empty_line_is_context_but_not_at_the_end_of_a_hunk() {
    assert_eq!(apply("a\n\nb\n", "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n").unwrap(), "a\n\nc\n");
    assert_eq!(apply("a\n\nb\n", "@@ -1,2 +1,2 @@\n-a\n+c\n\n").unwrap(), "c\n\nb\n");
    assert_eq!(apply("a\nb\n", "@@ -1 +1 @@\n-a\n+c\n\n\n@@ -2 +2 @@\n-b\n+d\n\n").unwrap(), "c\nd\n");
    let vague = apply("a\n\nb\n", "@@ -2 +2,2 @@\n+c\n\n");
    assert!(matches!(vague, Err(PatchFault::Ambiguous { .. })), "before line 2, or after it");
}

#[test]
fn removed_and_added_lines_may_look_like_headers() {
    let hunks = "@@ -1,3 +1,3 @@\n--- a/y\n+++ b/y\n keep\n";
    assert_eq!(apply("-- a/y\nkeep\n", hunks).unwrap(), "++ b/y\nkeep\n");
    assert_eq!(apply("@@\nkeep\n", "@@ -1,2 +1,2 @@\n-@@\n+diff --git\n keep\n").unwrap(), "diff --git\nkeep\n");
}

#[test]
fn the_last_newline_is_kept_removed_or_added_as_the_diff_says() {
    let mark = "\\ No newline at end of file\n";
    assert_eq!(apply("a\nb", &format!("@@ -1,2 +1,2 @@\n a\n-b\n{mark}+c\n{mark}")).unwrap(), "a\nc");
    assert_eq!(apply("a\nb", &format!("@@ -1,2 +1,2 @@\n a\n-b\n{mark}+b\n")).unwrap(), "a\nb\n");
    assert_eq!(apply("a\nb\n", &format!("@@ -1,2 +1,2 @@\n a\n-b\n+b\n{mark}")).unwrap(), "a\nb");
    assert_eq!(apply("a\nb", &format!("@@ -1,2 +1,2 @@\n-a\n+c\n b\n{mark}")).unwrap(), "c\nb");
    assert!(matches!(apply("b\n", &format!("@@ -1 +1 @@\n-b\n{mark}+c\n")), Err(PatchFault::NoMatch { .. })));
    let inside = apply("a\nb\n", &format!("@@ -1 +1 @@\n-a\n+c\n{mark}"));
    assert_eq!(malformed_at(inside), 3);
    assert_eq!(malformed_at(apply("a\n", &format!("@@ -1 +1 @@\n{mark}-a\n"))), 4);
}

#[test]
fn a_missing_mark_leaves_the_end_of_the_file_as_it_is() {
    assert_eq!(apply("a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n").unwrap(), "a\nc");
    assert_eq!(apply("a\nb", "@@ -1,2 +1,3 @@\n a\n b\n+c\n").unwrap(), "a\nb\nc");
    assert_eq!(apply("a\r\nb", "@@ -1,2 +1,3 @@\n a\n b\n+c\n").unwrap(), "a\r\nb\r\nc");
    assert_eq!(apply("a\nb", "@@ -1,2 +1 @@\n a\n-b\n").unwrap(), "a");
    assert_eq!(malformed_at(apply("a\nb", "@@ -2,0 +3 @@\n+c\n")), 3, "without context it would lengthen b");
}

#[test]
fn a_file_with_crlf_keeps_it() {
    let hunk = "@@ -1,3 +1,4 @@\n a\n-b\n+c\n+d\n \n e\n";
    assert_eq!(apply("a\r\nb\r\n\r\ne\r\n", hunk).unwrap(), "a\r\nc\r\nd\r\n\r\ne\r\n");
    assert_eq!(apply("a\r\nb\r\n", "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n").unwrap(), "a\r\nc\r\n", "written by git");
    assert_eq!(apply("a\r\nb\r\n", "@@ -1,2 +1,2 @@\n-a\r\n-b\r\n+a\n+b\n").unwrap(), "a\nb\n", "on purpose");
    assert_eq!(apply("a\r\n\r\nb\r\n", "@@ -1,3 +1,3 @@\n a\r\n\r\n-b\r\n+c\r\n").unwrap(), "a\r\n\r\nc\r\n");
    assert!(matches!(apply("a\r\nb\n", "@@ -1 +1 @@\n-a\n+c\n"), Err(PatchFault::NoMatch { .. })), "mixed: exact only");
}

#[test]
fn a_diff_with_crlf_throughout_is_read_as_one_with_lf() {
    let diff = "--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n";
    assert_eq!(apply_all(&[("x", "a\n")], diff).unwrap()["x"], "b\n");
    assert_eq!(apply_all(&[("x", "a\r\n")], diff).unwrap()["x"], "b\r\n");
}

#[test]
fn what_is_no_change_of_text_is_refused() {
    for (diff, path, what) in [
        ("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-o\n", "x", "deletion"),
        ("diff --git a/x b/x\ndeleted file mode 100644\nindex 1..0\n", "x", "deletion"),
        ("diff --git a/x b/dir/x\nsimilarity index 100%\nrename from x\nrename to dir/x\n", "dir/x", "renamed"),
        (
            "diff --git a/x b/y\nsimilarity index 90%\ncopy from x\ncopy to y\n--- a/x\n+++ b/y\n@@\n-o\n+n\n",
            "y",
            "copied",
        ),
        ("--- a/x\n+++ b/y\n@@\n-o\n+n\n", "y", "renamed"),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n--- a/x\n+++ b/x\n@@\n-o\n+n\n", "x", "mode"),
        (
            "diff --git a/dir/l b/dir/l\nnew file mode 120000\n--- /dev/null\n+++ b/dir/l\n@@ -0,0 +1 @@\n+x\n",
            "dir/l",
            "mode",
        ),
        ("diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n", "x", "binary"),
        (
            "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 2\nJcmZ?wbhEHbRA\n\nliteral 1\nI\n",
            "x",
            "binary",
        ),
        ("--- a/y\n+++ b/y\n@@\n-o\n+n\nBinary files a/x and b/x differ\n", "x", "binary"),
    ] {
        let refused = apply_all(&[("x", "o\n"), ("y", "o\n")], diff);
        let Err(PatchFault::File { path: found, why }) = refused else { panic!("{diff}: {refused:?}") };
        assert!(found == path && why.contains(what), "{diff}: {found}: {why}");
    }
}

#[test]
fn every_path_of_a_diff_is_checked_before_anything_else() {
    for diff in [
        "--- a/x\n+++ b/x\n@@\n-not there\n+n\n--- a/secret\n+++ b/secret\n@@\n-o\n+n\n",
        "--- a/secret\n+++ /dev/null\n@@\n-o\n",
        "diff --git a/secret b/x\nrename from secret\nrename to x\n",
        "--- a/secret\n+++ b/x\n@@\n-o\n+n\n",
        "--- /dev/null\n+++ b/secret\n@@ -0,0 +1 @@\n+n\n",
        "diff --git a/secret b/secret\nold mode 100644\nnew mode 100755\n",
        "diff --git a/x b/x\n--- a/secret\n+++ b/secret\n@@\n-o\n+n\n",
        "Binary files a/secret and b/secret differ\n",
    ] {
        let refused = apply_all(&[("x", "o\n")], diff);
        assert!(
            matches!(&refused, Err(PatchFault::NotEditable { path, .. }) if path == "secret"),
            "{diff}: {refused:?}"
        );
    }
}

#[test]
fn a_new_file_must_not_exist_and_another_must() {
    let new = "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+n\n\n";
    assert_eq!(apply_all(&[], new).unwrap()["x"], "n\n");
    assert_eq!(apply_all(&[("x", "o\n")], new), Err(PatchFault::already_exists("x")));
    assert_eq!(apply_all(&[], &new.repeat(2)), Err(PatchFault::already_exists("x")));
    assert_eq!(apply_all(&[], "--- a/x\n+++ b/x\n@@\n-o\n+n\n"), Err(PatchFault::no_such_file("x")));
}

#[test]
fn a_malformed_diff_is_refused_with_its_line() {
    for (diff, line) in [
        ("", 1),
        ("no diff at all\n", 1),
        ("--- a/x\n+++ b/x\n", 1),
        ("@@ -1 +1 @@\n-o\n+n\n", 1),
        ("--- a/x\n@@ -1 +1 @@\n-o\n+n\n", 1),
        ("+++ b/x\n@@ -1 +1 @@\n-o\n+n\n", 1),
        ("--- a/x\n+++ b/x\n-o\n+n\n", 3),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n o\n", 3),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n@@ -1 +1 @@\n-o\n+n\n", 3),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-o\n+n\n```\n", 6),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-o\n+n\ndiff --git a/y b/y\nnew file mode 100644\nindex 0..1\n", 6),
        ("diff --git a/x b/x\n@@ -1 +1 @@\n-o\n+n\n", 2),
        ("--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-o\n+n\n", 1),
        ("--- \"a/\\303\"\n+++ \"b/\\303\"\n@@ -1 +1 @@\n-o\n+n\n", 1),
    ] {
        assert_eq!(malformed_at(apply_all(&[("x", "o\n")], diff)), line, "{diff}");
    }
}

#[test]
fn a_result_with_a_nul_is_refused() {
    assert_eq!(apply("o\n", "@@\n-o\n+\0\n"), Err(PatchFault::binary("x")));
}

/// Lines that repeat often, and some that look like parts of a diff.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "c",
        "",
        " ",
        "-",
        "-- a/x",
        "++ b/x",
        "@@",
        "\\ x",
        "diff --git a/x b/x",
        "\u{e9}\t",
    ])
}

/// An old text, and another one that is the old one after some edits.
fn texts() -> impl Strategy<Value = (String, String)> {
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), 0..3usize, prop::collection::vec(line(), 0..3)), 0..5);
    (prop::collection::vec(line(), 0..40), edits, prop::sample::select(vec!["\n", "\r\n"]), any::<[bool; 2]>())
        .prop_map(|(old, edits, newline, ends)| {
            let mut new = old.clone();
            for (at, removed, added) in edits {
                let at = at.index(new.len() + 1);
                let end = (at + removed).min(new.len());
                new.splice(at..end, added);
            }
            let text =
                |lines: Vec<&str>, ends| lines.join(newline) + if ends && !lines.is_empty() { newline } else { "" };
            let (old, new) = (text(old, ends[0]), text(new, ends[1]));
            // Without a difference there is no diff.
            if old == new { (old, format!("d{newline}{new}")) } else { (old, new) }
        })
}

fn unified(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header("a/x", "b/x").to_string()
}

proptest! {
    #[test]
    fn the_diff_of_two_texts_turns_one_into_the_other((old, new) in texts()) {
        let changed = apply_all(&[("x", &old)], &unified(&old, &new)).map(|mut changed| changed.remove("x").unwrap());
        prop_assert_eq!(changed, Ok(new));
    }

    #[test]
    fn wrong_counts_change_nothing((old, new) in texts(), counts in any::<[u8; 3]>()) {
        let diff = unified(&old, &new);
        let wrong = diff.split_inclusive('\n').map(|line| match line.strip_prefix("@@ -") {
            Some(header) => {
                let start = header.split([',', ' ']).next().unwrap();
                format!("@@ -{start},{} +{},{} @@\n", counts[0], counts[1], counts[2])
            }
            None => line.to_owned(),
        });
        prop_assert_eq!(apply_all(&[("x", &old)], &wrong.collect::<String>()), apply_all(&[("x", &old)], &diff));
    }

    #[test]
    fn garbage_never_panics(text in "[ab\r\n]{0,20}", diff in "\\PC{0,40}", parts in prop::collection::vec(prop::sample::select(vec![
        "--- a/x\n", "+++ b/x\n", "--- /dev/null\n", "+++ ", "--- ", "@@ -1,2 +3,4 @@\n", "@@ -0 @@", "@@", "\n", "\r\n", "+a\n", "-b\n", " a\n",
        "\\ No newline\n", "diff --git ", "a/x b/x\n", "\u{e9}", "rename from x\n", "Binary files ", " and ", "new file mode ", "\0", "\t",
    ]), 0..20)) {
        let mixed = format!("--- a/x\n+++ b/x\n@@ -1 +1 @@\n{}", parts.concat());
        for diff in [diff, parts.concat(), mixed] {
            let _ = apply_all(&[("x", &text)], &diff);
        }
    }
}
