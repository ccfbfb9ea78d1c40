//! Checks that all proposers who pay share: prices, amounts, and keys that experiments must not get.

use std::collections::BTreeMap;

use autoresearch_agents::model::Price;

use super::error::KeyError;

/// Makes sure that no experiment gets a proposer's key: experiments run code that a model wrote. `variables` are those of
/// experiments, with the key of the configuration that names each.
pub fn check_not_shared<const N: usize>(
    names: [&str; N],
    variables: &BTreeMap<String, String>,
) -> Result<(), KeyError> {
    match names.into_iter().find_map(|name| Some((name, variables.get(name)?))) {
        Some((name, key)) => {
            Err(KeyError::new(key, format!("would give {name}, the proposer's key, to every experiment; remove it")))
        }
        None => Ok(()),
    }
}

/// Makes sure that all prices are finite and not negative.
pub fn check_prices(key: &str, prices: &BTreeMap<String, Price>) -> Result<(), KeyError> {
    for (model, price) in prices {
        let Price { input, output, cache_read, cache_write, cache_write_long } = *price;
        let all = [Some(input), Some(output), cache_read, cache_write, cache_write_long];
        if all.into_iter().flatten().any(|price| !(0.0..1e9).contains(&price)) {
            let why = "takes US dollars for a million tokens, none of them negative";
            return Err(KeyError::new(format!("{key}.prices.{model}"), why));
        }
    }
    Ok(())
}

/// Makes sure that an amount of US dollars is positive.
pub fn check_dollars(key: &str, dollars: Option<f64>) -> Result<(), KeyError> {
    match dollars.filter(|dollars| !(*dollars > 0.0 && *dollars < 1e9)) {
        Some(dollars) => Err(KeyError::new(key, format!("is {dollars}; give a positive number of US dollars"))),
        None => Ok(()),
    }
}
