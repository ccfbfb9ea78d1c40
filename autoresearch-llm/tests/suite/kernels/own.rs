//! The example of the book: a kernel of one's own, whose source stands where it is used.

use autoresearch_llm::ops::kernel::{self, Grid, Kernel};
use tch::{TchError, Tensor};

static SCALE: Kernel = Kernel::new(
    "scale",
    r"
    KERNEL scale(Global<const T> x, Global<T> y, float by) {
      i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
      if (i < x.count) y.set(i, by * x.get(i));
    }",
);

fn scale(x: &Tensor, by: f64) -> Result<Tensor, TchError> {
    if !kernel::is_ready(x) {
        return x.f_mul_scalar(by);
    }
    let (x, y) = (x.contiguous(), x.empty_like());
    // SAFETY: the kernel reads and writes as many elements as either tensor has.
    unsafe { SCALE.launch(Grid::covering(x.numel(), 256), &[(&x).into(), (&y).into(), by.into()]) }?;
    Ok(y)
}

#[test]
fn a_kernel_of_one_s_own_is_launched_over_tensors() {
    let x = Tensor::randn([1000], (tch::Kind::Float, tch::Device::Cpu));
    let expected = &x * 2.5;
    assert!(
        !kernel::is_ready(&x) && scale(&x, 2.5).unwrap().equal(&expected),
        "outside of an emulation the CPU has none"
    );
    // SAFETY: as above.
    let launched = unsafe { SCALE.launch(Grid::covering(1000, 96), &[(&x).into(), (&x).into(), 2.5.into()]) };
    let said = launched.unwrap_err().to_string();
    assert!(said.contains("scale: the device is the CPU"), "{said}");
    let (y, traffic) = super::emulator::emulated(true, || scale(&x, 2.5).unwrap());
    assert!(y.equal(&expected));
    let [(name, traffic)] = &traffic[..] else { panic!("one launch: {traffic:?}") };
    assert_eq!((name.as_str(), traffic.read, traffic.written, traffic.bytes()), ("scale", 4000, 4000, 8000));
}
