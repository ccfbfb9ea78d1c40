//! Tables of text: separated by tabs, commas, semicolons or bars, and tables in Markdown.
//!
//! They are written by hand or by an agent, so their spelling is not to be relied on. Cells are split here and not by the `csv`
//! crate: to it an opening quote may swallow all lines below, and a quote after a space is none, while both are common in tables
//! written by hand.

use super::columns::Cells;
use super::found::Found;
use super::number::{number, with_decimal_point};
use super::words::plain;
use crate::text::clean;

/// The separator of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    One(char),
    /// Bars on both sides of each row.
    Markdown,
    /// Columns that are aligned by at least two spaces.
    Spaces,
}

/// Reads a table; `None` if the text is none.
pub fn read(text: &str, wanted: Option<&str>) -> Option<Found> {
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !is_comment(line)).collect();
    let separator = separator(&lines)?;
    let is_row = |line: &str| separator != Separator::Markdown || line.trim_start().starts_with('|');
    let mut rows: Vec<(usize, Vec<String>)> = lines
        .iter()
        .filter(|(_, line)| is_row(line))
        .map(|(number, line)| (*number, split(line, separator)))
        .filter(|(_, cells)| !cells.is_empty() && !is_rule(cells))
        .collect();
    if separator == Separator::One(';') {
        for cell in rows.iter_mut().flat_map(|(_, cells)| cells) {
            *cell = with_decimal_point(cell).unwrap_or_else(|| std::mem::take(cell));
        }
    }
    let header = match rows.first() {
        Some((_, first)) if is_header(first, rows.get(1).map(|(_, cells)| cells.as_slice())) => rows.remove(0).1,
        _ => Vec::new(),
    };
    // A file that was appended to may have its header again.
    rows.retain(|(_, cells)| header.is_empty() || *cells != header);
    let (format, joined) = match separator {
        Separator::One('\t') => ("a table separated by tabs", " "),
        Separator::One(',') => ("a table separated by commas", ", "),
        Separator::One(_) => ("a separated table", " "),
        Separator::Markdown => ("a table in Markdown", " | "),
        Separator::Spaces => ("a table aligned by spaces", " "),
    };
    let found = Cells { header: header.clone(), rows, separator: joined }.read(format, wanted);
    Some(in_order(found, &header))
}

fn is_comment(line: &str) -> bool {
    line.starts_with("# ") || line.starts_with("#!") || line.trim() == "#"
}

/// A line of dashes below a header.
fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':' | '=' | '+')))
}

fn separator(lines: &[(usize, &str)]) -> Option<Separator> {
    let (_, first) = lines.first()?;
    if lines.iter().filter(|(_, line)| line.trim_start().starts_with('|')).count() >= 2 {
        return Some(Separator::Markdown);
    }
    let found = ['\t', ';', ',', '|'].into_iter().find(|separator| first.contains(*separator));
    // A semicolon may stand in a text between commas.
    let found = match found {
        Some(';') if first.matches(',').count() > first.matches(';').count() => Some(','),
        found => found,
    };
    found.map(Separator::One).or_else(|| first.trim().contains("  ").then_some(Separator::Spaces))
}

/// The cells of a line, without white space around them and without empty ones at the end.
fn split(line: &str, separator: Separator) -> Vec<String> {
    let mut cells: Vec<String> = match separator {
        Separator::One('\t') => line.split('\t').map(str::to_owned).collect(),
        Separator::One(separator) => split_quoted(line, separator),
        Separator::Markdown => {
            let inner = line.trim();
            let inner = inner.strip_prefix('|').unwrap_or(inner);
            split_quoted(inner.strip_suffix('|').unwrap_or(inner), '|')
        }
        Separator::Spaces => {
            line.trim().split("  ").filter(|cell| !cell.trim().is_empty()).map(str::to_owned).collect()
        }
    };
    for cell in &mut cells {
        // A control character, which a terminal would obey, is no part of a text.
        *cell = clean(cell).replace(char::is_control, " ").trim().to_owned();
    }
    let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    cells.truncate(filled);
    cells
}

/// Splits at separators outside of quotes. A quoted cell ends with its line.
fn split_quoted(line: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(cell) = cells.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => quoted = true,
            '\\' if separator == '|' && characters.peek() == Some(&'|') => cell.extend(characters.next()),
            other if other == separator && !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

/// True if a first row names columns: none of its cells is a number, and the next row has one, or its names are known.
fn is_header(first: &[String], next: Option<&[String]>) -> bool {
    let known =
        ["commit", "status", "description", "metric", "value", "score", "decision", "verdict", "notes", "hash", "sha"];
    let names = first.iter().filter(|cell| known.contains(&plain(cell).as_str())).count();
    let numeric = |cells: &[String]| cells.iter().any(|cell| number(cell).is_some());
    !numeric(first) && (names >= 2 || next.is_none_or(numeric))
}

/// Puts an export of Weights & Biases into the order of time: it begins with the latest run.
fn in_order(mut found: Found, header: &[String]) -> Found {
    let has = |name: &str| header.iter().any(|column| column == name);
    if has("Name") && has("State") && has("Created") {
        found.format = "an export of Weights & Biases".into();
        found.rows.reverse();
    }
    found
}
