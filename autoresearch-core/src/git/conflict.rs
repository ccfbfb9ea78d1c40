//! Conflicts of two changes, described for the author of one of them: a language model, or a person.

use std::fmt::Write;

/// Approximate limit of the text about all conflicts of a merge, in bytes.
const MOST: usize = 4000;
/// Limit of each side of one place, in bytes.
const MOST_OF_A_SIDE: usize = 700;
/// Files that are named before the rest is counted.
const MOST_NAMES: usize = 8;

/// A file that two changes cannot share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    path: String,
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// Both changed the same lines.
    Hunks(Vec<Hunk>),
    /// Any other conflict, in words.
    Words(String),
}

/// Lines that both changed, as each side has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// Where it begins in our file, from 1.
    line: usize,
    ours: String,
    base: String,
    theirs: String,
}

impl Conflict {
    pub(super) fn of_text(path: &str, hunks: Vec<Hunk>) -> Conflict {
        Conflict { path: path.to_owned(), how: How::Hunks(hunks) }
    }

    fn in_words(path: &str, words: &str) -> Conflict {
        Conflict { path: path.to_owned(), how: How::Words(words.to_owned()) }
    }

    pub(super) fn deleted_meanwhile(path: &str) -> Conflict {
        Conflict::in_words(path, "this change edits it, and what was kept meanwhile deleted it")
    }

    pub(super) fn changed_meanwhile(path: &str) -> Conflict {
        Conflict::in_words(path, "this change deletes it, and what was kept meanwhile edited it")
    }

    pub(super) fn collision(path: &str, with: &str) -> Conflict {
        Conflict::in_words(path, &format!("it cannot be a file beside {with}: one of them would be a folder"))
    }

    pub(super) fn no_text(path: &str) -> Conflict {
        Conflict::in_words(path, "both changed it, and it is not text (UTF-8), so the changes cannot be merged")
    }

    /// Path of the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All conflicts of a merge as one text: the lines of both sides and those before both, as `diff3 -m` shows them. It has
    /// some 4 kB at most, and says what it leaves out.
    pub fn describe(conflicts: &[Conflict]) -> String {
        let places: Vec<String> = conflicts.iter().flat_map(Conflict::places).collect();
        let mut text =
            format!("This change and what was kept meanwhile contradict each other in {}.\n", names(conflicts));
        for (at, place) in places.iter().enumerate() {
            // The first one is always shown, as it has a limit of its own.
            if at > 0 && text.len() + place.len() > MOST {
                let left_out = match places.len() - at {
                    1 => "one more place is".to_owned(),
                    more => format!("{more} more places are"),
                };
                let _ = write!(text, "\n[{left_out} left out]\n");
                break;
            }
            text += place;
        }
        text
    }

    fn places(&self) -> Vec<String> {
        match &self.how {
            How::Words(words) => vec![format!("\n{}: {words}.\n", self.path)],
            How::Hunks(hunks) => hunks.iter().map(|hunk| hunk.show(&self.path)).collect(),
        }
    }
}

impl Hunk {
    fn show(&self, path: &str) -> String {
        let [ours, base, theirs] = [&self.ours, &self.base, &self.theirs].map(|side| cut(side));
        format!(
            "\n{path}, from line {} of the file as it was kept:\n<<<<<<< kept meanwhile\n{ours}||||||| before both\n\
             {base}=======\n{theirs}>>>>>>> this change\n",
            self.line
        )
    }
}

fn names(conflicts: &[Conflict]) -> String {
    let shown: Vec<&str> = conflicts.iter().map(Conflict::path).take(MOST_NAMES).collect();
    let more = match conflicts.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more files"),
    };
    shown.join(", ") + &more
}

/// Cuts one side to the whole lines that there is room for; each ends with a line break.
fn cut(side: &str) -> String {
    let mut text = String::new();
    let count = side.lines().count();
    for (at, line) in side.lines().enumerate() {
        if text.len() + line.len() < MOST_OF_A_SIDE {
            text += line;
            text.push('\n');
            continue;
        }
        // A single line may have any length.
        if at == 0 {
            text.extend(line.chars().scan(0, |length, c| {
                *length += c.len_utf8();
                (*length < MOST_OF_A_SIDE).then_some(c)
            }));
            text += " [cut]\n";
        }
        let more = count - at - usize::from(at == 0);
        if more > 0 {
            let _ = writeln!(text, "[{more} more lines]");
        }
        break;
    }
    text
}

/// Finds the conflicting places of a merged text in the style of `diff3 -m`, whose markers are `size` characters long; no other
/// line begins with as many.
pub(super) fn hunks(merged: &str, size: usize) -> Vec<Hunk> {
    let [ours, base, middle, theirs] = ["<", "|", "=", ">"].map(|c| c.repeat(size));
    let (mut found, mut line, mut side) = (Vec::new(), 1, None);
    for text in merged.split_inclusive('\n') {
        let hunk: Option<&mut Hunk> = found.last_mut();
        match (&mut side, hunk) {
            (side, _) if text.starts_with(&ours) => {
                found.push(Hunk { line, ours: String::new(), base: String::new(), theirs: String::new() });
                *side = Some(Side::Ours);
            }
            (side @ Some(_), _) if text.starts_with(&base) => *side = Some(Side::Base),
            (side @ Some(_), _) if text.starts_with(&middle) => *side = Some(Side::Theirs),
            (side @ Some(_), _) if text.starts_with(&theirs) => *side = None,
            (Some(Side::Ours), Some(hunk)) => {
                hunk.ours += text;
                line += 1;
            }
            (Some(Side::Base), Some(hunk)) => hunk.base += text,
            (Some(Side::Theirs), Some(hunk)) => hunk.theirs += text,
            (None, _) | (_, None) => line += 1,
        }
    }
    found
}

enum Side {
    Ours,
    Base,
    Theirs,
}
