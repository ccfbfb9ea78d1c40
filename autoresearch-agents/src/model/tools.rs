//! Tools that a model works on a draft with, as both vendors are told of them.

use serde_json::{Value, json};

use super::conversation::Tool;

/// Returns the tools, with `check` if there is one.
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
                          takes path and text, the whole file; `delete` takes path; `diff` takes a unified diff.",
            parameters: object(
                json!({
                    "kind": { "type": "string", "enum": ["replace", "write", "delete", "diff"] },
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
            description: "Ends the conversation: all edits together are the proposal.",
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
