//! A design is measured whole, each point once, while its own points and other changes move the incumbent.

use std::collections::BTreeSet;

use crate::fixture::{Measure, constant, run_lab, run_parallel_lab};
use async_trait::async_trait;
use autoresearch_agents::design::{Factorial, analyses};
use autoresearch_agents::{DesignProposer, KnobProposer, Portfolio};
use autoresearch_core::*;

const SOURCE: &str = "const LR: f64 = 0.04; // knob: log 0.01..0.1\nconst DEPTH: i64 = 4; // knob: int 1..16\nconst BIAS: f64 = 1.0; // knob: lin 0..2\n";

/// Raising DEPTH pays only together with a lower LR.
const MEASURE: Measure = |source| {
    let (lr, depth) = (constant(source, "LR") < 0.03, constant(source, "DEPTH") > 5.0);
    let both = match (lr, depth) {
        (false, false) => 1.0,
        (true, false) => 1.1,
        (false, true) => 1.2,
        (true, true) => 0.8,
    };
    Ok(both + constant(source, "BIAS"))
};

fn factors(levels: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    levels.iter().map(|(name, own)| ((*name).to_owned(), own.iter().map(|l| (*l).to_owned()).collect())).collect()
}

fn design() -> Factorial {
    Factorial::new("pair", factors(&[("LR", &["0.02", "0.04"]), ("DEPTH", &["4", "6"])]), &[]).unwrap()
}

#[tokio::test]
async fn every_point_is_measured_once_and_the_incumbent_s_is_not_proposed() {
    for seed in 0..6 {
        let (reason, _, state) = run_lab(SOURCE, MEASURE, DesignProposer::new(design(), seed), 20).await;
        let points: BTreeSet<_> =
            state.experiments.iter().filter_map(|e| Some(e.design.as_ref()?.levels.clone())).collect();
        assert_eq!((state.finished(), points.len(), state.rejections.len()), (3, 3, 0), "{reason}");
        assert!(matches!(reason, StopReason::Exhausted(ref why) if why.contains("all 4 points")), "{reason}");
        let [analysis] = &analyses(&state)[..] else { panic!() };
        assert_eq!((analysis.measured, analysis.blocks), (4, 1), "whichever point was kept first");
        let pair = analysis.effects.iter().find(|effect| effect.of.len() == 2).unwrap();
        // Raising LR costs 0.4 more with DEPTH 6 than it brings with DEPTH 4, where it brings 0.1: half of 0.5.
        assert!((pair.estimate - 0.25).abs() < 1e-9, "{pair:?}");
    }
}

/// With several workers a kept point moves those that wait: every level is measured all the same, and the effects are those of
/// the truth.
#[tokio::test]
async fn waves_of_a_parallel_run_tell_the_same_effects() {
    let factors = factors(&[("LR", &["0.02", "0.03", "0.04"]), ("DEPTH", &["4", "6"]), ("BIAS", &["0.5", "1.0"])]);
    for (seed, workers) in (0..8).flat_map(|seed| [(seed, 2), (seed, 4), (seed, 16)]) {
        let design = Factorial::new("three", factors.clone(), &[]).unwrap();
        let (reason, state) = run_parallel_lab(SOURCE, MEASURE, DesignProposer::new(design, seed), 40, workers).await;
        assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
        let [analysis] = &analyses(&state)[..] else { panic!() };
        assert_eq!((analysis.measured, analysis.blocks), (12, 1), "{seed} {workers}");
        let bias =
            analysis.effects.iter().find(|effect| effect.of.len() == 1 && effect.of[0].factor == "BIAS").unwrap();
        assert!((bias.estimate - 0.5).abs() < 1e-9 && bias.aliases.is_empty(), "{seed} {workers}: {bias:?}");
    }
}

/// Proposes something else second.
struct InBetween(DesignProposer);

#[async_trait]
impl Proposer for InBetween {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        if context.proposals() == 1 {
            let line = |value: &str| format!("const BIAS: f64 = {value};");
            return Ok(Proposal::new(Patch::replace("train.rs", line("1.0"), line("0.5")), "another change"));
        }
        self.0.propose(context).await
    }
}

#[tokio::test]
async fn points_after_another_keep_are_a_block_of_their_own() {
    let (_, _, state) = run_lab(SOURCE, MEASURE, InBetween(DesignProposer::new(design(), 0)), 20).await;
    let [analysis] = &analyses(&state)[..] else { panic!() };
    assert_eq!(analysis.blocks, 2);
    assert!(state.experiments.iter().any(|e| e.description == "another change" && e.status == Status::Keep));
    let one = analysis.effects.iter().filter(|effect| effect.aliases.is_empty());
    assert!(one.clone().count() <= 3);
}

#[tokio::test]
async fn a_wave_is_the_same_points_and_none_twice() {
    let program = Program::parse("Lower it.").unwrap();
    let files = [("train.rs".to_owned(), SOURCE.to_owned())].into();
    let context: Context<'_> = Context::new(
        &program,
        Revision("0".into()),
        Score::new(1.0).unwrap(),
        Direction::Minimise,
        std::sync::Arc::new(files),
        0,
    );
    let mut proposer = DesignProposer::new(design(), 5);
    let first = proposer.propose(&context).await.unwrap();
    let wave = proposer.propose_wave(&context, 2).await.unwrap();
    assert_eq!((wave.len(), &wave[0]), (2, &Ok(first)));
    let wave = proposer.propose_wave(&context, 9).await.unwrap();
    let points: BTreeSet<_> = wave.iter().flatten().map(|proposal| proposal.design.clone().unwrap().levels).collect();
    assert_eq!((wave.len(), points.len()), (3, 3));
    assert!(wave.iter().flatten().all(|proposal| proposal.design.as_ref().unwrap().name == "pair"));
}

#[tokio::test]
async fn constants_that_are_missing_and_levels_out_of_range_are_named() {
    for (levels, word) in [
        (factors(&[("WIDTH", &["1", "2"])]), "factors.WIDTH"),
        (factors(&[("DEPTH", &["4", "60"])]), "the level 60 is not within `int 1..16`"),
    ] {
        let proposer = DesignProposer::new(Factorial::new("d", levels, &[]).unwrap(), 0);
        let mut lab = crate::fixture::lab(SOURCE, MEASURE, proposer, 3);
        let error = lab.run(&Cancel::new()).await.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test]
async fn another_proposer_goes_on_where_a_design_ends() {
    let members: Vec<(String, Box<dyn Proposer>)> = vec![
        ("design".into(), Box::new(DesignProposer::new(design(), 0))),
        ("knobs".into(), Box::new(KnobProposer::new(0))),
    ];
    let (_, _, state) = run_lab(SOURCE, MEASURE, Portfolio::new(0, members), 30).await;
    let by = |name: &str| state.experiments.iter().filter(|e| e.proposer == name).count();
    assert_eq!((by("design") + state.rejections.len() >= 3, state.finished()), (true, 30));
    assert!(by("knobs") > 20);
}
