//! Who may begin and finish a row, in SQL as the role that does it, in one transaction that is rolled back.

use lonieve_tests::{Placed, Shop};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{TURN, address, sold};

/// A sold order with one mail waiting, and nobody else's.
pub struct Lab {
    pub db: Client,
    pub shop: Shop,
    pub order: Placed,
}

impl Lab {
    pub async fn new() -> Self {
        let shop = Shop::with_codes(1).await;
        let order = sold(&shop, &address("lab")).await;
        let (db, connection) = tokio_postgres::connect(&shop.info.database_url, NoTls).await.unwrap();
        tokio::spawn(connection);
        db.batch_execute("begin; set local statement_timeout = '20s'").await.unwrap();
        let lab = Self { db, shop, order };
        lab.run("update ops.outbox set next_attempt_at = 'infinity' where status = 'pending' and tenant_id <> $1")
            .await;
        lab.again().await;
        lab
    }

    /// A statement about the tenant, `$1`, as superuser.
    pub async fn run(&self, sql: &str) {
        self.db
            .execute(sql, &[&self.shop.tenant])
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// One more mail of the order waits.
    pub async fn again(&self) {
        self.run(&format!(
            "with o as (update shop.orders set email_status = 'pending' where tenant_id = $1) \
             select ops.enqueue($1, 'mail.codes', '{}', '{{}}', now())",
            self.order.order_id
        ))
        .await;
    }

    /// Calls `api.<function>(p)` as jobs.
    pub async fn call(&self, function: &str, p: Value) -> Value {
        self.db.batch_execute("set local role edge_jobs").await.unwrap();
        let answer = self.db.query_one(&format!("select api.{function}($1)"), &[&p]).await;
        let answer = answer.unwrap_or_else(|e| panic!("{function}({p}): {e:?}")).get(0);
        self.db.batch_execute("reset role").await.unwrap();
        answer
    }

    /// Id and lease of the one row that is due, so many minutes from now.
    pub async fn claim(&self, minutes: i32) -> (Value, Value) {
        let claimed = self
            .call("claim_outbox", json!({"limit": 20, "lease_s": 60, "now": self.time(minutes).await}))
            .await;
        let rows = claimed["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{claimed}");
        (rows[0]["id"].clone(), rows[0]["lease"].clone())
    }

    pub async fn claims_nothing(&self, minutes: i32) {
        let claimed = self.call("claim_outbox", json!({"now": self.time(minutes).await})).await;
        assert_eq!(claimed["rows"], json!([]));
    }

    pub async fn time(&self, minutes: i32) -> Value {
        let sql = "select to_jsonb(now() + make_interval(mins => $1))";
        self.db.query_one(sql, &[&minutes]).await.unwrap().get(0)
    }

    /// What begin answers a worker with this lease.
    pub async fn begin(&self, id: &Value, lease: &Value, minutes: i32) -> Value {
        let p = json!({"rows": [{"id": id, "lease": lease, "payload_hash": "h"}], "now": self.time(minutes).await});
        self.call("begin_outbox", p).await["rows"][0]["outcome"].clone()
    }

    /// A provider's id of a mail of this order: ids are the provider's, whichever shop they are about.
    pub fn mail(&self, name: &str) -> String {
        format!("{name}-{}", self.order.order_id)
    }

    /// The one count that is not zero.
    pub async fn finish(&self, id: &Value, lease: &Value, minutes: i32, verdict: Value) -> String {
        let mut row = json!({"id": id, "lease": lease, "duration_ms": 5});
        row.as_object_mut().unwrap().extend(verdict.as_object().unwrap().clone());
        if let Some(mail) = row["provider_id"].as_str() {
            row["provider_id"] = json!(self.mail(mail));
        }
        let p = json!({"provider": "resend", "rows": [row], "now": self.time(minutes).await});
        let counts = self.call("finish_outbox", p).await;
        let counted: Vec<_> = counts.as_object().unwrap().iter().filter(|(_, n)| **n != json!(0)).collect();
        assert!(counted.len() == 1 && *counted[0].1 == json!(1), "{counts}");
        counted[0].0.clone()
    }

    /// The row as the table has it.
    pub async fn row(&self, id: &Value) -> Value {
        let sql = "select to_jsonb(b) from ops.outbox b where id = $1::text::uuid";
        self.db.query_one(sql, &[&id.as_str().unwrap()]).await.unwrap().get(0)
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.db.query_one(sql, &[&self.shop.tenant]).await.unwrap().get(0)
    }

    pub async fn open_alerts(&self) -> i64 {
        self.count("select count(*) from ops.system_notifications where tenant_id = $1 and type = 'failed_email' and not is_resolved")
            .await
    }

    pub async fn email_status(&self) -> String {
        let sql = "select email_status from shop.orders where tenant_id = $1";
        self.db.query_one(sql, &[&self.shop.tenant]).await.unwrap().get(0)
    }
}

fn sent() -> Value {
    json!({"outcome": "sent", "provider_id": "m-late"})
}

const SENDS: &str = "select count(*) from ops.mail_sends where tenant_id = $1 and provider_id like 'm-late%'";

#[tokio::test]
async fn only_the_lease_of_the_claim_begins_and_finishes_a_row() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let (id, lease) = lab.claim(0).await;
    for wrong in [Value::Null, json!("nonsense"), json!(uuid::Uuid::new_v4())] {
        let before = lab.row(&id).await;
        assert_eq!(lab.begin(&id, &wrong, 0).await, "gone");
        for outcome in ["retry", "dead", "released"] {
            assert_eq!(lab.finish(&id, &wrong, 0, json!({"outcome": outcome, "error": "x"})).await, "stale");
        }
        assert_eq!(lab.row(&id).await, before, "{wrong}");
    }
    assert_eq!(lab.begin(&id, &lease, 0).await, "send");
    assert_eq!(lab.begin(&id, &lease, 2).await, "gone", "its time is over");
    assert_eq!(lab.finish(&id, &lease, 0, sent()).await, "sent");
    assert_eq!(
        lab.finish(&id, &lease, 0, json!({"outcome": "dead"})).await,
        "stale",
        "finished once"
    );
    assert_eq!(lab.row(&id).await["status"], "done");
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_touch_the_work_of_the_next() {
    let _turn = TURN.lock().await;
    for verdict in [
        json!({"outcome": "retry", "error": "late"}),
        json!({"outcome": "dead", "error": "late"}),
        json!({"outcome": "released"}),
        sent(),
    ] {
        let lab = Lab::new().await;
        let (id, old) = lab.claim(0).await;
        let (same, new) = lab.claim(10).await;
        assert!(same == id && old != new, "another worker has it now");
        let before = lab.row(&id).await;
        assert_eq!(lab.begin(&id, &old, 10).await, "gone");
        assert_eq!(lab.finish(&id, &old, 10, verdict.clone()).await, "stale");
        assert_eq!(lab.row(&id).await, before, "{verdict}");
        assert_eq!((lab.email_status().await.as_str(), lab.open_alerts().await), ("pending", 0));
        // The fact alone is kept.
        assert_eq!(lab.count(SENDS).await, i64::from(verdict == sent()));
        assert_eq!(lab.begin(&id, &new, 10).await, "send");
        assert_eq!(
            lab.finish(&id, &new, 10, json!({"outcome": "sent", "provider_id": "m-new"})).await,
            "sent"
        );
        assert_eq!(lab.row(&id).await["provider_id"], lab.mail("m-new"));
    }
}

#[tokio::test]
async fn that_the_provider_took_the_mail_decides_as_soon_as_nobody_holds_the_row() {
    let _turn = TURN.lock().await;
    // The next one's own attempt fails: the mail is out all the same.
    for outcome in ["retry", "dead"] {
        let lab = Lab::new().await;
        let (id, old) = lab.claim(0).await;
        let (_, new) = lab.claim(10).await;
        assert_eq!(lab.finish(&id, &old, 10, sent()).await, "stale");
        assert_eq!(
            lab.finish(&id, &new, 10, json!({"outcome": outcome, "error": "HTTP 500"})).await,
            "sent"
        );
        let row = lab.row(&id).await;
        assert_eq!(
            (&row["status"], &row["provider_id"], lab.open_alerts().await),
            (&json!("done"), &json!(lab.mail("m-late")), 0)
        );
        assert_eq!(lab.email_status().await, "sent");
    }
    // The next one vanishes too: the row is closed instead of sent a third time.
    let lab = Lab::new().await;
    let (id, old) = lab.claim(0).await;
    lab.claim(10).await;
    assert_eq!(lab.finish(&id, &old, 10, sent()).await, "stale");
    lab.claims_nothing(20).await;
    assert_eq!(
        (lab.row(&id).await["status"].clone(), lab.email_status().await),
        (json!("done"), "sent".into())
    );
    // The next one has put it off: closed at once.
    let lab = Lab::new().await;
    let (id, old) = lab.claim(0).await;
    let (_, new) = lab.claim(10).await;
    assert_eq!(
        lab.finish(&id, &new, 10, json!({"outcome": "retry", "error": "HTTP 503"})).await,
        "retried"
    );
    assert_eq!(lab.finish(&id, &old, 10, sent()).await, "stale");
    assert_eq!(lab.row(&id).await["status"], "done");
    // The next one has given up: a dead letter that arrived is none, and its alert is closed.
    let lab = Lab::new().await;
    let (id, old) = lab.claim(0).await;
    let (_, new) = lab.claim(10).await;
    assert_eq!(
        lab.finish(&id, &new, 10, json!({"outcome": "dead", "error": "HTTP 422"})).await,
        "dead"
    );
    assert_eq!((lab.email_status().await.as_str(), lab.open_alerts().await), ("failed", 1));
    assert_eq!(lab.finish(&id, &old, 10, sent()).await, "stale");
    assert_eq!(lab.row(&id).await["status"], "done");
    assert_eq!((lab.email_status().await.as_str(), lab.open_alerts().await), ("sent", 0));
}

#[tokio::test]
async fn a_row_whose_workers_vanish_is_given_up_after_eight() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let mut leases = Vec::new();
    let mut id = Value::Null;
    for n in 0..8 {
        let (row, lease) = lab.claim(n * 10).await;
        assert!(!leases.contains(&lease), "every claim has a lease of its own");
        leases.push(lease);
        id = row;
    }
    let row = lab.row(&id).await;
    assert!(
        row["attempts"] == 7 && row["unanswered_at"].is_string(),
        "nobody knows whether one of them sent it: {row}"
    );
    lab.claims_nothing(80).await;
    assert_eq!((&lab.row(&id).await["status"], lab.open_alerts().await), (&json!("dead"), 1));
}

#[tokio::test]
async fn what_is_handed_back_was_no_attempt() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let (id, lease) = lab.claim(0).await;
    assert_eq!(
        lab.finish(&id, &lease, 0, json!({"outcome": "released", "retry_after_s": 120}))
            .await,
        "released"
    );
    let row = lab.row(&id).await;
    assert_eq!(
        (&row["attempts"], &row["lease_id"], &row["last_error"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
    assert_eq!(
        lab.count("select count(*) from ops.integration_logs where tenant_id = $1 and status <> 'success'")
            .await,
        0
    );
    lab.claims_nothing(1).await;
    lab.claim(2).await;
}
