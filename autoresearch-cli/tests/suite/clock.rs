//! A clock that somebody sets while a run goes on.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::{Repository, text};

/// A library that moves the clock of the day by the seconds in a file, and leaves the others alone.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *path = getenv("SHIFT_FILE");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long shift = 0;
    if (file) {
        if (fscanf(file, "%ld", &shift) == 1) time->tv_sec += shift;
        fclose(file);
    }
    return result;
}
"#;

#[test]
#[cfg(target_os = "linux")]
fn the_hours_of_a_run_are_those_that_pass_whatever_the_clock_says() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    for shift in ["-3600", "86400"] {
        let repository = Repository::new(0.3);
        let (source, shim) = (repository.root().join("shim.c"), repository.root().join("shim.so"));
        std::fs::write(&source, SHIM).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-ldl", "-o"]).args([&shim, &source]).status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no C compiler");
            return;
        }
        let file = repository.root().join("shift");
        let mut run = repository.command(&["run", "--tag", "t", "--hours", "0.001"]);
        run.env("LD_PRELOAD", &shim).env("SHIFT_FILE", &file);
        let began = Instant::now();
        let setter = std::thread::spawn({
            let (file, shift) = (file.clone(), shift.to_owned());
            move || {
                std::thread::sleep(Duration::from_millis(1200));
                std::fs::write(file, shift).unwrap();
            }
        });
        let said = text(&run.output().unwrap());
        setter.join().unwrap();
        let took = began.elapsed().as_secs_f64();
        // Of 3.6 s; a busy machine ends an experiment late, and never an hour late.
        assert!((3.6..120.0).contains(&took), "{shift}: {took}: {said}");
        assert!(repository.succeeds(&["verify", "--tag", "t"]).contains("sound"));
    }
}
