//! The members of a run's bundle, put together in a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::{Journal, SandboxError, State};
use tempfile::TempDir;

use super::machine::Machine;
use crate::bundle::{ARGUMENTS, CASSETTES, CONFIGURATION, HINTS, HISTORY, MACHINE, PRESET, REMOVED, REPOSITORY};
use crate::checks::Subject;
use crate::config::ConfigTexts;
use crate::error::CommandError;
use crate::policy;
use crate::session::Session;
use crate::text::count;
use crate::verification::{self, JOURNAL, Judge, RESULTS, StoredRun};

/// Tries to find a run that goes on at rest between two records.
const TRIES: usize = 50;

/// The members of a bundle in a folder that is removed in the end.
pub struct Collected {
    /// The folder.
    pub folder: TempDir,
    /// Notes on what goes into the bundle.
    pub notes: Vec<String>,
}

/// Collects the members of a run's bundle in a folder below `beside`. Takes no lock: a run that goes on is collected up to its latest
/// record.
///
/// # Errors
/// If the run has no measured baseline or was imported, if the configuration is not the one that it was made with, or if it is not
/// valid.
pub fn collect(session: &Session, beside: &Path) -> Result<Collected, CommandError> {
    let run = StoredRun::here(&session.repository, &session.tag);
    session.repository.journal(&session.tag)?;
    for attempt in 1.. {
        let folder = private_folder(beside)?;
        let state = snapshot(&run, folder.path())?;
        check_kind(session, &state)?;
        verification::bound(session, &state, &session.tag)?;
        let lineage = session.lineage()?;
        let mut refs = lineage.refs()?;
        // A keep that was decided just now has its commit, and the branch follows.
        if let Some((_, kept)) = &state.unadopted {
            refs.insert(lineage.branch(), kept.clone());
        }
        let copy = StoredRun { folder: folder.path().to_owned(), ..run.clone() };
        let report = verification::check_once(&copy, Judge::Own(session))?.0;
        let has_grown = || differ(&run.journal(), &copy.journal());
        if report.violations() > 0 && attempt < TRIES && has_grown() {
            continue;
        }
        if report.violations() > 0 {
            let (tag, wrong) = (&session.tag, count(report.violations(), "violation"));
            let config = session.config.texts().preset.map_or("", |_| " --preset NAME");
            let why = format!(
                "the run {tag} has {wrong}, and a bundle of it would not hold; see them: autoresearch verify {tag} --config \
                 autoresearch.toml{config}"
            );
            return Err(CommandError::Other(why));
        }
        let path = folder.path().join(REPOSITORY);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(|error| failed(&path, error))?);
        lineage.write_bundle(&refs, &mut file)?;
        file.into_inner().map_err(|error| failed(&path, error.into_error()))?;
        let notes = notes(session, &state);
        add_rest(session, &state, folder.path())?;
        return Ok(Collected { folder, notes });
    }
    Err(CommandError::Other("the run never rests; bundle it when it has stopped".into()))
}

/// Makes a folder that nobody else can read.
pub fn private_folder(beside: &Path) -> Result<TempDir, CommandError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".autoresearch-bundle-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(beside).map_err(|error| failed(beside, error).into())
}

/// Copies the journal, then what follows it. Returns the state of that journal.
fn snapshot(run: &StoredRun, into: &Path) -> Result<State, CommandError> {
    for name in [JOURNAL, RESULTS, REMOVED, HINTS, HISTORY] {
        copy(&run.folder.join(name), &into.join(name))?;
    }
    Ok(State::replay(&Journal::read(&into.join(JOURNAL))?)?)
}

fn check_kind(session: &Session, state: &State) -> Result<(), CommandError> {
    if is_imported(state) {
        let why = format!(
            "the run {} was imported, and has no commits that others could check; bundle a run of your own",
            session.tag
        );
        return Err(CommandError::Other(why));
    }
    match state.incumbent {
        Some(_) => Ok(()),
        None => Err(CommandError::NothingMeasured(session.tag.clone())),
    }
}

/// Adds what does not change while the run goes on.
fn add_rest(session: &Session, state: &State, into: &Path) -> Result<(), CommandError> {
    let write = |name: &str, text: &[u8]| {
        let path = into.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))
    };
    let ConfigTexts { file, preset, arguments } = session.config.texts();
    write(CONFIGURATION, file.as_bytes())?;
    for (name, text) in [(PRESET, preset), (ARGUMENTS, arguments)] {
        text.map_or(Ok(()), |text| write(name, text.as_bytes()))?;
    }
    let lineage = session.lineage()?;
    let base = state.header.as_ref().and_then(|header| header.base.clone());
    let base = base.ok_or_else(|| CommandError::NothingMeasured(session.tag.clone()))?;
    let machine = Machine::here(&Subject::new(session, &lineage, &base)?);
    let machine = serde_json::to_string_pretty(&machine)
        .map_err(|error| CommandError::Other(format!("the machine cannot be described as JSON: {error}")))?;
    write(MACHINE, format!("{machine}\n").as_bytes())?;
    let cassettes: BTreeSet<PathBuf> =
        session.config.proposer.cassettes().iter().map(|path| session.placeholders.path(path)).collect();
    let cassettes: Vec<PathBuf> = cassettes.into_iter().filter(|path| path.is_file()).collect();
    if cassettes.len() > CASSETTES.len() {
        let why = format!("the proposers have {} cassettes, and a bundle holds {}", cassettes.len(), CASSETTES.len());
        return Err(CommandError::Other(why));
    }
    for (path, name) in cassettes.iter().zip(CASSETTES) {
        copy(path, &into.join(name))?;
    }
    Ok(())
}

/// Notes on what others can read in the bundle.
fn notes(session: &Session, state: &State) -> Vec<String> {
    let config = &session.config;
    let listed = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let secrets = listed(config.environment.keys().filter(|name| policy::is_secret(name)).collect());
    let journaled = state.header.as_ref().map(|header| &header.policy);
    let is_readable = |name: &&String| {
        journaled.is_some_and(|policy| policy::value_then(policy, &format!("run.pass.{name}")).is_some())
    };
    let passed = listed(config.run.pass.iter().filter(is_readable).collect());
    let mut notes = Vec::new();
    if !secrets.is_empty() {
        notes.push(format!(
            "[environment] sets {secrets}, and the bundle holds the configuration with the values; give no bundle away whose \
             values are secret, and name such variables in [run] pass"
        ));
    }
    if !passed.is_empty() {
        notes.push(format!("the journal holds the values that these variables had: {passed}"));
    }
    notes
}

fn copy(from: &Path, to: &Path) -> Result<(), CommandError> {
    match std::fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(from, error).into()),
    }
}

/// Returns whether two files have different lengths.
fn differ(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| path.metadata().map(|found| found.len()).ok();
    length(one) != length(other)
}

fn failed(path: &Path, error: std::io::Error) -> SandboxError {
    SandboxError::io(path.display().to_string(), error)
}
