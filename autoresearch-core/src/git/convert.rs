//! The files of a commit as git checks them out: with the line ends, encodings and `$Id$` that attributes and settings ask for.
//!
//! The git command does it, in an index and a folder of its own: only it knows all the rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::conversions::{Checkout, Conversions, Converted};
use super::error::GitError;
use super::lineage::Lineage;
use super::scratch::ScratchCheckout;
use super::settings::Settings;
use super::tree::{Listing, ObjectId, TreeFile};
use crate::revision::Revision;

/// The name of the files with attributes.
const ATTRIBUTES: &str = ".gitattributes";
/// Words of the attributes for which git changes files at checkout.
const CONVERTING: [&str; 4] = ["filter", "working-tree-encoding", "eol=crlf", "ident"];

impl Lineage {
    /// The files of `revision` as git checks them out.
    ///
    /// # Errors
    /// If git changes a file by a filter that is installed, or cannot be started.
    pub fn checkout(&self, revision: &Revision) -> Result<Checkout, GitError> {
        let stored = self.tree(revision)?;
        let is_rule = |path: &str| path == ATTRIBUTES || path.ends_with("/.gitattributes");
        let rules: Vec<(String, ObjectId)> = stored
            .iter()
            .filter(|(path, file)| file.is_file() && is_rule(path))
            .map(|(path, file)| (path.clone(), file.blob))
            .collect();
        if !self.may_convert(&rules)? {
            return Ok(Checkout { listing: stored, converted: HashMap::new() });
        }
        let mut conversions = self.conversions.borrow_mut();
        if conversions.rules != rules || conversions.known.len() > 4 * stored.len() + 1000 {
            *conversions = Conversions { rules, known: HashMap::new() };
        }
        let files = || stored.iter().filter(|(_, file)| file.is_file());
        let is_new = |path: &String, file: &TreeFile| !conversions.known.contains_key(&(path.clone(), file.blob));
        let new: Vec<&str> = files().filter(|(path, file)| is_new(path, file)).map(|(path, _)| path.as_str()).collect();
        let mut made = self.convert(revision, &new)?;
        for path in new {
            let Some(file) = stored.get(path) else { continue };
            let content: Converted = match made.remove(path) {
                Some(content) => Some((ObjectId::of_file(&content)?, Arc::from(content))),
                None => None,
            };
            let content = content.filter(|(id, _)| *id != file.blob);
            conversions.known.insert((path.to_owned(), file.blob), content);
        }
        let (mut listing, mut converted) = (Listing::clone(&stored), HashMap::new());
        for (path, file) in files() {
            if let Some(Some((id, content))) = conversions.known.get(&(path.clone(), file.blob)) {
                listing.insert(path.clone(), TreeFile { blob: *id, ..*file });
                converted.insert(*id, content.clone());
            }
        }
        Ok(Checkout { listing: Arc::new(listing), converted })
    }

    /// Tells whether any attribute or setting may change files at checkout: most repositories have none, and need no git command.
    fn may_convert(&self, rules: &[(String, ObjectId)]) -> Result<bool, GitError> {
        let speaks = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            CONVERTING.iter().any(|word| text.contains(word))
        };
        let settings = Settings::of(&self.repository)?;
        if settings.is("core.autocrlf", "true") || settings.is("core.eol", "crlf") {
            return Ok(true);
        }
        let own = self.repository.commondir().join("info/attributes");
        if settings.attribute_files().chain([own]).any(|path| std::fs::read(path).is_ok_and(|text| speaks(&text))) {
            return Ok(true);
        }
        for (_, blob) in rules {
            if speaks(&self.blob(*blob)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets git check out those of the files `paths` that it may convert, and returns their contents.
    fn convert(&self, revision: &Revision, paths: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let settings = Settings::of(&self.repository)?;
        let (everywhere, texts) = (settings.is("core.autocrlf", "true"), settings.is("core.eol", "crlf"));
        let is_installed = |filter: &str| {
            let mut keys = ["smudge", "process"].iter().map(|key| format!("filter.{filter}.{key}"));
            keys.any(|key| settings.get(&key).is_some_and(|value| !value.is_empty()))
        };
        let scratch = ScratchCheckout::of(&self.repository, revision)?;
        let mut affected = Vec::new();
        for (path, attributes) in scratch.attributes(paths)? {
            let [text, crlf, eol, ident, filter, encoding] = attributes.each_ref().map(String::as_str);
            let is_named = |value: &str| !matches!(value, "unspecified" | "unset" | "set" | "");
            if is_named(filter) && is_installed(filter) {
                return Err(GitError::filtered(&path, &format!("filter={filter}")));
            }
            // `crlf` is the old name of `text`.
            let text = if text == "unspecified" { crlf } else { text };
            let has_ends = match (text, eol) {
                ("unset", _) | (_, "lf") => false,
                (_, "crlf") => true,
                ("unspecified", _) => everywhere,
                _ => everywhere || texts,
            };
            if has_ends || ident == "set" || is_named(encoding) {
                affected.push(path);
            }
        }
        scratch.check_out(affected)
    }
}
