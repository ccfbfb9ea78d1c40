//! The heads of an attention layer.

/// The number and size of an attention layer's heads. The choice of a kernel depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of query heads.
    pub queries: i64,
    /// Number of key heads, which is that of value heads; it divides `queries`.
    pub keys: i64,
    /// Channels of each head.
    pub dimension: i64,
}
