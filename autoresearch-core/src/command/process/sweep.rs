//! Finding the leftovers of commands whose lab and supervisor are gone.

use std::time::{Duration, Instant};

/// Time that killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills every process of this user whose environment holds `variable=value`, and waits until they are gone. Returns their
/// number. On systems without `/proc` it finds none.
pub fn sweep(variable: &str, value: &std::ffi::OsStr) -> usize {
    let wanted = [variable.as_bytes(), b"=", value.as_encoded_bytes()].concat();
    let began = Instant::now();
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let found: Vec<i32> = processes().filter(|pid| carries(*pid, &wanted)).collect();
        if found.is_empty() || began.elapsed() > PATIENCE {
            return killed.len();
        }
        for pid in found {
            #[cfg(unix)]
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            killed.insert(pid);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lists the ids of all processes.
pub(super) fn processes() -> impl Iterator<Item = i32> {
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Tells whether a process was started with this variable. A zombie has no environment any more; this process is none of them.
fn carries(pid: i32, wanted: &[u8]) -> bool {
    pid as u32 != std::process::id()
        && std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == wanted))
}
