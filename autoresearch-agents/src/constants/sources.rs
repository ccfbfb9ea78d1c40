//! The editable files, in which constants are found by name, by file and name, or by pointer.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::error::ConstantError;
use super::pointer::pointers;
use super::range::Knob;
use super::scan::{Constant, Scan, is_literal, scan};
use super::syntax::Syntax;

/// Most names or places that a message lists.
const LISTED: usize = 12;
/// Most letters by which a name that is meant differs from the one that is given.
const MOST_SLIPS: usize = 2;

/// Files with their constants, which are read when they are asked for.
///
/// ```
/// use autoresearch_agents::constants::Sources;
/// let files = [("train.py".to_owned(), "lr = 0.1\n".to_owned()), ("eval.py".to_owned(), "lr = 0.2\n".to_owned())].into();
/// let sources = Sources::new(&files);
/// assert_eq!(sources.find("eval.py:lr")?.constant.value, "0.2");
/// assert!(sources.find("lr").unwrap_err().to_string().contains("\"train.py:lr\" (line 1, 0.1)"));
/// # Ok::<(), autoresearch_agents::ConstantError>(())
/// ```
pub struct Sources<'a>(BTreeMap<&'a str, Source<'a>>);

struct Source<'a> {
    text: &'a str,
    scan: OnceCell<Scan<'a>>,
}

/// A constant with its file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Located<'a> {
    /// Path of the file.
    pub path: &'a str,
    /// Text of the file.
    pub source: &'a str,
    /// The constant.
    pub constant: Constant<'a>,
}

impl<'a> Sources<'a> {
    /// Files by path.
    pub fn new(files: &'a BTreeMap<String, String>) -> Sources<'a> {
        let source = |text: &'a String| Source { text, scan: OnceCell::new() };
        Sources(files.iter().map(|(path, text)| (path.as_str(), source(text))).collect())
    }

    /// Returns all files with their texts.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().map(|(path, source)| (*path, source.text))
    }

    /// Returns the scan of a file.
    pub(crate) fn scan(&self, path: &str) -> Option<&Scan<'a>> {
        let (path, source) = self.0.get_key_value(path)?;
        Some(source.scan.get_or_init(|| scan(path, source.text)))
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&'a str> {
        self.0.get(path).map(|source| source.text)
    }

    /// Returns the index of the only line of a file at which these lines stand, whatever their values are.
    pub(crate) fn line_of(&self, path: &str, skeletons: &[String]) -> Option<usize> {
        let first = skeletons.iter().position(|line| !line.is_empty())?;
        let last = skeletons.iter().rposition(|line| !line.is_empty())?;
        let (own, all) = (skeletons.get(first..=last)?, &self.scan(path)?.skeletons);
        let mut places = all.windows(own.len()).enumerate().filter(|(_, window)| *window == own).map(|(at, _)| at);
        places.next().filter(|_| places.next().is_none())?.checked_sub(first)
    }

    /// Returns a constant by the number of its line and its place among those of the line.
    pub(crate) fn constant_at(&self, path: &str, number: usize, place: usize) -> Option<&Constant<'a>> {
        self.scan(path)?.constants.iter().filter(|constant| constant.number == number).nth(place)
    }

    /// Returns the constant of this name in a file; without its place among several only if it is alone.
    pub(crate) fn named_in(&self, path: &str, name: &str, nth: Option<usize>) -> Option<Located<'a>> {
        let mut named = self.named(name, Some(path)).into_iter();
        match nth {
            Some(nth) => named.find(|one| one.constant.nth == nth),
            None => named.next().filter(|_| named.next().is_none()),
        }
    }

    /// Returns the constant that a key names: `NAME`, `FILE:NAME`, `FILE:NAME#2` for the second of that name in the file, or
    /// `FILE:/a/b` for a value of a JSON, YAML or TOML file.
    ///
    /// # Errors
    /// No value has the name, or several have it.
    pub fn find(&self, key: &str) -> Result<Located<'a>, ConstantError> {
        self.find_for(key, None)
    }

    /// Returns the constant that a key names. Where several have the name, the range says which could be meant.
    pub(crate) fn find_for(&self, key: &str, knob: Option<&Knob>) -> Result<Located<'a>, ConstantError> {
        let split = || key.match_indices(':').map(|(at, _)| (&key[..at], &key[at + 1..]));
        let in_file = split().find(|(file, _)| self.0.contains_key(file));
        if let Some((file, pointer)) = in_file.filter(|(_, rest)| rest.starts_with('/')) {
            return self.at_pointer(key, file, pointer);
        }
        let (file, name) = match in_file {
            Some((file, name)) => (Some(file), name),
            None => match split().find(|(file, _)| file.contains(['.', '/'])) {
                Some((file, _)) => {
                    let known = listed(self.0.keys().map(|path| (*path).to_owned()));
                    return Err(ConstantError::NoFile { key: key.into(), file: file.into(), known });
                }
                None => (None, key),
            },
        };
        let (name, nth) = match name.rsplit_once('#') {
            Some((before, number)) => number.parse::<usize>().map_or((name, None), |nth| (before, Some(nth))),
            None => (name, None),
        };
        let all = self.named(name, file);
        let some: Vec<&Located<'a>> = all.iter().filter(|one| nth.is_none_or(|nth| one.constant.nth == nth)).collect();
        let annotated = |one: &Located<'a>| one.constant.range.is_some();
        let fitting = |one: &Located<'a>| match knob {
            Some(knob) => one.constant.fits(knob),
            None => is_literal(one.constant.value),
        };
        let only = |is_meant: &dyn Fn(&Located<'a>) -> bool| {
            let mut meant = some.iter().filter(|one| is_meant(one));
            meant.next().filter(|_| meant.next().is_none())
        };
        let meant = only(&|_| true).or_else(|| only(&annotated)).or_else(|| only(&fitting));
        match meant {
            Some(meant) => Ok((*meant).clone()),
            None if some.is_empty() => Err(self.unknown(key, name)),
            None => {
                let literal: Vec<&&Located<'a>> = some.iter().filter(|one| fitting(one)).collect();
                let shown = if literal.is_empty() { some.iter().collect() } else { literal };
                let place = |one: &&&Located<'a>| {
                    let Constant { number, value, .. } = one.constant;
                    format!("\"{}\" (line {number}, {value})", self.key_of(one))
                };
                let (count, places) = (shown.len(), listed(shown.iter().map(place)));
                Err(ConstantError::Ambiguous { name: key.into(), count, places })
            }
        }
    }

    /// Returns the shortest key that names a constant and no other with its name: `FILE:NAME`, else with its place among those
    /// of the file, or its pointer.
    pub fn key_of(&self, one: &Located<'_>) -> String {
        let Located { path, source, constant, .. } = one;
        let alike = self.scan(path).map_or(0, |scan| scan.constants.iter().filter(|c| c.name == constant.name).count());
        let found = || pointers(path, source).ok()?.into_iter().find(|(_, place)| *place == constant.place);
        match (alike > 1 || constant.nth == 0).then(found).flatten() {
            Some((pointer, _)) => format!("{path}:{pointer}"),
            None if alike > 1 => format!("{path}:{}#{}", constant.name, constant.nth),
            None => format!("{path}:{}", constant.name),
        }
    }

    fn named(&self, name: &str, file: Option<&str>) -> Vec<Located<'a>> {
        let files = self.0.iter().filter(|(path, _)| file.is_none_or(|file| file == **path));
        let mut found = Vec::new();
        for (path, source) in files.filter(|(_, source)| source.text.contains(name)) {
            let scan = self.scan(path).into_iter().flat_map(|scan| &scan.constants);
            let named = scan.filter(|constant| constant.name == name).cloned();
            found.extend(named.map(|constant| Located { path, source: source.text, constant }));
        }
        found
    }

    fn at_pointer(&self, key: &str, file: &str, pointer: &str) -> Result<Located<'a>, ConstantError> {
        let failed = |why: String| ConstantError::Pointer { key: key.into(), why };
        let Some((path, Source { text, .. })) = self.0.get_key_value(file) else {
            return Err(failed("there is no such file".into()));
        };
        if !Syntax::of(path, text).has_pointers() {
            return Err(failed(format!("{path} is no JSON, YAML or TOML file; give a name: \"{path}:NAME\"")));
        }
        let all = pointers(path, text).map_err(|why| failed(format!("{path} cannot be read: {why}")))?;
        match all.iter().find(|(known, _)| known == pointer) {
            Some((_, place)) => Ok(self.at_place(path, text, pointer, place.clone())),
            None => {
                let known = listed(all.iter().map(|(known, _)| format!("{path}:{known}")));
                Err(failed(format!("{path} has none there; there are: {known}")))
            }
        }
    }

    /// Returns the constant whose value lies there; one that no line names gets the last key of its pointer.
    fn at_place(&self, path: &'a str, source: &'a str, pointer: &str, place: Range<usize>) -> Located<'a> {
        let named = self.scan(path).and_then(|scan| scan.constants.iter().find(|constant| constant.place == place));
        if let Some(constant) = named {
            return Located { path, source, constant: constant.clone() };
        }
        let from = source.get(..place.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = source.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let number = source.get(..from).map_or(1, |before| before.matches('\n').count() + 1);
        let name = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
        let value = source.get(place.clone()).unwrap_or_default();
        let constant = Constant { name, value, line, number, place, range: None, rivals: Vec::new(), nth: 0 };
        Located { path, source, constant }
    }

    /// Returns every constant of every file.
    pub fn all(&self) -> Vec<Located<'a>> {
        let mut all = Vec::new();
        for (path, source) in self.files() {
            let constants = self.scan(path).into_iter().flat_map(|scan| scan.constants.iter().cloned());
            all.extend(constants.map(|constant| Located { path, source, constant }));
        }
        all
    }

    /// Describes that no value has a name, with the names of those that are written out.
    fn unknown(&self, key: &str, name: &str) -> ConstantError {
        let mut names: Vec<String> =
            self.all().into_iter().filter(|one| is_literal(one.constant.value)).map(|one| one.constant.name).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let wanted = name.to_lowercase();
        let distance = |other: &String| strsim::osa_distance(&wanted, &other.to_lowercase());
        // Two letters of two are another name, and no slip.
        let likely = |distance: usize| distance <= MOST_SLIPS && distance < wanted.chars().count();
        let nearest = names.iter().min_by_key(|other| distance(other)).filter(|other| likely(distance(other))).cloned();
        let known = if names.is_empty() { "none".to_owned() } else { listed(names.into_iter()) };
        ConstantError::Unknown { name: key.into(), nearest, known }
    }
}

/// Joins the first texts of a list.
fn listed(texts: impl Iterator<Item = String>) -> String {
    let mut texts = texts.peekable();
    let shown: Vec<String> = texts.by_ref().take(LISTED).collect();
    let more = if texts.peek().is_some() { ", …" } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_name_in_several_places_is_told_with_the_ways_to_say_which() {
        let files = files(&[
            ("a.py", "lr = 0.1\nm = f(lr=lr)\n"),
            ("b.py", "lr = 0.2\nopt(lr=0.3)\n"),
            ("c.json", "{\"opt\": {\"lr\": 1},\n \"fine\": {\"lr\": 2}}"),
        ]);
        let sources = Sources::new(&files);
        let error = sources.find("lr").unwrap_err().to_string();
        for key in
            ["5 places", "\"a.py:lr#1\" (line 1, 0.1)", "\"b.py:lr#2\" (line 2, 0.3)", "\"c.json:/opt/lr\" (line 1, 1)"]
        {
            assert!(error.contains(key), "{key}: {error}");
        }
        let value = |key: &str| sources.find(key).map(|one| one.constant.value).map_err(|error| error.to_string());
        assert_eq!(value("b.py:lr#2"), Ok("0.3"));
        assert_eq!(value("c.json:/fine/lr"), Ok("2"));
        assert_eq!(value("a.py:lr"), Ok("0.1"), "the other one has no value of its own");
        assert!(value("d.py:lr").unwrap_err().contains("none of the editable ones; there are: a.py, b.py, c.json"));
        assert!(value("c.json:/x").unwrap_err().contains("c.json:/opt/lr"));
        assert!(value("a.py:/x").unwrap_err().contains("\"a.py:NAME\""));
        assert!(value("width").unwrap_err().contains("there are: lr"));
        assert!(value("lr#9").unwrap_err().contains("no editable file"));
        assert!(!value("x").unwrap_err().contains("do you mean"), "one letter is like every other");
    }

    #[test]
    fn a_misspelt_name_is_told_the_one_that_is_meant() {
        let files = files(&[("a.rs", "const DEPTH: i64 = 8;\nconst WIDTH: i64 = 64;\n")]);
        let sources = Sources::new(&files);
        for slip in ["DEPHT", "depth", "DEPT", "a.rs:DEPTHS"] {
            let error = sources.find(slip).unwrap_err().to_string();
            assert!(error.contains("do you mean DEPTH? There are: DEPTH, WIDTH"), "{slip}: {error}");
        }
    }
}
