//! Routes of the Worker `orders`. Each flow's contract stands in its own module.
//!
//! | route | module |
//! |---|---|
//! | `GET /api/products`, `GET /api/products/{id}` | [`crate::show`] |
//! | `POST /api/orders/create` | [`crate::create`] |
//! | `GET /api/orders/{id}` | [`crate::show`] |
//! | `GET\|POST /pay/return/{success\|fail}` | [`crate::returns`] |

use http::{Method, Response};
use shared::edge::Incoming;
use shared::error::{ApiError, Code};

use crate::{Config, create, returns, show};

pub const MAX_BODY: usize = 64 * 1024;

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    let path = request.path.clone();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "products"] => show::products(&config, only(&request, "GET")?).await,
        ["api", "products", id] => show::product(&config, only(&request, "GET")?, id).await,
        ["api", "orders", "create"] => create::create(&config, only(&request, "POST")?).await,
        ["api", "orders", id] => show::order(&config, only(&request, "GET")?, id).await,
        ["pay", "return", result @ ("success" | "fail")] => returns::to_page(only(&request, "GET, POST")?, result),
        _ => Err(Code::NotFound.into()),
    }
}

/// 405 unless the method is one of `allow` (HEAD goes with GET).
fn only<'a>(request: &'a Incoming, allow: &'static str) -> Result<&'a Incoming, ApiError> {
    let head_as_get = request.method == Method::HEAD && allow.contains("GET");
    if head_as_get || allow.split(", ").any(|method| method == request.method.as_str()) {
        Ok(request)
    } else {
        Err(ApiError::method_not_allowed(allow))
    }
}
