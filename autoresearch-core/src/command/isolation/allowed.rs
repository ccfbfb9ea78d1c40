//! The files that an isolated command may use: an allow-list, made from the system's usual places, the environment that names the
//! tool chains, and what the job says.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::layer::Layer;
use super::settings::Isolation;

/// Places of the system's programs and libraries, and of the settings that these read. Nothing in `/etc` that holds a secret.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/proc",
    "/sys",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/default/locale",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/java",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/OpenCL",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/java",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/python3",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/etc/vulkan",
];

/// Devices that a command may read and write. Terminals are not among them: the user's would be, too. A view has its own.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Beginnings of the names of accelerators' devices.
const ACCELERATORS: &[&str] = &["nvidia", "dri", "kfd", "accel", "dxg", "davinci", "habanalabs"];

/// Variables that name the folder of a tool chain, and the parts of it that a command needs. No part is the whole folder. What
/// lies beside these may be a key: `credentials.toml` of cargo, `token` of a model hub.
const HOMES: &[(&str, &[&str])] = &[
    ("CARGO_HOME", &["bin", "registry", "git", "config.toml", "config", "env"]),
    ("RUSTUP_HOME", &[]),
    ("PYENV_ROOT", &[]),
    ("CONDA_PREFIX", &[]),
    ("VIRTUAL_ENV", &[]),
    ("MAMBA_ROOT_PREFIX", &["bin", "envs", "pkgs", "lib"]),
    ("GOROOT", &[]),
    ("GOPATH", &["bin", "pkg"]),
    ("GOMODCACHE", &[]),
    ("JAVA_HOME", &[]),
    ("LIBTORCH", &[]),
    ("CUDA_HOME", &[]),
    ("CUDA_PATH", &[]),
    ("GEM_HOME", &[]),
    ("BUNDLE_PATH", &[]),
    ("JULIA_DEPOT_PATH", &["packages", "artifacts", "compiled", "juliaup"]),
    ("HF_HOME", &["hub", "datasets"]),
    ("HF_HUB_CACHE", &[]),
    ("HF_DATASETS_CACHE", &[]),
    ("TORCH_HOME", &["hub"]),
    ("UV_PYTHON_INSTALL_DIR", &[]),
];

/// Variables that list folders.
const LISTS: &[&str] =
    &["LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH", "GEM_PATH", "PERL5LIB", "R_LIBS_USER", "CPATH", "LIBRARY_PATH"];

/// Folders of tools below `HOME` whose variable need not be set, with that variable.
const BELOW_HOME: &[(&str, &str)] = &[
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("GOPATH", "go"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
];

/// The files that a command may read, write and use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Files and folders to read and execute.
    pub(super) read: BTreeSet<PathBuf>,
    /// Files and folders to read and write.
    pub(super) write: BTreeSet<PathBuf>,
    /// Devices to use.
    pub(super) devices: BTreeSet<PathBuf>,
    /// Folders to change for itself alone, at their real paths.
    pub(super) layers: Vec<Layer>,
    /// Where the command starts.
    pub(super) directory: PathBuf,
}

/// The parts that the allow-list of a command is made from, beside the isolation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings<'a> {
    /// The program and its arguments, as the user gave them.
    pub(crate) argv: &'a [String],
    /// Variables that the user gave it.
    pub(crate) environment: &'a [(String, OsString)],
    /// Files and folders that the job provides by links.
    pub(crate) provided: Vec<PathBuf>,
    /// Folders of the command's own: its files, and its temporary files.
    pub(crate) own: Vec<PathBuf>,
    /// Folders that it changes for itself alone.
    pub(crate) layers: Vec<Layer>,
    /// Folders that it reads.
    pub(crate) reads: Vec<PathBuf>,
    /// Where it starts.
    pub(crate) directory: PathBuf,
}

impl Allowed {
    /// Makes the list. `variable` reads the lab's environment.
    pub(crate) fn new(
        isolation: &Isolation,
        around: &Surroundings<'_>,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Allowed {
        let home = variable("HOME").map(PathBuf::from);
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        for (name, folder) in tool_homes(variable, home.as_deref()) {
            let parts = HOMES.iter().find(|(home, _)| *home == name).map_or(&[][..], |(_, parts)| *parts);
            match parts.is_empty() {
                true => read.push(folder),
                false => read.extend(parts.iter().map(|part| folder.join(part))),
            }
        }
        for list in LISTS.iter().filter_map(|name| variable(name)) {
            read.extend(std::env::split_paths(&list).filter(|folder| !is_repository(folder)));
        }
        let path: Vec<PathBuf> =
            variable("PATH").iter().flat_map(|path| std::env::split_paths(path).collect::<Vec<_>>()).collect();
        read.extend(path.iter().map(|folder| {
            let around = prefix(folder, home.as_deref());
            if takes_in(&around, isolation) { folder.clone() } else { around }
        }));
        let program = program(around.argv, &path).filter(|program| !Changed::new(isolation, around).is_below(program));
        read.extend(program.into_iter().flat_map(|program| of_program(&program, home.as_deref())));
        read.retain(|path| !takes_in(path, isolation));
        let mut allowed = Allowed::with(read, isolation, around, home.as_deref());
        allowed.devices = there(devices(), None);
        allowed
    }

    /// Makes the list of what the job needs beside a system's programs, which a container brings.
    pub(crate) fn of_job(
        isolation: &Isolation,
        around: &Surroundings<'_>,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Allowed {
        Allowed::with(Vec::new(), isolation, around, variable("HOME").map(PathBuf::from).as_deref())
    }

    fn with(mut read: Vec<PathBuf>, isolation: &Isolation, around: &Surroundings<'_>, home: Option<&Path>) -> Allowed {
        let mut allowed = Allowed { directory: around.directory.clone(), ..Allowed::default() };
        let changed = Changed::new(isolation, around);
        read.extend(isolation.read.iter().chain(&around.provided).chain(&around.reads).cloned());
        // What the user names is for the command to read.
        let named = around.argv.iter().map(|argument| PathBuf::from(after_equals(argument)));
        let named = named.chain(around.environment.iter().map(|(_, value)| PathBuf::from(value)));
        read.extend(named.filter(|path| is_specific(path, home) && !takes_in(path, isolation)));
        read.retain(|path| !changed.is_below(path));
        for folder in read.clone().iter().filter(|folder| !changed.has(folder)) {
            read.extend(base_of_environment(folder, home));
            read.extend(packages_around(folder));
        }
        for layer in &around.layers {
            let Ok(folder) = layer.folder.canonicalize() else { continue };
            // A path with links on its way is a link in the view, to the folder itself.
            read.push(layer.folder.clone());
            allowed.layers.push(Layer { folder, own: layer.own.clone() });
        }
        allowed.read = there(read, home);
        let write = around.own.iter().chain(&isolation.write).filter(|path| !changed.is_below(path));
        allowed.write = there(write.cloned().collect(), None);
        allowed
    }
}

/// Folders in which candidates write. A path below them leads wherever a candidate has put a link, so none is resolved: it is
/// open as a part of its folder, or not at all.
struct Changed(Vec<PathBuf>);

impl Changed {
    fn new(isolation: &Isolation, around: &Surroundings<'_>) -> Changed {
        let layers = around.layers.iter().map(|layer| &layer.folder);
        let folders = around.own.iter().chain(&isolation.write).chain(&around.reads).chain(layers);
        Changed(folders.filter_map(|folder| folder.canonicalize().ok()).collect())
    }

    /// Tells whether a path is one of the folders, or passes through one.
    fn has(&self, path: &Path) -> bool {
        let mut on_the_way = path.ancestors().filter_map(|above| above.canonicalize().ok());
        on_the_way.any(|real| self.0.iter().any(|folder| real.starts_with(folder)))
    }

    /// Tells whether a path lies below one of the folders.
    fn is_below(&self, path: &Path) -> bool {
        path.parent().is_some_and(|above| self.has(above))
    }
}

/// The folders of tool chains, each with the variable that names it.
pub(crate) fn tool_homes(
    variable: &dyn Fn(&str) -> Option<OsString>,
    home: Option<&Path>,
) -> Vec<(&'static str, PathBuf)> {
    let set = HOMES.iter().filter_map(|(name, _)| Some((*name, PathBuf::from(variable(name)?))));
    let usual = BELOW_HOME.iter().filter(|(name, _)| variable(name).is_none());
    let usual = usual.filter_map(|(name, below)| Some((*name, home?.join(below))));
    set.chain(usual).filter(|(_, folder)| folder.is_absolute() && folder.is_dir()).collect()
}

/// The folder above a `bin`, whose programs need what lies beside them; of a user's home, the folder alone.
fn prefix(folder: &Path, home: Option<&Path>) -> PathBuf {
    let above = folder.parent().filter(|_| folder.ends_with("bin") || folder.ends_with("condabin"));
    let is_shared = |above: &Path| {
        // `~` holds anything, and so do the folders above it; in `~/.cargo` and the like lie keys.
        let is_hidden = above.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        home.is_some_and(|home| home.starts_with(above) || above.parent() == Some(home) && is_hidden)
    };
    above.filter(|above| !is_shared(above) && !is_repository(above)).unwrap_or(folder).to_owned()
}

/// Finds the program of a command.
fn program(argv: &[String], path: &[PathBuf]) -> Option<PathBuf> {
    let name = argv.first()?;
    match name.contains('/') {
        true => Some(PathBuf::from(name)).filter(|program| program.is_absolute() && program.is_file()),
        false => path.iter().map(|folder| folder.join(name)).find(|program| program.is_file()),
    }
}

/// The folders that a program needs: its own, and that of the file to which it is a link.
fn of_program(program: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let real = program.canonicalize().ok();
    let folders = [Some(program.to_owned()), real].into_iter().flatten();
    let folders = folders.filter_map(|program| Some(prefix(program.parent()?, home)));
    folders.filter(|folder| is_specific(folder, home)).chain([program.to_owned()]).collect()
}

/// The Python that a virtual environment was made from.
fn base_of_environment(folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let file = folder.join("pyvenv.cfg");
    // Anything else than a short file is none of Python's.
    file.metadata().ok().filter(|found| found.is_file() && found.len() < 1 << 16)?;
    let text = std::fs::read_to_string(file).ok()?;
    let base = text.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='))?;
    Some(prefix(Path::new(base.trim()), home)).filter(|base| is_specific(base, home))
}

/// The folder of all packages around one of Python's, which finds libraries in the packages beside it.
fn packages_around(folder: &Path) -> Option<PathBuf> {
    let real = folder.canonicalize().ok()?;
    let is_packages = |folder: &&Path| folder.ends_with("site-packages") || folder.ends_with("dist-packages");
    real.ancestors().find(is_packages).map(Path::to_owned)
}

/// `--data=/x` and `DATA=/x` as `/x`.
fn after_equals(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(_, value)| value)
}

/// Tells whether a path names something of its own: not the root, a folder right below it, the home or a folder above that.
fn is_specific(path: &Path, home: Option<&Path>) -> bool {
    let is_deep = path.components().filter(|part| matches!(part, Component::Normal(_))).count() > 1;
    path.is_absolute() && is_deep && !is_repository(path) && !home.is_some_and(|home| home.starts_with(path))
}

/// Tells whether a path is a repository or of its `.git`: that is nobody's data, the runs in it included.
fn is_repository(path: &Path) -> bool {
    path.join(".git").exists() || path.components().any(|part| part.as_os_str() == ".git")
}

/// Tells whether a path is around the hidden folder, or that itself.
fn takes_in(path: &Path, isolation: &Isolation) -> bool {
    let Some(hidden) = &isolation.hidden else { return false };
    hidden.starts_with(path) || path.canonicalize().is_ok_and(|real| hidden.starts_with(real))
}

fn devices() -> Vec<PathBuf> {
    let named = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_accelerator = |name: &OsStr| {
        name.to_str().is_some_and(|name| ACCELERATORS.iter().any(|accelerator| name.starts_with(accelerator)))
    };
    named.chain(entries.filter(|entry| is_accelerator(&entry.file_name())).map(|entry| entry.path())).collect()
}

/// Those of the paths that are there, with what they are links to. A path that takes in a whole home is left out.
fn there(paths: Vec<PathBuf>, home: Option<&Path>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in paths {
        let Ok(real) = path.canonicalize() else { continue };
        let is_too_much = |path: &Path| path == Path::new("/") || home.is_some_and(|home| home.starts_with(path));
        if path.is_absolute() && !is_too_much(&real) && !is_too_much(&path) {
            found.insert(path);
            found.insert(real);
        }
    }
    found
}

#[cfg(test)]
mod tests;
