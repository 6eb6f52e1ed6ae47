//! Answer: what Vault and OpenBao answer to a read, a write or a login.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

/// A successful answer; fields that are not known are passed over, since the two servers differ in them.
pub struct Answer {
    lease: Option<Leased>,
    data: Value,
    auth: Value,
    is_wrapped: bool,
    is_shared: bool,
}

/// What stands in an answer of its lease.
pub(super) struct Leased {
    pub(super) id: String,
    pub(super) duration: Duration,
    pub(super) is_renewable: bool,
}

/// What a login was answered with
/// (<https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle>).
pub(super) struct Grant {
    pub(super) token: SecretString,
    /// How long the token lives; `None` for ever.
    pub(super) lifetime: Option<Duration>,
    /// A batch token stands nowhere on the server and cannot be taken back.
    pub(super) is_batch: bool,
    /// How many requests may be made with it; `None` for any number.
    pub(super) uses: Option<u64>,
    /// Whether others may have got the same token.
    pub(super) is_shared: bool,
}

impl Answer {
    pub(super) fn from_json(mut value: Value, is_shared: bool) -> Self {
        let id = value["lease_id"].as_str().filter(|id| !id.is_empty());
        let lease = id.map(|id| Leased {
            id: id.to_owned(),
            duration: seconds(&value["lease_duration"]),
            is_renewable: value["renewable"] == true,
        });
        let is_wrapped = value["wrap_info"].is_object();
        Self { lease, data: value["data"].take(), auth: value["auth"].take(), is_wrapped, is_shared }
    }

    /// The lease, where there is one; `lease_duration` alone is none (a K/V engine answers 32 days).
    pub(super) fn leased(&self) -> Option<&Leased> {
        self.lease.as_ref()
    }

    /// Whether it comes from the cache of a Vault Agent or Proxy: that hands the same login and the same lease to all
    /// that ask alike, and whoever takes one back takes it from the others.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether the answer is wrapped: what was asked for is not in it.
    pub fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// The object that holds the keys: of a versioned K/V engine the inner one.
    pub fn data(&self) -> Option<&Value> {
        let data = self.data.as_object()?;
        let inner = data.get("data").filter(|inner| inner.is_object());
        match (inner, data.get("metadata")) {
            // These two and no others: a secret of the other engine may have keys of these names too.
            (Some(inner), Some(metadata)) if data.len() == 2 && metadata["version"].is_u64() => Some(inner),
            _ => Some(&self.data),
        }
    }

    /// Everything under `data`, as it stands.
    pub fn whole(&self) -> &Value {
        &self.data
    }

    /// Whether a login wants a second factor before it gives a token.
    pub(super) fn wants_second_factor(&self) -> bool {
        self.auth["mfa_requirement"].is_object()
    }

    /// What the login gives.
    pub(super) fn grant(mut self) -> Option<Grant> {
        let Value::String(token) = self.auth.get_mut("client_token")?.take() else { return None };
        if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return None;
        }
        let lifetime = seconds(&self.auth["lease_duration"]);
        Some(Grant {
            token: SecretString::from(token),
            lifetime: (!lifetime.is_zero()).then_some(lifetime),
            is_batch: self.auth["token_type"] == "batch",
            uses: self.auth["num_uses"].as_u64().filter(|uses| *uses > 0),
            is_shared: self.is_shared,
        })
    }

    /// The text at a key of the data, taken out.
    pub(super) fn secret(&mut self, key: &str) -> Option<SecretString> {
        match self.data.get_mut(key)?.take() {
            Value::String(text) if !text.is_empty() => Some(SecretString::from(text)),
            _ => None,
        }
    }
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_default())
}
