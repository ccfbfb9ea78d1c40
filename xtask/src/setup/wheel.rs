//! The build of torch that the set-up installs: with or without CUDA, and for which driver.

use std::path::Path;
use std::process::Command;

use crate::driver::{Driver, needed};

/// The only version that fits the bindings (tch 0.24).
pub const TORCH: &str = "2.11.0";

/// Names a build for every command that calls the set-up, as the option `--cuda` does for the set-up itself.
pub const CHOICE: &str = "AUTORESEARCH_CUDA";

/// Packages that the CPU part of libtorch is linked against.
const CUDA_RUNTIME: [&str; 2] = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// A build of torch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wheel {
    /// PyPI's, of which only the part for the CPU is used.
    Cpu,
    /// PyPI's, with all libraries of CUDA 13.
    Cu130,
    /// For CUDA 12.8, from PyTorch's own index.
    Cu128,
    /// For CUDA 12.6, from PyTorch's own index. The last one for GPUs before Turing.
    Cu126,
}

const ALL: [(Wheel, &str); 4] =
    [(Wheel::Cpu, "cpu"), (Wheel::Cu130, "cu130"), (Wheel::Cu128, "cu128"), (Wheel::Cu126, "cu126")];

impl Wheel {
    /// Reads a name such as `cu126`.
    pub fn named(name: &str) -> Result<Wheel, String> {
        let found = ALL.iter().find(|(_, known)| *known == name).map(|(wheel, _)| *wheel);
        found.ok_or_else(|| {
            format!("there is no build of torch `{name}`; give cpu, cu126, cu128 or cu130 (--cuda, {CHOICE})")
        })
    }

    /// The build for a machine: the one that is asked for, else the one that is installed if it runs here and, where there is a
    /// driver, has CUDA or was asked for, else PyPI's, with CUDA where there is a driver for it. `installed` comes from
    /// [`Wheel::of_mark`].
    pub fn choose(
        asked: Option<&str>,
        installed: Option<(Wheel, bool)>,
        driver: Option<&Driver>,
    ) -> Result<Wheel, String> {
        let runs = |wheel: Wheel| driver.is_none_or(|driver| wheel.cuda().is_none_or(|cuda| !driver.is_too_old(cuda)));
        match (asked, installed, driver) {
            (Some(name), ..) => match (Wheel::named(name)?, driver) {
                (wheel, Some(driver)) if !runs(wheel) => Err(too_old(driver, wheel)),
                (wheel, _) => Ok(wheel),
            },
            (None, Some((Wheel::Cpu, false)), Some(_)) => Wheel::choose(None, None, driver),
            (None, Some((wheel, _)), _) if runs(wheel) => Ok(wheel),
            (None, _, None) => Ok(Wheel::Cpu),
            (None, _, Some(driver)) if !runs(Wheel::Cu130) => Err(too_old(driver, Wheel::Cu130)),
            (None, _, Some(_)) => Ok(Wheel::Cu130),
        }
    }

    /// The major version of CUDA.
    fn cuda(self) -> Option<u32> {
        match self {
            Wheel::Cpu => None,
            Wheel::Cu130 => Some(13),
            Wheel::Cu128 | Wheel::Cu126 => Some(12),
        }
    }

    /// Disk in GB that the wheels need while they are unpacked.
    pub fn space_gb(self) -> u64 {
        if self == Wheel::Cpu { 3 } else { 12 }
    }

    /// In words.
    pub fn shown(self) -> &'static str {
        match self {
            Wheel::Cpu => "CPU",
            Wheel::Cu130 => "with CUDA 13.0",
            Wheel::Cu128 => "with CUDA 12.8",
            Wheel::Cu126 => "with CUDA 12.6",
        }
    }

    /// The name, as [`Wheel::named`] takes it.
    fn name(self) -> &'static str {
        ALL.iter().find(|(wheel, _)| *wheel == self).map_or("", |(_, name)| name)
    }

    /// The word for it in the marker of a complete installation. One without CUDA that nobody asked for is replaced where a driver
    /// appears.
    pub fn mark(self, is_asked_for: bool) -> &'static str {
        if self == Wheel::Cpu && !is_asked_for { "false" } else { self.name() }
    }

    /// The build that a marker names, and true if it was asked for by name. The older form of a marker says `true` or `false`.
    pub fn of_mark(marker: &str) -> Option<(Wheel, bool)> {
        let word = marker.lines().next()?.rsplit(' ').next()?;
        match word {
            "true" => Some((Wheel::Cu130, false)),
            "false" => Some((Wheel::Cpu, false)),
            name => Wheel::named(name).ok().map(|wheel| (wheel, true)),
        }
    }

    /// The command that installs it: by uv if it is there, else by the pip of the environment with this Python.
    pub fn install(self, python: &Path, by_uv: bool) -> Command {
        let mut install = Command::new(if by_uv { Path::new("uv") } else { python });
        match by_uv {
            true => install.args(["pip", "install", "--reinstall", "--python"]).arg(python),
            // A package that was cut off halfway counts as installed for pip, hence the force.
            false => install.args(["-m", "pip", "install", "--disable-pip-version-check", "--force-reinstall"]),
        };
        if matches!(self, Wheel::Cu128 | Wheel::Cu126) {
            install.arg(format!("--index-url=https://download.pytorch.org/whl/{}", self.name()));
        }
        let torch = format!("torch=={TORCH}");
        match self {
            Wheel::Cpu => install.args(["--no-deps", &torch]),
            _ => install.arg(&torch),
        };
        if self == Wheel::Cpu && cfg!(target_os = "linux") {
            install.args(CUDA_RUNTIME);
        }
        install
    }
}

/// The error about a driver that a build does not run with, with those that it may run with.
fn too_old(driver: &Driver, wheel: Wheel) -> String {
    let (major, minor) = needed(wheel.cuda().unwrap_or_default());
    let offered =
        [Wheel::Cu128, Wheel::Cu126].into_iter().filter(|wheel| !driver.is_too_old(wheel.cuda().unwrap_or_default()));
    let mut offers: Vec<String> = offered
        .map(|wheel| {
            format!("  cargo xtask setup --cuda {}   torch {}, from PyTorch's own index", wheel.name(), wheel.shown())
        })
        .collect();
    offers.push("  cargo xtask setup --cuda cpu     torch without CUDA".into());
    format!(
        "torch {TORCH} {} needs the driver {major}.{minor} or newer, and here is {driver}; install a newer one, or choose another build (or {CHOICE}=NAME for every command):\n{}",
        wheel.shown(),
        offers.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sh;

    /// The driver of a machine whose `nvidia-smi` says this.
    fn driver(version: &str) -> Option<Driver> {
        static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("autoresearch-wheel-{}-{number}", std::process::id()));
        std::fs::create_dir_all(root.join("dev")).unwrap();
        std::fs::write(root.join("dev/nvidiactl"), "").unwrap();
        let found = Driver::find(&root, || Some(version.to_owned()));
        std::fs::remove_dir_all(root).unwrap();
        found
    }

    fn chosen(asked: Option<&str>, installed: Option<(Wheel, bool)>, version: Option<&str>) -> Result<Wheel, String> {
        Wheel::choose(asked, installed, version.and_then(driver).as_ref())
    }

    #[test]
    fn the_build_follows_the_driver_unless_one_is_asked_for_or_there() {
        use Wheel::{Cpu, Cu126, Cu128, Cu130};
        for (asked, installed, version, wheel) in [
            (None, None, None, Cpu),
            (None, None, Some("580.65.06"), Cu130),
            (None, None, Some("unknown"), Cu130),
            // A node without a GPU may install for others.
            (Some("cu126"), None, None, Cu126),
            (Some("cu126"), Some((Cu130, true)), Some("580.65.06"), Cu126),
            (Some("cu128"), None, Some("550.54.15"), Cu128),
            (Some("cpu"), None, Some("470.1"), Cpu),
            // A choice stays, and so does CUDA where the driver is gone.
            (None, Some((Cu126, true)), Some("550.54.15"), Cu126),
            (None, Some((Cu126, true)), Some("580.65.06"), Cu126),
            (None, Some((Cpu, true)), Some("580.65.06"), Cpu),
            (None, Some((Cu130, false)), None, Cu130),
            // A driver that is new gets CUDA.
            (None, Some((Cpu, false)), Some("580.65.06"), Cu130),
            (None, Some((Cpu, false)), None, Cpu),
        ] {
            assert_eq!(chosen(asked, installed, version), Ok(wheel), "{asked:?} {installed:?} {version:?}");
        }
    }

    #[test]
    fn a_driver_that_is_too_old_is_named_with_the_builds_that_it_runs() {
        for installed in [None, Some((Wheel::Cu130, true)), Some((Wheel::Cpu, false))] {
            let error = chosen(None, installed, Some("550.54.15")).unwrap_err();
            for part in
                ["the NVIDIA driver 550.54.15", "580.65 or newer", "--cuda cu128", "--cuda cu126", "--cuda cpu", CHOICE]
            {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        assert!(chosen(Some("cu130"), None, Some("550.54.15")).unwrap_err().contains("with CUDA 13.0 needs"));
        let older = chosen(None, None, Some("470.256.02")).unwrap_err();
        assert!(older.contains("470.256.02") && older.contains("--cuda cpu") && !older.contains("cu126"), "{older}");
        assert!(chosen(Some("cu118"), None, None).unwrap_err().contains("cpu, cu126, cu128 or cu130"));
    }

    #[test]
    fn a_marker_names_its_build() {
        let again = |wheel: Wheel, is_asked_for| {
            Wheel::of_mark(&format!("torch {TORCH} cuda {}\n/x 1\n", wheel.mark(is_asked_for)))
        };
        for (wheel, _) in ALL {
            assert_eq!(again(wheel, true), Some((wheel, true)));
        }
        assert_eq!(again(Wheel::Cpu, false), Some((Wheel::Cpu, false)));
        assert_eq!(Wheel::of_mark("torch 2.11.0 cuda true\n"), Some((Wheel::Cu130, false)));
        assert_eq!(Wheel::of_mark(""), None);
    }

    #[test]
    fn the_command_lines_are_those_of_pip_and_uv() {
        let shown = |wheel: Wheel, by_uv| sh::shown(&wheel.install(Path::new("/v/bin/python"), by_uv));
        let pip = "python -m pip install --disable-pip-version-check --force-reinstall";
        let uv = "uv pip install --reinstall --python /v/bin/python";
        let index = "--index-url=https://download.pytorch.org/whl";
        assert_eq!(shown(Wheel::Cu130, false), format!("{pip} torch==2.11.0"));
        assert_eq!(shown(Wheel::Cu126, false), format!("{pip} {index}/cu126 torch==2.11.0"));
        assert_eq!(shown(Wheel::Cu128, true), format!("{uv} {index}/cu128 torch==2.11.0"));
        assert!(shown(Wheel::Cpu, true).starts_with(&format!("{uv} --no-deps torch==2.11.0")));
    }
}
