//! Kernels on the CPU: their source compiled by a C++ compiler after `reference/emulator.h`, in place of NVRTC and the driver.
//! The rest of the way to a kernel, which marshals its arguments, is the GPU's.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use autoresearch_llm::ops::kernel::launcher::{Launcher, Program};
use autoresearch_llm::ops::kernel::with_launcher;

type Emulate = unsafe extern "C" fn(*mut *mut c_void, c_uint, c_uint, c_int, *mut c_longlong) -> *const c_char;

/// Bytes that kernels read and wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub read: u64,
    pub written: u64,
}

impl Traffic {
    pub fn bytes(self) -> u64 {
        self.read + self.written
    }
}

/// A kernel that is compiled, or what the compiler said, by its text and name.
type Compiled = Vec<(String, String, Result<usize, String>)>;

/// Counts what is launched under it. Compiled kernels are the process's.
#[derive(Default)]
pub struct Emulator {
    /// Last thread first: the order in which threads run.
    reversed: bool,
    traffic: Mutex<Vec<(String, Traffic)>>,
}

/// Runs `work` with kernels emulated on this thread, and returns what they read and wrote, by launch. Threads run in order,
/// or in the opposite order.
pub fn emulated<R>(reversed: bool, work: impl FnOnce() -> R) -> (R, Vec<(String, Traffic)>) {
    let emulator = Arc::new(Emulator { reversed, ..Emulator::default() });
    let result = with_launcher(emulator.clone(), work);
    let traffic = std::mem::take(&mut *emulator.traffic.lock().unwrap());
    (result, traffic)
}

static COMPILED: Mutex<Compiled> = Mutex::new(Vec::new());
/// Threads of a block share the library's globals, so one block runs at a time.
static RUNNING: Mutex<()> = Mutex::new(());

impl Launcher for Emulator {
    fn name(&self) -> &str {
        // Two orders are one function.
        "emulation"
    }

    fn load(&self, program: &Program<'_>) -> Result<usize, String> {
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |(text, name, _): &&(String, String, _)| text == program.text && name == program.name;
        if let Some((.., found)) = compiled.iter().find(wanted) {
            return found.clone();
        }
        let made = compile(program);
        compiled.push((program.text.to_owned(), program.name.to_owned(), made.clone()));
        made
    }

    unsafe fn launch(
        &self,
        function: usize,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), String> {
        let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let name = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name.iter().find(|(.., found)| *found == Ok(function)).map(|(_, name, _)| name.clone()).unwrap();
        let mut bytes = [0; 2];
        // SAFETY: the address of a function that EMULATE defines; the arguments are those of its kernel.
        let failure = unsafe {
            let emulate = std::mem::transmute::<usize, Emulate>(function);
            let failure =
                emulate(arguments.as_mut_ptr(), blocks, threads, c_int::from(self.reversed), bytes.as_mut_ptr());
            (!failure.is_null()).then(|| CStr::from_ptr(failure).to_string_lossy().into_owned())
        };
        let [read, written] = bytes.map(i64::cast_unsigned);
        self.traffic.lock().unwrap().push((name, Traffic { read, written }));
        failure.map_or(Ok(()), Err)
    }
}

/// Compiles and loads a kernel; the address of the function that emulates it.
fn compile(program: &Program<'_>) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let [source, library] = ["kernel.cpp", "kernel.so"].map(|name| folder.path().join(name));
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/emulator.h");
    let text = format!("#include {header:?}\n{}\nEMULATE({})\n", program.text, program.name);
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    // Stacks are switched by longjmp, which the fortified one takes for a fault.
    compiler.args(["-std=c++17", "-O1", "-w", "-U_FORTIFY_SOURCE", "-ffp-contract=off", "-fno-strict-aliasing"]);
    let output = compiler.args(["-shared", "-fPIC"]).arg(&source).arg("-o").arg(&library).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // SAFETY: it has no initialisers of note, and stays loaded.
    let library = Box::leak(Box::new(unsafe { libloading::Library::new(&library) }.map_err(|e| e.to_string())?));
    let symbol = format!("emulate_{}", program.name);
    // SAFETY: EMULATE defines it with this type.
    let function = unsafe { library.get::<Emulate>(symbol.as_bytes()) }.map_err(|e| e.to_string())?;
    Ok(*function as usize)
}
