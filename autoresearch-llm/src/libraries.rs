//! Libraries of CUDA that lie beside libtorch in a Python environment and are not found by themselves.
//!
//! NVRTC looks for its built-in headers, and cuDNN for NVRTC, by a bare name and without a path: they find what this process has
//! loaded already. PyTorch's Python loads them for that reason, and so must a program without Python.

use std::path::{Path, PathBuf};

use libloading::Library;

/// Beginnings of the names of the libraries, in the order in which they are loaded.
const PRELOADED: [&str; 3] = ["libnvJitLink.so.", "libnvrtc-builtins.so.", NVRTC];
const NVRTC: &str = "libnvrtc.so.";
/// Major versions of CUDA that NVRTC is looked for in where libtorch does not tell its own, the newest first.
const VERSIONS: [u32; 2] = [13, 12];

/// The libtorch in this process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Libtorch {
    /// The folder of its own libraries.
    folder: Option<PathBuf>,
    /// The major version of CUDA that it is built for.
    pub(crate) cuda: Option<u32>,
}

impl Libtorch {
    /// The libtorch that is loaded now.
    pub(crate) fn here() -> Libtorch {
        Libtorch::of(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default())
    }

    /// The libtorch by the text of `/proc/self/maps`.
    fn of(maps: &str) -> Libtorch {
        let paths = || maps.lines().filter_map(|line| Some(Path::new(line.get(line.find('/')?..)?)));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = paths().find(|path| name(path) == "libtorch_cpu.so").and_then(Path::parent).map(Path::to_owned);
        // The part of libtorch for the CPU is linked against CUDA's runtime already.
        let cuda = paths().find_map(|path| name(path).strip_prefix("libcudart.so.")?.split('.').next()?.parse().ok());
        Libtorch { folder, cuda }
    }

    /// Loads the libraries that CUDA needs by a bare name.
    pub(crate) fn preload(&self) {
        for path in self.beside() {
            // SAFETY: a library of CUDA, which does nothing when it is loaded. Who needs one that cannot be loaded says so.
            let _ = unsafe { Library::new(path) }.map(std::mem::forget);
        }
    }

    /// The files and names under which NVRTC may be found, the best first: that beside libtorch, then those that the loader knows.
    /// Another version of CUDA than libtorch's may make code that the driver does not take.
    pub(crate) fn nvrtc(&self) -> Vec<PathBuf> {
        let beside = self.beside().into_iter().filter(|path| has_version(path, NVRTC, self.cuda));
        let versions = self.cuda.map_or(VERSIONS.to_vec(), |cuda| vec![cuda]);
        beside.chain(versions.iter().map(|version| format!("{NVRTC}{version}").into())).collect()
    }

    /// The libraries to be loaded before CUDA, in the folders of packages around libtorch: those of its version of CUDA, where
    /// that is known.
    ///
    /// CUDA 13's packages share `nvidia/cu13/lib`; those of CUDA 12 have a folder each, such as `nvidia/cuda_nvrtc/lib`.
    fn beside(&self) -> Vec<PathBuf> {
        let Some(packages) = self.folder.as_deref().and_then(Path::parent).and_then(Path::parent) else {
            return vec![];
        };
        let entries = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut entries: Vec<PathBuf> = entries.collect();
            entries.sort();
            entries
        };
        let folders = entries(&packages.join("nvidia")).into_iter().map(|package| package.join("lib"));
        // A libtorch without Python has them among its own.
        let libraries: Vec<PathBuf> = folders.chain(self.folder.clone()).flat_map(|folder| entries(&folder)).collect();
        let named = |name: &str| libraries.iter().find(|path| has_version(path, name, self.cuda)).cloned();
        PRELOADED.iter().filter_map(|name| named(name)).collect()
    }
}

/// Returns true for `libnvrtc.so.13`, and false for `libnvrtc.alt.so.13`, `libnvrtc.so.13.backup` and, where a major version is
/// given, any other.
fn has_version(path: &Path, beginning: &str, major: Option<u32>) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(version) = name.strip_prefix(beginning) else { return false };
    let mut parts = version.split('.').map(str::parse::<u32>);
    let first = parts.next().and_then(Result::ok);
    first.is_some_and(|first| major.is_none_or(|major| major == first)) && parts.all(|part| part.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that are found in packages of these files, beside a libtorch for this version of CUDA.
    fn found(files: &[&str], cuda: Option<u32>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files.iter().chain(&["torch/lib/libtorch_cpu.so"]) {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let libtorch = Libtorch { folder: Some(folder.path().join("torch/lib")), cuda };
        let shown = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        let (beside, nvrtc) = (libtorch.beside(), libtorch.nvrtc());
        assert_eq!(beside.last(), nvrtc.first().filter(|path| path.is_absolute()), "there is one finder");
        beside.iter().map(shown).collect()
    }

    #[test]
    fn the_libraries_are_found_in_the_layouts_of_cuda_12_and_13() {
        let thirteen = [
            "nvidia/cu13/lib/libnvrtc.so.13",
            "nvidia/cu13/lib/libnvrtc.alt.so.13",
            "nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
            "nvidia/cu13/lib/libnvrtc-builtins.alt.so.13.0",
            "nvidia/cu13/lib/libnvJitLink.so.13",
            "nvidia/cudnn/lib/libcudnn.so.9",
        ];
        let expected = ["libnvJitLink.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.so.13"];
        let expected = expected.map(|name| format!("nvidia/cu13/lib/{name}"));
        assert_eq!(found(&thirteen, Some(13)), expected);
        assert_eq!(found(&thirteen, None), expected);
        let twelve = [
            "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
            "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.6",
            "nvidia/nvjitlink/lib/libnvJitLink.so.12",
            "nvidia/cuda_runtime/lib/libcudart.so.12",
        ];
        let of_twelve = [twelve[2], twelve[1], twelve[0]];
        assert_eq!(found(&twelve, Some(12)), of_twelve);
        // Packages of another version may lie beside those of libtorch's own.
        let both = [&twelve[..], &thirteen].concat();
        assert_eq!(
            (found(&both, Some(12)), found(&both, Some(13))),
            (of_twelve.map(String::from).to_vec(), expected.to_vec())
        );
        // A libtorch without Python.
        let own = ["torch/lib/libnvrtc-builtins.so.12.6", "torch/lib/libnvrtc.so.12"];
        assert_eq!(found(&own, Some(12)), own);
        // Without CUDA's packages there is nothing to load.
        assert!(found(&[], None).is_empty() && found(&twelve, Some(13)).is_empty());
    }

    #[test]
    fn nvrtc_is_of_the_version_of_cuda_that_libtorch_is_built_for() {
        let names = |cuda| Libtorch { folder: None, cuda }.nvrtc();
        assert_eq!(names(Some(12)), [Path::new("libnvrtc.so.12")]);
        assert_eq!(names(None), [Path::new("libnvrtc.so.13"), Path::new("libnvrtc.so.12")]);
    }

    #[test]
    fn the_process_tells_its_libtorch_and_cuda() {
        let maps = "7f00-7f10 r-xp 00000000 fe:00 12  /venv/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so\n\
                    7f20-7f30 r--p 00000000 fe:00 13  /venv/site-packages/nvidia/cu13/lib/libcudart.so.13\n\
                    7f40-7f50 rw-p 00000000 00:00 0 \n\
                    7f60-7f70 rw-p 00000000 00:00 0  [heap]\n";
        let folder = Some(PathBuf::from("/venv/lib/python3.11/site-packages/torch/lib"));
        assert_eq!(Libtorch::of(maps), Libtorch { folder, cuda: Some(13) });
        assert_eq!(Libtorch::of(""), Libtorch { folder: None, cuda: None });
        // This very process has one.
        tch::manual_seed(0);
        assert!(Libtorch::here().folder.is_some_and(|folder| folder.join("libtorch_cpu.so").is_file()));
    }
}
