//! A draft of a change: the editable files in memory, and the effect of each tool on them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use autoresearch_core::{EditablePaths, FileEdit, Patch};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest result of a tool, in characters.
const LONGEST: usize = 60_000;
/// Most lines that `grep` returns.
const FOUND: usize = 200;

/// Files that a model edits with tools before it proposes.
pub(crate) struct Draft {
    base: Arc<BTreeMap<String, String>>,
    editable: EditablePaths,
    edits: Vec<FileEdit>,
    /// Files that differ from the base; `None` for a removed one.
    changed: BTreeMap<String, Option<String>>,
}

/// Effect of a call of a tool.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// The call is finished with this result.
    Done(Result<String, String>),
    /// The files must be checked.
    Check,
    /// The edits so far are the proposal.
    Propose { description: String, hypothesis: String },
}

#[derive(Deserialize)]
struct ReadFile {
    path: String,
    first_line: Option<usize>,
    last_line: Option<usize>,
}

#[derive(Deserialize)]
struct Grep {
    text: String,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Propose {
    description: String,
    #[serde(default)]
    hypothesis: String,
}

impl Draft {
    pub fn new(base: Arc<BTreeMap<String, String>>, editable: EditablePaths) -> Draft {
        Draft { base, editable, edits: Vec::new(), changed: BTreeMap::new() }
    }

    /// Returns the edits so far.
    pub fn patch(&self) -> Patch {
        Patch { edits: self.edits.clone() }
    }

    /// Returns all editable files as they are now.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = (*self.base).clone();
        for (path, text) in &self.changed {
            match text {
                Some(text) => drop(files.insert(path.clone(), text.clone())),
                None => drop(files.remove(path)),
            }
        }
        files
    }

    fn text(&self, path: &str) -> Result<&str, String> {
        let text = match self.changed.get(path) {
            Some(text) => text.as_deref(),
            None => self.base.get(path).map(String::as_str),
        };
        text.ok_or_else(|| format!("there is no editable file {path}; `list` names them"))
    }

    /// Carries out a call of a tool.
    pub fn call(&mut self, name: &str, arguments: Value) -> Effect {
        let done = match name {
            "read_file" => parse(arguments).and_then(|ReadFile { path, first_line, last_line }| {
                let text = self.text(&path)?;
                let (first, last) = (first_line.unwrap_or(1).max(1), last_line.unwrap_or(usize::MAX));
                let lines =
                    text.split_inclusive('\n').skip(first - 1).take((last.saturating_add(1)).saturating_sub(first));
                Ok(lines.collect())
            }),
            "list" => Ok(self.files().iter().fold(String::new(), |mut list, (path, text)| {
                let _ = writeln!(list, "{path} ({} lines)", text.lines().count());
                list
            })),
            "grep" => parse(arguments).map(|grep: Grep| self.grep(&grep)),
            "edit" => parse(arguments).and_then(|edit| self.edit(edit)),
            "check" => return Effect::Check,
            "propose" => match parse(arguments) {
                Ok(_) if self.changed.is_empty() => Err("nothing is changed yet; edit the files first".into()),
                Ok(Propose { description, hypothesis }) => return Effect::Propose { description, hypothesis },
                Err(why) => Err(why),
            },
            other => Err(format!("there is no tool `{other}`")),
        };
        Effect::Done(done.map(|text: String| match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}\n[… cut; ask for a part]", &text[..end]),
            None => text,
        }))
    }

    fn grep(&self, grep: &Grep) -> String {
        let files = self.files();
        let wanted = files.iter().filter(|(path, _)| grep.path.as_ref().is_none_or(|wanted| *wanted == **path));
        let lines = wanted.flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path, at, line)));
        let mut found = String::new();
        for (path, at, line) in lines.filter(|(_, _, line)| line.contains(&grep.text)).take(FOUND) {
            let _ = writeln!(found, "{path}:{}: {line}", at + 1);
        }
        if found.is_empty() { "no line contains it".into() } else { found }
    }

    fn edit(&mut self, edit: FileEdit) -> Result<String, String> {
        let mut edits = self.edits.clone();
        edits.push(edit);
        let patch = Patch { edits };
        self.changed = match patch.apply(&self.base, &self.editable) {
            Ok(changed) => changed,
            // Later edits may undo earlier ones.
            Err(error) if error.changes_nothing() && patch.edits.len() > 1 => BTreeMap::new(),
            Err(error) => return Err(error.to_string()),
        };
        self.edits = patch.edits;
        Ok("done".into())
    }
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| format!("the arguments are not in the form asked for: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft() -> Draft {
        let files = [("a.rs".to_owned(), "one\ntwo\nthree\n".to_owned())].into();
        Draft::new(Arc::new(files), EditablePaths::new(["a.rs"]))
    }

    fn done(draft: &mut Draft, name: &str, arguments: Value) -> Result<String, String> {
        match draft.call(name, arguments) {
            Effect::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tools_see_the_edits() {
        let mut draft = draft();
        assert_eq!(done(&mut draft, "list", json!({})).unwrap(), "a.rs (3 lines)\n");
        let propose = json!({ "description": "d" });
        assert!(done(&mut draft, "propose", propose.clone()).unwrap_err().contains("nothing is changed"));
        let edit = json!({ "kind": "replace", "path": "a.rs", "search": "two", "replace": "2" });
        done(&mut draft, "edit", edit.clone()).unwrap();
        assert!(done(&mut draft, "edit", edit).unwrap_err().contains("nowhere"));
        let lines = json!({ "path": "a.rs", "first_line": 2, "last_line": 2 });
        assert_eq!(done(&mut draft, "read_file", lines).unwrap(), "2\n");
        assert_eq!(done(&mut draft, "grep", json!({ "text": "e" })).unwrap(), "a.rs:1: one\na.rs:3: three\n");
        assert_eq!(
            draft.call("propose", propose),
            Effect::Propose { description: "d".into(), hypothesis: String::new() }
        );
        let back = json!({ "kind": "write", "path": "a.rs", "text": "one\ntwo\nthree\n" });
        done(&mut draft, "edit", back).unwrap();
        assert_eq!(draft.files(), *draft.base);
    }

    #[test]
    fn a_file_can_be_removed_with_a_tool() {
        let mut draft = draft();
        done(&mut draft, "edit", json!({ "kind": "delete", "path": "a.rs" })).unwrap();
        assert_eq!(done(&mut draft, "list", json!({})).unwrap(), "");
        assert!(done(&mut draft, "read_file", json!({ "path": "a.rs" })).unwrap_err().contains("no editable file"));
        assert!(draft.files().is_empty());
    }

    #[test]
    fn wrong_calls_are_answered_with_what_is_wrong() {
        let mut draft = draft();
        for (name, arguments, word) in [
            ("rm", json!({}), "no tool `rm`"),
            ("read_file", json!({ "path": "/etc/passwd" }), "no editable file"),
            ("read_file", json!([]), "form asked for"),
            ("edit", json!({ "kind": "write", "path": "../b", "text": "" }), "leaves its folder"),
        ] {
            assert!(done(&mut draft, name, arguments).unwrap_err().contains(word), "{name}");
        }
        assert_eq!(
            done(&mut draft, "read_file", json!({ "path": "a.rs", "first_line": 9, "last_line": 0 })).unwrap(),
            ""
        );
    }

    /// After any calls the files are the base with the patch.
    #[test]
    fn fuzz_of_tools() {
        crate::fuzz::fuzz("tools", |input| {
            let text = String::from_utf8_lossy(input);
            let mut draft = draft();
            for call in format!("\n{text}").split("\n=== ").skip(1) {
                let (name, arguments) = call.split_once('\n').unwrap_or((call, ""));
                let arguments = serde_json::from_str(arguments).unwrap_or(Value::String(arguments.to_owned()));
                draft.call(name.trim(), arguments);
            }
            let files = match draft.patch().applied_to(&draft.base, &draft.editable) {
                Ok(files) => files,
                Err(error) if error.changes_nothing() => (*draft.base).clone(),
                Err(error) => return Err(format!("the patch cannot be applied: {error}")),
            };
            if files == draft.files() { Ok(()) } else { Err(format!("{:?} by the patch {files:?}", draft.files())) }
        });
    }
}
