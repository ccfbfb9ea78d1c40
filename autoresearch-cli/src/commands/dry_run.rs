//! `autoresearch run --dry-run`: shows what the next proposal would ask a model, and what that may cost. Nothing is sent,
//! started or written, and no key is read.

use std::fmt::Write as _;
use std::sync::Arc;

use autoresearch_agents::model::{DryRun, Mode, Options};
use autoresearch_agents::{ClaudeProposer, OpenAiProposer};
use autoresearch_core::internal::{self, import::is_imported};
use autoresearch_core::{Context, Journal, Score, State};

use crate::config::ProposerSection;
use crate::error::CommandError;
use crate::proposers::{agent_without_key, fill_paths, nested, surroundings};
use crate::session::Session;
use crate::start::{editable_files, starting_files};

/// Describes what `run` with the same arguments would ask next.
pub fn dry_run(session: &Session, seed: u64) -> Result<String, CommandError> {
    let Session { config, tag, .. } = session;
    let (program, lineage) = (session.program()?, session.lineage()?);
    let journal = session.repository.journal_path(tag);
    let state = if journal.is_file() { State::replay(&Journal::read(&journal)?)? } else { State::default() };
    if is_imported(&state) {
        return Err(CommandError::Imported(tag.clone()));
    }
    let mut text = match state.finished() {
        0 => format!("dry run of {tag}, which begins\n"),
        count => format!("dry run of {tag}, which goes on after experiment {count}\n"),
    };
    let context: Context<'_> = match &state.incumbent {
        Some(incumbent) => {
            let files = editable_files(config, &lineage, &incumbent.revision)?;
            let context = internal::context(&program, &state, Arc::new(files));
            context.ok_or_else(|| CommandError::Other("the incumbent has no score".into()))?
        }
        None => {
            let base = state.header.as_ref().and_then(|header| header.base.clone());
            let base = base.map_or_else(|| lineage.head(), Ok)?;
            let files = starting_files(config, &lineage, &base)?;
            text.push_str("the baseline is not measured yet: 0 stands in the place of its score\n");
            let zero = Score::new(0.0).ok_or_else(|| CommandError::Other("0 is no score".into()))?;
            Context::new(&program, base, zero, config.metric.direction, Arc::new(files), seed)
        }
    };
    match &config.proposer {
        ProposerSection::Portfolio(portfolio) => {
            for (name, member) in &portfolio.members {
                let shown = show(session, member, name, &context)?;
                let _ = write!(text, "\n##### {name}, one of those who take turns\n{shown}");
            }
        }
        single => text.push_str(&show(session, single, "0", &context)?),
    }
    Ok(text.trim_end().to_owned())
}

/// Describes the request of one proposer.
fn show(
    session: &Session,
    proposer: &ProposerSection,
    name: &str,
    context: &Context<'_>,
) -> Result<String, CommandError> {
    Ok(match proposer {
        ProposerSection::Claude(settings) => {
            let mut settings = (**settings).clone();
            fill_paths(&mut settings.options, &session.placeholders);
            let (model, options) = (settings.model.clone(), settings.options.clone());
            asked(&model, &options, &ClaudeProposer::dry_run_of(settings, surroundings(session)?, context)?)
        }
        ProposerSection::Openai(settings) => {
            let mut settings = (**settings).clone();
            fill_paths(&mut settings.options, &session.placeholders);
            let (model, options) = (settings.model.clone(), settings.options.clone());
            asked(&model, &options, &OpenAiProposer::dry_run_of(settings, surroundings(session)?, context)?)
        }
        ProposerSection::Agent(agent) => {
            let dry = agent_without_key(session, agent, name).dry_run(context)?;
            let DryRun { input_tokens, worst, priced, .. } = &dry;
            let price = if *priced { format!(", ${:.4}", worst.dollars) } else { String::new() };
            format!(
                "{}\nestimate: {input_tokens} tokens of task{price}; the agent adds a system prompt and tools of its own, and \
                 what its calls cost together is bounded by [proposer.per_proposal] and [stop]\n",
                prompt(&dry)
            )
        }
        ProposerSection::Knobs(_)
        | ProposerSection::Design(_)
        | ProposerSection::Merge(_)
        | ProposerSection::Replay(_) => "no model is asked: proposals of this kind cost nothing\n".to_owned(),
        ProposerSection::Portfolio(_) => return Err(nested()),
    })
}

/// Describes the first request to a model and its cost.
fn asked(model: &str, options: &Options, dry: &DryRun) -> String {
    let DryRun { input_tokens, worst, priced, tools, .. } = dry;
    let tools = if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
    let dollars = match priced {
        true => format!("${:.4} at most", worst.dollars),
        false => format!("no price is known for {model}"),
    };
    let more = match options.mode {
        Mode::Agentic => format!("up to {} in all", options.turns.max(1)),
        _ => format!("{} more if the answer must be mended", options.repairs),
    };
    format!(
        "{}\n=== tools: {tools}\n\nmodel: {model}\nestimate: {input_tokens} tokens of prompt and up to {} of reply: {dollars} \
         for the first call; {more}\n",
        prompt(dry),
        options.max_tokens
    )
}

fn prompt(dry: &DryRun) -> String {
    let system = dry.system.as_ref().map_or(String::new(), |system| format!("\n=== system\n{}\n", system.trim_end()));
    format!("{system}\n=== user\n{}\n", dry.user.trim_end())
}
