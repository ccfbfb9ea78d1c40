//! The processes of the system, read without allocating: for the supervisor, which is a fork of a process with threads.

use std::ffi::{CStr, c_void};
use std::os::fd::RawFd;

/// Parent and process group from `/proc/…/stat`. The name before them may hold anything, also parentheses.
pub(super) fn parse_stat(stat: &[u8]) -> Option<(i32, i32)> {
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(close + 2..)?.split(|byte| *byte == b' ').skip(1);
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    Some((number()?, number()?))
}

/// Finds the addresses of the environment that this process was started with. To be called before the fork.
pub(super) fn environment_range() -> Option<(usize, usize)> {
    let stat = std::fs::read("/proc/self/stat").ok()?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    // By proc(5) the fields 50 and 51; the first one after the name is the third.
    let mut fields = std::str::from_utf8(stat.get(close + 2..)?).ok()?.split_ascii_whitespace().skip(50 - 3);
    let (first, end): (usize, usize) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (first > 0 && first < end && end - first <= 64 << 20).then_some((first, end))
}

/// Calls `visit` with pid, parent and group of every process.
pub(super) unsafe fn each_process(visit: &mut dyn FnMut(i32, i32, i32)) {
    // SAFETY: the kernel fills `entries` with records whose length stands in them; nothing beyond `filled` is read.
    unsafe {
        let proc = libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if proc < 0 {
            return;
        }
        let mut entries = [0u64; 1024];
        loop {
            let filled = libc::syscall(libc::SYS_getdents64, proc, entries.as_mut_ptr(), size_of_val(&entries));
            let Ok(filled @ 1..) = usize::try_from(filled) else { break };
            let mut at = 0;
            while at < filled {
                // linux_dirent64: inode, offset (8 bytes each), record length (2), type (1), name.
                let record = entries.as_ptr().cast::<u8>().add(at);
                let name = CStr::from_ptr(record.add(19).cast());
                at += usize::from(record.add(16).cast::<u16>().read_unaligned());
                if let Some((pid, (parent, group))) =
                    number(name.to_bytes()).and_then(|pid| Some((pid, stat(proc, name)?)))
                {
                    visit(pid, parent, group);
                }
            }
        }
        libc::close(proc);
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0i32, |n, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        n.checked_mul(10)?.checked_add(i32::from(digit))
    })
}

unsafe fn stat(proc: RawFd, pid: &CStr) -> Option<(i32, i32)> {
    let mut path = [0u8; 32];
    let name = pid.to_bytes();
    path.get_mut(..name.len())?.copy_from_slice(name);
    path.get_mut(name.len()..name.len() + 5)?.copy_from_slice(b"/stat");
    let mut text = [0u8; 512];
    // SAFETY: the path ends with a zero byte, since the array is longer than any pid; the buffer's length is given.
    let length = unsafe {
        let file = libc::openat(proc, path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let length = libc::read(file, text.as_mut_ptr().cast::<c_void>(), text.len());
        libc::close(file);
        length
    };
    parse_stat(text.get(..usize::try_from(length).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_name_may_hold_anything() {
        assert_eq!(parse_stat(b"12 (a) S 99 (b) S 3 4 5 6"), Some((3, 4)));
        assert_eq!(parse_stat(b"12 (sh) S 1 12 12 0"), Some((1, 12)));
        assert_eq!(parse_stat(b"12 (sh"), None);
        assert_eq!((number(b"417"), number(b"self"), number(b"99999999999")), (Some(417), None, None));
    }
}
