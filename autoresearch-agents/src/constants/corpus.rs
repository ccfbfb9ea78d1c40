//! Every line of `tests/data/knob-lines.txt` is read and changed as it says, and random edits of them change nothing but values.

use std::collections::{BTreeMap, BTreeSet};

use autoresearch_core::{EditablePaths, Patch};
use proptest::prelude::*;

use super::{Knob, Located, Site, Sources, edits, same, set, sites};

/// A line of the corpus with its expectations.
#[derive(Debug, Clone)]
struct Case {
    language: String,
    path: String,
    ranges: BTreeMap<String, String>,
    line: String,
    name: String,
    value: String,
    new: String,
    expected: String,
}

fn corpus() -> Vec<Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/knob-lines.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let case = |block: &str| {
        let mut lines = block.lines();
        let head: Vec<&str> = lines.next().unwrap().splitn(3, " | ").collect();
        let range = head.get(2).map(|range| range.split_once(" = ").unwrap());
        let line = lines.next().unwrap();
        let (name, values) = lines.next().unwrap().split_once(": ").unwrap();
        let (value, new) = values.split_once(" -> ").unwrap();
        Case {
            language: head[0].into(),
            path: head[1].into(),
            ranges: range.into_iter().map(|(key, range)| (key.to_owned(), range.to_owned())).collect(),
            line: line.into(),
            name: name.into(),
            value: value.into(),
            new: new.into(),
            expected: lines.next().unwrap().into(),
        }
    };
    text.split("\n=== ").skip(1).map(case).collect()
}

impl Case {
    /// The file around the line: a line of another kind before and after it where the format allows that.
    fn files(&self, end: &str) -> BTreeMap<String, String> {
        let text = match self.line.starts_with('{') && self.language == "JSON" {
            true => format!("{}{end}", self.line),
            false => format!("{end}{}{end}", self.line),
        };
        [(self.path.clone(), text)].into()
    }

    /// Checks the case, and returns what is wrong.
    fn check(&self, end: &str) -> Result<(), String> {
        let files = self.files(end);
        let sources = Sources::new(&files);
        let all = sites(&sources, &self.ranges).map_err(|error| error.to_string())?;
        let [site] = &all[..] else { return Err(format!("{} constants have ranges", all.len())) };
        if (&site.constant.name, site.constant.value) != (&self.name, &self.value) {
            return Err(format!("it is {} = {}", site.constant.name, site.constant.value));
        }
        let new = literal(site, &self.new);
        let changed = changed(&files, site, &new);
        let expected = files[&self.path].replace(&self.line, &self.expected);
        if changed[&self.path] != expected {
            return Err(format!("it gives {:?}", changed[&self.path]));
        }
        let sources = Sources::new(&changed);
        let again = sites(&sources, &self.ranges).map_err(|error| error.to_string())?;
        match again.first().map(|site| site.constant.value == new) {
            Some(true) => Ok(()),
            _ => Err("the new value is not read back".into()),
        }
    }
}

/// The literal for a number, or for a choice as the range has it.
fn literal(site: &Site<'_>, new: &str) -> String {
    match (&site.knob, Knob::parse("", &site.range).unwrap()) {
        (Knob::Choice(_), Knob::Choice(written)) => {
            site.literal(written.iter().position(|choice| choice == new).unwrap() as f64)
        }
        _ => site.written(new.parse().unwrap()),
    }
}

/// The files after an edit, which is the same as a text put in the value's place.
fn changed(files: &BTreeMap<String, String>, site: &Site<'_>, new: &str) -> BTreeMap<String, String> {
    let edits = edits(site.path, site.source, vec![(site.constant.place.clone(), new.to_owned())]);
    let changed = match site.constant.value == new {
        true => files.clone(),
        false => Patch { edits }.applied_to(files, &EditablePaths::new([site.path])).unwrap(),
    };
    let one = Located { path: site.path, source: site.source, constant: site.constant.clone() };
    assert_eq!(changed[site.path], set(&one, new));
    changed
}

#[test]
fn every_line_is_read_and_changed_as_it_says() {
    let corpus = corpus();
    let mut wrong = Vec::new();
    for case in &corpus {
        for end in ["\n", "\r\n"] {
            if let Err(why) = case.check(end) {
                wrong.push(format!("{} {}: {why}", case.path, case.line));
            }
        }
    }
    let known = corpus.iter().map(|case| case.language.as_str()).filter(|name| *name != "an unknown language");
    let languages: BTreeSet<&str> = known.collect();
    let named = |case: &Case| super::syntax::Syntax::of(&case.path, "").name == case.language;
    assert!(corpus.iter().all(named), "{:?}", corpus.iter().find(|case| !named(case)));
    let right = corpus.iter().filter(|case| ["\n", "\r\n"].iter().all(|end| case.check(end).is_ok())).count();
    println!("evidence knob-forms right {right} of {} languages {}", corpus.len(), languages.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(corpus.len() >= 60 && languages.len() >= 14, "{} {}", corpus.len(), languages.len());
}

proptest! {
    /// Any text is read as any language.
    #[test]
    fn no_text_panics(
        path in proptest::sample::select(&["a.py", "a.rs", "a.c", "a.go", "a.js", "a.json", "a.toml", "a.yaml", "a.ini", "a.sh",
            "a.jl", "a.lua", "a.rb", "a.R", "a.cmake", "Makefile", "a"][..]),
        text in "([a-zäA-Z0-9_ .,:;=(){}\\[\\]#/*'\"\\\\<>$-]|\n|knob: (int|log|lin) 1\\.\\.2|set\\(|#define |=> ){0,40}",
    ) {
        let files: BTreeMap<String, String> = [(path.to_owned(), text.clone())].into();
        let sources = Sources::new(&files);
        let _ = sites(&sources, &BTreeMap::new());
        for one in sources.all() {
            prop_assert_eq!(&text[one.constant.place.clone()], one.constant.value);
            let changed = set(&one, "1");
            prop_assert_eq!(changed.len() + one.constant.value.len(), text.len() + 1);
        }
    }

    /// Several lines of the corpus make a file, and a random literal of its range is put into each value.
    #[test]
    fn random_edits_change_nothing_but_values(seed: u64, picked in proptest::collection::vec(0usize..1000, 1..5), share in 0.0..1.0f64) {
        let corpus = corpus();
        let first = &corpus[picked[0] % corpus.len()];
        // Lines of one file; those that are whole JSON texts stand alone.
        let alike = |case: &&Case| case.path == first.path && case.ranges.is_empty() && !case.line.starts_with('{');
        let others: Vec<&Case> = corpus.iter().filter(alike).collect();
        let lines: Vec<&str> = match alike(&first) {
            true => picked.iter().map(|at| others[at % others.len()].line.as_str()).collect(),
            false => vec![first.line.as_str()],
        };
        let end = if seed % 2 == 0 { "\n" } else { "\r\n" };
        let files: BTreeMap<String, String> = [(first.path.clone(), lines.join(end))].into();
        let sources = Sources::new(&files);
        let all = sites(&sources, &first.ranges).unwrap();
        prop_assert_eq!(all.len(), lines.len());
        let mut news = Vec::new();
        for site in &all {
            let (low, high) = site.knob.ends();
            let new = site.literal(low + (high - low) * share);
            prop_assert!(site.knob.number(&new).is_some(), "{} is outside {}", new, site.range);
            news.push((site.constant.place.clone(), new));
        }
        let text = &files[&first.path];
        let edits = edits(&first.path, text, news.clone());
        let patched = Patch { edits }.applied_to(&files, &EditablePaths::new([&first.path]));
        let is_changed = all.iter().zip(&news).any(|(site, (_, new))| site.constant.value != new);
        prop_assert_eq!(patched.is_ok(), is_changed, "{:?}", patched);
        let changed = if is_changed { patched.unwrap() } else { files.clone() };
        // Outside the values every byte is the same.
        let mut expected = text.clone();
        for (place, new) in news.iter().rev() {
            expected.replace_range(place.clone(), new);
        }
        prop_assert_eq!(&changed[&first.path], &expected);
        let sources = Sources::new(&changed);
        let again = sites(&sources, &first.ranges).unwrap();
        prop_assert_eq!(again.len(), all.len());
        for ((site, before), (_, new)) in again.iter().zip(&all).zip(&news) {
            prop_assert!(site.constant.value == new && same(site.constant.value, new));
            prop_assert_eq!(&site.constant.name, &before.constant.name);
        }
    }
}
