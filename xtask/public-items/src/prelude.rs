//! The prelude of a crate: second names for items that stand elsewhere.

use std::error::Error;

use rustdoc_types::{Crate, ItemEnum};

/// Takes the re-exports out of the module `prelude`: a line for each, and the rest of the JSON.
pub fn taken_out(json: &str) -> Result<(Vec<String>, String), Box<dyn Error>> {
    let mut document: Crate = serde_json::from_str(json)?;
    let is_prelude = |item: &&rustdoc_types::Item| item.crate_id == 0 && item.name.as_deref() == Some("prelude");
    let prelude = document.index.values().filter(is_prelude).find_map(|item| match &item.inner {
        ItemEnum::Module(module) => Some((item.id, module.items.clone())),
        _ => None,
    });
    let Some((prelude, items)) = prelude else { return Ok((Vec::new(), json.to_owned())) };
    let named = items.iter().filter_map(|id| match &document.index.get(id)?.inner {
        ItemEnum::Use(reexport) => Some((*id, format!("pub use prelude::{}", reexport.name))),
        _ => None,
    });
    let (taken, mut names): (Vec<_>, Vec<_>) = named.unzip();
    names.sort();
    if let Some(item) = document.index.get_mut(&prelude)
        && let ItemEnum::Module(module) = &mut item.inner
    {
        module.items.retain(|id| !taken.contains(id));
    }
    Ok((names, serde_json::to_string(&document)?))
}
