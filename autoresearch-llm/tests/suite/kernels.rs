//! The kernels of this crate, emulated, against the plain forms of their operations: every operation over random shapes, in
//! float32 and bf16, with the threads of a block in order and in the opposite order.

mod cases;
pub mod emulator;
mod launches;
mod own;

use autoresearch_llm::ops::kernel::{Compiled, Kernel};
use autoresearch_llm::ops::residual::Stream;
use autoresearch_llm::ops::{self, gate, norm};
use tch::{Device, Kind, Tensor, no_grad};

use cases::{Case, Random};
use emulator::emulated;

/// Random shapes in an ordinary run, and in the long one.
const SHAPES: (usize, usize) = (12, 1008);

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

/// Rows of a norm, up to the widest that a block has threads for.
#[test]
fn wide_rows_are_computed_by_whole_blocks_and_wider_ones_by_libtorch() {
    const WIDEST: i64 = 8192;
    // The norm and the stream.
    for (number, channels) in [(0, WIDEST), (0, 4099), (1, WIDEST - 3), (1, WIDEST)] {
        let case = Case::wide(&mut Random::new(channels as u64), number, channels);
        let (float, others) = differences(&case, Kind::Float, channels == WIDEST);
        // The gradient of a scale is a sum over all of them, in which libtorch's forms round as well.
        let most = (3.0 * others).max(1e-5);
        assert!(float < most, "{} {:?}: {float:e} in float32, {others:e}", case.name, case.shapes());
    }
    for number in [0, 1] {
        let inputs = Case::wide(&mut Random::new(7), number, WIDEST + 1);
        let launched = emulated(false, || (inputs.ours)(&inputs.inputs(Kind::Float))).1;
        assert!(launched.is_empty(), "{launched:?}");
    }
}

#[test]
fn a_word_that_the_table_does_not_have_makes_nan_and_touches_nothing_else() {
    for kind in [Kind::Float, Kind::BFloat16] {
        let of = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind).set_requires_grad(true);
        let (v, logits, table) = (of(&[1, 4, 2, 11]), of(&[1, 4, 2]), of(&[3, 22]));
        let words = |words: [i64; 4]| Tensor::from_slice(&words).view([1, 4]);
        let passed = |words: &Tensor| {
            // The emulation fails where an element does not exist; libtorch's gradient of the table fails for such a word.
            let output = gate::gated(&v, &logits, &table, words).unwrap();
            let gradients = Tensor::run_backward(&[output.sum(Kind::Float)], &[&logits, &table], false, false);
            (output.detach(), gradients)
        };
        let ((found, gradients), launched) = emulated(false, || passed(&words([1, 3, -1, i64::MIN])));
        assert_eq!(launched.len(), 2, "{launched:?}");
        let (expected, _) = passed(&words([1, 1, 1, 1]));
        assert!((found.narrow(1, 0, 1) - expected.narrow(1, 0, 1)).abs().max().double_value(&[]) < 0.1);
        let nans = |tensor: &Tensor| tensor.isnan().sum(Kind::Int64).int64_value(&[]);
        let [of_logits, of_table] = &gradients[..] else { panic!("two gradients") };
        // All of three tokens; the table's first and last rows stand for words below and above.
        assert_eq!((nans(&found), nans(of_logits), nans(of_table)), (3 * 22, 3 * 2, 2 * 22));
        assert_eq!(nans(&of_table.get(1)), 0);
    }
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
    for number in test_fixtures::one_in(4, 0..cases::OPERATIONS) {
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
    // The registers of a multiprocessor, of which a block has all of its own at once.
    const REGISTERS: i64 = 65_536;
    let compile = |kind: Kind, architecture: &str| -> Vec<(&'static Kernel, Result<Compiled, String>)> {
        ops::kernels().into_iter().map(|kernel| (kernel, kernel.compile(kind, architecture))).collect()
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
            for (kernel, compiled) in compile(kind, architecture) {
                let (name, threads) = (kernel.name(), kernel.most_threads());
                let compiled = compiled.unwrap_or_else(|why| panic!("{name}: {why}"));
                assert!(compiled.image.starts_with(b"\x7fELF"), "{name}");
                assert!(!compiled.log.contains("warning"), "{name}: {}", compiled.log);
                let numbers = |before: &str, after: &str| {
                    let all = compiled.log.lines().filter_map(|line| line.split_once(after)?.0.rsplit_once(before));
                    all.filter_map(|(_, number)| number.trim().parse::<u32>().ok()).max().unwrap_or(0)
                };
                let used = numbers("Used ", " registers");
                assert!(used > 0, "{name}: {}", compiled.log);
                // They are given out by eights.
                let of_block = i64::from(used.next_multiple_of(8)) * threads;
                assert!(
                    of_block <= REGISTERS,
                    "{name}: {used} registers in a block of {threads} threads cannot be launched"
                );
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
