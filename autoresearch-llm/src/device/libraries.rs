//! Libraries of CUDA that lie beside libtorch in a Python environment and are not found by themselves.
//!
//! NVRTC looks for its built-in headers, and cuDNN for NVRTC, by a bare name and without a path: they find what this process has
//! loaded already. PyTorch's Python loads them for that reason, and so must a program without Python.

use std::path::{Path, PathBuf};

/// Beginnings of the names of the libraries, in the order in which they are loaded.
const PRELOADED: [&str; 3] = ["libnvJitLink.so.", "libnvrtc-builtins.so.", "libnvrtc.so."];

/// The libraries to be loaded before CUDA, in the folders of packages around `libtorch`, the folder of libtorch's own libraries.
///
/// CUDA 13's packages share `nvidia/cu13/lib`; those of CUDA 12 have a folder each, such as `nvidia/cuda_nvrtc/lib`.
pub(super) fn beside(libtorch: &Path) -> Vec<PathBuf> {
    let Some(packages) = libtorch.parent().and_then(Path::parent) else { return vec![] };
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut entries: Vec<PathBuf> = entries.collect();
        entries.sort();
        entries
    };
    let libraries =
        entries(&packages.join("nvidia")).iter().flat_map(|package| entries(&package.join("lib"))).collect::<Vec<_>>();
    let named = |beginning: &str| libraries.iter().find(|path| has_version(path, beginning)).cloned();
    PRELOADED.iter().filter_map(|beginning| named(beginning)).collect()
}

/// Returns true for `libnvrtc.so.13`, and false for `libnvrtc.alt.so.13` and `libnvrtc.so.13.backup`.
fn has_version(path: &Path, beginning: &str) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_prefix(beginning)
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// The folder of the libtorch in this process, and the major version of CUDA that it is built for, by `maps`, the text of
/// `/proc/self/maps`.
pub(super) fn loaded(maps: &str) -> (Option<PathBuf>, Option<u32>) {
    let paths = || maps.lines().filter_map(|line| Some(Path::new(line.get(line.find('/')?..)?)));
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let libtorch = paths().find(|path| name(path) == "libtorch_cpu.so").and_then(Path::parent).map(Path::to_owned);
    // The part of libtorch for the CPU is linked against CUDA's runtime already.
    let runtime = paths().find_map(|path| name(path).strip_prefix("libcudart.so.")?.split('.').next()?.parse().ok());
    (libtorch, runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that are found in packages of these files.
    fn found(files: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files.iter().chain(&["torch/lib/libtorch_cpu.so"]) {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let shown = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        beside(&folder.path().join("torch/lib")).into_iter().map(shown).collect()
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
        assert_eq!(found(&thirteen), expected.map(|name| format!("nvidia/cu13/lib/{name}")));
        let twelve = [
            "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
            "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.6",
            "nvidia/nvjitlink/lib/libnvJitLink.so.12",
            "nvidia/cuda_runtime/lib/libcudart.so.12",
        ];
        assert_eq!(found(&twelve), [twelve[2], twelve[1], twelve[0]]);
        // Without CUDA's packages there is nothing to load.
        assert!(found(&[]).is_empty() && beside(Path::new("/")).is_empty());
    }

    #[test]
    fn the_process_tells_its_libtorch_and_cuda() {
        let maps = "7f00-7f10 r-xp 00000000 fe:00 12  /venv/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so\n\
                    7f20-7f30 r--p 00000000 fe:00 13  /venv/site-packages/nvidia/cu13/lib/libcudart.so.13\n\
                    7f40-7f50 rw-p 00000000 00:00 0 \n\
                    7f60-7f70 rw-p 00000000 00:00 0  [heap]\n";
        let (libtorch, cuda) = loaded(maps);
        assert_eq!(libtorch.as_deref(), Some(Path::new("/venv/lib/python3.11/site-packages/torch/lib")));
        assert_eq!((cuda, loaded("").1), (Some(13), None));
        // This very process has one.
        tch::manual_seed(0);
        let (here, _) = loaded(&std::fs::read_to_string("/proc/self/maps").unwrap());
        assert!(here.is_some_and(|folder| folder.join("libtorch_cpu.so").is_file()));
    }
}
