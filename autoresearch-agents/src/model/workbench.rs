//! The candidate's files in memory, and the tools that a model works on them with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use autoresearch_core::{EditablePaths, FileEdit, Patch, PatchError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Tool;

/// The longest result of a tool, in characters.
const LONGEST: usize = 60_000;
/// So many lines are found at most.
const FOUND: usize = 200;

pub(crate) struct Workbench {
    base: Arc<BTreeMap<String, String>>,
    editable: EditablePaths,
    edits: Vec<FileEdit>,
    /// The files that differ from the base.
    changed: BTreeMap<String, String>,
}

/// What a call of a tool means.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// It is done, and gave this.
    Done(Result<String, String>),
    /// The files are to be checked.
    Check,
    /// The edits are the proposal.
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

impl Workbench {
    pub fn new(base: Arc<BTreeMap<String, String>>, editable: EditablePaths) -> Workbench {
        Workbench { base, editable, edits: Vec::new(), changed: BTreeMap::new() }
    }

    /// The edits so far.
    pub fn patch(&self) -> Patch {
        Patch { edits: self.edits.clone() }
    }

    /// All editable files as they are now.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = (*self.base).clone();
        files.extend(self.changed.clone());
        files
    }

    fn text(&self, path: &str) -> Result<&str, String> {
        let text = self.changed.get(path).or_else(|| self.base.get(path));
        text.map(String::as_str).ok_or_else(|| format!("there is no editable file {path}; `list` names them"))
    }

    /// Does what a call asks for.
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
            // An edit that takes earlier ones back is fine.
            Err(PatchError::Empty) if patch.edits.len() > 1 => BTreeMap::new(),
            Err(error) => return Err(error.to_string()),
        };
        self.edits = patch.edits;
        Ok("done".into())
    }
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| format!("the arguments are not in the form asked for: {error}"))
}

/// The tools.
pub(crate) fn tools(with_check: bool) -> Vec<Tool> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let line = json!({ "type": "integer", "description": "From 1, inclusive." });
    let mut tools = vec![
        Tool {
            name: "read_file",
            description: "Returns a file as it is now, or some of its lines.",
            parameters: object(
                json!({ "path": text("Relative to the root."), "first_line": line, "last_line": line }),
                &["path"],
            ),
        },
        Tool { name: "list", description: "Lists the editable files.", parameters: object(json!({}), &[]) },
        Tool {
            name: "grep",
            description: "Finds the lines that contain a text, literally, in one file or in all.",
            parameters: object(
                json!({ "text": text("What to look for."), "path": text("Only in this file.") }),
                &["text"],
            ),
        },
        Tool {
            name: "edit",
            description: "Edits a file: `replace` takes path, search (which must stand exactly once) and replace; `write` \
                          takes path and text, the whole file; `diff` takes a unified diff.",
            parameters: object(
                json!({
                    "kind": { "type": "string", "enum": ["replace", "write", "diff"] },
                    "path": text("Relative to the root."),
                    "search": text("For `replace`."),
                    "replace": text("For `replace`."),
                    "text": text("For `write`."),
                    "diff": text("For `diff`."),
                }),
                &["kind"],
            ),
        },
        Tool {
            name: "propose",
            description: "Ends the work: everything that was edited is the proposal.",
            parameters: object(
                json!({
                    "description": text("One line: what is changed."),
                    "hypothesis": text("Why it should make the score better."),
                }),
                &["description", "hypothesis"],
            ),
        },
    ];
    if with_check {
        let description = "Checks the files as they are now, for instance with the compiler.";
        tools.push(Tool { name: "check", description, parameters: object(json!({}), &[]) });
    }
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Workbench {
        let files = [("a.rs".to_owned(), "one\ntwo\nthree\n".to_owned())].into();
        Workbench::new(Arc::new(files), EditablePaths::new(["a.rs"]))
    }

    fn done(bench: &mut Workbench, name: &str, arguments: Value) -> Result<String, String> {
        match bench.call(name, arguments) {
            Effect::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tools_see_the_edits() {
        let mut bench = bench();
        assert_eq!(done(&mut bench, "list", json!({})).unwrap(), "a.rs (3 lines)\n");
        let propose = json!({ "description": "d" });
        assert!(done(&mut bench, "propose", propose.clone()).unwrap_err().contains("nothing is changed"));
        let edit = json!({ "kind": "replace", "path": "a.rs", "search": "two", "replace": "2" });
        done(&mut bench, "edit", edit.clone()).unwrap();
        assert!(done(&mut bench, "edit", edit).unwrap_err().contains("nowhere"));
        let lines = json!({ "path": "a.rs", "first_line": 2, "last_line": 2 });
        assert_eq!(done(&mut bench, "read_file", lines).unwrap(), "2\n");
        assert_eq!(done(&mut bench, "grep", json!({ "text": "e" })).unwrap(), "a.rs:1: one\na.rs:3: three\n");
        assert_eq!(
            bench.call("propose", propose),
            Effect::Propose { description: "d".into(), hypothesis: String::new() }
        );
        let back = json!({ "kind": "write", "path": "a.rs", "text": "one\ntwo\nthree\n" });
        done(&mut bench, "edit", back).unwrap();
        assert_eq!(bench.files(), *bench.base);
    }

    #[test]
    fn wrong_calls_are_answered_with_what_is_wrong() {
        let mut bench = bench();
        for (name, arguments, word) in [
            ("rm", json!({}), "no tool `rm`"),
            ("read_file", json!({ "path": "/etc/passwd" }), "no editable file"),
            ("read_file", json!([]), "form asked for"),
            ("edit", json!({ "kind": "write", "path": "../b", "text": "" }), "may not be edited"),
        ] {
            assert!(done(&mut bench, name, arguments).unwrap_err().contains(word), "{name}");
        }
        assert_eq!(
            done(&mut bench, "read_file", json!({ "path": "a.rs", "first_line": 9, "last_line": 0 })).unwrap(),
            ""
        );
    }

    /// Whatever is called: the files are the base with the patch, and no other.
    #[test]
    fn fuzz_of_tools() {
        crate::fuzz::fuzz("tools", |input| {
            let text = String::from_utf8_lossy(input);
            let mut bench = bench();
            for call in format!("\n{text}").split("\n=== ").skip(1) {
                let (name, arguments) = call.split_once('\n').unwrap_or((call, ""));
                let arguments = serde_json::from_str(arguments).unwrap_or(Value::String(arguments.to_owned()));
                bench.call(name.trim(), arguments);
            }
            let mut files = (*bench.base).clone();
            match bench.patch().apply(&bench.base, &bench.editable) {
                Ok(changed) => files.extend(changed),
                Err(PatchError::Empty) => {}
                Err(error) => return Err(format!("the patch cannot be applied: {error}")),
            }
            if files == bench.files() { Ok(()) } else { Err(format!("{:?} by the patch {files:?}", bench.files())) }
        });
    }
}
