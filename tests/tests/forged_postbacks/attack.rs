//! Runs forgeries and their twins.

use futures::future::join_all;
use lonieve_tests::{Placed, Reply, Shop};
use reqwest::Method;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

pub const NOTICE: &str = "/api/webhooks/cardlink";

/// A request to one of the notice addresses.
#[derive(Clone, Debug)]
pub struct Sent {
    pub path: &'static str,
    pub content_type: Option<&'static str>,
    /// `Content-Encoding`, or a header that is meant to stand for something of the body.
    pub header: Option<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn typed(self, content_type: Option<&'static str>) -> Self {
        Self { content_type, ..self }
    }

    pub fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self {
            header: Some((name, value.into())),
            ..self
        }
    }

    pub async fn post(&self, shop: &Shop) -> Reply {
        let mut request = shop.request(Method::POST, "cardlink", self.path).body(self.body.clone());
        if let Some(content_type) = self.content_type {
            request = request.header("content-type", content_type);
        }
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        Reply::of(request).await
    }
}

/// What a forgery must get, and with it which rows it leaves (contracts: "Cardlink webhook answers").
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// 401; one more in the counter of the minute, and no log row.
    BadSignature,
    /// 400; nothing at all. Under v2 with what was wrong.
    Malformed(Option<&'static str>),
    /// 415; nothing at all.
    WrongType,
    /// 404; nothing of the order's. A row waits for a bill of that name.
    Unknown,
    /// 200 with this outcome, which is logged; the order stands where it stood.
    Heard(&'static str),
    /// 200; the twin in other words: a code, and a log row.
    Accepted,
}

pub struct Case {
    pub name: String,
    pub order: Placed,
    pub forged: Sent,
    pub expected: Expected,
    pub twin: Sent,
    /// What the twin does: mostly `fulfilled`.
    pub twin_outcome: &'static str,
}

/// Name, what is sent, what it must get.
pub type Row = (String, Sent, Expected);

/// The counter of bad signatures, and the rows of notices of unknown bills, belong to the stack. Who counts them is alone with them.
static COUNTED: [Mutex<()>; 2] = [Mutex::const_new(()), Mutex::const_new(())];

/// What a forgery may move: bad signatures counted so far and notices that wait for their bill; of its order the state, and the outcomes
/// logged, oldest first.
#[derive(Clone, Debug, PartialEq)]
struct Traces {
    rejected: i64,
    parked: i64,
    state: String,
    logged: Vec<String>,
}

async fn traces(shop: &Shop, order: &Placed) -> Traces {
    let sql = "select (select coalesce(sum(count), 0)::bigint from ops.webhook_rejections where source = 'cardlink'), \
                 (select count(*) from ops.webhook_logs where tenant_id is null and outcome = 'parked'), \
                 (select concat_ws(' ', status, fulfilment, review_reason, paid_at) from shop.orders where id = $1), \
                 (select coalesce(array_agg(outcome order by created_at), '{}') from ops.webhook_logs where order_id = $1 or bill_id = $2)";
    let row = shop.db.query_one(sql, &[&order.order_id, &order.bill_id]).await.unwrap();
    Traces {
        rejected: row.get(0),
        parked: row.get(1),
        state: row.get(2),
        logged: row.get(3),
    }
}

/// Alone with the stack's counters.
pub async fn alone(shop: &Shop) -> MutexGuard<'static, ()> {
    COUNTED[usize::from(shop.info.cardlink.api == "v1")].lock().await
}

/// Runs `work` and asserts how many bad signatures it made the stack count, and that no notice waits for a bill since.
pub async fn counting<T>(shop: &Shop, order: &Placed, rejected: i64, what: &str, work: impl Future<Output = T>) -> T {
    let _alone = alone(shop).await;
    let before = traces(shop, order).await;
    let result = work.await;
    let after = traces(shop, order).await;
    assert_eq!(
        (after.rejected, after.parked),
        (before.rejected + rejected, before.parked),
        "counted after {what}"
    );
    result
}

pub async fn sold(shop: &Shop) -> i64 {
    shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status in ('sold', 'revoked')")
        .await
}

/// Sends a forgery and checks its answer, its rows, and that the order stands where it stood.
async fn forge(shop: &Shop, case: &Case) {
    let what = format!("{}: {:?}", case.name, String::from_utf8_lossy(&case.forged.body));
    let _alone = alone(shop).await;
    let mut expected = traces(shop, &case.order).await;
    let reply = case.forged.post(shop).await;
    match &case.expected {
        Expected::BadSignature => {
            assert_eq!(reply.status, 401, "{what}: {}", reply.text);
            reply.refused(401, "invalid_signature");
            expected.rejected += 1;
        }
        Expected::Malformed(problem) => {
            assert_eq!(reply.status, 400, "{what}: {}", reply.text);
            let refusal = reply.refused(400, "invalid_request");
            if let Some(problem) = problem {
                assert_eq!(refusal["fields"], json!({"body": problem}), "{what}");
            }
        }
        Expected::WrongType => {
            assert_eq!(reply.status, 415, "{what}: {}", reply.text);
            reply.refused(415, "unsupported_media_type");
        }
        Expected::Unknown => {
            assert_eq!(reply.status, 404, "{what}: {}", reply.text);
            reply.refused(404, "payment_not_found");
            expected.parked += 1;
        }
        Expected::Heard(outcome) => {
            assert_eq!(reply.status, 200, "{what}: {}", reply.text);
            assert_eq!(reply.json()["outcome"], *outcome, "{what}");
            expected.logged.push((*outcome).to_owned());
        }
        Expected::Accepted => panic!("{what}: goes the way of the twins"),
    }
    assert_eq!(traces(shop, &case.order).await, expected, "{what}");
}

/// Which of some orders each row gets. Forgeries share one, ten at a time, and so its twin; what is accepted has one of its own.
pub fn shared(rows: &[Row]) -> Vec<usize> {
    let (mut orders, mut room, mut sharing) = (0, 0, 0);
    let places = rows.iter().map(|(_, _, expected)| {
        if *expected != Expected::Accepted && room > 0 {
            room -= 1;
            return sharing;
        }
        if *expected != Expected::Accepted {
            (room, sharing) = (9, orders);
        }
        orders += 1;
        orders - 1
    });
    places.collect()
}

/// Every forgery first, and of the tenant's rows only log rows may have come; then every twin.
pub async fn attack(shop: &Shop, cases: Vec<Case>) {
    let (accepted, forged): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.expected == Expected::Accepted);
    let heard = forged.iter().filter(|case| matches!(case.expected, Expected::Heard(_))).count() as i64;
    let logged_rows = [("ops.webhook_logs", heard), ("ops.system_health_metrics", heard)];
    let before = sold(shop).await;
    let all = async {
        for case in &forged {
            forge(shop, case).await;
        }
    };
    shop.adds(if heard > 0 { &logged_rows } else { &[] }, all).await;
    assert_eq!(sold(shop).await, before, "a forgery gave a code");
    let mut twins: Vec<_> = forged.iter().map(|case| (case, &case.twin)).collect();
    twins.dedup_by_key(|(case, _)| case.order.order_id);
    let twins = twins.into_iter();
    let twins = twins.chain(accepted.iter().map(|case| (case, &case.forged)));
    let taken = join_all(twins.map(async |(case, twin)| {
        let reply = twin.post(shop).await;
        let what = format!("twin of {}: {:?}", case.name, String::from_utf8_lossy(&twin.body));
        assert_eq!(reply.status, 200, "{what}: {}", reply.text);
        assert_eq!(reply.json()["outcome"], case.twin_outcome, "{what}");
        i64::from(case.twin_outcome == "fulfilled")
    }))
    .await;
    assert_eq!(sold(shop).await, before + taken.iter().sum::<i64>());
}

/// A shop whose orders are not limited, with a code for each of `count` orders, and those orders.
pub async fn orders(shop: &Shop, count: usize) -> Vec<Placed> {
    shop.settings(json!({"max_unpaid_units": 100_000, "max_unpaid_share": 100})).await;
    shop.add_codes("50.00", count).await;
    let mut placed = Vec::new();
    for _ in 0..count.div_ceil(8) {
        let many = (count - placed.len()).min(8);
        placed.extend(join_all((0..many).map(async |_| shop.place(&shop.cart()).await)).await);
    }
    placed
}

/// Waits until nothing of the tenant's is in the outbox any more.
pub async fn settled(shop: &Shop) {
    for _ in 0..200 {
        if shop.outbox().await.iter().all(|(_, status)| status == "done") {
            return;
        }
        shop.job("outbox", None).await.expect(200);
    }
    panic!("{:?}", shop.outbox().await);
}
