//! The contents that git makes of files at checkout, as far as they are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::tree::{Listing, ObjectId};

/// The files of a commit as git checks them out.
#[derive(Debug, Clone)]
pub struct Checkout {
    pub(super) listing: Arc<Listing>,
    pub(super) converted: HashMap<ObjectId, Arc<[u8]>>,
}

impl Checkout {
    /// The entries by path. A file that git converts has the name of its converted content.
    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// The content of this name, if git made it by a conversion.
    pub fn converted(&self, content: ObjectId) -> Option<&[u8]> {
        self.converted.get(&content).map(|content| &**content)
    }
}

/// A file that git converts, by its name and content; `None` for one that it leaves as it is.
pub(super) type Converted = Option<(ObjectId, Arc<[u8]>)>;

/// The conversions that are known: the same file under the same attributes is converted once.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    /// The files with attributes that they are made under.
    pub(super) rules: Vec<(String, ObjectId)>,
    /// By the path and the stored content.
    pub(super) known: HashMap<(String, ObjectId), Converted>,
}
