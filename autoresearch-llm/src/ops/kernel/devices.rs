//! The launcher of each device.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tch::Device;

use super::driver::Gpu;
use super::launcher::Launcher;

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
pub(crate) fn launcher_of(device: Device) -> Result<Arc<dyn Launcher>, String> {
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
