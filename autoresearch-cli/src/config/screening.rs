//! `[screening]`: short trials before the full budget.

use autoresearch_core::Screening;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;

/// The section. A key that is missing has the library's default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreeningSection {
    /// Shares of the full budget, rising.
    rungs: Vec<f64>,
    /// Distance behind the incumbent within which a candidate is promoted, in standard deviations of a short trial.
    margin: Option<f64>,
    /// Distance behind the incumbent within which a candidate is measured at the next rung, in the same unit.
    second_margin: Option<f64>,
    /// Distance beyond both margins that is tolerated, in the metric's unit.
    allowance: Option<f64>,
    /// Trials of the incumbent on each rung.
    repeats: Option<usize>,
    /// Every N-th candidate that fails is promoted all the same; 0 for none.
    control: Option<u32>,
    /// The class of hardware that short trials run on, if not that of the full budget.
    class: Option<String>,
}

impl ScreeningSection {
    /// The screening as the lab takes it.
    pub fn screening(&self) -> Screening {
        let mut screening = Screening::new(self.rungs.iter().copied());
        screening.margin = self.margin.unwrap_or(screening.margin);
        // A wider margin than the usual second one widens that, too.
        screening.second_margin = self.second_margin.unwrap_or(screening.second_margin.max(screening.margin));
        screening.allowance = self.allowance.unwrap_or(screening.allowance);
        screening.repeats = self.repeats.unwrap_or(screening.repeats);
        screening.control = self.control.unwrap_or(screening.control);
        screening.class = self.class.clone();
        screening
    }

    /// The class of hardware that short trials run on, if it is another one.
    pub fn class(&self) -> Option<&String> {
        self.class.as_ref()
    }

    /// Finds a value that the library does not allow.
    pub fn check(&self) -> Result<(), KeyError> {
        self.screening().check().map_err(|why| library_error("screening", &why))
    }
}

/// An error of the library, which begins with the name of its setting: `rungs is empty; …`.
pub(super) fn library_error(section: &str, why: &str) -> KeyError {
    match why.split_once(' ') {
        Some((key, rest)) if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
            KeyError::new(format!("{section}.{key}"), rest)
        }
        _ => KeyError::new(section, format!(": {why}")),
    }
}
