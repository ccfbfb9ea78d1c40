//! The answer in a fixed form, as a model writes it in single shot.

use autoresearch_core::{FileEdit, Patch};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab_files::is_of_lab_files;
use crate::text::one_line;

/// Most places of a text that are tried as the beginning of an answer.
const PLACES: usize = 64;
/// Longest description, in characters.
pub(crate) const DESCRIPTION: usize = 200;
/// Longest name of a file or a folder that file systems take, in bytes.
const LONGEST_NAME: usize = 255;
/// Longest hypothesis, in characters.
pub(crate) const HYPOTHESIS: usize = 4000;

/// A proposal as the model writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Answer {
    pub description: String,
    #[serde(default)]
    pub hypothesis: String,
    pub edits: Vec<FileEdit>,
}

impl Answer {
    /// Reads an answer that stands alone, or within other words or a fence where the server does not enforce its form.
    pub fn parse(text: &str) -> Result<Answer, String> {
        let text = text.trim();
        let mut error = match serde_json::from_str::<Answer>(text) {
            Ok(answer) => return Ok(answer.tidy()),
            Err(error) => error.to_string(),
        };
        for (at, _) in text.match_indices('{').take(PLACES) {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
            let Some(Ok(value)) = values.next() else { continue };
            match Answer::deserialize(value) {
                Ok(answer) => return Ok(answer.tidy()),
                // The outermost object is meant.
                Err(why) if at == 0 => error = why.to_string(),
                Err(_) => {}
            }
        }
        Err(format!(
            "the answer is not a JSON object with `description`, `hypothesis` and `edits` in the form asked for: {error}"
        ))
    }

    /// Reads the list of answers of a wave, each by itself: a fault of one does not spoil the others. A single answer is a
    /// list of one.
    pub fn parse_all(text: &str) -> Result<Vec<Result<Answer, String>>, String> {
        let text = text.trim();
        let places = text.match_indices(['{', '[']).take(PLACES).map(|(at, _)| &text[at..]);
        for place in places {
            let mut values = serde_json::Deserializer::from_str(place).into_iter::<Value>();
            let Some(Ok(value)) = values.next() else { continue };
            let is_answer = |value: &Value| value["edits"].is_array();
            let list = match value {
                Value::Object(mut object) if object.get("proposals").is_some_and(Value::is_array) => {
                    object.remove("proposals").and_then(|list| list.as_array().cloned()).unwrap_or_default()
                }
                Value::Array(list) if list.iter().any(is_answer) => list,
                alone if is_answer(&alone) => vec![alone],
                _ => continue,
            };
            if !list.is_empty() {
                let read = |value: Value| {
                    Answer::deserialize(value).map(Answer::tidy).map_err(|e: serde_json::Error| e.to_string())
                };
                return Ok(list.into_iter().map(read).collect());
            }
        }
        Err("the answer is not a JSON object with `proposals`, a list of objects with `description`, `hypothesis` and \
             `edits` in the form asked for"
            .into())
    }

    fn tidy(mut self) -> Answer {
        self.description = one_line(&self.description, DESCRIPTION);
        self.edits.retain(|edit| !is_of_lab_files(edit));
        self
    }

    /// Returns the change.
    pub fn patch(&self) -> Patch {
        Patch { edits: self.edits.clone() }
    }
}

/// Fails if a path of a patch holds a control character or a name that no file system takes, so that the author can mend it.
pub(crate) fn check_paths(patch: &Patch) -> Result<(), String> {
    let paths = patch.edits.iter().filter_map(|edit| edit.paths().ok()).flatten();
    for path in paths {
        if path.chars().any(char::is_control) {
            return Err(format!("The path {path:?} holds a control character; name an editable file."));
        }
        if path.split('/').any(|name| name.len() > LONGEST_NAME) {
            return Err(format!(
                "A name of the path {} is longer than {LONGEST_NAME} bytes.",
                one_line(&path, DESCRIPTION)
            ));
        }
    }
    Ok(())
}

/// Returns the schema of an object with exactly these properties.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Returns the schema of several answers at once.
pub(crate) fn schema_of_several() -> Value {
    object(json!({ "proposals": { "type": "array", "items": schema() } }))
}

/// Returns the schema of an answer, within what both vendors can enforce.
pub(crate) fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let kind = |name: &str| json!({ "type": "string", "enum": [name] });
    let path = text("Relative to the root.");
    object(json!({
        "description": text("One line: what is changed."),
        "hypothesis": text("Why it should make the score better."),
        "edits": { "type": "array", "items": { "anyOf": [
            object(json!({
                "kind": kind("replace"),
                "path": path,
                "search": text("Text that stands exactly once in the file, white space included."),
                "replace": text("What stands there afterwards."),
            })),
            object(json!({ "kind": kind("write"), "path": path, "text": text("The whole file.") })),
            object(json!({ "kind": kind("delete"), "path": path })),
            object(json!({ "kind": kind("diff"), "diff": text("A unified diff with --- a/path and +++ b/path.") })),
        ] } },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &str = r#"{"description":"lower\nLR","hypothesis":"h","edits":[
        {"kind":"replace","path":"a.rs","search":"1","replace":"2"},{"kind":"diff","diff":"d"}]}"#;

    #[test]
    fn an_answer_is_found_in_whatever_stands_around_it() {
        for text in [ANSWER.to_owned(), format!("Sure {{x}}:\n```json\n{ANSWER}\n```\nDone.")] {
            let answer = Answer::parse(&text).unwrap();
            assert_eq!(answer.description, "lower LR");
            assert_eq!(answer.edits.len(), 2);
        }
    }

    #[test]
    fn a_wrong_form_is_told_in_words_that_help() {
        let error = |text: &str| Answer::parse(text).unwrap_err();
        assert!(error("no").contains("`edits`"));
        assert!(error(r#"{"description":"d","edits":[{"kind":"rename"}]}"#).contains("rename"));
        assert!(error(r#"{"description":"d"}"#).contains("missing field `edits`"));
    }

    #[test]
    fn a_path_that_no_file_can_have_is_told_to_the_author() {
        let check = |path: &str| check_paths(&Patch::replace(path, "a", "b"));
        assert_eq!(check("src/ä b.rs"), Ok(()));
        assert!(check("src/x\n/etc/hosts").unwrap_err().contains("control character"));
        assert!(check("src/\0").unwrap_err().contains("control character"));
        assert!(check(&"n".repeat(256)).unwrap_err().contains("255 bytes"));
    }

    #[test]
    fn several_answers_are_read_one_by_one() {
        let two = format!(r#"{{"proposals":[{ANSWER},{{"description":"no edits"}}]}}"#);
        let list = format!("[{ANSWER}]");
        for (text, good, bad) in
            [(&*two, 1, 1), (&format!("Here, {{y}}:\n```json\n{two}\n```"), 1, 1), (&list, 1, 0), (ANSWER, 1, 0)]
        {
            let answers = Answer::parse_all(text).unwrap();
            let count = |good: bool| answers.iter().filter(|answer| answer.is_ok() == good).count();
            assert_eq!((count(true), count(false)), (good, bad), "{text}");
        }
        for text in ["no", r#"{"proposals":[]}"#, "[1, 2]", "{\"proposals\":"] {
            assert!(Answer::parse_all(text).unwrap_err().contains("`proposals`"), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::testing::fuzz_cases()))]
        #[test]
        fn no_text_makes_it_panic(
            text in prop_oneof!["\\PC{0,60}", "(\\{|\\}|\"|\\[|edits|description|:|,|\\\\|é){0,40}"],
            cut in 0..ANSWER.len(),
        ) {
            let _ = (Answer::parse(&text), Answer::parse_all(&text));
            prop_assert!(Answer::parse(&ANSWER[..cut]).is_err());
            let _ = Answer::parse(&format!("{}{text}{}", &ANSWER[..cut], &ANSWER[cut..]));
        }
    }

    /// A sound answer is found again among other words, and whatever is read keeps to one line.
    #[test]
    fn fuzz_of_answers() {
        crate::fuzz::fuzz("answers", |input| {
            let text = String::from_utf8_lossy(input);
            let Ok(answer) = Answer::parse(&text) else { return Ok(()) };
            if answer.description.contains('\n') || answer.description.chars().count() > DESCRIPTION {
                return Err(format!("the description is {:?}", answer.description));
            }
            let alone = text.trim_start().starts_with('{') && serde_json::from_str::<Value>(&text).is_ok();
            let among = Answer::parse(&format!("Here it is:\n```json\n{text}\n```\nDone {{x}}."));
            match among {
                Ok(among) if !alone || among == answer => Ok(()),
                other if alone => Err(format!("among other words it is {other:?}, alone {answer:?}")),
                _ => Ok(()),
            }
        });
    }
}
