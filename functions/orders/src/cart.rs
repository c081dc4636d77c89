//! What a shopper may ask for. Pure: a body becomes a checked cart or a list of wrong fields.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::validate::{Problems, label};
use uuid::Uuid;

/// Units one order may hold.
pub const MAX_QUANTITY: u32 = 20;

/// The body of `POST /api/orders/create`. Members that can be wrong in their own way are read from their raw text, so that one answer
/// names every wrong field. Unknown members are ignored; null equals absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    product_id: Option<&'a RawValue>,
    nominal: Option<&'a RawValue>,
    quantity: Option<&'a RawValue>,
    price: Option<&'a RawValue>,
    currency: Option<&'a RawValue>,
    email: Option<&'a RawValue>,
    first_name: Option<&'a RawValue>,
    last_name: Option<&'a RawValue>,
    delivery_type: Option<&'a RawValue>,
    recipient_email: Option<&'a RawValue>,
    gift_message: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    visitor_id: Option<&'a RawValue>,
    #[serde(rename = "ref")]
    ref_code: Option<&'a RawValue>,
    utm: Option<&'a RawValue>,
    locale: Option<&'a RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryType {
    Myself,
    Gift,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    En,
    Ru,
}

impl Locale {
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }
}

/// Where the shopper came from, as the tracker kept it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Utm {
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
}

/// A cart whose fields are well-formed. Whether it can be sold is the database's to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cart {
    pub product_id: Uuid,
    pub nominal: Amount,
    pub quantity: u32,
    pub price: Option<Amount>,
    pub currency: Option<String>,
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub delivery_type: DeliveryType,
    pub recipient_email: Option<String>,
    pub gift_message: Option<String>,
    pub session_id: Option<String>,
    pub visitor_id: Option<String>,
    #[serde(rename = "ref")]
    pub ref_code: Option<String>,
    pub utm: Utm,
    pub locale: Locale,
}

impl Cart {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| Code::InvalidJson)?;
        // First only whether it is JSON at all, then whether it is an object with each member once.
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| Code::InvalidJson)?;
        let body: Body = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::new(Code::InvalidRequest).field("body", "must be an object with each field once"))?;
        Self::check(body)
    }

    fn check(body: Body) -> Result<Self, ApiError> {
        let mut problems = Problems::default();
        let p = &mut problems;
        let product_id = required(p, "productId", body.product_id, "must be a UUID", |raw| {
            string(raw)?.parse::<Uuid>().ok()
        });
        let nominal = required(
            p,
            "nominal",
            body.nominal,
            "must be an amount above 0 with at most two decimals",
            amount,
        );
        let quantity = optional(p, "quantity", body.quantity, "must be a whole number from 1 to 20", |raw| {
            raw.parse::<u32>().ok().filter(|n| (1..=MAX_QUANTITY).contains(n))
        });
        let price = optional(
            p,
            "price",
            body.price,
            "must be an amount above 0 with at most two decimals",
            amount,
        );
        let currency = optional(p, "currency", body.currency, "must be three letters such as USD", |raw| {
            string(raw)
                .map(|c| c.to_ascii_uppercase())
                .filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase()))
        });
        let delivery_type = required(p, "deliveryType", body.delivery_type, "must be \"myself\" or \"gift\"", enumeration);
        let locale = optional(p, "locale", body.locale, "must be \"en\" or \"ru\"", enumeration);
        let utm = optional(p, "utm", body.utm, "must be an object of texts", |raw| {
            serde_json::from_str::<Utm>(raw).ok()
        });
        let email = email(p, "email", body.email);
        let recipient_email = email_of_recipient(p, delivery_type, body.recipient_email);
        let gift_message = text(p, "giftMessage", body.gift_message, 500);
        let cart = Self {
            product_id: product_id.unwrap_or_default(),
            nominal: nominal.unwrap_or(Amount::ZERO),
            quantity: quantity.unwrap_or(1),
            price,
            currency,
            email: email.unwrap_or_default(),
            first_name: text(p, "firstName", body.first_name, 100),
            last_name: text(p, "lastName", body.last_name, 100),
            delivery_type: delivery_type.unwrap_or(DeliveryType::Myself),
            recipient_email,
            gift_message: gift_message.filter(|_| delivery_type == Some(DeliveryType::Gift)),
            session_id: text(p, "sessionId", body.session_id, 128),
            visitor_id: text(p, "visitorId", body.visitor_id, 128),
            ref_code: text(p, "ref", body.ref_code, 64),
            utm: utm.map(|utm| check_utm(p, utm)).unwrap_or_default(),
            locale: locale.unwrap_or(Locale::En),
        };
        problems.check()?;
        Ok(cart)
    }
}

/// The raw text of a member; `None` when absent or null.
fn given(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|text| *text != "null")
}

fn required<T>(p: &mut Problems, field: &str, raw: Option<&RawValue>, problem: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let value = given(raw).map(read);
    match value {
        None => p.add(field, "is missing"),
        Some(None) => p.add(field, problem),
        Some(Some(_)) => {}
    }
    value.flatten()
}

fn optional<T>(p: &mut Problems, field: &str, raw: Option<&RawValue>, problem: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    given(raw)?;
    required(p, field, raw, problem, read)
}

fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn amount(raw: &str) -> Option<Amount> {
    Amount::from_json_token(raw).ok().filter(|amount| !amount.is_zero())
}

fn enumeration<T: serde::de::DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

fn text(p: &mut Problems, field: &str, raw: Option<&RawValue>, limit: usize) -> Option<String> {
    let value = optional(p, field, raw, "must be a text", string);
    p.text(field, value, limit)
}

fn email(p: &mut Problems, field: &str, raw: Option<&RawValue>) -> Option<String> {
    let value = required(p, field, raw, "must be a text", string)?;
    if value.trim().is_empty() {
        p.add(field, "is missing");
    }
    p.email(field, Some(value))
}

fn email_of_recipient(p: &mut Problems, delivery: Option<DeliveryType>, raw: Option<&RawValue>) -> Option<String> {
    // Without a gift the field means nothing; it is not stored.
    if delivery == Some(DeliveryType::Gift) {
        email(p, "recipientEmail", raw)
    } else {
        None
    }
}

fn check_utm(p: &mut Problems, utm: Utm) -> Utm {
    let mut check = |field, value: Option<String>| p.text(field, value.as_deref().and_then(label), 255);
    Utm {
        utm_source: check("utm.utm_source", utm.utm_source),
        utm_medium: check("utm.utm_medium", utm.utm_medium),
        utm_campaign: check("utm.utm_campaign", utm.utm_campaign),
        utm_content: check("utm.utm_content", utm.utm_content),
        utm_term: check("utm.utm_term", utm.utm_term),
    }
}

/// `Idempotency-Key`: 1 to 255 visible ASCII characters, when there is one.
pub fn idempotency_key(headers: &http::HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()));
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| Code::InvalidIdempotencyKey.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({"productId": Uuid::from_u128(1), "nominal": 50, "email": "Buyer@Example.com", "deliveryType": "myself"})
    }

    fn with(member: &str, value: Value) -> Value {
        let mut cart = good();
        cart[member] = value;
        cart
    }

    fn read(value: &Value) -> Result<Cart, ApiError> {
        Cart::read(value.to_string().as_bytes())
    }

    #[test]
    fn the_documented_request_is_accepted() {
        let cart = read(&with("recipientEmail", Value::Null)).unwrap();
        assert_eq!(
            (cart.email.as_str(), cart.quantity, cart.nominal.to_string().as_str()),
            ("buyer@example.com", 1, "50.00")
        );
        assert_eq!(
            (cart.locale, cart.delivery_type, cart.price),
            (Locale::En, DeliveryType::Myself, None)
        );
        let cart = read(&with("price", json!("37.50"))).unwrap();
        assert_eq!(cart.price.unwrap().to_string(), "37.50");
        let cart = read(&with("utm", json!({"utm_source": "news", "utm_other": 7}))).unwrap();
        assert_eq!(cart.utm.utm_source.as_deref(), Some("news"));
        // Whatever somebody wrote into a link, it does not cost the order.
        let cart = read(&with("utm", json!({"utm_source": "ne\u{8}ws\t", "utm_term": "\u{0}"}))).unwrap();
        assert_eq!((cart.utm.utm_source.as_deref(), cart.utm.utm_term), (Some("news"), None));
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (member, value) in [
            ("productId", json!("nope")),
            ("productId", json!(null)),
            ("productId", json!(7)),
            ("nominal", json!(0)),
            ("nominal", json!(-5)),
            ("nominal", json!(1.001)),
            ("nominal", json!("fifty")),
            ("nominal", json!(true)),
            ("quantity", json!(0)),
            ("quantity", json!(21)),
            ("quantity", json!(1.5)),
            ("quantity", json!("2")),
            ("price", json!(0)),
            ("price", json!([])),
            ("currency", json!("dollar")),
            ("currency", json!(5)),
            ("email", json!("nope")),
            ("email", json!(" ")),
            ("email", json!(5)),
            ("email", Value::Null),
            ("firstName", json!(5)),
            ("lastName", json!("x".repeat(101))),
            ("deliveryType", json!("drone")),
            ("deliveryType", Value::Null),
            ("giftMessage", json!("x".repeat(501))),
            ("giftMessage", json!(5)),
            ("sessionId", json!("s".repeat(129))),
            ("visitorId", json!({})),
            ("ref", json!("r".repeat(65))),
            ("ref", json!(1)),
            ("utm", json!("google")),
            ("utm", json!({"utm_source": 5})),
            ("locale", json!("th")),
        ] {
            let error = read(&with(member, value.clone())).unwrap_err();
            assert_eq!(error.code, Code::InvalidRequest, "{member}: {value}");
            let body = error.response("r").into_body();
            assert!(body.contains(&format!(r#""fields":{{"{member}":"#)), "{member}: {value}: {body}");
        }
        let error = read(&json!({})).unwrap_err().response("r").into_body();
        for member in ["productId", "nominal", "email", "deliveryType"] {
            assert!(error.contains(&format!("\"{member}\":\"is missing\"")), "{error}");
        }
    }

    #[test]
    fn a_gift_needs_a_recipient_and_only_a_gift_keeps_one() {
        let gift = with("deliveryType", json!("gift"));
        assert!(read(&gift).unwrap_err().response("r").body().contains("recipientEmail"));
        let mut gift = gift;
        gift["recipientEmail"] = json!("Friend@Example.com");
        gift["giftMessage"] = json!("Enjoy!\nYours");
        let cart = read(&gift).unwrap();
        assert_eq!(cart.recipient_email.as_deref(), Some("friend@example.com"));
        assert_eq!(cart.gift_message.as_deref(), Some("Enjoy!\nYours"));
        let myself = read(&with("recipientEmail", json!("friend@example.com"))).unwrap();
        assert_eq!(myself.recipient_email, None);
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["", "{", "\u{feff}{}", "{\"a\":1}x"] {
            assert_eq!(Cart::read(body.as_bytes()).unwrap_err().code, Code::InvalidJson, "{body}");
        }
        assert_eq!(Cart::read(b"\xff{}").unwrap_err().code, Code::InvalidJson);
        for body in ["[]", "7", "\"x\"", r#"{"nominal":1,"nominal":2}"#] {
            assert_eq!(Cart::read(body.as_bytes()).unwrap_err().code, Code::InvalidRequest, "{body}");
        }
    }

    #[test]
    fn idempotency_keys_are_visible_ascii() {
        let key = |value: &[u8]| {
            let mut headers = http::HeaderMap::new();
            headers.insert("idempotency-key", http::HeaderValue::from_bytes(value).unwrap());
            idempotency_key(&headers)
        };
        assert_eq!(key(b"k-1").unwrap().as_deref(), Some("k-1"));
        assert_eq!(idempotency_key(&http::HeaderMap::new()).unwrap(), None);
        for bad in [b"".as_slice(), b"a b", "ключ".as_bytes(), &[b'k'; 256]] {
            assert_eq!(key(bad).unwrap_err().code, Code::InvalidIdempotencyKey);
        }
    }
}
