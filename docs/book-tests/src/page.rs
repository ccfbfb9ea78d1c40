//! Reads the Markdown pages of the repository and the fenced blocks in them.
//!
//! The build script includes this file as well, so it uses nothing but the standard library.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file of the repository.
#[derive(Debug, Clone)]
pub struct Page {
    /// Path relative to the root of the repository, with `/` between folders.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The fenced blocks, in their order.
    pub blocks: Vec<Block>,
}

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// Language: the first word of the annotation, empty without one.
    pub language: String,
    /// The other words of the annotation, which commas separate.
    pub attributes: Vec<String>,
    /// The text between the fences, without the indentation of the opening fence.
    pub text: String,
}

impl Block {
    /// True if the annotation has this word after the language.
    pub fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|word| word == attribute)
    }

    /// The value of an attribute `name=value`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Folders without pages of the book: build outputs, and inputs of tests.
const SKIPPED: &[&str] = &["target", "node_modules", "tests", "testdata", "fixtures"];

/// The root of the repository. Cargo names the folder of this package when it runs a build script or a test; a compiled-in
/// path might be that of another checkout with the same target folder.
pub fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.join("../..")
}

/// All Markdown files below `root`, in alphabetical order.
pub fn pages(root: &Path) -> Vec<Page> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort_by(|a: &Page, b: &Page| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Page>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                collect(root, &path, found);
            }
        } else if name.ends_with(".md")
            && let (Ok(relative), Ok(text)) = (path.strip_prefix(root), fs::read_to_string(&path))
        {
            let path = relative.to_string_lossy().replace('\\', "/");
            found.push(Page { path, blocks: blocks(&text), text });
        }
    }
}

/// The fenced blocks of a text. A fence is closed by one of the same character that is at least as long.
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, Option<(String, usize)>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let fence = fence(line.trim_start());
        match (&open, fence) {
            (None, Some((mark, annotation))) => {
                let mut words = annotation.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned);
                let language = words.next().unwrap_or_default();
                found.push(Block { line: number + 1, language, attributes: words.collect(), text: String::new() });
                open = Some((mark.to_owned(), indent));
            }
            (Some((mark, _)), Some((closing, ""))) if closing.starts_with(mark.as_str()) => open = None,
            (Some((_, outer)), _) => {
                let line = line.get((*outer).min(indent)..).unwrap_or_default();
                if let Some(block) = found.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (None, None) => {}
        }
    }
    found
}

/// Splits a line that opens or closes a block into its fence and the annotation after it.
fn fence(line: &str) -> Option<(&str, &str)> {
    let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark))?;
    let length = line.len() - line.trim_start_matches(mark.chars().next()?).len();
    Some((&line[..length], line[length..].trim()))
}

/// The text with mdBook's `{{#include FILE}}` and `{{#include FILE:ANCHOR}}` carried out. `page` is the path of the page.
pub fn expand(page: &Path, text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    for line in text.lines() {
        let directive = line.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}"));
        match directive {
            None => expanded.push_str(line),
            Some(target) => {
                let (file, anchor) = target.trim().split_once(':').unwrap_or((target.trim(), ""));
                let path = page.parent().unwrap_or(Path::new("")).join(file);
                let source = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                expanded.push_str(part(&source, anchor).ok_or(format!("{file} has no anchor {anchor}"))?.trim_end());
            }
        }
        expanded.push('\n');
    }
    Ok(expanded)
}

/// The lines between `ANCHOR: name` and `ANCHOR_END: name`; all lines for an empty name.
fn part<'a>(source: &'a str, anchor: &str) -> Option<&'a str> {
    if anchor.is_empty() {
        return Some(source);
    }
    let begin = source.find(&format!("ANCHOR: {anchor}\n"))?;
    let begin = begin + source[begin..].find('\n')? + 1;
    let end = begin + source[begin..].find(&format!("ANCHOR_END: {anchor}"))?;
    let end = source[..end].rfind('\n')? + 1;
    source.get(begin..end)
}
