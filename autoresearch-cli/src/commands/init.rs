//! `autoresearch init`: sets a repository up, with a first look at what a run would see.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use autoresearch_core::EditablePaths;
use autoresearch_core::internal::git::Lineage;
use clap::Args;

use super::signals::cancel_on_signal;
use crate::checks;
use crate::error::CommandError;
use crate::init::{
    Draft, Look, MetricFlags, Place, ProposerDraft, Template, WallsDraft, ask, benchmarks, draft, found, list,
    list_benchmarks, programme, quoted, seconds,
};
use crate::repository::Repository;
use crate::text::terminal;

/// The files that are written.
const CONFIG: &str = "autoresearch.toml";
const PROGRAMME: &str = "program.md";

/// Seconds of a long run, for the estimate.
const EIGHT_HOURS: f64 = 8.0 * 3600.0;

/// Set a repository up: run its program once, find its number, write the configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  autoresearch init --yes --run \"python train.py\" --metric val_loss --edit train.py"
)]
pub struct InitArgs {
    /// Take everything that is proposed, and ask nothing.
    #[arg(long)]
    yes: bool,
    /// Print what it would do; run and write nothing.
    #[arg(long)]
    detect: bool,
    /// The command line that prints the number.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    #[command(flatten)]
    metric: MetricFlags,
    /// A path that proposals may change, as train.py or src/**; may be repeated.
    #[arg(long, value_name = "PATH")]
    edit: Vec<String>,
    /// The tests that a candidate must pass.
    #[arg(long, value_name = "COMMAND")]
    guard: Option<String>,
    /// A command line that edits the files in its folder, as the proposer.
    #[arg(long, value_name = "COMMAND")]
    agent: Option<String>,
    /// A value that the knob search may change, as "LR=log 0.001..0.1"; may be repeated.
    #[arg(long, value_name = "NAME=RANGE", conflicts_with = "agent")]
    knob: Vec<String>,
    /// karpathy, nanochat, python, cargo-bench or command [default: recognised]
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    template: Option<Template>,
    /// Measure N times [default: up to 3, within a minute]
    #[arg(long, value_name = "N")]
    trials: Option<u32>,
    /// Replace an autoresearch.toml that is there.
    #[arg(long)]
    force: bool,
}

/// Sets the repository up.
pub async fn init(repository: Repository, args: InitArgs) -> Result<ExitCode, CommandError> {
    let lineage = Lineage::open(&repository.root, "init")?;
    let base = lineage.head()?;
    let files = lineage.tree(&base)?;
    let asks = !args.yes && !args.detect && std::io::stdin().is_terminal();
    if !asks && !args.yes && !args.detect {
        return Err(other(
            "nobody can be asked, since the input is no terminal; give --yes to take what is proposed, or --detect to see it",
        ));
    }
    let path = repository.root.join(CONFIG);
    if path.exists() && !args.force && !args.detect {
        return Err(other(format!("there is a configuration {} already; give --force to replace it", path.display())));
    }
    let look = Look { root: &repository.root, files: &files };
    let template = args.template.unwrap_or_else(|| Template::of(&look));
    let mut draft = draft(&look, template);
    describe(&look, template);
    take_flags(&mut draft, &args)?;
    if asks {
        ask_for_commands(&mut draft)?;
    }
    if let ProposerDraft::Command(command) = &mut draft.proposer {
        let editable = EditablePaths::new(draft.editable.iter().cloned());
        *command = checks::with_repository(&repository.root, &editable, &[], command);
    }
    if args.detect {
        terminal::out(format_args!(
            "would write {CONFIG}, with the number that the program prints:\n\n{}",
            draft.text()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    check_draft(&draft)?;

    let cancel = cancel_on_signal();
    let place = Place { repository: &repository, lineage: &lineage, base: &base, files: &files };
    let (first, mut rehearsal) = place.first_trial(&mut draft, &cancel).await?;
    match &draft.walls {
        WallsDraft::BestEffort => terminal::out("isolation: best-effort; the program runs behind walls"),
        WallsDraft::None(why) => terminal::out(format_args!("isolation: none; behind walls {why}")),
        WallsDraft::Unsaid => {}
    }
    let numbers = found(&first.log().tail);
    let results = benchmarks(&first.log().tail);
    match results.is_empty() {
        true => terminal::out(format_args!("numbers in its output:\n{}", list(&numbers).trim_end())),
        // The words between them are the tool's, and no metric's.
        false => terminal::out(format_args!("results of benchmarks:\n{}", list_benchmarks(&results).trim_end())),
    }
    draft.metric = Some(args.metric.draft(&draft, (&numbers, &results), asks)?);
    draft.seconds = Some(seconds(&first));
    draft.limit = Some(draft.limit.unwrap_or(0).max(limit_for(seconds(&first))));

    let measured = place.measure(&draft, first, &mut rehearsal, args.trials, &cancel).await?;
    draft.proposer = place.proposer(&draft).await?;
    terminal::out(format_args!("proposer: {}", draft.proposer.describe()));
    tell_pace(&draft, measured.len());
    drop(rehearsal);
    write(&repository.root, &draft)?;
    Ok(ExitCode::SUCCESS)
}

fn other(message: impl Into<String>) -> CommandError {
    CommandError::Other(message.into())
}

/// Says what is in the repository.
fn describe(look: &Look<'_>, template: Template) {
    let languages = look.languages().into_iter().take(4).map(|(name, count)| format!("{name} ({count})"));
    let languages = languages.collect::<Vec<_>>().join(", ");
    terminal::out(format_args!("{}: {} committed files; {languages}", look.root.display(), look.files.len()));
    terminal::out(format_args!("layout: {} (--template chooses another)", template.name()));
}

/// Lays the flags over what was recognised.
fn take_flags(draft: &mut Draft, args: &InitArgs) -> Result<(), CommandError> {
    if let Some(run) = &args.run {
        let recognised = std::mem::replace(&mut draft.run, quoted(run).map_err(other)?);
        // The environment of a recognised interpreter is of no use to another command.
        if recognised.first() != draft.run.first() {
            draft.share.retain(|path| !path.contains("env"));
        }
        let program = draft.run.first().cloned().unwrap_or_default();
        if let Some((environment, _)) = program.split_once("/bin/").filter(|(folder, _)| !folder.starts_with('/')) {
            draft.share.push(environment.to_owned());
            draft.share.dedup();
        }
        draft.build.clear();
    }
    if !args.edit.is_empty() {
        draft.editable.clone_from(&args.edit);
    }
    if let Some(guard) = &args.guard {
        (draft.guard, draft.guarded) = (Some(quoted(guard).map_err(other)?), true);
    }
    if args.metric.is_named() {
        draft.metric = None;
    }
    if let Some(agent) = &args.agent {
        draft.proposer = ProposerDraft::Command(quoted(agent).map_err(other)?);
    }
    for knob in &args.knob {
        let (name, range) = knob
            .split_once('=')
            .ok_or_else(|| other(format!("--knob {knob} has no range; give one as \"{knob}=log 0.001..0.1\"")))?;
        draft.knobs.push((name.trim().to_owned(), range.trim().to_owned()));
    }
    Ok(())
}

/// Lets a person correct the command and the paths.
fn ask_for_commands(draft: &mut Draft) -> Result<(), CommandError> {
    let run = ask("the command that prints the number", &draft.run.join(" "))?;
    if run != draft.run.join(" ") {
        draft.run = quoted(&run).map_err(other)?;
    }
    let editable = ask("what proposals may change, with spaces between", &draft.editable.join(" "))?;
    draft.editable = editable.split_whitespace().map(str::to_owned).collect();
    if let Some(guard) = &draft.guard {
        let answer = ask(&format!("must candidates pass `{}`? yes or no", guard.join(" ")), "no")?;
        draft.guarded = answer.starts_with(['y', 'Y']);
    }
    Ok(())
}

/// Fails as long as something is not known that the first trial needs.
fn check_draft(draft: &Draft) -> Result<(), CommandError> {
    if draft.run.is_empty() {
        return Err(other(
            "no script or benchmark was recognised; give the command that prints the number: --run \"python bench.py\"",
        ));
    }
    if draft.editable.is_empty() {
        return Err(other("no source was recognised; name what proposals may change: --edit src/fast.py"));
    }
    Ok(())
}

/// A limit that an ordinary candidate keeps: three times as long and a minute more, in whole minutes.
fn limit_for(seconds: f64) -> u64 {
    (((3.0 * seconds + 60.0) / 60.0).ceil() * 60.0) as u64
}

/// Says how long an experiment takes, and how many fit into eight hours.
fn tell_pace(draft: &Draft, trials: usize) {
    let each = draft.seconds.unwrap_or(0.0).max(0.01);
    let most = (EIGHT_HOURS / each).floor();
    let count = |number: f64| if number >= 10_000.0 { "more than 10,000".to_owned() } else { format!("{number:.0}") };
    terminal::out(format_args!(
        "pace: {each:.1} s a trial; 8 hours have room for {} trials, and an experiment takes one to three",
        count(most)
    ));
    if trials == 1 {
        terminal::out(format_args!("the noise is not known yet; `autoresearch doctor --measure 5` measures it"));
    }
}

/// Writes both files; a programme that is there stays as it is.
fn write(root: &Path, draft: &Draft) -> Result<(), CommandError> {
    let put = |name: &str, text: String| {
        let path = root.join(name);
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| other(format!("cannot write {}: {e}; make the folder writable", path.display())))
    };
    put(CONFIG, draft.text())?;
    terminal::out(format_args!("wrote {CONFIG}"));
    match root.join(PROGRAMME).exists() {
        true => terminal::out(format_args!("{PROGRAMME} is there, and stays as it is")),
        false => {
            let name =
                root.file_name().map_or_else(|| "this repository".into(), |name| name.to_string_lossy().into_owned());
            put(PROGRAMME, programme(draft, &name))?;
            terminal::out(format_args!("wrote {PROGRAMME}: say in it what to try"));
        }
    }
    terminal::out("next: autoresearch run --experiments 20");
    Ok(())
}
