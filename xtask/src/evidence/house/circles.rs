//! Circles among the files of each crate: A uses B and, over however many steps, B uses A.
//!
//! The unit is the file that a reader opens; an inline `mod` belongs to its file. A child may use its parent's types, a parent
//! may use its children, and both at once are a circle. `mod` lines and `pub use child::Item` are no uses: whoever names a
//! re-exported item uses the file that defines it. Code under `cfg(test)` is left out.

use std::collections::BTreeSet;
use std::path::Path;

use super::crates::{crates, shown};
use super::graph::{circles, uses};

/// Describes every circle of the workspace, one text each: its files and the lines that close it.
pub fn found(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for member in crates(root)? {
        for start in &member.roots {
            let uses = uses(start)?;
            for mut circle in circles(&uses) {
                let mut files: Vec<String> = circle.iter().map(|one| shown(root, &one.from)).collect();
                files.dedup();
                let mut text = format!("circle of {} files: {}", files.len(), files.join(", "));
                // The first line of each file's use of another is enough to find the rest.
                let mut seen = BTreeSet::new();
                circle.retain(|one| seen.insert((&one.from, &one.to)));
                for one in circle {
                    let (from, to) = (shown(root, &one.from), shown(root, &one.to));
                    text += &format!("\n  {from}:{} uses {} of {to}", one.line, one.path);
                }
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Circles of a crate of these files, each as the names of its files.
    fn circles_of(name: &str, files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = std::env::temp_dir().join(format!("xtask-circles-{}-{name}", std::process::id()));
        for (path, source) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        let uses = uses(&folder.join("lib.rs")).unwrap();
        let mut found: Vec<Vec<String>> = circles(&uses)
            .into_iter()
            .map(|circle| circle.iter().map(|one| shown(&folder, &one.from)).collect())
            .collect();
        found.iter_mut().for_each(|files: &mut Vec<String>| files.dedup());
        fs::remove_dir_all(folder).unwrap();
        found
    }

    #[test]
    fn two_files_that_use_each_other_are_a_circle() {
        let found = circles_of(
            "two",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use crate::b::B; pub struct A(B);"),
                ("b.rs", "pub struct B; impl B { fn a() { crate::a::A::new() } }"),
                ("c.rs", "use crate::{a::A, b::B}; fn c(_: A, _: B) {}"),
            ],
        );
        assert_eq!(found, [["a.rs", "b.rs"]]);
    }

    #[test]
    fn a_circle_over_three_files_of_three_folders_is_found() {
        let found = circles_of(
            "three",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "mod x;"),
                ("a/x.rs", "use crate::b; fn x() { b::y::Y::new() }"),
                ("b.rs", "pub mod y;"),
                ("b/y.rs", "use super::super::c::*; pub struct Y(Z);"),
                ("c.rs", "pub struct Z; const C: usize = crate::a::x::X;"),
            ],
        );
        // `x` defines no X: the path leads nowhere, and there is no circle.
        assert!(found.is_empty(), "{found:?}");
        let found = circles_of(
            "three-closed",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "pub mod x;"),
                ("a/x.rs", "use crate::b; pub const X: usize = 1; fn x() { b::y::Y::new() }"),
                ("b.rs", "pub mod y;"),
                ("b/y.rs", "use super::super::c::*; pub struct Y(Z);"),
                ("c.rs", "pub struct Z; const C: usize = crate::a::x::X;"),
            ],
        );
        assert_eq!(found, [["a/x.rs", "b/y.rs", "c.rs"]]);
    }

    #[test]
    fn a_child_may_use_its_parent_and_be_reexported_and_not_be_used_back() {
        let parent = "mod child; pub use child::Child; pub struct Parent;";
        let child = "use super::Parent; pub struct Child(Parent);";
        assert!(circles_of("up", &[("lib.rs", "mod a;"), ("a.rs", parent), ("a/child.rs", child)]).is_empty());
        let back = format!("{parent} fn both(_: Child) {{}}");
        assert_eq!(
            circles_of("back", &[("lib.rs", "mod a;"), ("a.rs", &back), ("a/child.rs", child)]),
            [["a/child.rs", "a.rs"]]
        );
    }

    #[test]
    fn an_item_belongs_to_the_file_that_defines_it_however_it_is_named() {
        let found = circles_of(
            "facade",
            &[
                ("lib.rs", "mod a; mod b; pub use a::A as Renamed;"),
                ("a.rs", "mod deep; pub use deep::*; fn a(_: crate::b::B) {}"),
                ("a/deep.rs", "pub struct A;"),
                ("b.rs", "use crate::Renamed; pub struct B(Renamed);"),
            ],
        );
        assert!(found.is_empty(), "b uses a/deep.rs, not a.rs: {found:?}");
        let found = circles_of(
            "facade-closed",
            &[
                ("lib.rs", "mod a; mod b; pub use a::A as Renamed;"),
                ("a.rs", "mod deep; pub use deep::*;"),
                ("a/deep.rs", "pub struct A; use crate::b::B as Other; fn a(_: Other) {}"),
                ("b.rs", "use crate::Renamed; pub struct B(Renamed);"),
            ],
        );
        assert_eq!(found, [["a/deep.rs", "b.rs"]]);
    }

    #[test]
    fn tests_comments_and_texts_are_no_uses() {
        let found = circles_of(
            "tests",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B; pub struct A(B); #[cfg(test)] mod tests;"),
                (
                    "b.rs",
                    "pub struct B; // crate::a::A
                    const TEXT: &str = \"crate::a::A\";
                    #[cfg(test)] use crate::a::A;
                    #[cfg(all(test, unix))] mod tests { use crate::a::A; }",
                ),
            ],
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn circles_of_this_workspace_are_none() {
        let found = found(&crate::places::root()).unwrap();
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}
