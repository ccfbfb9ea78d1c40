//! Text of bounded length, in which quotations are marked as such.

/// Returns a text as one line of at most `most` characters, without characters that a terminal would obey.
pub(super) fn line(text: &str, most: usize) -> String {
    let plain = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let plain = plain.collect::<Vec<_>>().join(" ");
    match plain.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default()),
        None => plain,
    }
}

/// Returns a text in quotes, on one line.
pub(super) fn quoted(text: &str, most: usize) -> String {
    format!("\"{}\"", line(text, most).replace('"', "'"))
}

/// Returns the last lines of a log, each behind a bar, so that no content can end the quotation.
pub(super) fn bars(log: &str, lines: usize, most: usize) -> Vec<String> {
    let all = all_bars(log, most);
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().to_vec()
}

/// Returns the first lines of a text behind bars, and the number of those left out.
pub(super) fn first_bars(text: &str, lines: usize, most: usize) -> Vec<String> {
    let mut bars = all_bars(text, most);
    let more = bars.len().saturating_sub(lines);
    bars.truncate(lines);
    bars.extend((more > 0).then(|| format!("    | … {more} more lines")));
    bars
}

fn all_bars(text: &str, most: usize) -> Vec<String> {
    let lines = text.lines().map(|text| line(text, most)).filter(|text| !text.is_empty());
    lines.map(|text| format!("    | {text}")).collect()
}

/// A part of the digest: a heading and lines, of which the last are left out where there is no room.
pub(super) struct Section {
    pub heading: String,
    pub lines: Vec<String>,
    /// Words after the number of lines that are left out.
    pub rest: &'static str,
}

impl Section {
    pub fn new(heading: impl Into<String>, lines: Vec<String>, rest: &'static str) -> Section {
        Section { heading: heading.into(), lines, rest }
    }

    /// Returns the section in at most `room` bytes, or nothing if not one line fits.
    pub fn fit(&self, room: usize) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let mut text = format!("\n## {}\n", self.heading);
        let whole = self.len() <= room;
        let mut shown = 0;
        for line in &self.lines {
            let left = self.lines.len() - shown - 1;
            let note = if left > 0 && !whole { self.note(left).len() } else { 0 };
            if text.len() + line.len() + 1 + note > room {
                break;
            }
            text += line;
            text.push('\n');
            shown += 1;
        }
        let left = self.lines.len() - shown;
        if left > 0 {
            text += &self.note(left);
        }
        if text.len() > room { String::new() } else { text }
    }

    /// Returns the length of the whole section in bytes.
    pub fn len(&self) -> usize {
        self.lines.iter().map(|line| line.len() + 1).sum::<usize>() + self.heading.len() + 5
    }

    fn note(&self, left: usize) -> String {
        format!("… {left} {}\n", self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_keeps_to_its_room() {
        let section = Section::new("Heading", (0..50).map(|n| format!("line {n}")).collect(), "more");
        for room in 0..600 {
            let text = section.fit(room);
            assert!(text.len() <= room, "{room}");
            assert!(text.is_empty() || text.contains("more") || text.contains("line 49"));
        }
        assert_eq!(section.fit(section.len()).len(), section.len());
    }

    #[test]
    fn foreign_text_stays_behind_its_marks() {
        assert_eq!(line("a\n\u{1b}[2Jb\t c", 80), "a [2Jb c");
        assert_eq!(line("äöü", 2), "äö…");
        assert_eq!(quoted("say \"x\"\nnow", 80), "\"say 'x' now\"");
        assert_eq!(first_bars("one\n\n## two\nthree", 2, 9), ["    | one", "    | ## two", "    | … 1 more lines"]);
        assert_eq!(bars("one\ntwo\r## three\n\nfour\n", 2, 9), ["    | two ## th…", "    | four"]);
    }
}
