//! Several proposers that take turns by their gain.

use std::collections::HashMap;

use async_trait::async_trait;
use autoresearch_core::{Context, Experiment, Patch, Proposal, Proposer, ProposerError, RejectedDraft, Status, Wave};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Least cost of a turn in dollars: a free member would be worth any number of turns.
const LEAST: f64 = 1e-4;

/// A bandit over proposers: asks the member with the greatest gain for its cost, with a bonus for members asked little.
///
/// It is discounted UCB (Garivier and Moulines, "On Upper-Confidence Bound Policies for Switching Bandit Problems", ALT
/// 2011): gains shrink in the course of a run, so old turns count ever less. A turn's reward is the kept gain; its cost is its
/// dollars and its minutes at a price, and a proposer's worth is the ratio of both sums (as in the bandits
/// with variable costs of Ding et al., AAAI 2013), divided by that of the best. Rejected proposals are turns without a gain.
///
/// All state is in the experiments, by [`Proposal::proposer`]: the same seed and history give the same turn. An exhausted
/// member is passed over for this turn, and the portfolio is exhausted once all members are.
///
/// ```
/// use autoresearch_agents::{KnobProposer, MergeProposer, Portfolio};
/// use autoresearch_core::Proposer;
/// let members: Vec<(String, Box<dyn Proposer>)> = vec![
///     ("steps".into(), Box::new(KnobProposer::new(1))),
///     ("merge".into(), Box::new(MergeProposer::new(0.0005))),
/// ];
/// let portfolio = Portfolio::new(1, members).with_price(0.05);
/// ```
pub struct Portfolio<C = Patch> {
    seed: u64,
    members: Vec<(String, Box<dyn Proposer<C>>)>,
    /// Weight that a turn keeps with each later turn.
    discount: f64,
    /// Weight of the bonus.
    curiosity: f64,
    dollars_per_minute: f64,
}

/// Discounted turns of a proposer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Turns {
    count: f64,
    gain: f64,
    dollars: f64,
}

impl<C> Portfolio<C> {
    /// A portfolio of proposers by name. The names are journaled, so a run must be resumed under the same ones.
    pub fn new(seed: u64, members: Vec<(String, Box<dyn Proposer<C>>)>) -> Portfolio<C> {
        Portfolio { seed, members, discount: 0.98, curiosity: 0.5, dollars_per_minute: 0.05 }
    }

    /// Sets the price of a minute of the machine in dollars. Default: 0.05, three dollars an hour.
    pub fn with_price(mut self, dollars_per_minute: f64) -> Portfolio<C> {
        self.dollars_per_minute = dollars_per_minute;
        self
    }

    /// Returns the members' places by their index of the bandit, the best first.
    fn order(&self, context: &Context<'_, C>) -> Vec<usize> {
        let turns = self.turns(context);
        let all: f64 = turns.iter().map(|turns| turns.count).sum();
        let worth = |turns: &Turns| if turns.dollars > 0.0 { turns.gain / turns.dollars } else { 0.0 };
        let best = turns.iter().map(worth).fold(0.0, f64::max);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(context.proposals() as u64 + 1);
        let mut order: Vec<(f64, u64, usize)> = Vec::new();
        for (at, turns) in turns.iter().enumerate() {
            let share = if best > 0.0 { worth(turns) / best } else { 0.0 };
            let bonus = self.curiosity * (all.max(1.0).ln() / turns.count).sqrt();
            // A member that was never asked comes first; equal ones in random order.
            let index = if turns.count == 0.0 { f64::INFINITY } else { share + bonus };
            order.push((index, rng.random(), at));
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, _, at)| at).collect()
    }

    /// Returns the discounted turns of each member; every turn of any member discounts them.
    fn turns(&self, context: &Context<'_, C>) -> Vec<Turns> {
        let places: HashMap<&str, usize> =
            self.members.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
        let mut turns = vec![Turns::default(); self.members.len()];
        let mut add = |name: &str, gain: f64, dollars: f64| {
            let Some(at) = places.get(name) else { return };
            for turns in &mut turns {
                turns.count *= self.discount;
                turns.gain *= self.discount;
                turns.dollars *= self.discount;
            }
            if let Some(turns) = turns.get_mut(*at) {
                turns.count += 1.0;
                turns.gain += gain;
                turns.dollars += dollars.max(LEAST);
            }
        };
        let mut rejected = context.rejections.iter().peekable();
        for experiment in context.experiments.iter().skip(1) {
            while let Some(rejection) = rejected.next_if(|rejection| rejection.experiment <= experiment.id) {
                add(&rejection.proposer, 0.0, rejection.cost.dollars);
            }
            let gain = experiment.before.zip(experiment.score());
            let gain = gain.filter(|_| experiment.status == Status::Keep);
            let gain = gain.map_or(0.0, |(before, after)| context.direction.gain(before, after).max(0.0));
            // The time of the trials alone: a pause of the run is no cost.
            let ran = experiment.outcome.as_ref().map(|outcome| outcome.log().build + outcome.log().elapsed);
            let minutes = ran.unwrap_or_default().as_secs_f64() / 60.0;
            add(&experiment.proposer, gain, experiment.cost.dollars + minutes * self.dollars_per_minute);
        }
        rejected.for_each(|rejection| add(&rejection.proposer, 0.0, rejection.cost.dollars));
        // An experiment in flight has no gain and no cost yet, but its member had a turn: others come next.
        for pending in &context.pending {
            if let Some(turns) = places.get(pending.proposer.as_str()).and_then(|at| turns.get_mut(*at)) {
                turns.count += 1.0;
            }
        }
        turns
    }
}

/// Writes a member's name into an entry of its wave.
fn signed<C>(entry: Result<Proposal<C>, RejectedDraft>, name: &str) -> Result<Proposal<C>, RejectedDraft> {
    match entry {
        Ok(proposal) => Ok(Proposal { proposer: name.to_owned(), ..proposal }),
        Err(mut draft) => {
            draft.proposer = name.to_owned();
            Err(draft)
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: Send + Sync + 'static> Proposer<C> for Portfolio<C> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        let nothing = || ProposerError::Transient("the member whose turn it is proposed nothing".into());
        Ok(self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(nothing)??)
    }

    /// Gives the whole wave to one member.
    async fn propose_wave(&mut self, context: &Context<'_, C>, most: usize) -> Result<Wave<C>, ProposerError> {
        let (mut transient, mut exhausted) = (None, Vec::new());
        for at in self.order(context) {
            let Some((name, proposer)) = self.members.get_mut(at) else { continue };
            match proposer.propose_wave(context, most).await {
                Ok(wave) => return Ok(wave.into_iter().map(|entry| signed(entry, name)).collect()),
                // A rejected draft is its member's turn and its member's cost.
                Err(ProposerError::Rejected(draft)) => return Ok(vec![signed(Err(draft), name)]),
                Err(ProposerError::Exhausted(why)) => exhausted.push(format!("{name}: {why}")),
                // Another member may propose meanwhile.
                Err(ProposerError::Transient(why)) => transient = transient.or(Some(format!("{name}: {why}"))),
                Err(ProposerError::Fatal(why)) => return Err(ProposerError::Fatal(format!("{name}: {why}"))),
                Err(other) => return Err(other),
            }
        }
        match transient {
            Some(why) => Err(ProposerError::Transient(why)),
            None => Err(ProposerError::Exhausted(exhausted.join("; "))),
        }
    }

    fn observe(&mut self, experiment: &Experiment) {
        self.members.iter_mut().for_each(|(_, proposer)| proposer.observe(experiment));
    }

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        let mut all = Vec::new();
        for (name, proposer) in &mut self.members {
            for mut draft in proposer.unreported() {
                draft.proposer.clone_from(name);
                all.push(draft);
            }
        }
        all
    }
}
