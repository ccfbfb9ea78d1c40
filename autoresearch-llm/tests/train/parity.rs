//! The trainer beside PyTorch: from the same weights and batches, the same losses, gradients and steps.
//!
//! `tests/reference/make_fixtures.py` wrote the file that is read here, with eager PyTorch 2.11 (`AUTORESEARCH_PARITY` names
//! another one). It holds karpathy's constants: who changes those in train.rs changes what these tests must find.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::kernels::emulator::emulated;
use super::*;

const STEPS: usize = 10;

/// As in make_fixtures.py.
fn config() -> Config {
    Config {
        sequence_len: 32,
        vocab_size: 128,
        n_layer: 4,
        n_head: 3,
        n_kv_head: 3,
        n_embd: 48,
        window_pattern: "SSSL".into(),
    }
}

/// Tensors that the reference computed.
struct Fixture(BTreeMap<String, Tensor>);

impl Fixture {
    fn read() -> Fixture {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/parity.safetensors");
        let path = std::env::var("AUTORESEARCH_PARITY").unwrap_or_else(|_| ours.into());
        Fixture(Tensor::read_safetensors(path).unwrap().into_iter().collect())
    }

    fn losses(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.0[name].to_kind(Kind::Double)).unwrap()
    }

    fn batch(&self, step: usize) -> (Tensor, Tensor) {
        let tokens = self.0["batches"].i(step as i64).to_kind(Kind::Int64);
        (tokens.narrow(1, 0, 32).contiguous(), tokens.narrow(1, 1, 32).contiguous())
    }

    /// A model with its weights, whose embeddings, and so its activations, are of `precision`.
    fn model(&self, precision: Kind) -> Gpt {
        self.model_on(Device::Cpu, precision)
    }

    fn model_on(&self, device: Device, precision: Kind) -> Gpt {
        let mut model = Gpt::in_kind(config(), device, Kind::Float);
        let low = |tensor: &mut Tensor| *tensor = tensor.detach().to_kind(precision);
        let embeddings = model.value_embeds.iter_mut().flatten().chain([&mut model.wte]);
        embeddings.for_each(|tensor| {
            low(tensor);
            let _ = tensor.set_requires_grad(true);
        });
        low(&mut model.cos);
        low(&mut model.sin);
        let parameters = named(&model);
        assert_eq!(parameters.len(), self.0.keys().filter(|key| key.starts_with("weights/")).count());
        no_grad(|| parameters.into_iter().for_each(|(name, mut p)| p.copy_(&self.0[&format!("weights/{name}")])));
        model
    }
}

/// The parameters by the reference's names.
fn named(model: &Gpt) -> Vec<(String, Tensor)> {
    let mut all = vec![
        ("wte".to_owned(), &model.wte),
        ("lm_head".into(), &model.lm_head),
        ("resid_lambdas".into(), &model.resid_lambdas),
        ("x0_lambdas".into(), &model.x0_lambdas),
    ];
    for (layer, block) in model.h.iter().enumerate() {
        let Block { c_q, c_k, c_v, c_proj, ve_gate, c_fc, mlp_proj } = block;
        let matrices = [("c_q", c_q), ("c_k", c_k), ("c_v", c_v), ("c_proj", c_proj)];
        let rest = [("c_fc", c_fc), ("mlp_proj", mlp_proj)];
        let gate = ve_gate.as_ref().map(|gate| ("ve_gate", gate));
        all.extend(matrices.into_iter().chain(rest).chain(gate).map(|(name, p)| (format!("h.{layer}.{name}"), p)));
        all.extend(model.value_embeds[layer].as_ref().map(|ve| (format!("value_embeds.{layer}"), ve)));
    }
    assert_eq!(all.len(), model.parameters().len());
    all.into_iter().map(|(name, parameter)| (name, parameter.shallow_clone())).collect()
}

/// The largest difference, as a share of the largest value.
fn relative(ours: &Tensor, theirs: &Tensor) -> f64 {
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let scale = largest(theirs);
    assert!(scale > 0.0, "the reference has nothing to compare with");
    largest(&(ours - theirs)) / scale
}

/// The losses of a whole training of ten steps.
fn losses(fixture: &Fixture, precision: Kind) -> Vec<f64> {
    losses_on(Device::Cpu, fixture, precision)
}

fn losses_on(device: Device, fixture: &Fixture, precision: Kind) -> Vec<f64> {
    let model = fixture.model_on(device, precision);
    let mut optimizer = MuonAdamW::new(&model);
    let step = |step: usize| {
        let (x, y) = fixture.batch(step);
        let (x, y) = (x.to_device(device), y.to_device(device));
        let loss = model.loss(&x, &y, Reduction::Mean);
        loss.backward();
        let progress = step as f64 / STEPS as f64;
        optimizer.step(lr_multiplier(progress), muon_momentum(step as u64), weight_decay(progress));
        loss.double_value(&[])
    };
    (0..STEPS).map(step).collect()
}

fn largest_difference(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn ten_losses_are_those_of_pytorch() {
    let fixture = Fixture::read();
    let (ours, theirs) = (losses(&fixture, Kind::Float), fixture.losses("losses"));
    let difference = largest_difference(&ours, &theirs);
    println!("evidence parity-loss max_abs_diff {difference:e} steps {STEPS}");
    assert!(difference <= 1e-4, "{ours:?}, and PyTorch {theirs:?}");
    assert!(theirs[STEPS - 1] < 0.6 * theirs[0], "it learns, so that the losses say something");
}

/// `AUTORESEARCH_OPERATIONS=plain` in a process of its own: whoever doubts an operation gets the same training without it.
#[test]
fn the_plain_forms_train_alike() {
    const NAMED: &str = "parity::what_is_used_is_what_was_named";
    let with = |form: &str, tests: &[&str]| {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "--nocapture"]).args(tests);
        let output = again.env("AUTORESEARCH_OPERATIONS", form).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = [NAMED, "parity::ten_losses_are_those_of_pytorch", "parity::every_gradient_is_that_of_pytorch"];
    let said = with("plain", &all);
    assert!(said.contains("operations: Ok(Plain), Plain") && said.contains("3 passed"), "{said}");
    // The other tests of this file train with the fused forms, which are the default.
    let said = with("fused", &[NAMED]);
    assert!(said.contains("operations: Ok(Fused), Blocks") && said.contains("1 passed"), "{said}");
    // Where there are kernels, as in an emulation, they are not taken, and the log does not say so.
    assert!(said.contains("kernels: Ok(\"emulation\")"), "{said}");
    for form in ["libtorch", "plain"] {
        let said = with(form, &[NAMED]);
        assert!(said.contains(&format!("kernels: Err(\"AUTORESEARCH_OPERATIONS is {form}\")")), "{said}");
    }
    assert!(with("fsued", &[NAMED]).contains("AUTORESEARCH_OPERATIONS is `fsued`; give fused, libtorch or plain"));
}

#[test]
fn what_is_used_is_what_was_named() {
    let model = Fixture::read().model(Kind::Float);
    match ops::form() {
        Err(why) => println!("{why}"),
        form => println!("operations: {form:?}, {:?}", model.attention_kernel()),
    }
    let (kernels, _) = emulated(false, || ops::status(Device::Cpu, Kind::Float));
    println!("kernels: {kernels:?}");
}

#[test]
fn every_gradient_is_that_of_pytorch() {
    let fixture = Fixture::read();
    let model = fixture.model(Kind::Float);
    let (x, y) = fixture.batch(0);
    model.loss(&x, &y, Reduction::Mean).backward();
    let (mut largest, parameters) = (0f64, named(&model));
    for (name, parameter) in &parameters {
        let difference = relative(&parameter.grad(), &fixture.0[&format!("gradients/{name}")]);
        assert!(difference <= 1e-5, "{name}: {difference:e}");
        largest = largest.max(difference);
    }
    println!("evidence parity-gradients max_rel_diff {largest:e} parameters {}", parameters.len());
}

/// The model and its optimizer after one step from the reference's gradients: AdamW's first step is hardly more than their
/// signs, which flip with the last bit.
fn one_step(fixture: &Fixture, precision: Kind) -> (Gpt, MuonAdamW) {
    let model = fixture.model(precision);
    let mut optimizer = MuonAdamW::new(&model);
    let (x, y) = fixture.batch(0);
    model.loss(&x, &y, Reduction::Mean).backward();
    no_grad(|| named(&model).iter().for_each(|(name, p)| p.grad().copy_(&fixture.0[&format!("gradients/{name}")])));
    optimizer.step(lr_multiplier(0.0), muon_momentum(0), weight_decay(0.0));
    (model, optimizer)
}

#[test]
fn one_step_of_every_optimizer_group_is_that_of_pytorch() {
    let fixture = Fixture::read();
    let (model, optimizer) = one_step(&fixture, Kind::Float);
    let of = |kind: &str, name: &str| &fixture.0[&format!("{kind}/{name}")];
    let (mut weights, mut updates, mut groups) = (0f64, 0f64, BTreeMap::<String, usize>::new());
    for (name, parameter) in named(&model) {
        let (before, after) = (of("weights", &name), of("stepped", &name));
        let difference = relative(&parameter.detach(), after);
        assert!(difference <= 1e-5, "{name}: {difference:e}");
        weights = weights.max(difference);
        // A step that is forgotten would pass as a small difference of the weights.
        let difference = relative(&(parameter.detach() - before), &(after - before));
        assert!(difference <= 1e-4, "the update of {name}: {difference:e}");
        updates = updates.max(difference);
        let group = match name.split_once('.') {
            Some(("h", _)) => format!("muon {:?}", parameter.size()),
            other => other.map_or(name.as_str(), |(first, _)| first).to_owned(),
        };
        *groups.entry(group).or_default() += 1;
    }
    for group in &optimizer.muon {
        let difference = relative(&group.second_momentum, of("variances", &format!("{}x{}", group.rows, group.cols)));
        assert!(difference <= 1e-5, "the variances of {}x{}: {difference:e}", group.rows, group.cols);
    }
    assert_eq!(groups.len(), 5 + optimizer.muon.len(), "{groups:?}");
    println!("evidence parity-optimizer max_rel_diff {weights:e} groups {} of_the_update {updates:e}", groups.len());
}

/// Every element of a bf16 update may be off by a rounding, but as a whole it is neither longer nor shorter.
#[test]
fn a_step_in_bf16_rounds_its_numbers_as_pytorch_s() {
    let fixture = Fixture::read();
    let (model, optimizer) = one_step(&fixture, Kind::BFloat16);
    let mut compared = 0;
    for (name, parameter) in named(&model) {
        let Some(after) = fixture.0.get(&format!("stepped_bf16/{name}")) else { continue };
        let before = fixture.0[&format!("weights/{name}")].to_kind(after.kind()).to_kind(Kind::Double);
        let (ours, theirs) =
            (parameter.detach().to_kind(Kind::Double) - &before, after.to_kind(Kind::Double) - &before);
        let sum = |tensor: Tensor| tensor.sum(Kind::Double).double_value(&[]);
        let length = sum(&ours * &theirs) / sum(theirs.square());
        assert!((length - 1.0).abs() <= 3e-4, "{name}: {length} times as long");
        compared += 1;
    }
    assert_eq!(compared, 9);
    for group in &optimizer.muon {
        let theirs = &fixture.0[&format!("variances_bf16/{}x{}", group.rows, group.cols)];
        let ratio = (group.second_momentum.sum(Kind::Double) / theirs.sum(Kind::Double)).double_value(&[]);
        assert!((ratio - 1.0).abs() <= 3e-3, "the variances of {}x{}: {ratio} times", group.rows, group.cols);
    }
}

/// Mixed precision, which CUDA trains in, on the CPU: bf16 has three digits, and every product rounds to them in an order
/// that is the kernel's own. docs/trainer.md says what the bound is made of.
#[test]
fn losses_in_bf16_are_those_of_pytorch_within_the_documented_bound() {
    let fixture = Fixture::read();
    let (ours, theirs) = (losses(&fixture, Kind::BFloat16), fixture.losses("losses_bf16"));
    let difference = largest_difference(&ours, &theirs);
    let exact = losses(&fixture, Kind::Float);
    let [rounding, pytorch_s] = [&ours, &theirs].map(|losses| largest_difference(losses, &exact));
    println!(
        "evidence parity-bf16 max_abs_diff {difference:e} steps {STEPS} from_float32 {rounding:e} pytorch {pytorch_s:e}"
    );
    assert!(difference <= 4e-2 && rounding <= 2.0 * pytorch_s, "{ours:?}, PyTorch {theirs:?}, float32 {exact:?}");
}

/// The same on the device that `AUTORESEARCH_DEVICE` names. On a GPU bf16 takes FlashAttention, where it is.
#[test]
#[ignore = "CUDA must be loaded before anything else of the process; `cargo xtask evidence trainer` runs it alone"]
fn losses_on_the_device_are_those_of_pytorch() {
    let device = device::open().unwrap();
    let fixture = Fixture::read();
    let of = |precision, name| largest_difference(&losses_on(device, &fixture, precision), &fixture.losses(name));
    let (exact, low) = (of(Kind::Float, "losses"), of(Kind::BFloat16, "losses_bf16"));
    let kernel = fixture.model_on(device, Kind::BFloat16).attention_kernel();
    println!(
        "evidence parity-device float32 {exact:e} bf16 {low:e} flash {} device {device:?}",
        i32::from(kernel == Kernel::Flash)
    );
    assert!(exact <= 1e-4 && low <= 4e-2, "{exact} {low}");
}

#[test]
fn rotations_round_as_pytorch_s_at_late_positions_too() {
    let fixture = Fixture::read();
    let (cos, sin) = rotary(1024, 64, (Kind::BFloat16, Device::Cpu));
    for (name, ours) in [("rotary/cos", cos), ("rotary/sin", sin)] {
        let others = ours.not_equal_tensor(&fixture.0[name]).sum(Kind::Int64).int64_value(&[]);
        // Another machine's sine may end in another bit, and so round to another bf16 here and there.
        assert!(others as usize <= ours.numel() / 10_000, "{others} of {} in {name}", ours.numel());
    }
}
