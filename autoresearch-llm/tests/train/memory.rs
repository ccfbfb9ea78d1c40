//! The peak memory of a training step at the h100 preset's shapes, computed from small steps on a CPU.

use autoresearch_llm::ops::memory;

use super::super::kernels::emulator::emulated;
use super::*;

/// Bytes at the peak of two passes of `rows` rows, forward and backward, in bf16 as on CUDA. The parameters, the gradients
/// of the first pass and the state of both optimizers count; what an optimizer's step takes besides is far less.
fn peak(rows: i64, sequence_len: i64) -> f64 {
    let config = Config {
        sequence_len,
        vocab_size: 8192,
        n_layer: 8,
        n_head: 4,
        n_kv_head: 4,
        n_embd: 512,
        window_pattern: "SSSL".into(),
    };
    peak_of(config, rows)
}

fn peak_of(config: Config, rows: i64) -> f64 {
    let Config { sequence_len, vocab_size, .. } = config;
    let ((), counted) = memory::measure(|| {
        tch::manual_seed(1);
        let model = Gpt::in_kind(config, Device::Cpu, Kind::BFloat16);
        let _optimizer = MuonAdamW::new(&model);
        let tokens = Tensor::randint(vocab_size, [rows, sequence_len + 1], (Kind::Int64, Device::Cpu));
        let (x, y) = (tokens.i((.., ..sequence_len)).contiguous(), tokens.i((.., 1..)).contiguous());
        for _ in 0..2 {
            model.loss(&x, &y, Reduction::Mean).backward();
        }
    });
    counted.peak as f64
}

/// Memory that grows with the tokens is measured at two sizes and drawn on in a line to 128 rows of 2048. What the CPU allocates
/// besides tensors of the graph (its kernels' buffers) is in both, so the line errs upwards.
#[test]
#[ignore = "it needs 4 GB; `cargo xtask evidence trainer` runs it"]
fn a_step_at_the_h100_s_sizes_takes_less_than_30_gigabytes() {
    precision::fast_matmul(Device::Cpu).unwrap();
    // On CUDA a chunk of the head is larger than on a CPU: of its logits four tensors live at a time in float32, or one in
    // bf16 with the kernels.
    let (per_token, fixed, gigabytes) = drawn_on(peak, 512, 4 * 4);
    let (.., by_kernels) = drawn_on(|rows, t| emulated(false, || peak(rows, t)).0, 128, 2);
    println!(
        "evidence memory-h100 gigabytes {gigabytes:.2} kernels {by_kernels:.2} bytes_per_token {per_token:.0} fixed_gigabytes {fixed:.2}"
    );
    assert!(gigabytes < 30.0 && by_kernels < 30.0, "{gigabytes}, {by_kernels}");
}

/// Bytes of a token, gigabytes beside them, and of all, from the peaks of one and of three rows of `t` tokens; a logit of a chunk takes `of_a_logit` bytes.
fn drawn_on(peak: impl Fn(i64, i64) -> f64, t: i64, of_a_logit: i64) -> (f64, f64, f64) {
    let (few, many) = (1, 3);
    let (low, high) = (peak(few, t), peak(many, t));
    let per_token = (high - low) / ((many - few) * t) as f64;
    let chunk = |device| (head::chunk(8192, device) * 8192 * of_a_logit) as f64;
    let fixed = low - per_token * (few * t) as f64 + chunk(Device::Cuda(0)) - chunk(Device::Cpu);
    (per_token, fixed / 1e9, (fixed + per_token * (128 * 2048) as f64) / 1e9)
}

/// In a process of its own, since a process has one form.
#[test]
fn the_plain_forms_take_the_memory_that_is_asked_for() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "--nocapture", "tests::step_memory::measures_the_plain_forms"]);
    let output = again.env("AUTORESEARCH_OPERATIONS", "plain").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let share: f64 =
        said.lines().find_map(|line| line.strip_prefix("share ")?.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    // Too little would let a training begin that dies; far too much would turn one away that fits.
    assert!((0.8..=1.15).contains(&share), "{share}");
}

#[test]
fn measures_the_plain_forms() {
    if ops::form() != Ok(ops::Form::Plain) {
        return;
    }
    let (vocab_size, n_layer, n_embd, sequence_len) = (1024, 4, 128, 256);
    let window_pattern = "SSSL".into();
    let config = Config { sequence_len, vocab_size, n_layer, n_head: 1, n_kv_head: 1, n_embd, window_pattern };
    let per_token = (peak_of(config.clone(), 6) - peak_of(config, 2)) / (4 * sequence_len) as f64;
    println!("share {}", per_token / room::plain_bytes(vocab_size, n_layer, n_embd) as f64);
}
