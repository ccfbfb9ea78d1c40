//! Where kernels run: on a GPU through its driver, and in tests wherever they are told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use tch::Device;

use super::driver::Gpu;

/// A kernel's function and all of its text.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The function to launch.
    pub name: &'a str,
    /// The source, with everything that stands before it.
    pub text: &'a str,
}

/// A place where kernels run.
pub trait Launcher: Send + Sync {
    /// Its name, of which there is no other in this process: such as `cuda:0, sm_90`.
    fn name(&self) -> &str;

    /// Compiles and loads a kernel; the number that it returns stands for it.
    ///
    /// # Errors
    ///
    /// The compiler's message, or why there is none.
    fn load(&self, program: &Program<'_>) -> Result<usize, String>;

    /// Starts a kernel that [`Launcher::load`] returned.
    ///
    /// # Safety
    ///
    /// `arguments` are as many as the kernel has parameters, each a pointer to a value of the parameter's type.
    ///
    /// # Errors
    ///
    /// The driver's message.
    unsafe fn launch(
        &self,
        function: usize,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), String>;
}

thread_local! {
    static OF_THE_CPU: RefCell<Option<Arc<dyn Launcher>>> = const { RefCell::new(None) };
}

/// Runs `work` with a launcher for the tensors of the CPU, on this thread: an emulation, in tests.
pub fn with_launcher<R>(launcher: Arc<dyn Launcher>, work: impl FnOnce() -> R) -> R {
    struct Before(Option<Arc<dyn Launcher>>);
    impl Drop for Before {
        fn drop(&mut self) {
            OF_THE_CPU.set(self.0.take());
        }
    }
    let _before = Before(OF_THE_CPU.replace(Some(launcher)));
    work()
}

/// The launcher of a device, or why it has none. Each GPU is opened once.
pub(crate) fn of(device: Device) -> Result<Arc<dyn Launcher>, String> {
    type Opened = Result<Arc<dyn Launcher>, String>;
    static OPENED: Mutex<BTreeMap<usize, Opened>> = Mutex::new(BTreeMap::new());
    match device {
        Device::Cuda(index) => {
            let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
            let open = || Gpu::open(index).map(|gpu| Arc::new(gpu) as Arc<dyn Launcher>);
            opened.entry(index).or_insert_with(open).clone()
        }
        Device::Cpu => OF_THE_CPU.with_borrow(Clone::clone).ok_or_else(|| "the device is the CPU".into()),
        other => Err(format!("{other:?} has no CUDA")),
    }
}
