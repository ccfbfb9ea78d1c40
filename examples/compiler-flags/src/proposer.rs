//! The proposals: a walk that tries each flag, then each on the newest incumbent, then combinations.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt::Display;

use async_trait::async_trait;
use autoresearch_core::{Context, Experiment, Outcome, Proposal, Proposer, ProposerError, Status};

use crate::flags::{CommandLine, Flags, Switch, kind};

/// After so many draws of combinations that were all tried, nothing is left.
const DRAWS: u32 = 10_000;

/// The walk. It remembers nothing: all that it knows is in the experiments, so a resumed search goes on as if uninterrupted.
pub struct Walk {
    flags: Vec<String>,
    seed: u64,
}

impl Walk {
    /// A walk over `flags`, in an order that `seed` decides.
    pub fn new(flags: Vec<String>, seed: u64) -> Walk {
        Walk { flags, seed }
    }

    fn on(&self) -> impl Iterator<Item = Flags> {
        self.flags.iter().map(|flag| Flags(vec![Switch::On(flag.clone())]))
    }

    /// A number that only the seed and `what` decide. Sorting by it is a shuffle that needs no state.
    fn rank(&self, what: impl Display) -> u64 {
        // A checksum alone is linear: similar texts would give similar draws.
        let mut bits = self.seed.wrapping_add(u64::from(crc32c::crc32c(what.to_string().as_bytes())) << 16);
        for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            bits = (bits ^ (bits >> 30)).wrapping_mul(factor);
        }
        bits ^ (bits >> 31)
    }

    /// The next change from `here` whose state is `new`.
    fn next(&self, here: &CommandLine, done: &[(Flags, &Experiment)], new: impl Fn(&Flags) -> bool) -> Option<Flags> {
        // The levels first: most other flags do nothing without optimisation.
        let untried = self.on().filter(|change| done.iter().all(|(done, _)| done != change));
        let level = |change: &Flags| Reverse(change.to_string().starts_with("-O"));
        if let Some(first) = untried.filter(&new).min_by_key(|change| (level(change), self.rank(change))) {
            return Some(first);
        }

        // What the compiler refuses alone it refuses in company; what gave another output alone may be right there.
        let alone = |flag: &str| done.iter().find(|(change, _)| change.to_string() == flag).map(|(_, done)| *done);
        let wrong = |flag: &str| alone(flag).is_some_and(another_output);
        let refused = |flag: &str| alone(flag).is_some_and(|done| done.status == Status::Crash) && !wrong(flag);

        let off = here.flags().filter(|flag| kind(flag) != "-O").map(|flag| Flags(vec![Switch::Off(flag.into())]));
        let again = self.on().filter(|change| !refused(&change.to_string())).chain(off);
        if let Some(again) = again.filter(&new).min_by_key(|change| self.rank(change)) {
            return Some(again);
        }

        // Each of about half of the flags: any two meet in every fourth draw, where pairs would take a hundred.
        let in_force: HashSet<&str> = here.flags().collect();
        let draw = |number: u32| {
            let chosen = |flag: &str, one_in| self.rank(format_args!("{number} {flag}")).is_multiple_of(one_in);
            let mut change: Vec<Switch> = Vec::new();
            let mut kinds = HashSet::new();
            for flag in self.flags.iter().filter(|flag| !refused(flag)) {
                let (switch, one_in): (fn(String) -> Switch, _) = match in_force.contains(flag.as_str()) {
                    true if kind(flag) == "-O" => continue,
                    true => (Switch::Off, 4),
                    false if wrong(flag) => (Switch::On, 4),
                    false => (Switch::On, 2),
                };
                if chosen(flag, one_in) && kinds.insert(kind(flag)) {
                    change.push(switch(flag.clone()));
                }
            }
            Flags(change)
        };
        (0..DRAWS).map(draw).find(|change| change.0.len() > 1 && new(change))
    }
}

/// True if the candidate ran to its end and its output was rejected.
pub fn another_output(experiment: &Experiment) -> bool {
    experiment.status == Status::Crash && matches!(experiment.outcome, Some(Outcome::Completed(_)))
}

#[async_trait]
impl Proposer<Flags> for Walk {
    async fn propose(&mut self, context: &Context<'_, Flags>) -> Result<Proposal<Flags>, ProposerError> {
        let here = CommandLine::named(&context.incumbent);
        let done: Vec<(Flags, &Experiment)> = context.changes().collect();
        let states: HashSet<&str> = context.experiments.iter().map(|done| done.candidate.revision.0.as_str()).collect();
        let new = |change: &Flags| !states.contains(here.with(change).name().0.as_str());
        let change = self.next(&here, &done, new);
        let change = change.ok_or_else(|| {
            ProposerError::Exhausted("all flags are tried, and all combinations that could be found".into())
        })?;
        let (description, flags) = (change.to_string(), here.with(&change).name());
        Ok(Proposal::new(change, description).because(format!("`{flags}` may be faster")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use autoresearch_core::testkit::conformance;
    use autoresearch_core::{
        AdoptedRevision, Cancel, Candidate, Direction, ExperimentId, LogMetric, Revision, RunLog, Sandbox,
        SandboxError, StageError, Trial,
    };

    /// A compiler whose programs take a time that their flags alone decide.
    #[derive(Default)]
    struct Even(AdoptedRevision);

    #[async_trait]
    impl Sandbox<Flags> for Even {
        async fn baseline(&self) -> Result<Candidate, StageError> {
            Ok(Candidate::new("-O0"))
        }

        async fn stage(
            &self,
            _: ExperimentId,
            parent: &Revision,
            change: &Flags,
            _: &str,
        ) -> Result<Candidate, StageError> {
            Ok(Candidate::new(CommandLine::named(parent).with(change).name().0))
        }

        async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
            let time = crc32c::crc32c(candidate.revision.0.as_bytes()) % 100;
            Ok(Outcome::Completed(RunLog::saying(format!("cpu_ms: {}", 1 + time))))
        }

        async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
            self.0.adopt(from, to)
        }
    }

    #[tokio::test]
    async fn the_walk_keeps_the_contract_of_a_proposer() {
        let flags = ["-O1", "-O2", "-O3", "-a", "-b", "-c"].map(str::to_owned).to_vec();
        let make = || Box::new(Walk::new(flags.clone(), 3)) as Box<dyn Proposer<Flags>>;
        let metric = Arc::new(LogMetric::new("cpu_ms", Direction::Minimise));
        conformance::proposer(make, || Arc::new(Even::default()) as Arc<dyn Sandbox<Flags>>, metric, 12, true).await;
    }

    #[test]
    fn the_walk_ends_when_every_combination_is_tried() {
        let walk = Walk::new(["-O1", "-O2", "-a", "-b", "-c"].map(str::to_owned).to_vec(), 1);
        let here = CommandLine::named(&Revision("-O0".into()));
        let mut seen = vec![here.name()];
        while let Some(change) = walk.next(&here, &[], |change| !seen.contains(&here.with(change).name())) {
            assert!(seen.len() > 5 || change.0.len() == 1, "{change} came before all single flags were tried");
            seen.push(here.with(&change).name());
        }
        // Three levels, and each of three flags on or off.
        assert_eq!(seen.len(), 3 * 8);
    }
}
