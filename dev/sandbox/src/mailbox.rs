//! `GET /mailbox?to=`: what the mail stand-in received. A JSON array, oldest first; for browsers a list, newest first, with one
//! mail open.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::mail::{Message, bare_address};
use crate::provider::lock;
use crate::{Shared, pages};

#[derive(Deserialize)]
pub struct Search {
    /// Address of a recipient, in any case, with or without a name.
    to: Option<String>,
    /// The mail a browser opens; the newest one when absent.
    id: Option<String>,
}

pub async fn list(State(app): State<Shared>, Query(search): Query<Search>, headers: HeaderMap) -> Response {
    let to = search.to.as_deref().map(bare_address).filter(|to| !to.is_empty());
    let found = find(&lock(&app.mail).messages, to);
    if pages::wants_html(&headers) {
        pages::mailbox(&found, to.unwrap_or_default(), search.id.as_deref())
    } else {
        Json(found).into_response()
    }
}

fn find(messages: &[Message], to: Option<&str>) -> Vec<Message> {
    let addressed =
        |message: &&Message| to.is_none_or(|to| message.to.iter().any(|address| bare_address(address).eq_ignore_ascii_case(to)));
    messages.iter().filter(addressed).cloned().collect()
}
