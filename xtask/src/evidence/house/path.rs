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

/// Checks each row: the function is defined in the file, and is called by a function of an earlier row or calls one.
pub fn path(root: &Path) -> Result<PathOfExperiment, String> {
    let place = ["ARCHITECTURE.md", "docs/ARCHITECTURE.md", "docs/architecture.md"];
    let page = place.iter().map(|name| root.join(name)).find(|path| path.exists());
    let rows = rows(&read(&page.ok_or("there is no ARCHITECTURE.md")?)?)?;
    let mut wrong = Vec::new();
    let mut earlier: Vec<(&str, Vec<Token>)> = Vec::new();
    for (function, file) in &rows {
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
        let linked = earlier.iter().any(|(other, calls)| names(calls, name) || names(&body, other));
        if !earlier.is_empty() && !linked {
            wrong.push(format!("{function} is called by no function of an earlier row, and calls none"));
        }
        earlier.push((name, body));
    }
    let files: BTreeSet<&String> = rows.iter().map(|(_, file)| file).collect();
    Ok(PathOfExperiment { functions: rows.len(), files: files.len(), wrong })
}

/// The rows of the table below the heading: function and file.
fn rows(page: &str) -> Result<Vec<(String, String)>, String> {
    let below = page.lines().skip_while(|line| !(line.starts_with('#') && line.contains(HEADING))).skip(1);
    let lines = below.take_while(|line| !line.starts_with('#')).filter(|line| line.trim_start().starts_with('|'));
    let rows: Vec<(String, String)> = lines.skip(2).filter_map(row).collect();
    if rows.is_empty() {
        return Err(format!("ARCHITECTURE.md has no table below the heading \"{HEADING}\""));
    }
    Ok(rows)
}

/// The function and the file of a row: its first two cells in backquotes that are one of each.
fn row(line: &str) -> Option<(String, String)> {
    let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
    let file = quoted.iter().find(|text| text.ends_with(".rs"))?;
    let function = quoted.iter().find(|text| !text.ends_with(".rs"))?;
    Some((function.split('(').next().unwrap_or(function).to_owned(), (*file).to_owned()))
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
                _ if token.is_mark('{') => depth += 1,
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
        | `Lab::run` | `lab.rs` | the loop |\n| `decide(…)` | `lab/decide.rs` | |\n\n## Next\n| `a` | `b.rs` |\n";

    #[test]
    fn rows_are_those_below_the_heading() {
        let expected = [("Lab::run", "lab.rs"), ("decide", "lab/decide.rs")];
        assert_eq!(rows(PAGE).unwrap(), expected.map(|(function, file)| (function.to_owned(), file.to_owned())));
        assert!(rows("# Map").is_err());
    }

    #[test]
    fn a_row_that_no_earlier_one_calls_is_wrong() {
        let root = std::env::temp_dir().join(format!("xtask-path-{}", std::process::id()));
        let src = root.join("autoresearch-core/src/lab");
        std::fs::create_dir_all(&src).unwrap();
        std::fs::write(root.join("ARCHITECTURE.md"), PAGE).unwrap();
        std::fs::write(src.join("decide.rs"), "pub fn decide<T>(a: [u8; 2]) {}").unwrap();
        let lab = root.join("autoresearch-core/src/lab.rs");
        for (body, wrong) in [("decide::decide(1)", 0), ("other()", 1)] {
            std::fs::write(&lab, format!("impl Lab {{ fn run(&self) -> u8 {{ {body} }} fn other() {{ decide() }} }}"))
                .unwrap();
            let found = path(&root).unwrap();
            assert_eq!((found.functions, found.files, found.wrong.len()), (2, 2, wrong), "{:?}", found.wrong);
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
