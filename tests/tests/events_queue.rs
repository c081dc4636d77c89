//! Events through a real queue under `wrangler dev`: accepted while the database is away, stored once when it is back, and what cannot be stored is
//! kept and replayed.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Blow, Config, Part, Runtime, Stack};
use uuid::Uuid;

async fn start() -> (Stack, Shop) {
    let root = stack::layout::workspace_root().unwrap();
    let config = Config {
        events_queue: true,
        test_clock: true,
        ..Config::ephemeral(root, Runtime::Wrangler)
    };
    let stack = Stack::start(config, Arc::new(|_| {})).await.unwrap();
    let shop = Shop::on(Box::leak(Box::new(stack.info().clone()))).await;
    (stack, shop)
}

fn events(count: usize) -> Vec<(Uuid, Value)> {
    let session = format!("s-{}", Uuid::new_v4().simple());
    let event = |_| {
        let id = Uuid::new_v4();
        (id, json!({"event_id": id, "event_type": "page_view", "session_id": session}))
    };
    (0..count).map(event).collect()
}

/// Sends a batch, for which the gateway must be told the shop's host; every verdict is `accepted`.
async fn accepted(shop: &Shop, host: &str, events: &[(Uuid, Value)]) {
    let batch = json!({"events": events.iter().map(|(_, event)| event).collect::<Vec<_>>()});
    let request = shop
        .http
        .post(format!("{}/api/events", shop.info.gateway))
        .header("origin", format!("https://{host}"));
    let answer = Reply::of(request.json(&batch)).await.expect(200);
    let expected: Vec<Value> = events.iter().map(|(id, _)| json!({"eventId": id, "status": "accepted"})).collect();
    assert_eq!(answer["results"], json!(expected));
}

async fn stored(shop: &Shop, events: &[(Uuid, Value)]) -> i64 {
    let ids: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    let sql = "select count(*) from analytics.events where event_id = any($1)";
    shop.db.query_one(sql, &[&ids]).await.unwrap().get(0)
}

/// Waits until SQL says so.
async fn until(shop: &Shop, what: &str, sql: &str, expected: i64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let found: i64 = shop.db.query_one(sql, &[]).await.unwrap().get(0);
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {found} after two minutes, not {expected}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn among(events: &[(Uuid, Value)]) -> String {
    let ids: Vec<String> = events.iter().map(|(id, _)| format!("'{id}'")).collect();
    format!("select count(*) from analytics.events where event_id in ({})", ids.join(", "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_queue_accepted_is_stored_once_whatever_happens_to_the_database() {
    let (mut stack, shop) = start().await;
    let host = shop.host.clone();

    // Everything is up.
    let first = events(30);
    accepted(&shop, &host, &first).await;
    until(&shop, "events of a good day", &among(&first), 30).await;
    // One alone is 202, and the same again stays one row.
    let request = shop
        .request(Method::POST, "events", "/api/events")
        .header("origin", format!("https://{host}"));
    let single = Reply::of(request.json(&first[0].1)).await.expect(202);
    assert_eq!(single, json!({"success": true, "eventId": first[0].0}));
    // A verdict that needs no database is given at once, in its place.
    let mixed = json!({"events": [first[1].1, {"event_type": "code_sent", "session_id": "s"}]});
    let answer = Reply::of(shop.http.post(format!("{}/api/events", shop.info.gateway)).json(&mixed))
        .await
        .expect(200);
    assert_eq!(answer["results"][0]["status"], "accepted");
    assert_eq!(answer["results"][1]["reason"], "server_only_type");

    // PostgREST is away: still accepted, and stored when it is back.
    stack.stop_part(Part::Postgrest, Blow::Kill).await.unwrap();
    let second = events(50);
    accepted(&shop, &host, &second).await;
    accepted(&shop, &host, &second[..10]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stored(&shop, &second).await, 0);
    stack.start_part(Part::Postgrest).await.unwrap();
    // Late messages may have been given up meanwhile; then they are parked and replayed.
    let deadline = Instant::now() + Duration::from_secs(120);
    while stored(&shop, &second).await < 50 {
        assert!(Instant::now() < deadline, "{} of 50", stored(&shop, &second).await);
        shop.job("replay_events", None).await.expect(200);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    // One message breaks every call it is part of: its neighbours are stored, it is given up, kept, and stored once the fault is gone.
    let (poison, neighbours) = (events(3), events(20));
    let rule =
        json!([{"rpc": "ingest_event_batches", "match": poison[0].0, "status": 500, "body": {"code": "XX000", "message": "broken"}}]);
    let given_up = async {
        accepted(&shop, &host, &poison).await;
        accepted(&shop, &host, &neighbours).await;
        until(&shop, "the neighbours", &among(&neighbours), 20).await;
        until(
            &shop,
            "the message given up",
            "select count(*) from ops.parked_events where reason = 'retries_exhausted'",
            1,
        )
        .await;
    };
    shop.under_faults(&shop.info.proxy, rule, given_up).await;
    assert_eq!(stored(&shop, &poison).await, 0);
    let replayed = shop.job("replay_events", None).await.expect(200);
    assert_eq!(
        (&replayed["replayed"], &replayed["events"]["stored"]),
        (&json!(1), &json!(3)),
        "{replayed}"
    );
    assert_eq!(stored(&shop, &poison).await, 3);

    // Nobody's shop: accepted, for nobody was asked; kept until there is one.
    let later = format!("later-{}.test", shop.tenant.simple());
    let lost = events(2);
    let sql = format!(
        "delete from shop.domains where domain in ('127.0.0.1', 'localhost', '{}')",
        shop.info.demo.host
    );
    shop.db.batch_execute(&sql).await.unwrap();
    accepted(&shop, &later, &lost).await;
    until(
        &shop,
        "the message without a shop",
        "select count(*) from ops.parked_events where reason = 'unknown_tenant'",
        1,
    )
    .await;
    let sql = format!(
        "insert into shop.domains (domain, tenant_id, is_primary) values ('{later}', '{}', false)",
        shop.tenant
    );
    shop.db.batch_execute(&sql).await.unwrap();
    assert_eq!(shop.job("replay_events", None).await.expect(200)["replayed"], 1);
    assert_eq!(stored(&shop, &lost).await, 2);

    assert_eq!(
        shop.count("select count(*) from ops.parked_events where $1::uuid is not null")
            .await,
        0,
        "nothing is left behind"
    );

    too_many_requests(&shop).await;
    stack.stop().await.unwrap();
}

/// wrangler counts by the minute of its clock: among twice the limit and one, at least one must be over it. Others are not touched.
async fn too_many_requests(shop: &Shop) {
    let send = async |address: &str| {
        let request = shop.http.post(format!("{}/api/events", shop.info.gateway));
        let request = request.header("cf-connecting-ip", address).body(r#"{"events": []}"#);
        Reply::of(request.header("content-type", "application/json")).await
    };
    let mut refused = None;
    for _ in 0..2 * 600 + 1 {
        let answer = send("2001:db8::1").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a client over the limit");
    assert_eq!(refused.headers["retry-after"], "60");
    assert_eq!(refused.expect(429)["code"], "too_many_requests");
    assert_ne!(send("203.0.113.77").await.status, 429, "another client");
}
