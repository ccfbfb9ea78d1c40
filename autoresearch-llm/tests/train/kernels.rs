//! The whole model with the kernels of a GPU, emulated: the same losses and gradients, and how much memory they move.

#![allow(clippy::unwrap_used)]

#[path = "../suite/kernels/emulator.rs"]
pub(super) mod emulator;

use emulator::{Traffic, emulated};

use super::*;

/// A model of some layers, and a batch for it. Its projections do not begin at zero, so that everything counts.
fn model(config: Config, kind: Kind, rows: i64) -> (Gpt, Tensor, Tensor) {
    tch::manual_seed(5);
    let (vocab_size, t) = (config.vocab_size, config.sequence_len);
    let model = Gpt::in_kind(config, Device::Cpu, kind);
    no_grad(|| {
        let small = |matrix: &Tensor| drop(matrix.shallow_clone().normal_(0.0, 0.1));
        model.h.iter().for_each(|block| {
            small(&block.c_proj);
            small(&block.mlp_proj);
            block.ve_gate.iter().for_each(small);
        });
        small(&model.lm_head);
    });
    let tokens = Tensor::randint(vocab_size, [rows, t + 1], (Kind::Int64, Device::Cpu));
    let (x, y) = (tokens.narrow(1, 0, t).copy(), tokens.narrow(1, 1, t).copy());
    // A target that does not count.
    let _ = y.i((0, 3)).fill_(head::IGNORED);
    (model, x, y)
}

fn config(n_layer: i64, n_head: i64, head_dim: i64, vocab_size: i64) -> Config {
    let n_embd = n_head * head_dim;
    Config { sequence_len: 24, vocab_size, n_layer, n_head, n_kv_head: n_head, n_embd, window_pattern: "SSL".into() }
}

/// The loss, and the gradient of every parameter.
fn pass(model: &Gpt, x: &Tensor, y: &Tensor) -> Vec<Tensor> {
    let loss = model.loss(x, y, Reduction::Mean);
    loss.backward();
    let gradient = |parameter: Tensor| {
        let gradient = parameter.grad();
        drop_grad(&parameter);
        gradient
    };
    [loss.detach()].into_iter().chain(model.parameters().into_iter().map(gradient)).collect()
}

/// The largest difference, as a share of the largest element.
fn apart(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let of = |(a, b): (&Tensor, &Tensor)| {
        let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
        (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-12)
    };
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

#[test]
fn the_model_with_kernels_has_the_same_losses_and_gradients() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    // Heads and channels that no pack of eight divides.
    for (heads, head_dim) in [(2, 32), (3, 22)] {
        let (model, x, y) = model(config(3, heads, head_dim, 67), Kind::Float, 2);
        let expected = pass(&model, &x, &y);
        let (found, launched) = emulated(false, || pass(&model, &x, &y));
        let difference = apart(&found, &expected);
        assert!(difference < 1e-5, "{difference:e}");
        for kernel in ops::kernels() {
            assert!(launched.iter().any(|(name, _)| name.starts_with(kernel.name())), "{} is not used", kernel.name());
        }
        let evaluated = || model.loss(&x, &y, Reduction::None);
        let difference = apart(&[emulated(true, evaluated).0], &[evaluated()]);
        assert!(difference < 1e-5, "{difference:e}");
    }
    let (model, x, y) = model(config(3, 2, 32, 67), Kind::BFloat16, 2);
    let expected = pass(&model, &x, &y);
    let (found, _) = emulated(true, || pass(&model, &x, &y));
    let (loss, all) = (apart(&found[..1], &expected[..1]), apart(&found, &expected));
    assert!(loss < 4e-3 && all < 0.1, "{loss:e} {all:e}");
}

/// Bytes for each token of all kernels whose name `counts` takes, in a pass of a model of `n_layer` layers at the h100
/// preset's width, forward and backward, in bf16.
fn bytes_per_token(n_layer: i64, counts: impl Fn(&str) -> bool) -> f64 {
    let (model, x, y) = model(config(n_layer, 4, 128, 8192), Kind::BFloat16, 1);
    let (_, launched) = emulated(false, || pass(&model, &x, &y));
    let bytes = |(_, traffic): &(String, Traffic)| traffic.bytes() as f64;
    launched.iter().filter(|(name, _)| counts(name)).map(bytes).sum::<f64>() / x.numel() as f64
}

#[test]
fn a_layer_and_the_head_move_no_more_memory_than_they_should() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let (few, many) = (2, 4);
    let of_layers = |n_layer| bytes_per_token(n_layer, |name| name != "cross_entropy");
    // A channel of a token has two bytes. Two layers more, one of which has value embeddings.
    let layer = (of_layers(many) - of_layers(few)) / (many - few) as f64 / 1024.0;
    // libtorch's operations beside the kernels: the gradients of k and v are added to that of q by their products, which read
    // it; those of the gate's channels alone; and the gradients of value embeddings are read once to be added up by word.
    let libtorch = 2.0 + 0.5 * (2.0 * 32.0 / 512.0) + 0.5;
    let kernel = bytes_per_token(1, |name| name == "cross_entropy");
    // The head's products read and write their operands once. A chunk of the head is 4096 tokens on a GPU, so a word's row
    // of weights is a quarter of a byte to each of its tokens.
    let (d, words) = (512.0, 8192.0);
    let (x, logits, weight) = (2.0 * d, 2.0 * words, 2.0 * words * d / 4096.0);
    assert_eq!(head::chunk(8192, Device::Cuda(0)), 4096);
    let products = (x + weight + logits) + (logits + weight + x) + (logits + x + weight);
    // The gradient of the weight is summed up in float32; that of x is scaled by what comes in.
    let sums = (weight + 2.0 * weight + 2.0 * weight) + 2.0 * x;
    let head = (kernel + products + sums) / 1000.0;
    println!(
        "evidence traffic layer_u {layer:.2} libtorch_u {libtorch:.2} head_kb {head:.1} head_kernel_kb {:.1}",
        kernel / 1000.0
    );
    assert!(layer + libtorch <= 60.0, "{layer} and {libtorch} u");
    assert!(head <= 130.0, "{head} KB");
}
