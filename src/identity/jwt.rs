//! JWT: the two claims that are looked at before a token is sent (<https://www.rfc-editor.org/rfc/rfc7519>).
//!
//! No signature is checked: whom the token is shown to does that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::base64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(30);

/// What a token says of itself.
pub(super) struct Claims {
    expires: Option<Duration>,
    /// For whom it is.
    pub(super) audiences: Vec<String>,
}

impl Claims {
    /// Reads them; `None` where the token is no JWT, and whoever is shown it must judge.
    pub(super) fn read(token: &SecretString) -> Option<Self> {
        let mut parts = token.expose_secret().split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let claims: Value = serde_json::from_slice(&decode(payload)?).ok()?;
        let audiences = match claims.get("aud") {
            Some(Value::String(audience)) => vec![audience.clone()],
            Some(Value::Array(all)) => {
                all.iter().filter_map(|audience| audience.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        let expires = claims.get("exp").and_then(Value::as_f64);
        Some(Self {
            expires: expires.and_then(|at| Duration::try_from_secs_f64(at.max(0.0)).ok()),
            audiences,
        })
    }

    /// How long ago the token ended, in words; `None` while it may still do.
    pub(super) fn expired(&self, now: SystemTime) -> Option<String> {
        let ago = now.duration_since(UNIX_EPOCH).ok()?.checked_sub(self.expires?)?;
        (ago > LEEWAY).then(|| in_words(ago))
    }
}

/// Base64 for URLs, without padding; the SDK knows the other one.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut padded = Zeroizing::new(text.replace('-', "+").replace('_', "/"));
    while !padded.len().is_multiple_of(4) {
        padded.push('=');
    }
    base64::decode(padded.as_str()).ok().map(Zeroizing::new)
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} minutes", seconds / 60),
        seconds @ 7200..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(payload: &str) -> Option<Claims> {
        let payload = base64::encode(payload).replace('+', "-").replace('/', "_");
        Claims::read(&SecretString::from(format!("e30.{}.c2ln", payload.trim_end_matches('='))))
    }

    fn said(exp: &str, now: u64) -> Option<String> {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        claims(&format!("{{\"exp\":{exp}}}")).unwrap().expired(now)
    }

    #[test]
    fn a_token_is_over_half_a_minute_after_its_end() {
        assert_eq!(said("1000", 900), None);
        assert_eq!(said("1000", 1030), None);
        assert_eq!(said("1000", 1031).as_deref(), Some("31 s"));
        assert_eq!(said("1000", 1000 + 12 * 60).as_deref(), Some("12 minutes"));
        assert_eq!(said("1000.5", 1000 + 3 * 3600).as_deref(), Some("2 hours"));
        assert_eq!(said("-5", 1_000_000).as_deref(), Some("11 days"));
        assert_eq!(said("1e300", 1_000_000), None);
        assert_eq!(said("\"soon\"", 1_000_000), None);
    }

    #[test]
    fn audiences_stand_alone_or_in_a_list() {
        assert_eq!(claims(r#"{"aud":"a>?"}"#).unwrap().audiences, ["a>?"]);
        assert_eq!(claims(r#"{"aud":["a","b"]}"#).unwrap().audiences, ["a", "b"]);
        assert!(claims("{}").unwrap().audiences.is_empty());
    }

    #[test]
    fn what_is_no_jwt_says_nothing() {
        for text in ["", "a", "a.b", "a.b.c", "a.b.c.d", "..", "e30.bm90IGpzb24.x"] {
            assert!(Claims::read(&SecretString::from(text)).is_none(), "{text}");
        }
    }
}
