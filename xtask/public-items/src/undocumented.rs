//! Public items without a sentence, and traits and constructors without a doctest.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use rustdoc_types::{Crate, Id, Item, ItemEnum, StructKind, Type, VariantKind, Visibility};

/// Lists them, one line each.
pub fn undocumented(json: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = walked(json)?.1;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Counts the items that are reached from outside, each once however many paths lead to it.
pub fn distinct(json: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(vec![walked(json)?.0.to_string()])
}

fn walked(json: &Path) -> Result<(usize, Vec<String>), Box<dyn Error>> {
    let document: Crate = serde_json::from_str(&crate::prelude::taken_out(&fs::read_to_string(json)?)?.1)?;
    let mut walk = Walk { document: &document, seen: BTreeSet::new(), found: Vec::new() };
    walk.item(&document.root, "");
    // A re-export is a path to an item, and no item of its own.
    let is_item = |id: &&u32| !matches!(document.index.get(&Id(**id)).map(|item| &item.inner), Some(ItemEnum::Use(_)));
    Ok((walk.seen.iter().filter(is_item).count(), walk.found))
}

struct Walk<'a> {
    document: &'a Crate,
    seen: BTreeSet<u32>,
    found: Vec<String>,
}

impl Walk<'_> {
    /// Looks at an item that is reached from outside, and at those within it.
    fn item(&mut self, id: &Id, within: &str) {
        let document = self.document;
        let Some(item) = document.index.get(id).filter(|item| item.crate_id == 0) else { return };
        if !self.seen.insert(id.0) {
            return;
        }
        let name = match &item.name {
            Some(name) if within.is_empty() => name.clone(),
            Some(name) => format!("{within}::{name}"),
            None => within.to_owned(),
        };
        match &item.inner {
            ItemEnum::Use(reexport) => {
                if let Some(target) = &reexport.id {
                    self.item(target, within);
                }
                return;
            }
            ItemEnum::Module(module) => self.all(&module.items, &name),
            ItemEnum::Trait(trait_) => {
                self.all(&trait_.items, &name);
                if !has_doctest(item) {
                    self.found.push(format!("trait {name}: no doctest"));
                }
            }
            ItemEnum::Struct(struct_) => {
                if let StructKind::Plain { fields, .. } = &struct_.kind {
                    self.public(fields, &name);
                }
                self.implementations(&struct_.impls, item, &name);
            }
            ItemEnum::Enum(enum_) => {
                for id in &enum_.variants {
                    self.item(id, &name);
                    let variant = document.index.get(id).map(|variant| &variant.inner);
                    if let Some(ItemEnum::Variant(variant)) = variant
                        && let VariantKind::Struct { fields, .. } = &variant.kind
                    {
                        self.all(fields, &name);
                    }
                }
                self.implementations(&enum_.impls, item, &name);
            }
            _ => {}
        }
        if item.docs.as_ref().is_none_or(|docs| docs.trim().is_empty()) {
            self.found.push(format!("{name}: no sentence"));
        }
    }

    fn all(&mut self, ids: &[Id], within: &str) {
        ids.iter().for_each(|id| self.item(id, within));
    }

    fn public(&mut self, ids: &[Id], within: &str) {
        let public = |id: &&Id| self.document.index.get(id).is_some_and(|item| item.visibility == Visibility::Public);
        let ids: Vec<Id> = ids.iter().filter(public).copied().collect();
        self.all(&ids, within);
    }

    /// Looks at the methods of a type. One doctest, of the type or of any of its constructors, shows how it is made.
    fn implementations(&mut self, ids: &[Id], owner: &Item, name: &str) {
        let document = self.document;
        let (mut constructors, mut shown) = (Vec::new(), has_doctest(owner));
        for id in ids {
            let Some(Item { inner: ItemEnum::Impl(implementation), .. }) = document.index.get(id) else { continue };
            if implementation.trait_.is_some() {
                continue;
            }
            self.public(&implementation.items, name);
            for item in implementation.items.iter().filter_map(|id| document.index.get(id)) {
                if item.visibility == Visibility::Public && is_constructor(item, owner.id) {
                    constructors.extend(item.name.clone());
                    shown |= has_doctest(item);
                }
            }
        }
        if !constructors.is_empty() && !shown {
            self.found.push(format!("{name}: no doctest on the type or on {}", constructors.join(", ")));
        }
    }
}

/// True for a function without a receiver that returns its own type, alone or in a `Result`.
fn is_constructor(item: &Item, owner: Id) -> bool {
    let ItemEnum::Function(function) = &item.inner else { return false };
    let receiver = function.sig.inputs.first().is_some_and(|(name, _)| name == "self");
    !receiver && function.sig.output.as_ref().is_some_and(|output| returns(output, owner))
}

fn returns(output: &Type, owner: Id) -> bool {
    match output {
        Type::Generic(name) => name == "Self",
        Type::ResolvedPath(path) if path.id == owner => true,
        Type::ResolvedPath(path) if path.path.ends_with("Result") || path.path.ends_with("Option") => {
            path.args.as_ref().is_some_and(|arguments| match arguments.as_ref() {
                rustdoc_types::GenericArgs::AngleBracketed { args, .. } => {
                    matches!(args.first(), Some(rustdoc_types::GenericArg::Type(first)) if returns(first, owner))
                }
                _ => false,
            })
        }
        _ => false,
    }
}

/// True when the documentation holds a block of Rust that is run.
fn has_doctest(item: &Item) -> bool {
    let docs = item.docs.as_deref().unwrap_or_default();
    let mut fences = docs.lines().filter(|line| line.trim_start().starts_with("```")).step_by(2);
    fences.any(|fence| {
        let language = fence.trim_start().trim_start_matches('`').trim();
        language.split(',').all(|word| ["", "rust", "no_run", "should_panic", "edition2024"].contains(&word.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const SOURCE: &str = "//! A crate.
        /// Has a sentence, and its constructor a doctest.
        pub struct Shown(());
        impl Shown {
            /// Makes one.
            ///
            /// ```
            /// let _ = fixture::Shown::new();
            /// ```
            pub fn new() -> Shown { Shown(()) }
        }
        /// Has a sentence.
        pub struct Hidden { pub field: u8 }
        impl Hidden {
            /// Opens one.
            ///
            /// ```text
            /// no doctest
            /// ```
            pub fn open() -> Result<Self, ()> { Err(()) }
            fn private() -> Self { Hidden { field: 1 } }
        }
        /// Has a sentence.
        pub trait Bare { fn method(&self); }
        mod inner { pub fn reached() {} pub fn unreached() {} }
        pub use inner::reached;
        pub use inner::reached as again;
    ";

    #[test]
    fn what_lacks_a_sentence_or_a_doctest_is_named_once() -> Result<(), Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("public-items-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let source = folder.join("fixture.rs");
        fs::write(&source, SOURCE)?;
        let mut rustdoc = Command::new("rustdoc");
        rustdoc.args(["--edition", "2024", "--crate-type", "lib", "-Z", "unstable-options", "--output-format", "json"]);
        let status = rustdoc.env("RUSTC_BOOTSTRAP", "1").arg("-o").arg(&folder).arg(&source).status()?;
        assert!(status.success(), "{status}");
        let found = undocumented(&folder.join("fixture.json"));
        fs::remove_dir_all(&folder)?;
        let expected = [
            "fixture::Bare::method: no sentence",
            "fixture::Hidden: no doctest on the type or on open",
            "fixture::Hidden::field: no sentence",
            "fixture::reached: no sentence",
            "trait fixture::Bare: no doctest",
        ];
        assert_eq!(found?, expected);
        Ok(())
    }
}
