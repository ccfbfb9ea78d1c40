//! Launches of kernels that are no part of the crate, and of such as are wrong.

use autoresearch_llm::ops::kernel::{self, Argument, Grid, Kernel};
use tch::{Device, Kind, Tensor};

use super::emulator::emulated;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

static SCALE: Kernel = Kernel::new(
    "scale",
    "KERNEL scale(Global<const T> x, Global<T> y, float by) {
       i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
       if (i < x.count) y.set(i, by * x.get(i));
     }",
);

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

static BROKEN: Kernel = Kernel::new("broken", "KERNEL broken(Global<float> x) { x.sett(0, 1); }");

#[test]
fn a_kernel_of_one_s_own_is_launched_over_tensors() {
    let x = Tensor::randn([1000], FLOAT);
    assert!(!kernel::is_ready(&x), "outside of an emulation the CPU has none");
    let y = x.zeros_like();
    let launch = || SCALE.launch(Grid::covering(1000, 96), &[(&x).into(), (&y).into(), 2.5.into()]);
    assert!(launch().unwrap_err().to_string().contains("the device is the CPU"));
    let (_, traffic) = emulated(true, || {
        assert!(kernel::is_ready(&x));
        launch().unwrap();
    });
    assert!(y.equal(&(&x * 2.5)));
    let [(name, traffic)] = &traffic[..] else { panic!("one launch: {traffic:?}") };
    assert_eq!((name.as_str(), traffic.read, traffic.written), ("scale", 4000, 4000));
}

#[test]
fn faults_of_kernels_are_errors() {
    let x = Tensor::zeros([40], FLOAT);
    let failed = |kernel: &Kernel, threads: i64, arguments: &[Argument<'_>]| {
        let launch = || kernel.launch(Grid { blocks: 1, threads }, arguments);
        emulated(false, launch).0.unwrap_err().to_string()
    };
    let only = [(&x).into()];
    let said = failed(&BEYOND, 64, &only);
    assert!(said.contains("beyond: thread 40 of block 0 writes elements 40 to 41 of a tensor of 40"), "{said}");
    assert!(failed(&BEYOND, 64, &[Argument::Missing, Argument::Missing]).contains("no tensor"));
    let said = failed(&STUCK, 64, &only);
    assert!(said.contains("24 of 64 threads are at an end, and the others wait at a barrier"), "{said}");
    assert!(failed(&BROKEN, 64, &only).contains("sett"), "the compiler's message");
    assert!(failed(&SCALE, 64, &only).contains("scale: it has 3 parameters and is given 1 arguments"));
    assert!(failed(&BEYOND, 1025, &only).contains("1 to 1024 threads"));
    // What failed leaves nothing behind.
    emulated(false, || BEYOND.launch(Grid { blocks: 1, threads: 40 }, &only)).0.unwrap();
    assert_eq!(x.sum(Kind::Float).double_value(&[]), 40.0);
}

#[test]
fn a_missing_barrier_shows_in_one_of_the_two_orders() {
    let of = |reversed: bool| {
        let x = Tensor::zeros([64], FLOAT);
        emulated(reversed, || RACE.launch(Grid { blocks: 1, threads: 64 }, &[(&x).into()]).unwrap());
        Vec::<f32>::try_from(x).unwrap()
    };
    let right: Vec<f32> = (0..64).map(|i| ((i + 1) % 64) as f32).collect();
    assert!(of(false) != right || of(true) != right);
}
