//! Kernels in CUDA C++, compiled at run time and launched over tensors.
//!
//! A [`Kernel`] is its source as text and the name of a function in it, so a new one needs no file beside `train.rs`. NVRTC, a
//! part of every CUDA build of libtorch, compiles it in some tenths of a second for the GPU that is there; what it made is kept
//! on disk. Before the source stands `kernels/prelude.cuh`: `Global`, the tensors of a kernel's parameters, `Pack`, wide
//! accesses, sums over a block, bf16. `T` is the kind of the tensors of parameters that are declared so, bf16 or float.
//!
//! Kernels run on CUDA alone. [`is_ready`] says where, and everything else takes another way.
//!
//! # Example
//!
//! Scaling by a number, on a GPU by a kernel and elsewhere by libtorch:
//!
//! ```
//! use autoresearch_llm::ops::kernel::{self, Grid, Kernel};
//! use tch::{Device, Kind, TchError, Tensor};
//!
//! static SCALE: Kernel = Kernel::new(
//!     "scale",
//!     r"
//!     KERNEL scale(Global<const T> x, Global<T> y, float by) {
//!       i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
//!       if (i < x.count) y.set(i, by * x.get(i));
//!     }",
//! );
//!
//! fn scale(x: &Tensor, by: f64) -> Result<Tensor, TchError> {
//!     if !kernel::is_ready(x) {
//!         return x.f_mul_scalar(by);
//!     }
//!     let (x, y) = (x.contiguous(), x.empty_like());
//!     // SAFETY: the kernel reads and writes as many elements as either tensor has.
//!     unsafe { SCALE.launch(Grid::covering(x.numel(), 256), &[(&x).into(), (&y).into(), by.into()]) }?;
//!     Ok(y)
//! }
//!
//! let x = Tensor::from_slice(&[1f32, 2.0]);
//! assert_eq!(Vec::<f32>::try_from(scale(&x, 3.0)?)?, [3.0, 6.0]);
//! # Ok::<(), TchError>(())
//! ```
//!
//! [`super::function::custom`] gives such an operation a gradient, by a second kernel.

use std::ffi::c_void;
use std::sync::{Mutex, OnceLock, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

mod argument;
mod cache;
mod devices;
mod driver;
pub mod launcher;
mod nvrtc;
mod signature;

pub use argument::Argument;
pub(crate) use devices::launcher_of;
pub use devices::with_launcher;
use launcher::{Launcher, Program};
pub use nvrtc::Compiled;
use signature::Signature;

/// The text that stands before a kernel's source.
const PRELUDE: &str = include_str!("../../kernels/prelude.cuh");

/// Threads that a block has at most.
pub(in crate::ops) const MOST_THREADS: i64 = 1024;

/// How many threads a kernel is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Blocks; with none, a launch does nothing.
    pub blocks: i64,
    /// Threads of each block, 1 to 1024. Sums over a block need whole warps: a multiple of 32.
    pub threads: i64,
}

impl Grid {
    /// Blocks of `threads` threads, as many as it takes for one thread to each of `elements`.
    pub fn covering(elements: usize, threads: i64) -> Grid {
        let elements = i64::try_from(elements).unwrap_or(i64::MAX);
        Grid { blocks: elements.div_euclid(threads.max(1)) + i64::from(elements % threads.max(1) > 0), threads }
    }
}

/// A kernel: source and name. It is compiled when it is first launched, for the kind and device of its tensors.
#[derive(Debug)]
pub struct Kernel {
    name: &'static str,
    source: &'static str,
    most_threads: i64,
    signature: OnceLock<Result<Signature, String>>,
    loaded: Mutex<Vec<Loaded>>,
}

/// A kernel that is compiled and loaded.
#[derive(Debug, Clone)]
struct Loaded {
    of: String,
    kind: Kind,
    function: usize,
}

impl Kernel {
    /// The function `name` of `source`, declared as `KERNEL name(...)`. Its parameters are `Global<const K>` for tensors that
    /// it reads and `Global<K>` for those that it writes, `K` one of `T`, `float`, `bf16` and `i64`; and `i64`, `int` and
    /// `float` for numbers.
    pub const fn new(name: &'static str, source: &'static str) -> Kernel {
        Kernel { name, source, most_threads: MOST_THREADS, signature: OnceLock::new(), loaded: Mutex::new(Vec::new()) }
    }

    /// The kernel for blocks of at most `threads` threads, 1024 without it. The fewer they are, the more registers has each.
    pub const fn with_most_threads(mut self, threads: i64) -> Kernel {
        self.most_threads = threads;
        self
    }

    /// Threads of the largest block that the kernel is launched with.
    pub fn most_threads(&self) -> i64 {
        self.most_threads
    }

    /// The name of the function.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts the kernel on the stream that libtorch works on; it does not wait for it.
    ///
    /// The arguments must be those that the source declares: as many, tensors for `Global`, of the kinds named there, side by
    /// side in memory, all on one device.
    ///
    /// # Safety
    ///
    /// With this grid and these arguments the kernel reads and writes its tensors within their elements alone, and writes none that
    /// something else holds to be unchanged. Nothing else stops it: it knows `count`, the number of a tensor's elements, but shapes
    /// and indices are the caller's to check.
    ///
    /// # Errors
    ///
    /// Arguments that the source does not declare, a grid that the kernel cannot have, a source that does not compile (with the
    /// compiler's message), no way to run kernels on this device, and failures of the driver.
    pub unsafe fn launch(&self, grid: Grid, arguments: &[Argument<'_>]) -> Result<(), TchError> {
        let failed = |why: String| TchError::Torch(format!("kernel {}: {why}", self.name));
        let signature = self.signature().map_err(failed)?;
        let tensors = || arguments.iter().filter_map(|a| if let Argument::Tensor(t) = a { Some(*t) } else { None });
        let device = tensors().next().map(Tensor::device).ok_or_else(|| failed("it is given no tensor".into()))?;
        if let Some(other) = tensors().find(|tensor| tensor.device() != device) {
            return Err(failed(format!("its tensors are on {device:?} and on {:?}", other.device())));
        }
        let (kind, mut values) = signature.values(arguments).map_err(failed)?;
        let most = self.most_threads;
        if !(1..=most).contains(&grid.threads) || !(0..i64::from(i32::MAX)).contains(&grid.blocks) {
            return Err(failed(format!(
                "{grid:?} is not a valid grid: give 1 to {most} threads and 0 to 2^31 - 2 blocks"
            )));
        }
        if grid.blocks == 0 {
            return Ok(());
        }
        let launcher = launcher_of(device).map_err(failed)?;
        let function = self.loaded(launcher.as_ref(), kind).map_err(failed)?;
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let [blocks, threads] = [grid.blocks, grid.threads].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        // SAFETY: there are as many pointers as the function has parameters, each to a value of the parameter's type; where the
        // kernel reads and writes is as the caller says.
        unsafe { launcher.launch(function, blocks, threads, &mut pointers) }.map_err(failed)
    }

    /// Compiles and loads the kernel for the device of `launcher`, with `kind` as `T`, if that has not happened yet.
    pub(super) fn load(&self, launcher: &dyn Launcher, kind: Kind) -> Result<(), String> {
        self.loaded(launcher, kind).map(|_| ())
    }

    /// Compiles the kernel for a GPU that need not be there, such as `sm_90`, with `kind` as `T`.
    ///
    /// # Errors
    ///
    /// NVRTC cannot be loaded, or its message about the source.
    pub fn compile(&self, kind: Kind, architecture: &str) -> Result<Compiled, String> {
        nvrtc::compile(&self.text(kind)?, architecture)
    }

    fn text(&self, kind: Kind) -> Result<String, String> {
        let element = match kind {
            Kind::BFloat16 => "bf16",
            Kind::Float => "float",
            other => return Err(format!("its T may be bf16 or float32, not {other:?}")),
        };
        let most = self.most_threads;
        Ok(format!(
            "#define T {element}\n#define MOST_THREADS {most}\n{PRELUDE}\n#line 1 \"{}\"\n{}",
            self.name, self.source
        ))
    }

    fn signature(&self) -> Result<&Signature, String> {
        self.signature.get_or_init(|| Signature::of(self.name, self.source)).as_ref().map_err(Clone::clone)
    }

    fn loaded(&self, launcher: &dyn Launcher, kind: Kind) -> Result<usize, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = loaded.iter().find(|found| found.kind == kind && found.of == launcher.name()) {
            return Ok(found.function);
        }
        let text = self.text(kind)?;
        let function = launcher.load(&Program { name: self.name, text: &text })?;
        loaded.push(Loaded { of: launcher.name().to_owned(), kind, function });
        Ok(function)
    }
}

/// Returns true when kernels run on the device of `tensor`, and its kind is one of `T`'s.
pub fn is_ready(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::BFloat16 | Kind::Float) && status(tensor.device()).is_ok()
}

/// The GPU and its architecture, such as `cuda:0, sm_90`, when kernels run on `device`.
///
/// # Errors
///
/// The reason why they do not. It is found out once.
pub fn status(device: Device) -> Result<String, String> {
    launcher_of(device).map(|launcher| launcher.name().to_owned())
}
