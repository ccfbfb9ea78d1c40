//! The evaluation of a model whose program is not trusted: honest servers, and those with a trick.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use autoresearch_llm::evaluate::evaluate_bpb;
use autoresearch_llm::prepare::{Corpus, prepare};
use autoresearch_llm::strict::leave::{MODEL, SERVER};
use autoresearch_llm::workload::{Fixed, Workload};
use tch::{Device, Kind, Tensor};

mod attempts;
mod models;
mod served;

use served::{ATTEMPT, WORKED};

const VOCABULARY: usize = 300;

/// Prepared data, and what a run left: the server of the tests, whose trick stands in the model's file.
struct Left {
    folder: tempfile::TempDir,
    workload: Workload,
}

/// The end of an evaluation.
struct Evaluated {
    val_bpb: Option<f64>,
    said: String,
}

impl Left {
    fn new() -> Left {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..4000)
            .map(|i| format!("Line {i} says {} and \u{e9}\u{4f60} {}.\n\n", i * i % 97, "word ".repeat(i % 7)))
            .collect();
        let file = folder.path().join("text.txt");
        std::fs::write(&file, text).unwrap();
        let fixed = Fixed {
            vocab_size: VOCABULARY,
            max_seq_len: 32,
            eval_tokens: 4096,
            time_budget_seconds: 1.0,
            untimed_steps: 0,
        };
        let data = folder.path().join("data");
        let workload = prepare(&data, &Corpus::Files(vec![file], vec![]), &fixed, &|_| {}).unwrap();
        std::fs::create_dir(folder.path().join("left")).unwrap();
        test_fixtures::copy_program(&std::env::current_exe().unwrap(), &folder.path().join("left").join(SERVER));
        Left { folder, workload }
    }

    fn inputs(&self) -> PathBuf {
        self.folder.path().join("left")
    }

    fn validation(&self) -> PathBuf {
        self.workload.validation_folder().join(&self.workload.val[0].file)
    }

    /// Evaluates with time for a program that is slow to start, as those are that load libtorch on a busy machine.
    fn evaluate(&self, trick: &str) -> Evaluated {
        self.evaluate_within(60, trick)
    }

    fn evaluate_within(&self, limit: u32, trick: &str) -> Evaluated {
        std::fs::write(self.inputs().join(MODEL), trick).unwrap();
        let result = self.folder.path().join("result");
        let _ = std::fs::remove_file(&result);
        let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
        command.args(["--limit", &limit.to_string(), "--data"]).arg(self.workload.folder()).args(["--inputs", "left"]);
        command.current_dir(self.folder.path());
        let output = leaking(&mut command).env("AUTORESEARCH_RESULT", &result).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let text = std::fs::read_to_string(&result).unwrap_or_default();
        let val_bpb = text.strip_prefix("val_bpb: ").and_then(|number| number.trim().parse().ok());
        assert_eq!(output.status.success(), val_bpb.is_some(), "{trick}: {said}");
        Evaluated { val_bpb, said }
    }
}

/// Lets a command inherit a descriptor that no server may have.
fn leaking(command: &mut Command) -> &mut Command {
    let channel = tempfile::tempfile().unwrap();
    // SAFETY: one system call, which is async-signal-safe.
    unsafe {
        command.pre_exec(move || match libc::fcntl(channel.as_raw_fd(), libc::F_SETFD, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        })
    }
}

/// The val_bpb of the honest model, by the plain evaluation.
fn expected(workload: &Workload) -> f64 {
    let vocabulary = VOCABULARY as i64;
    let grid = Tensor::arange(vocabulary * vocabulary, (Kind::Float, Device::Cpu)).view([vocabulary, vocabulary]);
    let logits = (grid * 0.37).sin() * 3.0;
    let losses = |x: &Tensor, y: &Tensor| {
        let picked = logits.index_select(0, &x.flatten(0, -1));
        picked.cross_entropy_loss(&y.flatten(0, -1), None::<&Tensor>, tch::Reduction::None, -1, 0.0)
    };
    evaluate_bpb(workload, 4, Device::Cpu, losses).unwrap()
}

#[test]
fn an_honest_server_has_the_val_bpb_of_the_plain_evaluation() {
    let left = Left::new();
    let expected = expected(&left.workload);
    // The second's logits are no distribution; its number is that of the distribution that they stand for.
    for (trick, bound) in [("honest", 1e-6), ("unnormalised", 1e-5)] {
        let Evaluated { val_bpb, said } = left.evaluate(trick);
        let difference = (val_bpb.expect(&said) - expected).abs();
        println!("evidence strict-number {trick} difference {difference:e}");
        assert!(difference <= bound, "{trick}: {difference}: {said}");
    }
    // A table of the tokens' lengths says otherwise, and is not believed.
    let table = left.workload.folder().join("token_bytes.json");
    let longer: Vec<i32> = left.workload.token_bytes().unwrap().iter().map(|bytes| bytes * 2).collect();
    std::fs::write(table, format!("{longer:?}")).unwrap();
    let val_bpb = left.evaluate("honest").val_bpb.unwrap();
    assert!((val_bpb - expected).abs() <= 1e-6, "{val_bpb} for {expected}");
}

#[test]
fn a_model_that_looks_ahead_or_keeps_state_has_no_val_bpb() {
    let left = Left::new();
    let (ahead, state) = ("with the tokens that follow them", "with what it was asked before and beside");
    let tricks = [
        ("peeks", ahead),
        ("peeks-seldom", ahead),
        ("bidirectional", ahead),
        ("remembers", state),
        ("mixes-rows", state),
    ];
    let mut detected = 0;
    for (trick, expected) in test_fixtures::one_in(2, tricks) {
        let Evaluated { val_bpb, said } = left.evaluate(trick);
        assert!(val_bpb.is_none() && said.contains(expected), "{trick}: {said}");
        detected += 1;
    }
    println!("evidence strict-models detected {detected}");
}

#[test]
fn a_server_that_does_not_answer_is_told_in_a_sentence() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let left = Left::new();
    let failures = [
        ("nan", "logits that are not finite"),
        ("infinite", "logits that are not finite"),
        ("silent", "logits that are not finite numbers, or left some out"),
        ("exits", "the weights are of another model"),
        ("stops", "ended (exit status: 1) before it"),
        ("aborts", "ended (signal: 6"),
        ("hangs", "took more than 5 s until it loaded its weights"),
    ];
    let evaluate = |trick: &str| match trick {
        "hangs" => left.evaluate_within(5, trick),
        _ => left.evaluate(trick),
    };
    for (trick, expected) in failures {
        let Evaluated { val_bpb, said } = evaluate(trick);
        assert!(val_bpb.is_none() && said.contains(expected), "{trick}: {said}");
        // What a server prints when it knows validation data may hold some, and reaches no log.
        assert!(!said.contains("secret"), "{trick}: {said}");
    }
    // Each step has the whole limit; one that is too short for the steps before it on a busy machine is doubled.
    let is_told = [5, 10, 20, 40, 80].into_iter().any(|limit| {
        let Evaluated { val_bpb, said } = left.evaluate_within(limit, "slow");
        assert!(val_bpb.is_none() && !said.contains("secret"), "slow: {said}");
        said.contains(&format!("took more than {limit} s until it computed logits"))
    });
    assert!(is_told, "slow");
    println!("evidence strict-answers refused {}", failures.len() + 1);
}

#[test]
fn a_server_does_no_harm_behind_walls() {
    let left = Left::new();
    let honest = left.evaluate("honest").val_bpb.unwrap();
    let (validation, model) = (left.validation(), left.inputs().join(MODEL));
    let [validation, model] = [validation, model].map(|path| path.display().to_string());
    let beside = |name: &str| left.inputs().join(name).display().to_string();
    let mut log = std::fs::File::create(beside("log")).unwrap();
    log.write_all(b"of the evaluation").unwrap();
    let attempts = [
        ("read", validation.as_str()),
        ("read", &beside("log")),
        ("read", "/etc/passwd"),
        ("write", &model),
        ("create", &beside("notes")),
        ("create", "/tmp/autoresearch-notes-of-a-server"),
        ("create", "/dev/shm/autoresearch-notes-of-a-server"),
        ("mode", &model),
        ("times", "-"),
        ("lock", "-"),
        ("segment", "-"),
        ("socket", "-"),
        ("process", "-"),
        ("fork", "-"),
        ("signal", "-"),
        ("variables", "-"),
        ("memory", "-"),
        ("descriptors", "-"),
        ("inherited", "-"),
        ("result", "-"),
    ];
    let (mut works, mut contained) = (0, 0);
    for (attempt, argument) in test_fixtures::one_in(10, attempts) {
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone
            .env(ATTEMPT, format!("{} {attempt} {argument}", std::process::id()))
            .env("AUTORESEARCH_RESULT", "/dev/null");
        let status = leaking(&mut alone).status().unwrap();
        assert_eq!(status.code(), Some(WORKED), "{attempt} {argument} works without walls");
        works += 1;
        let Evaluated { val_bpb, said } = left.evaluate(&format!("attempts {attempt} {argument}"));
        assert_eq!(val_bpb, Some(honest), "{attempt} {argument}: {said}");
        contained += 1;
    }
    assert_eq!(left.evaluate("attempts cut -").val_bpb, Some(honest));
    for file in ["/tmp/autoresearch-notes-of-a-server", "/dev/shm/autoresearch-notes-of-a-server"] {
        let _ = std::fs::remove_file(file);
    }
    println!("evidence strict-attempts tried {works} contained {contained}");
}
