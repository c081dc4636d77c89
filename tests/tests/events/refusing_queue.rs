//! A queue that is bound and refuses: the events go straight into the database, and are refused only when that is away too.

use lonieve_tests::{OwnWorker, Reply, Shop};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn events_that_the_queue_refuses_are_stored_at_once_and_503_only_when_the_database_is_away_too() {
    let shop = Shop::new().await;
    // Nobody listens where the queue should be.
    let worker = OwnWorker::with_queue("events", "EVENTS_QUEUE", "127.0.0.1:1").await;
    let id = Uuid::new_v4();
    let send = || {
        let event = json!({"event_id": id, "event_type": "page_view", "session_id": format!("s-{}", shop.tenant)});
        let request = shop.http.post(format!("{}/api/events", worker.url)).header("host", &shop.host);
        Reply::of(request.json(&event))
    };
    let away = json!([{"rpc": "ingest_events", "match": shop.host, "status": 503}]);
    let refused = shop.under_faults(&shop.info.proxy, away, shop.adds_nothing(send())).await;
    refused.refused(503, "database_unavailable");
    let stored = shop.adds(&[("analytics.events", 1)], send()).await.expect(200);
    assert_eq!(stored, json!({"success": true, "eventId": id}));
}
