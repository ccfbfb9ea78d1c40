//! Which file of a crate uses which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{Module, Modules, Names, read_crate};

/// One file's use of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: PathBuf,
    pub line: usize,
    pub to: PathBuf,
    /// The path as written.
    pub path: String,
}

/// A re-export leads to another at most so often; a longer chain can only be a loop.
const REEXPORTS: usize = 16;

/// Lists the uses between the files of the crate with this root. A re-export of something below (`pub use child::Item`) and a
/// `mod` line are no uses; an item is looked up where it is defined, through every re-export.
pub fn uses(root: &Path) -> Result<Vec<Use>, String> {
    let modules = read_crate(root)?;
    let mut uses = BTreeSet::new();
    for (names, module) in &modules {
        let imports = module.imports.iter().filter(|import| import.name != "*").filter(|import| {
            let reexport = import.public && is_below(&modules, names, &import.path);
            !reexport && !is_module(&modules, names, &import.path)
        });
        let imports = imports.map(|import| (&import.path, import.line));
        for (path, line) in imports.chain(module.mentions.iter().map(|mention| (&mention.path, mention.line))) {
            let Some(target) = definition(&modules, names, path, REEXPORTS) else { continue };
            let Some(to) = modules.get(&target).map(|module| &module.file) else { continue };
            if *to != module.file {
                uses.insert(Use { from: module.file.clone(), line, to: to.clone(), path: path.join("::") });
            }
        }
    }
    Ok(uses.into_iter().collect())
}

/// True when the path leads to something defined below the module.
fn is_below(modules: &Modules, from: &Names, path: &Names) -> bool {
    definition(modules, from, path, REEXPORTS)
        .is_some_and(|target| target.len() > from.len() && target.starts_with(from))
}

/// True when the path leads to a module: what is used of it shows in the code.
fn is_module(modules: &Modules, from: &Names, path: &Names) -> bool {
    matches!(walk(modules, from, path, REEXPORTS), Some(Found { item: false, .. }))
}

struct Found {
    module: Names,
    item: bool,
}

/// The module that defines what the path leads to.
fn definition(modules: &Modules, from: &Names, path: &Names, left: usize) -> Option<Names> {
    walk(modules, from, path, left).map(|found| found.module)
}

/// Follows a path as the compiler does: keywords, the module's own names, its imports, its globs.
fn walk(modules: &Modules, from: &Names, path: &[String], left: usize) -> Option<Found> {
    let mut at = from.clone();
    let mut rest = path;
    let mut moved = false;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            _ => break,
        }
        (rest, moved) = (after, true);
    }
    if rest.is_empty() {
        return moved.then_some(Found { module: at, item: false });
    }
    for (index, name) in rest.iter().enumerate() {
        let module = modules.get(&at)?;
        if module.children.contains(name) {
            at.push(name.clone());
            // A module that is not here is one of the tests.
            modules.get(&at)?;
        } else if module.items.contains(name) {
            return Some(Found { module: at, item: true });
        } else {
            return imported(modules, &at, module, &rest[index..], left.checked_sub(1)?);
        }
    }
    Some(Found { module: at, item: false })
}

/// Follows a path whose first name the module imports.
fn imported(modules: &Modules, at: &Names, module: &Module, rest: &[String], left: usize) -> Option<Found> {
    let (name, after) = rest.split_first()?;
    let direct = module.imports.iter().filter(|import| import.name == *name && import.path.first() != Some(name));
    for import in direct {
        let path = [&import.path[..], after].concat();
        if let Some(found) = walk(modules, at, &path, left) {
            return Some(found);
        }
    }
    // `use Name::Name` and the like would lead here again.
    let child = module.imports.iter().find(|import| import.name == *name && import.path.len() > 1);
    if let Some(import) = child.filter(|import| module.children.contains(&import.path[0])) {
        return walk(modules, at, &[&import.path[..], after].concat(), left);
    }
    let globs = module.imports.iter().filter(|import| import.name == "*");
    for glob in globs {
        let path = [&glob.path[..], rest].concat();
        if let Some(found) = walk(modules, at, &path, left).filter(|found| found.item) {
            return Some(found);
        }
    }
    None
}

/// Lists the circles: files that lead to each other along uses, each with the uses within it.
pub fn circles(uses: &[Use]) -> Vec<Vec<&Use>> {
    let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for one in uses {
        next.entry(&one.from).or_default().insert(&one.to);
    }
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = next.keys().map(|from| (*from, reach(&next, from))).collect();
    let leads = |from: &Path, to: &Path| reached.get(from).is_some_and(|all| all.contains(to));
    let mut circles: BTreeMap<BTreeSet<&Path>, Vec<&Use>> = BTreeMap::new();
    for one in uses.iter().filter(|one| leads(&one.to, &one.from)) {
        let members = reached.keys().copied().filter(|file| leads(file, &one.from) && leads(&one.from, file)).collect();
        circles.entry(members).or_default().push(one);
    }
    circles.into_values().collect()
}

fn reach<'a>(next: &BTreeMap<&'a Path, BTreeSet<&'a Path>>, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for to in next.get(file).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}
