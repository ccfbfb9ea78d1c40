//! val_bpb of a fixed model on fixed tokens, against the formula in plain Python.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use autoresearch_llm::evaluate::{EvalError, evaluate_bpb};
use autoresearch_llm::prepare::{Corpus, prepare};
use autoresearch_llm::workload::{Fixed, Workload};
use autoresearch_llm::{DataError, Split};
use tch::{Device, Kind, Tensor};

const SEQ: usize = 32;

fn workload(folder: &Path) -> Workload {
    let text: String = (0..4000)
        .map(|i| format!("Line {i} says {} and \u{e9}\u{4f60} {}.\n\n", i * i % 97, "word ".repeat(i % 7)))
        .collect();
    let file = folder.join("text.txt");
    std::fs::write(&file, text).unwrap();
    let fixed =
        Fixed { vocab_size: 300, max_seq_len: SEQ, eval_tokens: 4096, time_budget_seconds: 1.0, untimed_steps: 0 };
    prepare(&folder.join("data"), &Corpus::Files(vec![file], vec![]), &fixed, &|_| {}).unwrap()
}

/// A fixed model: the logits of the next token are a function of this one.
fn losses(x: &Tensor, y: &Tensor) -> Tensor {
    let vocab = 300;
    let grid = Tensor::arange(vocab * vocab, (Kind::Float, Device::Cpu)).view([vocab, vocab]);
    let logits = (grid * 0.37).sin() * 3.0;
    let picked = logits.index_select(0, &x.flatten(0, -1));
    picked.cross_entropy_loss(&y.flatten(0, -1), None::<&Tensor>, tch::Reduction::None, -1, 0.0)
}

#[test]
fn val_bpb_is_the_formula_s() {
    let folder = tempfile::tempdir().unwrap();
    let workload = workload(folder.path());
    let token_bytes = workload.token_bytes().unwrap();
    let mut largest: f64 = 0.0;
    for batch in [1, 4, 16] {
        let (all_losses, all_targets) = (RefCell::new(vec![]), RefCell::new(vec![]));
        let ours = evaluate_bpb(&workload, batch, Device::Cpu, |x, y| {
            let losses = losses(x, y);
            all_losses.borrow_mut().extend(Vec::<f64>::try_from(losses.to_kind(Kind::Double)).unwrap());
            all_targets.borrow_mut().extend(Vec::<i64>::try_from(y.flatten(0, -1)).unwrap());
            losses
        });
        assert_eq!(all_targets.borrow().len(), 4096);
        let case = serde_json::json!({ "losses": all_losses.take(), "targets": all_targets.take(), "token_bytes": token_bytes });
        let mut python = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/val_bpb.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs the reference");
        python.stdin.take().unwrap().write_all(case.to_string().as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        let theirs: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        largest = largest.max((ours.unwrap() - theirs).abs());
    }
    println!("evidence val_bpb max_abs_diff {largest:e}");
    assert!(largest <= 1e-6, "{largest}");
}

#[test]
fn special_tokens_count_in_neither_sum() {
    let mut sums = autoresearch_llm::evaluate::BitsPerByte::default();
    let bytes = Tensor::from_slice(&[0i32, 2]);
    sums.add(&Tensor::from_slice(&[5f32, 3.0]), &Tensor::from_slice(&[0i64, 1]), &bytes);
    assert_eq!((sums.nats, sums.bytes), (3.0, 2.0));
}

#[test]
fn a_model_gone_wrong_has_no_val_bpb() {
    let folder = tempfile::tempdir().unwrap();
    let workload = workload(folder.path());
    let nan =
        evaluate_bpb(&workload, 4, Device::Cpu, |_, y| Tensor::full(y.size(), f64::NAN, (Kind::Float, Device::Cpu)));
    assert!(matches!(nan, Err(EvalError::NotFinite(_))));
    assert!(matches!(evaluate_bpb(&workload, 4000, Device::Cpu, losses), Err(EvalError::BatchTooLarge { .. })));
}

#[test]
fn prepared_data_is_found_ready_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let first = workload(folder.path());
    let shard = first.folder().join(&first.train[0].file);
    let bytes = std::fs::read(&shard).unwrap();

    // The text was written anew, so its time of change is another one; the tokens are the same.
    let again = workload(folder.path());
    assert_eq!((&again.train, &again.corpus_sha256), (&first.train, &first.corpus_sha256));

    let mut damaged = bytes.clone();
    damaged[40] ^= 1;
    std::fs::write(&shard, &damaged).unwrap();
    assert!(matches!(first.loader(Split::Train, 1, 8), Err(DataError::Corrupt { .. })));
    workload(folder.path());
    assert_eq!(std::fs::read(&shard).unwrap(), bytes);
}

#[test]
fn training_needs_nothing_of_the_validation_split() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("data/val-part-0.bin");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(&old, "where it was once").unwrap();
    let workload = workload(folder.path());
    assert!(!old.exists());
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(workload.folder()), ["token_bytes.json", "tokenizer.json", "train-part-0.bin", "workload.json"]);
    assert_eq!(names(&workload.validation_folder()), ["val-part-0.bin"]);
    std::fs::remove_dir_all(workload.validation_folder()).unwrap();
    let workload = Workload::open(workload.folder()).unwrap();
    workload.loader(Split::Train, 1, SEQ).unwrap();
    assert!(matches!(workload.loader(Split::Val, 1, SEQ), Err(DataError::Unreadable { .. })));
}

#[test]
fn bad_corpora_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty.txt"), " \n").unwrap();
    std::fs::write(at("binary.txt"), b"fine\nthen \xff\xfe").unwrap();
    std::fs::write(at("broken.jsonl"), "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n").unwrap();
    std::fs::write(at("broken.parquet"), "not parquet").unwrap();
    std::fs::create_dir(at("nothing")).unwrap();
    let fixed =
        Fixed { vocab_size: 300, max_seq_len: SEQ, eval_tokens: 64, time_budget_seconds: 1.0, untimed_steps: 0 };
    for (name, words) in [
        ("empty.txt", "no documents"),
        ("binary.txt", "line 2: it is not UTF-8"),
        ("broken.jsonl", "line 2: it has no field `text`"),
        ("broken.parquet", "not a readable parquet"),
        ("nothing", "no documents"),
        ("missing", "cannot read"),
    ] {
        let error =
            prepare(&at("out"), &Corpus::Files(vec![at(name)], vec![]), &fixed, &|_| {}).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(name), "{name}: {error}");
        assert!(matches!(Workload::open(&at("out")), Err(DataError::NotPrepared(_))));
    }
}
