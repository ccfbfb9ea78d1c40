//! Settings that all vendors share, and what a proposer must know of its run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_core::{EditablePaths, ProposerError};
use serde::Deserialize;

use super::backoff::Backoff;
use super::caps::Caps;
use super::check::Check;
use super::prices::Price;
use crate::http::{Cassette, KeySource, Retry, Secret, Timeouts};

pub use crate::prompt::Mode;

/// Settings that all vendors share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Way in which a proposal is made. Default: single shot.
    pub mode: Mode,
    /// Base URL of the server. Default: the vendor's own.
    pub base_url: Option<String>,
    /// Source of the key. Default: the vendor's usual variable.
    pub key: Option<KeySource>,
    /// Longest reply in tokens, thinking included. Default: 32,000.
    pub max_tokens: u64,
    /// Most calls of the model for one proposal. Default: 40.
    pub turns: u32,
    /// Most repairs of an answer that cannot be used. Default: 3.
    pub repairs: u32,
    /// Longest history in the prompt, in bytes. Default: 24,000.
    pub history: usize,
    /// Has the server enforce the form of the answer; if false, the prompt describes it. Default: true.
    pub structured: bool,
    /// Limits of one proposal. Default: none.
    pub per_proposal: Caps,
    /// Prices by model, which override the compiled-in table.
    pub prices: BTreeMap<String, Price>,
    /// Time limits of one request.
    pub timeouts: Timeouts,
    /// Retries of one request.
    pub retry: Retry,
    /// Waits after proposals in a row that came to nothing.
    pub backoff: Backoff,
    /// Path of a cassette that records every request and response, without keys.
    pub record: Option<PathBuf>,
    /// Path of a cassette that answers in place of the server.
    pub replay: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: Mode::default(),
            base_url: None,
            key: None,
            max_tokens: 32_000,
            turns: 40,
            repairs: 3,
            history: 24_000,
            structured: true,
            per_proposal: Caps::default(),
            prices: BTreeMap::new(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            backoff: Backoff::default(),
            record: None,
            replay: None,
        }
    }
}

/// The run around a proposer.
///
/// ```
/// use autoresearch_agents::model::{Caps, Surroundings};
/// use autoresearch_core::EditablePaths;
/// let mut surroundings = Surroundings::new(EditablePaths::new(["src/**"]));
/// surroundings.run_caps = Caps { dollars: Some(5.0), ..Caps::default() };
/// assert!(surroundings.check.is_none());
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Surroundings {
    /// Paths that proposals may change.
    pub editable: EditablePaths,
    /// Limits of all proposals of the run together; [`DEFAULT_RUN_DOLLARS`](super::DEFAULT_RUN_DOLLARS) holds where none in dollars is set.
    pub run_caps: Caps,
    /// Check that a patch must pass before it is proposed.
    pub check: Option<Arc<dyn Check>>,
    /// An open cassette, used where the options name none.
    pub cassette: Cassette,
}

impl Surroundings {
    /// Surroundings without limits of their own, a check or a cassette.
    pub fn new(editable: EditablePaths) -> Surroundings {
        Surroundings { editable, run_caps: Caps::default(), check: None, cassette: Cassette::none() }
    }
}

/// Reads the key from the source in the options, else from the vendor's usual variable. That variable is for the vendor's
/// server alone: another server gets only a key that was named for it.
pub(crate) fn read_key(options: &Options, usual: &str) -> Result<Option<Secret>, ProposerError> {
    let source = match (&options.key, &options.base_url, &options.replay) {
        // Nothing will be sent.
        (_, _, Some(_)) => return Ok(None),
        (Some(source), ..) => source.clone(),
        (None, Some(_), None) => return Ok(None),
        (None, None, None) => KeySource::Env(usual.to_owned()),
    };
    source.read().map(Some).map_err(|e| ProposerError::Fatal(e.to_string()))
}
