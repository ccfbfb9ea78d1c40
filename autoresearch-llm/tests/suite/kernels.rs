//! The kernels of this crate, emulated, against the plain forms of their operations: every operation over random shapes, in
//! float32 and bf16, with the threads of a block in order and in the opposite order.

mod cases;
pub mod emulator;
mod launches;
mod own;

use autoresearch_llm::ops::{self, norm};
use autoresearch_llm::ops::kernel::Compiled;
use autoresearch_llm::ops::residual::Stream;
use tch::{Device, Kind, Tensor, no_grad};

use cases::{Case, Random};
use emulator::emulated;

/// Random shapes in an ordinary run, and in the long one.
const SHAPES: (usize, usize) = (90, 1008);

/// A share of the largest element that is expected; where all should be nearly nothing, of 1e-3. A scalar is a sum over all rows,
/// of which little may be left: a share of 1.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let scale = expected.abs().max().double_value(&[]).max(if expected.dim() == 0 { 1.0 } else { 1e-3 });
    let apart = (found - expected).abs().max().double_value(&[]) / scale;
    // A comparison with NaN is never true.
    if apart.is_nan() { f64::INFINITY } else { apart }
}

/// The output and the gradient of every input, given `weights` as the gradient of the output.
fn passes(inputs: &[Tensor], weights: &Tensor, f: &dyn Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = inputs.iter().map(|input| input.detach().set_requires_grad(true)).collect();
    let output = f(&leaves);
    let sum = if output.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    if output.requires_grad() {
        (&output.to_kind(sum) * weights.to_kind(sum)).sum(sum).backward();
    }
    let gradient = |leaf: &Tensor| Some(leaf.grad()).filter(Tensor::defined).unwrap_or_else(|| leaf.zeros_like());
    [output.detach()].into_iter().chain(leaves.iter().map(gradient)).collect()
}

/// The largest differences from the exact values: of the kernels, and of libtorch's forms in the same kind, the plain and the
/// fused.
fn differences(case: &Case, low: Kind, reversed: bool) -> (f64, f64) {
    let inputs = case.inputs(low);
    let exact: Vec<Tensor> = inputs.iter().map(|input| input.to_kind(Kind::Double)).collect();
    let weights = no_grad(|| (case.plain)(&exact).randn_like().to_kind(low));
    let expected = passes(&exact, &weights, &*case.plain);
    let (found, launched) = emulated(reversed, || passes(&inputs, &weights, &*case.ours));
    assert!(!launched.is_empty(), "{} took no kernel", case.name);
    let worst = |all: &[Tensor]| all.iter().zip(&expected).map(|(a, b)| difference(a, b)).fold(0.0, f64::max);
    let others = [&case.plain, &case.ours].map(|form| worst(&passes(&inputs, &weights, &**form)));
    (worst(&found), others[0].max(others[1]))
}

#[test]
fn kernels_compute_the_plain_forms() {
    // Both round, in other places. A value of bf16 has eight bits; where a sum cancels, less is right in either.
    const TIMES: f64 = 3.0;
    let shapes = test_fixtures::by_default_or_thorough(SHAPES.0, SHAPES.1);
    let (mut exact, mut ratio) = (0.0f64, 0.0f64);
    for number in 0..shapes {
        let case = Case::random(&mut Random::new(number as u64), number);
        let (float, _) = differences(&case, Kind::Float, number % 2 == 1);
        assert!(float < 1e-5, "{} {:?}: {float:e} in float32", case.name, case.shapes());
        let (bf16, others) = differences(&case, Kind::BFloat16, number % 2 == 0);
        let of_others = bf16 / others.max(1.0 / 128.0);
        assert!(of_others < TIMES, "{} {:?}: {bf16:e} in bf16, {others:e}", case.name, case.shapes());
        (exact, ratio) = (exact.max(float), ratio.max(of_others));
    }
    println!("evidence emulated-parity shapes {shapes} float32 {exact:e} bf16_times {ratio:.2}");
}

#[test]
fn a_stream_keeps_its_shape_and_mixes_what_is_like_its_origin() {
    let of = |shape: &[i64], kind| Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
    let (resid, skip) = (Tensor::from(0.5f32), Tensor::from(0.25f32));
    emulated(false, || {
        let origin = of(&[1, 3, 9], Kind::BFloat16);
        let mut stream = Stream::new(&origin);
        let said = stream.add(&of(&[2, 3, 9], Kind::BFloat16)).unwrap_err().to_string();
        assert!(said.contains("a branch is [2, 3, 9], and the stream [1, 3, 9]"), "{said}");
        // A branch of another kind makes another kind of the stream, and the kernel takes one alone.
        let branch = of(&[1, 3, 9], Kind::Float);
        stream.add(&branch).unwrap();
        let found = stream.mix(&resid, &skip).unwrap();
        let expected = norm::plain(&((&origin + &branch) * 0.5 + &origin * 0.25));
        assert!(found.kind() == Kind::Float && difference(&found, &expected) < 1e-5);
    });
}

#[test]
fn gradients_of_kernels_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    let mut worst = 0.0f64;
    for number in 0..cases::OPERATIONS {
        let case = Case::small(&mut Random::new(1000 + number as u64), number);
        let inputs = case.inputs(Kind::Float);
        let exact: Vec<Tensor> = inputs.iter().map(|input| input.to_kind(Kind::Double)).collect();
        let weights = no_grad(|| (case.plain)(&exact).randn_like());
        let (found, _) = emulated(false, || passes(&inputs, &weights, &*case.ours));
        let value =
            |inputs: &[Tensor]| no_grad(|| ((case.plain)(inputs) * &weights).sum(Kind::Double).double_value(&[]));
        for (index, input) in exact.iter().enumerate().filter(|_| case.has_gradients) {
            let numeric: Vec<f64> = (0..input.numel() as i64)
                .map(|element| {
                    let shifted = |by: f64| {
                        let mut moved: Vec<Tensor> = exact.iter().map(Tensor::copy).collect();
                        let flat = moved[index].contiguous().flatten(0, -1);
                        let _ = flat.get(element).g_add_scalar_(by);
                        moved[index] = flat.view_as(input);
                        value(&moved)
                    };
                    (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP)
                })
                .collect();
            let numeric = Tensor::from_slice(&numeric).view_as(input);
            let apart = difference(&found[index + 1], &numeric);
            assert!(apart < 1e-5, "{} input {index}: {apart:e}", case.name);
            worst = worst.max(apart);
        }
    }
    println!("evidence emulated-gradients operations {} max_error {worst:e}", cases::OPERATIONS);
}

/// Compiled by NVRTC where it can be loaded, as on every machine with a CUDA build of libtorch; `cargo xtask evidence gpu`
/// installs it.
#[test]
fn kernels_compile_for_gpus_of_two_generations() {
    let compile = |kind: Kind, architecture: &str| -> Vec<(&'static str, Result<Compiled, String>)> {
        let kernels = ops::kernels().into_iter();
        kernels.map(|kernel| (kernel.name(), kernel.compile(kind, architecture))).collect()
    };
    if let Some((_, Err(why))) = compile(Kind::Float, "sm_90").first()
        && why.contains("cannot be loaded")
    {
        println!("skipped: {why}");
        return;
    }
    let (mut count, mut registers, mut spilled) = (0, 0, 0);
    for architecture in ["sm_80", "sm_90"] {
        for kind in [Kind::BFloat16, Kind::Float] {
            for (name, compiled) in compile(kind, architecture) {
                let compiled = compiled.unwrap_or_else(|why| panic!("{name}: {why}"));
                assert!(compiled.image.starts_with(b"\x7fELF"), "{name}");
                assert!(!compiled.log.contains("warning"), "{name}: {}", compiled.log);
                let numbers = |before: &str, after: &str| {
                    let all = compiled.log.lines().filter_map(|line| line.split_once(after)?.0.rsplit_once(before));
                    all.filter_map(|(_, number)| number.trim().parse::<u32>().ok()).max().unwrap_or(0)
                };
                let used = numbers("Used ", " registers");
                assert!(used > 0, "{name}: {}", compiled.log);
                (count, registers) = (count + 1, registers.max(used));
                spilled = spilled.max(numbers(", ", " bytes spill stores"));
            }
        }
    }
    println!("evidence kernels-compile kernels {} compiled {count} registers {registers} spilled {spilled}", count / 4);
}

#[test]
fn where_there_is_no_gpu_the_reason_is_said() {
    assert_eq!(ops::status(Device::Cpu, Kind::Float), Err("the device is the CPU".into()));
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        let why = ops::status(Device::Cuda(0), Kind::BFloat16).unwrap_err();
        assert!(why.starts_with("there is no NVIDIA driver: libcuda.so.1"), "{why}");
    }
}
