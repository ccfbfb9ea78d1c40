//! The space of a search: every constant with a range, in its comment or by name.

use std::collections::BTreeMap;

use super::error::ConstantError;
use super::range::{Knob, elements};
use super::scan::Constant;
use super::site::Site;
use super::sources::{Located, Sources};

/// Returns the constants with a range, in their comments or in `ranges`, which come first. Each has a label that no other has.
///
/// # Errors
/// A range cannot be read or does not fit its constant, or a name is unknown or stands in several places.
pub fn sites<'a>(sources: &Sources<'a>, ranges: &BTreeMap<String, String>) -> Result<Vec<Site<'a>>, ConstantError> {
    let mut found: Vec<(Located<'a>, Option<&String>, String)> = Vec::new();
    for (key, range) in ranges {
        let one = sources.find_for(key, Some(&Knob::parse(key, range)?))?;
        let twice = found.iter().find(|(other, ..)| is_same_place(other, &one)).and_then(|(_, first, _)| *first);
        if let Some(first) = twice {
            return Err(ConstantError::Twice { first: first.clone(), second: key.clone() });
        }
        found.push((one, Some(key), range.clone()));
    }
    for (path, source) in sources.files().filter(|(_, source)| source.contains("knob:")) {
        let Some(scan) = sources.scan(path) else { continue };
        if let Some(line) = scan.lost.first() {
            return Err(ConstantError::Lost { file: path.into(), line: *line });
        }
        for constant in &scan.constants {
            let Some(range) = &constant.range else { continue };
            let one = Located { path, source, constant: constant.clone() };
            if found.iter().any(|(other, ..)| is_same_place(other, &one)) {
                continue;
            }
            if !constant.rivals.is_empty() {
                return Err(ConstantError::Rivals {
                    file: path.into(),
                    line: constant.number,
                    names: constant.rivals.join(", "),
                    name: constant.name.clone(),
                    range: range.clone(),
                });
            }
            found.push((one, None, range.clone()));
        }
    }
    found.sort_by(|(a, ..), (b, ..)| (a.path, a.constant.place.start).cmp(&(b.path, b.constant.place.start)));
    let keys: Vec<String> = found.iter().map(|(one, key, _)| key.unwrap_or(&one.constant.name).clone()).collect();
    let mut sites = Vec::new();
    for (one, key, range) in found {
        let name = key.unwrap_or(&one.constant.name);
        let is_unique = keys.iter().filter(|other| *other == name).count() == 1;
        let label = if is_unique { name.clone() } else { sources.key_of(&one) };
        let mut site = Site::new(one, label, &range)?;
        name_by_line(&mut site, sources);
        sites.push(site);
    }
    Ok(sites)
}

/// Says how patches name a site: by its line, or by the list on its line that it is an element of.
fn name_by_line(site: &mut Site<'_>, sources: &Sources<'_>) {
    let Some(scan) = sources.scan(site.path) else { return };
    let place = &site.constant.place;
    let holds = |list: &&Constant<'_>| list.place.start < place.start && list.place.end > place.end;
    if let Some(list) = scan.constants.iter().find(holds).filter(|_| site.line_nth == 0) {
        let before = place.start - list.place.start;
        site.element = list.value.get(..before).map(|before| elements(&format!("{before}0")).len() - 1);
        (site.line_name, site.line_nth) = (list.name.clone(), list.nth);
    }
    let alike = scan.constants.iter().filter(|constant| constant.name == site.line_name);
    site.is_alone = site.line_nth > 0 && alike.count() == 1;
}

fn is_same_place(a: &Located<'_>, b: &Located<'_>) -> bool {
    a.path == b.path && a.constant.place == b.constant.place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(files: &[(&str, &str)], ranges: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let files = owned(files);
        let sources = Sources::new(&files);
        let sites = sites(&sources, &owned(ranges)).map_err(|error| error.to_string())?;
        Ok(sites.into_iter().map(|site| format!("{}={} {}", site.label, site.constant.value, site.range)).collect())
    }

    #[test]
    fn labels_are_unique() {
        let lr = "lr = 0.1  # knob: log 0.01..1\n";
        let files = [("a.py", lr), ("b.py", lr), ("c.json", "{\"n\": 1, \"o\": {\"n\": 2}}")];
        assert_eq!(
            labels(&files, &[("c.json:/o/n", "int 1..9")]).unwrap(),
            ["a.py:lr=0.1 log 0.01..1", "b.py:lr=0.1 log 0.01..1", "c.json:/o/n=2 int 1..9"]
        );
        let twice = "f(lr=0.1)  # knob: log 0.01..1\ng(lr=0.2)  # knob: log 0.01..1\n";
        assert_eq!(
            labels(&[("a.py", twice)], &[]).unwrap(),
            ["a.py:lr#1=0.1 log 0.01..1", "a.py:lr#2=0.2 log 0.01..1"]
        );
        assert_eq!(
            labels(&[("a.py", lr)], &[("lr", "lin 0.1..0.2")]).unwrap(),
            ["lr=0.1 lin 0.1..0.2"],
            "that of the configuration comes first"
        );
    }

    #[test]
    fn ranges_that_lead_nowhere_are_told() {
        let a = ("a.py", "f(a=1, b=2)  # knob: int 1..9\n");
        assert!(
            labels(&[a], &[]).unwrap_err().contains("a.py:1: the range could mean a, b; say which: `knob: a int 1..9`")
        );
        assert!(
            labels(&[("a.py", "f(  # knob: int 1..9\n")], &[]).unwrap_err().contains("a.py:1: the comment has a range")
        );
        let b = ("b.py", "x = 1\n");
        assert!(labels(&[b], &[("x", "int 1..9"), ("b.py:x", "int 1..9")]).unwrap_err().contains("leave one out"));
        assert!(labels(&[b], &[("y", "int 1..9")]).unwrap_err().contains("there are: x"));
    }
}
