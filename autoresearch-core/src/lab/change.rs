//! The bounds of a kind of change.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of change that a lab can journal and hand to its parts. Every type with these bounds is one.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Threads(u32);
/// fn is_change<C: autoresearch_core::Change>() {}
/// is_change::<Threads>();
/// ```
pub trait Change: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Change for C {}
