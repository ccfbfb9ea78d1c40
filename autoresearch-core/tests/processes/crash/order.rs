//! Git's files are on the disk before the journal names them. A preloaded library logs the system calls of a whole run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use autoresearch_core::internal::journal::{Decision, Record, StagedExperiment};
use autoresearch_core::{ExperimentId, Journal, Revision};

use super::run_folder::{Files, RunFolder};

/// Files that were synced so far, under the names that they have since been given.
#[derive(Default)]
struct Durable(BTreeSet<PathBuf>);

impl Durable {
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ').skip(1).map(PathBuf::from);
        match (line.starts_with("rename "), words.next(), words.next()) {
            (true, Some(from), Some(to)) if self.0.remove(&from) => drop(self.0.insert(to)),
            (false, Some(path), None) => drop(self.0.insert(path)),
            _ => {}
        }
    }

    fn holds(&self, path: &Path) -> bool {
        self.0.contains(path)
    }
}

#[test]
fn git_s_files_are_durable_before_the_journal_names_them() {
    let script = ["echo 'score: 4'", "echo 'score: 6'", "echo 'score: 3'"].map(str::to_owned);
    let run = RunFolder::new(&script, Files::OnDisk);
    let library = run.path().join("order.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/crash/order.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler `cc`");
        return;
    }
    let log = run.path().join("order.log");
    let status = run.lab().env("LD_PRELOAD", &library).env("ORDER_LOG", &log).status().unwrap();
    assert!(status.success(), "{}", run.errors());

    let root = run.repo().canonicalize().unwrap().join(".git");
    let object = |revision: &Revision| root.join("objects").join(&revision.0[..2]).join(&revision.0[2..]);
    let journal = run.path().canonicalize().unwrap().join("run/journal.jsonl");
    let records = Journal::read(&journal).unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let written = format!("fsync {}", journal.display());
    // When it is opened it is synced as well, and once more for its folder's sake: the records are the last ones.
    let syncs: Vec<usize> = text.lines().enumerate().filter(|(_, line)| *line == written).map(|(at, _)| at).collect();
    assert!(syncs.len() > records.len(), "{} of {}", syncs.len(), records.len());
    let syncs = &syncs[syncs.len() - records.len()..];

    let lines: Vec<&str> = text.lines().collect();
    let (mut durable, mut done, mut checked) = (Durable::default(), 0, 0);
    for (entry, sync) in records.iter().zip(syncs) {
        lines[done..*sync].iter().for_each(|line| durable.note(line));
        done = *sync;
        let seq = entry.seq;
        let mut needs = |path: PathBuf| {
            checked += 1;
            assert!(durable.holds(&path), "record {seq} needs {}, which is not durable", path.display());
        };
        match &entry.record {
            Record::Staged(StagedExperiment { experiment, candidate, .. }) => {
                // The baseline is the user's own commit.
                if *experiment > ExperimentId(0) {
                    needs(object(&candidate.revision));
                }
                needs(root.join(format!("refs/autoresearch/test/exp/{experiment}")));
            }
            Record::Decided(Decision { experiment, kept_as: Some(to), .. }) if *experiment > ExperimentId(0) => {
                needs(object(to))
            }
            Record::Adopted { .. } => needs(root.join("refs/heads/autoresearch/test")),
            _ => {}
        }
    }
    println!("evidence write-order records {} files {checked} violations 0", records.len());
    assert!(checked >= 3 + 4 + 2 + 3);
}
