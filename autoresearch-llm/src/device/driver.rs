//! The NVIDIA driver of this machine, and the oldest one that a version of CUDA runs with.
//!
//! It uses the standard library alone: the set-up, which runs before libtorch is there, holds this file as well.

use std::fmt;
use std::path::Path;

/// An NVIDIA driver that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// As it calls itself, such as `550.54.15`; `None` where nothing says it.
    version: Option<String>,
}

/// Signs of a driver, below the root of the file system; the last one is that of Windows' subsystem for Linux.
const SIGNS: [&str; 3] = ["proc/driver/nvidia/version", "dev/nvidiactl", "usr/lib/wsl/lib/libcuda.so.1"];

impl Driver {
    /// Looks for a driver below `root` (`/`). `ask` is what `nvidia-smi` says of its version, where no file does.
    pub fn find(root: &Path, ask: impl FnOnce() -> Option<String>) -> Option<Driver> {
        SIGNS.iter().any(|sign| root.join(sign).exists()).then(|| {
            let text = std::fs::read_to_string(root.join(SIGNS[0])).ok();
            let version = text.as_deref().and_then(version_in).or_else(|| version_in(&ask()?));
            Driver { version }
        })
    }

    /// Looks for the driver of this machine.
    pub fn here() -> Option<Driver> {
        Driver::find(Path::new("/"), || {
            let mut ask = std::process::Command::new("nvidia-smi");
            let output = ask.args(["--query-gpu=driver_version", "--format=csv,noheader"]).output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        })
    }

    /// Returns true when this driver is too old for a major version of CUDA; false where its version is not known.
    pub fn is_too_old(&self, cuda: u32) -> bool {
        let numbers = self.version.as_deref().map(numbers).unwrap_or_default();
        matches!(numbers[..], [major, minor, ..] if (major, minor) < needed(cuda))
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "the NVIDIA driver {version}"),
            None => write!(f, "an NVIDIA driver"),
        }
    }
}

/// The oldest driver for a major version of CUDA, as NVIDIA's release notes have it.
pub fn needed(cuda: u32) -> (u32, u32) {
    if cuda >= 13 { (580, 65) } else { (525, 60) }
}

/// The first number with a dot in a text: `580.65.06` in the kernel module's own words, `550.54` in `nvidia-smi`'s.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| numbers(word).len() >= 2 && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace().find(is_version).map(str::to_owned)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A folder of this test with these files.
    fn machine(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("autoresearch-driver-{name}-{}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_driver_is_found_by_its_file_its_device_or_windows() {
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (user@host)\nGCC version:  gcc version 12.2.0";
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 11.4.0";
        let cases = [
            ("open", vec![(SIGNS[0], open)], None, Some("the NVIDIA driver 580.65.06")),
            ("closed", vec![(SIGNS[0], closed)], Some("1.2"), Some("the NVIDIA driver 550.54.15")),
            ("device", vec![(SIGNS[1], "")], Some("535.183.01\n535.183.01\n"), Some("the NVIDIA driver 535.183.01")),
            ("wsl", vec![(SIGNS[2], "")], Some("NVIDIA-SMI has failed"), Some("an NVIDIA driver")),
            ("silent", vec![(SIGNS[2], "")], None, Some("an NVIDIA driver")),
            ("none", vec![("dev/null", "")], Some("550.54"), None),
        ];
        for (name, files, asked, expected) in cases {
            let root = machine(name, &files);
            let found = Driver::find(&root, || asked.map(str::to_owned));
            assert_eq!(found.map(|driver| driver.to_string()).as_deref(), expected, "{name}");
            std::fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn a_driver_is_too_old_for_a_cuda_that_came_after_it() {
        let driver = |version: &str| Driver { version: Some(version.into()) };
        for (version, cuda, is_too_old) in [
            ("580.65.06", 13, false),
            ("590.1", 13, false),
            ("575.57.08", 13, true),
            ("525.60", 13, true),
            ("525.60.13", 12, false),
            ("520.61.05", 12, true),
        ] {
            assert_eq!(driver(version).is_too_old(cuda), is_too_old, "{version} {cuda}");
        }
        assert!(!Driver { version: None }.is_too_old(13), "nobody knows");
    }
}
