//! Mistakes that can be seen before the baseline, which may cost several trials, is measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autoresearch_agents::constants::{Sources, sites};
use autoresearch_agents::{KnobProposer, Suggestion, suggestions};
use autoresearch_core::internal::git::{FileMode, Lineage};
use autoresearch_core::{Context, EditablePaths, Proposer, ProposerError, Revision, Score};

use crate::config::{AgentSection, KeyError, KnownAgent, ProposerSection};
use crate::error::CommandError;
use crate::session::Session;
use crate::start;

/// Checks a run that starts from `base`. Returns what is worth saying and stops nothing.
pub async fn check(session: &Session, lineage: &Lineage, base: &Revision) -> Result<Vec<String>, CommandError> {
    let mut warnings = lineage.check_files(base)?;
    warnings.extend(editable_paths(session, lineage, base)?);
    commands(session, lineage, base)?;
    let section = &session.config.proposer;
    let members: Vec<&ProposerSection> = match section {
        ProposerSection::Portfolio(portfolio) => portfolio.members.values().collect(),
        single => vec![single],
    };
    for member in members {
        match member {
            ProposerSection::Knobs(_) => knobs(session, lineage, base).await?,
            ProposerSection::Agent(agent) => warnings.extend(agent_program(session, agent)?),
            _ => {}
        }
    }
    Ok(warnings)
}

/// An error of a key, with its place.
fn wrong(session: &Session, key: &str, why: String) -> CommandError {
    session.config.locate(KeyError::new(key, why)).into()
}

/// Every editable path should match a file: one that does not is a slip, or a file that is yet to be made.
fn editable_paths(session: &Session, lineage: &Lineage, base: &Revision) -> Result<Vec<String>, CommandError> {
    let files = lineage.tree(base)?;
    let matches = |path: &String| {
        let one = EditablePaths::new([path]);
        files.keys().any(|file| one.allows(file))
    };
    let paths = &session.config.editable_paths;
    let missing: Vec<&String> = paths.iter().filter(|path| !matches(path)).collect();
    if missing.len() == paths.len() {
        let names: Vec<&str> = files.keys().map(String::as_str).take(10).collect();
        let why = format!(
            "matches no file of the commit that the run starts from ({}); it has: {}{}. Name files, or folders as \"src/**\"",
            paths.join(", "),
            names.join(", "),
            if files.len() > names.len() { ", …" } else { "" }
        );
        return Err(wrong(session, "editable", why));
    }
    let warn = |path: &String| format!("editable: `{path}` matches no committed file; a proposal may make it");
    Ok(missing.into_iter().map(warn).collect())
}

/// Ranges that an error proposes.
const SUGGESTIONS: usize = 6;

/// The knob search needs a constant with a range.
async fn knobs(session: &Session, lineage: &Lineage, base: &Revision) -> Result<(), CommandError> {
    let program = session.program()?;
    let files = Arc::new(start::starting_files(&session.config, lineage, base)?);
    if let Err(error) = sites(&Sources::new(&files), &program.knobs) {
        let why = format!("is the knob search, whose ranges cannot be used: {error}");
        return Err(wrong(session, "proposer.kind", why));
    }
    let Some(zero) = Score::new(0.0) else { return Ok(()) };
    let context = Context::new(&program, base.clone(), zero, session.config.metric.direction, files, 0);
    match KnobProposer::new(0).propose(&context).await {
        Err(ProposerError::Exhausted(why) | ProposerError::Fatal(why)) => {
            let why = format!(
                "is the knob search, which would have nothing to propose: {why}; or choose another kind: claude, openai, \
                 agent{}",
                suggested(&Sources::new(&context.files), &program.knobs)
            );
            Err(wrong(session, "proposer.kind", why))
        }
        _ => Ok(()),
    }
}

/// Ranges for constants without one, as lines for the configuration, if no constant has any.
fn suggested(sources: &Sources<'_>, ranges: &BTreeMap<String, String>) -> String {
    let has_none = sites(sources, ranges).is_ok_and(|sites| sites.is_empty());
    let lines: Vec<String> =
        suggestions(sources, &[]).iter().filter(|_| has_none).take(SUGGESTIONS).map(Suggestion::line).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!(
            "\n  these look like hyperparameters (`autoresearch knobs` lists all):\n    [knobs]\n    {}",
            lines.join("\n    ")
        ),
    }
}

/// An agent's program must be there; a login is looked for where the agent keeps it.
fn agent_program(session: &Session, agent: &AgentSection) -> Result<Option<String>, CommandError> {
    let program = session.placeholders.program(agent.program());
    if let Err(why) = find_program(&program) {
        let known = match agent.agent {
            Some(KnownAgent::ClaudeCode) => "; install it: npm install -g @anthropic-ai/claude-code",
            Some(KnownAgent::Codex) => "; install it: npm install -g @openai/codex",
            None => "; install it, or give its path",
        };
        return Err(wrong(session, "proposer.command", format!("cannot start the agent: {why}{known}")));
    }
    if !agent.has_login() {
        return Ok(None);
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let has = |name: &str| agent.environment.contains_key(name) || std::env::var_os(name).is_some();
    let (found, login) = match agent.agent {
        // Elsewhere the login lies in a keychain.
        Some(KnownAgent::ClaudeCode) if cfg!(target_os = "linux") => {
            let folder = std::env::var_os("CLAUDE_CONFIG_DIR").map_or_else(|| home.join(".claude"), PathBuf::from);
            let variable = has("ANTHROPIC_API_KEY") || has("CLAUDE_CODE_OAUTH_TOKEN");
            (variable || folder.join(".credentials.json").exists(), "claude /login")
        }
        Some(KnownAgent::Codex) => {
            let folder = std::env::var_os("CODEX_HOME").map_or_else(|| home.join(".codex"), PathBuf::from);
            (has("OPENAI_API_KEY") || folder.join("auth.json").exists(), "codex login")
        }
        _ => return Ok(None),
    };
    Ok((!found).then(|| format!("no login of the agent was found, and it may refuse to work; log in first: {login}")))
}

/// The programs of all commands that are there before anything is built.
fn commands(session: &Session, lineage: &Lineage, base: &Revision) -> Result<(), CommandError> {
    let config = &session.config;
    let built = !config.build.command.is_empty();
    let commands = [
        ("build", &config.build.command, false),
        ("check", &config.check.command, built),
        ("run", &config.run.command, built),
        ("holdout", &config.holdout.command, built),
    ];
    for (section, command, built) in commands {
        let Some(program) = command.first() else { continue };
        if program.contains("{built}") {
            continue;
        }
        let filled = session.placeholders.fill(program);
        let found = match filled.contains('/') && !Path::new(&filled).is_absolute() {
            // A file of the candidate; a build may make it.
            true if built => Ok(()),
            true => committed_program(lineage, base, &filled)?,
            false if built && filled.contains('/') => Ok(()),
            false => find_program(&filled),
        };
        let key = format!("{section}.command");
        found.map_err(|why| wrong(session, &key, format!("cannot be started: {why}")))?;
    }
    Ok(())
}

/// Looks for a program among the files of a commit.
fn committed_program(lineage: &Lineage, base: &Revision, path: &str) -> Result<Result<(), String>, CommandError> {
    let path = path.trim_start_matches("./");
    let tree = lineage.tree(base)?;
    Ok(match tree.iter().find(|(file, _)| file.as_str() == path) {
        None => Err(format!("`{path}` is not in the commit that the run starts from; commit it, or correct the path")),
        Some((_, file)) if file.mode == FileMode::Regular => Err(format!(
            "`{path}` is not executable; make it so and commit it: git update-index --chmod=+x {path} && chmod +x {path}"
        )),
        Some(_) => Ok(()),
    })
}

/// Looks for a program on PATH, or at its path.
fn find_program(program: &str) -> Result<(), String> {
    if program.contains('/') {
        let path = Path::new(program);
        return match (path.is_file(), is_executable(path)) {
            (false, _) => Err(format!("there is no file `{program}`")),
            (true, false) => Err(format!("`{program}` is not executable; make it so: chmod +x {program}")),
            (true, true) => Ok(()),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    // Windows finds programs by further names.
    match cfg!(windows) || candidates.any(|path| path.is_file() && is_executable(&path)) {
        true => Ok(()),
        false => Err(format!("there is no program `{program}` on PATH")),
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}
