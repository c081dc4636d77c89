//! Whose pages may read the answers: those of the shop's own domains, by their exact origin.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::json;

async fn asked(shop: &Shop, method: Method, origin: &str) -> Reply {
    let request = shop.request(method.clone(), "events", "/api/events").header("origin", origin);
    let request = request.header("sec-fetch-site", "cross-site");
    Reply::of(if method == Method::POST {
        request.json(&json!({"event_type": "page_view", "session_id": "s"}))
    } else {
        request
    })
    .await
}

fn access(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.keys().map(reqwest::header::HeaderName::as_str);
    names.filter(|name| name.starts_with("access-control")).collect()
}

#[tokio::test]
async fn the_exact_origin_of_a_domain_of_the_shop_may_read_the_answer_and_no_other() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let own = format!("https://{}", shop.host);
    let preflight = asked(&shop, Method::OPTIONS, &own).await;
    assert_eq!((preflight.status, preflight.text.as_str()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), Some(own.as_str()));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("Content-Type"));
    let posted = asked(&shop, Method::POST, &own).await;
    posted.expect(200);
    let refused = asked(&shop, Method::DELETE, &own).await;
    refused.refused(405, "method_not_allowed");
    for reply in [&preflight, &posted, &refused] {
        assert_eq!(reply.header("access-control-allow-origin"), Some(own.as_str()));
        assert_eq!(
            (reply.header("vary"), reply.header("access-control-allow-credentials")),
            (Some("Origin"), None)
        );
    }
    for origin in [
        format!("https://{}", other.host),
        format!("https://{}.evil.test", shop.host),
        format!("https://{}:8443", shop.host),
        format!("http://{}", shop.host),
        "null".to_owned(),
    ] {
        for method in [Method::OPTIONS, Method::POST] {
            let reply = asked(&shop, method.clone(), &origin).await;
            assert_eq!(
                (access(&reply), reply.header("vary")),
                (Vec::new(), Some("Origin")),
                "{method} {origin}"
            );
        }
    }
}

#[tokio::test]
async fn events_are_taken_also_when_nobody_can_say_whose_the_page_is() {
    let shop = Shop::new().await;
    let rule = json!([{"rpc": "check_origin", "match": shop.host, "status": 503}]);
    let own = format!("https://{}", shop.host);
    let both = async {
        let posted = asked(&shop, Method::POST, &own).await;
        let preflight = asked(&shop, Method::OPTIONS, &own).await;
        (posted, preflight)
    };
    let (posted, preflight) = shop.under_faults(&shop.info.proxy, rule, both).await;
    posted.expect(200);
    assert!(access(&posted).is_empty());
    preflight.refused(503, "database_unavailable");
}
