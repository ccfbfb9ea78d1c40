//! The proposers keep the contract of the trait: what was interrupted goes on the same, changes can be read back.

use std::sync::Arc;

use autoresearch_agents::{KnobProposer, Search};
use autoresearch_core::testkit::conformance;
use autoresearch_core::{Direction, LogMetric, Proposer, Sandbox};

use crate::fixture::{Files, TRAINER, trained};

#[tokio::test]
async fn searches_over_constants_keep_the_contract_of_a_proposer() {
    for search in [Search::Neighbour, Search::Random, Search::Grid, Search::Tpe] {
        let make = || Box::new(KnobProposer::new(5).with_search(search)) as Box<dyn Proposer>;
        let files = || Arc::new(Files::new(TRAINER, trained)) as Arc<dyn Sandbox>;
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        conformance::proposer(make, files, metric, 6, true).await;
    }
}
