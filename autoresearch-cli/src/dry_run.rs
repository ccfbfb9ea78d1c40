//! `autoresearch run --dry-run`: what the next proposal would ask a model, and what that may cost. Nothing is sent, started
//! or written, and no key is read.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use autoresearch_agents::model::{DryRun, Mode, Options};
use autoresearch_agents::{ClaudeProposer, OpenAiProposer};
use autoresearch_core::git::Lineage;
use autoresearch_core::import::is_imported;
use autoresearch_core::{Context, Journal, Score, State};

use crate::config::Config;
use crate::places::Places;
use crate::proposer::{ProposerConfig, fill, surroundings};
use crate::run::{Home, RunError, editable_files, preset, program};

/// What `run` with the same arguments would ask next.
pub fn dry_run(home: &Home, config: &Config, tag: Option<String>, seed: u64) -> Result<String, RunError> {
    let program = program(home, config)?;
    let places = Places::find(home.root.clone(), &config.preset)?;
    let tag = match tag {
        Some(tag) => tag,
        None => home.tag_for(config.stop.experiments)?,
    };
    let lineage = Lineage::open(&home.root, &tag)?;
    let journal = home.run(&tag).join("journal.jsonl");
    let state = if journal.is_file() { State::replay(&Journal::read(&journal)?)? } else { State::default() };
    if is_imported(&state) {
        return Err(RunError::Imported(tag));
    }
    let mut text = match state.finished() {
        0 => format!("dry run of {tag}, which begins\n"),
        count => format!("dry run of {tag}, which goes on after experiment {count}\n"),
    };
    let context: Context<'_> = match &state.incumbent {
        Some(incumbent) => {
            let files = editable_files(config, &lineage, &incumbent.revision)?;
            let context = Context::new(&program, &state, Arc::new(files));
            context.ok_or_else(|| RunError::Other("the incumbent has no score".into()))?
        }
        None => {
            let base = state.header.as_ref().and_then(|header| header.base.clone());
            let base = base.map_or_else(|| lineage.head(), Ok)?;
            let mut files = editable_files(config, &lineage, &base)?;
            if let Some(patch) = preset(config, &lineage, &base)? {
                files = patch.applied_to(&files, &config.editable).map_err(|e| RunError::Other(e.to_string()))?;
            }
            text.push_str("the baseline is not measured yet: 0 stands in the place of its score\n");
            let zero = Score::new(0.0).ok_or_else(|| RunError::Other("0 is no score".into()))?;
            Context::first(&program, base, zero, config.metric.direction, Arc::new(files), seed)
        }
    };
    match &config.proposer {
        ProposerConfig::Portfolio { members, .. } => {
            for (name, member) in members {
                let shown = show(member, config, &places, &home.root, &tag, &context)?;
                let _ = write!(text, "\n##### {name}, one of those who take turns\n{shown}");
            }
        }
        single => text.push_str(&show(single, config, &places, &home.root, &tag, &context)?),
    }
    Ok(text.trim_end().to_owned())
}

/// What one proposer would ask.
fn show(
    proposer: &ProposerConfig,
    config: &Config,
    places: &Places,
    root: &Path,
    tag: &str,
    context: &Context<'_>,
) -> Result<String, RunError> {
    let rehearse = |options: &mut Options| {
        fill(options, places);
        surroundings(config, places, root, tag)
    };
    Ok(match proposer {
        ProposerConfig::Claude(settings) => {
            let mut settings = (**settings).clone();
            let surroundings = rehearse(&mut settings.options)?;
            let (model, options) = (settings.model.clone(), settings.options.clone());
            asked(&model, &options, &ClaudeProposer::dry_run_of(settings, surroundings, context)?)
        }
        ProposerConfig::Openai(settings) => {
            let mut settings = (**settings).clone();
            let surroundings = rehearse(&mut settings.options)?;
            let (model, options) = (settings.model.clone(), settings.options.clone());
            asked(&model, &options, &OpenAiProposer::dry_run_of(settings, surroundings, context)?)
        }
        ProposerConfig::Agent(agent) => {
            let dry = agent.rehearsed(places, &config.editable, &places.slots(tag)).dry_run(context)?;
            let DryRun { input_tokens, worst, priced, .. } = &dry;
            let price = if *priced { format!(", ${:.4}", worst.dollars) } else { String::new() };
            format!(
                "{}\nestimate: {input_tokens} tokens of task{price}; the agent adds a system prompt and tools of its own, and \
                 what its calls cost together is bounded by [proposer.per_proposal] and [stop]\n",
                prompt(&dry)
            )
        }
        ProposerConfig::Knobs { .. }
        | ProposerConfig::Design { .. }
        | ProposerConfig::Merge { .. }
        | ProposerConfig::Replay { .. } => "no model is asked: proposals of this kind cost nothing\n".to_owned(),
        ProposerConfig::Portfolio { .. } => {
            return Err(RunError::Other("a portfolio cannot be a member of a portfolio".into()));
        }
    })
}

/// The first request to a model, and what it may cost.
fn asked(model: &str, options: &Options, dry: &DryRun) -> String {
    let DryRun { input_tokens, worst, priced, tools, .. } = dry;
    let tools = if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
    let dollars = match priced {
        true => format!("${:.4} at most", worst.dollars),
        false => format!("no price is known for {model}"),
    };
    let more = match options.mode {
        Mode::SingleShot => format!("{} more if the answer must be mended", options.repairs),
        Mode::Agentic => format!("up to {} in all", options.turns.max(1)),
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
