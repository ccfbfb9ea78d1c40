//! Set-up: libtorch 2.11 from PyPI's wheels, in `.venv`, behind the link `.venv/libtorch`.
//!
//! It is idempotent, and a set-up that was killed halfway is repaired: what counts is not that files are there but that a
//! marker, written last, says they were complete, and that the libraries still have the sizes it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::driver::Driver;
use crate::{places, sh};

mod wheel;

use wheel::{TORCH, Wheel};

/// Written last, when everything is there.
const MARKER: &str = "autoresearch-setup";
/// Written first, into an environment that we made.
const OWN: &str = "autoresearch-made-this";

/// Builds all programs of the workspace in one call of cargo, so that they share their dependencies, and returns their folder.
pub fn programs() -> Result<PathBuf, String> {
    sh::output(sh::cargo().args(["build", "--locked", "--workspace", "--bins"]).env("LIBTORCH", setup()?))?;
    Ok(sh::target()?.join("debug"))
}

/// Makes everything ready and returns the folder of libtorch.
pub fn setup() -> Result<PathBuf, String> {
    setup_with(None)
}

/// The options of `cargo xtask setup`.
pub fn command(arguments: &[String]) -> Result<(), String> {
    let cuda = match arguments {
        [] => None,
        [option, name] if option == "--cuda" => Some(name.as_str()),
        [joined] if joined.starts_with("--cuda=") => joined.strip_prefix("--cuda="),
        other => return Err(format!("set-up takes --cuda NAME, and not `{}`", other.join(" "))),
    };
    setup_with(cuda).map(drop)
}

/// The same, with the build of torch that is asked for by name.
fn setup_with(cuda: Option<&str>) -> Result<PathBuf, String> {
    compiler()?;
    // Cargo sets LIBTORCH to our own link (.cargo/config.toml); only another one is the user's.
    let venv = places::root().join(".venv");
    let link = venv.join("libtorch");
    let own = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|path| *path != link);
    if let Some(path) = own {
        check_version(&path)?;
        eprintln!("libtorch {TORCH}: yours, at {}", path.display());
        return Ok(path);
    }
    let lock_path = places::root().join(".venv.lock");
    let lock = fs::File::create(&lock_path).map_err(|e| format!("cannot make {}: {e}", lock_path.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("libtorch {TORCH}: another set-up is running; waiting for it");
        lock.lock().map_err(|e| format!("cannot lock {}: {e}", lock_path.display()))?;
    }

    let asked = cuda.map(str::to_owned).or_else(|| std::env::var(wheel::CHOICE).ok().filter(|name| !name.is_empty()));
    let driver = Driver::here();
    let installed = Wheel::of_mark(&complete(&venv, &link).unwrap_or_default());
    let wheel = Wheel::choose(asked.as_deref(), installed, driver.as_ref())?;
    let mark = || {
        let (path, text) = (venv.join(MARKER), describe(&venv, wheel.mark(asked.is_some()))?);
        fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
    };
    if installed.is_some_and(|(there, _)| there == wheel) {
        if asked.is_some() {
            mark()?;
        }
        eprintln!("libtorch {TORCH}: ready at {}", link.display());
        return Ok(link);
    }
    let began = Instant::now();
    let found = driver.map_or(String::new(), |driver| format!(", beside {driver}"));
    eprintln!("libtorch {TORCH}: installing into {} ({}{found})", venv.display(), wheel.shown());
    install(&venv, wheel)?;
    let package = site_packages(&venv)?.join("torch");
    let _ = fs::remove_file(&link);
    link_to(package.strip_prefix(&venv).unwrap_or(&package), &link)?;
    check_version(&link)?;
    mark()?;
    eprintln!("libtorch {TORCH}: installed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(link)
}

/// torch-sys compiles a little C++.
fn compiler() -> Result<(), String> {
    let named = std::env::var_os("CXX");
    let names = ["c++", "g++", "clang++"].map(std::ffi::OsString::from);
    let mut candidates = named.into_iter().chain(names);
    let found = candidates.any(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()));
    match found {
        true => Ok(()),
        false => Err("there is no C++ compiler; install one (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install gcc-c++`; macOS: `xcode-select --install`)".into()),
    }
}

/// The version of a libtorch, as its headers or its Python package say it.
fn check_version(libtorch: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(libtorch.join(name)).ok();
    let found = read("version.py")
        .and_then(|text| quoted(&text, "__version__"))
        .or_else(|| read("build-version"))
        .or_else(|| {
            from_header(
                &read("include/torch/headeronly/version.h")
                    .or_else(|| read("include/torch/csrc/api/include/torch/version.h"))?,
            )
        });
    let shown = libtorch.display();
    let found = found.ok_or_else(|| {
        format!("there is no libtorch at {shown} (LIBTORCH): it has neither version.py, build-version nor headers; unset LIBTORCH, and `cargo xtask setup` installs {TORCH}")
    })?;
    match found.trim().split('+').next() == Some(TORCH) {
        true => Ok(()),
        false => Err(format!(
            "the libtorch at {shown} is {}, but {TORCH} is needed; unset LIBTORCH, or let it point at libtorch {TORCH}",
            found.trim()
        )),
    }
}

/// The text in quotes on the line that begins with `name`.
fn quoted(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let mut parts = line.split(['\'', '"']);
    parts.nth(1).map(str::to_owned)
}

fn from_header(text: &str) -> Option<String> {
    let number = |name: &str| {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    };
    let parts = ["MAJOR", "MINOR", "PATCH"].map(|part| number(&format!("TORCH_VERSION_{part}")));
    let [Some(major), Some(minor), Some(patch)] = parts else { return None };
    Some(format!("{major}.{minor}.{patch}"))
}

/// Content of the marker of a complete installation: every library with its size, torch's own and those it is linked
/// against.
fn describe(venv: &Path, build: &str) -> Result<String, String> {
    let packages = site_packages(venv)?;
    let mut libraries = Vec::new();
    for folder in [packages.join("torch/lib"), packages.join("nvidia")] {
        sizes(&folder, &mut libraries);
    }
    libraries.sort();
    match libraries.iter().any(|line| line.contains("torch_cpu")) {
        true => Ok(format!("torch {TORCH} cuda {build}\n{}\n", libraries.join("\n"))),
        false => Err(format!("pip ended well, but there is no libtorch in {}", packages.display())),
    }
}

fn sizes(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sizes(&path, into);
        } else if path.parent().is_some_and(|parent| parent.ends_with("lib")) {
            into.push(format!("{} {}", path.display(), entry.metadata().map_or(0, |m| m.len())));
        }
    }
}

/// The marker of a complete installation.
fn complete(venv: &Path, link: &Path) -> Option<String> {
    let said = fs::read_to_string(venv.join(MARKER)).ok()?;
    let build = said.lines().next()?.rsplit(' ').next()?;
    let is_whole = check_version(link).is_ok() && describe(venv, build).is_ok_and(|now| now == said);
    is_whole.then_some(said)
}

fn install(venv: &Path, wheel: Wheel) -> Result<(), String> {
    let python = venv.join("bin/python");
    let hint = |error: String| {
        format!(
            "{error}\ntorch {TORCH} has wheels for CPython 3.10 to 3.14 on Linux and macOS; without one of them set LIBTORCH to a libtorch {TORCH}"
        )
    };
    if works(Command::new("uv").arg("--version")) {
        if !works(Command::new(&python).arg("--version")) {
            clear(venv)?;
            sh::run(Command::new("uv").args(["venv", "--quiet"]).arg(venv))?;
            own(venv)?;
        }
        has_room(venv, wheel)?;
        return sh::run(&mut wheel.install(&python, true)).map_err(hint);
    }
    let pip = || works(Command::new(&python).args(["-m", "pip", "--version"]));
    let mended = || works(Command::new(&python).args(["-m", "ensurepip"])) && pip();
    if !pip() && !mended() {
        clear(venv)?;
        make_venv(venv)?;
    }
    has_room(venv, wheel)?;
    sh::run(&mut wheel.install(&python, false)).map_err(hint)
}

/// Refuses a disk that the wheel would fill. Asked once there is an environment: a machine without Python is told of that.
fn has_room(venv: &Path, wheel: Wheel) -> Result<(), String> {
    let needed = wheel.space_gb();
    match free_gb(venv) {
        Some(free) if free < needed => Err(format!(
            "{} has {free} GB of free disk, and libtorch needs {needed} GB while it is installed; free some and run the same command again",
            venv.display()
        )),
        _ => Ok(()),
    }
}

/// Makes an environment at `venv` that holds `packages`, each pinned as `name==version`. Quick when it is there already.
pub fn packages(venv: &Path, packages: &[&str]) -> Result<(), String> {
    let mark = venv.join(MARKER);
    let wanted = packages.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let python = venv.join("bin/python");
    clear(venv)?;
    let uv = works(Command::new("uv").arg("--version"));
    let mut make = Command::new(if uv { "uv" } else { "python3" });
    make.args(if uv { &["venv", "--quiet"][..] } else { &["-m", "venv"] }).arg(venv);
    if let Err(error) = sh::output(&mut make).and_then(|_| own(venv)) {
        // Without our mark it could never be cleared again.
        let _ = fs::remove_dir_all(venv);
        return Err(error);
    }
    let mut install = Command::new(if uv { Path::new("uv") } else { &python });
    match uv {
        true => install.args(["pip", "install", "--python"]).arg(&python),
        false => install.args(["-m", "pip", "install", "--disable-pip-version-check"]),
    };
    sh::output(install.args(packages))?;
    fs::write(&mark, wanted).map_err(|e| format!("cannot write {}: {e}", mark.display()))
}

fn make_venv(venv: &Path) -> Result<(), String> {
    if !works(Command::new("python3").arg("--version")) {
        return Err("there is no python3, whose pip brings libtorch; install it (Debian, Ubuntu: `apt install python3 python3-venv`), or uv, or set LIBTORCH to a libtorch 2.11.0".into());
    }
    let mut make = Command::new("python3");
    let made = sh::run(make.args(["-m", "venv"]).arg(venv)).and_then(|()| own(venv));
    let pip = || works(Command::new(venv.join("bin/python")).args(["-m", "pip", "--version"]));
    let made = made.and_then(|()| if pip() { Ok(()) } else { Err("the new environment has no pip".into()) });
    made.map_err(|error| {
        let _ = fs::remove_dir_all(venv);
        format!("{error}\npython3 cannot make an environment with pip; install what it lacks (Debian, Ubuntu: `apt install python3-venv python3-pip`), or uv, or set LIBTORCH to a libtorch {TORCH}")
    })
}

/// Marks the environment as made by this set-up, which may then empty it again.
fn own(venv: &Path) -> Result<(), String> {
    let mark = venv.join(OWN);
    fs::write(&mark, "").map_err(|e| format!("cannot write {}: {e}", mark.display()))
}

/// Empties the environment of a set-up that cannot be mended; never one that somebody else made.
fn clear(venv: &Path) -> Result<(), String> {
    let empty = fs::read_dir(venv).map_or(true, |mut entries| entries.next().is_none());
    if !empty && !venv.join(OWN).exists() {
        return Err(format!(
            "{} has no working pip, and this set-up did not make it; mend it (`python3 -m ensurepip`), or move it away",
            venv.display()
        ));
    }
    match fs::remove_dir_all(venv) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot empty {}: {e}; remove it yourself", venv.display()))
        }
        _ => Ok(()),
    }
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn site_packages(venv: &Path) -> Result<PathBuf, String> {
    let ask = "import sysconfig; print(sysconfig.get_paths()['platlib'])";
    let path = sh::output(Command::new(venv.join("bin/python")).args(["-c", ask]))?;
    Ok(PathBuf::from(path.trim()))
}

#[cfg(unix)]
fn link_to(target: &Path, link: &Path) -> Result<(), String> {
    std::os::unix::fs::symlink(target, link).map_err(|e| format!("cannot make the link {}: {e}", link.display()))
}

#[cfg(not(unix))]
fn link_to(_target: &Path, _link: &Path) -> Result<(), String> {
    Err("this set-up knows Linux and macOS; elsewhere set LIBTORCH to a libtorch 2.11.0 (WSL works)".into())
}

/// Free disk in GB, as `df` says; unknown where there is no `df`.
pub fn free_gb(path: &Path) -> Option<u64> {
    let text = sh::output(Command::new("df").args(["-Pk"]).arg(path)).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_packages_and_headers() {
        assert_eq!(quoted("x = 1\n__version__ = '2.11.0+cu130'\n", "__version__").unwrap(), "2.11.0+cu130");
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 10\n#define TORCH_VERSION_PATCH 1\n";
        assert_eq!(from_header(header).unwrap(), "2.10.1");
        assert_eq!(from_header("nothing"), None);
    }
}
