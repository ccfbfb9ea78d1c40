//! One request with a JSON body, and the headers of its response.

use std::collections::BTreeMap;

use serde_json::Value;

use super::key::Secret;

/// Headers of a response by their names in lower case.
pub type Headers = BTreeMap<String, String>;

/// One POST request with a JSON body.
#[derive(Debug, Clone)]
pub struct Request {
    /// Absolute URL of the endpoint.
    pub url: String,
    /// Headers by name, without the one that carries the key.
    pub headers: Vec<(&'static str, String)>,
    /// Name of the header that carries the key, the prefix of its value, and the key.
    pub key: Option<(&'static str, &'static str, Secret)>,
    /// Body of the request.
    pub body: Value,
}

impl Request {
    /// Replaces the key wherever it stands in the body: no prompt may hold it.
    pub(crate) fn censor_body(&mut self) {
        if let Some((_, _, key)) = &self.key {
            censor_value(&mut self.body, key);
        }
    }
}

fn censor_value(value: &mut Value, key: &Secret) {
    match value {
        Value::String(text) => {
            let censored = key.censor(text);
            if censored != *text {
                *text = censored;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| censor_value(item, key)),
        Value::Object(fields) => fields.values_mut().for_each(|field| censor_value(field, key)),
        _ => {}
    }
}
