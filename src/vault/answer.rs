//! Answer: what Vault and OpenBao answer to a read or a write.

use serde_json::Value;

use crate::credential::Lease;

/// A successful answer; fields that are not known are passed over, since the two servers differ in them.
pub struct Answer {
    lease_id: Option<String>,
    data: Value,
}

impl Answer {
    pub(super) fn from_json(mut value: Value) -> Self {
        let lease_id = value["lease_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        Self { lease_id, data: value["data"].take() }
    }

    /// The lease, where there is one; `lease_duration` alone is none (a K/V engine answers 32 days).
    pub fn lease(&self) -> Option<Lease> {
        self.lease_id.clone().map(|id| Lease { id })
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

    /// Whether it describes a mount of a versioned K/V engine.
    pub(super) fn is_versioned_mount(&self) -> bool {
        self.data["type"] == "kv" && self.data["options"]["version"] == "2"
    }
}
