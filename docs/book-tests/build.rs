//! Makes a module of each page, so that rustdoc compiles and runs the Rust blocks in it.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/page.rs"]
#[allow(dead_code)]
mod page;

/// Its blocks are doctests of the crate itself.
const TESTED_ELSEWHERE: &str = "autoresearch-core/README.md";

fn main() {
    let (root, out) = (page::root(), env::var("OUT_DIR").unwrap_or_default());
    let (mut modules, mut compiled) = (String::new(), Vec::new());
    for page in page::pages(&root) {
        println!("cargo::rerun-if-changed={}", root.join(&page.path).display());
        let rust = page.blocks.iter().any(|block| block.language == "rust");
        if page.path == TESTED_ELSEWHERE || !rust {
            continue;
        }
        let text = match page::expand(&root.join(&page.path), &page.text) {
            Ok(text) => text,
            Err(why) => {
                println!("cargo::error={}: {why}", page.path);
                continue;
            }
        };
        let text: String = text.lines().map(|line| for_rustdoc(line) + "\n").collect();
        let name: String = page.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let file = Path::new(&out).join(format!("{name}.md"));
        if let Err(error) = fs::write(&file, text) {
            println!("cargo::error={}: {error}", file.display());
        }
        compiled.push(page.path);
        let name = name.to_lowercase();
        let _ = writeln!(modules, "#[doc = include_str!(\"{}\")]\npub mod {name} {{}}", file.display());
    }
    let _ = writeln!(
        modules,
        "/// The pages whose Rust blocks are compiled.\npub const COMPILED: &[&str] = &{compiled:?};"
    );
    if compiled.is_empty() {
        println!("cargo::error=no page with a Rust block was found below {}", root.display());
    }
    if let Err(error) = fs::write(Path::new(&out).join("pages.rs"), modules) {
        println!("cargo::error=pages.rs: {error}");
    }
    println!("cargo::rerun-if-changed={}", root.join("docs").display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/page.rs");
}

/// A line as rustdoc understands it. An excerpt of a file is compiled there, and `tests/book` checks that it is one; other
/// annotations with a value mean nothing to rustdoc.
fn for_rustdoc(line: &str) -> String {
    match line.split_once(',') {
        Some(("```rust", rest)) if rest.starts_with("excerpt=") => "```text".into(),
        Some((fence, rest)) if fence.starts_with("```") && rest.contains('=') => fence.into(),
        _ => line.into(),
    }
}
