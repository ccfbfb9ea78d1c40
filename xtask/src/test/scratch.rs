//! A folder in memory for what the tests write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::free_gb;
use crate::sh;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";
/// Beginning of the names of such folders; the number of the process that made one follows.
const NAME: &str = "autoresearch-tests-";
/// Free space there, in GB. The tests need less than one.
const ROOM: u64 = 4;

/// A folder in memory, which is removed when it is dropped.
///
/// The tests make and remove some hundred thousand small files; on a disk that is a sixth of their time.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one, and removes those that killed runs left. Nothing where there is no room, or where programs cannot be started.
    pub fn in_memory() -> Option<Scratch> {
        remove_left(Path::new(MEMORY));
        if free_gb(Path::new(MEMORY))? < ROOM {
            return None;
        }
        let scratch = Scratch { path: Path::new(MEMORY).join(format!("{NAME}{}", std::process::id())) };
        fs::create_dir(&scratch.path).ok()?;
        starts_programs(&scratch.path).then_some(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// True if a program in the folder can be started; many a machine forbids it in memory.
fn starts_programs(folder: &Path) -> bool {
    let script = r##"printf '#!/bin/sh\n' > "$0" && chmod +x "$0" && "$0" && rm "$0""##;
    sh::output(Command::new("sh").args(["-c", script]).arg(folder.join("program"))).is_ok()
}

/// Removes the folders of processes that are no more.
fn remove_left(memory: &Path) {
    for entry in fs::read_dir(memory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME)).and_then(|id| id.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let memory = std::env::temp_dir().join(format!("autoresearch-scratch-{}", std::process::id()));
        let alive = memory.join(format!("{NAME}{}", std::process::id()));
        // No process has so high a number.
        let dead = memory.join(format!("{NAME}4294967295"));
        let other = memory.join(format!("{NAME}of-mine"));
        [&alive, &dead, &other].into_iter().for_each(|folder| fs::create_dir_all(folder.join("run")).unwrap());
        remove_left(&memory);
        assert!(starts_programs(&alive) && !starts_programs(&dead));
        assert_eq!([&alive, &dead, &other].map(|folder| folder.exists()), [true, false, true]);
        fs::remove_dir_all(memory).unwrap();
    }
}
