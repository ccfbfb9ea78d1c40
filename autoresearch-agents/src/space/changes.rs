//! Changes of constants by patches.

use std::collections::BTreeMap;

use autoresearch_core::{FileEdit, Patch};

use crate::constants::Constant;

/// Changes of constants by one patch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Literals by name: the former one, where the patch shows it, and the new one.
    pub constants: BTreeMap<String, (Option<String>, String)>,
    /// True if the patch changes something else, too.
    pub others: bool,
}

/// Returns the changes of constants that the text of a patch shows. `files` are the present ones, which help with edits that
/// show only a part of a line.
pub(crate) fn changes(patch: &Patch, files: &BTreeMap<String, String>) -> Changes {
    let mut changes = Changes::default();
    for edit in &patch.edits {
        match edit {
            FileEdit::Replace { path, search, replace } => {
                let whole = files.get(path).and_then(|text| whole_lines(text, search, replace));
                let (old, new) = whole.unwrap_or_else(|| (search.clone(), replace.clone()));
                changes.compare(old.lines(), new.lines(), true);
            }
            FileEdit::Write { path, text } => {
                let today = files.get(path).map(String::as_str).unwrap_or_default();
                changes.compare(today.lines(), text.lines(), false);
            }
            FileEdit::Delete { .. } => changes.others = true,
            FileEdit::Diff { diff } => {
                let side = |sign: char, header: &'static str| {
                    diff.lines().filter(move |line| !line.starts_with(header)).filter_map(move |l| l.strip_prefix(sign))
                };
                changes.compare(side('-', "--- "), side('+', "+++ "), true);
            }
        }
    }
    changes
}

impl Changes {
    /// Adds the difference between lines. If `shown` is false, the old lines are not those that the patch replaced.
    fn compare<'t>(&mut self, old: impl Iterator<Item = &'t str>, new: impl Iterator<Item = &'t str>, shown: bool) {
        let split = |lines: &mut dyn Iterator<Item = &'t str>| {
            let (mut constants, mut skeleton) = (BTreeMap::new(), Vec::new());
            for line in lines {
                match Constant::parse(line) {
                    Some(constant) => {
                        skeleton.push(constant.name);
                        constants.insert(constant.name, constant.value);
                    }
                    None => skeleton.push(line.trim_end()),
                }
            }
            (constants, skeleton)
        };
        let (old, before) = split(&mut { old });
        let (new, after) = split(&mut { new });
        self.others |= before != after;
        for (name, value) in new {
            let was = old.get(name).filter(|_| shown).map(|was| (*was).to_owned());
            if was.as_deref() != Some(value) {
                // Of two edits of one constant the first shows the former literal.
                let was = self.constants.remove(name).map_or(was, |(was, _)| was);
                self.constants.insert(name.to_owned(), (was, value.to_owned()));
            }
        }
    }
}

/// Returns both sides of a replacement as whole lines, if either of them occurs in the text exactly once.
fn whole_lines(text: &str, search: &str, replace: &str) -> Option<(String, String)> {
    let is_whole = |part: &str| part.lines().all(|line| Constant::parse(line).is_some());
    if is_whole(search) && is_whole(replace) {
        return None;
    }
    let part = [search, replace].into_iter().find(|part| !part.is_empty() && text.matches(*part).count() == 1)?;
    let (before, after) = text.split_once(part)?;
    let before = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    let after = after.split_once('\n').map_or(after, |(line, _)| line);
    Some((format!("{before}{search}{after}"), format!("{before}{replace}{after}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use x;\nconst LR: f64 = 0.04; // knob: log 0.01..0.1\nconst DEPTH: i64 = 8; // knob: int 1..16\nfn f() { g(1) }\n";

    fn seen(edit: FileEdit) -> (Vec<(String, Option<String>, String)>, bool) {
        let files = [("a.rs".to_owned(), SOURCE.to_owned())].into();
        let changes = changes(&Patch { edits: vec![edit] }, &files);
        (changes.constants.into_iter().map(|(name, (old, new))| (name, old, new)).collect(), changes.others)
    }

    fn replace(search: &str, replace: &str) -> FileEdit {
        FileEdit::Replace { path: "a.rs".into(), search: search.into(), replace: replace.into() }
    }

    #[test]
    fn constants_are_read_from_every_kind_of_edit() {
        let lr = |old: Option<&str>| vec![("LR".to_owned(), old.map(str::to_owned), "0.02".to_owned())];
        let line = "const LR: f64 = 0.04; // knob: log 0.01..0.1";
        assert_eq!(seen(replace(line, &line.replace("0.04", "0.02"))), (lr(Some("0.04")), false));
        assert_eq!(seen(replace("= 0.04", "= 0.02")), (lr(Some("0.04")), false), "a part of a line");
        assert!(seen(replace("use x;\nconst LR: f64 = 0.04;", "use y;\nconst LR: f64 = 0.02;")).1);
        let diff = "--- a/a.rs\n+++ b/a.rs\n@@ -2 +2 @@\n-const LR: f64 = 0.04;\n+const LR: f64 = 0.02;\n const DEPTH: i64 = 8;\n";
        assert_eq!(seen(FileEdit::Diff { diff: diff.into() }), (lr(Some("0.04")), false));
        let (constants, others) = seen(FileEdit::Write { path: "a.rs".into(), text: SOURCE.replace("0.04", "0.02") });
        assert_eq!((constants.last(), others), (lr(None).last(), false), "what stood there is not known");
        assert_eq!(seen(replace("g(1)", "g(2)")), (vec![], true));
    }
}
