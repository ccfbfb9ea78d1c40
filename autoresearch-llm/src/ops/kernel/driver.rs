//! A GPU through CUDA's driver, which is loaded when it is first wanted.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;

use libloading::Library;

use super::launcher::{Launcher, Program};
use super::nvrtc::{self, symbol};
use super::{cache, nvrtc::compile};
use crate::ops::ffi;

/// Attributes of a device, by the driver's numbers: the two parts of its compute capability.
const CAPABILITY: [c_int; 2] = [75, 76];

type Code = c_int;
type Pointer = *mut c_void;

/// The driver's functions.
struct Driver {
    init: unsafe extern "C" fn(c_uint) -> Code,
    error_text: unsafe extern "C" fn(Code, *mut *const c_char) -> Code,
    device: unsafe extern "C" fn(*mut c_int, c_int) -> Code,
    attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Code,
    retain_context: unsafe extern "C" fn(*mut Pointer, c_int) -> Code,
    push_context: unsafe extern "C" fn(Pointer) -> Code,
    pop_context: unsafe extern "C" fn(*mut Pointer) -> Code,
    load_module: unsafe extern "C" fn(*mut Pointer, *const c_void) -> Code,
    function: unsafe extern "C" fn(*mut Pointer, Pointer, *const c_char) -> Code,
    #[allow(clippy::type_complexity)]
    launch: unsafe extern "C" fn(
        Pointer,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Pointer,
        *mut Pointer,
        *mut Pointer,
    ) -> Code,
}

/// A GPU that libtorch works on.
pub(super) struct Gpu {
    driver: Driver,
    index: i32,
    architecture: String,
    name: String,
    /// The context that libtorch's own kernels run in.
    context: usize,
}

impl Gpu {
    /// Opens the GPU that libtorch calls `cuda:index`.
    pub(super) fn open(index: usize) -> Result<Gpu, String> {
        let driver = Driver::open()?;
        let index = i32::try_from(index).map_err(|_| format!("there is no GPU {index}"))?;
        let (mut device, mut context, mut capability) = (0, ptr::null_mut(), [0; 2]);
        // SAFETY: every pointer is valid during its call.
        unsafe {
            driver.checked((driver.init)(0))?;
            driver.checked((driver.device)(&raw mut device, index))?;
            for (into, attribute) in capability.iter_mut().zip(CAPABILITY) {
                driver.checked((driver.attribute)(into, attribute, device))?;
            }
            driver.checked((driver.retain_context)(&raw mut context, device))?;
        }
        // Without a compiler there are no kernels.
        nvrtc::version()?;
        let architecture = format!("sm_{}{}", capability[0], capability[1]);
        let name = format!("cuda:{index}, {architecture}");
        Ok(Gpu { driver, index, architecture, name, context: context as usize })
    }

    /// Does `work` with the GPU's context as the thread's; the thread's own comes back after it.
    fn within<R>(&self, work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
        // SAFETY: the context lives as long as the process.
        self.driver.checked(unsafe { (self.driver.push_context)(self.context as Pointer) })?;
        let result = work();
        let mut before = ptr::null_mut();
        // SAFETY: it takes off what was put on above.
        self.driver.checked(unsafe { (self.driver.pop_context)(&raw mut before) })?;
        result
    }

    /// The stream that libtorch's next kernel would go to.
    fn stream(&self) -> Result<Pointer, String> {
        let mut stream = ptr::null_mut();
        // SAFETY: the pointer is valid during the call.
        let message = unsafe { ffi::autoresearch_cuda_stream(self.index, &raw mut stream) };
        ffi::checked(message).map_err(|error| error.to_string())?;
        Ok(stream)
    }
}

impl Launcher for Gpu {
    fn name(&self) -> &str {
        &self.name
    }

    fn load(&self, program: &Program<'_>) -> Result<usize, String> {
        let name = CString::new(program.name).map_err(|_| "its name has a zero byte")?;
        let make = || compile(program.text, &self.architecture).map(|compiled| compiled.image);
        let load = |image: &[u8]| {
            let (mut module, mut function) = (ptr::null_mut(), ptr::null_mut());
            self.within(|| {
                // SAFETY: the image is a whole cubin; the module is never unloaded.
                unsafe {
                    self.driver.checked((self.driver.load_module)(&raw mut module, image.as_ptr().cast()))?;
                    self.driver.checked((self.driver.function)(&raw mut function, module, name.as_ptr()))
                }
            })?;
            Ok(function as usize)
        };
        let options = nvrtc::options(&self.architecture).join(" ");
        cache::load_cached(&[program.text, &options, nvrtc::version()?], make, load)
    }

    unsafe fn launch(
        &self,
        function: usize,
        blocks: u32,
        threads: u32,
        arguments: &mut [Pointer],
    ) -> Result<(), String> {
        let stream = self.stream()?;
        let arguments = arguments.as_mut_ptr();
        self.within(|| {
            // SAFETY: the function is loaded, and the arguments are its own, as the caller says; the driver copies them.
            self.driver.checked(unsafe {
                let none = ptr::null_mut();
                (self.driver.launch)(function as Pointer, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, none)
            })
        })
    }
}

impl Driver {
    fn open() -> Result<Driver, String> {
        // SAFETY: libtorch has loaded it already, where there is a GPU; its functions have these types since CUDA 7.
        unsafe {
            let library =
                Library::new("libcuda.so.1").map_err(|error| format!("there is no NVIDIA driver: {error}"))?;
            let driver = Driver {
                init: symbol(&library, b"cuInit\0")?,
                error_text: symbol(&library, b"cuGetErrorString\0")?,
                device: symbol(&library, b"cuDeviceGet\0")?,
                attribute: symbol(&library, b"cuDeviceGetAttribute\0")?,
                retain_context: symbol(&library, b"cuDevicePrimaryCtxRetain\0")?,
                push_context: symbol(&library, b"cuCtxPushCurrent_v2\0")?,
                pop_context: symbol(&library, b"cuCtxPopCurrent_v2\0")?,
                load_module: symbol(&library, b"cuModuleLoadData\0")?,
                function: symbol(&library, b"cuModuleGetFunction\0")?,
                launch: symbol(&library, b"cuLaunchKernel\0")?,
            };
            std::mem::forget(library);
            Ok(driver)
        }
    }

    fn checked(&self, code: Code) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        let mut text = ptr::null();
        // SAFETY: the driver's texts are constant strings.
        let said = unsafe {
            (self.error_text)(code, &raw mut text);
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        Err(format!("CUDA's error {code}: {said}"))
    }
}
