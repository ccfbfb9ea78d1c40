//! Fused operations against their plain forms on the device that `AUTORESEARCH_DEVICE` names, in bf16: a GPU if there is
//! one, else the CPU, so that the test itself is tested. Apart from the others: CUDA must be opened first.

#![allow(clippy::unwrap_used)]

use autoresearch_llm::device;
use autoresearch_llm::ops::attention::{Heads, Kernel, Window};
use autoresearch_llm::ops::{adamw, head, memory, mlp, norm};
use tch::{Device, Kind, Reduction, Tensor, no_grad};

/// The largest difference of values and gradients, relative to the largest expected element.
fn difference(inputs: &[Tensor], found: impl Fn(&[Tensor]) -> Tensor, expected: impl Fn(&[Tensor]) -> Tensor) -> f64 {
    let leaves = || inputs.iter().map(|input| input.copy().set_requires_grad(true)).collect::<Vec<Tensor>>();
    let (mine, theirs) = (leaves(), leaves());
    let (y, z) = (found(&mine), expected(&theirs));
    let weights = no_grad(|| z.randn_like());
    (&y * &weights).sum(Kind::Float).backward();
    (&z * &weights).sum(Kind::Float).backward();
    let apart = |a: &Tensor, b: &Tensor| {
        let (a, b) = (a.to_kind(Kind::Float), b.to_kind(Kind::Float));
        (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-30)
    };
    let gradients = mine.iter().zip(&theirs).map(|(a, b)| apart(&a.grad(), &b.grad()));
    gradients.fold(apart(&y.detach(), &z.detach()), f64::max)
}

#[test]
fn operations_on_the_device_are_their_plain_forms() {
    let device = device::open().unwrap();
    tch::manual_seed(1);
    let low = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device)).to_kind(Kind::BFloat16);
    let full = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device));
    let aim = Tensor::randint(8192, [2048], (Kind::Int64, device));
    let angle = full(&[1, 256, 1, 64]);
    let (cos, sin) = (angle.cos().to_kind(Kind::BFloat16), angle.sin().to_kind(Kind::BFloat16));
    let (short, long) = (Window::new(256, 100, device), Window::new(256, 256, device));
    let heads = |keys| Heads { queries: 4, keys, dimension: 128 };
    let kernels = [short.kernel(Kind::BFloat16, heads(4), 256), long.kernel(Kind::BFloat16, heads(4), 256)];
    assert_eq!(kernels[1], Kernel::Plain, "libtorch's own kernels are the best where all is seen");
    let attention = |window: &Window, keys: i64, tokens: i64| {
        difference(
            &[low(&[2, 4, tokens, 128]), low(&[2, keys, tokens, 128]), low(&[2, keys, tokens, 128])],
            |i| window.attend(&i[0], &i[1], &i[2]).unwrap(),
            |i| window.plain(&i[0], &i[1], &i[2]).unwrap(),
        )
    };
    let worst = [
        difference(
            &[low(&[2048, 512]), full(&[8192, 512])],
            |i| head::mean_loss(&i[0], &i[1], &aim, 15.0, 500).unwrap(),
            |i| head::plain(&i[0], &i[1], &aim, 15.0, Reduction::Mean),
        ),
        difference(&[low(&[4, 256, 512])], |i| norm::rms_norm(&i[0]).unwrap(), |i| norm::plain(&i[0])),
        difference(
            &[low(&[4, 256, 4, 128])],
            |i| norm::rotary_norm(&i[0], &cos, &sin).unwrap(),
            |i| norm::plain_rotary(&i[0], &cos, &sin),
        ),
        difference(
            &[low(&[4, 256, 2048]), full(&[512, 2048])],
            |i| mlp::relu_square_linear(&i[0], &i[1]).unwrap(),
            |i| mlp::plain(&i[0], Some(&i[1])),
        ),
        // As many keys as queries, and fewer; a length that no block divides.
        attention(&short, 4, 256),
        attention(&short, 2, 177),
        attention(&long, 4, 256),
    ];
    let param = low(&[64, 64]).set_requires_grad(true);
    (&param * &param).sum(Kind::Float).backward();
    let settings = adamw::Settings { lr: 0.1, betas: (0.8, 0.95), eps: 1e-10, weight_decay: 0.0 };
    adamw::AdamW::new(vec![param.shallow_clone()]).step(&settings).unwrap();
    assert!(!param.grad().defined());
    assert_eq!(memory::cuda(device).is_ok_and(|memory| memory.peak > 0), device != Device::Cpu);
    let largest = worst.iter().copied().fold(0.0, f64::max);
    let flash = i32::from(kernels[0] == Kernel::Flash);
    println!("evidence device-parity max_error {largest:e} flash {flash} device {device:?}");
    assert!(largest < 3e-2, "{worst:?}");
}
