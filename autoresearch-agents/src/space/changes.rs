//! Changes of constants by patches.

use autoresearch_core::{FileEdit, Patch};

use crate::constants::{Constant, Site, Sources, elements, scan};

/// Changes of constants by one patch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub constants: Vec<Change>,
    /// True if the patch changes something else, too.
    pub others: bool,
}

/// Another literal for a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub path: String,
    pub name: String,
    /// Place among the constants of this name in the file, if it is known.
    pub nth: Option<usize>,
    /// The former literal, where the patch shows it.
    pub old: Option<String>,
    pub new: String,
}

/// A part of a file before and after a patch.
struct Part {
    path: String,
    old: String,
    new: String,
    /// True if the patch replaced just the old text.
    shown: bool,
}

/// Returns the changes of constants that the text of a patch shows. `sources` are the present files, which help with edits that
/// show only a part of a line, and with names that stand in several places.
pub(crate) fn changes(patch: &Patch, sources: &Sources<'_>) -> Changes {
    let mut changes = Changes::default();
    for edit in &patch.edits {
        let parts = match edit {
            FileEdit::Replace { path, search, replace } => {
                let whole = sources.text(path).and_then(|text| whole_lines(text, search, replace));
                let (old, new) = whole.unwrap_or_else(|| (search.clone(), replace.clone()));
                vec![Part { path: path.clone(), old, new, shown: true }]
            }
            FileEdit::Write { path, text } => {
                let today = sources.text(path).unwrap_or_default().to_owned();
                vec![Part { path: path.clone(), old: today, new: text.clone(), shown: false }]
            }
            FileEdit::Delete { .. } => {
                changes.others = true;
                Vec::new()
            }
            FileEdit::Diff { diff } => hunks(diff),
        };
        for part in &parts {
            changes.compare(part, sources);
        }
    }
    changes
}

impl Changes {
    /// Returns the change of a site.
    pub fn of(&self, site: &Site<'_>) -> Option<Change> {
        self.constants.iter().find_map(|change| change.at(site))
    }

    /// Returns true if all changed constants are these sites.
    pub fn are_of(&self, sites: &[Site<'_>]) -> bool {
        self.constants.iter().all(|change| {
            // Each changed element of a list is a site, or the whole is one.
            let elements = change.elements();
            let known =
                |at: usize| sites.iter().any(|site| change.is_of(site) && site.element.is_none_or(|own| own == at));
            match sites.iter().any(|site| change.is_of(site) && site.element.is_none()) {
                true => true,
                false => !elements.is_empty() && elements.iter().all(|(at, ..)| known(*at)),
            }
        })
    }

    /// Adds the difference between both sides of a part.
    fn compare(&mut self, part: &Part, sources: &Sources<'_>) {
        let (old, new) = (scan(&part.path, &part.old), scan(&part.path, &part.new));
        let are_alike = old.skeletons == new.skeletons && old.constants.len() == new.constants.len();
        self.others |= !are_alike;
        let at = match part.shown {
            true => sources.line_of(&part.path, &old.skeletons),
            // A whole file begins with its first line.
            false => Some(0),
        };
        for (place, constant) in new.constants.iter().enumerate() {
            let before = match are_alike {
                true => old.constants.get(place),
                false => old.constants.iter().find(|c| c.name == constant.name && c.nth == constant.nth),
            };
            if before.is_some_and(|before| before.value == constant.value) {
                continue;
            }
            let nth = at.filter(|_| are_alike).and_then(|at| {
                let is_before = |c: &&Constant<'_>| c.number == constant.number && c.place.start < constant.place.start;
                let column = new.constants.iter().filter(is_before);
                sources.constant_at(&part.path, at + constant.number, column.count()).map(|constant| constant.nth)
            });
            self.add(Change {
                path: part.path.clone(),
                name: constant.name.clone(),
                nth,
                old: before.filter(|_| part.shown).map(|before| before.value.to_owned()),
                new: constant.value.to_owned(),
            });
        }
    }

    /// Adds a change. Of two edits of one constant the first shows the former literal.
    fn add(&mut self, change: Change) {
        let same = |known: &&mut Change| {
            (&known.path, &known.name, known.nth) == (&change.path, &change.name, change.nth) && change.nth.is_some()
        };
        match self.constants.iter_mut().find(same) {
            Some(known) => known.new = change.new,
            None => self.constants.push(change),
        }
    }
}

impl Change {
    /// Returns true if the line of a site has changed there, or the list that it is an element of.
    fn is_of(&self, site: &Site<'_>) -> bool {
        let (name, nth) = (&site.line_name, site.line_nth);
        self.path == site.path && self.name == *name && (site.is_alone || nth > 0 && self.nth == Some(nth))
    }

    /// Returns the change as one of a site, which may be an element of the list that has changed.
    fn at(&self, site: &Site<'_>) -> Option<Change> {
        if !self.is_of(site) {
            return None;
        }
        let Some(at) = site.element else { return Some(self.clone()) };
        let (_, old, new) = self.elements().into_iter().find(|(place, ..)| *place == at)?;
        Some(Change { old, new, ..self.clone() })
    }

    /// Returns the elements of a list that differ: their places, the former literals and the new ones.
    fn elements(&self) -> Vec<(usize, Option<String>, String)> {
        let new = elements(&self.new);
        let old = self.old.as_deref().map(elements);
        if old.as_ref().is_some_and(|old| old.len() != new.len()) {
            return Vec::new();
        }
        let pairs = new.into_iter().enumerate().map(|(at, new)| {
            let old = old.as_ref().and_then(|old| old.get(at)).cloned();
            (at, old, new)
        });
        pairs.filter(|(_, old, new)| old.as_ref() != Some(new)).collect()
    }

    /// Returns true if a key of a configuration could name the constant.
    pub fn has_key(&self, key: &str) -> bool {
        let in_file = key.strip_prefix(&self.path).and_then(|rest| rest.strip_prefix(':'));
        let name = in_file.unwrap_or(key);
        if let Some(last) = name.strip_prefix('/').map(|pointer| pointer.rsplit('/').next().unwrap_or(pointer)) {
            return in_file.is_some() && last.replace("~1", "/").replace("~0", "~") == self.name;
        }
        match name.rsplit_once('#').and_then(|(name, nth)| Some((name, nth.parse::<usize>().ok()?))) {
            Some((name, nth)) => name == self.name && self.nth.is_none_or(|own| own == nth),
            None => name == self.name,
        }
    }
}

/// Returns both sides of a replacement as whole lines, if either of them occurs in the text exactly once.
fn whole_lines(text: &str, search: &str, replace: &str) -> Option<(String, String)> {
    let part = [search, replace].into_iter().find(|part| !part.is_empty() && text.matches(*part).count() == 1)?;
    let (before, after) = text.split_once(part)?;
    let before = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    let after = after.split_once('\n').map_or(after, |(line, _)| line);
    Some((format!("{before}{search}{after}"), format!("{before}{replace}{after}")))
}

/// Returns the parts that a diff shows, with the lines around them.
fn hunks(diff: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut path = String::new();
    let mut lines = diff.lines().peekable();
    while let Some(line) = lines.next() {
        let header =
            line.starts_with("--- ").then(|| lines.peek().and_then(|next| next.strip_prefix("+++ "))).flatten();
        if let Some(name) = header {
            lines.next();
            let name = name.split('\t').next().unwrap_or(name).trim_end();
            path = name.strip_prefix("b/").unwrap_or(name).to_owned();
        }
        if header.is_some() || line.starts_with("@@") {
            parts.push(Part { path: path.clone(), old: String::new(), new: String::new(), shown: true });
            continue;
        }
        let Some(part) = parts.last_mut() else { continue };
        let text = line.get(1..).unwrap_or_default();
        if !line.starts_with(['+', '\\']) {
            part.old = format!("{}{text}\n", part.old);
        }
        if !line.starts_with(['-', '\\']) {
            part.new = format!("{}{text}\n", part.new);
        }
    }
    parts.retain(|part| !(part.old.is_empty() && part.new.is_empty()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use x;\nconst LR: f64 = 0.04; // knob: log 0.01..0.1\nconst DEPTH: i64 = 8; // knob: int 1..16\nfn f() { g(1) }\n";

    fn seen(edit: FileEdit) -> (Vec<(String, Option<String>, String)>, bool) {
        let files = [("a.rs".to_owned(), SOURCE.to_owned())].into();
        let changes = changes(&Patch { edits: vec![edit] }, &Sources::new(&files));
        (changes.constants.into_iter().map(|change| (change.name, change.old, change.new)).collect(), changes.others)
    }

    fn replace(search: &str, replace: &str) -> FileEdit {
        FileEdit::Replace { path: "a.rs".into(), search: search.into(), replace: replace.into() }
    }

    #[test]
    fn constants_are_read_from_every_kind_of_edit() {
        let lr = |old: Option<&str>| vec![("LR".to_owned(), old.map(str::to_owned), "0.02".to_owned())];
        let line = "const LR: f64 = 0.04; // knob: log 0.01..0.1";
        assert_eq!(seen(replace(line, &line.replace("0.04", "0.02"))), (lr(Some("0.04")), false));
        assert_eq!(seen(replace("= 0.04", "= 0.02")), (lr(Some("0.04")), false), "a part of a line");
        assert!(seen(replace("use x;\nconst LR: f64 = 0.04;", "use y;\nconst LR: f64 = 0.02;")).1);
        let diff = "--- a/a.rs\n+++ b/a.rs\n@@ -2 +2 @@\n-const LR: f64 = 0.04;\n+const LR: f64 = 0.02;\n const DEPTH: i64 = 8;\n";
        assert_eq!(seen(FileEdit::Diff { diff: diff.into() }), (lr(Some("0.04")), false));
        let (constants, others) = seen(FileEdit::Write { path: "a.rs".into(), text: SOURCE.replace("0.04", "0.02") });
        assert_eq!((constants.last(), others), (lr(None).last(), false), "what stood there is not known");
        assert_eq!(seen(replace("g(1)", "g(2)")), (vec![], true));
    }

    #[test]
    fn of_names_in_several_places_the_right_one_has_changed() {
        let text = "a = f(\n  lr=1,\n)\nb = f(\n  lr=2,\n)\n";
        let files = [("a.py".to_owned(), text.to_owned())].into();
        let sources = Sources::new(&files);
        let sites = |key: &str| {
            let ranges = [(key.to_owned(), "int 1..9".to_owned())].into();
            crate::constants::sites(&sources, &ranges).unwrap().remove(0)
        };
        let (first, second) = (sites("a.py:lr#1"), sites("a.py:lr#2"));
        // A past change, since when both values have changed again.
        let edits = vec![FileEdit::Replace {
            path: "a.py".into(),
            search: "b = f(\n  lr=7,".into(),
            replace: "b = f(\n  lr=8,".into(),
        }];
        let found = changes(&Patch { edits }, &sources);
        assert_eq!(found.of(&first), None);
        assert_eq!(found.of(&second).map(|change| (change.old, change.new)), Some((Some("7".into()), "8".into())));
        assert!(!found.others && !found.are_of(&[first]) && found.are_of(&[second]));
        let change = &found.constants[0];
        let keys = ["lr", "a.py:lr", "a.py:lr#2", "a.py:/x/lr", "b.py:lr", "a.py:lr#1", "l"];
        assert_eq!(keys.map(|key| change.has_key(key)), [true, true, true, true, false, false, false]);
    }

    #[test]
    fn an_element_of_a_list_is_a_constant_of_its_own() {
        let text = "{\"x\": {\"betas\": [0.9, 0.95]}, \"y\": {\"betas\": [0.8, 0.99]}}";
        let files = [("a.json".to_owned(), text.to_owned())].into();
        let sources = Sources::new(&files);
        let ranges = ["/x/betas/1", "/y/betas/0"].map(|key| (format!("a.json:{key}"), "lin 0..1".to_owned())).into();
        let sites = crate::constants::sites(&sources, &ranges).unwrap();
        let edit = |from: &str, to: &str| {
            let edits =
                vec![FileEdit::Replace { path: "a.json".into(), search: text.into(), replace: text.replace(from, to) }];
            changes(&Patch { edits }, &sources)
        };
        let found = edit("0.95", "0.5");
        assert_eq!(found.of(&sites[0]).map(|c| (c.old, c.new)), Some((Some("0.95".into()), "0.5".into())));
        assert_eq!(found.of(&sites[1]), None);
        assert!(!found.others && found.are_of(&sites) && !found.are_of(&sites[1..]));
        assert!(!edit("0.9,", "0.7,").are_of(&sites), "no site has changed");
        assert!(!edit("[0.8, 0.99]", "[0.8]").are_of(&sites));
    }
}
