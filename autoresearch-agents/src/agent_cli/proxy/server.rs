//! The model's server behind the proxy.

use crate::http::Secret;

/// Header in which a server expects the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `x-api-key`, as Anthropic expects it.
    XApiKey,
    /// `Authorization: Bearer`, as OpenAI and most other servers expect it.
    Bearer,
}

/// A model's server with its key.
#[derive(Debug, Clone)]
pub struct Upstream {
    base: String,
    key: Secret,
    auth: Auth,
}

impl Upstream {
    /// The server at `base`, such as `https://api.anthropic.com`; a `/v1` at its end makes no difference.
    pub fn new(base: &str, key: Secret, auth: Auth) -> Upstream {
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base).to_owned();
        Upstream { base, key, auth }
    }

    /// Returns the header in which the server expects the key.
    pub fn auth(&self) -> Auth {
        self.auth
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn key(&self) -> &Secret {
        &self.key
    }

    /// Returns true for a vendor's own server, where every model has a price.
    pub(super) fn is_vendors_own(&self) -> bool {
        ["api.anthropic.com", "api.openai.com"].iter().any(|host| self.host().starts_with(host))
    }

    fn host(&self) -> &str {
        self.base.split("://").nth(1).unwrap_or_default()
    }

    pub(super) fn is_on_loopback(&self) -> bool {
        ["127.", "localhost", "[::1]"].iter().any(|loopback| self.host().starts_with(loopback))
    }
}
