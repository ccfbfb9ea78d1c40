//! Another setting than that of a run: constants, variables and keys of the configuration with other values.

use std::collections::BTreeMap;

use autoresearch_agents::constants::{Sources, set, spelled};
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::journal::RunHeader;
use autoresearch_core::{Commands, EditablePaths, Revision};
use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use crate::policy;
use crate::session::Session;

/// The values of a command line.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Constants of the committed files, with their values.
    pub constants: Vec<(String, String)>,
    /// Variables of builds and runs, with their values.
    pub variables: Vec<(String, String)>,
}

/// Reads `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give a name and a value, as DEPTH=8".to_owned()),
    }
}

/// A value that is another one than in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name, as it was given.
    pub name: String,
    /// The value in the run; of a constant that of the baseline.
    pub before: String,
    /// The value under the setting.
    pub value: String,
}

/// All values that differ from those of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Constants, which are set in the files of every revision alike.
    pub constants: Vec<Change>,
    /// Variables of builds and runs.
    pub variables: Vec<Change>,
    /// Other keys of the configuration that decide the number.
    pub keys: Vec<Change>,
}

/// Beginnings of the keys that decide on candidates and not on their numbers.
const DECISIONS: [&str; 5] = ["ratchet.", "screening.", "excursion.", "guard.", "editable"];

impl Setting {
    /// All values in one line: `DEPTH = 8, run.limit_seconds = 300`.
    pub fn shown(&self) -> String {
        let all = self.constants.iter().chain(&self.variables).chain(&self.keys);
        all.map(|change| format!("{} = {}", change.name, change.value)).collect::<Vec<_>>().join(", ")
    }

    /// The same with the values in the run: `DEPTH = 8 (4 in the run)`.
    pub fn described(&self) -> String {
        let all = self.constants.iter().chain(&self.variables).chain(&self.keys);
        let described = all.map(|change| format!("{} = {} ({} in the run)", change.name, change.value, change.before));
        described.collect::<Vec<_>>().join(", ")
    }

    fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.variables.is_empty() && self.keys.is_empty()
    }
}

/// The constants of a setting, as they are set in the files of a revision.
pub struct Constants {
    values: BTreeMap<String, String>,
    files: EditablePaths,
}

impl Constants {
    /// Reads the value that a constant has in a revision; `None` where no value has its name, or several have.
    pub fn value(&self, lineage: &Lineage, revision: &Revision, name: &str) -> Result<Option<String>, CommandError> {
        let files = lineage.editable_files(revision, &self.files)?;
        Ok(Sources::new(&files).find(name).ok().map(|one| one.constant.value.to_owned()))
    }

    /// Commits the constants on a revision. Returns why a name leads to no value there, if one does.
    pub fn set(&self, lineage: &Lineage, revision: &Revision) -> Result<Result<Revision, String>, CommandError> {
        let before = lineage.editable_files(revision, &self.files)?;
        let mut files = before.clone();
        for (name, value) in &self.values {
            let (path, text) = {
                let sources = Sources::new(&files);
                match sources.find(name) {
                    Ok(one) => (one.path.to_owned(), set(&one, &spelled(&one, value))),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            };
            files.insert(path, text);
        }
        let changed = files.into_iter().filter(|(path, text)| before.get(path) != Some(text));
        let changed: BTreeMap<String, Option<String>> = changed.map(|(path, text)| (path, Some(text))).collect();
        match changed.is_empty() {
            true => Ok(Ok(revision.clone())),
            false => Ok(Ok(lineage.commit_changes(revision, &changed, "another setting")?)),
        }
    }
}

/// Finds everything that differs from the run: what is given, and the configuration.
///
/// # Errors
/// If nothing differs, a name leads to no value of the baseline, or a constant that is given has its value already.
pub fn setting(
    session: &Session,
    lineage: &Lineage,
    (header, base, baseline): (&RunHeader, &Revision, &Revision),
    given: &Given,
) -> Result<(Setting, Constants), CommandError> {
    let differences = header.policy.differences(&session.policy()?);
    let mut keys: Vec<Change> = Vec::new();
    let mut values: BTreeMap<String, String> = given.constants.iter().cloned().collect();
    let files = searched(session, lineage, baseline, given)?;
    let at_base = lineage.editable_files(base, &files)?;
    for difference in differences {
        let name = difference.name;
        if let Some(constant) = name.strip_prefix("constants.") {
            // Without a value in this configuration it is that of the commit on which the run began.
            let own = Sources::new(&at_base).find(constant).ok().map(|one| one.constant.value.to_owned());
            if let Some(value) = session.config.constants.get(constant).cloned().or(own) {
                values.entry(constant.to_owned()).or_insert(value);
            }
            continue;
        }
        let variable = name.strip_prefix("environment.").or_else(|| name.strip_prefix("run.pass."));
        let is_given = variable.is_some_and(|variable| given.variables.iter().any(|(given, _)| given == variable));
        if !is_given && !DECISIONS.iter().any(|beginning| name.starts_with(beginning)) {
            keys.push(Change { name, before: difference.then, value: difference.now });
        }
    }

    let texts = lineage.editable_files(baseline, &files)?;
    let sources = Sources::new(&texts);
    let mut constants = Vec::new();
    for (name, value) in &values {
        let is_given = given.constants.iter().any(|(given, _)| given == name);
        let from = if is_given { "--set" } else { "[constants]" };
        let one = sources.find(name).map_err(|error| CommandError::Other(format!("{from} {name}: {error}")))?;
        let (before, value) = (one.constant.value.to_owned(), spelled(&one, value));
        if before != value {
            constants.push(Change { name: name.clone(), before, value });
        } else if is_given {
            let why = format!(
                "--set {name}={value}: {name} is {value} in the baseline already, and nothing would change; give another value"
            );
            return Err(CommandError::Other(why));
        }
    }
    values.retain(|name, _| constants.iter().any(|change| change.name == *name));
    let variable = |(name, value): &(String, String)| {
        let then = ["environment", "run.pass"].iter().find_map(|kind| header.policy.get(&format!("{kind}.{name}")));
        let before = then.map_or("nothing".to_owned(), |value| value.as_str().unwrap_or_default().to_owned());
        Change { name: name.clone(), before, value: policy::journaled(name, value.clone()) }
    };
    let setting = Setting { constants, variables: given.variables.iter().map(variable).collect(), keys };
    if setting.is_empty() {
        let why = "nothing differs from the setting of the run; give another one, as --set DEPTH=8, or measure the kept changes \
                   again as they are: autoresearch audit";
        return Err(CommandError::Other(why.into()));
    }
    Ok((setting, Constants { values, files }))
}

/// The files in which constants are looked for: the editable ones, and those that a name begins with, as `bench.py:SIZE`.
fn searched(
    session: &Session,
    lineage: &Lineage,
    baseline: &Revision,
    given: &Given,
) -> Result<EditablePaths, CommandError> {
    let tree = lineage.tree(baseline)?;
    let names = |path: &&String| given.constants.iter().any(|(name, _)| name.starts_with(&format!("{path}:")));
    let named = tree.keys().filter(names);
    Ok(EditablePaths::new(session.config.editable_paths.iter().chain(named).cloned()))
}

/// The commands of a session with the variables of a command line in place of others of their names.
pub fn commands(session: &Session, given: &Given) -> Commands {
    let mut commands = session.commands();
    commands.environment.retain(|(name, _)| given.variables.iter().all(|(given, _)| given != name));
    let filled = given.variables.iter().map(|(name, value)| (name.clone(), session.placeholders.fill(value).into()));
    commands.environment.extend(filled);
    commands
}
