//! Messages of the queue in the database: stored together, parked where they cannot be, tried again; and how long events are kept.

use lonieve_tests::interleaving::Who;
use lonieve_tests::interleaving::ground::JOBS;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::visits::{EVENTS, Place};

fn event(id: Uuid) -> Value {
    json!({"event_id": id, "event_type": "page_view", "session_id": format!("s-{id}")})
}

fn message(host: &str, events: &[Value]) -> Value {
    json!({"host": host, "accepted_at": "2026-01-15T12:00:00Z", "context": {"ip": "203.0.113.77", "country": "DE"}, "events": events})
}

/// A message's id in the queue.
fn id() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Place {
    async fn ingest(&self, messages: &[(&str, Value)]) -> Vec<Value> {
        let messages: Vec<Value> = messages.iter().map(|(id, body)| json!({"id": id, "body": body})).collect();
        let answer = self
            .line
            .outcome(EVENTS, "ingest_event_batches", json!({ "messages": messages }), "ok")
            .await;
        answer["results"].as_array().unwrap().clone()
    }

    async fn parked(&self, id: &str) -> Option<Value> {
        let sql = "select to_jsonb(e) from ops.parked_events e where message_id = $1";
        self.ground.admin.query_opt(sql, &[&id]).await.unwrap().map(|row| row.get(0))
    }

    async fn replay(&self) {
        // Others' messages lie there too: as often as something moves.
        while self.line.call(JOBS, "replay_events", &json!({"limit": 100})).await.unwrap()["more"] == true {}
    }

    async fn events(&self) -> i64 {
        self.ground
            .count("select count(*) from analytics.events where tenant_id = $1", self.tenant)
            .await
    }
}

#[tokio::test]
async fn messages_are_stored_together_and_each_has_its_counts() {
    let place = Place::new().await;
    let (a, b, c) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let (first, second) = (id(), id());
    let bad = json!({"event_id": Uuid::new_v4(), "event_type": "nonsense", "session_id": "s"});
    let messages = [
        (first.as_str(), message(&place.host, &[event(a), event(b), event(a)])),
        (second.as_str(), message(&place.host, &[event(c), bad, event(b)])),
    ];
    let results = place.ingest(&messages).await;
    assert_eq!(
        results,
        [
            json!({"outcome": "stored", "stored": 2, "duplicate": 1, "rejected": 0}),
            json!({"outcome": "stored", "stored": 1, "duplicate": 1, "rejected": 1}),
        ]
    );
    // Delivered once more.
    let again = place.ingest(&messages).await;
    assert_eq!((&again[0]["duplicate"], &again[1]["duplicate"]), (&json!(3), &json!(2)));
    assert_eq!(place.events().await, 3);
    let received = "select count(*) from analytics.events where tenant_id = $1 and received_at = '2026-01-15T12:00:00Z' and ip_address = '203.0.113.0' and country = 'DE'";
    assert_eq!(
        place.ground.count(received, place.tenant).await,
        3,
        "with the time and the context of the message"
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_parked_once_and_its_neighbours_are_stored() {
    let place = Place::new().await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    let unreadable = [
        json!(7),
        json!(null),
        json!({"base64": "e30="}),
        json!({"host": place.host}),
        json!({"host": place.host, "events": []}),
        json!({"host": place.host, "events": {}}),
        json!({"host": place.host, "events": [event(Uuid::new_v4())], "context": []}),
    ];
    let ids: Vec<String> = (0..=unreadable.len() + 1).map(|_| id()).collect();
    let mut messages: Vec<(&str, Value)> = ids.iter().map(String::as_str).zip(unreadable.iter().cloned()).collect();
    messages.push((&ids[unreadable.len()], message(&nobody, &[event(Uuid::new_v4())])));
    messages.push((&ids[unreadable.len() + 1], message(&place.host, &[event(Uuid::new_v4())])));
    for _ in 0..2 {
        let results = place.ingest(&messages).await;
        for (place_in_row, result) in results.iter().enumerate() {
            let expected = match place_in_row {
                n if n < unreadable.len() => json!({"outcome": "parked", "reason": "unreadable"}),
                n if n == unreadable.len() => json!({"outcome": "parked", "reason": "unknown_tenant"}),
                _ => continue,
            };
            assert_eq!(result, &expected, "{}", messages[place_in_row].1);
        }
    }
    assert_eq!(place.events().await, 1);
    for (id, body) in ids.iter().zip(&unreadable) {
        assert_eq!(&place.parked(id).await.unwrap()["payload"], body);
    }
    let kept = place.parked(&ids[unreadable.len()]).await.unwrap();
    assert_eq!(kept["payload"]["context"]["ip"], "203.0.113.0", "of the address only its network");
}

/// Postgres has one table of locks for everybody, checkouts too.
#[tokio::test]
async fn however_many_sessions_are_named_the_locks_are_few() {
    let place = Place::new().await;
    let sessions: Vec<Value> = (0..5000).map(|n| json!({"session_id": format!("s-{n}")})).collect();
    let batches = json!([{"tenant_id": place.tenant, "events": sessions}]);
    let admin = &place.ground.admin;
    admin.batch_execute("begin").await.unwrap();
    admin.query_one("select analytics.lock_sessions($1)", &[&batches]).await.unwrap();
    let held = "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'";
    let held: i64 = admin.query_one(held, &[]).await.unwrap().get(0);
    admin.batch_execute("rollback").await.unwrap();
    assert!((400..=512).contains(&held), "{held} locks");
}

/// What waits for a shop that may never come does not keep the others waiting.
#[tokio::test]
async fn what_can_be_stored_is_tried_first() {
    let place = Place::alone().await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    for _ in 0..3 {
        place.ingest(&[(&id(), message(&nobody, &[event(Uuid::new_v4())]))]).await;
    }
    let good = id();
    let dead = json!({"messages": [{"id": good, "body": message(&place.host, &[event(Uuid::new_v4())])}]});
    place.line.outcome(EVENTS, "park_events", dead, "ok").await;
    let replayed = place.line.call(JOBS, "replay_events", &json!({"limit": 1})).await.unwrap();
    assert_eq!(replayed["replayed"], 1, "{replayed}");
    assert_eq!((place.events().await, place.parked(&good).await), (1, None));
}

#[tokio::test]
async fn what_was_parked_is_stored_once_its_shop_is_there() {
    let place = Place::new().await;
    let (host, lost, given_up) = (format!("later-{}.test", Uuid::new_v4().simple()), id(), id());
    place.ingest(&[(&lost, message(&host, &[event(Uuid::new_v4())]))]).await;
    let dead = json!({"messages": [{"id": given_up, "body": message(&place.host, &[event(Uuid::new_v4())])}]});
    for _ in 0..2 {
        place.line.outcome(EVENTS, "park_events", dead.clone(), "ok").await;
    }
    assert_eq!(place.parked(&given_up).await.unwrap()["reason"], "retries_exhausted");
    place.replay().await;
    assert_eq!((place.events().await, place.parked(&given_up).await), (1, None));
    assert_eq!(place.parked(&lost).await.unwrap()["attempts"], 0, "nothing to try yet");
    let sql = format!(
        "insert into shop.domains (domain, tenant_id, is_primary) values ('{host}', '{}', false)",
        place.tenant
    );
    place.ground.admin.batch_execute(&sql).await.unwrap();
    place.replay().await;
    assert_eq!((place.events().await, place.parked(&lost).await), (2, None));
}

#[tokio::test]
async fn more_than_a_hundred_messages_or_no_list_is_the_callers_mistake() {
    let place = Place::new().await;
    let many: Vec<Value> = (0..101).map(|_| json!({"id": id(), "body": 7})).collect();
    for function in ["ingest_event_batches", "park_events"] {
        for messages in [json!(many), json!({}), json!("x")] {
            let refused = place
                .line
                .call(EVENTS, function, &json!({ "messages": messages }))
                .await
                .unwrap_err();
            assert_eq!((refused.sqlstate.as_str(), refused.message.as_str()), ("22023", "invalid_batch"));
        }
        let refused = place.line.call(Who::Worker("edge_orders"), function, &json!({})).await.unwrap_err();
        assert_eq!(refused.sqlstate, "42501");
    }
    let refused = place.line.call(EVENTS, "replay_events", &json!({})).await.unwrap_err();
    assert_eq!(refused.sqlstate, "42501");
}

#[tokio::test]
async fn events_are_deleted_when_their_shop_has_kept_them_long_enough() {
    // The retention of each of two shops, and by the second of it.
    let (usual, short) = (Place::new().await, Place::new().await);
    let setting = format!(
        "update shop.tenants set settings = '{{\"event_retention_months\": 2.0}}' where id = '{}'",
        short.tenant
    );
    short.ground.admin.batch_execute(&setting).await.unwrap();
    let now = "2026-12-15 12:00:00Z";
    for (place, months) in [(&usual, 14), (&short, 2)] {
        for second in [-1, 1] {
            let sql = format!(
                "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id) values (gen_random_uuid(), '{}', \
                 timestamptz '{now}' - interval '{months} months' + interval '{second} seconds', 'page_view', 'kept {second}')",
                place.tenant
            );
            place.ground.admin.batch_execute(&sql).await.unwrap();
        }
    }
    for place in [&usual, &short] {
        while place.line.call(JOBS, "purge", &json!({"now": now, "limit": 10})).await.unwrap()["more"] == true {}
        let kept = "select string_agg(session_id, ',') from analytics.events where tenant_id = $1";
        assert_eq!(place.ground.text(kept, place.tenant).await, "kept 1");
    }
}
