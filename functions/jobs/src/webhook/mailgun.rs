//! Mailgun's webhooks: the body's `signature` has a time, a token, and the HMAC-SHA256 of both, in lower-case hex.
//!
//! **The event itself is not signed.** So a triple that somebody captured could carry any event. It is good for one: the token is kept
//! (`ops.mail_events`), and for as long as its time is accepted. That is nine hours, since Mailgun repeats a call for up to eight hours
//! and five minutes and does not say whether it signs anew; ahead of our clock it may be 300 seconds. What a forged event can do is
//! bounded as well: it moves what is known of one mail whose row id is known, and never money or codes.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::codes::hmac_sha256;
use shared::secret::{Secret, constant_time_eq};

use super::event::{Event, Kind, reason, text};
use super::{Refusal, Verified};
use crate::mail::bare_message_id;

const MAX_AGE_S: i64 = 9 * 3600;
const MAX_AHEAD_S: i64 = 300;
/// Tokens have 50 characters.
const MAX_TOKEN: usize = 100;

pub fn verify(key: &Secret, body: &[u8], now: DateTime<Utc>) -> Result<Verified<Event>, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
    let token = signed(key, &body, now)?;
    let event = body.get("event-data").and_then(|data| read(token, data));
    Ok(Verified(event.ok_or(Refusal::NoEvent)?))
}

/// The token of a call whose signature and time are right.
fn signed<'a>(key: &Secret, body: &'a Value, now: DateTime<Utc>) -> Result<&'a str, Refusal> {
    let member = |name| text(body, &["signature", name]).filter(|text| !text.is_empty());
    let (Some(timestamp), Some(token), Some(signature)) = (member("timestamp"), member("token"), member("signature")) else {
        return Err(Refusal::Unsigned);
    };
    if token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Refusal::Unsigned);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| Refusal::Unsigned)?;
    let expected = hex::encode(hmac_sha256(key.expose().as_bytes(), format!("{timestamp}{token}").as_bytes()));
    if !constant_time_eq(signature.as_bytes(), expected.as_bytes()) {
        return Err(Refusal::WrongSignature);
    }
    match now.timestamp().saturating_sub(seconds) {
        age if age > MAX_AGE_S => Err(Refusal::TooOld),
        age if age < -MAX_AHEAD_S => Err(Refusal::InFuture),
        _ => Ok(token),
    }
}

fn read(token: &str, data: &Value) -> Option<Event> {
    let code = data
        .get("delivery-status")
        .and_then(|status| status.get("code"))
        .and_then(Value::as_u64);
    let code = code.map(|code| code.to_string());
    let words = [text(data, &["severity"]), text(data, &["reason"]), code.as_deref()];
    let (kind, words) = match text(data, &["event"])? {
        "accepted" => (Kind::Accepted, [None; 3]),
        "delivered" => (Kind::Delivered, [None; 3]),
        "complained" => (Kind::Complained, [None; 3]),
        "rejected" => (Kind::Failed, [Some("rejected"), None, None]),
        "failed" if words[0] != Some("permanent") => (Kind::Delayed, words),
        "failed" if words[1].is_some_and(|reason| reason.starts_with("suppress-")) => (Kind::Suppressed, words),
        "failed" => (Kind::Bounced, words),
        _ => (Kind::Ignored, [None; 3]),
    };
    let time = data.get("timestamp").and_then(Value::as_f64);
    Some(Event {
        id: token.to_owned(),
        kind,
        outbox_id: text(data, &["user-variables", "outbox_id"]).and_then(|id| id.parse().ok()),
        provider_id: text(data, &["message", "headers", "message-id"]).map(|id| bare_message_id(id).chars().take(256).collect()),
        reason: reason(&words),
        occurred_at: time.and_then(|seconds| DateTime::from_timestamp_millis((seconds * 1000.0) as i64)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use uuid::Uuid;

    #[derive(Deserialize)]
    struct Vector {
        key: String,
        timestamp: String,
        token: String,
        signature: String,
    }

    const KEY: &str = "signing-key";
    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// A call of this time, rightly signed.
    fn call(key: &str, timestamp: &str, token: &str) -> Value {
        let signature = hex::encode(hmac_sha256(key.as_bytes(), format!("{timestamp}{token}").as_bytes()));
        json!({"signature": {"timestamp": timestamp, "token": token, "signature": signature}, "event-data": {"event": "delivered"}})
    }

    fn verified(body: &Value) -> Result<Verified<Event>, Refusal> {
        verify(&Secret::new(KEY).unwrap(), body.to_string().as_bytes(), at(NOW))
    }

    /// What comes of a call of now, but for what `change` makes of it.
    fn after(change: impl FnOnce(&mut Value)) -> Result<Verified<Event>, Refusal> {
        let mut body = call(KEY, &NOW.to_string(), &"t".repeat(50));
        change(&mut body);
        verified(&body)
    }

    #[test]
    fn the_published_vector_verifies() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../vectors/mailgun.json")).unwrap();
        for vector in vectors {
            let now = at(vector.timestamp.parse().unwrap());
            let body = json!({"signature": {"timestamp": vector.timestamp, "token": vector.token, "signature": vector.signature}});
            assert_eq!(signed(&Secret::new(vector.key).unwrap(), &body, now), Ok(vector.token.as_str()));
            assert_eq!(signed(&Secret::new("other").unwrap(), &body, now), Err(Refusal::WrongSignature));
        }
    }

    #[test]
    fn each_negative_fails_for_its_own_reason_beside_a_twin_that_passes() {
        assert!(after(|_| {}).is_ok());
        for name in ["timestamp", "token", "signature"] {
            assert_eq!(
                after(|body| body["signature"][name] = json!("")),
                Err(Refusal::Unsigned),
                "no {name}"
            );
            assert_eq!(
                after(|body| body["signature"][name] = json!(5)),
                Err(Refusal::Unsigned),
                "{name} of another type"
            );
        }
        assert_eq!(after(|body| body["signature"] = Value::Null), Err(Refusal::Unsigned));
        assert_eq!(
            after(|body| body["signature"]["timestamp"] = json!((NOW + 1).to_string())),
            Err(Refusal::WrongSignature)
        );
        assert_eq!(
            after(|body| body["signature"]["token"] = json!("u".repeat(50))),
            Err(Refusal::WrongSignature)
        );
        let upper = |body: &mut Value| {
            let signature = body["signature"]["signature"].as_str().unwrap().to_uppercase();
            body["signature"]["signature"] = json!(signature);
        };
        assert_eq!(after(upper), Err(Refusal::WrongSignature), "hex in capitals");
        assert_eq!(
            after(|body| *body = call("other", &NOW.to_string(), "t")),
            Err(Refusal::WrongSignature),
            "another key"
        );
        // The separator is none: the digit could move from one to the other.
        let shifted = |body: &mut Value| {
            let time = NOW.to_string();
            body["signature"] = call(KEY, &time, "7token")["signature"].clone();
            body["signature"]["timestamp"] = json!(format!("{time}7"));
            body["signature"]["token"] = json!("token");
        };
        assert_eq!(after(shifted), Err(Refusal::InFuture), "a longer time is far ahead");
        assert_eq!(verify(&Secret::new(KEY).unwrap(), b"{", at(NOW)), Err(Refusal::NotJson));
        assert_eq!(after(|body| body["event-data"] = json!([])), Err(Refusal::NoEvent));
        assert_eq!(after(|body| body["event-data"]["event"] = Value::Null), Err(Refusal::NoEvent));
    }

    #[test]
    fn the_time_is_bounded_and_the_token_short() {
        for (offset, expected) in [
            (-32_400, None),
            (-32_401, Some(Refusal::TooOld)),
            (300, None),
            (301, Some(Refusal::InFuture)),
        ] {
            assert_eq!(verified(&call(KEY, &(NOW + offset).to_string(), "t")).err(), expected, "{offset} s");
        }
        let (long, longer) = ("t".repeat(100), "t".repeat(101));
        assert!(verified(&call(KEY, &NOW.to_string(), &long)).is_ok());
        for token in [longer.as_str(), "with space", "ключ"] {
            assert_eq!(
                verified(&call(KEY, &NOW.to_string(), token)).err(),
                Some(Refusal::Unsigned),
                "{token}"
            );
        }
    }

    #[test]
    fn every_type_has_its_meaning_and_new_ones_have_none() {
        let failed = |severity: &str, reason: &str| json!({"event": "failed", "severity": severity, "reason": reason, "delivery-status": {"code": 550, "message": "<a@example.com>"}});
        for (data, kind, reason) in [
            (json!({"event": "accepted"}), Kind::Accepted, None),
            (json!({"event": "delivered"}), Kind::Delivered, None),
            (json!({"event": "complained"}), Kind::Complained, None),
            (json!({"event": "rejected"}), Kind::Failed, Some("rejected")),
            (failed("permanent", "bounce"), Kind::Bounced, Some("permanent/bounce/550")),
            (
                failed("permanent", "suppress-bounce"),
                Kind::Suppressed,
                Some("permanent/suppress-bounce/550"),
            ),
            (failed("temporary", "greylisted"), Kind::Delayed, Some("temporary/greylisted/550")),
            (failed("novel", "a@example.com"), Kind::Delayed, Some("novel/550")),
            (json!({"event": "opened"}), Kind::Ignored, None),
            (json!({"event": "unsubscribed"}), Kind::Ignored, None),
            (json!({"event": "list_member_uploaded"}), Kind::Ignored, None),
        ] {
            let event = read("t", &data).unwrap();
            assert_eq!((event.kind, event.reason.as_deref()), (kind, reason), "{data}");
        }
    }

    #[test]
    fn an_event_names_its_row_and_the_providers_mail() {
        let row = Uuid::from_u128(9);
        let data = json!({"event": "delivered", "timestamp": 1521472262.908181, "user-variables": {"outbox_id": row}, "recipient": "a@example.com",
                          "message": {"headers": {"message-id": "2026@mg.shop.example", "to": "a@example.com"}}});
        let event = read("t", &data).unwrap();
        assert_eq!(
            (event.outbox_id, event.provider_id.as_deref()),
            (Some(row), Some("2026@mg.shop.example"))
        );
        assert_eq!(event.occurred_at.unwrap().to_rfc3339(), "2018-03-19T15:11:02.908+00:00");
    }
}
