//! The searches over constants, beside each other on a surrogate of a trainer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fixture::{TRAINER, run_lab, run_parallel_lab, trained};
use autoresearch_agents::{KnobProposer, Search};
use autoresearch_core::internal;
use autoresearch_core::*;

/// In an ordinary run, and in the long one.
const SEEDS: (usize, usize) = (8, 20);
const EXPERIMENTS: usize = 60;

async fn best(search: Search, seed: u64) -> f64 {
    let (_, _, state) = run_lab(TRAINER, trained, KnobProposer::new(seed).with_search(search), EXPERIMENTS).await;
    assert_eq!(state.finished(), EXPERIMENTS, "{search:?}");
    state.incumbent.unwrap().arm.mean().unwrap().get()
}

/// The mean of paired differences and the ends of its 95 % interval (Student's t with 19 degrees of freedom).
fn interval(gains: &[f64]) -> (f64, f64, f64) {
    let n = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = 2.093 * (variance / n).sqrt();
    (mean, mean - half, mean + half)
}

#[tokio::test]
async fn the_searcher_beats_drawing_at_random() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let seeds = test_fixtures::by_default_or_thorough(SEEDS.0, SEEDS.1);
    let mut random = Vec::new();
    for seed in 0..seeds as u64 {
        random.push(best(Search::Random, seed).await);
    }
    for search in [Search::Tpe, Search::Neighbour, Search::Grid] {
        let mut gains = Vec::new();
        for (seed, random) in (0..).zip(&random) {
            gains.push(random - best(search, seed).await);
        }
        let (mean, low, high) = interval(&gains);
        let wins = gains.iter().filter(|gain| **gain > 0.0).count();
        let name = match search {
            Search::Tpe => "searcher-beats-random".to_owned(),
            other => format!("search-{other:?}-against-random").to_lowercase(),
        };
        println!(
            "evidence {name} seeds {seeds} experiments {EXPERIMENTS} mean_gain {mean:.6} low {low:.6} high {high:.6} wins {wins}"
        );
        assert!(low > 0.0 || search == Search::Grid, "{search:?} {gains:?}");
    }
}

#[tokio::test]
async fn steps_on_a_wide_range_of_integers_come_close_to_the_best_one() {
    let source = "const A: i64 = 60_000; // knob: int 20000..100000\n";
    let measure: crate::fixture::Measure = |source| Ok((crate::fixture::constant(source, "A") - 84_321.0).abs());
    for seed in 0..4 {
        let (_, _, state) = run_lab(source, measure, KnobProposer::new(seed), EXPERIMENTS).await;
        let away = state.incumbent.unwrap().arm.mean().unwrap().get();
        // A draw from the whole range comes as close as that once in a hundred.
        assert!(away < 400.0, "seed {seed}: {away}");
    }
}

#[tokio::test]
async fn a_search_that_is_continued_goes_on_as_if_it_had_not_been_interrupted() {
    for search in [Search::Neighbour, Search::Random, Search::Grid, Search::Tpe] {
        let descriptions = |state: State| state.experiments.iter().map(|e| e.description.clone()).collect::<Vec<_>>();
        let proposer = || KnobProposer::new(3).with_search(search);
        let (_, _, whole) = run_lab(TRAINER, trained, proposer(), 20).await;
        let (_, _, part) = run_lab(TRAINER, trained, proposer(), 12).await;
        assert!(descriptions(whole).starts_with(&descriptions(part)));
    }
}

/// A wave holds what would be proposed alone first, nothing twice, nothing pending, and is the same each time.
#[tokio::test]
async fn a_wave_differs_in_all_its_proposals_and_is_reproducible() {
    let (_, _, state) = run_lab(TRAINER, trained, KnobProposer::new(3), 30).await;
    let files: BTreeMap<String, String> = [("train.rs".to_owned(), TRAINER.to_owned())].into();
    let program = Program::parse("Lower it.").unwrap();
    for search in [Search::Neighbour, Search::Random, Search::Grid, Search::Tpe] {
        let mut proposer = KnobProposer::new(3).with_search(search);
        let mut context: Context<'_> = internal::context(&program, &state, Arc::new(files.clone())).unwrap();
        let alone = proposer.propose(&context).await.unwrap();
        let wave = proposer.propose_wave(&context, 12).await.unwrap();
        assert_eq!((wave.len(), &wave[0]), (12, &Ok(alone.clone())), "{search:?}");
        assert_eq!(proposer.propose_wave(&context, 12).await.unwrap(), wave);
        let different: BTreeSet<String> =
            wave.iter().flatten().map(|proposal| format!("{:?}", proposal.change)).collect();
        assert_eq!(different.len(), 12);
        // What another run made of these changes is pending here.
        let mut pending = state.experiments[1].clone();
        (pending.change, pending.description) =
            (serde_json::to_value(&alone.change).unwrap(), "by somebody else".into());
        context.pending = vec![&pending];
        let after = proposer.propose_wave(&context, 12).await.unwrap();
        assert!(after.iter().flatten().all(|proposal| proposal.change != alone.change), "{search:?}");
    }
}

#[tokio::test]
async fn searches_work_ahead_for_several_workers() {
    for search in [Search::Neighbour, Search::Random, Search::Grid, Search::Tpe] {
        let proposer = KnobProposer::new(3).with_search(search);
        let (_, state) = run_parallel_lab(TRAINER, trained, proposer, 40, 4).await;
        assert_eq!(state.finished(), 40, "{search:?}");
        let refused = state.rejections.len();
        assert!(refused <= 4, "{search:?}: {refused} proposals were the same as others");
    }
}

/// Finds nothing on a space of four points but those.
#[tokio::test]
async fn a_grid_ends_when_it_is_used_up() {
    let source = "const A: i64 = 1; // knob: {1, 2}\nconst B: i64 = 1; // knob: {1, 2}\n";
    let measure: crate::fixture::Measure =
        |source| Ok(crate::fixture::constant(source, "A") + crate::fixture::constant(source, "B"));
    for search in [Search::Grid, Search::Random, Search::Tpe] {
        let (reason, _, state) = run_lab(source, measure, KnobProposer::new(0).with_search(search), 10).await;
        assert!(matches!(reason, StopReason::Exhausted(_)), "{search:?} {reason}");
        assert_eq!((state.finished(), state.rejections.len()), (3, 0), "{search:?}");
    }
}
