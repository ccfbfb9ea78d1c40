//! Giving all capabilities up.

/// The highest number that the kernel may know.
const HIGHEST: libc::c_ulong = 63;
/// `_LINUX_CAPABILITY_VERSION_3`, of two words for each set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities of the calling process and of what it executes. A process that had none keeps none.
///
/// # Safety
/// Makes plain system calls; may be called between fork and exec.
pub(super) unsafe fn drop_all() {
    // SAFETY: the structures live on this stack and are as large as the kernel expects.
    unsafe {
        for capability in 0..=HIGHEST {
            // Of one that is not known, or of a process that may not: it has none then.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let header = Header { version: VERSION, pid: 0 };
        let none = [Sets { effective: 0, permitted: 0, inheritable: 0 }; 2];
        libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), none.as_ptr());
    }
}
