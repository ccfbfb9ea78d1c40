//! The seam between kernels and where they run: on a GPU through its driver, and in tests wherever they are told.

use std::ffi::c_void;

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
    /// Its name, unique in this process: such as `cuda:0, sm_90`.
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
