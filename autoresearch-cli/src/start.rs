//! The files that a search starts from: those of a commit, with the constants of the configuration set in them.

use std::collections::BTreeMap;

use autoresearch_agents::constants::{self, Sources};
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::{FileEdit, Patch, Revision};

use crate::config::Config;
use crate::error::CommandError;

/// The editable text files of a revision by path.
pub fn editable_files(
    config: &Config,
    lineage: &Lineage,
    revision: &Revision,
) -> Result<BTreeMap<String, String>, CommandError> {
    let (mut files, editable) = (BTreeMap::new(), config.editable());
    for (path, file) in lineage.tree(revision)?.iter() {
        // A binary file cannot be edited as text.
        if editable.allows(path)
            && let Ok(text) = String::from_utf8(lineage.blob(file.blob)?)
        {
            files.insert(path.clone(), text);
        }
    }
    Ok(files)
}

/// The editable files of a revision, with the constants of the configuration set in them.
pub fn starting_files(
    config: &Config,
    lineage: &Lineage,
    revision: &Revision,
) -> Result<BTreeMap<String, String>, CommandError> {
    let files = editable_files(config, lineage, revision)?;
    match constants_patch(config, lineage, revision)? {
        Some(patch) => {
            let patched = patch.applied_to(&files, &config.editable());
            patched.map_err(|e| CommandError::Other(format!("[constants]: {e}")))
        }
        None => Ok(files),
    }
}

/// The patch that sets the configuration's constants; `None` if they have these values already.
pub fn constants_patch(config: &Config, lineage: &Lineage, base: &Revision) -> Result<Option<Patch>, CommandError> {
    let mut files = editable_files(config, lineage, base)?;
    let before = files.clone();
    for (name, value) in &config.constants {
        let (path, text) = {
            let sources = Sources::new(&files);
            let one = sources.find(name)?;
            (one.path.to_owned(), constants::set(&one, value))
        };
        files.insert(path, text);
    }
    let changed = files.into_iter().filter(|(path, text)| before.get(path) != Some(text));
    let edits: Vec<FileEdit> = changed.map(|(path, text)| FileEdit::Write { path, text }).collect();
    Ok((!edits.is_empty()).then_some(Patch { edits }))
}
