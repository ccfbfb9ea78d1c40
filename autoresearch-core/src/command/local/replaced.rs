//! Files in the place of committed ones, moved aside while guards run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::remove::{make_usable, remove_folder};

/// Files, links and folders that were moved aside, and where each of them was.
#[derive(Debug)]
pub(super) struct Replaced {
    /// The folder that they are moved to.
    folder: PathBuf,
    /// The places, each with what was there; `None` for nothing.
    places: Vec<(PathBuf, Option<PathBuf>)>,
}

impl Replaced {
    /// Nothing yet. The folder is made when it is needed.
    pub(super) fn new(folder: PathBuf) -> Replaced {
        Replaced { folder, places: Vec::new() }
    }

    /// Moves whatever is at a place aside.
    pub(super) fn take(&mut self, place: &Path) -> io::Result<()> {
        let mut aside = None;
        if fs::symlink_metadata(place).is_ok() {
            fs::create_dir_all(&self.folder)?;
            let to = self.folder.join(self.places.len().to_string());
            make_usable(place);
            fs::rename(place, &to)?;
            aside = Some(to);
        }
        self.places.push((place.to_owned(), aside));
        Ok(())
    }

    /// Puts everything back, with the times that it had.
    pub(super) fn put_back(self) -> io::Result<()> {
        for (place, aside) in self.places.iter().rev() {
            remove_folder(place)?;
            if let Some(aside) = aside {
                fs::rename(aside, place)?;
            }
        }
        Ok(())
    }
}
