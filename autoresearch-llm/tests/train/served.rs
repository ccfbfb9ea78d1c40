//! val_bpb of a model in this process, and of the same weights in the process of a server.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use autoresearch_llm::prepare::{Corpus, prepare};
use autoresearch_llm::strict::evaluate::{Settings, evaluate};
use autoresearch_llm::workload::Fixed;

use super::*;

/// The program of these tests serves models as the trainer does; this runs before its main function, which runs tests.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = serve_if_asked;

extern "C" fn serve_if_asked() {
    if std::env::var_os("AUTORESEARCH_SERVE").is_some() {
        main();
        std::process::exit(0);
    }
}

fn workload(folder: &Path) -> Workload {
    let text: String = (0..4000)
        .map(|i| format!("Line {i} says {} and \u{e9}\u{4f60} {}.\n\n", i * i % 97, "word ".repeat(i % 7)))
        .collect();
    let file = folder.join("text.txt");
    std::fs::write(&file, text).unwrap();
    let fixed =
        Fixed { vocab_size: 300, max_seq_len: 32, eval_tokens: 4096, time_budget_seconds: 1.0, untimed_steps: 0 };
    prepare(&folder.join("data"), &Corpus::Files(vec![file], vec![]), &fixed, &|_| {}).unwrap()
}

#[test]
fn served_weights_have_the_val_bpb_of_the_same_weights_here() {
    tch::manual_seed(7);
    let folder = tempfile::tempdir().unwrap();
    let workload = workload(folder.path());
    let config = Config {
        sequence_len: 32,
        vocab_size: 300,
        n_layer: 3,
        n_head: 2,
        n_kv_head: 2,
        n_embd: 64,
        window_pattern: "SSL".into(),
    };
    let model = Gpt::new(config, Device::Cpu);
    // Projections begin at zero; without this, attention would change nothing.
    no_grad(|| model.parameters().iter().for_each(|p| drop(p.shallow_clone().normal_(0.0, 0.2))));
    let here = evaluate_bpb(&workload, 8, Device::Cpu, |x, y| model.loss(x, y, Reduction::None)).unwrap();

    leave::leave(folder.path(), &model.config, &model.named_parameters()).unwrap();
    let settings = Settings {
        inputs: folder.path().to_owned(),
        rows: 7,
        probes: 64,
        tolerance: 1e-4,
        limit: Duration::from_secs(60),
    };
    let report = evaluate(&workload, &settings).unwrap();
    let difference = (report.val_bpb - here).abs();
    println!("evidence strict-agreement difference {difference:e}\n{report}");
    assert!(here > 1.0 && difference <= 1e-6, "{report} for {here}");
}
