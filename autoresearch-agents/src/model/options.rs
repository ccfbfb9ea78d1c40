//! The settings that all vendors share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_core::{EditablePaths, ProposerError};
use serde::Deserialize;

use super::budget::Caps;
use super::check::Check;
use super::prices::Price;
use crate::http::{Cassette, KeySource, Retry, Secret, Timeouts};

/// How a proposal is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One answer in a fixed form, and repairs.
    #[default]
    SingleShot,
    /// The model reads and edits the files with tools, turn by turn.
    Agentic,
}

/// The settings that all vendors share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Options {
    /// How a proposal is made.
    pub mode: Mode,
    /// The server; the vendor's own if it is missing.
    pub base_url: Option<String>,
    /// Where the key comes from; the vendor's usual variable if it is missing.
    pub key: Option<KeySource>,
    /// The longest reply in tokens, thinking included.
    pub max_tokens: u64,
    /// So many calls of the model for one proposal at most, in agentic mode.
    pub turns: u32,
    /// So often the model may mend an answer that cannot be used.
    pub repairs: u32,
    /// So many characters of the search's past are shown to it.
    pub history: usize,
    /// The answer's form is enforced by the server; if not, it is only described.
    pub structured: bool,
    /// What one proposal may cost.
    pub per_proposal: Caps,
    /// Prices by model, instead of those that are compiled in.
    pub prices: BTreeMap<String, Price>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Repetitions.
    pub retry: Retry,
    /// Where all requests and responses are recorded, without keys.
    pub record: Option<PathBuf>,
    /// A recording that answers instead of the server.
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
            record: None,
            replay: None,
        }
    }
}

/// What a proposer must know of the run around it.
#[derive(Clone)]
pub struct Surroundings {
    /// What may be changed.
    pub editable: EditablePaths,
    /// What all proposals together may cost.
    pub night: Caps,
    /// What a patch must pass before it is proposed.
    pub check: Option<Arc<dyn Check>>,
    /// A cassette that is open already; it comes before those in the options.
    pub cassette: Cassette,
}

impl Surroundings {
    /// Without a budget, a check or a cassette.
    pub fn new(editable: EditablePaths) -> Surroundings {
        Surroundings { editable, night: Caps::default(), check: None, cassette: Cassette::none() }
    }
}

/// The key: from where the options say, else from the vendor's usual variable. That one is for the vendor alone: a server
/// of somebody else's gets only a key that was named for it.
pub(crate) fn key(options: &Options, usual: &str) -> Result<Option<Secret>, ProposerError> {
    let source = match (&options.key, &options.base_url, &options.replay) {
        // Nothing will be sent.
        (_, _, Some(_)) => return Ok(None),
        (Some(source), ..) => source.clone(),
        (None, Some(_), None) => return Ok(None),
        (None, None, None) => KeySource::Env(usual.to_owned()),
    };
    source.read().map(Some).map_err(|e| ProposerError::Fatal(e.to_string()))
}
