//! Two things at the same instant, step by step: each schedule is forced by transactions that are held open.

use lonieve_tests::interleaving::ground::{CARDLINK, Ground, JOBS, Line, ORDERS, Who};
use lonieve_tests::interleaving::world::{Shape, Stock, World, money};
use serde_json::{Value, json};
use uuid::Uuid;

/// One product of 37.50, and this many codes that cost 30.00.
struct Table {
    ground: Ground,
    world: World,
    one: Line,
    two: Line,
}

struct Placed {
    order: String,
    id: Uuid,
    bill: String,
}

fn codes(count: usize) -> Vec<Stock> {
    let code = |_| Stock {
        id: Uuid::new_v4(),
        card: 0,
        fingerprint: Uuid::new_v4(),
        cost: Some(3000),
        expires: None,
    };
    (0..count).map(code).collect()
}

impl Table {
    async fn with_codes(count: usize) -> Self {
        let ground = Ground::new().await;
        let (one, two) = (ground.line().await, ground.line().await);
        let shape = Shape {
            products: vec![(10_000, 25, vec![5000])],
            settings: json!({"bill_ttl_s": 3600, "reservation_grace_s": 600, "max_unpaid_units": 1000, "max_unpaid_share": 100}),
            codes: codes(count),
        };
        let world = World::new(&ground, &one, &shape).await;
        Self { ground, world, one, two }
    }

    fn cart(&self) -> Value {
        let id = Uuid::new_v4();
        json!({
            "host": self.world.host, "order_id": id, "product_id": self.world.cards[0].product, "nominal": "50.00", "quantity": 1,
            "email": format!("{}@example.com", id.simple()), "now": self.world.now(),
        })
    }

    async fn place(&self) -> Placed {
        let created = self.one.outcome(ORDERS, "create_order", self.cart(), "created").await;
        let order = created["order_id"].as_str().unwrap().to_owned();
        let placed = Placed {
            id: order.parse().unwrap(),
            bill: format!("bill-{order}"),
            order,
        };
        self.one.outcome(ORDERS, "attach_bill", self.attach(&placed), "attached").await;
        placed
    }

    fn attach(&self, placed: &Placed) -> Value {
        json!({"order_id": placed.order, "bill_id": placed.bill, "payment_url": "https://pay.example/1", "now": self.world.now()})
    }

    fn notice(&self, placed: &Placed, status: &str) -> Value {
        json!({
            "source": "cardlink", "provider_api": "v2", "origin": "webhook", "bill_id": placed.bill, "status": status, "raw_status": status,
            "amount": "37.50", "currency": "USD", "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        })
    }

    /// The provider confirms that these refunds are done.
    fn refund(&self, placed: &Placed, cents: &[i64]) -> Value {
        let listed: Vec<Value> = cents
            .iter()
            .enumerate()
            .map(|(n, part)| json!({"id": format!("r{n}"), "amount": money(*part)}))
            .collect();
        json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": placed.bill, "payment_id": "p1", "refund_id": format!("r{}", cents.len() - 1),
            "refunded_amount": money(cents.iter().sum()), "refunds": listed, "currency": "USD", "headers": {}, "body": {}, "elapsed_ms": 1,
            "now": self.world.now(),
        })
    }

    fn chargeback(&self, placed: &Placed) -> Value {
        json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": placed.bill, "payment_id": "p1", "chargeback_id": "c1", "confirmed": true,
            "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        })
    }

    async fn pay(&self, placed: &Placed, outcome: &str) {
        self.one
            .outcome(CARDLINK, "settle_payment", self.notice(placed, "paid"), outcome)
            .await;
    }

    /// The first call is answered but not committed; the second comes meanwhile and waits for it. Both outcomes.
    async fn meet(&self, first: (Who, &str, Value), second: (Who, &str, Value)) -> (Value, Value) {
        self.one.begin(first.0).await.unwrap();
        let one = self.one.say(first.1, &first.2).await.unwrap();
        let (two, ()) = tokio::join!(self.two.call(second.0, second.1, &second.2), async {
            self.ground.until_blocked(self.two.backend).await;
            self.one.commit().await.unwrap();
        });
        (one, two.unwrap())
    }

    /// The first is not committed yet, and the second does not wait for it.
    async fn pass(&self, first: (Who, &str, Value), second: (Who, &str, Value)) -> (Value, Value) {
        self.one.begin(first.0).await.unwrap();
        let one = self.one.say(first.1, &first.2).await.unwrap();
        let two = self.two.call(second.0, second.1, &second.2).await.unwrap();
        self.one.commit().await.unwrap();
        (one, two)
    }

    async fn state(&self, placed: &Placed) -> String {
        let sql = "select concat_ws(' ', o.status, o.fulfilment, o.review_reason) from shop.orders o where o.id = $1";
        self.ground.text(sql, placed.id).await
    }

    /// The states of all codes, sorted.
    async fn shelf(&self) -> String {
        let sql = "select coalesce(string_agg(status, ' ' order by status), '') from shop.gift_codes where tenant_id = $1";
        self.ground.text(sql, self.world.tenant).await
    }

    async fn refunds(&self, placed: &Placed) -> String {
        let sql = "select coalesce(string_agg(concat_ws(' ', kind, refund_amount), ', ' order by refund_amount, kind), '') from shop.refunds where order_id = $1";
        self.ground.text(sql, placed.id).await
    }

    async fn ledger_is_sound(self) {
        let faults = self.ground.admin.query("select * from ops.verify_ledger()", &[]).await.unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!((self.one.warnings(), self.two.warnings()), (vec![], vec![]));
        self.ground.stop().await;
    }

    fn fulfil(&self) -> (Who, &'static str, Value) {
        (JOBS, "fulfil_waiting", json!({"now": self.world.now()}))
    }
}

/// An order whose money came when no code was left, and which waits.
async fn waiting() -> (Table, Placed) {
    let table = Table::with_codes(1).await;
    let placed = table.place().await;
    table
        .one
        .outcome(CARDLINK, "settle_payment", table.notice(&placed, "expired"), "expired")
        .await;
    let other = table.place().await;
    table.pay(&other, "fulfilled").await;
    table.pay(&placed, "manual_review").await;
    assert_eq!(table.state(&placed).await, "manual_review waiting no_codes_available");
    (table, placed)
}

#[tokio::test]
async fn an_import_and_a_settle_that_miss_each_other_are_brought_together_by_fulfil_waiting() {
    let (table, _) = waiting().await;
    let placed = {
        // A second order that is not paid yet, and for which nothing is left.
        let import = table.world.import(&codes(1), "one");
        table
            .one
            .outcome(Who::Person(table.world.manager), "import_codes", import, "ok")
            .await;
        let placed = table.place().await;
        table
            .one
            .outcome(CARDLINK, "settle_payment", table.notice(&placed, "expired"), "expired")
            .await;
        let (_, kind, p) = table.fulfil();
        assert_eq!(
            table.one.call(JOBS, kind, &p).await.unwrap()["fulfilled"],
            1,
            "the first order had waited for it"
        );
        placed
    };
    // Neither sees the other: the codes are not there for the settle, the order does not wait yet for the job that follows the import.
    let staff = Who::Person(table.world.manager);
    table.one.begin(CARDLINK).await.unwrap();
    let settled = table.one.say("settle_payment", &table.notice(&placed, "paid")).await.unwrap();
    table.two.begin(staff).await.unwrap();
    let imported = table.two.say("import_codes", &table.world.import(&codes(1), "two")).await.unwrap();
    assert_eq!((&settled["outcome"], &imported["imported"]), (&json!("manual_review"), &json!(1)));
    table.two.commit().await.unwrap();
    let (_, kind, p) = table.fulfil();
    let missed = table.two.call(JOBS, kind, &p).await.unwrap();
    assert_eq!(
        (&missed["fulfilled"], &missed["waiting"]),
        (&json!(0), &json!(0)),
        "the settle is not committed: nobody waits"
    );
    table.one.commit().await.unwrap();
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("manual_review waiting no_codes_available", "available sold sold")
    );

    let met = table.two.call(JOBS, kind, &p).await.unwrap();
    assert_eq!((&met["fulfilled"], &met["waiting"]), (&json!(1), &json!(0)));
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("paid delivered", "sold sold sold")
    );
    assert_eq!(table.two.call(JOBS, kind, &p).await.unwrap()["fulfilled"], 0);
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn a_payment_while_its_order_expires_takes_the_code_that_has_just_been_released() {
    let table = Table::with_codes(1).await;
    let placed = table.place().await;
    table.world.advance(4300);
    let expire = (
        JOBS,
        "expire_orders",
        json!({"order_ids": [placed.order], "now": table.world.now()}),
    );
    let (expired, paid) = table
        .meet(expire, (CARDLINK, "settle_payment", table.notice(&placed, "paid")))
        .await;
    assert_eq!((&expired["expired"], &paid["outcome"]), (&json!(1), &json!("fulfilled")));
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn an_expiry_while_its_order_is_paid_passes_it_by() {
    let table = Table::with_codes(1).await;
    let placed = table.place().await;
    table.world.advance(4300);
    let expire = json!({"order_ids": [placed.order], "now": table.world.now()});
    let paid = (CARDLINK, "settle_payment", table.notice(&placed, "paid"));
    let (paid, expired) = table.pass(paid, (JOBS, "expire_orders", expire.clone())).await;
    assert_eq!((&paid["outcome"], &expired["skipped"]), (&json!("fulfilled"), &json!(1)));
    let again = table.two.call(JOBS, "expire_orders", &expire).await.unwrap();
    assert_eq!((&again["expired"], &again["skipped"]), (&json!(0), &json!(1)));
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    table.ledger_is_sound().await;
}

/// An order whose bill is not attached yet.
async fn unattached(table: &Table) -> Placed {
    let created = table.one.outcome(ORDERS, "create_order", table.cart(), "created").await;
    let order = created["order_id"].as_str().unwrap().to_owned();
    Placed {
        id: order.parse().unwrap(),
        bill: format!("bill-{order}"),
        order,
    }
}

#[tokio::test]
async fn a_notice_that_is_being_parked_is_settled_by_the_bill_that_is_being_attached() {
    let table = Table::with_codes(1).await;
    let placed = unattached(&table).await;
    let notice = (CARDLINK, "settle_payment", table.notice(&placed, "paid"));
    let (parked, attached) = table.meet(notice, (ORDERS, "attach_bill", table.attach(&placed))).await;
    assert_eq!(
        (&parked["outcome"], &attached["outcome"]),
        (&json!("payment_not_found"), &json!("attached"))
    );
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    let logged = "select string_agg(outcome, ' ') from ops.webhook_logs where order_id = $1";
    assert_eq!(table.ground.text(logged, placed.id).await, "fulfilled");
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn a_notice_while_its_bill_is_being_attached_waits_and_finds_it() {
    let table = Table::with_codes(1).await;
    let placed = unattached(&table).await;
    let attach = (ORDERS, "attach_bill", table.attach(&placed));
    let (attached, paid) = table
        .meet(attach, (CARDLINK, "settle_payment", table.notice(&placed, "paid")))
        .await;
    assert_eq!((&attached["outcome"], &paid["outcome"]), (&json!("attached"), &json!("fulfilled")));
    assert_eq!(table.state(&placed).await, "paid delivered");
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn two_refund_notices_at_once_book_each_refund_once() {
    let table = Table::with_codes(1).await;
    let placed = table.place().await;
    table.pay(&placed, "fulfilled").await;
    let first = (CARDLINK, "settle_refund", table.refund(&placed, &[1000]));
    let (first, both) = table
        .meet(first, (CARDLINK, "settle_refund", table.refund(&placed, &[1000, 2750])))
        .await;
    assert_eq!(
        (&first["outcome"], &both["outcome"]),
        (&json!("partially_refunded"), &json!("refunded"))
    );
    assert_eq!(table.refunds(&placed).await, "refund 10.00, refund 27.50");
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("refunded revoked", "revoked")
    );
    let same = (CARDLINK, "settle_refund", table.refund(&placed, &[1000, 2750]));
    let (one, two) = table.meet(same.clone(), same).await;
    assert_eq!(
        (&one["outcome"], &two["outcome"]),
        (&json!("already_processed"), &json!("already_processed"))
    );
    assert_eq!(table.refunds(&placed).await, "refund 10.00, refund 27.50");
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn an_order_that_is_being_delivered_is_refunded_after_it_and_keeps_no_code() {
    let (table, placed) = waiting().await;
    let import = table.world.import(&codes(1), "one");
    table
        .one
        .outcome(Who::Person(table.world.manager), "import_codes", import, "ok")
        .await;
    let (fulfilled, refunded) = table
        .meet(table.fulfil(), (CARDLINK, "settle_refund", table.refund(&placed, &[3750])))
        .await;
    assert_eq!((&fulfilled["fulfilled"], &refunded["outcome"]), (&json!(1), &json!("refunded")));
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("refunded revoked", "revoked sold")
    );
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn an_order_that_is_being_refunded_is_not_delivered() {
    let (table, placed) = waiting().await;
    let import = table.world.import(&codes(1), "one");
    table
        .one
        .outcome(Who::Person(table.world.manager), "import_codes", import, "ok")
        .await;
    let refund = (CARDLINK, "settle_refund", table.refund(&placed, &[3750]));
    let (refunded, passed) = table.pass(refund, table.fulfil()).await;
    assert_eq!((&refunded["outcome"], &passed["fulfilled"]), (&json!("refunded"), &json!(0)));
    let (_, kind, p) = table.fulfil();
    assert_eq!(table.two.call(JOBS, kind, &p).await.unwrap(), json!({"fulfilled": 0, "waiting": 0}));
    assert_eq!(
        (table.state(&placed).await.as_str(), table.shelf().await.as_str()),
        ("refunded none", "available sold")
    );
    table.ledger_is_sound().await;
}

#[tokio::test]
async fn a_chargeback_and_a_payment_at_once_leave_no_code_whichever_comes_first() {
    for is_paid_first in [true, false] {
        let table = Table::with_codes(1).await;
        let placed = table.place().await;
        let paid = (CARDLINK, "settle_payment", table.notice(&placed, "paid"));
        let charged = (CARDLINK, "settle_chargeback", table.chargeback(&placed));
        let (outcomes, left) = if is_paid_first {
            let (paid, charged) = table.meet(paid, charged).await;
            ([paid, charged], ("chargeback revoked", "revoked"))
        } else {
            let (charged, paid) = table.meet(charged, paid).await;
            ([paid, charged], ("chargeback none", "available"))
        };
        let expected = if is_paid_first { "fulfilled" } else { "already_processed" };
        assert_eq!(
            (&outcomes[0]["outcome"], &outcomes[1]["outcome"]),
            (&json!(expected), &json!("chargeback"))
        );
        assert_eq!((table.state(&placed).await.as_str(), table.shelf().await.as_str()), left);
        assert_eq!(table.refunds(&placed).await, "chargeback 37.50");
        let fees = "select coalesce(string_agg(fee_amount::text, ' '), '') from shop.transaction_fees where order_id = $1";
        assert_eq!(table.ground.text(fees, placed.id).await, "1.39");
        table.ledger_is_sound().await;
    }
}

#[tokio::test]
async fn an_order_while_the_last_code_is_being_released_is_refused_or_gets_it() {
    let table = Table::with_codes(1).await;
    let placed = table.place().await;
    table.world.advance(4300);
    let expire = (
        JOBS,
        "expire_orders",
        json!({"order_ids": [placed.order], "now": table.world.now()}),
    );
    // Not committed: the code is not on the shelf. The order is refused and writes nothing.
    let (expired, refused) = table.pass(expire, (ORDERS, "create_order", table.cart())).await;
    assert_eq!((&expired["expired"], &refused["outcome"]), (&json!(1), &json!("out_of_stock")));
    let orders = "select count(*) from shop.orders where tenant_id = $1";
    assert_eq!(table.ground.count(orders, table.world.tenant).await, 1);
    // A moment later it is there; the next order has it, and of two at once one.
    let first = (ORDERS, "create_order", table.cart());
    let (first, second) = table.pass(first, (ORDERS, "create_order", table.cart())).await;
    assert_eq!((&first["outcome"], &second["outcome"]), (&json!("created"), &json!("out_of_stock")));
    assert_eq!(
        (table.ground.count(orders, table.world.tenant).await, table.shelf().await.as_str()),
        (2, "reserved")
    );
    table.ledger_is_sound().await;
}
