//! Ends that a user or the system brings about, and what follows.

use std::os::unix::process::CommandExt;

use crate::fixture::{PRINT_SUM, Repository, send, text};

/// A program that is quick as long as the results have less than the allowed number of rows, and then waits to be ended.
fn gated() -> Repository {
    let wait = "until test $(cat {cache}/../repository/.autoresearch/*/results.tsv | wc -l) -le $(cat {cache}/allowed)\n\
                do sleep 0.05; done";
    Repository::running(&format!("{wait}\n{PRINT_SUM}"), "")
}

/// Lets the results of a gated program get so many rows.
fn allow(repository: &Repository, rows: usize) {
    std::fs::write(repository.cache().join("allowed"), rows.to_string()).unwrap();
}

#[test]
fn ctrl_c_ends_cleanly_and_the_same_command_goes_on() {
    let repository = gated();
    let command = ["run", "--experiments", "5"];
    allow(&repository, 2);
    let mut child = repository.interrupted(repository.command(&command), "-INT", 2);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = repository.rows();
    assert!(before.len() < 6);

    allow(&repository, 100);
    let output = repository.run(&command);
    assert!(output.status.success(), "{}", text(&output));
    let done = match before.len() - 1 {
        0 => "the baseline is measured".to_owned(),
        1 => "1 experiment is done".to_owned(),
        more => format!("{more} experiments are done"),
    };
    assert!(
        text(&output).contains("going on with") && text(&output).contains(&format!(": {done}\n")),
        "{}",
        text(&output)
    );
    let after = repository.rows();
    assert_eq!((after.len(), &after[..before.len()]), (6, &before[..]));

    // The interruption leaves no trace in the decisions.
    let whole = Repository::new(0.0);
    whole.run(&command);
    assert_eq!(whole.rows(), after);
}

#[test]
fn a_terminal_that_closes_ends_cleanly() {
    let repository = gated();
    let arguments = ["run", "--tag", "t", "--experiments", "4"];
    for rows in [1, 2, 3] {
        allow(&repository, rows);
        let mut command = repository.command(&arguments);
        // Whoever runs these tests may ignore the signal, as under `nohup`, and children inherit that.
        // SAFETY: `signal` may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        // A terminal that closes may say so twice.
        let mut child = repository.interrupted(command, "-HUP", rows);
        send("-HUP", &child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let last = repository.of_run("t", "journal.jsonl").lines().last().unwrap().to_owned();
        assert!(last.contains("\"stopped\"") && last.contains("interrupted"), "{last}");
    }
    allow(&repository, 100);
    let said = repository.succeeds(&arguments);
    assert!(said.contains("4 experiments:") && !said.contains("CRASHED"), "{said}");
}

#[test]
fn nohup_keeps_a_run_going() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::new(0.4);
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_autoresearch")).args(["run", "--tag", "t", "--experiments", "3"]);
    nohup.current_dir(&repository.folder).env("AUTORESEARCH_CACHE", repository.cache());
    let mut child = repository.interrupted(nohup, "-HUP", 1);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(repository.rows().len(), 4);
}

#[test]
fn a_terminal_that_is_stopped_delays_no_experiment() {
    let repository = Repository::new(0.0);
    let (reader, mut full) = std::io::pipe().unwrap();
    // The pipe is full before the run begins, and nobody reads it: every write to standard error would wait for ever.
    let filler = full.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut filler = filler;
        while std::io::Write::write_all(&mut filler, &[b'x'; 4096]).is_ok() {}
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut run = repository.command(&["run", "--tag", "t", "--experiments", "3"]);
    let mut child = run.stdout(std::process::Stdio::null()).stderr(full.try_clone().unwrap()).spawn().unwrap();
    std::io::Write::flush(&mut full).unwrap();
    crate::fixture::wait_until("the run waits for its reader", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
    assert_eq!(repository.rows().len(), 4);
    drop(reader);
}
