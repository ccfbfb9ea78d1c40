//! The end of an agent's session: its message, its failure, its denied steps, and its account of the cost.

use serde::Deserialize;
use serde_json::Value;

use super::description::DescriptionPattern;
use super::usage::read;
use crate::model::Usage;
use crate::text::{clean, end_of, one_line};

/// Longest description and hypothesis, in characters.
const DESCRIPTION: usize = 200;
const HYPOTHESIS: usize = 1000;
/// Most opening braces of a message that are tried as the beginning of the JSON object.
const BRACES: usize = 64;

/// Words of an agent that never reached the server of its model, in lower case.
const AWAY: [&str; 20] = [
    "connection error",
    "connection refused",
    "connection reset",
    "unable to connect",
    "could not connect",
    "error sending request",
    "stream disconnected",
    "fetch failed",
    "getaddrinfo",
    "resolve host",
    "name resolution",
    "network is unreachable",
    "no route to host",
    "econnrefused",
    "econnreset",
    "enotfound",
    "eai_again",
    "enetunreach",
    "etimedout",
    "overloaded",
];

/// An agent's own account of its work.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// Last message of the agent.
    pub message: String,
    /// Reason for its failure, by its own account; an exit code of 0 does not rule one out.
    pub failure: Option<String>,
    /// Steps that it was not allowed to take.
    pub denied: Vec<String>,
    /// Tokens by its own count.
    pub usage: Usage,
    /// US dollars by its own count, if it counts them.
    pub dollars: Option<f64>,
}

impl Answer {
    /// True if the agent failed because its model's server was out of reach, by its own words.
    pub fn blames_network(&self) -> bool {
        let failure = self.failure.as_deref().unwrap_or_default().to_lowercase();
        AWAY.iter().any(|words| failure.contains(words))
    }
}

/// Reads the result that Claude Code prints as one line of its output.
pub(super) fn claude_code(output: &str) -> Answer {
    let results = output.lines().rev().filter_map(|line| line.find('{').map(|at| &line[at..]));
    let mut results = results.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let Some(result) = results.find(|value| value["type"] == "result") else {
        return Answer { failure: Some(format!("it printed no result: {}", end_of(output))), ..Answer::default() };
    };
    let message = result["result"].as_str().unwrap_or_default().to_owned();
    let subtype = result["subtype"].as_str().unwrap_or_default();
    // The subtype of an API error is `success`: only `is_error` tells. Running out of turns has a subtype of its own.
    let failed = result["is_error"] == true || !matches!(subtype, "success" | "");
    let failure = failed.then(|| if message.is_empty() { subtype.to_owned() } else { end_of(&message) });
    let denied = result["permission_denials"].as_array().into_iter().flatten().map(|denial| {
        let of = ["file_path", "command"].map(|name| denial["tool_input"][name].as_str().unwrap_or_default());
        format!("{} {}", denial["tool_name"].as_str().unwrap_or("a tool"), of.concat()).trim().to_owned()
    });
    Answer {
        denied: denied.collect(),
        failure,
        usage: read(&result["usage"]),
        dollars: result["total_cost_usd"].as_f64(),
        message,
    }
}

/// Reads the events that Codex prints, one a line. `last` is the file with its last message.
pub(super) fn codex(output: &str, last: Option<String>) -> Answer {
    let mut answer = Answer::default();
    let (mut completed, mut complaint) = (false, None);
    for event in output.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok()) {
        let item = &event["item"];
        match event["type"].as_str().unwrap_or_default() {
            "item.completed" if item["type"] == "agent_message" => {
                answer.message = item["text"].as_str().unwrap_or_default().to_owned();
            }
            "item.completed" if matches!(item["status"].as_str(), Some("failed" | "declined")) => {
                let what = item["type"].as_str().unwrap_or("a step");
                answer.denied.push(format!("{what} {}", item["status"].as_str().unwrap_or_default()));
            }
            "turn.completed" => {
                completed = true;
                answer.usage = answer.usage.plus(read(&event["usage"]));
            }
            "turn.failed" => {
                let message = event["error"]["message"].as_str().unwrap_or("its turn failed");
                answer.failure = Some(end_of(message));
            }
            // Not the end yet: every failed connection is reported like this.
            "error" => complaint = event["message"].as_str().map(end_of),
            _ => {}
        }
    }
    if !completed && answer.failure.is_none() {
        let why = complaint.unwrap_or_else(|| end_of(output));
        answer.failure = Some(format!("it did not complete its turn: {why}"));
    }
    if answer.message.is_empty() {
        answer.message = last.unwrap_or_default();
    }
    answer
}

/// Reads a plain agent, whose output is its message.
pub(super) fn plain(output: &str) -> Answer {
    Answer { message: output.trim().to_owned(), ..Answer::default() }
}

#[derive(Deserialize)]
struct Closing {
    description: String,
    #[serde(default)]
    hypothesis: String,
}

/// Returns the description and the hypothesis of a change out of the agent's message.
///
/// A pattern chooses the description if there is one and it matches. Else it is in the JSON object that the prompt asks for,
/// else in the last line of a plain output, whose first lines are mostly a banner, or in the first line of a message.
pub(super) fn describe_change(
    message: &str,
    is_plain_output: bool,
    pattern: Option<&DescriptionPattern>,
) -> (String, String) {
    let message = clean(message);
    let closing = message.rmatch_indices('{').take(BRACES).find_map(|(at, _)| {
        let mut objects = serde_json::Deserializer::from_str(message.get(at..)?).into_iter::<Closing>();
        objects.next()?.ok().filter(|closing| !closing.description.trim().is_empty())
    });
    let chosen = pattern.and_then(|pattern| pattern.choose(&message));
    let hypothesis = closing.as_ref().map(|closing| one_line(&closing.hypothesis, HYPOTHESIS));
    match (chosen, closing) {
        (Some(chosen), _) if !chosen.trim().is_empty() => {
            return (one_line(chosen, DESCRIPTION), hypothesis.unwrap_or_default());
        }
        (_, Some(closing)) => return (one_line(&closing.description, DESCRIPTION), hypothesis.unwrap_or_default()),
        _ => {}
    }
    let lines = message.lines().map(|line| line.trim().trim_start_matches(['#', '*', '-', ' ']));
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("```"));
    if is_plain_output {
        return (one_line(lines.next_back().unwrap_or_default(), DESCRIPTION), String::new());
    }
    let first = lines.next().unwrap_or_default();
    (one_line(first, DESCRIPTION), one_line(&lines.collect::<Vec<_>>().join(" "), HYPOTHESIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(message: &str) -> (String, String) {
        describe_change(message, false, None)
    }

    #[test]
    fn the_closing_object_names_the_idea() {
        let both = ("halve the rate".to_owned(), "it overshoots {x}".to_owned());
        for message in [
            "I did it.\n{\"description\": \"halve the rate\", \"hypothesis\": \"it overshoots {x}\"}",
            "```json\n{\n  \"description\": \"halve  the\\nrate\",\n  \"hypothesis\": \"it overshoots {x}\"\n}\n```\nDone.",
        ] {
            assert_eq!(describe(message), both, "{message}");
        }
        assert_eq!(describe("\n## Halved LR\nIt overshot.\n"), ("Halved LR".into(), "It overshot.".into()));
        let plain = |output: &str| describe_change(output, true, None).0;
        assert_eq!(plain("MyAgent v1.2 - model x\nApplied edit to value.txt\n\n"), "Applied edit to value.txt");
        assert_eq!(plain("a banner\n{\"description\": \"lower it\"}\nTokens: 9"), "lower it");
        assert_eq!(describe("fn main() { }").0, "fn main() { }");
        assert_eq!(describe(""), (String::new(), String::new()));
    }

    #[test]
    fn a_pattern_chooses_the_description() {
        let chosen = |pattern: &str| {
            let pattern = pattern.parse().unwrap();
            let output =
                "v1\nCommit: first\nCommit: lower \u{1b}[1mit\u{1b}[0m\n{\"description\":\"d\",\"hypothesis\":\"h\"}";
            describe_change(output, true, Some(&pattern))
        };
        assert_eq!(chosen("(?m)^Commit: (.*)$"), ("lower it".to_owned(), "h".to_owned()));
        assert_eq!(chosen("lower").0, "lower", "the whole match");
        assert_eq!(chosen("no such text").0, "d");
    }

    #[test]
    fn control_characters_of_a_message_are_replaced() {
        for (message, description) in [
            ("\u{1b}[31mlower\u{1b}[0m it", "lower it"),
            ("lower\0it", "lower it"),
            ("{\"description\": \"lower\\u0000it\"}", "lower it"),
            ("a\tb \u{202e}evil", "a b evil"),
        ] {
            assert_eq!(describe_change(message, true, None).0, description, "{message:?}");
        }
    }

    #[test]
    fn an_error_behind_success_is_an_error() {
        let line = r#"warning: x
{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529 overloaded","total_cost_usd":0.5}"#;
        let answer = claude_code(line);
        assert_eq!(answer.failure.as_deref(), Some("API Error: 529 overloaded"));
        assert_eq!(answer.dollars, Some(0.5));
        assert!(claude_code(r#"{"type":"result","subtype":"error_max_turns","is_error":false}"#).failure.is_some());
        assert!(claude_code("Terminated").failure.unwrap().contains("no result: Terminated"));
    }

    #[test]
    fn denials_are_named() {
        let line = r#"{"type":"result","subtype":"success","is_error":false,"result":"I could not.","usage":{"input_tokens":3},
"permission_denials":[{"tool_name":"Edit","tool_input":{"file_path":"/w/a"}},{"tool_name":"Bash","tool_input":{"command":"ls"}}]}"#
            .replace('\n', "");
        let answer = claude_code(&line);
        assert_eq!(answer.denied, ["Edit /w/a", "Bash ls"]);
        assert_eq!((answer.failure, answer.usage.input), (None, 3));
    }

    #[test]
    fn a_turn_of_codex_counts_only_when_it_is_completed() {
        let failed = "{\"type\":\"turn.started\"}\n{\"type\":\"turn.failed\",\"error\":{\"message\":\"no quota\"}}\n";
        assert_eq!(codex(failed, None).failure.as_deref(), Some("no quota"));
        let waiting = "{\"type\":\"error\",\"message\":\"Reconnecting\"}\n";
        assert!(codex(waiting, None).failure.unwrap().ends_with("Reconnecting"));
        let done = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"ok\"}}\n\
            {\"type\":\"item.completed\",\"item\":{\"type\":\"file_change\",\"status\":\"failed\"}}\n\
            {\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":10,\"cached_input_tokens\":4,\"output_tokens\":2}}\n";
        let answer = codex(done, Some("other".into()));
        assert_eq!((answer.message.as_str(), answer.failure), ("ok", None));
        assert_eq!(answer.usage, Usage { input: 6, cache_read: 4, output: 2, ..Usage::default() });
        assert_eq!(answer.denied, ["file_change failed"]);
    }

    #[test]
    fn fuzz_of_agents() {
        crate::fuzz::fuzz("agents", |input| {
            let output = String::from_utf8_lossy(input);
            for answer in [claude_code(&output), codex(&output, None), plain(&output)] {
                let (description, hypothesis) = describe(&answer.message);
                let long = description.chars().count() > DESCRIPTION || hypothesis.chars().count() > HYPOTHESIS;
                if long || description.contains('\n') || hypothesis.contains('\n') {
                    return Err(format!("it is described as {description:?}, since {hypothesis:?}"));
                }
                let _ = answer.usage.total();
            }
            Ok(())
        });
    }
}
