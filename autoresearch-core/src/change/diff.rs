//! Unified diffs, as `git diff` writes them and as language models do: with the right text and the wrong numbers.
//!
//! The counts in `@@ -a,b +c,d @@` are never read, and the first number only decides between places that fit equally.

use super::error::PatchFault;
use super::nearest::nearest_line;

/// The change of one file in a diff.
#[derive(Debug)]
pub(super) struct FileDiff {
    /// The paths before and after, `None` for `/dev/null`. They differ only in rejected changes and in new files.
    old: Option<String>,
    new: Option<String>,
    /// Where it begins in the diff, from 1.
    line: usize,
    /// `---` and `+++` were there, so hunks may come.
    headed: bool,
    refused: Option<&'static str>,
    hunks: Vec<Hunk>,
}

#[derive(Debug)]
struct Hunk {
    /// Where it begins in the diff, from 1.
    line: usize,
    /// The first old line, if the header says so. Without old lines, the line that it comes after.
    stated: Option<usize>,
    /// Signs, and lines with their newlines.
    body: Vec<(char, String)>,
}

const DELETION: &str = "the deletion of a file";
const RENAME: &str = "a renamed or copied file";
const MODE: &str = "a change of the file mode";
const BINARY: &str = "a binary file";

/// Lines between `diff --git` and `---` that ask for more than other text.
const REFUSED: [(&str, &str); 7] = [
    ("deleted file mode ", DELETION),
    ("rename ", RENAME),
    ("copy ", RENAME),
    ("old mode ", MODE),
    ("new mode ", MODE),
    ("Binary files ", BINARY),
    ("GIT binary patch", BINARY),
];

/// Parses the files of a diff. Unsupported changes are reported by [`FileDiff::check`], after their paths are checked.
pub(super) fn parse(diff: &str) -> Result<Vec<FileDiff>, PatchFault> {
    // Where even the headers end in CRLF, that came with the transport and says nothing of the files.
    let plain = uses_crlf(diff).then(|| diff.replace("\r\n", "\n"));
    let lines: Vec<&str> = plain.as_deref().unwrap_or(diff).split_terminator('\n').collect();
    let mut files: Vec<FileDiff> = vec![];
    let mut at = 0;
    while let Some(&line) = lines.get(at) {
        let last = files.last_mut();
        if line.starts_with("@@") {
            let Some(file) = last.filter(|file| file.headed) else {
                return malformed(at, "a hunk without a file; write `--- a/path` and `+++ b/path` before it");
            };
            let (hunk, end) = Hunk::parse(&lines, at)?;
            file.hunks.push(hunk);
            at = end;
            continue;
        } else if let Some(names) = line.strip_prefix("diff --git ") {
            // The two names are equally long, unless this is a rename and rejected anyway.
            let half = names.split_at_checked(names.len() / 2).filter(|(_, new)| new.starts_with(' '));
            let (old, new) = half.or_else(|| names.split_once(' ')).unwrap_or((names, names));
            files.push(FileDiff::new(at, old, new));
        } else if let Some(old) = line.strip_prefix("--- ") {
            let Some(new) = lines.get(at + 1).and_then(|line| line.strip_prefix("+++ ")) else {
                return malformed(at, "`--- a/path` must be followed by `+++ b/path`");
            };
            let mut file = FileDiff::new(at, old, new);
            match (&file.old, &file.new) {
                (None, None) => return malformed(at, "a file that is `/dev/null` before and after; name it"),
                (old, new) if old.iter().chain(new).any(|name| name.is_empty() || name.starts_with('"')) => {
                    return malformed(at, "the path must be written plainly, without quotes");
                }
                (Some(_), None) => file.refused = Some(DELETION),
                (Some(old), Some(new)) if old != new => file.refused = Some(RENAME),
                _ => {}
            }
            file.headed = true;
            if let Some(git) = files.pop_if(|file| !file.headed) {
                file.refused = git.refused.or(file.refused);
            }
            files.push(file);
            at += 1;
        } else if line.starts_with("+++ ") {
            return malformed(at, "`+++ b/path` must follow `--- a/path`");
        } else if let Some(file) = last.filter(|file| !file.headed) {
            let refused = REFUSED.iter().find(|(start, _)| line.starts_with(start)).map(|(_, what)| *what);
            let odd = line.strip_prefix("new file mode ").is_some_and(|mode| mode.trim_end() != "100644");
            file.refused = file.refused.or(refused).or(odd.then_some(MODE));
        } else if let Some(names) = line.strip_prefix("Binary files ") {
            let (old, new) = names.trim_end_matches(" differ").split_once(" and ").unwrap_or((names, names));
            files.push(FileDiff { refused: Some(BINARY), ..FileDiff::new(at, old, new) });
        } else if !files.is_empty() && !line.trim().is_empty() {
            return malformed(at, "a hunk must begin with `@@ -line +line @@`");
        }
        at += 1;
    }
    match files.iter().find(|file| file.hunks.is_empty() && file.refused.is_none()) {
        Some(file) => malformed(file.line - 1, "the file has no hunk; add one, or write an empty file whole"),
        None if files.is_empty() => malformed(0, "no file in it; begin with `--- a/path`, `+++ b/path` and `@@`"),
        None => Ok(files),
    }
}

fn malformed<T>(at: usize, why: &'static str) -> Result<T, PatchFault> {
    Err(PatchFault::MalformedDiff { line: at + 1, why })
}

impl FileDiff {
    fn new(at: usize, old: &str, new: &str) -> FileDiff {
        // What follows a tab is a timestamp.
        let [old, new] = [old, new].map(|name| name.split('\t').next().unwrap_or_default().trim());
        // Equal names have no prefixes: then `a/` is a folder.
        let name = |name: &str, prefix: &str| match name {
            "/dev/null" => None,
            _ if old == new => Some(name.to_owned()),
            _ => Some(name.strip_prefix(prefix).unwrap_or(name).to_owned()),
        };
        let (old, new) = (name(old, "a/"), name(new, "b/"));
        FileDiff { old, new, line: at + 1, headed: false, refused: None, hunks: vec![] }
    }

    /// Returns the paths that it names: two if it asks for a rename.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.old.iter().chain(self.new.iter().filter(|&new| self.old.as_ref() != Some(new))).map(String::as_str)
    }

    /// Returns the path after the change.
    pub(super) fn path(&self) -> &str {
        self.paths().last().unwrap_or_default()
    }

    /// True if the file is new.
    pub(super) fn creates(&self) -> bool {
        self.old.is_none()
    }

    /// Fails unless it is a change of text.
    pub(super) fn check(&self) -> Result<(), PatchFault> {
        let unsupported = |what| Err(PatchFault::unsupported(self.path(), what));
        self.refused.map_or(Ok(()), unsupported)
    }

    /// Applies the hunks in order to `text`.
    pub(super) fn apply(&self, text: &str) -> Result<String, PatchFault> {
        // One CR shows that the diff writes line ends as they are, and then it may mean to change them.
        let exact = self.hunks.iter().flat_map(|hunk| &hunk.body).any(|(_, line)| line.contains('\r'));
        let crlf = uses_crlf(text) && !exact;
        let mut text = text.to_owned();
        let mut shift = 0;
        for hunk in &self.hunks {
            let side = |without| {
                let lines = hunk.body.iter().filter(move |(sign, _)| *sign != without);
                lines.map(|(_, line)| if crlf { to_crlf(line) } else { line.clone() }).collect::<Vec<_>>()
            };
            let (old, new) = (side('+'), side('-'));
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let at = self.place(hunk, &lines, &old, shift)?;
            let (before, after) = (&lines[..at], &lines[at + old.len()..]);
            let mut all: Vec<&str> =
                before.iter().copied().chain(new.iter().map(String::as_str)).chain(after.iter().copied()).collect();
            // The file's last line is matched even without its `\ No newline`, and then the file stays as it ends.
            let open = old.last().zip(lines.last()).filter(|(old, line)| after.is_empty() && *old != *line).is_some();
            if let Some(last) = all.last_mut().filter(|_| open) {
                *last = without_newline(last);
            }
            if all.iter().rev().skip(1).any(|line| !line.ends_with('\n')) {
                let why = "only the last line of a file may have no newline; give that line as context";
                return malformed(hunk.line - 1, why);
            }
            shift += new.len() as isize - old.len() as isize;
            text = all.concat();
        }
        Ok(text)
    }

    fn place(&self, hunk: &Hunk, lines: &[&str], old: &[String], shift: isize) -> Result<usize, PatchFault> {
        let same = |(line, old): (&&str, &String)| {
            line == old || (!line.ends_with('\n') && old.ends_with('\n') && *line == without_newline(old))
        };
        let starts = (lines.len() + 1).saturating_sub(old.len());
        let places: Vec<usize> = (0..starts).filter(|at| lines[*at..].iter().zip(old).all(same)).collect();
        let stated = hunk.stated.and_then(|line| line.checked_sub(usize::from(!old.is_empty())));
        let stated = stated.and_then(|at| at.checked_add_signed(shift));
        let path = || self.path().to_owned();
        match (places.as_slice(), stated) {
            ([at], _) => Ok(*at),
            ([], _) => {
                let (line, nearest) = nearest_line(&lines.concat(), &old.concat());
                Err(PatchFault::NoMatch { path: path(), line, nearest })
            }
            (_, Some(at)) if places.contains(&at) => Ok(at),
            _ => Err(PatchFault::Ambiguous { path: path(), count: places.len() }),
        }
    }
}

impl Hunk {
    /// The hunk whose `@@` is at `start`, and where the next thing begins.
    fn parse(lines: &[&str], start: usize) -> Result<(Hunk, usize), PatchFault> {
        let mut body: Vec<(char, String)> = vec![];
        let mut blank = 0;
        let mut at = start + 1;
        while at < lines.len() && !ends_hunk(&lines[at..]) {
            let line = lines[at];
            blank = if line.is_empty() { blank + 1 } else { 0 };
            match (line.chars().next(), body.last_mut()) {
                (Some(sign @ (' ' | '+' | '-')), _) => body.push((sign, format!("{}\n", &line[1..]))),
                (Some('\\'), Some((_, last))) => last.truncate(last.trim_end_matches('\n').len()),
                _ if matches!(line, "" | "\r") => body.push((' ', format!("{line}\n"))),
                _ => return malformed(at, "a line of a hunk must begin with a space, `+` or `-`"),
            }
            at += 1;
        }
        // Empty lines at the end may be context, or may only part the hunk from the next. Without them it still fits
        // wherever it did, so they are no reason to reject it or to prefer a place.
        body.truncate(body.len() - blank);
        if body.iter().all(|(sign, _)| *sign == ' ') {
            return malformed(start, "the hunk changes nothing; it needs a line with `+` or `-`");
        }
        // If they may have been its only old lines, its number could mean two places.
        let vague = blank > 0 && body.iter().all(|(sign, _)| *sign == '+');
        let numbers = lines[start].strip_prefix("@@ -").filter(|_| !vague).unwrap_or_default();
        let stated = numbers.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok());
        Ok((Hunk { line: start + 1, stated, body }, at))
    }
}

/// True if a hunk ends before this line. A removed `-- x` above an added `++ y` looks like a file header, but for the `@@` below.
fn ends_hunk(lines: &[&str]) -> bool {
    let starts = |at: usize, start: &str| lines.get(at).is_some_and(|line: &&str| line.starts_with(start));
    ["@@", "diff --git ", "Binary files "].iter().any(|start| starts(0, start))
        || (starts(0, "--- ") && starts(1, "+++ ") && starts(2, "@@"))
}

/// True if every line ends in CRLF.
pub(super) fn uses_crlf(text: &str) -> bool {
    text.contains('\n') && text.split_inclusive('\n').all(|line| line.ends_with("\r\n") || !line.ends_with('\n'))
}

/// The same text with CRLF, unless it has CRs of its own.
pub(super) fn to_crlf(text: &str) -> String {
    if text.contains('\r') { text.to_owned() } else { text.replace('\n', "\r\n") }
}

fn without_newline(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests;
