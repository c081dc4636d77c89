//! What the tracker of a case must have left in the database: `facts.tracked` names sessions with their events, `facts.closes` the pages
//! that were closed.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Client;

pub async fn check(db: &Client, facts: &Value) {
    for tracked in facts["tracked"].as_array().into_iter().flatten() {
        session(db, tracked["session"].as_str().unwrap(), &tracked["types"]).await;
    }
    if let Some(run) = facts["closes"]["run"].as_str() {
        closes(db, run, facts["closes"]["count"].as_i64().unwrap()).await;
    }
}

/// Exactly these events, so many of each type. The last ones may still be on their way, from a page that is gone.
async fn session(db: &Client, id: &str, expected: &Value) {
    let sql = "select coalesce(jsonb_object_agg(t.event_type, t.n), '{}') \
               from (select event_type, count(*) as n from analytics.events where session_id = $1 group by event_type) t";
    let mut found = Value::Null;
    for _ in 0..200 {
        found = db.query_one(sql, &[&id]).await.unwrap().get(0);
        if found == *expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(&found, expected, "the events of session {id}");
}

/// Each page has told once that it was seen and once that it was left.
async fn closes(db: &Client, run: &str, count: i64) {
    let sql = "select count(*) filter (where p.views = 1 and p.leaves = 1), \
                 coalesce(string_agg(p.url || ': ' || p.views || ' views, ' || p.leaves || ' leaves', '; ') filter (where p.views <> 1 or p.leaves <> 1), '') \
               from (select n, '/landing?close=' || $1::text || '-' || n as url, \
                       count(*) filter (where e.event_type = 'page_view') as views, count(*) filter (where e.event_type = 'x_page_leave') as leaves \
                     from generate_series(0, $2::bigint - 1) n \
                     left join analytics.events e on e.url = '/landing?close=' || $1::text || '-' || n group by n) p";
    let mut wrong = String::new();
    for _ in 0..200 {
        let row = db.query_one(sql, &[&run, &count]).await.unwrap();
        wrong = row.get(1);
        if row.get::<_, i64>(0) == count {
            return println!("{count} pages closed: each page_view and each leave event stored once");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("of {count} pages that were closed: {wrong}");
}
