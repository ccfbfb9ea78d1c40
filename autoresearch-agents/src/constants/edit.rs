//! Edits that give constants other values and change nothing else of a file.

use std::collections::BTreeMap;
use std::ops::Range;

use autoresearch_core::{EditablePaths, FileEdit, Patch};

use super::scan::scan;

/// Most lines around a value that a replacement shows so that it is unique.
const AROUND: usize = 40;

/// The text of a file, and new texts for places in it.
type FileChanges<'a> = (&'a str, Vec<(Range<usize>, String)>);

/// Returns the edits that put new texts in these places of several files, each given with path and text of its file.
pub(crate) fn edits_of<'a>(
    changes: impl IntoIterator<Item = (&'a str, &'a str, Range<usize>, String)>,
) -> Vec<FileEdit> {
    let mut files: BTreeMap<&str, FileChanges<'_>> = BTreeMap::new();
    for (path, source, place, new) in changes {
        files.entry(path).or_insert((source, Vec::new())).1.push((place, new));
    }
    files.into_iter().flat_map(|(path, (source, changes))| edits(path, source, changes)).collect()
}

/// Returns the edits that put new texts in these places of a file.
pub(crate) fn edits(path: &str, source: &str, mut changes: Vec<(Range<usize>, String)>) -> Vec<FileEdit> {
    changes.sort_by_key(|(place, _)| place.start);
    let expected = spliced(source, 0..source.len(), &changes);
    // The end of each line, with its line break.
    let ends: Vec<usize> = source
        .split_inclusive('\n')
        .scan(0, |at, line| {
            *at += line.len();
            Some(*at)
        })
        .collect();
    let line_of = |at: usize| ends.partition_point(|end| *end <= at);
    let mut lines: Vec<Range<usize>> = changes
        .iter()
        .map(|(place, _)| line_of(place.start)..line_of(place.end.max(place.start + 1) - 1) + 1)
        .collect();
    lines.dedup();
    let skeletons = scan(path, source).skeletons;
    let file = File { path, source, ends: &ends, skeletons: &skeletons, changes: &changes };
    let whole = lines.first().zip(lines.last()).map(|(first, last)| std::iter::once(first.start..last.end).collect());
    for groups in [Some(lines), whole].into_iter().flatten() {
        let edits: Option<Vec<FileEdit>> = groups.into_iter().map(|lines| file.replacement(lines)).collect();
        let Some(edits) = edits else { continue };
        let files = [(path.to_owned(), source.to_owned())].into();
        let patched = Patch { edits: edits.clone() }.applied_to(&files, &EditablePaths::new([path]));
        if patched.is_ok_and(|files| files.get(path) == Some(&expected)) {
            return edits;
        }
    }
    vec![FileEdit::Write { path: path.to_owned(), text: expected }]
}

/// Returns a part of a text with new texts in the places that it holds.
pub(crate) fn spliced(source: &str, part: Range<usize>, changes: &[(Range<usize>, String)]) -> String {
    let (mut text, mut from) = (String::new(), part.start);
    for (place, new) in changes.iter().filter(|(place, _)| place.start >= part.start && place.end <= part.end) {
        text += source.get(from..place.start).unwrap_or_default();
        text += new;
        from = place.end;
    }
    text + source.get(from..part.end).unwrap_or_default()
}

struct File<'a> {
    path: &'a str,
    source: &'a str,
    ends: &'a [usize],
    skeletons: &'a [String],
    changes: &'a [(Range<usize>, String)],
}

impl File<'_> {
    /// Returns the replacement of some lines, with as many lines around them as make it unique whatever the values are.
    fn replacement(&self, lines: Range<usize>) -> Option<FileEdit> {
        let (mut first, mut last) = (lines.start, lines.end);
        for step in 0..=AROUND {
            let whole = self.part(first..last);
            let line = whole.start..whole.end - self.break_before(whole.end);
            let before = self.break_before(line.start);
            // The ends of the lines tell a line apart from a longer one that holds its text.
            let parts =
                [line.clone(), line.start - before..line.end, line.start..whole.end, line.start - before..whole.end];
            let is_unique = self.skeleton_is_unique(first..last);
            let unique = parts.into_iter().find(|part| {
                let text = self.source.get(part.clone()).unwrap_or_default();
                is_unique
                    && !text.is_empty()
                    && self.source.match_indices(text).nth(1).is_none()
                    && !self.overlaps(part)
            });
            if let Some(part) = unique {
                return Some(FileEdit::Replace {
                    path: self.path.to_owned(),
                    search: self.source.get(part.clone())?.to_owned(),
                    replace: spliced(self.source, part, self.changes),
                });
            }
            match step % 2 == 0 && first > 0 || last >= self.ends.len() {
                true if first == 0 => return None,
                true => first -= 1,
                false => last += 1,
            }
        }
        None
    }

    /// Place of some lines with their line breaks.
    fn part(&self, lines: Range<usize>) -> Range<usize> {
        let end = |line: Option<usize>| line.and_then(|line| self.ends.get(line)).copied().unwrap_or(0);
        end(lines.start.checked_sub(1))..end(lines.end.checked_sub(1))
    }

    /// Length of the line break that ends there.
    fn break_before(&self, at: usize) -> usize {
        let before = self.source.get(..at).unwrap_or_default();
        if before.ends_with("\r\n") { 2 } else { usize::from(before.ends_with('\n')) }
    }

    fn skeleton_is_unique(&self, lines: Range<usize>) -> bool {
        let Some(own) = self.skeletons.get(lines.clone()) else { return false };
        self.skeletons.windows(own.len()).filter(|window| *window == own).count() == 1
    }

    /// Returns true if a part cuts through a change.
    fn overlaps(&self, part: &Range<usize>) -> bool {
        let cut = |place: &Range<usize>| place.start < part.end && place.end > part.start;
        let within = |place: &Range<usize>| place.start >= part.start && place.end <= part.end;
        self.changes.iter().any(|(place, _)| cut(place) && !within(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(path: &str, source: &str, changes: Vec<(Range<usize>, String)>) -> (usize, String) {
        let all = edits(path, source, changes);
        let files = [(path.to_owned(), source.to_owned())].into();
        let patched = Patch { edits: all.clone() }.applied_to(&files, &EditablePaths::new([path])).unwrap();
        assert!(all.iter().all(|edit| matches!(edit, FileEdit::Replace { .. })), "{all:?}");
        (all.len(), patched[path].clone())
    }

    #[test]
    fn lines_that_are_alike_are_told_apart_by_those_around() {
        let source = "a = f(\n  lr=1,\n)\nb = f(\n  lr=1,\n)\n";
        let at = source.rfind("1,").unwrap();
        let changed = format!("{}7{}", &source[..at], &source[at + 1..]);
        assert_eq!(apply("a.py", source, vec![(at..at + 1, "7".into())]), (1, changed));
        // All of them at once, with values that meet each other's on the way.
        let source = "x1 = 1\nx2 = 2\nx1 = 2\n";
        let places = [5, 12, 19].map(|at| at..at + 1);
        let changes = places.into_iter().zip(["2", "1", "1"]).map(|(place, new)| (place, new.to_owned())).collect();
        assert_eq!(apply("a.py", source, changes).1, "x1 = 2\nx2 = 1\nx1 = 1\n");
    }

    #[test]
    fn several_values_of_a_line_are_one_edit() {
        let source = "f(a=1, b=2)\r\ng(a=1)\r\n";
        let changes = vec![(9..10, "20".to_owned()), (4..5, "10".to_owned())];
        assert_eq!(apply("a.py", source, changes), (1, "f(a=10, b=20)\r\ng(a=1)\r\n".to_owned()));
    }
}
