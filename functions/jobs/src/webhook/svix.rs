//! Resend's webhooks, signed by Svix (the form Standard Webhooks describes).
//!
//! The headers are `svix-id`, `svix-timestamp` and `svix-signature`; the last is a list of `v1,<base64>` separated by spaces, of which one must be
//! the HMAC-SHA256 of `id.timestamp.body` (while a secret is being replaced, each of the two signs). The time is the attempt's own and may be
//! 300 seconds off either way. Other versions in the list are passed over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::Value;
use shared::codes::hmac_sha256;
use shared::secret::constant_time_eq;

use super::event::{Event, Kind, reason, text};
use super::{Refusal, Verified};

const TOLERANCE_S: i64 = 300;
const MAX_ID: usize = 200;

/// The bytes behind `whsec_`.
pub struct Key(Vec<u8>);

impl Key {
    pub fn parse(secret: &str) -> Option<Self> {
        let bytes = STANDARD.decode(secret.trim().strip_prefix("whsec_")?).ok()?;
        (bytes.len() >= 24).then_some(Self(bytes))
    }
}

pub fn verify(key: &Key, body: &[u8], headers: &HeaderMap, now: DateTime<Utc>) -> Result<Verified<Event>, Refusal> {
    let id = signed(key, body, headers, now)?;
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
    Ok(Verified(read(id, &body).ok_or(Refusal::NoEvent)?))
}

/// The id of a call whose signature and time are right.
fn signed<'a>(key: &Key, body: &[u8], headers: &'a HeaderMap, now: DateTime<Utc>) -> Result<&'a str, Refusal> {
    let header = |name| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty());
    let (Some(id), Some(timestamp), Some(signatures)) = (header("svix-id"), header("svix-timestamp"), header("svix-signature")) else {
        return Err(Refusal::Unsigned);
    };
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let expected = STANDARD.encode(hmac_sha256(&key.0, &signed));
    let matches = |candidate: &str| {
        candidate
            .strip_prefix("v1,")
            .is_some_and(|candidate| constant_time_eq(candidate.as_bytes(), expected.as_bytes()))
    };
    // Every one is compared, whichever matched.
    if signatures.split(' ').filter(|candidate| matches(candidate)).count() == 0 {
        return Err(Refusal::WrongSignature);
    }
    let age = now.timestamp() - timestamp.parse::<i64>().map_err(|_| Refusal::Unsigned)?;
    match age {
        _ if id.len() > MAX_ID => Err(Refusal::Unsigned),
        age if age > TOLERANCE_S => Err(Refusal::TooOld),
        age if age < -TOLERANCE_S => Err(Refusal::InFuture),
        _ => Ok(id),
    }
}

fn read(id: &str, body: &Value) -> Option<Event> {
    let kind = text(body, &["type"])?;
    let in_data = |path: &[&str]| text(body.get("data")?, path);
    let bounce = [in_data(&["bounce", "type"]), in_data(&["bounce", "subType"])];
    let (kind, words) = match kind {
        "email.sent" => (Kind::Accepted, [None, None]),
        "email.delivered" => (Kind::Delivered, [None, None]),
        "email.delivery_delayed" => (Kind::Delayed, [None, None]),
        "email.complained" => (Kind::Complained, [None, None]),
        "email.bounced" if bounce[0] == Some("Permanent") => (Kind::Bounced, bounce),
        "email.bounced" => (Kind::Delayed, bounce),
        "email.failed" => (Kind::Failed, [in_data(&["failed", "reason"]), None]),
        "email.suppressed" => (Kind::Suppressed, [in_data(&["suppressed", "type"]), None]),
        _ => (Kind::Ignored, [None, None]),
    };
    Some(Event {
        id: id.to_owned(),
        kind,
        outbox_id: in_data(&["tags", "outbox_id"]).and_then(|id| id.parse().ok()),
        provider_id: in_data(&["email_id"]).map(|id| id.chars().take(MAX_ID).collect()),
        reason: reason(&words),
        occurred_at: text(body, &["created_at"]).and_then(|time| Some(DateTime::parse_from_rfc3339(time).ok()?.to_utc())),
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
        secret: String,
        id: String,
        timestamp: i64,
        body: String,
        signature: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../vectors/svix.json")).unwrap()
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let pairs = [("svix-id", id), ("svix-timestamp", timestamp), ("svix-signature", signature)];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
        format!(
            "v1,{}",
            STANDARD.encode(hmac_sha256(&key, format!("{id}.{timestamp}.{body}").as_bytes()))
        )
    }

    /// What comes of a call of now, but for what `change` makes of its four parts: id, time, signature, body.
    fn after(change: impl FnOnce(&mut [String; 4])) -> Result<Verified<Event>, Refusal> {
        let body = json!({"type": "email.delivered", "data": {"email_id": "m-1"}}).to_string();
        let time = NOW.to_string();
        let mut call = ["msg_1".to_owned(), time.clone(), sign(SECRET, "msg_1", &time, &body), body];
        change(&mut call);
        let [id, time, signature, body] = call;
        verify(
            &Key::parse(SECRET).unwrap(),
            body.as_bytes(),
            &headers(&id, &time, &signature),
            at(NOW),
        )
    }

    /// The same call with another time, signed for it.
    fn signed_at(time: &str) -> Result<Verified<Event>, Refusal> {
        after(|call| {
            call[1] = time.to_owned();
            call[2] = sign(SECRET, "msg_1", time, &call[3]);
        })
    }

    #[test]
    fn the_published_vectors_verify_and_one_changed_byte_does_not() {
        for vector in vectors() {
            let key = Key::parse(&vector.secret).unwrap();
            let headers = headers(&vector.id, &vector.timestamp.to_string(), &vector.signature);
            assert_eq!(
                signed(&key, vector.body.as_bytes(), &headers, at(vector.timestamp)),
                Ok(vector.id.as_str())
            );
            for index in 0..vector.body.len() {
                let mut body = vector.body.clone().into_bytes();
                body[index] ^= 1;
                assert_eq!(
                    signed(&key, &body, &headers, at(vector.timestamp)),
                    Err(Refusal::WrongSignature),
                    "byte {index}"
                );
            }
            // Signed, and no event of a mail.
            let read = verify(&key, vector.body.as_bytes(), &headers, at(vector.timestamp));
            assert_eq!(read, Err(Refusal::NoEvent));
        }
    }

    #[test]
    fn each_negative_fails_for_its_own_reason_beside_a_twin_that_passes() {
        assert!(after(|_| {}).is_ok());
        for missing in 0..3 {
            assert_eq!(after(|call| call[missing].clear()), Err(Refusal::Unsigned), "header {missing}");
        }
        assert_eq!(after(|call| call[0] = "msg_2".into()), Err(Refusal::WrongSignature), "another id");
        assert_eq!(
            after(|call| call[1] = (NOW + 1).to_string()),
            Err(Refusal::WrongSignature),
            "another time"
        );
        assert_eq!(after(|call| call[3].push(' ')), Err(Refusal::WrongSignature), "another body");
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let resigned = after(|call| call[2] = sign(other, "msg_1", &call[1], &call[3]));
        assert_eq!(resigned, Err(Refusal::WrongSignature), "another secret");
        assert_eq!(
            after(|call| call[2] = call[2].replace("v1,", "v2,")),
            Err(Refusal::WrongSignature),
            "another version"
        );
        assert_eq!(
            after(|call| call[2] = call[2].replace("v1,", "")),
            Err(Refusal::WrongSignature),
            "no version"
        );
        assert_eq!(
            after(|call| call[2] = call[2].replace('=', "")),
            Err(Refusal::WrongSignature),
            "another spelling"
        );
        assert_eq!(after(|call| call[2].truncate(10)), Err(Refusal::WrongSignature), "a part");
    }

    #[test]
    fn any_signature_of_the_list_will_do() {
        assert!(after(|call| call[2] = format!("v1,AAAA v1a,BBBB {} v1,CCCC", call[2])).is_ok());
        assert_eq!(after(|call| call[2] = "v1,AAAA v1,BBBB".into()), Err(Refusal::WrongSignature));
        assert_eq!(
            after(|call| call[2] = call[2].replace(' ', ",").replace("v1,", "v1,v1,")),
            Err(Refusal::WrongSignature)
        );
    }

    #[test]
    fn a_right_signature_holds_for_five_minutes_either_way() {
        for (offset, expected) in [
            (0, None),
            (-300, None),
            (300, None),
            (-301, Some(Refusal::TooOld)),
            (301, Some(Refusal::InFuture)),
        ] {
            assert_eq!(signed_at(&(NOW + offset).to_string()).err(), expected, "{offset} s");
        }
        for odd in ["soon", "1800000000.5", "0x6b49d200", "99999999999999999999"] {
            assert_eq!(signed_at(odd).err(), Some(Refusal::Unsigned), "{odd}");
        }
    }

    #[test]
    fn a_signed_body_that_is_no_event_is_told_apart() {
        let resigned = |body: &str| {
            after(|call| {
                call[3] = body.to_owned();
                call[2] = sign(SECRET, "msg_1", &call[1], body);
            })
        };
        assert_eq!(resigned("{"), Err(Refusal::NotJson));
        for body in ["[]", "5", "{}", r#"{"type":5}"#] {
            assert_eq!(resigned(body), Err(Refusal::NoEvent), "{body}");
        }
        assert!(resigned(r#"{"type":"email.delivered"}"#).is_ok());
    }

    #[test]
    fn a_secret_is_whsec_and_at_least_24_bytes() {
        assert!(Key::parse(SECRET).is_some());
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_not base64 not base64 not base64",
        ] {
            assert!(Key::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_type_has_its_meaning_and_new_ones_have_none() {
        let kind = |kind: &str, data: Value| {
            let event = read("e", &json!({"type": kind, "data": data})).unwrap();
            (event.kind, event.reason)
        };
        let bounce = |class: &str| json!({"bounce": {"type": class, "subType": "NoEmail", "message": "550 <a@example.com>"}});
        for (name, data, expected, reason) in [
            ("email.sent", json!({}), Kind::Accepted, None),
            ("email.delivered", json!({}), Kind::Delivered, None),
            ("email.delivery_delayed", json!({}), Kind::Delayed, None),
            ("email.complained", json!({}), Kind::Complained, None),
            ("email.bounced", bounce("Permanent"), Kind::Bounced, Some("Permanent/NoEmail")),
            ("email.bounced", bounce("Transient"), Kind::Delayed, Some("Transient/NoEmail")),
            ("email.bounced", bounce("Undetermined"), Kind::Delayed, Some("Undetermined/NoEmail")),
            ("email.bounced", bounce("Novel"), Kind::Delayed, Some("Novel/NoEmail")),
            ("email.bounced", json!({}), Kind::Delayed, None),
            (
                "email.failed",
                json!({"failed": {"reason": "reached_daily_quota"}}),
                Kind::Failed,
                Some("reached_daily_quota"),
            ),
            (
                "email.failed",
                json!({"failed": {"reason": "a@example.com is bad"}}),
                Kind::Failed,
                None,
            ),
            (
                "email.suppressed",
                json!({"suppressed": {"type": "OnAccountSuppressionList"}}),
                Kind::Suppressed,
                Some("OnAccountSuppressionList"),
            ),
            ("email.opened", json!({}), Kind::Ignored, None),
            ("email.scheduled", json!({}), Kind::Ignored, None),
            ("contact.created", json!([]), Kind::Ignored, None),
        ] {
            assert_eq!(kind(name, data), (expected, reason.map(str::to_owned)), "{name}");
        }
    }

    #[test]
    fn an_event_names_its_row_and_the_providers_mail() {
        let row = Uuid::from_u128(9);
        let body = json!({"type": "email.delivered", "created_at": "2026-11-20T10:00:00.000Z", "data": {
            "email_id": "m-1", "created_at": "2026-11-20T09:00:00.000Z", "to": ["a@example.com"], "tags": {"kind": "codes", "outbox_id": row}}});
        let event = read("msg_1", &body).unwrap();
        assert_eq!(
            (event.id.as_str(), event.outbox_id, event.provider_id.as_deref()),
            ("msg_1", Some(row), Some("m-1"))
        );
        assert_eq!(event.occurred_at.unwrap().to_rfc3339(), "2026-11-20T10:00:00+00:00");
        assert_eq!(
            read("e", &json!({"type": "email.sent", "data": {"tags": [{"name": "outbox_id"}]}}))
                .unwrap()
                .outbox_id,
            None
        );
    }
}
