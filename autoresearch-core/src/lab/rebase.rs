//! Rebases: an experiment's change is applied to another base, since the incumbent moved while it was open.

use super::in_flight::InFlight;
use super::{Change, Lab, LabError};
use crate::experiment_id::ExperimentId;
use crate::journal::Record;
use crate::observer::Event;
use crate::sandbox::{Rebase, Rebased};
use crate::state::Status;

impl<C: Change> Lab<C> {
    /// Rebases an experiment onto the end of the merge queue, which it joins, or onto the incumbent.
    pub(super) async fn rebase_experiment(
        &mut self,
        in_flight: &mut InFlight<C>,
        id: ExperimentId,
        into_queue: bool,
    ) -> Result<(), LabError> {
        let onto = match into_queue {
            true => self.state.queue_end(),
            false => self.state.incumbent.as_ref().map(|incumbent| &incumbent.revision),
        };
        let (Some(open), Some(onto)) = (self.state.open(id), onto.cloned()) else { return Ok(()) };
        let experiment = &open.experiment;
        let Some(from) = &experiment.parent else { return Ok(()) };
        let base = self.state.pending().find(|other| other.candidate.revision == onto).map(|other| other.id);
        let incumbent = self.state.incumbent.as_ref().map_or(ExperimentId::BASELINE, |incumbent| incumbent.experiment);
        let base = base.unwrap_or(incumbent);
        let change = C::deserialize(&experiment.change)?;
        let rebase = Rebase {
            experiment: id,
            times: experiment.rebased.len() as u32 + 1,
            candidate: &experiment.candidate,
            from,
            onto: &onto,
            change: &change,
            description: &experiment.description,
        };
        match self.sandbox.rebase(rebase).await? {
            Rebased::Candidate(candidate) => {
                let twin = self.state.with_fingerprint(&candidate.fingerprint).filter(|twin| twin.id != id);
                if let Some(twin) = twin {
                    let twin = format!("{} ({})", twin.id, twin.description);
                    let why = format!("with what was kept meanwhile it is the same as experiment {twin}");
                    return self.decide_experiment(in_flight, id, Status::Discard, why).await;
                }
                self.record(Record::Rebased { experiment: id, parent: onto, candidate, in_merge_queue: into_queue })?;
                self.tell(&Event::Rebased { experiment: id, onto: base, in_merge_queue: into_queue, conflict: None });
            }
            Rebased::Conflict(_) if base != incumbent => in_flight.experiment(id).contradicts = Some(onto),
            Rebased::Conflict(conflict) => {
                let sides = Some(conflict.as_str());
                self.tell(&Event::Rebased { experiment: id, onto: base, in_merge_queue: into_queue, conflict: sides });
                self.record(Record::Conflicted { experiment: id, conflict: conflict.into() })?;
            }
        }
        // The rule asked for trials of the old candidate.
        if let Some(known) = in_flight.experiments.get_mut(&id) {
            known.requested.clear();
            (known.measurements_at_request, known.was_tried, known.failures) = (None, false, 0);
        }
        Ok(())
    }
}
