//! `GET|POST /u/{token}`
//!
//! 1. Any other method than GET, HEAD and POST: 405.
//! 2. `api.unsubscribe`: a token this host's shop did not issue: 404 `not_found`. Database not reached: 503.
//! 3. GET: 200, a page with one button, and nothing happens: mail filters open every link they see.
//! 4. POST: the person is unsubscribed; 200, a page that says so. The body is not read, so the button and a mail program's one-click
//!    request (RFC 8058) are the same. Doing it again changes nothing.

use askama::Template;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use serde::Serialize;
use shared::client_info;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::is_plain;
use crate::wire::Unsubscribed;

const UNSUBSCRIBE: Rpc = Rpc::idempotent("unsubscribe");

#[derive(Serialize)]
struct Asked<'a> {
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    token: &'a str,
    confirm: bool,
}

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct Page<'a> {
    shop: &'a str,
    done: bool,
    text: &'a Text,
}

struct Text {
    lang: &'static str,
    title: &'static str,
    question: &'static str,
    button: &'static str,
    done: &'static str,
    note: &'static str,
}

const ENGLISH: Text = Text {
    lang: "en",
    title: "Unsubscribe",
    question: "Do you no longer want messages from us?",
    button: "Unsubscribe",
    done: "You are unsubscribed. We will not write to you again.",
    note: "Messages about an order of yours are not affected.",
};

const RUSSIAN: Text = Text {
    lang: "ru",
    title: "Отписаться",
    question: "Больше не хотите получать от нас сообщения?",
    button: "Отписаться",
    done: "Вы отписались. Мы больше не будем вам писать.",
    note: "Сообщений о ваших заказах это не касается.",
};

pub async fn handle(config: &Config, request: &Incoming, token: &str) -> Result<Response<String>, ApiError> {
    if ![Method::GET, Method::HEAD, Method::POST].contains(&request.method) {
        return Err(ApiError::method_not_allowed("GET, HEAD, POST"));
    }
    if !is_plain(token) {
        return Err(Code::NotFound.into());
    }
    let asked = Asked {
        host: &request.host,
        origin_host: client_info::origin_host(&request.headers),
        default_tenant: config.default_tenant,
        token,
        confirm: request.method == Method::POST,
    };
    match config.db.call(UNSUBSCRIBE, &asked).await? {
        Unsubscribed::Ok { shop, unsubscribed } => page(&shop, unsubscribed, language(&request.headers)),
        Unsubscribed::NotFound => Err(Code::NotFound.into()),
        Unsubscribed::UnknownTenant => Err(Code::UnknownTenant.into()),
    }
}

/// Russian for browsers that ask for it first, else English.
fn language(headers: &HeaderMap) -> &'static Text {
    let wanted = client_info::header_text(headers, "accept-language", 100).unwrap_or_default();
    if wanted.to_ascii_lowercase().starts_with("ru") {
        &RUSSIAN
    } else {
        &ENGLISH
    }
}

fn page(shop: &str, done: bool, text: &Text) -> Result<Response<String>, ApiError> {
    let html = Page { shop, done, text }
        .render()
        .map_err(|_| ApiError::new(Code::InternalError).detail("the page does not render"))?;
    let mut response = Response::new(html);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Language"),
        // The address of this page is the right to unsubscribe: it must not travel on.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_before_and_tells_afterwards() {
        let before = page("Tom & <b>Jerry</b>", false, &ENGLISH).unwrap();
        assert!(
            before.body().contains("<form method=\"post\">") && before.body().contains("Tom &#38; &#60;b&#62;"),
            "{}",
            before.body()
        );
        assert_eq!(before.headers()["referrer-policy"], "no-referrer");
        let after = page("Shop", true, &RUSSIAN).unwrap();
        assert!(
            after.body().contains("Вы отписались") && !after.body().contains("<form"),
            "{}",
            after.body()
        );
    }

    #[test]
    fn the_page_speaks_the_browsers_first_language() {
        let of = |value: &'static str| language(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(value))])).lang;
        assert_eq!((of("ru-RU,ru;q=0.9,en;q=0.5"), of("en-GB,ru;q=0.5"), of("de")), ("ru", "en", "en"));
        assert_eq!(language(&HeaderMap::new()).lang, "en");
    }
}
