//! Fused operations against their plain forms on the device that `AUTORESEARCH_DEVICE` names, in bf16: a GPU if there is
//! one, else the CPU, so that the test itself is tested. Apart from the others: CUDA must be opened first.

#![allow(clippy::unwrap_used)]

use autoresearch_llm::device;
use autoresearch_llm::ops::attention::{Heads, Kernel, Window};
use autoresearch_llm::ops::residual::Stream;
use autoresearch_llm::ops::{self, adamw, gate, head, linear, memory, mlp, norm};
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

/// Two mixtures of a stream and the norms that they give.
fn streamed(origin: &Tensor, branch: &Tensor, resid: &Tensor, skip: &Tensor) -> Tensor {
    let mut stream = Stream::new(origin);
    let first = stream.mix(resid, skip).unwrap();
    stream.add(branch).unwrap();
    Tensor::cat(&[first, stream.mix(resid, skip).unwrap(), stream.norm().unwrap()], 0)
}

fn plain_stream(origin: &Tensor, branch: &Tensor, resid: &Tensor, skip: &Tensor) -> Tensor {
    let mixed = |x: &Tensor| x * resid.to_kind(x.kind()) + origin * skip.to_kind(x.kind());
    let first = mixed(origin);
    let second = norm::plain(&mixed(&(&first + branch)));
    Tensor::cat(&[norm::plain(&first), second.shallow_clone(), second], 0)
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
    let words = Tensor::randint(8192, [4, 256], (Kind::Int64, device));
    let scale = |value: f64| Tensor::from(value as f32).to_device(device);
    let (resid, skip) = (scale(0.9), scale(0.1));
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
        difference(&[low(&[4, 256, 2048])], |i| mlp::relu_square(&i[0]).unwrap(), |i| mlp::plain(&i[0], None)),
        difference(
            &[low(&[4, 256, 4, 128]), low(&[4, 256, 4]), low(&[8192, 512])],
            |i| gate::gated(&i[0], &i[1], &i[2], &words).unwrap(),
            |i| gate::plain(&i[0], &i[1], &i[2], &words),
        ),
        difference(
            &[low(&[4, 256, 512]), full(&[512, 512]), full(&[4, 32])],
            |i| Tensor::cat(&linear::several(&i[0], [&i[1], &i[2]]).unwrap(), -1),
            |i| {
                let product = |x: Tensor, weight: &Tensor| x.matmul(&weight.to_kind(x.kind()).tr());
                Tensor::cat(&[product(i[0].shallow_clone(), &i[1]), product(i[0].narrow(2, 0, 32), &i[2])], -1)
            },
        ),
        // The gradient of a scale is a sum of which bf16 leaves little: it is compared in float32.
        difference(
            &[low(&[4, 256, 512]), low(&[4, 256, 512])],
            |i| streamed(&i[0], &i[1], &resid, &skip),
            |i| plain_stream(&i[0], &i[1], &resid, &skip),
        ),
        difference(
            &[full(&[4, 256, 512]), full(&[4, 256, 512]), resid.copy(), skip.copy()],
            |i| streamed(&i[0], &i[1], &i[2], &i[3]),
            |i| plain_stream(&i[0], &i[1], &i[2], &i[3]),
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
    let kernels = ops::status(device, Kind::BFloat16);
    println!(
        "evidence device-parity max_error {largest:e} flash {flash} kernels {} device {device:?}",
        i32::from(kernels.is_ok())
    );
    println!("kernels: {kernels:?}");
    assert!(largest < 3e-2, "{worst:?}");
}
