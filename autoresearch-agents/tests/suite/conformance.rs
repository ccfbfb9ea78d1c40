//! Every shipped proposer keeps the contract of the trait: an interrupted search continues as if it had not been, and changes
//! can be read back from the journal.

use std::sync::Arc;

use autoresearch_agents::design::Factorial;
use autoresearch_agents::{
    Agent, AgentCliProposer, AgentSettings, DesignProposer, KnobProposer, MergeProposer, Portfolio, ReplayProposer,
    Search,
};
use autoresearch_core::testkit::conformance;
use autoresearch_core::{Direction, EditablePaths, LogMetric, Metric, Proposer, Sandbox};

use crate::api;
use crate::fixture::{Files, TRAINER, run_lab, trained};

fn files() -> Arc<dyn Sandbox> {
    Arc::new(Files::new(TRAINER, trained))
}

fn metric() -> Arc<dyn Metric> {
    Arc::new(LogMetric::new("score", Direction::Minimise))
}

fn design() -> DesignProposer {
    let factors = [("DEPTH", ["4", "8"]), ("WARMDOWN", ["0.3", "0.6"])];
    let factors = factors.map(|(name, levels)| (name.to_owned(), levels.map(str::to_owned).to_vec()));
    DesignProposer::new(Factorial::new("pair", factors.to_vec(), &[]).unwrap(), 3)
}

#[tokio::test]
async fn searches_over_constants() {
    for search in [Search::Neighbour, Search::Random, Search::Grid, Search::Tpe] {
        let make = || Box::new(KnobProposer::new(5).with_search(search)) as Box<dyn Proposer>;
        conformance::proposer(make, files, metric(), 6, true).await;
    }
}

#[tokio::test]
async fn a_design() {
    conformance::proposer(|| Box::new(design()), files, metric(), 3, true).await;
}

#[tokio::test]
async fn merges_and_a_portfolio() {
    conformance::proposer(|| Box::new(MergeProposer::new(0.05)), files, metric(), 2, true).await;
    let make = || {
        let members: Vec<(String, Box<dyn Proposer>)> = vec![
            ("steps".into(), Box::new(KnobProposer::new(5))),
            ("merge".into(), Box::new(MergeProposer::new(0.05))),
            ("design".into(), Box::new(design())),
        ];
        Box::new(Portfolio::new(2, members)) as Box<dyn Proposer>
    };
    conformance::proposer(make, files, metric(), 8, true).await;
}

#[tokio::test]
async fn a_replay() {
    let (_, entries, _) = run_lab(TRAINER, trained, KnobProposer::new(3), 5).await;
    let make = || Box::new(ReplayProposer::new(&entries).unwrap()) as Box<dyn Proposer>;
    conformance::proposer(make, files, metric(), 5, true).await;
}

/// The server answers by the files in the prompt alone, so the proposers are deterministic.
#[tokio::test]
async fn models() {
    for interface in api::INTERFACES {
        let mock = api::descending_server(interface).await;
        let make = || api::setup(&mock.url).proposer(interface);
        conformance::proposer(make, || Arc::new(api::Files), metric(), 3, true).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_agent() {
    let folder = tempfile::tempdir().unwrap();
    let make = || {
        let script = "sed -i 's/MATRIX_LR: f64 = 0\\.0/MATRIX_LR: f64 = 0.00/' train.rs; echo lower";
        let agent = Agent::Command(["sh", "-c", script].map(String::from).into());
        let editable = EditablePaths::new(["train.rs"]);
        Box::new(AgentCliProposer::new(AgentSettings::new(agent, editable, folder.path().join("scratch"))))
            as Box<dyn Proposer>
    };
    conformance::proposer(make, files, metric(), 1, true).await;
}
