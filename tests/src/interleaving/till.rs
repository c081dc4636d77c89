//! A shop with one product, for tests that say step by step what happens: to one order, or to two calls at the same instant.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::ground::{CARDLINK, Ground, JOBS, Line, ORDERS, Who};
use super::world::{Shape, Stock, World, money};

/// One product of 37.50, and this many codes that cost 30.00.
pub struct Till {
    pub ground: Arc<Ground>,
    pub world: World,
    pub one: Arc<Line>,
    pub two: Arc<Line>,
}

#[derive(Debug, Clone)]
pub struct Placed {
    pub order: String,
    pub id: Uuid,
    pub bill: String,
}

pub fn codes(count: usize) -> Vec<Stock> {
    let code = |_| Stock {
        id: Uuid::new_v4(),
        card: 0,
        fingerprint: Uuid::new_v4(),
        cost: Some(3000),
        expires: None,
    };
    (0..count).map(code).collect()
}

impl Till {
    /// On a ground of its own.
    pub async fn with_codes(count: usize) -> Self {
        Self::of(Arc::new(Ground::new().await), count).await
    }

    /// On the ground the tests of this program share.
    pub async fn beside_others(count: usize) -> Self {
        Self::of(Arc::new(Ground::shared().await), count).await
    }

    async fn of(ground: Arc<Ground>, count: usize) -> Self {
        let (one, two) = (Arc::new(ground.line().await), Arc::new(ground.line().await));
        Self::on(&ground, &one, &two, count).await
    }

    /// A shop of its own on a ground, and lines, that others use too.
    pub async fn on(ground: &Arc<Ground>, one: &Arc<Line>, two: &Arc<Line>, count: usize) -> Self {
        let shape = Shape {
            products: vec![(10_000, 25, vec![5000])],
            settings: json!({"bill_ttl_s": 3600, "reservation_grace_s": 600, "max_unpaid_units": 1000, "max_unpaid_share": 100}),
            codes: codes(count),
        };
        Self {
            world: World::new(ground, one, &shape).await,
            ground: Arc::clone(ground),
            one: Arc::clone(one),
            two: Arc::clone(two),
        }
    }

    pub fn cart(&self) -> Value {
        let id = Uuid::new_v4();
        json!({
            "host": self.world.host, "order_id": id, "product_id": self.world.cards[0].product, "nominal": "50.00", "quantity": 1,
            "email": format!("{}@example.com", id.simple()), "now": self.world.now(),
        })
    }

    /// An order whose bill is not known yet.
    pub async fn unattached(&self) -> Placed {
        let created = self.one.outcome(ORDERS, "create_order", self.cart(), "created").await;
        let order = created["order_id"].as_str().unwrap().to_owned();
        Placed {
            id: order.parse().unwrap(),
            bill: format!("bill-{order}"),
            order,
        }
    }

    pub async fn place(&self) -> Placed {
        let placed = self.unattached().await;
        self.one.outcome(ORDERS, "attach_bill", self.attach(&placed), "attached").await;
        placed
    }

    pub fn attach(&self, placed: &Placed) -> Value {
        json!({"order_id": placed.order, "bill_id": placed.bill, "payment_url": "https://pay.example/1", "now": self.world.now()})
    }

    /// What the provider says of the bill, with the right sum.
    pub fn notice(&self, placed: &Placed, status: &str) -> Value {
        self.notice_of(placed, status, "37.50", "USD", None)
    }

    pub fn notice_of(&self, placed: &Placed, status: &str, amount: &str, currency: &str, received: Option<&str>) -> Value {
        json!({
            "source": "cardlink", "provider_api": if received.is_some() { "v1" } else { "v2" }, "origin": "webhook", "bill_id": placed.bill,
            "status": status, "raw_status": status, "amount": amount, "received": received, "currency": currency, "headers": {}, "body": {},
            "elapsed_ms": 1, "now": self.world.now(),
        })
    }

    /// The provider confirms that these refunds are done.
    pub fn refund(&self, placed: &Placed, cents: &[i64], currency: &str) -> Value {
        let listed: Vec<Value> = cents
            .iter()
            .enumerate()
            .map(|(n, part)| json!({"id": format!("r{n}"), "amount": money(*part)}))
            .collect();
        json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": placed.bill, "payment_id": "p1", "refund_id": format!("r{}", cents.len()),
            "refunded_amount": money(cents.iter().sum()), "refunds": listed, "currency": currency, "headers": {}, "body": {}, "elapsed_ms": 1,
            "now": self.world.now(),
        })
    }

    pub fn chargeback(&self, placed: &Placed, confirmed: bool) -> Value {
        json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": placed.bill, "payment_id": "p1", "chargeback_id": "c1", "confirmed": confirmed,
            "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        })
    }

    pub async fn pay(&self, placed: &Placed, outcome: &str) {
        self.one
            .outcome(CARDLINK, "settle_payment", self.notice(placed, "paid"), outcome)
            .await;
    }

    /// The first call is answered but not committed; the second comes meanwhile and waits for it. Both outcomes.
    pub async fn meet(&self, first: (Who, &str, Value), second: (Who, &str, Value)) -> (Value, Value) {
        self.one.begin(first.0).await.unwrap();
        let one = self.one.say(first.1, &first.2).await.unwrap();
        let (two, ()) = tokio::join!(self.two.call(second.0, second.1, &second.2), async {
            self.ground.until_blocked(self.two.backend).await;
            self.one.commit().await.unwrap();
        });
        (one, two.unwrap())
    }

    /// The first is not committed yet, and the second does not wait for it.
    pub async fn pass(&self, first: (Who, &str, Value), second: (Who, &str, Value)) -> (Value, Value) {
        self.one.begin(first.0).await.unwrap();
        let one = self.one.say(first.1, &first.2).await.unwrap();
        let two = self.two.call(second.0, second.1, &second.2).await.unwrap();
        self.one.commit().await.unwrap();
        (one, two)
    }

    pub async fn state(&self, placed: &Placed) -> String {
        let sql = "select concat_ws(' ', o.status, o.fulfilment, o.review_reason) from shop.orders o where o.id = $1";
        self.ground.text(sql, placed.id).await
    }

    /// The states of all codes, sorted.
    pub async fn shelf(&self) -> String {
        let sql = "select coalesce(string_agg(status, ' ' order by status), '') from shop.gift_codes where tenant_id = $1";
        self.ground.text(sql, self.world.tenant).await
    }

    pub async fn refunds(&self, placed: &Placed) -> String {
        let sql = "select coalesce(string_agg(concat_ws(' ', kind, refund_amount), ', ' order by refund_amount, kind), '') from shop.refunds where order_id = $1";
        self.ground.text(sql, placed.id).await
    }

    /// The ledger of this shop, and what the server has warned of.
    pub async fn is_sound(&self) {
        let sql = "select v.* from shop.gift_codes g, lateral ops.verify_ledger(g.id) v where g.tenant_id = $1";
        let faults = self.ground.admin.query(sql, &[&self.world.tenant]).await.unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!((self.one.warnings(), self.two.warnings()), (vec![], vec![]));
    }

    /// The same, and the end of the ground.
    pub async fn close(self) {
        self.is_sound().await;
        if let Ok(ground) = Arc::try_unwrap(self.ground) {
            ground.stop().await;
        }
    }

    pub fn fulfil(&self) -> (Who, &'static str, Value) {
        (JOBS, "fulfil_waiting", json!({"now": self.world.now()}))
    }
}
