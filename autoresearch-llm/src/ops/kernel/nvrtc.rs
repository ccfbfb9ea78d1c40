//! NVRTC, the compiler for kernels that comes with every CUDA build of libtorch.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use crate::libraries::Libtorch;

/// A kernel as machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The code, for the driver.
    pub image: Vec<u8>,
    /// Warnings, and the registers and spilled bytes of each function.
    pub log: String,
}

type Handle = *mut c_void;

struct Nvrtc {
    version: String,
    create: unsafe extern "C" fn(
        *mut Handle,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> c_int,
    log_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    image_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    image: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Handle) -> c_int,
}

/// The options for a GPU such as `sm_90`.
pub(super) fn options(architecture: &str) -> [String; 3] {
    [format!("--gpu-architecture={architecture}"), "--std=c++17".into(), "--ptxas-options=-v".into()]
}

/// Compiles `text` for a GPU such as `sm_90`.
pub(super) fn compile(text: &str, architecture: &str) -> Result<Compiled, String> {
    let nvrtc = nvrtc()?;
    let source = CString::new(text).map_err(|_| "its source has a zero byte")?;
    let options = options(architecture).into_iter().filter_map(|option| CString::new(option).ok());
    let options: Vec<CString> = options.collect();
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let read = |size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
                get: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
                program| {
        let mut count = 0;
        // SAFETY: the program lives, and the buffer is as large as NVRTC says.
        unsafe {
            let mut bytes = vec![0u8; if size(program, &raw mut count) == 0 { count } else { 0 }];
            let fine = bytes.is_empty() || get(program, bytes.as_mut_ptr().cast()) == 0;
            if fine { bytes } else { Vec::new() }
        }
    };
    let mut program = ptr::null_mut();
    // SAFETY: strings and pointers live during the calls; the program is destroyed once, after its last use.
    let (code, log, image) = unsafe {
        if (nvrtc.create)(&raw mut program, source.as_ptr(), c"kernel.cu".as_ptr(), 0, ptr::null(), ptr::null()) != 0 {
            return Err("NVRTC takes no program".into());
        }
        let code = (nvrtc.compile)(program, c_int::try_from(pointers.len()).unwrap_or(0), pointers.as_ptr());
        let log = read(nvrtc.log_size, nvrtc.log, program);
        let image = if code == 0 { read(nvrtc.image_size, nvrtc.image, program) } else { Vec::new() };
        (nvrtc.destroy)(&raw mut program);
        (code, log, image)
    };
    let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned();
    match code == 0 && !image.is_empty() {
        true => Ok(Compiled { image, log }),
        false => Err(format!("NVRTC {} for {architecture}, error {code}: {log}", nvrtc.version)),
    }
}

/// Its version, such as 13.0.
pub(super) fn version() -> Result<&'static str, String> {
    Ok(&nvrtc()?.version)
}

fn nvrtc() -> Result<&'static Nvrtc, String> {
    static NVRTC: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
    NVRTC.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn open() -> Result<Nvrtc, String> {
    let library = load()?;
    // SAFETY: the functions have these types in every version that has them; the library stays loaded.
    let nvrtc = unsafe {
        let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int = symbol(&library, b"nvrtcVersion\0")?;
        let (mut major, mut minor) = (0, 0);
        version(&raw mut major, &raw mut minor);
        Nvrtc {
            version: format!("{major}.{minor}"),
            create: symbol(&library, b"nvrtcCreateProgram\0")?,
            compile: symbol(&library, b"nvrtcCompileProgram\0")?,
            log_size: symbol(&library, b"nvrtcGetProgramLogSize\0")?,
            log: symbol(&library, b"nvrtcGetProgramLog\0")?,
            image_size: symbol(&library, b"nvrtcGetCUBINSize\0")?,
            image: symbol(&library, b"nvrtcGetCUBIN\0")?,
            destroy: symbol(&library, b"nvrtcDestroyProgram\0")?,
        }
    };
    std::mem::forget(library);
    Ok(nvrtc)
}

fn load() -> Result<Library, String> {
    let libtorch = Libtorch::here();
    libtorch.preload();
    let mut said = String::new();
    for name in libtorch.nvrtc() {
        // SAFETY: NVRTC's initialisers have no effect beyond itself.
        match unsafe { Library::new(&name) } {
            Ok(library) => return Ok(library),
            Err(error) if said.is_empty() => said = error.to_string(),
            Err(_) => {}
        }
    }
    Err(format!("NVRTC cannot be loaded: {said}"))
}

/// The function `name` of a library.
///
/// # Safety
///
/// It is of type `F`.
pub(super) unsafe fn symbol<F: Copy>(library: &Library, name: &[u8]) -> Result<F, String> {
    // SAFETY: as the caller says.
    unsafe { library.get::<F>(name) }.map(|symbol| *symbol).map_err(|error| error.to_string())
}
