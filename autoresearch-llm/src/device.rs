//! Which device a run uses, and how it gets ready.

use tch::Device;
use thiserror::Error;

use crate::ops::memory;

/// The device asked for cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is none of those known.
    #[error("AUTORESEARCH_DEVICE is `{0}`; give auto, cpu, cuda or cuda:N")]
    Unknown(String),
    /// CUDA was asked for and is not to be had.
    #[error(
        "CUDA was asked for, but {0}; install the CUDA build of libtorch 2.11 (`cargo xtask setup` on a machine with an NVIDIA driver), or set AUTORESEARCH_DEVICE=cpu"
    )]
    NoCuda(String),
}

/// Opens the device that `AUTORESEARCH_DEVICE` names (`auto`, `cpu`, `cuda`, `cuda:N`; default `auto`: CUDA if it can be
/// loaded, else the CPU) and sets the number of threads (`AUTORESEARCH_THREADS`, default all cores).
///
/// Must be the first thing that a process does with tensors: libtorch decides at the first one whether there is CUDA.
pub fn open() -> Result<Device, DeviceError> {
    let wanted = std::env::var("AUTORESEARCH_DEVICE").unwrap_or_else(|_| "auto".into());
    let index = match wanted.as_str() {
        "cpu" => None,
        "auto" => Some(0),
        name => {
            let unknown = || DeviceError::Unknown(wanted.clone());
            let rest = name.strip_prefix("cuda").ok_or_else(unknown)?;
            Some(if rest.is_empty() {
                0
            } else {
                rest.strip_prefix(':').and_then(|n| n.parse().ok()).ok_or_else(unknown)?
            })
        }
    };
    let device = match index.map(|index| (index, load_cuda(index))) {
        None => Device::Cpu,
        Some((index, Ok(()))) => Device::Cuda(index),
        Some((_, Err(_))) if wanted == "auto" => Device::Cpu,
        Some((_, Err(why))) => return Err(DeviceError::NoCuda(why)),
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = std::env::var("AUTORESEARCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(cores);
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(1));
    keep_freed_memory();
    Ok(device)
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

#[cfg(unix)]
fn load_cuda(index: usize) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // The linker drops libtorch_cuda, because nothing refers to it by name; its presence in the process is what counts.
    // SAFETY: libtorch_cuda's initialisers register kernels with the libtorch that is loaded already.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(library.map_err(|e| e.to_string())?);
    let count = tch::Cuda::device_count();
    match usize::try_from(count).is_ok_and(|count| index < count) {
        true => Ok(()),
        false => Err(format!("there are {count} devices")),
    }
}

#[cfg(not(unix))]
fn load_cuda(_index: usize) -> Result<(), String> {
    Err("it is not supported on this system yet".into())
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
