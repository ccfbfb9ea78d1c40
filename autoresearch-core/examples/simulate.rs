//! The figures of docs/noise.md: the shipped rules on simulated runs whose truth is known.
//!
//! ```sh
//! cargo run --release -p autoresearch-core --example simulate -- --runs 500
//! ```
//!
//! [`autoresearch_core::testkit::simulate`] does the work; give it a rule of your own in the same way.

use std::error::Error;
use std::sync::Arc;

use autoresearch_core::prelude::*;
use autoresearch_core::testkit::simulate::{Effects, Gain, Scores, Simulation};

/// Karpathy's rule, with a baseline that is measured as often as the other rules measure it.
struct Greedy;

impl Ratchet for Greedy {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        match (evidence.incumbent.measurements.len(), evidence.candidate.measurements.len()) {
            (0, measured @ ..5) => Verdict::Measure(vec![Side::Candidate; 5 - measured]),
            _ => Strict.judge(evidence),
        }
    }
}

/// A rule with its name in the table, and whether it knows when the run ends.
type Rule = (&'static str, Arc<dyn Ratchet>, bool);

/// The rows: their names, the effects of proposals, the scores of trials, and the trials of each run.
fn rows() -> Vec<(&'static str, Effects, Scores, usize)> {
    let exponential = |good, mean| Effects::some(good, Gain::Exponential(mean));
    let pass_rate = Scores::PassRate { items: 20, base: 0.9 };
    let half = Scores::PassRate { items: 20, base: 0.5 };
    // A pass rate has an end: short runs, from further below.
    let low = Scores::PassRate { items: 20, base: 0.3 };
    let steps = Scores::Steps { draws: 4, success: 0.12 };
    let gain = |sigma| Effects::some(0.15, Gain::Fixed(sigma));
    vec![
        ("15% good, mean 0.8", exponential(0.15, 0.8), Scores::Gaussian, 500),
        ("5% good, mean 0.5", exponential(0.05, 0.5), Scores::Gaussian, 500),
        ("2% good, mean 1.5", exponential(0.02, 1.5), Scores::Gaussian, 500),
        ("all null", Effects::none(), Scores::Gaussian, 500),
        ("pass rate of 20 at 0.9, all null", Effects::none(), pass_rate, 500),
        ("pass rate of 20 at 0.5, all null", Effects::none(), half, 500),
        ("steps of 0.01, all null", Effects::none(), steps, 500),
        ("gaussian, 15% gain 2 sigma", gain(2.0), Scores::Gaussian, 60),
        ("pass rate of 20 at 0.3, 15% gain 2 sigma", gain(2.0), low, 60),
        ("steps of 0.01, 15% gain 1.5 sigma", gain(1.5), steps, 60),
        ("steps of 0.01, 15% gain 3 sigma", gain(3.0), steps, 60),
    ]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 500,
        (Some("--runs"), Some(count)) => count.parse()?,
        _ => return Err("usage: simulate [--runs RUNS]".into()),
    };
    let rules: [Rule; 4] = [
        ("greedy", Arc::new(Greedy), false),
        ("default", Arc::new(NoiseAware::default()), false),
        ("default, end known", Arc::new(NoiseAware::default()), true),
        ("sequential", Arc::new(Sequential::default()), false),
    ];
    let mut lines = Vec::new();
    println!(
        "{runs} runs of 500 trials (of 60 where a gain is fixed) for each cell, seeds 0 to {}; in standard deviations of one trial",
        runs - 1
    );
    println!(
        "| proposals | rule | true gain | false keeps | share | in 100 | power | record bias | proposals tried |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for (name, effects, scores, trials) in rows() {
        for (rule_name, rule, knows_end) in &rules {
            let mut simulation = Simulation::new(effects);
            (simulation.scores, simulation.runs, simulation.trials) = (scores, runs, trials);
            // Nearly two trials for each proposal.
            simulation.experiments = knows_end.then_some(simulation.trials * 7 / 10);
            let found = simulation.run(rule.clone()).await?;
            let autoresearch_core::testkit::simulate::Simulated { gain, false_keeps, bias, proposals, power, .. } =
                found;
            let (share, hundred) = (found.false_share(), found.false_keeps_in_a_hundred());
            println!(
                "| {name} | {rule_name} | {:.2} ± {:.2} | {:.2} ± {:.2} | {share:.2} | {hundred:.2} | {power:.2} | \
                 {:+.2} ± {:.2} | {:.0} |",
                gain.mean, gain.error, false_keeps.mean, false_keeps.error, bias.mean, bias.error, proposals.mean
            );
            lines.push(format!(
                "evidence simulation row {} rule {} gain {:.4} gain_error {:.4} false {:.4} false_error {:.4} \
                 share {share:.4} in_hundred {hundred:.4} power {power:.4} bias {:.4} bias_error {:.4} proposals {:.1}",
                name.replace(' ', "-"),
                rule_name.replace(' ', "-"),
                gain.mean,
                gain.error,
                false_keeps.mean,
                false_keeps.error,
                bias.mean,
                bias.error,
                proposals.mean
            ));
        }
    }
    println!("{}", lines.join("\n"));
    Ok(())
}
