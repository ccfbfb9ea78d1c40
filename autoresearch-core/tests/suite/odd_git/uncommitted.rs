//! The user's changes that no commit has: those that git itself would name.

use super::*;

#[test]
fn what_is_uncommitted_is_what_git_says() {
    let fixture = Fixture::new();
    let write = |path: &str, content: &str| std::fs::write(fixture.repo().join(path), content).unwrap();
    let touch = |path: &str| {
        let later = std::time::SystemTime::now() + Duration::from_secs(60);
        std::fs::File::options().write(true).open(fixture.repo().join(path)).unwrap().set_modified(later).unwrap();
    };
    let uncommitted = || Lineage::open(&fixture.repo(), "t").unwrap().uncommitted().unwrap();
    // As git-lfs does: what is stored is not what lies there.
    let canary = fixture.repo().join("canary");
    fixture.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    fixture.git(&["config", "filter.up.smudge", "tr A-Z a-z"]);
    write(".gitattributes", "*.dat filter=up\n*.txt text eol=crlf\n");
    write("big.dat", "hello\n");
    write("lines.txt", "one\r\ntwo\r\n");
    write("name with a\nbreak", "x");
    fixture.commit();
    let index = || std::fs::read(fixture.repo().join(".git/index")).unwrap();
    for path in ["big.dat", "lines.txt", "value"] {
        touch(path);
    }
    let before = index();
    assert_eq!(uncommitted(), [""; 0]);
    assert_eq!(index(), before, "the user's index is not written");
    write("lines.txt", "one\r\n");
    std::fs::remove_file(fixture.repo().join("name with a\nbreak")).unwrap();
    assert_eq!(uncommitted(), ["lines.txt", "name with a\nbreak"]);
    // What is only in the index is no commit either.
    fixture.git(&["checkout", "-q", "."]);
    write("value", "score: 6\n");
    fixture.git(&["add", "value"]);
    assert_eq!(uncommitted(), ["value"]);
    // No filter is started: a run over its files is refused anyway.
    fixture.git(&["config", "filter.up.clean", &format!("touch {}", canary.display())]);
    fixture.git(&["config", "filter.up.required", "true"]);
    write("big.dat", "other\n");
    assert_eq!(uncommitted(), ["value"]);
    assert!(!canary.exists());
}

#[tokio::test]
async fn an_index_that_is_split_or_sparse_is_read() {
    for arguments in [
        &["update-index", "--split-index"][..],
        &["sparse-checkout", "set", "--cone", "--sparse-index", "kept"],
        &["sparse-checkout", "set", "--no-cone", "/value", "/kept/"],
    ] {
        let fixture = Fixture::new();
        for folder in ["kept", "other"] {
            std::fs::create_dir(fixture.repo().join(folder)).unwrap();
            std::fs::write(fixture.repo().join(folder).join("file"), "text\n").unwrap();
        }
        fixture.commit();
        fixture.git(arguments);
        let sandbox = fixture.sandbox("cat other/file; cat value");
        assert_eq!(sandbox.uncommitted().unwrap(), [""; 0], "{arguments:?}");
        let baseline = sandbox.baseline().await.unwrap();
        let outcome = sandbox.run(&baseline, &trial(1), &Cancel::new()).await.unwrap();
        assert_eq!(outcome.log().tail, "text\nscore: 5\n", "{arguments:?}: a candidate has all files of the commit");
        std::fs::write(fixture.repo().join("kept/file"), "changed\n").unwrap();
        assert_eq!(sandbox.uncommitted().unwrap(), ["kept/file"], "{arguments:?}");
    }
}
