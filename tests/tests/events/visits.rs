//! Which events belong to one visit: at most thirty minutes apart, in whatever order they arrive.

use lonieve_tests::interleaving::{Ground, Line, Who};
use serde_json::{Value, json};
use uuid::Uuid;

pub const EVENTS: Who = Who::Worker("edge_events");

/// A shop in a database of this program's.
pub struct Place {
    pub ground: Ground,
    pub line: Line,
    pub tenant: Uuid,
    pub host: String,
}

impl Place {
    pub async fn new() -> Self {
        Self::on(Ground::shared().await).await
    }

    /// In a database of its own, for what works for all shops at once.
    pub async fn alone() -> Self {
        Self::on(Ground::new().await).await
    }

    async fn on(ground: Ground) -> Self {
        let line = ground.line().await;
        let tenant = Uuid::new_v4();
        let host = format!("t-{}.test", tenant.simple());
        let sql = format!(
            "insert into shop.tenants (id, name, primary_domain) values ('{tenant}', 'Test', '{host}'); \
             insert into shop.domains (domain, tenant_id, is_primary) values ('{host}', '{tenant}', true)"
        );
        ground.admin.batch_execute(&sql).await.unwrap();
        Self {
            ground,
            line,
            tenant,
            host,
        }
    }

    /// The argument of `ingest_events`: events of one session at these minutes.
    fn batch(&self, session: &str, events: &[(Uuid, i64)]) -> Value {
        let events: Vec<Value> = events
            .iter()
            .map(|(id, minute)| json!({"event_id": id, "event_type": "page_view", "session_id": session, "created_at": at(*minute)}))
            .collect();
        json!({"host": self.host, "context": {}, "events": events})
    }

    /// Sends them in one batch or one by one; the verdicts.
    async fn send(&self, session: &str, minutes: &[i64], together: bool) {
        let events: Vec<(Uuid, i64)> = minutes.iter().map(|minute| (Uuid::new_v4(), *minute)).collect();
        for batch in events.chunks(if together { events.len() } else { 1 }) {
            let answer = self.line.outcome(EVENTS, "ingest_events", self.batch(session, batch), "ok").await;
            let results = answer["results"].as_array().unwrap();
            assert!(results.iter().all(|result| result["status"] == "stored"), "{answer}");
        }
    }

    /// The minutes of each visit of a session, in the order of time.
    async fn visits(&self, session: &str) -> Vec<Vec<i64>> {
        let sql = "select array_agg(minute order by minute) from (select visit_id, (extract(epoch from created_at - $3) / 60)::bigint as minute \
                   from analytics.events where tenant_id = $1 and session_id = $2) e group by visit_id order by min(minute)";
        let zero: chrono::DateTime<chrono::Utc> = at(0).parse().unwrap();
        let rows = self.ground.admin.query(sql, &[&self.tenant, &session, &zero]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A minute of a day long ago: it does not matter which.
fn at(minute: i64) -> String {
    let zero: chrono::DateTime<chrono::Utc> = "2026-01-15T00:00:00Z".parse().unwrap();
    (zero + chrono::TimeDelta::minutes(minute)).to_rfc3339()
}

fn session() -> String {
    format!("s-{}", Uuid::new_v4().simple())
}

#[tokio::test]
async fn thirty_minutes_without_an_event_end_a_visit_whether_events_come_together_or_alone() {
    let place = Place::new().await;
    for (minutes, visits) in [
        (&[0, 10, 40][..], &[&[0, 10, 40][..]][..]),
        (&[0, 31], &[&[0], &[31]]),
        (&[0, 30, 60, 91, 121], &[&[0, 30, 60], &[91, 121]]),
        (&[0, 0, 0], &[&[0, 0, 0]]),
    ] {
        for together in [true, false] {
            let session = session();
            place.send(&session, minutes, together).await;
            assert_eq!(place.visits(&session).await, visits, "{minutes:?} together: {together}");
        }
    }
}

#[tokio::test]
async fn events_of_one_visit_find_each_other_in_every_order() {
    let place = Place::new().await;
    // Two groups, each within half an hour; every order of arrival.
    let minutes = [0, 14, 29, 100, 129];
    for order in orders(&minutes) {
        for together in [true, false] {
            let session = session();
            place.send(&session, &order, together).await;
            assert_eq!(
                place.visits(&session).await,
                [vec![0, 14, 29], vec![100, 129]],
                "{order:?} together: {together}"
            );
        }
    }
}

fn orders(minutes: &[i64]) -> Vec<Vec<i64>> {
    if minutes.len() <= 1 {
        return vec![minutes.to_vec()];
    }
    let mut all = Vec::new();
    for (index, first) in minutes.iter().enumerate() {
        let rest = [&minutes[..index], &minutes[index + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

#[tokio::test]
async fn a_late_event_joins_the_visit_before_it_else_the_one_after_it_and_merges_none() {
    let place = Place::new().await;
    let bridged = session();
    place.send(&bridged, &[0, 50], true).await;
    place.send(&bridged, &[25], true).await;
    assert_eq!(place.visits(&bridged).await, [vec![0, 25], vec![50]]);
    let before = session();
    place.send(&before, &[100], true).await;
    place.send(&before, &[75, 50], true).await;
    assert_eq!(place.visits(&before).await, [[50, 75, 100]], "the run's last event is near enough");
    // The stored event lies inside the run.
    let inside = session();
    place.send(&inside, &[40], true).await;
    place.send(&inside, &[0, 25, 50, 75], true).await;
    assert_eq!(place.visits(&inside).await, [[0, 25, 40, 50, 75]]);
}

#[tokio::test]
async fn a_duplicate_opens_no_visit_and_holds_none_together() {
    let place = Place::new().await;
    let (session, id) = (session(), Uuid::new_v4());
    let first = place.batch(&session, &[(id, 0)]);
    place.line.outcome(EVENTS, "ingest_events", first, "ok").await;
    // The same event with another time, between two others.
    let again = place.batch(&session, &[(Uuid::new_v4(), 200), (id, 225), (Uuid::new_v4(), 250)]);
    let answer = place.line.outcome(EVENTS, "ingest_events", again, "ok").await;
    assert_eq!(answer["results"][1]["status"], "duplicate");
    assert_eq!(place.visits(&session).await, [[0], [200], [250]]);
}

#[tokio::test]
async fn two_calls_with_one_session_at_once_make_one_visit() {
    let place = Place::new().await;
    let other = place.ground.line().await;
    let session = session();
    place.line.begin(EVENTS).await.unwrap();
    place
        .line
        .say("ingest_events", &place.batch(&session, &[(Uuid::new_v4(), 0)]))
        .await
        .unwrap();
    let batch = place.batch(&session, &[(Uuid::new_v4(), 5)]);
    let second = other.call(EVENTS, "ingest_events", &batch);
    let first = async {
        place.ground.until_blocked(other.backend).await;
        place.line.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(second, first);
    assert_eq!(answer.unwrap()["results"][0]["status"], "stored");
    assert_eq!(place.visits(&session).await, [[0, 5]]);
}
