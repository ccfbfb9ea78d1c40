//! Choice of the device that a run uses, and its preparation.

use tch::Device;
use thiserror::Error;

use crate::libraries::Libtorch;
use crate::ops::memory;

pub mod driver;

use driver::Driver;

/// The device asked for cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is none of those known.
    #[error(
        "AUTORESEARCH_DEVICE is `{0}`; give auto, cpu, cuda or cuda:N (a ROCm build of libtorch calls its devices cuda, too)"
    )]
    Unknown(String),
    /// A kind of device that the workload does not run on.
    #[error(
        "AUTORESEARCH_DEVICE is `{0}`, which is not supported: val_bpb is summed in double precision, which such devices lack, and nothing here was ever run on one; set AUTORESEARCH_DEVICE=cpu"
    )]
    Unsupported(String),
    /// CUDA was asked for and is not to be had.
    #[error("AUTORESEARCH_DEVICE asks for CUDA: {0}; or set AUTORESEARCH_DEVICE=cpu")]
    NoCuda(String),
}

/// Opens the device that `AUTORESEARCH_DEVICE` names (`auto`, `cpu`, `cuda`, `cuda:N`; default `auto`: CUDA if it can be
/// loaded, else the CPU) and sets the number of threads (`AUTORESEARCH_THREADS`, default all cores).
///
/// Must be the first thing that a process does with tensors: libtorch decides at the first one whether there is CUDA. Where
/// `auto` takes the CPU on a machine with an NVIDIA driver, the reason goes to standard error.
///
/// # Errors
///
/// A name that is not known or not supported, and CUDA that is asked for and is not there.
pub fn open() -> Result<Device, DeviceError> {
    let wanted = std::env::var("AUTORESEARCH_DEVICE").unwrap_or_else(|_| "auto".into());
    let device = match index_of(&wanted)? {
        None => Device::Cpu,
        Some(index) => match load_cuda(index) {
            Ok(()) => Device::Cuda(index),
            Err(why) if wanted == "auto" => {
                if let Some(said) = fallback(Driver::here().as_ref(), &why) {
                    eprintln!("{said}");
                }
                Device::Cpu
            }
            Err(why) => return Err(DeviceError::NoCuda(reason(Driver::here().as_ref(), &why))),
        },
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = std::env::var("AUTORESEARCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(cores);
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(1));
    keep_freed_memory();
    Ok(device)
}

/// The index of the CUDA device that a name stands for, that of `auto` included; none for the CPU.
fn index_of(name: &str) -> Result<Option<usize>, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    match (name, name.strip_prefix("cuda")) {
        ("cpu", _) => Ok(None),
        ("auto" | "cuda", _) => Ok(Some(0)),
        ("mps" | "xpu", _) => Err(DeviceError::Unsupported(name.to_owned())),
        (_, Some(rest)) => rest.strip_prefix(':').and_then(|n| n.parse().ok()).map(Some).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

/// Warns where `auto` falls back to the CPU; on a machine without an NVIDIA driver there is nothing to say.
fn fallback(driver: Option<&Driver>, why: &NoCuda) -> Option<String> {
    let (driver, reason) = (driver?, reason(driver, why));
    Some(format!(
        "warning: the CPU is used, although {driver} is there: {reason}; AUTORESEARCH_DEVICE=cpu silences this"
    ))
}

/// Says in a sentence why CUDA cannot be used beside this driver, with the remedy.
fn reason(driver: Option<&Driver>, why: &NoCuda) -> String {
    match (driver, why.cuda) {
        (None, _) => format!("there is no NVIDIA driver on this machine, and {}", why.text),
        (Some(driver), Some(cuda)) if driver.is_too_old(cuda) => {
            let (major, minor) = driver::needed(cuda);
            format!(
                "this libtorch is built for CUDA {cuda}, which needs the driver {major}.{minor} or newer, and {driver} is older; install a newer one, or a libtorch for CUDA 12 (`cargo xtask setup --cuda cu126`)"
            )
        }
        _ => why.text.clone(),
    }
}

/// Reason why CUDA cannot be loaded.
#[derive(Debug)]
struct NoCuda {
    text: String,
    /// The major version of CUDA that libtorch is built for, if that is known.
    cuda: Option<u32>,
}

/// Tells glibc to keep what tensors free for the next ones: given back to the system, every step would fault it in again,
/// page by page (about 4 % of a small model's step). Elsewhere nothing is done.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets parameters of the allocator, and ignores those that it does not know.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Loads libtorch's part for CUDA, or for ROCm, whose devices have the same names, and makes it ready for the device `index`.
#[cfg(unix)]
fn load_cuda(index: usize) -> Result<(), NoCuda> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    let libtorch = Libtorch::here();
    libtorch.preload();
    let cuda = libtorch.cuda;
    let no_cuda = |text: String| NoCuda { text, cuda };
    // Before CUDA's allocator is used the first time, when it reads its settings.
    memory::expand_segments().map_err(|e| no_cuda(e.to_string()))?;
    // The linker drops libtorch_cuda, because nothing refers to it by name; its presence in the process is what counts.
    // SAFETY: the library's initialisers register kernels with the libtorch that is loaded already.
    let load = |name| unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
    let library = load("libtorch_cuda.so").or_else(|cuda| load("libtorch_hip.so").map_err(|_| cuda));
    let remedy = "`cargo xtask setup` installs libtorch with its CUDA libraries where it finds a driver";
    std::mem::forget(library.map_err(|e| no_cuda(format!("{e}; {remedy}")))?);
    let count = tch::Cuda::device_count();
    match usize::try_from(count).is_ok_and(|count| index < count) {
        true => Ok(()),
        false => Err(no_cuda(match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(visible) => format!("libtorch sees {count} devices (CUDA_VISIBLE_DEVICES is `{visible}`)"),
            Err(_) => format!("libtorch sees {count} devices; `nvidia-smi` tells how the driver is"),
        })),
    }
}

#[cfg(not(unix))]
fn load_cuda(_index: usize) -> Result<(), NoCuda> {
    Err(NoCuda { text: "it is not supported on this system; WSL is".into(), cuda: None })
}

/// The name of a device, as `AUTORESEARCH_DEVICE` takes it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Waits until the device has done all work given to it.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// An H100's bf16 peak in FLOPs per second, which MFU is measured against.
const PEAK_FLOPS: f64 = 989.5e12;

/// Model FLOPs utilisation: percent of an H100's bf16 peak. 0 on the CPU, whose peak nobody asks for.
pub fn mfu_percent(flops_per_second: f64, device: Device) -> f64 {
    if device == Device::Cpu { 0.0 } else { 100.0 * flops_per_second / PEAK_FLOPS }
}

/// The peak memory of this process in MB: what karpathy's block calls `peak_vram_mb`. On the CPU it is the resident set, on
/// CUDA what tensors took.
pub fn peak_memory_mb(device: Device) -> f64 {
    if device != Device::Cpu {
        return memory::cuda(device).map_or(0.0, |memory| memory.peak as f64 / f64::from(1 << 20));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_device_or_an_error_that_lists_them() {
        let of = |name: &str| index_of(name).map_err(|error| error.to_string());
        for (name, index) in [("cpu", None), ("auto", Some(0)), ("cuda", Some(0)), ("cuda:3", Some(3))] {
            assert_eq!(of(name), Ok(index), "{name}");
        }
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda3", "CUDA"] {
            assert!(of(name).is_err_and(|error| error.contains("give auto, cpu, cuda or cuda:N")), "{name}");
        }
        assert!(of("mps").is_err_and(|error| error.contains("`mps`, which is not supported")));
    }

    #[test]
    fn the_cpu_instead_of_a_device_is_explained_where_there_is_one() {
        let why = |cuda| NoCuda { text: "libtorch sees 0 devices".into(), cuda };
        assert_eq!(fallback(None, &why(Some(13))), None);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/driver/nvidia")).unwrap();
        let module = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n";
        std::fs::write(root.path().join("proc/driver/nvidia/version"), module).unwrap();
        let driver = Driver::find(root.path(), || None);
        let said = fallback(driver.as_ref(), &why(Some(13))).unwrap();
        assert!(said.contains("the NVIDIA driver 550.54.15") && said.contains("the driver 580.65 or newer"), "{said}");
        for cuda in [Some(12), None] {
            let said = fallback(driver.as_ref(), &why(cuda)).unwrap();
            assert!(said.contains("is there: libtorch sees 0 devices; AUTORESEARCH_DEVICE=cpu"), "{said}");
        }
        assert!(reason(None, &why(None)).starts_with("there is no NVIDIA driver on this machine, and libtorch sees"));
    }
}
