//! Launches of kernels that are wrong, and of one that only rounds.

use autoresearch_llm::ops::kernel::{Argument, Grid, Kernel};
use tch::{Device, Kind, Tensor};

use super::emulator::emulated;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Without looking where the tensor ends.
static BEYOND: Kernel = Kernel::new(
    "beyond",
    "KERNEL beyond(Global<float> x) { x.set(static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x, 1); }",
);

/// A barrier that only some threads reach.
static STUCK: Kernel =
    Kernel::new("stuck", "KERNEL stuck(Global<float> x) { if (threadIdx.x < x.count) __syncthreads(); }");

/// Without the barrier between writing and reading what the threads share.
static RACE: Kernel = Kernel::new(
    "race",
    "KERNEL race(Global<float> x) {
       __shared__ float all[64];
       all[threadIdx.x] = threadIdx.x;
       x.set(threadIdx.x, all[(threadIdx.x + 1) % blockDim.x]);
       __syncthreads();
       all[threadIdx.x] = -1;
     }",
);

/// For small blocks alone.
static NARROW: Kernel =
    Kernel::new("narrow", "KERNEL narrow(Global<float> x) { x.set(threadIdx.x, 1); }").with_most_threads(64);

static BROKEN: Kernel = Kernel::new("broken", "KERNEL broken(Global<float> x) { x.sett(0, 1); }");

/// To bf16, one by one and eight at a time.
static ROUND: Kernel = Kernel::new(
    "to_bf16",
    "KERNEL to_bf16(Global<const float> x, Global<bf16> one, Global<bf16> eight) {
       i64 at = 8 * (static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x), n = x.count - at;
       if (n <= 0) return;
       eight.store(at, n, x.pack(at, n));
       for (i64 i = at; i < at + n && i < at + 8; i++) one.set(i, x.get(i));
     }",
);

#[test]
fn numbers_are_rounded_to_bf16_as_libtorch_rounds_them() {
    // All signs and exponents, and what lies at, above and below the middle of two neighbours.
    let low = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
    let bits = (0..=0xffffu32).step_by(29).flat_map(|high| low.map(|low| high << 16 | low));
    let x: Vec<f32> = bits.map(f32::from_bits).filter(|x| !x.is_nan()).chain([f32::NAN]).collect();
    let x = Tensor::from_slice(&x);
    let zeros = || Tensor::zeros([x.numel() as i64], (Kind::BFloat16, Device::Cpu));
    let (one, eight) = (zeros(), zeros());
    let grid = Grid::covering(x.numel().div_ceil(8), 64);
    // SAFETY: the emulation checks bounds, here and below.
    emulated(false, || unsafe { ROUND.launch(grid, &[(&x).into(), (&one).into(), (&eight).into()]) }.unwrap());
    let expected = x.to_kind(Kind::BFloat16);
    let numbers = x.numel() as i64 - 1;
    for found in [one, eight] {
        assert!(found.narrow(0, 0, numbers).equal(&expected.narrow(0, 0, numbers)));
        assert!(found.double_value(&[numbers]).is_nan());
    }
}

#[test]
fn faults_of_kernels_are_errors() {
    let x = Tensor::zeros([40], FLOAT);
    let failed = |kernel: &Kernel, threads: i64, arguments: &[Argument<'_>]| {
        // SAFETY: the emulation checks bounds.
        let launch = || unsafe { kernel.launch(Grid { blocks: 1, threads }, arguments) };
        emulated(false, launch).0.unwrap_err().to_string()
    };
    let only = [(&x).into()];
    let said = failed(&BEYOND, 64, &only);
    assert!(said.contains("beyond: thread 40 of block 0 writes elements 40 to 41 of a tensor of 40"), "{said}");
    assert!(failed(&BEYOND, 64, &[Argument::Missing, Argument::Missing]).contains("no tensor"));
    let said = failed(&STUCK, 64, &only);
    assert!(said.contains("24 of 64 threads are at an end, and the others wait at a barrier"), "{said}");
    assert!(failed(&BROKEN, 64, &only).contains("sett"), "the compiler's message");
    let said = failed(&BEYOND, 64, &[only[0], only[0]]);
    assert!(said.contains("beyond: it has 1 parameters and is given 2 arguments"), "{said}");
    assert!(failed(&BEYOND, 1025, &only).contains("is not a valid grid: give 1 to 1024 threads"));
    assert!(failed(&NARROW, 65, &only).contains("give 1 to 64 threads"));
    // What failed leaves nothing behind.
    // SAFETY: the tensor has an element for each thread.
    emulated(false, || unsafe { BEYOND.launch(Grid { blocks: 1, threads: 40 }, &only) }).0.unwrap();
    assert_eq!(x.sum(Kind::Float).double_value(&[]), 40.0);
}

#[test]
fn a_missing_barrier_shows_in_one_of_the_two_orders() {
    let of = |reversed: bool| {
        let x = Tensor::zeros([64], FLOAT);
        // SAFETY: the tensor has an element for each thread.
        emulated(reversed, || unsafe { RACE.launch(Grid { blocks: 1, threads: 64 }, &[(&x).into()]) }.unwrap());
        Vec::<f32>::try_from(x).unwrap()
    };
    let right: Vec<f32> = (0..64).map(|i| ((i + 1) % 64) as f32).collect();
    assert!(of(false) != right || of(true) != right);
}
