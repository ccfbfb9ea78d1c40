//! The editable paths, held against the commit.

use autoresearch_core::EditablePaths;

use super::subject::{Finding, Subject};

const NAME: &str = "editable";

/// Every editable path should match a file: one that does not is a slip, or a file that is yet to be made.
pub fn editable(subject: &Subject<'_>) -> Vec<Finding> {
    let files = &subject.files;
    let matches = |path: &String| {
        let one = EditablePaths::new([path]);
        files.keys().any(|file| one.allows(file))
    };
    let paths = &subject.session.config.editable_paths;
    let missing: Vec<&String> = paths.iter().filter(|path| !matches(path)).collect();
    if missing.len() == paths.len() {
        let names: Vec<&str> = files.keys().map(String::as_str).take(10).collect();
        let why = format!(
            "matches no file of the commit that the run starts from ({}); it has: {}{}. Name files, or folders as \"src/**\" and patterns as \"src/*.py\"",
            paths.join(", "),
            names.join(", "),
            if files.len() > names.len() { ", …" } else { "" }
        );
        return vec![subject.wrong(NAME, "editable", why)];
    }
    if missing.is_empty() {
        let editable = subject.session.config.editable();
        let count = files.keys().filter(|file| editable.allows(file)).count();
        return vec![Finding::fine(NAME, format!("{} ({count} files)", paths.join(", ")))];
    }
    let warn = |path: &String| format!("editable: `{path}` matches no committed file; a proposal may make it");
    missing.into_iter().map(|path| Finding::warning(NAME, warn(path))).collect()
}
