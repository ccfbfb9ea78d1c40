//! No block escapes: each says what it is, and each language has a check.

use autoresearch_book::page::{Block, root};
use autoresearch_book::pages::COMPILED;

use crate::{all, report};

/// Languages of blocks that nobody runs or parses: output, and inputs of other programs.
const SHOWN: &[&str] = &["text", "console", "json", "markdown", "diff", "c"];

/// The problem of a block's annotation, if it has one.
fn problem(block: &Block) -> Option<String> {
    let known: &[&str] = match block.language.as_str() {
        "" => return Some("has no language: write ```sh, ```rust, ```toml, ```text …".into()),
        "rust" => &["no_run", "compile_fail", "should_panic", "excerpt", "file"],
        "sh" => &["run"],
        "toml" => &["cargo", "file"],
        "python" => &["file"],
        "text" => &["output", "file"],
        "markdown" => &["file"],
        shown if SHOWN.contains(&shown) => &[],
        other => return Some(format!("is in the language {other}, which no test knows")),
    };
    if block.language == "python" && block.attribute("file").is_none() {
        return Some("is Python without a file: write ```python,file=NAME, so that the page's commands run it".into());
    }
    let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
    let unknown = block.attributes.iter().find(|word| !known.contains(&name(word).as_str()))?;
    Some(format!("has the annotation {unknown}; {} knows {known:?}", block.language))
}

#[test]
fn every_block_says_what_it_is() {
    let mut found = Vec::new();
    for page in all() {
        for block in &page.blocks {
            found.extend(problem(block).map(|problem| format!("{}:{}: the block {problem}", page.path, block.line)));
        }
    }
    report(&found);
}

#[test]
fn every_rust_block_is_compiled() {
    let mut found = Vec::new();
    for page in all() {
        let compiled = COMPILED.contains(&page.path.as_str()) || page.path == "autoresearch-core/README.md";
        for block in page.blocks.iter().filter(|block| block.language == "rust") {
            match block.attribute("excerpt") {
                Some(file) => found.extend(
                    not_an_excerpt(&block.text, file)
                        .map(|why| format!("{}:{}: the block is no excerpt of {file}: {why}", page.path, block.line)),
                ),
                None if !compiled => {
                    found.push(format!("{}:{}: the block is compiled by no test", page.path, block.line))
                }
                None => {}
            }
        }
    }
    report(&found);
}

/// Lines of the block must stand in the file in one piece, apart from indentation.
fn not_an_excerpt(text: &str, file: &str) -> Option<String> {
    let Ok(source) = std::fs::read_to_string(root().join(file)) else { return Some("there is no such file".into()) };
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (wanted, source) = (lines(text.trim()), lines(&source));
    if source.windows(wanted.len()).any(|window| window == wanted) {
        return None;
    }
    let missing = wanted.iter().find(|line| !source.contains(line));
    Some(missing.map_or("its lines stand in another order there".into(), |line| format!("it has no line `{line}`")))
}

#[test]
fn a_block_without_a_language_is_found() {
    let blocks = autoresearch_book::page::blocks("a\n```\nx\n```\n~~~sh,run\ny\n~~~\n");
    assert_eq!(blocks.len(), 2);
    assert!(problem(&blocks[0]).is_some());
    assert_eq!((problem(&blocks[1]), blocks[1].text.as_str(), blocks[1].line), (None, "y\n", 5));
}

#[test]
fn the_readme_is_short() {
    let pages = all();
    let readme = pages.iter().find(|page| page.path == "README.md").expect("a README.md");
    let words = readme.text.split_whitespace().count();
    assert!(words <= 700, "the README has {words} words; 700 at most: move detail to docs/");
}
