//! Differentiable operations written in Rust: two closures become a node of libtorch's graph.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::ffi;

/// The result of a forward pass with `N` outputs.
#[derive(Debug)]
pub struct Forwards<const N: usize> {
    /// The results.
    pub outputs: [Tensor; N],
    /// Tensors that the backward pass needs. Inputs, outputs and other tensors may be kept; all are freed after it.
    pub saved: Vec<Tensor>,
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Forward {
    /// The result.
    pub output: Tensor,
    /// As in [`Forwards`].
    pub saved: Vec<Tensor>,
}

type ForwardCall<F> = Option<F>;

/// Applies an operation with a gradient of its own to `inputs`.
///
/// `forward` gets the inputs and computes the output; `backward` gets what was saved and the gradient of the output, and
/// gives the gradient of every input, in their order, `None` for one that has none (an index, or one that nobody
/// differentiates). Neither pass is recorded: operations inside them build no graph, so they may work in place on tensors
/// they made. A second derivative does not exist. The backward pass may run on another thread, and more than once if the
/// graph is retained.
///
/// # Errors
///
/// A panic in `forward` or a failure of libtorch is an error here; one in `backward` is an error of the `backward()` that
/// reached it.
///
/// # Example
///
/// The square of the positive part, which keeps one tensor for its gradient where two operations would keep two:
///
/// ```
/// use autoresearch_llm::ops::function::{Forward, custom};
/// use tch::{Kind, Tensor};
///
/// fn relu_square(x: &Tensor) -> Result<Tensor, tch::TchError> {
///     custom(
///         &[x],
///         |inputs| {
///             let positive = inputs[0].relu();
///             Forward { output: positive.square(), saved: vec![positive] }
///         },
///         |saved, gradient| vec![Some(gradient * &saved[0] * 2.0)],
///     )
/// }
///
/// let x = Tensor::from_slice(&[-1.0, 2.0]).set_requires_grad(true);
/// let y = relu_square(&x)?;
/// y.sum(Kind::Double).backward();
/// assert_eq!(Vec::<f64>::try_from(x.grad())?, [0.0, 4.0]);
/// # Ok::<(), tch::TchError>(())
/// ```
pub fn custom<F, B>(inputs: &[&Tensor], forward: F, backward: B) -> Result<Tensor, TchError>
where
    F: FnOnce(&[Tensor]) -> Forward,
    B: Fn(&[Tensor], &Tensor) -> Vec<Option<Tensor>> + Send + 'static,
{
    let forward = |inputs: &[Tensor]| {
        let Forward { output, saved } = forward(inputs);
        Forwards { outputs: [output], saved }
    };
    let count = inputs.len();
    // Where there is no gradient of the only output, there is none of the inputs.
    let backward = move |saved: &[Tensor], [gradient]: &[Option<Tensor>; 1]| match gradient {
        Some(gradient) => backward(saved, gradient),
        None => (0..count).map(|_| None).collect(),
    };
    custom_many(inputs, forward, backward).map(|[output]| output)
}

/// As [`custom`], with `N` outputs. `backward` gets a gradient for each of them, `None` for one that the result of the
/// differentiation does not depend on. An input may be an output.
///
/// # Errors
///
/// Those of [`custom`].
pub fn custom_many<const N: usize, F, B>(inputs: &[&Tensor], forward: F, backward: B) -> Result<[Tensor; N], TchError>
where
    F: FnOnce(&[Tensor]) -> Forwards<N>,
    B: Fn(&[Tensor], &[Option<Tensor>; N]) -> Vec<Option<Tensor>> + Send + 'static,
{
    let pointers: Vec<*const C_tensor> = inputs.iter().map(|input| input.as_ptr()).collect();
    let mut forward: ForwardCall<F> = Some(forward);
    let backward = Box::into_raw(Box::new(backward));
    let mut outputs: [*mut C_tensor; N] = [std::ptr::null_mut(); N];
    // SAFETY: the pointers are those of live tensors; `forward` is called during this call alone; `backward` belongs to the
    // graph from here on, which drops it exactly once, also when this call fails; there is room for N outputs.
    let message = unsafe {
        ffi::autoresearch_apply(
            pointers.as_ptr(),
            pointers.len(),
            call_forward::<N, F>,
            (&raw mut forward).cast(),
            call_backward::<N, B>,
            backward.cast(),
            drop_backward::<B>,
            outputs.as_mut_ptr(),
            N,
        )
    };
    ffi::checked(message)?;
    // SAFETY: without a message the outputs are new tensors, which are ours.
    Ok(outputs.map(|output| unsafe { Tensor::from_ptr(output) }))
}

/// Returns true when operations are recorded for gradients on this thread.
pub fn grad_enabled() -> bool {
    // SAFETY: it reads a thread-local flag.
    unsafe { ffi::autoresearch_grad_enabled() != 0 }
}

/// Drops the gradient of `tensor`, which then has none. The next backward pass stores its gradient instead of adding it
/// to zeros: one write and one addition less for every parameter.
pub fn drop_grad(tensor: &Tensor) {
    // SAFETY: the pointer is that of a live tensor. A tensor without autograd's data has no gradient to drop: not an error.
    let message = unsafe { ffi::autoresearch_drop_grad(tensor.as_ptr()) };
    debug_assert!(ffi::checked(message).is_ok());
}

/// New handles to the tensors that `pointers` name.
unsafe fn handles(pointers: *const *mut C_tensor, count: usize) -> Vec<Tensor> {
    // SAFETY: the caller gives `count` pointers to live tensors; of no tensors the pointer may be null.
    (0..count).map(|i| unsafe { Tensor::clone_from_ptr(*pointers.add(i)) }).collect()
}

unsafe extern "C" fn call_forward<const N: usize, F: FnOnce(&[Tensor]) -> Forwards<N>>(
    closure: *mut c_void,
    inputs: *const *mut C_tensor,
    count: usize,
    sink: *mut ffi::Sink,
) {
    // SAFETY: C++ hands back the pointer that `custom` gave it, during that call, and live tensors.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe {
        let forward = (*closure.cast::<ForwardCall<F>>()).take();
        forward.map(|forward| forward(&handles(inputs, count)))
    }));
    match result {
        // SAFETY: C++ copies the handles before it returns.
        Ok(Some(Forwards { outputs, saved })) => unsafe {
            outputs.iter().for_each(|tensor| ffi::autoresearch_output(sink, tensor.as_ptr()));
            saved.iter().for_each(|tensor| ffi::autoresearch_save(sink, tensor.as_ptr()));
        },
        Ok(None) => fail(sink, "a forward pass was called twice"),
        Err(panic) => fail(sink, &text_of(panic.as_ref())),
    }
}

unsafe extern "C" fn call_backward<const N: usize, B: Fn(&[Tensor], &[Option<Tensor>; N]) -> Vec<Option<Tensor>>>(
    closure: *mut c_void,
    saved: *const *mut C_tensor,
    count: usize,
    gradients: *const *mut C_tensor,
    outputs: usize,
    sink: *mut ffi::Sink,
) {
    // SAFETY: the graph calls it, one thread at a time, before it drops the closure, with live tensors.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe {
        let backward = &*closure.cast::<B>();
        let gradient = |i: usize| (i < outputs).then(|| *gradients.add(i)).filter(|gradient| !gradient.is_null());
        let gradients = std::array::from_fn(|i| gradient(i).map(|gradient| Tensor::clone_from_ptr(gradient)));
        tch::no_grad(|| backward(&handles(saved, count), &gradients))
    }));
    match result {
        Ok(gradients) => gradients.iter().for_each(|gradient| {
            // SAFETY: C++ copies the handle before it returns; a null pointer stands for no gradient.
            unsafe { ffi::autoresearch_output(sink, gradient.as_ref().map_or(std::ptr::null(), Tensor::as_ptr)) }
        }),
        Err(panic) => fail(sink, &text_of(panic.as_ref())),
    }
}

unsafe extern "C" fn drop_backward<B>(closure: *mut c_void) {
    // SAFETY: it is the box that `custom` leaked, and the graph drops it once.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(closure.cast::<B>()) })));
    // A panic must not cross into C++, and there is nobody to tell.
    drop(dropped);
}

fn fail(sink: *mut ffi::Sink, text: &str) {
    let text = if text.is_empty() { "a closure panicked" } else { text };
    // SAFETY: C++ copies the text before it returns.
    unsafe { ffi::autoresearch_fail(sink, text.as_ptr().cast(), text.len()) }
}

/// Returns the message of a panic.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
