//! Links lead somewhere, and every page can be reached from the summary.

use std::path::{Component, Path, PathBuf};

use autoresearch_book::page::{Page, root};

use crate::{all, report};

/// The targets of the links and pictures of a page outside of its blocks.
fn targets(page: &Page) -> Vec<String> {
    let (mut inside, mut found) = (false, Vec::new());
    for line in page.text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        let links = line.split("](").skip(1).filter(|_| !inside);
        found.extend(
            links
                .filter_map(|rest| rest.split(')').next())
                .map(|target| target.split(' ').next().unwrap_or_default().to_owned()),
        );
    }
    found
}

/// The anchors of a page, as GitHub and mdBook make them from its headings.
fn anchors(page: &Page) -> Vec<String> {
    let headings =
        page.text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    headings
        .map(|heading| heading.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn links_lead_somewhere() {
    let pages = all();
    let mut found = Vec::new();
    for page in &pages {
        for target in targets(page) {
            if target.contains("://") || target.starts_with("mailto:") || target.is_empty() {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
            let path = if file.is_empty() { PathBuf::from(&page.path) } else { plain(&folder.join(file)) };
            if !root().join(&path).exists() {
                found.push(format!("{}: the link {target} leads nowhere", page.path));
            } else if let Some(other) = pages.iter().find(|other| Path::new(&other.path) == path)
                && !anchor.is_empty()
                && !anchors(other).iter().any(|there| there == anchor)
            {
                found.push(format!("{}: {} has no heading for {target}", page.path, other.path));
            }
        }
    }
    report(&found);
}

#[test]
fn every_page_of_the_book_is_in_the_summary() {
    let pages = all();
    let summary = pages.iter().find(|page| page.path == "docs/SUMMARY.md").expect("docs/SUMMARY.md");
    let listed: Vec<String> = targets(summary)
        .into_iter()
        .map(|target| plain(&Path::new("docs").join(target)).display().to_string())
        .collect();
    let book = pages.iter().filter(|page| page.path.starts_with("docs/") && page.path != "docs/SUMMARY.md");
    let missing = book.filter(|page| !listed.contains(&page.path));
    report(&missing.map(|page| format!("docs/SUMMARY.md does not list {}", page.path)).collect::<Vec<_>>());
}
