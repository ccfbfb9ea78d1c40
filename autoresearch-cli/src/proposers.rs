//! Makes the configured proposer.

use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_agents::agent_cli::Upstream;
use autoresearch_agents::http::KeySource;
use autoresearch_agents::model::{Caps, Check, CommandCheck, Options, Surroundings};
use autoresearch_agents::{
    Agent, AgentCliProposer, AgentSettings, ClaudeProposer, DesignProposer, KnobProposer, MergeProposer,
    OpenAiProposer, Portfolio, ReplayProposer,
};
use autoresearch_core::{Journal, Proposer};

use crate::config::{AgentSection, KnownAgent, ProposerSection};
use crate::error::CommandError;
use crate::placeholders::Placeholders;
use crate::session::Session;

/// Makes the proposer of a session's run. Reads keys and recorded journals; asks nobody.
pub fn proposer(session: &Session, seed: u64) -> Result<Box<dyn Proposer>, CommandError> {
    Ok(match &session.config.proposer {
        ProposerSection::Portfolio(portfolio) => {
            let make = |(name, member): (&String, _)| Ok((name.clone(), single(session, member, name, seed)?));
            let members = portfolio.members.iter().map(make).collect::<Result<_, CommandError>>()?;
            let made = Portfolio::new(seed, members);
            match portfolio.dollars_per_minute {
                Some(price) => Box::new(made.with_price(price)),
                None => Box::new(made),
            }
        }
        section => single(session, section, "0", seed)?,
    })
}

/// Makes a proposer that is no portfolio. The scratch copies of an agent lie under `name`.
fn single(
    session: &Session,
    section: &ProposerSection,
    name: &str,
    seed: u64,
) -> Result<Box<dyn Proposer>, CommandError> {
    Ok(match section {
        ProposerSection::Knobs(knobs) => Box::new(KnobProposer::new(seed).with_search(knobs.strategy)),
        ProposerSection::Design(design) => {
            let factorial = design.factorial("proposer").map_err(|error| session.config.locate(error))?;
            Box::new(DesignProposer::new(factorial, seed))
        }
        ProposerSection::Merge(merge) => Box::new(MergeProposer::new(merge.margin)),
        ProposerSection::Replay(replay) => {
            let path = session.repository.root.join(&replay.journal);
            let replay = ReplayProposer::new(&Journal::read(&path)?);
            Box::new(replay.map_err(|e| CommandError::Other(format!("{}: {e}", path.display())))?)
        }
        ProposerSection::Claude(settings) => {
            let mut settings = (**settings).clone();
            fill_paths(&mut settings.options, &session.placeholders);
            Box::new(ClaudeProposer::new(settings, surroundings(session)?)?)
        }
        ProposerSection::Openai(settings) => {
            let mut settings = (**settings).clone();
            fill_paths(&mut settings.options, &session.placeholders);
            Box::new(OpenAiProposer::new(settings, surroundings(session)?)?)
        }
        ProposerSection::Agent(agent) => {
            let mut settings = agent_settings(session, agent, name);
            settings.run_caps = session.config.stop.caps();
            settings.upstream = upstream(agent, &session.placeholders)?;
            settings.check = check(session, &format!("check-{name}"))?;
            Box::new(AgentCliProposer::new(settings))
        }
        ProposerSection::Portfolio(_) => return Err(nested()),
    })
}

/// A portfolio within a portfolio, which the configuration's checks exclude.
pub fn nested() -> CommandError {
    CommandError::Other("a portfolio cannot be a member of a portfolio; list its members beside the others".into())
}

/// The parts of a run that a model's proposer works with.
pub fn surroundings(session: &Session) -> Result<Surroundings, CommandError> {
    let mut surroundings = Surroundings::new(session.config.editable());
    surroundings.run_caps = session.config.stop.caps();
    surroundings.check = check(session, "check")?;
    Ok(surroundings)
}

/// The check that a patch must pass before it is proposed, if there is one. Its copy of the tree lies under `name`.
fn check(session: &Session, name: &str) -> Result<Option<Arc<dyn Check>>, CommandError> {
    let Session { config, placeholders, plan, .. } = session;
    if config.check.command.is_empty() {
        return Ok(None);
    }
    let argv = placeholders.fill_all(&config.check.command);
    let mut limits = config.limits.limits();
    if plan.workers.ahead {
        // Beside trials, like a build ahead.
        limits.cpus = plan.build_cpus;
    }
    let check = CommandCheck::new(session.lineage()?, argv, session.slots().join(name))
        .with_editable(config.editable())
        .with_environment(placeholders.environment(&config.environment))
        .with_limits(config.check.limit_seconds.0, limits);
    Ok(Some(Arc::new(check)))
}

/// Fills in the placeholders of paths; relative ones are below the repository's root.
pub fn fill_paths(options: &mut Options, placeholders: &Placeholders) {
    let fill = |path: &mut PathBuf| *path = placeholders.path(path);
    [&mut options.record, &mut options.replay].into_iter().flatten().for_each(fill);
    if let Some(KeySource::File(path)) = &mut options.key {
        fill(path);
    }
}

/// An agent that can show what it would ask, without its key.
pub fn agent_without_key(session: &Session, agent: &AgentSection, name: &str) -> AgentCliProposer {
    AgentCliProposer::new(agent_settings(session, agent, name))
}

fn agent_settings(session: &Session, section: &AgentSection, name: &str) -> AgentSettings {
    let placeholders = &session.placeholders;
    let program = |program: &String| placeholders.program(program);
    let agent = match (section.agent, section.command.first()) {
        (Some(KnownAgent::ClaudeCode), None) => Agent::claude_code(),
        (Some(KnownAgent::ClaudeCode), Some(path)) => Agent::ClaudeCode(program(path)),
        (Some(KnownAgent::Codex), None) => Agent::codex(),
        (Some(KnownAgent::Codex), Some(path)) => Agent::Codex(program(path)),
        (None, _) => {
            let mut command = placeholders.fill_all(&section.command);
            if let Some(first) = command.first_mut() {
                *first = placeholders.program(first);
            }
            Agent::Command(command)
        }
    };
    let scratch = session.slots().join("agents").join(name);
    let mut settings = AgentSettings::new(agent, session.config.editable(), scratch);
    let reference = |path: &String| (path.clone(), placeholders.repo.join(path));
    settings.references = section.references.iter().map(reference).collect();
    settings.model = section.model.clone();
    settings.arguments = placeholders.fill_all(&section.arguments);
    let variable = |(name, value): (&String, &String)| (name.clone(), placeholders.fill(value).into());
    settings.environment = section.environment.iter().map(variable).collect();
    settings.limit = section.limit_seconds.0;
    settings.per_proposal =
        Caps { calls: section.per_proposal.calls.or(settings.per_proposal.calls), ..section.per_proposal };
    settings.prices = section.prices().clone();
    settings.repository = Some(placeholders.repo.clone());
    settings.outside = section.outside;
    settings.description = section.description.clone();
    settings
}

/// The server with its key; `None` for an agent with a login of its own.
fn upstream(section: &AgentSection, placeholders: &Placeholders) -> Result<Option<Upstream>, CommandError> {
    let Some(source) = section.key_source() else { return Ok(None) };
    let source = match source {
        KeySource::File(path) => KeySource::File(placeholders.path(&path)),
        other => other,
    };
    let missing = |e| CommandError::Other(format!("{e}; or use the agent's own login: key = \"login\""));
    let key = source.read().map_err(missing)?;
    Ok(Some(Upstream::new(section.server(), key, section.auth())))
}
