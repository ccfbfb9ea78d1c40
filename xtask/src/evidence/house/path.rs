//! The table "The path of one experiment" of ARCHITECTURE.md, checked against the code.

use std::collections::BTreeSet;
use std::path::Path;

use super::crates::read;
use super::tokens::{Token, tokens};

const HEADING: &str = "The path of one experiment";

/// The number of functions and of files of the path, and all that is wrong with it.
pub struct PathOfExperiment {
    pub functions: usize,
    pub files: usize,
    pub wrong: Vec<String>,
}

/// Checks each row: the function is defined in the file, and is called by a function of an earlier row or calls one, perhaps with
/// one function between them, which the row's text names. The first row asks the proposer and the last one adopts.
pub fn path(root: &Path) -> Result<PathOfExperiment, String> {
    let place = ["ARCHITECTURE.md", "docs/ARCHITECTURE.md", "docs/architecture.md"];
    let page = place.iter().map(|name| root.join(name)).find(|path| path.exists());
    let rows = rows(&read(&page.ok_or("there is no ARCHITECTURE.md")?)?)?;
    let mut wrong = Vec::new();
    // The names by which a row is called, and what it calls.
    let mut earlier: Vec<(Vec<&str>, Vec<Token>)> = Vec::new();
    for Row { function, file, between } in &rows {
        let name = function.rsplit(['.', ':']).next().unwrap_or(function);
        let paths =
            [root.join(file), root.join("autoresearch-core/src").join(file), root.join("autoresearch-core").join(file)];
        let Some(path) = paths.iter().find(|path| path.is_file()) else {
            wrong.push(format!("there is no file {file}"));
            continue;
        };
        let source = tokens(&read(path)?);
        if !source.windows(2).any(|pair| pair[0].is_word("fn") && pair[1].is_word(name)) {
            wrong.push(format!("{file} defines no `fn {name}`"));
            continue;
        }
        let body = body(&source, name);
        let mut called = vec![name];
        called.extend(between.iter().map(String::as_str).filter(|between| names(&self::body(&source, between), name)));
        let linked = earlier.iter().any(|(others, calls)| {
            called.iter().any(|name| names(calls, name)) || others.iter().any(|other| names(&body, other))
        });
        if !earlier.is_empty() && !linked {
            wrong.push(format!("{function} is called by no function of an earlier row, and calls none"));
        }
        for (row, call) in [(rows.first(), "propose_wave"), (rows.last(), "adopt")] {
            if row.is_some_and(|row| row.function == *function) && !names(&body, call) {
                wrong.push(format!("{function} stands at an end of the path and does not call `{call}`"));
            }
        }
        earlier.push((called, body));
    }
    let files: BTreeSet<&String> = rows.iter().map(|row| &row.file).collect();
    Ok(PathOfExperiment { functions: rows.len(), files: files.len(), wrong })
}

/// A row of the table: the function, its file, and the functions that its text names.
#[derive(Debug, PartialEq)]
struct Row {
    function: String,
    file: String,
    between: Vec<String>,
}

/// The rows of the table below the heading.
fn rows(page: &str) -> Result<Vec<Row>, String> {
    let below = page.lines().skip_while(|line| !(line.starts_with('#') && line.contains(HEADING))).skip(1);
    let lines = below.take_while(|line| !line.starts_with('#')).filter(|line| line.trim_start().starts_with('|'));
    let rows: Vec<Row> = lines.skip(2).filter_map(row).collect();
    if rows.is_empty() {
        return Err(format!("ARCHITECTURE.md has no table below the heading \"{HEADING}\""));
    }
    Ok(rows)
}

/// The function and the file of a row, which are its first two cells in backquotes, and the other words in backquotes.
fn row(line: &str) -> Option<Row> {
    let quoted = || line.split('`').skip(1).step_by(2);
    let file = quoted().find(|text| text.ends_with(".rs"))?;
    let mut functions = quoted().filter(|text| !text.ends_with(".rs"));
    let function = functions.next()?;
    Some(Row {
        function: function.split('(').next().unwrap_or(function).to_owned(),
        file: file.to_owned(),
        between: functions.map(str::to_owned).collect(),
    })
}

/// The tokens within the bodies of all functions of this name.
fn body(source: &[Token], name: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (at, pair) in source.windows(2).enumerate() {
        if !(pair[0].is_word("fn") && pair[1].is_word(name)) {
            continue;
        }
        let (mut depth, mut brackets) = (0, 0);
        for token in &source[at..] {
            match token {
                _ if token.is_mark('(') || token.is_mark('[') => brackets += 1,
                _ if token.is_mark(')') || token.is_mark(']') => brackets -= 1,
                // A method of a trait may have no body.
                _ if token.is_mark(';') && depth == 0 && brackets == 0 => break,
                // Braces between brackets of the signature are those of a pattern.
                _ if token.is_mark('{') && (depth > 0 || brackets == 0) => depth += 1,
                _ if token.is_mark('}') && depth == 0 => {}
                _ if token.is_mark('}') => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
            if depth > 0 {
                tokens.push(token.clone());
            }
        }
    }
    tokens
}

/// True when the tokens name a function.
fn names(tokens: &[Token], function: &str) -> bool {
    tokens.iter().any(|token| token.is_word(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Map\n\n## The path of one experiment\n\ntext\n\n| function | file | what |\n|---|---|---|\n\
        | `ask(…)` | `ask.rs` | started by `request` |\n| `Lab::run` | `lab.rs` | the loop |\n\n## Next\n| `a` | `b.rs` |\n";

    #[test]
    fn rows_are_those_below_the_heading() {
        let row = |function: &str, file: &str, between: &[&str]| Row {
            function: function.into(),
            file: file.into(),
            between: between.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(rows(PAGE).unwrap(), [row("ask", "ask.rs", &["request"]), row("Lab::run", "lab.rs", &[])]);
        assert!(rows("# Map").is_err());
    }

    #[test]
    fn a_row_without_a_link_to_an_earlier_one_is_wrong_and_so_is_one_that_leaves_out_an_end() {
        let root = std::env::temp_dir().join(format!("xtask-path-{}", std::process::id()));
        let src = root.join("autoresearch-core/src");
        std::fs::create_dir_all(&src).unwrap();
        std::fs::write(root.join("ARCHITECTURE.md"), PAGE).unwrap();
        let ask = "fn ask<T>(Answer { asked }: Answer, a: [u8; 2]) { propose_wave() } fn request() { ask(1) }";
        for (ask, run, wrong) in [
            (ask, "request(); adopt()", 0),
            (ask, "ask(1); adopt()", 0),
            (ask, "other(); adopt()", 1),
            (ask, "request()", 1),
            (&ask.replace("propose_wave", "guess"), "request(); adopt()", 1),
            (&ask.replace("ask(1)", "guess(1)"), "request(); adopt()", 1),
        ] {
            std::fs::write(src.join("ask.rs"), ask).unwrap();
            let lab = format!("impl Lab {{ fn run(&self) -> u8 {{ {run} }} fn other() {{ request() }} }}");
            std::fs::write(src.join("lab.rs"), lab).unwrap();
            let found = path(&root).unwrap();
            assert_eq!((found.functions, found.files, found.wrong.len()), (2, 2, wrong), "{run}: {:?}", found.wrong);
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
