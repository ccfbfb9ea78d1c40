//! Prices of tokens: a dated table, which the configuration may override.

use std::collections::BTreeMap;

use autoresearch_core::Cost;
use serde::Deserialize;

/// Compiled-in table with its date.
const TABLE: &str = include_str!("prices.toml");

/// Prices of one model in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input that is not cached.
    pub input: f64,
    /// Output, thinking included.
    pub output: f64,
    /// Input read from the cache. Default: the price of other input.
    pub cache_read: Option<f64>,
    /// Input written to the cache for minutes. Default: the price of other input.
    pub cache_write: Option<f64>,
    /// Input written to the cache for an hour. Default: the price of a write for minutes.
    pub cache_write_long: Option<f64>,
}

/// Explains the next step where a model without a known price would be used under a limit in dollars.
pub(crate) fn explain_missing_price(model: &str) -> String {
    format!(
        "no price is known for the model {model}, so dollars cannot be limited; add [proposer.prices.\"{model}\"] with \
         input and output in $ per million tokens (0 for a server of your own)"
    )
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that is not cached.
    pub input: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache for minutes.
    pub cache_write: u64,
    /// Input written to the cache for an hour.
    pub cache_write_long: u64,
    /// Output.
    pub output: u64,
}

/// Prices of all known models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Date of the prices, such as `2026-11-21`.
    pub checked: String,
    /// Prices by the model's name.
    pub models: BTreeMap<String, Price>,
}

impl Prices {
    /// Returns the compiled-in table with `overrides` in place of its entries.
    pub fn with(overrides: &BTreeMap<String, Price>) -> Result<Prices, toml::de::Error> {
        let mut prices: Prices = toml::from_str(TABLE)?;
        prices.models.extend(overrides.iter().map(|(model, price)| (model.clone(), *price)));
        Ok(prices)
    }

    /// Returns the price of a model, whose name may end in a date.
    pub fn of(&self, model: &str) -> Option<Price> {
        let dated = |name: &str| {
            let rest = model.strip_prefix(name).and_then(|rest| rest.strip_prefix(['-', '@']));
            rest.is_some_and(is_date)
        };
        let exact = self.models.get(model);
        exact.or_else(|| self.models.iter().find(|(name, _)| dated(name)).map(|(_, price)| price)).copied()
    }
}

/// True for `20261121` and `2026-11-21`; a version that goes on before a date, as `5-20261121`, is another model.
fn is_date(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_digits && (parts == [8] || parts == [4, 2, 2])
}

impl Price {
    /// Price of a server of one's own: nothing.
    pub const NOTHING: Price =
        Price { input: 0.0, output: 0.0, cache_read: None, cache_write: None, cache_write_long: None };

    /// Returns the cost of one call.
    pub fn cost(&self, usage: Usage) -> Cost {
        let Usage { input, cache_read, cache_write, cache_write_long, output } = usage;
        let write = self.cache_write.unwrap_or(self.input);
        let dollars = input as f64 * self.input
            + cache_read as f64 * self.cache_read.unwrap_or(self.input)
            + cache_write as f64 * write
            + cache_write_long as f64 * self.cache_write_long.unwrap_or(write)
            + output as f64 * self.output;
        Cost { tokens: usage.total(), dollars: dollars / 1e6, calls: 1 }
    }

    /// Returns the greatest cost of a call with `input` and at most `output` tokens.
    pub fn worst(&self, input: u64, output: u64) -> Cost {
        let dear =
            [Some(self.input), self.cache_write, self.cache_write_long].into_iter().flatten().fold(0.0, f64::max);
        let dollars = (input as f64 * dear + output as f64 * self.output) / 1e6;
        Cost { tokens: input.saturating_add(output), dollars, calls: 1 }
    }
}

impl Usage {
    /// Adds two usages.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_long: self.cache_write_long.saturating_add(other.cache_write_long),
            output: self.output.saturating_add(other.output),
        }
    }

    /// Returns the number of all tokens.
    pub fn total(&self) -> u64 {
        let Usage { input, cache_read, cache_write, cache_write_long, output } = *self;
        [cache_read, cache_write, cache_write_long, output].into_iter().fold(input, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_valid_and_dated_models_are_found() {
        let prices = Prices::with(&BTreeMap::new()).unwrap();
        assert!(prices.checked.parse::<jiff::civil::Date>().is_ok());
        assert_eq!(prices.of("claude-haiku-4-5-20251001").unwrap().output, 5.0);
        assert_eq!(prices.of("gpt-6.1-sol-2026-10-01").unwrap().input, 2.0);
        for unknown in ["claude-opus-5-6", "claude-opus-5-", "gpt-6", "local"] {
            assert!(prices.of(unknown).is_none(), "{unknown}");
        }
        let own = Price { input: 1.0, output: 2.0, cache_read: None, cache_write: None, cache_write_long: None };
        let prices = Prices::with(&[("local".to_owned(), own)].into()).unwrap();
        let usage = Usage { input: 500_000, cache_read: 500_000, output: 1_000_000, ..Usage::default() };
        assert_eq!(prices.of("local").unwrap().cost(usage), Cost { tokens: 2_000_000, dollars: 3.0, calls: 1 });
    }

    #[test]
    fn a_version_before_a_date_is_another_model() {
        let prices = Prices::with(&BTreeMap::new()).unwrap();
        let of = |model: &str| prices.of(model).map(|price| price.output);
        assert_eq!(of("claude-opus-5-5-20261121"), of("claude-opus-5-5"));
        assert_eq!(of("claude-opus-5-5@2026-11-21"), of("claude-opus-5-5"));
        assert_ne!(of("claude-opus-5-5"), of("claude-opus-5"));
        assert_eq!(of("claude-opus-5-9-20270301"), None);
    }

    #[test]
    fn every_kind_of_token_has_its_price() {
        let price = Prices::with(&BTreeMap::new()).unwrap().of("claude-opus-5-5").unwrap();
        let million = 1_000_000;
        let usage = Usage {
            input: million,
            cache_read: million,
            cache_write: million,
            cache_write_long: million,
            output: million,
        };
        assert!((price.cost(usage).dollars - (4.0 + 0.2 + 5.0 + 8.0 + 20.0)).abs() < 1e-9);
        assert!((price.worst(million, million).dollars - 28.0).abs() < 1e-9);
    }
}
