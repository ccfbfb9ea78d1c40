//! Fused operations against their plain forms, and their gradients against finite differences.

#![allow(clippy::unwrap_used)]

mod properties;

use autoresearch_llm::ops::attention::Window;
use autoresearch_llm::ops::function::{Forward, custom, drop_grad, grad_enabled};
use autoresearch_llm::ops::gradcheck::gradcheck;
use autoresearch_llm::ops::{adamw, head, memory, mlp, norm, precision};
use tch::{Device, Kind, Reduction, Tensor, no_grad};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);
const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The largest difference, relative to the largest expected element; where all should be nearly nothing, to 1e-4.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let scale = expected.abs().max().double_value(&[]).max(1e-4);
    (found - expected).abs().max().double_value(&[]) / scale
}

/// Values and the gradients of every input, of two functions of the same inputs. The gradient that comes in is random.
fn same(inputs: &[Tensor], found: impl Fn(&[Tensor]) -> Tensor, expected: impl Fn(&[Tensor]) -> Tensor) -> f64 {
    let leaves = || inputs.iter().map(|input| input.copy().set_requires_grad(true)).collect::<Vec<Tensor>>();
    let (mine, theirs) = (leaves(), leaves());
    let (y, z) = (found(&mine), expected(&theirs));
    let weights = no_grad(|| z.randn_like());
    (&y * &weights).sum(z.kind()).backward();
    (&z * &weights).sum(z.kind()).backward();
    let gradients = mine.iter().zip(&theirs).map(|(a, b)| difference(&a.grad(), &b.grad()));
    gradients.fold(difference(&y.detach(), &z.detach()), f64::max)
}

fn targets(tokens: i64, vocab: i64) -> Tensor {
    let targets = Tensor::randint(vocab, [tokens], (Kind::Int64, Device::Cpu));
    // One that does not count.
    let _ = targets.get(0).fill_(if tokens > 1 { head::IGNORED } else { 0 });
    targets
}

fn angles(tokens: i64, half: i64, options: (Kind, Device)) -> (Tensor, Tensor) {
    let angle = Tensor::rand([1, tokens, 1, half], options) * 6.0;
    (angle.cos(), angle.sin())
}

#[test]
fn gradients_are_those_of_finite_differences() {
    tch::manual_seed(1);
    let normal = |shape: &[i64]| Tensor::randn(shape, DOUBLE);
    let mut worst = Vec::new();
    let aim = targets(7, 11);
    worst.push((
        "head",
        gradcheck(&[normal(&[7, 5]) * 3.0, normal(&[11, 5]) * 3.0], |i| {
            head::mean_loss(&i[0], &i[1], &aim, 4.0, 3).unwrap()
        }),
    ));
    worst.push(("rms_norm", gradcheck(&[normal(&[3, 2, 6])], |i| norm::rms_norm(&i[0]).unwrap())));
    let (cos, sin) = angles(3, 2, DOUBLE);
    worst.push(("rotary_norm", gradcheck(&[normal(&[2, 3, 2, 4])], |i| norm::rotary_norm(&i[0], &cos, &sin).unwrap())));
    worst.push(("relu_square", gradcheck(&[normal(&[4, 5])], |i| mlp::relu_square(&i[0]).unwrap())));
    worst.push((
        "relu_square_linear",
        gradcheck(&[normal(&[2, 4, 5]), normal(&[3, 5])], |i| mlp::relu_square_linear(&i[0], &i[1]).unwrap()),
    ));
    let window = Window::new(6, 2, Device::Cpu);
    worst.push((
        "attention",
        gradcheck(&[normal(&[1, 2, 6, 4]), normal(&[1, 2, 6, 4]), normal(&[1, 2, 6, 4])], |i| {
            window.attend(&i[0], &i[1], &i[2]).unwrap()
        }),
    ));
    let largest = worst.iter().map(|(_, error)| *error).fold(0.0, f64::max);
    println!("evidence gradcheck operations {} max_error {largest:e}", worst.len());
    assert!(largest < 1e-6, "{worst:?}");
}

#[test]
fn operations_keep_to_bf16() {
    tch::manual_seed(2);
    let low = |shape: &[i64]| Tensor::randn(shape, FLOAT).to_kind(Kind::BFloat16);
    let (x, weight) = (low(&[33, 16]), Tensor::randn([50, 16], FLOAT));
    let aim = targets(33, 50);
    let leaves = || [x.copy().set_requires_grad(true), weight.copy().set_requires_grad(true)];
    let (mine, theirs) = (leaves(), leaves());
    let loss = head::mean_loss(&mine[0], &mine[1], &aim, 15.0, 8).unwrap();
    let plain = head::plain(&theirs[0], &theirs[1], &aim, 15.0, Reduction::Mean);
    assert_eq!(loss.kind(), Kind::Float);
    assert!(difference(&loss.detach(), &plain.detach()) < 1e-5);
    loss.backward();
    plain.backward();
    for (mine, theirs) in mine.iter().zip(&theirs) {
        assert_eq!(mine.grad().kind(), mine.kind());
        assert!(difference(&mine.grad(), &theirs.grad()) < 2e-2);
    }
    let small = &x * 1e-3;
    let normed = norm::rms_norm(&small).unwrap();
    assert_eq!(normed.kind(), Kind::BFloat16);
    assert!(difference(&normed, &norm::plain(&small)) < 1e-2, "the epsilon is torch's");
}

#[test]
fn closures_are_dropped_with_the_graph_and_their_panics_are_errors() {
    use std::sync::Arc;
    let held = Arc::new(());
    let inside = held.clone();
    let x = Tensor::from_slice(&[1.0, 2.0]).set_requires_grad(true);
    let y = custom(
        &[&x],
        |i| Forward { output: &i[0] * 3.0, saved: vec![] },
        move |_, gradient| {
            let _inside = &inside;
            assert!(!grad_enabled(), "a backward pass is not recorded");
            vec![Some(gradient * 3.0)]
        },
    );
    assert_eq!(Arc::strong_count(&held), 2);
    y.unwrap().sum(Kind::Double).backward();
    assert_eq!(Arc::strong_count(&held), 1, "the graph is gone, and the closure with it");
    assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [3.0, 3.0]);

    // Panics say what they said; the messages that they print belong to this test.
    let failed = custom(&[&x], |_| panic!("forward {}", 1), |_, _| vec![]).unwrap_err().to_string();
    assert!(failed.contains("forward 1"), "{failed}");
    let y = custom(&[&x], |i| Forward { output: i[0].copy(), saved: vec![] }, |_, _| panic!("backward 2")).unwrap();
    let failed = y.sum(Kind::Double).f_backward().unwrap_err().to_string();
    assert!(failed.contains("backward 2"), "{failed}");
    let y = custom(&[&x], |i| Forward { output: i[0].copy(), saved: vec![] }, |_, _| vec![]).unwrap();
    let failed = y.sum(Kind::Double).f_backward().unwrap_err().to_string();
    assert!(failed.contains("0 gradients for 1 inputs"), "{failed}");
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, FLOAT);
    let aim = Tensor::zeros([4], (Kind::Int64, Device::Cpu));
    assert!(head::mean_loss(&zeros(&[4, 3]), &zeros(&[9, 2]), &aim, 15.0, 2).is_err());
    assert!(head::token_losses(&zeros(&[5, 3]), &zeros(&[9, 3]), &aim, 15.0, 2).is_err());
    assert!(norm::rotary_norm(&zeros(&[1, 4, 1, 3]), &zeros(&[1, 4, 1, 1]), &zeros(&[1, 4, 1, 1])).is_err());
    assert!(mlp::relu_square_linear(&zeros(&[2, 3]), &zeros(&[5, 4])).is_err());
    let q = zeros(&[1, 1, 9, 2]);
    let said = Window::new(8, 4, Device::Cpu).attend(&q, &q, &q).unwrap_err().to_string();
    assert!(said.contains("9 tokens, but the window was made for 8"), "{said}");
    assert!(Window::new(9, 4, Device::Cpu).attend(&q.squeeze(), &q, &q).is_err());
}

#[test]
fn fused_adamw_is_its_plain_form_and_drops_gradients() {
    tch::manual_seed(3);
    let start = Tensor::randn([7, 5], FLOAT);
    let (fused, plain) = (start.copy().set_requires_grad(true), start.copy().set_requires_grad(true));
    let without = start.copy().set_requires_grad(true);
    let mut optimizer = adamw::AdamW::new(vec![fused.shallow_clone(), without.shallow_clone()]);
    let (mut exp_avg, mut exp_avg_sq) = (plain.zeros_like(), plain.zeros_like());
    for step in 1..=20 {
        let settings = adamw::Settings { lr: 0.1 / f64::from(step), betas: (0.8, 0.95), eps: 1e-10, weight_decay: 0.1 };
        let direction = Tensor::randn([7, 5], FLOAT);
        (&fused * &direction).sum(Kind::Float).backward();
        let mut stale = plain.shallow_clone();
        stale.zero_grad();
        (&plain * &direction).sum(Kind::Float).backward();
        optimizer.step(&settings).unwrap();
        adamw::plain(&plain, &mut exp_avg, &mut exp_avg_sq, step, &settings);
        assert!(!fused.grad().defined());
    }
    let error = difference(&fused.detach(), &plain.detach());
    println!("evidence adamw steps 20 max_error {error:e}");
    assert!(error < 1e-5, "{error}");
    assert!(without.equal(&start), "without a gradient nothing changes");
    drop_grad(&start);
}

#[test]
fn memory_is_counted_and_autocast_has_a_kind() {
    let (left, counted) = memory::measure(|| {
        let first = Tensor::zeros([1000], FLOAT);
        drop(Tensor::zeros([500], FLOAT));
        first
    });
    assert_eq!((left.numel(), counted.now, counted.peak), (1000, 4000, 6000));
    assert!(memory::cuda(Device::Cpu).is_err());

    let x = Tensor::randn([8, 8], FLOAT);
    let kind = |work: &dyn Fn() -> Tensor| precision::autocast(Device::Cpu, Kind::BFloat16, work).unwrap().kind();
    assert_eq!(kind(&|| x.matmul(&x)), Kind::BFloat16);
    assert_eq!(x.matmul(&x).kind(), Kind::Float, "outside nothing changes");
    assert!(precision::autocast(Device::Cpu, Kind::Int64, || ()).is_err());
}

#[test]
fn fast_products_are_exact_or_not_used() {
    tch::manual_seed(4);
    let used = precision::fast_matmul(Device::Cpu).unwrap();
    let (a, b) = (Tensor::randn([64, 96], FLOAT), Tensor::randn([96, 48], FLOAT));
    let error = difference(&a.matmul(&b), &a.to_kind(Kind::Double).matmul(&b.to_kind(Kind::Double)));
    println!("evidence matmul onednn {} max_error {error:e}", i32::from(used));
    assert!(error < 1e-6, "{error}");
    precision::exact_matmul().unwrap();
}
