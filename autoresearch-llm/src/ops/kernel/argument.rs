//! The arguments of a kernel.

use tch::Tensor;

/// One argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// For a `Global`.
    Tensor(&'a Tensor),
    /// A `Global` that is false in the kernel.
    Missing,
    /// For `i64` and `int`.
    Int(i64),
    /// For `float`.
    Float(f64),
}

impl<'a> From<&'a Tensor> for Argument<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Argument::Tensor(tensor)
    }
}

impl<'a> From<Option<&'a Tensor>> for Argument<'a> {
    fn from(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(Argument::Missing, Argument::Tensor)
    }
}

impl From<i64> for Argument<'_> {
    fn from(value: i64) -> Self {
        Argument::Int(value)
    }
}

impl From<f64> for Argument<'_> {
    fn from(value: f64) -> Self {
        Argument::Float(value)
    }
}
