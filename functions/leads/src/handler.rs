//! Routes of the Worker `leads`. Each flow's contract stands in its own module.
//!
//! | route | module |
//! |---|---|
//! | `POST /api/leads`, `OPTIONS /api/leads` | [`crate::capture`], [`shared::cors`] |
//! | `GET /l/{code}` | [`crate::links`] |
//! | `GET\|POST /u/{token}` | [`crate::unsubscribe`] |

use http::{Method, Response};
use shared::cors::Cors;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};

use crate::{Config, capture, links, unsubscribe};

pub const MAX_BODY: usize = 64 * 1024;

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    let path = request.path.clone();
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", "leads"] => leads(&config, &request).await,
        ["l", code] => links::follow(&config, &request, code).await,
        ["u", token] => unsubscribe::handle(&config, &request, token).await,
        _ => Err(Code::NotFound.into()),
    }
}

/// Every answer, a refusal too, carries the headers that let the tenant's own pages read it.
async fn leads(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    let cors = Cors::of(&config.db, config.default_tenant, request).await?;
    match request.method {
        Method::POST => cors.on(capture::capture(config, request, &cors).await),
        Method::OPTIONS => Ok(cors.preflight("POST", "POST, OPTIONS")),
        _ => cors.on(Err(ApiError::method_not_allowed("POST, OPTIONS"))),
    }
}

/// A code or token as an address may carry it; anything else is 404 without a look into the database.
pub fn is_plain(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn codes_and_tokens_are_plain_names() {
        assert!(is_plain("aZ_-") && is_plain(&"a".repeat(64)));
        for text in ["", "abc", "a.bc", "a%2f", "ab cd", "абвг", &"a".repeat(65)] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
