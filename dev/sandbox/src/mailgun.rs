//! `POST /mailgun/v3/{domain}/messages`, in the shape of Mailgun's send call.
//!
//! 1. Not HTTP Basic as `api` with the key: 401 `Forbidden`, as plain text.
//! 2. Not a multipart form, a missing or wrong field: 400 `{"message"}`.
//! 3. Otherwise the mail is in the mailbox: 200 `{"id":"<...>","message":"Queued. Thank you."}`. The mailbox has the id without brackets, as
//!    webhooks have it. The same form again is another mail: there is no idempotency key.

use std::collections::HashMap;

use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use crate::mail::{Message, is_address};
use crate::provider::{Pause, lock};
use crate::{Shared, clock};

pub const SEND: &str = "mailgun.send";

type Form = HashMap<String, Vec<String>>;

pub async fn send(
    State(app): State<Shared>,
    Path(domain): Path<String>,
    Extension(pause): Extension<Pause>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    if !knows_key(&headers, &app.cfg.mail_api_key) {
        return (StatusCode::UNAUTHORIZED, "Forbidden").into_response();
    }
    let message = match read(form).await.and_then(|form| accept(&domain, &form)) {
        Ok(message) => message,
        Err(problem) => return (StatusCode::BAD_REQUEST, Json(json!({ "message": problem }))).into_response(),
    };
    pause.0.pause().await;
    let answer = json!({ "id": format!("<{}>", message.id), "message": "Queued. Thank you." });
    lock(&app.mail).deliver(message);
    Json(answer).into_response()
}

fn knows_key(headers: &HeaderMap, key: &str) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("api:{key}")));
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

async fn read(form: Result<Multipart, MultipartRejection>) -> Result<Form, String> {
    let mut form = form.map_err(|_| "the body is not a form".to_owned())?;
    let mut fields = Form::new();
    while let Some(field) = form.next_field().await.map_err(|e| e.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        fields.entry(name).or_default().push(field.text().await.map_err(|e| e.to_string())?);
    }
    Ok(fields)
}

fn accept(domain: &str, form: &Form) -> Result<Message, String> {
    let first = |name: &str| {
        form.get(name)
            .and_then(|values| values.first())
            .filter(|text| !text.is_empty())
            .cloned()
    };
    let required = |name: &str| first(name).ok_or_else(|| format!("{name} parameter is missing"));
    let (from, to, subject) = (required("from")?, required("to")?, required("subject")?);
    let to: Vec<String> = to.split(',').map(|address| address.trim().to_owned()).collect();
    if let Some(wrong) = to.iter().chain([&from]).find(|address| !is_address(address)) {
        return Err(format!("'{wrong}' is not a valid address"));
    }
    let (html, text) = (first("html"), first("text"));
    if html.is_none() && text.is_none() {
        return Err("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified".to_owned());
    }
    if form.get("o:tag").is_some_and(|tags| tags.len() > 3) {
        return Err("at most 3 tags".to_owned());
    }
    let extra = form.iter().filter(|(name, _)| name.starts_with("h:") || name.starts_with("v:"));
    let headers: Map<_, _> = extra.map(|(name, values)| (name.clone(), json!(values[0]))).collect();
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().simple();
    Ok(Message {
        id: format!("{id}@{domain}"),
        to,
        from,
        subject,
        html,
        text,
        headers,
        reply_to: Vec::new(),
        idempotency_key: None,
        created_at: clock::text(clock::now()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(change: impl FnOnce(&mut Form)) -> Result<Message, String> {
        let fields = [
            ("from", "Shop <shop@example.com>"),
            ("to", "a@example.com"),
            ("subject", "S"),
            ("text", "T"),
            ("v:outbox_id", "7"),
        ];
        let mut form: Form = fields.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
        change(&mut form);
        accept("mg.shop.example", &form)
    }

    #[test]
    fn a_form_becomes_a_mail_or_a_sentence() {
        let mail = form(|_| {}).unwrap();
        assert!(mail.id.ends_with("@mg.shop.example") && mail.headers["v:outbox_id"] == "7");
        for field in ["from", "to", "subject", "text"] {
            assert!(form(|form| drop(form.remove(field))).is_err(), "{field}");
        }
        assert!(form(|form| drop(form.insert("to".into(), vec!["nobody".into()]))).is_err());
        let two = form(|form| drop(form.insert("to".into(), vec!["a@example.com, b@example.com".into()]))).unwrap();
        assert_eq!(two.to.len(), 2);
    }

    #[test]
    fn only_api_with_the_key_may_send() {
        let basic =
            |text: &str| HeaderMap::from_iter([(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap())]);
        assert!(knows_key(&basic("api:key"), "key"));
        assert!(!knows_key(&basic("api:other"), "key") && !knows_key(&basic("key"), "key") && !knows_key(&HeaderMap::new(), "key"));
    }
}
