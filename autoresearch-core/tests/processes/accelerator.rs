//! A limit on memory counts what a program uses, and not the addresses that a driver of an accelerator reserves: CUDA reserves
//! more of them than any machine has memory, and maps its devices as shared files.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use autoresearch_core::*;

/// Bytes of data that the trial may have.
const LIMIT: usize = 1 << 30;
/// Bytes that expandable segments of 1.1 times an H200's memory reserve, and CUDA's own range for unified addresses beside it.
const RESERVED: usize = 1 << 40;
/// Names the file that stands for a device, in the trial.
const DEVICE: &str = "AUTORESEARCH_TEST_DEVICE";

#[tokio::test]
async fn a_limit_on_memory_leaves_an_accelerator_s_reservations_alone() {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    let program = std::env::current_exe().unwrap();
    let run = format!("#!/bin/sh\nexec {} --exact accelerator::maps_as_cuda_does --nocapture\n", program.display());
    std::fs::write(repo.join("run.sh"), run).unwrap();
    std::fs::set_permissions(repo.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    test_fixtures::init(&repo);
    let device = folder.path().join("device");
    std::fs::write(&device, "").unwrap();
    let commands = Commands {
        editable: EditablePaths::new(["run.sh"]),
        run: vec!["./run.sh".into()],
        limits: Limits { memory: Some(LIMIT as u64), ..Limits::default() },
        environment: vec![(DEVICE.into(), device.clone().into())],
        ..Commands::default()
    };
    let (slot, logs) = (folder.path().join("slot"), folder.path().join("logs"));
    let sandbox = CommandSandbox::local(&repo, "t", commands, [slot], logs).unwrap();
    let baseline = sandbox.baseline().await.unwrap();
    let trial = Trial::new(ExperimentId::BASELINE, 1, 0, Duration::from_secs(60).into());
    let outcome = sandbox.run(&baseline, &trial, &Cancel::new()).await.unwrap();
    let said = &outcome.log().tail;
    assert!(said.contains("reserved true\ndevice true\ndata false\n"), "{outcome:?}");
}

/// Plays the trial of the test before.
#[test]
fn maps_as_cuda_does() {
    let Some(device) = std::env::var_os(DEVICE) else { return };
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    let device = OpenOptions::new().read(true).write(true).open(device).unwrap();
    device.set_len(4 * LIMIT as u64).unwrap();
    let maps = |size: usize, access: i32, flags: i32, file: i32| {
        // SAFETY: a new range at an address that the kernel chooses; nothing is read or written there.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, file, 0) };
        address != libc::MAP_FAILED
    };
    println!("reserved {}", maps(RESERVED, libc::PROT_NONE, anonymous, -1));
    println!("device {}", maps(4 * LIMIT, both, libc::MAP_SHARED, device.as_raw_fd()));
    // The limit is in force: as much data of its own the program does not get.
    println!("data {}", maps(4 * LIMIT, both, anonymous, -1));
}
