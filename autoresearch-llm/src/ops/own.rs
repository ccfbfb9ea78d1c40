//! The kernels of this crate (`kernels/`), and where operations take them.

use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::Form;
use super::kernel::launcher::Launcher;
use super::kernel::launcher_of;
use super::kernel::{self, Grid, Kernel, MOST_THREADS};

/// Threads of the blocks of most kernels.
pub(super) const BLOCK: i64 = 256;

macro_rules! kernels {
    ($($constant:ident = $name:literal in $file:literal for $threads:expr),* $(,)?) => {
        $(pub(super) static $constant: Kernel =
            Kernel::new($name, include_str!(concat!("../../kernels/", $file))).with_most_threads($threads);)*

        /// All kernels of this crate.
        pub fn kernels() -> Vec<&'static Kernel> {
            vec![$(&$constant),*]
        }
    };
}

kernels! {
    CROSS_ENTROPY = "cross_entropy" in "head.cu" for BLOCK,
    MIX_NORM = "mix_norm" in "norm.cu" for MOST_THREADS,
    MIX_NORM_BACKWARD = "mix_norm_backward" in "norm.cu" for MOST_THREADS,
    ROTARY_NORM = "rotary_norm" in "rotary.cu" for BLOCK,
    ROTARY_NORM_BACKWARD = "rotary_norm_backward" in "rotary.cu" for BLOCK,
    RELU_SQUARE = "relu_square" in "relu_square.cu" for BLOCK,
    RELU_SQUARE_BACKWARD = "relu_square_backward" in "relu_square.cu" for BLOCK,
    GATE = "gate" in "gate.cu" for BLOCK,
    GATE_BACKWARD = "gate_backward" in "gate.cu" for BLOCK,
}

/// Returns true when operations on tensors like this one take kernels of this crate; see [`status`].
pub(super) fn is_taken(tensor: &Tensor) -> bool {
    kernel::is_ready(tensor) && status(tensor.device(), tensor.kind()).is_ok()
}

/// The GPU and its architecture, such as `cuda:0, sm_90`, when operations on tensors of `kind` on `device` take kernels of this crate: these are asked for,
/// all of them compile, and a small one computes what it should.
///
/// # Errors
///
/// The reason why they take libtorch's operations instead. It is found out once.
pub fn status(device: Device, kind: Kind) -> Result<String, String> {
    type Found = Result<String, String>;
    static FOUND: Mutex<Vec<(Device, Kind, Found)>> = Mutex::new(Vec::new());
    match super::form() {
        Ok(Form::Fused) => {}
        Ok(Form::Libtorch) => return Err("AUTORESEARCH_OPERATIONS is libtorch".into()),
        Ok(Form::Plain) => return Err("AUTORESEARCH_OPERATIONS is plain".into()),
        Err(unknown) => return Err(unknown.to_string()),
    }
    let launcher = launcher_of(device)?;
    if device == Device::Cpu {
        // A test's, of this thread alone.
        return Ok(launcher.name().to_owned());
    }
    let mut all = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., found)) = all.iter().find(|(on, of, _)| (*on, *of) == (device, kind)) {
        return found.clone();
    }
    let found = tried(&launcher, device, kind).map(|()| launcher.name().to_owned());
    all.push((device, kind, found.clone()));
    found
}

/// Loads every kernel, and runs one.
fn tried(launcher: &Arc<dyn Launcher>, device: Device, kind: Kind) -> Result<(), String> {
    for kernel in kernels() {
        kernel.load(launcher.as_ref(), kind).map_err(|why| format!("kernel {}: {why}", kernel.name()))?;
    }
    no_grad(|| {
        let x = Tensor::from_slice(&[-1f32, 2.0, 3.0]).to_kind(kind).to_device(device);
        let y = x.zeros_like();
        // SAFETY: the kernel ends with x, and y is as large.
        unsafe { RELU_SQUARE.launch(elementwise(&x), &[(&x).into(), (&y).into()]) }?;
        let found: Vec<f32> = y.to_kind(Kind::Float).to_device(Device::Cpu).try_into()?;
        match found == [0.0, 4.0, 9.0] {
            true => Ok(()),
            false => Err(TchError::Torch(format!("a kernel for [0, 4, 9] computes {found:?}"))),
        }
    })
    .map_err(|error| error.to_string())
}

/// Threads for every eight elements of a tensor.
pub(super) fn elementwise(tensor: &Tensor) -> Grid {
    Grid::covering(tensor.numel().div_ceil(8), BLOCK)
}

/// Whole warps with a thread for every eight channels of a row.
pub(super) fn of_row(channels: i64, most: i64) -> i64 {
    (channels.unsigned_abs().div_ceil(8).next_multiple_of(32)).min(most.unsigned_abs()).cast_signed()
}

/// Neighbouring threads that share a row of `channels`, and a grid of blocks of [`BLOCK`] threads for `rows` of them.
pub(super) fn of_lanes(rows: i64, channels: i64) -> (i64, Grid) {
    let lanes = channels.unsigned_abs().div_ceil(8).next_power_of_two().min(32).cast_signed();
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    (lanes, Grid { blocks: Grid::covering(rows, BLOCK / lanes).blocks, threads: BLOCK })
}
