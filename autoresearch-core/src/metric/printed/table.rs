//! Tables in an output: a column has a name and its rows have numbers.

use super::entry::Printed;
use super::lines::Line;
use super::number::{self, Number};

/// The mark between the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Bar,
    Tab,
    Comma,
    Space,
}

/// Finds the numbers in the tables of an output, and the rows `| name | number |`.
pub(super) fn printed(lines: &[Line]) -> Vec<Printed> {
    let mut found = Vec::new();
    let mut header: Option<(Mark, Vec<String>, String)> = None;
    for line in lines {
        let Some((mark, cells)) = cells(&line.text) else {
            if !is_rule(&line.text) {
                header = None;
            }
            continue;
        };
        let numbers: Vec<Option<Number>> = cells.iter().map(|cell| whole_number(cell)).collect();
        let count = numbers.iter().flatten().count();
        let words: Vec<&str> =
            cells.iter().zip(&numbers).filter(|(_, number)| number.is_none()).map(|(cell, _)| cell.as_str()).collect();
        if let ([name, _], [None, Some(number)]) = (cells.as_slice(), numbers.as_slice())
            && mark != Mark::Space
            && name.contains(char::is_alphabetic)
        {
            found.push(Printed::new(line, vec![name.clone()], number.clone(), format!("row {name}")));
        }
        if let Some((of, names, text)) = &header
            && *of == mark
            && names.len() == cells.len()
            && count > 0
            && (mark != Mark::Space || count == cells.len())
        {
            let shape = format!("column of {text}; {}", words.join(" "));
            let named = names.iter().zip(numbers).filter_map(|(name, number)| Some((name, number?)));
            found.extend(named.map(|(name, number)| Printed::new(line, vec![name.clone()], number, shape.clone())));
            continue;
        }
        header = (count == 0 && is_header(&line.text, mark, &cells)).then(|| (mark, cells, line.text.to_lowercase()));
    }
    found
}

/// Splits a row into its cells. `None` for a line with one cell.
fn cells(line: &str) -> Option<(Mark, Vec<String>)> {
    let split = |parts: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        parts.map(|cell| cell.trim().trim_matches(|c| "*`\"".contains(c)).to_owned()).collect()
    };
    let (mark, cells) = if line.contains(['|', '│', '┃']) {
        let inner = line.trim_matches(|c: char| "|│┃".contains(c) || c.is_whitespace());
        (Mark::Bar, split(&mut inner.split(['|', '│', '┃'])))
    } else if line.contains('\t') {
        (Mark::Tab, split(&mut line.split('\t')))
    } else if line.contains(',') && !line.contains([':', '=', '{', '(', '[']) {
        (Mark::Comma, split(&mut line.split(',')))
    } else {
        (Mark::Space, split(&mut line.split_whitespace()))
    };
    (cells.len() > 1 && !is_rule(line)).then_some((mark, cells))
}

/// True for a line that only draws.
fn is_rule(line: &str) -> bool {
    line.chars().all(|c| c.is_whitespace() || "|+-=:─━═┼╇╪├┤┡┩┏┓┗┛└┘┌┐┬┴┳┻╋│┃╭╮╰╯".contains(c))
}

/// True for the names of columns. A sentence has spaces behind its commas, and single ones between its words.
fn is_header(line: &str, mark: Mark, cells: &[String]) -> bool {
    let is_sentence = match mark {
        Mark::Comma => cells.iter().any(|cell| cell.contains(char::is_whitespace)) || line.contains(", "),
        Mark::Space => !line.contains("  "),
        Mark::Bar | Mark::Tab => false,
    };
    if is_sentence {
        return false;
    }
    let named = |cell: &String| cell.contains(char::is_alphabetic) && cell.chars().count() <= 60;
    cells.iter().all(named) && cells.iter().enumerate().all(|(at, cell)| !cells[..at].contains(cell))
}

/// Reads a cell that is one number and nothing else.
fn whole_number(cell: &str) -> Option<Number> {
    let number = number::leading(cell)?;
    let behind = cell.get(number.length..)?;
    let is_alone = behind.trim().is_empty() || behind.trim_start().starts_with(['±', '(']);
    (is_alone && cell != "-").then_some(number)
}
