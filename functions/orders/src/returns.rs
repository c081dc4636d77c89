//! `GET|POST /pay/return/{success|fail}`: where Cardlink sends the shopper's browser after paying.
//!
//! Proves nothing and writes nothing: it only leads to the page that asks for the order's status. 303 to `/pending?orderId=...`
//! (`/pending?orderId=...&result=fail` after a failure). The id is taken from the query (`orderId`) or from a form field (`InvId`) and
//! only if it is a UUID; the target is always a path of this site.

use http::{HeaderValue, Response, StatusCode, header};
use shared::edge::Incoming;
use shared::error::ApiError;
use uuid::Uuid;

pub fn to_page(request: &Incoming, result: &str) -> Result<Response<String>, ApiError> {
    let query = request.query.as_deref().unwrap_or_default().as_bytes();
    let order_id = find(query, "orderId").or_else(|| find(&request.body, "InvId"));
    let mut target = "/pending".to_owned();
    let mut separator = '?';
    if let Some(id) = order_id {
        target.push_str(&format!("{separator}orderId={id}"));
        separator = '&';
    }
    if result == "fail" {
        target.push_str(&format!("{separator}result=fail"));
    }
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn find(form: &[u8], name: &str) -> Option<Uuid> {
    url::form_urlencoded::parse(form).find(|(key, _)| key == name)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(query: Option<&str>, body: &str, result: &str) -> String {
        let request = Incoming {
            method: http::Method::POST,
            path: String::new(),
            query: query.map(str::to_owned),
            headers: Default::default(),
            body: body.as_bytes().to_vec(),
            host: String::new(),
            country: None,
            city: None,
            request_id: String::new(),
            now: Default::default(),
        };
        let response = to_page(&request, result).unwrap();
        assert_eq!(response.status(), 303);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_shopper_lands_on_a_page_of_this_site_only() {
        let id = Uuid::from_u128(7);
        assert_eq!(
            location(Some(&format!("orderId={id}")), "", "success"),
            format!("/pending?orderId={id}")
        );
        assert_eq!(
            location(None, &format!("OutSum=1&InvId={id}"), "fail"),
            format!("/pending?orderId={id}&result=fail")
        );
        assert_eq!(
            location(Some("orderId=//evil.example"), "InvId=https://evil.example", "success"),
            "/pending"
        );
        assert_eq!(location(None, "", "fail"), "/pending?result=fail");
    }
}
