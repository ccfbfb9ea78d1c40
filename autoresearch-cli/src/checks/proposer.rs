//! The proposer: knobs for a search, the program and the login of an agent, the key of a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autoresearch_agents::constants::{Sources, sites};
use autoresearch_agents::{KnobProposer, Suggestion, suggestions};
use autoresearch_core::{Context, EditablePaths, Program, Proposer, ProposerError, Score};

use super::programs::find_program;
use super::subject::{Finding, Subject};
use crate::config::{AgentSection, KnownAgent, ProposerSection};
use crate::error::CommandError;
use crate::start;

const NAME: &str = "proposer";

/// Ranges that an error proposes.
const SUGGESTIONS: usize = 6;

/// Checks the proposer, or each member of a portfolio.
pub async fn proposer(subject: &Subject<'_>) -> Result<Vec<Finding>, CommandError> {
    let section = &subject.session.config.proposer;
    let members: Vec<&ProposerSection> = match section {
        ProposerSection::Portfolio(portfolio) => portfolio.members.values().collect(),
        single => vec![single],
    };
    let mut findings = Vec::new();
    for member in members {
        findings.extend(match member {
            ProposerSection::Knobs(_) => Some(knobs(subject).await?),
            ProposerSection::Agent(agent) => Some(agent_program(subject, agent)),
            _ => None,
        });
    }
    Ok(findings)
}

/// The knob search needs a constant with a range.
async fn knobs(subject: &Subject<'_>) -> Result<Finding, CommandError> {
    Ok(match lack_of_knobs(subject, &subject.session.program()?).await? {
        Some(why) => {
            let why = format!(
                "is the knob search, which would have nothing to propose: {why}; or choose another kind: claude, openai, agent"
            );
            subject.wrong(NAME, "proposer.kind", why)
        }
        None => Finding::fine(NAME, "the knob search has constants to change"),
    })
}

/// Returns whether the knob search has something to propose, before there is a programme.
pub async fn has_knobs(subject: &Subject<'_>) -> Result<bool, CommandError> {
    Ok(lack_of_knobs(subject, &Program::parse("Improve it.")?).await?.is_none())
}

/// Returns why the knob search would have nothing to propose; `None` if it has something.
async fn lack_of_knobs(subject: &Subject<'_>, program: &Program) -> Result<Option<String>, CommandError> {
    let session = subject.session;
    let files = Arc::new(start::starting_files(&session.config, subject.lineage, subject.base)?);
    if let Err(error) = sites(&Sources::new(&files), &program.knobs) {
        return Ok(Some(format!("its ranges cannot be used: {error}")));
    }
    let Some(zero) = Score::new(0.0) else { return Ok(None) };
    let context = Context::new(program, subject.base.clone(), zero, session.config.metric.direction, files, 0);
    Ok(match KnobProposer::new(0).propose(&context).await {
        Err(ProposerError::Exhausted(why) | ProposerError::Fatal(why)) => {
            Some(why + &suggested(&Sources::new(&context.files), &program.knobs))
        }
        _ => None,
    })
}

/// Ranges for constants without one, as lines for the configuration, if no constant has any.
fn suggested(sources: &Sources<'_>, ranges: &BTreeMap<String, String>) -> String {
    let has_none = sites(sources, ranges).is_ok_and(|sites| sites.is_empty());
    let lines: Vec<String> =
        suggestions(sources, &[]).iter().filter(|_| has_none).take(SUGGESTIONS).map(Suggestion::line).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!(
            "\n  these look like hyperparameters (`autoresearch knobs` lists all):\n    [knobs]\n    {}\n  ",
            lines.join("\n    ")
        ),
    }
}

/// An agent's command with `{repo}/` before each argument that names a file of the repository which the agent's folder lacks: one
/// that no editable path matches and no reference names.
pub fn with_repository(
    root: &Path,
    editable: &EditablePaths,
    references: &[String],
    command: &[String],
) -> Vec<String> {
    let placed = |argument: &String| {
        let path = argument.trim_start_matches("./");
        let is_plain = !path.is_empty() && !path.starts_with(['-', '/', '{']);
        let is_given = editable.allows(path) || references.iter().any(|given| Path::new(path).starts_with(given));
        match is_plain && !is_given && root.join(path).is_file() {
            true => format!("{{repo}}/{path}"),
            false => argument.clone(),
        }
    };
    let rest = command.iter().skip(1).map(placed);
    command.iter().take(1).cloned().chain(rest).collect()
}

/// An agent's program must be there; a login is looked for where the agent keeps it.
fn agent_program(subject: &Subject<'_>, agent: &AgentSection) -> Finding {
    let program = subject.session.placeholders.program(agent.program());
    if let Err(why) = find_program(&program) {
        let known = match agent.agent {
            Some(KnownAgent::ClaudeCode) => ": npm install -g @anthropic-ai/claude-code",
            Some(KnownAgent::Codex) => ": npm install -g @openai/codex",
            None => "",
        };
        // The key that is written.
        let key = if agent.command.is_empty() { "proposer.agent" } else { "proposer.command" };
        return subject.wrong(NAME, key, format!("cannot start the agent: {why}{known}"));
    }
    let (root, editable) = (&subject.session.repository.root, subject.session.config.editable());
    let named = with_repository(root, &editable, &agent.references, &agent.command);
    if let Some((argument, _)) = agent.command.iter().zip(&named).find(|(written, named)| written != named) {
        let why = format!(
            "names `{argument}`, a file of the repository, but starts in a folder that holds the editable files and the \
             references alone; write command = {}",
            toml::Value::from(named)
        );
        return subject.wrong(NAME, "proposer.command", why);
    }
    if !agent.has_login() {
        return Finding::fine(NAME, format!("the agent {program}"));
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
        _ => return Finding::fine(NAME, format!("the agent {program}, with its own login")),
    };
    match found {
        true => Finding::fine(NAME, format!("the agent {program}, which has a login")),
        false => {
            let why = format!("no login of the agent was found, and it may refuse to work; log in first: {login}");
            Finding::warning(NAME, why)
        }
    }
}
