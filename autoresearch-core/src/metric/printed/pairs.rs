//! The pairs of a name and a number in one line: `name: 0.5`, `name=0.5`, `name 0.5`, several of them beside each other.

use super::label;
use super::number::{self, Number};

/// A pair, before it is known under which headings its line stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    /// Its possible names, the most likely one first.
    pub names: Vec<String>,
    /// The number.
    pub number: Number,
    /// Where the label starts in the line, where it ends, and where the number ends.
    pub from: usize,
    pub label_to: usize,
    pub to: usize,
}

/// Marks between two pairs.
const MARKS: [char; 9] = [',', ';', '|', '│', '┃', '\t', '{', '}', '•'];
/// The longest line that is searched, in bytes: nobody prints a metric behind so much.
const LONGEST: usize = 16 << 10;

/// Finds all pairs of a line.
pub(super) fn pairs(line: &str) -> Vec<Pair> {
    if line.len() > LONGEST {
        return Vec::new();
    }
    let mut found: Vec<Pair> = Vec::new();
    let mut left = 0;
    for (at, length) in separators(line) {
        if at < left {
            continue;
        }
        let Some(number) = number::leading(&line[at + length..]) else { continue };
        let to = at + length + number.length;
        // A place in a file, or the beginning of a time: `train.py:33: …`.
        if line[to..].starts_with([':', '：']) && length == 1 {
            continue;
        }
        let from = label_start(line, left, at);
        let is_key = length == 1 && line[at..].starts_with('=') && !line[..at].ends_with(' ');
        let (names, unit) = label::names(&line[from..at], is_key);
        left = to;
        if names.is_empty() {
            continue;
        }
        let unit = if number.unit.is_empty() { unit } else { number.unit.clone() };
        found.push(Pair { names, number: Number { unit, ..number }, from, label_to: at, to });
    }
    let separated = found.len();
    beside(line, &mut found);
    // Only then is known where the next name begins.
    for at in 0..separated {
        let end = found.iter().map(|pair| pair.from).filter(|from| *from >= found[at].to).min().unwrap_or(line.len());
        judge(line, &mut found[at], end);
    }
    found.sort_by_key(|pair| pair.from);
    found
}

/// Marks a number that is one of several.
fn judge(line: &str, pair: &mut Pair, end: usize) {
    if pair.number.value.is_err() {
        return;
    }
    let behind = &line[pair.to..end.max(pair.to)];
    let close = mark(behind).unwrap_or(behind.len());
    let mut why = number::several(&behind[..close]);
    // A bare number behind a comma or a bar belongs to a list.
    if why.is_none() && behind[close..].starts_with([',', ';', '|']) {
        let next = &behind[close + 1..];
        let until = mark(next).unwrap_or(next.len());
        let bare = number::leading(next)
            .is_some_and(|bare| bare.unit.is_empty() && next[bare.length.min(until)..until].trim().is_empty());
        why = bare.then_some("is one of a list");
    }
    if let Some(why) = why {
        pair.number.value = Err(why.to_owned());
    }
}

/// The separators `:`, `=`, `:=`, `=>`, `::` and their full-width form, with their lengths.
fn separators(line: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut skip = 0;
    for (at, c) in line.char_indices() {
        if at < skip || !matches!(c, ':' | '=' | '：') {
            continue;
        }
        let rest = &line[at..];
        let length = [":=", "=>", "=="].iter().find(|two| rest.starts_with(*two)).map_or(c.len_utf8(), |two| two.len());
        skip = at + length;
        // A comparison is no statement.
        if !rest.starts_with("==") && !line[..at].ends_with(['<', '>', '!', '=']) {
            found.push((at, length));
        }
    }
    found
}

/// The place of the first mark after which another pair may begin.
fn mark(text: &str) -> Option<usize> {
    let plain = text.find(MARKS);
    let dash = text.find(" - ");
    plain.into_iter().chain(dash).min()
}

/// Finds the beginning of the label that ends at `end`.
fn label_start(line: &str, left: usize, end: usize) -> usize {
    let label = &line[left..end];
    // Brackets directly before the separator belong to the name, as in `time (ms)`.
    let trimmed = label.trim_end();
    let close = [('(', ')'), ('[', ']')].into_iter().find(|(_, close)| trimmed.ends_with(*close));
    let limit = close.and_then(|(open, _)| trimmed.rfind(open)).unwrap_or(trimmed.len());
    let before = &label[..limit];
    let plain = before.rfind(MARKS).map(|at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let dash = before.rfind(" - ").map(|at| at + 3);
    let bracket = before.rfind(['(', '[', ']', ')']).filter(|at| {
        // A group that is closed before the name is a prefix; an open one surrounds the pair.
        !before[at + 1..].trim().is_empty()
    });
    left + plain.into_iter().chain(dash).chain(bracket.map(|at| at + 1)).max().unwrap_or(0)
}

/// Adds the pairs without a separator: `val loss 0.5`, alone between two marks, or several in turn.
fn beside(line: &str, found: &mut Vec<Pair>) {
    let mut from = 0;
    loop {
        let rest = &line[from..];
        let end = from + mark(rest).unwrap_or(rest.len());
        let is_free = |pair: &Pair| pair.to <= from || pair.from >= end;
        if found.iter().all(is_free) {
            found.extend(in_turn(line, from, end));
        }
        if end >= line.len() {
            return;
        }
        from = if line[end..].starts_with(" - ") {
            end + 3
        } else {
            end + line[end..].chars().next().map_or(1, char::len_utf8)
        };
    }
}

/// Reads `name number name number …` between two places of a line, if there is nothing else.
fn in_turn(line: &str, from: usize, end: usize) -> Vec<Pair> {
    let mut found = Vec::new();
    let mut at = from;
    while at < end {
        let Some((start, number)) = next_number(line, at, end) else {
            // Words behind the last number: a remark in brackets only.
            let rest = line[at..end].trim();
            let is_remark =
                rest.is_empty() || rest.starts_with(['(', '±', '#']) || rest.chars().all(|c| !c.is_alphanumeric());
            return if is_remark { found } else { Vec::new() };
        };
        let (names, unit) = label::names(line[at..start].trim_end().trim_end_matches(" is"), false);
        let to = start + number.length;
        let is_first_number = names.is_empty() && found.is_empty();
        if names.is_empty() && !is_first_number {
            return Vec::new();
        }
        if is_first_number {
            // A number before any name is a prefix, such as a step.
            at = to;
            if line[at..end].trim().is_empty() {
                return Vec::new();
            }
            continue;
        }
        let unit = if number.unit.is_empty() { unit } else { number.unit.clone() };
        found.push(Pair { names, number: Number { unit, ..number }, from: at, label_to: start, to });
        at = to;
        let behind = &line[at..end];
        if behind.trim_start().starts_with(['(', '±']) || behind.trim_start().starts_with("+/-") {
            let why = number::several(behind);
            if let (Some(why), Some(last)) = (why, found.last_mut()) {
                last.number.value = Err(why.to_owned());
            }
            return found;
        }
    }
    found
}

/// The next number that begins a word, after at least one word that is none.
fn next_number(line: &str, from: usize, end: usize) -> Option<(usize, Number)> {
    let text = &line[from..end];
    let mut seen_name = false;
    let mut place = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let begins = word.starts_with(|c: char| c.is_ascii_digit() || "+-\u{2212}.".contains(c))
            && word.contains(|c: char| c.is_ascii_digit());
        let alone = matches!(word.trim(), "nan" | "NaN" | "inf" | "-inf");
        if (begins || alone) && (seen_name || place == 0) {
            let at = from + place;
            // Counters such as `step 100` are prefixes of the name that follows.
            return number::leading(&line[at..end]).map(|number| (at, number));
        }
        seen_name |= word.contains(char::is_alphabetic);
        place += word.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<(String, Result<f64, ()>)> {
        pairs(line).into_iter().map(|pair| (pair.names[0].clone(), pair.number.value.map_err(|_| ()))).collect()
    }

    fn one(line: &str, name: &str, value: f64) {
        let found = told(line);
        assert!(found.contains(&(name.to_owned(), Ok(value))), "{line}: {found:?}");
    }

    #[test]
    fn pairs_are_found_wherever_they_stand() {
        one("score: 0.5", "score", 0.5);
        one("score = 0.5", "score", 0.5);
        one("score\u{ff1a}0.5", "score", 0.5);
        one("{'eval_loss': 1.25, 'epoch': 3.0}", "eval_loss", 1.25);
        one("10/10 - 1s - loss: 0.4321 - accuracy: 0.8123", "accuracy", 0.8123);
        one("Epoch 3: 100%|####| 10/10 [00:01<00:00, 9.9it/s, v_num=0, val_loss=0.42]", "val_loss", 0.42);
        one("100%|####| 10/10 [00:01<00:00]score: 0.5", "score", 0.5);
        one("step 2000: train loss 1.7648, val loss 1.8857", "val loss", 1.8857);
        one("| epoch 012 | loss 5.1 | ppl 34.2", "ppl", 34.2);
        one("loss: 0.5 acc: 0.8", "acc", 0.8);
        one("loss: 0.5 acc: 0.8", "loss", 0.5);
        one("loss 0.5 acc 0.8", "acc", 0.8);
        one("score: 0.5 (best: 0.4)", "score", 0.5);
        one("time (ms): 1,234.5, memory: 5 GB", "time", 1234.5);
        one("score: 0.5 at step 100", "score", 0.5);
    }

    #[test]
    fn several_numbers_of_one_name_are_none() {
        for line in ["loss: 0.5, 0.6", "loss: 0.5 0.6", "loss: 0.5 -> 0.4", "loss: [0.5, 0.6]", "loss: 3/10"] {
            let found = told(line);
            assert!(found.contains(&("loss".to_owned(), Err(()))), "{line}: {found:?}");
        }
    }
}
