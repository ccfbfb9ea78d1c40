//! Files that the lab writes, or that karpathy's programme tells an agent to write. No proposal holds them.

use autoresearch_core::FileEdit;

/// Names of these files.
const NAMES: [&str; 4] = ["results.tsv", "run.log", "progress.png", "autoresearch.jsonl"];

/// The sentence of a prompt about who does what: many programmes were written for an agent that does all by itself.
pub(crate) const DIVISION_OF_WORK: &str = "\
The lab does the rest: it makes the branch and the commits, runs the program, reads the number, keeps or reverts, and writes \
results.tsv and the logs. Where the programme tells you to do any of this yourself, leave it to the lab.";

/// Returns true if a path is that of such a file, in any folder.
pub(crate) fn is_lab_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| NAMES.contains(&name))
}

/// Returns true if an edit touches nothing but such files.
pub(crate) fn is_of_lab_files(edit: &FileEdit) -> bool {
    edit.paths().is_ok_and(|paths| !paths.is_empty() && paths.iter().all(|path| is_lab_file(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_edits_of_the_labs_files_are_left_out() {
        let write = |path: &str| FileEdit::Write { path: path.into(), text: "x\n".into() };
        assert!(is_of_lab_files(&write("results.tsv")) && is_of_lab_files(&write("out/run.log")));
        assert!(!is_of_lab_files(&write("train.py")) && !is_of_lab_files(&write("results.tsv.py")));
    }
}
