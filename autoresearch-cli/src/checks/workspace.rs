//! `[workspace]`: what candidates need beside the commit must be there.

use super::subject::{Finding, Subject};
use crate::placeholders::Provided;

const NAME: &str = "workspace";

/// Each path of `[workspace]` must exist; a committed file needs no sharing.
pub fn workspace(subject: &Subject<'_>) -> Vec<Finding> {
    let workspace = &subject.session.config.workspace;
    let (share, copy) = (workspace.share.iter(), workspace.copy.iter());
    let paths = share.map(|path| ("workspace.share", path)).chain(copy.map(|path| ("workspace.copy", path)));
    paths.map(|(key, path)| one(subject, key, path)).chain(editable_install(subject)).collect()
}

fn one(subject: &Subject<'_>, key: &str, path: &str) -> Finding {
    let root = &subject.session.repository.root;
    let provided = subject.session.placeholders.provided(path);
    let place = match &provided {
        Provided::Below(below) => root.join(below),
        Provided::Elsewhere(place) => place.clone(),
    };
    if !place.exists() {
        let why = format!("names `{path}`, and there is no {}; make it, or leave it out", place.display());
        return subject.wrong(NAME, key, why);
    }
    match provided {
        Provided::Elsewhere(_) => {
            Finding::fine(NAME, format!("{path} is there; candidates reach it by this path, and may write to it"))
        }
        Provided::Below(below) if subject.files.contains_key(&*below.to_string_lossy()) => Finding::warning(
            NAME,
            format!(
                "[{}] names {path}, which is committed: candidates have it anyway; leave it out",
                key.replace('.', "] ")
            ),
        ),
        Provided::Below(_) if key == "workspace.share" => {
            Finding::fine(NAME, format!("{path} is there; candidates get a link to it, through which they can write"))
        }
        Provided::Below(_) => Finding::fine(NAME, format!("{path} is there; each trial gets a copy")),
    }
}

/// A virtual environment in which the repository itself is installed as editable imports the user's files, not a candidate's.
fn editable_install(subject: &Subject<'_>) -> Option<Finding> {
    let root = &subject.session.repository.root;
    let shared = subject.session.config.workspace.share.iter().filter_map(|path| {
        match subject.session.placeholders.provided(path) {
            Provided::Below(below) => Some(root.join(below)),
            Provided::Elsewhere(_) => None,
        }
    });
    for environment in shared.filter(|place| place.join("pyvenv.cfg").is_file()) {
        let versions = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
        for packages in versions.map(|version| version.path().join("site-packages")) {
            let entries = std::fs::read_dir(&packages).into_iter().flatten().flatten();
            let pth = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "pth"));
            let into_root = |text: String| text.lines().any(|line| std::path::Path::new(line.trim()).starts_with(root));
            if let Some(file) = pth.filter(|path| std::fs::read_to_string(path).is_ok_and(into_root)).min() {
                return Some(Finding::warning(
                    NAME,
                    format!(
                        "{} puts this repository's own folder on Python's path (an editable install), so that trials import your \
                         files and not the candidate's; set PYTHONPATH to the package's folder in the run, as [environment] \
                         PYTHONPATH = \"src\", or install the package without -e elsewhere",
                        file.display()
                    ),
                ));
            }
        }
    }
    None
}
