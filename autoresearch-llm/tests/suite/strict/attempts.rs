//! Attempts of a server to learn what it must not know, or to leave something behind.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

/// Tells whether an attempt works. `evaluation` is the process that started this one.
pub fn works(name: &str, argument: &str, evaluation: i32) -> bool {
    match name {
        "read" => File::open(argument).is_ok_and(|mut file| file.read(&mut [0; 8]).is_ok_and(|read| read > 0)),
        "write" => OpenOptions::new().append(true).open(argument).is_ok(),
        "create" => File::create(argument).is_ok(),
        "mode" => std::fs::set_permissions(argument, std::fs::Permissions::from_mode(0o700)).is_ok(),
        "times" => File::open("/proc/self/exe").is_ok_and(|file| file.set_modified(std::time::UNIX_EPOCH).is_ok()),
        "lock" => File::open("/proc/self/exe").is_ok_and(|file| file.try_lock_shared().is_ok()),
        // SAFETY: a plain system call, which makes an object that the child removes again at once.
        "segment" => unsafe {
            let segment = libc::shmget(libc::IPC_PRIVATE, 4096, 0o600);
            libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
            segment >= 0
        },
        "socket" => std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
        "process" => std::process::Command::new("/bin/true").spawn().is_ok_and(|mut child| child.wait().is_ok()),
        // SAFETY: a plain system call; the child ends at once.
        "fork" => match unsafe { libc::fork() } {
            0 => std::process::exit(0),
            child => child > 0,
        },
        // SAFETY: signal 0 is none, and asks whether one could be sent.
        "signal" => unsafe { libc::kill(evaluation, 0) == 0 },
        "variables" => File::open(format!("/proc/{evaluation}/environ")).is_ok(),
        "memory" => File::open(format!("/proc/{evaluation}/mem")).is_ok(),
        "descriptors" => {
            let folder = std::fs::read_dir(format!("/proc/{evaluation}/fd"));
            let opened = |path| OpenOptions::new().write(true).open(path).is_ok();
            folder.is_ok_and(|entries| entries.flatten().any(|entry| opened(entry.path())))
        }
        // A descriptor that was not closed.
        "inherited" => (3..64).any(|number| {
            let is_channel = std::env::var("AUTORESEARCH_SERVE_CHANNEL")
                .is_ok_and(|numbers| numbers.split(',').any(|other| other == number.to_string()));
            // SAFETY: asks for the flags of a descriptor, which may not be there.
            !is_channel && unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0
        }),
        "result" => std::env::var_os("AUTORESEARCH_RESULT").is_some(),
        "cut" => {
            let number = std::env::var("AUTORESEARCH_SERVE_CHANNEL").ok();
            let number = number.and_then(|numbers| numbers.split(',').next()?.parse().ok());
            // SAFETY: a plain system call on the shared memory, or on nothing.
            number.is_some_and(|number: i32| unsafe { libc::ftruncate(number, 0) == 0 })
        }
        _ => panic!("there is no attempt {name}"),
    }
}
