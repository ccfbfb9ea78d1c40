//! The peak memory of a training step at the h100 preset's shapes, computed from small steps on a CPU.

use autoresearch_llm::ops::memory;

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
    let ((), counted) = memory::measure(|| {
        tch::manual_seed(1);
        let model = Gpt::in_kind(config, Device::Cpu, Kind::BFloat16);
        let _optimizer = MuonAdamW::new(&model);
        let tokens = Tensor::randint(8192, [rows, sequence_len + 1], (Kind::Int64, Device::Cpu));
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
    let (few, many) = (1, 3);
    precision::fast_matmul(Device::Cpu).unwrap();
    let (low, high) = (peak(few, 512), peak(many, 512));
    let per_token = (high - low) / ((many - few) * 512) as f64;
    // On CUDA a chunk of the head is larger than on a CPU: four tensors of its logits live at a time.
    let chunk = |device| (head::chunk(8192, device) * 8192 * 4 * 4) as f64;
    let fixed = low - per_token * (few * 512) as f64 + chunk(Device::Cuda(0)) - chunk(Device::Cpu);
    let gigabytes = (fixed + per_token * (128 * 2048) as f64) / 1e9;
    println!(
        "evidence memory-h100 gigabytes {gigabytes:.2} bytes_per_token {per_token:.0} fixed_gigabytes {:.2}",
        fixed / 1e9
    );
    assert!(gigabytes < 30.0, "{gigabytes}");
}
