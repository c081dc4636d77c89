//! Static pages: from Cloudflare's asset store, or from workerd's disk service when self-hosted (it knows no content types, so the
//! gateway sets them in both cases), with the headers every page should have.

use shared::error::{ApiError, Code};
use worker::{Env, Method, Request, RequestInit, Response};

/// Scripts, styles and images come from this site only; no page may be framed.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' data: https:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Pages that show an order, or what a person typed in: their address goes to nobody.
const PRIVATE_PAGES: [&str; 4] = ["pending.html", "success.html", "staff.html", "thank-you.html"];
const NOT_FOUND_PAGE: &str = "404.html";

pub async fn serve(request: &Request, env: &Env, file: &str) -> Result<Response, ApiError> {
    let found = fetch(request, env, file).await.map_err(broken)?;
    if found.status_code() == 404 {
        return Err(Code::NotFound.into());
    }
    with_page_headers(found, file).map_err(broken)
}

/// The page that says that there is no such page.
pub async fn not_found(request: &Request, env: &Env) -> Result<Response, ApiError> {
    Ok(serve(request, env, NOT_FOUND_PAGE).await?.with_status(404))
}

fn broken(error: worker::Error) -> ApiError {
    ApiError::new(Code::InternalError).detail(format_args!("assets: {error}"))
}

async fn fetch(request: &Request, env: &Env, file: &str) -> worker::Result<Response> {
    let mut url = request.url()?;
    url.set_path(file);
    url.set_query(None);
    let mut init = RequestInit::new();
    init.with_method(Method::Get);
    env.assets("ASSETS")?
        .fetch_request(Request::new_with_init(url.as_str(), &init)?)
        .await?
        .try_into()
}

/// The same status and body under headers of our own: what the store sends has none that a page needs.
fn with_page_headers(mut found: Response, file: &str) -> worker::Result<Response> {
    let status = found.status_code();
    let mut response = Response::from_stream(found.stream()?)?.with_status(status);
    let headers = response.headers_mut();
    headers.set("content-type", content_type(file))?;
    headers.set("content-security-policy", CONTENT_SECURITY_POLICY)?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("referrer-policy", referrer_policy(file))?;
    headers.set(
        "cache-control",
        if file.ends_with(".html") {
            "no-cache"
        } else {
            "public, max-age=300"
        },
    )?;
    Ok(response)
}

/// Order pages carry the order's id in the query and its token, for a moment, in the fragment: nothing of it may leave in a Referer.
/// The other pages tell other sites no more than the shop's name, and the shop itself where a shopper came from.
fn referrer_policy(file: &str) -> &'static str {
    if PRIVATE_PAGES.contains(&file) {
        "no-referrer"
    } else {
        "strict-origin-when-cross-origin"
    }
}

/// By the file's ending; what is unknown is downloaded, not shown.
pub fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        // Type declarations, for an editor or a compiler that fetches them.
        "ts" => "application/typescript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_the_content_type() {
        assert_eq!(content_type("index.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("css/shop.css"), "text/css; charset=utf-8");
        assert_eq!(content_type("lv.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("lv.d.ts"), "application/typescript; charset=utf-8");
        assert_eq!(content_type("file.exe"), "application/octet-stream");
    }

    #[test]
    fn the_address_of_an_order_page_goes_to_nobody() {
        for page in PRIVATE_PAGES {
            assert_eq!(referrer_policy(page), "no-referrer");
        }
        assert_eq!(referrer_policy("checkout.html"), "strict-origin-when-cross-origin");
    }

    #[test]
    fn the_api_description_that_is_served_is_the_one_in_the_docs() {
        assert!(include_str!("../assets/openapi.json") == include_str!("../../../docs/openapi.json"));
    }
}
