//! The first trials of a repository that is set up: in slots as a run has them, with what is missing shared.

use autoresearch_core::internal::git::{Lineage, Listing};
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::{Cancel, Direction, Measurement, Outcome, Revision};

use super::draft::{Draft, MetricDraft, ProposerDraft, WallsDraft};
use crate::checks::{self, Level, Subject};
use crate::config::Config;
use crate::error::CommandError;
use crate::missing::{self, Remedy};
use crate::rehearsal::{Noise, Rehearsal};
use crate::repository::Repository;
use crate::session::Session;
use crate::text::{one_line, terminal};

/// The configuration's name in messages.
const CONFIG: &str = "autoresearch.toml";

/// Most times that something missing is shared and the program tried again.
const TRIES: usize = 8;

/// Length to which the reason why a program fails behind walls is cut, in characters.
const REASON: usize = 120;

/// Seconds that the first measurements may take together, unless their number is given.
const PATIENCE: f64 = 60.0;

/// The repository, and the commit that is tried.
pub struct Place<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Its git side.
    pub lineage: &'a Lineage,
    /// The commit.
    pub base: &'a Revision,
    /// The files of the commit.
    pub files: &'a Listing,
}

impl Place<'_> {
    /// A session with the draft as its configuration. As long as the metric is not known, a placeholder stands for it.
    fn session(&self, draft: &Draft) -> Result<Session, CommandError> {
        let mut draft = draft.clone();
        draft.metric.get_or_insert(MetricDraft {
            name: "score".into(),
            direction: Some(Direction::Minimise),
            ..MetricDraft::default()
        });
        Session::new(self.repository.clone(), Config::from_text(CONFIG, &draft.text())?, "init".into())
    }

    /// Runs the program once, in a slot as a run has it: behind walls, and if it fails there, without. What it fetched then may be all
    /// that it lacked, so that the walls get a second chance.
    pub async fn first_trial(&self, draft: &mut Draft, cancel: &Cancel) -> Result<(Outcome, Rehearsal), CommandError> {
        terminal::out(format_args!("running: {}", draft.run.join(" ")));
        let enforcement = Isolation::best_effort().enforcement();
        if enforcement.missing().any(|missing| missing.name == "files") {
            return self.shared_trial(draft, cancel).await;
        }
        draft.walls = WallsDraft::BestEffort;
        let behind = self.shared_trial(draft, cancel).await;
        if behind.is_ok() || cancel.is_cancelled() {
            return behind;
        }
        draft.walls = WallsDraft::Unsaid;
        let (without, _) = self.shared_trial(draft, cancel).await?;
        draft.walls = WallsDraft::BestEffort;
        let again = self.shared_trial(draft, cancel).await;
        if let Err(error) = &again
            && !cancel.is_cancelled()
        {
            let why = error.to_string();
            draft.walls = WallsDraft::None(one_line(why.lines().next().unwrap_or_default(), REASON));
            return Ok((without, Rehearsal::new(&self.session(draft)?, self.base)?));
        }
        again
    }

    /// Runs the program once. What git ignores and the program needs is shared, and it is tried again.
    async fn shared_trial(&self, draft: &mut Draft, cancel: &Cancel) -> Result<(Outcome, Rehearsal), CommandError> {
        for _ in 0..TRIES {
            let session = self.session(draft)?;
            let subject = Subject::new(&session, self.lineage, self.base)?;
            if let Some(wrong) = checks::of_setup(&subject).into_iter().find(|finding| finding.level == Level::Error) {
                return Err(CommandError::Other(wrong.message));
            }
            let mut rehearsal = Rehearsal::new(&session, self.base)?;
            let outcome = rehearsal.trial(0, cancel).await?;
            if let Outcome::Completed(_) = &outcome {
                return Ok((outcome, rehearsal));
            }
            if outcome.failed_guard() {
                return Err(CommandError::Other(format!(
                    "{}; mend the tests, or leave --guard out",
                    outcome.describe()
                )));
            }
            let log = outcome.log();
            let remedies = missing::find(&session, rehearsal.slots(), self.lineage, self.files, &log.tail);
            let mut shared = false;
            for remedy in &remedies {
                if let Remedy::Share { path, why } = remedy
                    && !draft.share.contains(path)
                {
                    terminal::out(format_args!("  {path} was missing, since {why}: candidates share it"));
                    draft.share.push(path.clone());
                    shared = true;
                }
            }
            if !shared {
                return Err(failed(&outcome, &remedies));
            }
        }
        Err(CommandError::Other(format!(
            "the program lacks more than {TRIES} things that git ignores; commit what it needs"
        )))
    }

    /// Measures a few times, as far as that takes no longer than a minute, and shows the noise.
    pub async fn measure(
        &self,
        draft: &Draft,
        first: Outcome,
        rehearsal: &mut Rehearsal,
        trials: Option<u32>,
        cancel: &Cancel,
    ) -> Result<Vec<Measurement>, CommandError> {
        let config = Config::from_text(CONFIG, &draft.text())?;
        let metric = config.metric()?;
        let read = |outcome: &Outcome| {
            metric.read(outcome).map_err(|error| match outcome {
                Outcome::Completed(_) => CommandError::Other(error.to_string()),
                ended => failed(ended, &[]),
            })
        };
        let (mut spent, mut measurements) = (seconds(&first), Vec::new());
        if !draft.metric.as_ref().is_some_and(|metric| metric.wall) {
            measurements.push(read(&first)?);
        }
        let wanted = trials.unwrap_or(3).max(1) as usize;
        while measurements.len() < wanted && (trials.is_some() || spent + seconds(&first) <= PATIENCE) {
            let outcome = rehearsal.trial(measurements.len() as u64, cancel).await?;
            spent += seconds(&outcome);
            measurements.push(read(&outcome)?);
        }
        if let Some(noise) = Noise::of(&measurements) {
            terminal::out(format_args!("measured: {}", noise.describe()));
        }
        Ok(measurements)
    }

    /// The proposer: knobs if there are some, else an agent that is installed, else a model whose key is set.
    pub async fn proposer(&self, draft: &Draft) -> Result<ProposerDraft, CommandError> {
        if let ProposerDraft::Command(_) = &draft.proposer {
            return Ok(draft.proposer.clone());
        }
        let session = self.session(draft)?;
        if !draft.knobs.is_empty() || checks::has_knobs(&Subject::new(&session, self.lineage, self.base)?).await? {
            return Ok(ProposerDraft::Knobs);
        }
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let (claude, openai) = (is_set("ANTHROPIC_API_KEY"), is_set("OPENAI_API_KEY"));
        Ok(if checks::find_program("claude").is_ok() {
            ProposerDraft::ClaudeCode(!claude)
        } else if checks::find_program("codex").is_ok() {
            ProposerDraft::Codex(!openai)
        } else if claude {
            ProposerDraft::Claude
        } else if openai {
            ProposerDraft::Openai
        } else {
            ProposerDraft::NoKnobs
        })
    }
}

/// A program that gave no number, with the end of its output and what it lacks.
fn failed(outcome: &Outcome, remedies: &[Remedy]) -> CommandError {
    let tail: Vec<&str> = outcome.log().tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut text = format!("{}\n{}", outcome.describe(), tail[tail.len().saturating_sub(12)..].join("\n"));
    for remedy in remedies {
        if let Remedy::Words(words) = remedy {
            text += &format!("\nhint: {words}");
        }
    }
    CommandError::Other(text + "\nnothing was written; mend that, commit it, and run `autoresearch init` again")
}

/// Seconds of the build and the run of a trial.
pub fn seconds(outcome: &Outcome) -> f64 {
    let log = outcome.log();
    (log.elapsed + log.build).as_secs_f64()
}
