//! Proposals: requested ahead of free workers, cleaned, and staged as experiments or rejected.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::completions::{Answer, Backoff, Completion};
use super::disclosure::View;
use super::in_flight::InFlight;
use super::schedule::is_suspect;
use super::{Change, Lab, LabError};
use crate::experiment_id::ExperimentId;
use crate::journal::{Record, StagedExperiment};
use crate::observer::Event;
use crate::program::Program;
use crate::proposal::CANCELLED;
use crate::proposer::{Cost, Proposal, Proposer, ProposerError, RejectedDraft, Wave, context};
use crate::sandbox::{Revision, Sandbox, SandboxError, StageError};
use crate::state::State;
use crate::stop::StopReason;
use crate::text::{DESCRIPTION_LIMIT, PARAGRAPH_LIMIT, one_line, paragraph};

/// Experiments that wait for each worker, at most.
const MAX_BACKLOG: usize = 2;
/// Rejected proposals in a row, from which on each is followed by a wait.
const REJECTIONS_BEFORE_BACKOFF: u32 = 3;
/// Rejected proposals that the reason of a stop names.
const NAMED_REJECTIONS: usize = 3;
/// Proposals in a row that the sandbox fails to stage, after which the run ends with an error.
const STAGING_FAILURES: u32 = 3;
/// Levels to which a change may be nested as JSON: the journal could not read back many more.
const DEEPEST_CHANGE: usize = 100;

/// A proposal or draft with the reason of its rejection.
struct Rejected {
    description: String,
    reason: String,
    change: serde_json::Value,
    cost: Cost,
    proposer: String,
}

impl From<RejectedDraft> for Rejected {
    fn from(RejectedDraft { description, reason, cost, proposer }: RejectedDraft) -> Rejected {
        Rejected { description, reason, change: serde_json::Value::Null, cost, proposer }
    }
}

impl<C: Change> Lab<C> {
    /// Asks the proposer for the proposals that are missing from the backlog.
    pub(super) fn request_proposals(&mut self, in_flight: &mut InFlight<C>) -> Result<(), LabError> {
        let missing = match self.settings.workers.ahead {
            // One proposal at a time, when nothing else is in flight.
            false => usize::from(self.state.open.is_empty() && in_flight.is_quiet()),
            true => self.backlog(in_flight).saturating_sub(self.waiting(in_flight)),
        };
        let room = self.settings.stop.experiments.map_or(usize::MAX, |limit| {
            limit.saturating_sub(
                self.state.finished() + self.state.pending().filter(|open| !open.id.is_baseline()).count(),
            )
        });
        let most = missing.min(room);
        let is_measured = self.state.incumbent.is_some() && self.state.unadopted.is_none();
        let proposer = &mut in_flight.proposer;
        if proposer.is_busy
            || proposer.exhausted.is_some()
            || !is_measured
            || is_suspect(&self.state, &self.settings)
            || most == 0
        {
            return Ok(());
        }
        self.record_hints()?;
        let proposer = &mut in_flight.proposer;
        (proposer.is_busy, proposer.known) = (true, self.state.experiments.len());
        let experiment = self.state.next_experiment();
        self.tell(&Event::ProposalRequested { experiment });
        let view = self.disclosed.as_mut().map(|disclosed| disclosed.view(&self.state));
        let (proposer, sandbox, program) = (self.proposer.clone(), self.sandbox.clone(), self.program.clone());
        // The state moves on while the proposer thinks, so it gets a copy.
        let (state, cancel) = (self.state.clone(), in_flight.cancel.clone());
        in_flight.await_completion(async move {
            let started = tokio::time::Instant::now();
            let parent = state.proposal_base().cloned().unwrap_or(Revision(String::new()));
            let result = tokio::select! {
                proposals = ask_proposer(&proposer, &*sandbox, &program, &state, view.as_ref(), most) => proposals,
                // The question is dropped by now, so the proposer is free.
                () = cancel.cancelled() => match proposer.lock().await.unreported() {
                    drafts if drafts.is_empty() => Err(ProposerError::Transient("cancelled".into())),
                    drafts => Ok(drafts.into_iter().map(Err).collect()),
                },
            };
            Completion::Proposed(Answer { parent, asked: most, result, took: started.elapsed() })
        });
        Ok(())
    }

    /// Counts the experiments that are staged and have not begun.
    fn waiting(&self, in_flight: &InFlight<C>) -> usize {
        self.state.open.iter().filter(|open| !self.has_begun(in_flight, open)).count()
    }

    /// Computes the number of experiments that should wait: one for each idle worker, and twice as many as begin during a call of
    /// the proposer, so that the proposals of one call last until the next answer. More would rest on an older state than
    /// necessary.
    fn backlog(&self, in_flight: &InFlight<C>) -> usize {
        let workers = self.settings.workers.classes.len();
        let State { time_of_trials, time_of_builds, time_of_evaluations, .. } = &*self.state;
        let trials: f64 = [time_of_trials, time_of_builds, time_of_evaluations].map(Duration::as_secs_f64).iter().sum();
        let trial = trials / self.state.experiments.len().max(1) as f64;
        let pace = in_flight.proposer.pace;
        let during_calls = if trial > 0.0 { (2.0 * workers as f64 * pace / trial).ceil() } else { 0.0 };
        let ahead = (during_calls as usize).max(1).min(MAX_BACKLOG * workers);
        ahead + in_flight.idle_workers()
    }

    /// Handles the proposer's answer: stages or rejects its proposals, or backs off after its failure.
    pub(super) async fn accept_proposals(
        &mut self,
        in_flight: &mut InFlight<C>,
        Answer { parent, asked, result, took }: Answer<C>,
    ) -> Result<(), LabError> {
        in_flight.proposer.is_busy = false;
        in_flight.proposer.pace = took.as_secs_f64();
        match result {
            Ok(wave) if wave.is_empty() => {
                self.fail_proposer(in_flight, "it answered with no proposal at all");
            }
            Ok(wave) => {
                in_flight.proposer.failures = 0;
                // Every proposal was paid for, so each is staged or rejected, even if its trial comes only after a stop.
                let mut entries = wave.into_iter().enumerate();
                while let Some((at, entry)) = entries.next() {
                    let (result, cut) = match entry {
                        Ok(proposal) => {
                            let cut = unstaged(&proposal);
                            (self.stage_proposal(in_flight, proposal.cleaned(), &parent, at < asked).await, Some(cut))
                        }
                        Err(draft) => (self.reject_proposal(in_flight, draft.into()), None),
                    };
                    if let Err(error) = result {
                        let rest = entries.map(|(_, entry)| entry.map_or_else(|draft| draft, |one| unstaged(&one)));
                        self.journal_costs(cut.into_iter().chain(rest));
                        return Err(error);
                    }
                }
                self.back_off_after_rejections(in_flight);
            }
            Err(ProposerError::Rejected(draft)) => {
                in_flight.proposer.failures = 0;
                self.reject_proposal(in_flight, draft.into())?;
                self.back_off_after_rejections(in_flight);
            }
            // An experiment was decided meanwhile, so it may have something to propose now.
            Err(ProposerError::Exhausted(why)) if self.state.experiments.len() == in_flight.proposer.known => {
                in_flight.proposer.exhausted = Some(StopReason::Exhausted(why));
            }
            Err(ProposerError::Exhausted(_)) => {}
            Err(ProposerError::Fatal(why)) => return Err(LabError::Proposer(why)),
            Err(ProposerError::Transient(_)) if in_flight.cancel.is_cancelled() => {}
            // A failing proposer never ends the run: back off and ask again.
            Err(ProposerError::Transient(error)) => self.fail_proposer(in_flight, &error),
        }
        Ok(())
    }

    /// Journals the costs of answers and drafts that come to nothing because the run ends. Writing may be what has failed.
    pub(super) fn journal_unstaged(&mut self, answers: Vec<Answer<C>>) {
        for answer in answers {
            let entries = match answer.result {
                Ok(wave) => wave,
                Err(ProposerError::Rejected(draft)) => vec![Err(draft)],
                Err(_) => continue,
            };
            self.journal_costs(entries.into_iter().map(|entry| entry.map_or_else(|draft| draft, |one| unstaged(&one))));
        }
    }

    fn journal_costs(&mut self, drafts: impl Iterator<Item = RejectedDraft>) {
        for draft in drafts.filter(|draft| draft.cost != Cost::default()) {
            let rejected = Rejected { description: CANCELLED.into(), ..draft.into() };
            if self.record_rejection(rejected).is_err() {
                return;
            }
        }
    }

    fn fail_proposer(&self, in_flight: &mut InFlight<C>, error: &str) {
        in_flight.proposer.failures += 1;
        let failures = in_flight.proposer.failures;
        self.back_off(in_flight, Backoff::Proposer, failures, error);
    }

    /// Stages a proposal for the files of `parent` as an experiment, or rejects it.
    async fn stage_proposal(
        &mut self,
        in_flight: &mut InFlight<C>,
        proposal: Proposal<C>,
        parent: &Revision,
        was_asked_for: bool,
    ) -> Result<(), LabError> {
        let experiment = self.state.next_experiment();
        self.tell(&Event::Proposed { description: &proposal.description });
        let Proposal { change, description, hypothesis, cost, proposer, design } = proposal;
        let json = serde_json::to_value(&change)?;
        let is_too_deep = is_nested_deeper(&json, DEEPEST_CHANGE);
        let staged = match (is_too_deep, was_asked_for) {
            (true, _) => Err(format!("its change is nested deeper than {DEEPEST_CHANGE} levels")),
            (_, false) => Err("more proposals came than were asked for; propose it again".into()),
            _ => self.stage_candidate(in_flight, experiment, parent, &change, &description).await?,
        };
        let staged = staged.and_then(|candidate| match self.state.with_fingerprint(&candidate.fingerprint) {
            Some(twin) => {
                let is_open = self.state.open(twin.id).is_some();
                let status = if is_open { "not decided yet".to_owned() } else { twin.status.to_string() };
                Err(format!("it is the same as experiment {} ({}, {status})", twin.id, twin.description))
            }
            None => Ok(candidate),
        });
        match staged {
            Ok(candidate) => {
                let workers = self.settings.workers.classes.len();
                let remaining = self.settings.stop.remaining(&self.state, in_flight.elapsed(), workers);
                let mut staged = StagedExperiment::new(experiment, Some(parent.clone()), candidate);
                (staged.description, staged.hypothesis, staged.change) = (description, hypothesis, json);
                (staged.cost, staged.proposer, staged.design) = (cost, proposer, design);
                staged.remaining = remaining.filter(|remaining| remaining.is_finite());
                let description = staged.description.clone();
                self.record(Record::Staged(staged))?;
                in_flight.proposer.rejections = 0;
                in_flight.proposer.last_rejections.clear();
                self.tell(&Event::Staged { experiment, description: &description });
                Ok(())
            }
            Err(reason) => {
                let change = if is_too_deep { serde_json::Value::Null } else { json };
                self.reject_proposal(in_flight, Rejected { description, reason, change, cost, proposer })
            }
        }
    }

    /// Stages a change. A failure of the sandbox on one proposal rejects that one; several in a row are an error.
    async fn stage_candidate(
        &mut self,
        in_flight: &mut InFlight<C>,
        experiment: ExperimentId,
        parent: &Revision,
        change: &C,
        description: &str,
    ) -> Result<Result<crate::sandbox::Candidate, String>, LabError> {
        let failures = &mut in_flight.proposer.staging_failures;
        match self.sandbox.stage(experiment, parent, change, description).await {
            Ok(candidate) => {
                *failures = 0;
                Ok(Ok(candidate))
            }
            Err(StageError::Rejected(reason)) => {
                *failures = 0;
                Ok(Err(reason))
            }
            Err(StageError::Failed(error @ (SandboxError::DiskFull { .. } | SandboxError::Cancelled))) => {
                Err(error.into())
            }
            Err(StageError::Failed(error)) => {
                *failures += 1;
                if *failures >= STAGING_FAILURES {
                    return Err(error.into());
                }
                Ok(Err(format!("the sandbox failed to stage it: {error}")))
            }
        }
    }

    fn reject_proposal(&mut self, in_flight: &mut InFlight<C>, rejected: Rejected) -> Result<(), LabError> {
        let description = one_line(&rejected.description, DESCRIPTION_LIMIT);
        let proposer_in_flight = &mut in_flight.proposer;
        proposer_in_flight.rejections += 1;
        proposer_in_flight
            .last_rejections
            .push_back(format!("{description}: {}", one_line(&rejected.reason, DESCRIPTION_LIMIT)));
        if proposer_in_flight.last_rejections.len() > NAMED_REJECTIONS {
            proposer_in_flight.last_rejections.pop_front();
        }
        self.record_rejection(rejected)
    }

    fn record_rejection(&mut self, rejected: Rejected) -> Result<(), LabError> {
        let Rejected { description, reason, change, cost, proposer } = rejected;
        let description = one_line(&description, DESCRIPTION_LIMIT);
        let reason = paragraph(&reason, PARAGRAPH_LIMIT);
        self.tell(&Event::Rejected { description: &description, reason: &reason });
        self.record(Record::Rejected { description, reason, change, cost: cost.valid(), proposer })
    }

    /// Backs off after rejected proposals, so that a proposer that repeats itself neither fills the disk nor spends without
    /// bound.
    fn back_off_after_rejections(&self, in_flight: &mut InFlight<C>) {
        if in_flight.cancel.is_cancelled() {
            return;
        }
        let (count, limit) = (in_flight.proposer.rejections, self.settings.rejection_limit);
        if count >= limit.max(1) {
            let last: Vec<_> = in_flight.proposer.last_rejections.iter().map(|one| format!("- {one}")).collect();
            in_flight.proposer.exhausted = Some(StopReason::Rejected { count, last: last.join("\n") });
        } else if count >= REJECTIONS_BEFORE_BACKOFF {
            let last = in_flight.proposer.last_rejections.back().cloned().unwrap_or_default();
            let error = format!("{count} proposals in a row were rejected, the last one was:\n{last}");
            self.back_off(in_flight, Backoff::Proposer, count - REJECTIONS_BEFORE_BACKOFF + 1, &error);
        }
    }
}

/// Makes a draft of a proposal that is not staged because the run ends; its cost stays in the books.
fn unstaged<C>(proposal: &Proposal<C>) -> RejectedDraft {
    let reason = format!("the run ended before it was staged: {}", proposal.description);
    let mut draft = RejectedDraft::new(CANCELLED, reason, proposal.cost);
    draft.proposer.clone_from(&proposal.proposer);
    draft
}

/// Asks the proposer about a state.
async fn ask_proposer<C: Send + 'static>(
    proposer: &Mutex<Box<dyn Proposer<C>>>,
    sandbox: &dyn Sandbox<C>,
    program: &Program,
    state: &State,
    view: Option<&View>,
    most: usize,
) -> Result<Wave<C>, ProposerError> {
    let Some(base) = state.proposal_base() else {
        return Err(ProposerError::Fatal("there is no measured baseline".into()));
    };
    let files = sandbox.files(base).await.map_err(|e| ProposerError::Transient(e.to_string()))?;
    let Some(mut context) = context(program, state, Arc::new(files)) else {
        return Err(ProposerError::Fatal("the incumbent has no score".into()));
    };
    if let Some(view) = view {
        view.narrow(&mut context);
    }
    proposer.lock().await.propose_wave(&context, most).await
}

/// True if a value is nested deeper than this many levels.
fn is_nested_deeper(value: &serde_json::Value, levels: usize) -> bool {
    let mut parts: Box<dyn Iterator<Item = &serde_json::Value>> = match value {
        serde_json::Value::Array(parts) => Box::new(parts.iter()),
        serde_json::Value::Object(parts) => Box::new(parts.values()),
        _ => return false,
    };
    match levels.checked_sub(1) {
        None => true,
        Some(levels) => parts.any(|part| is_nested_deeper(part, levels)),
    }
}
