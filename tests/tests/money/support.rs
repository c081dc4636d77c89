//! Orders with a partner, money that comes and goes, and the staff's refunds.

use lonieve_tests::{Placed, Reply, Shop, stack_v1};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Refund jobs take what is due of all tenants, and faults belong to the stack: tests that use either go one after the other.
static STACK: Mutex<()> = Mutex::const_new(());

pub struct Turn(#[expect(dead_code, reason = "held until the test ends")] MutexGuard<'static, ()>);

pub async fn turn() -> Turn {
    let turn = Turn(STACK.lock().await);
    no_faults().await;
    turn
}

impl Drop for Turn {
    fn drop(&mut self) {
        let cleared = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(no_faults())
        });
        // Where the stack is gone, the test has said so already.
        let _ = cleared.join();
    }
}

/// Rules of the sandbox or the proxy, in place of those before. The provider's own repeats come in a week.
pub async fn faults(base: &str, rules: Value) {
    let board = json!({"rules": rules, "retry_base_ms": 60_480_000});
    Reply::of(reqwest::Client::new().put(format!("{base}/faults")).json(&board))
        .await
        .expect(200);
}

async fn no_faults() {
    for base in [&stack_v1().sandbox, &stack_v1().proxy] {
        faults(base, json!([])).await;
    }
}

/// Drops every notice the provider sends.
pub fn deaf() -> Value {
    json!({"route": "cardlink.webhook", "drop": true})
}

/// A partner of the shop with this rate, and the code of his link.
pub struct Partner {
    pub id: Uuid,
    pub link: Uuid,
    pub code: String,
    pub email: String,
}

pub async fn partner(shop: &Shop, rate: &str) -> Partner {
    let partner = Partner {
        id: Uuid::new_v4(),
        link: Uuid::new_v4(),
        code: format!("REF{}", &Uuid::new_v4().simple().to_string()[..12]),
        email: format!("partner-{}@example.com", Uuid::new_v4().simple()),
    };
    let account = "insert into shop.partner_accounts (id, tenant_id, partner_name, partner_email, api_secret_hash, commission_rate) \
                   values ($1, $2, 'Partner', $3, repeat('0', 64), $4::text::numeric)";
    shop.db
        .execute(account, &[&partner.id, &shop.tenant, &partner.email, &rate])
        .await
        .unwrap();
    let link = "insert into shop.affiliate_links (id, tenant_id, partner_id, link_code) values ($1, $2, $3, $4)";
    shop.db
        .execute(link, &[&partner.link, &shop.tenant, &partner.id, &partner.code])
        .await
        .unwrap();
    partner
}

/// What the provider says, told to the database in the Worker's name: quick, and with a time of the test's choosing.
pub struct Told<'a> {
    pub shop: &'a Shop,
    pub order: &'a Placed,
    /// RFC 3339; `None`: now.
    pub at: Option<&'a str>,
}

impl Told<'_> {
    async fn tell(&self, function: &str, mut p: Value) -> String {
        p["source"] = json!("cardlink");
        p["provider_api"] = json!("v1");
        p["bill_id"] = json!(self.order.bill_id);
        p["currency"] = p.get("currency").cloned().unwrap_or(json!("USD"));
        p["now"] = json!(self.at);
        let token = &self.shop.info.tokens["cardlink"];
        self.shop.rpc(token, function, p).await.expect(200)["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub async fn paid(&self) -> String {
        self.notice("paid", &self.order.amount, None).await
    }

    /// `asked` is the bill's amount, `received` what came in where it is another.
    pub async fn notice(&self, status: &str, asked: &str, received: Option<&str>) -> String {
        self.tell("settle_payment", json!({"status": status, "amount": asked, "received": received}))
            .await
    }

    pub async fn refunded(&self, id: &str, amount: &str) -> String {
        let p = json!({"payment_id": "pay-1", "refund_id": id, "refunds": [{"id": id, "amount": amount}]});
        self.tell("settle_refund", p).await
    }

    pub async fn charged_back(&self) -> String {
        self.tell(
            "settle_chargeback",
            json!({"payment_id": "pay-1", "chargeback_id": "cb-1", "confirmed": true}),
        )
        .await
    }
}

pub fn told<'a>(shop: &'a Shop, order: &'a Placed) -> Told<'a> {
    Told { shop, order, at: None }
}

/// Places an order through a partner's link.
pub async fn referred(shop: &Shop, partner: &Partner, nominal: u32) -> Placed {
    let mut cart = shop.cart();
    (cart["ref"], cart["nominal"]) = (json!(partner.code), json!(nominal));
    shop.place(&cart).await
}

/// One text from SQL; `$1` is the order.
pub async fn text(shop: &Shop, order: &Placed, sql: &str) -> String {
    shop.db
        .query_one(sql, &[&order.order_id])
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
        .get::<_, Option<String>>(0)
        .unwrap_or_else(|| "null".to_owned())
}

/// status and fulfilment of an order, with its review reason where it has one.
pub async fn state(shop: &Shop, order: &Placed) -> String {
    text(
        shop,
        order,
        "select concat_ws(' ', status, fulfilment, review_reason) from shop.orders where id = $1",
    )
    .await
}

/// fees, refunds, true profit and commission as the order has them.
pub async fn columns(shop: &Shop, order: &Placed) -> String {
    let sql = "select concat_ws(' ', transaction_fees, refund_amount, coalesce(true_profit::text, 'unknown'), coalesce(partner_commission::text, 'none')) \
               from shop.orders where id = $1";
    text(shop, order, sql).await
}

/// The order's rows of commission: kind, base, rate, amount, why denied.
pub async fn commission(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', kind, base, rate, amount, denied), ', ' order by id), '') \
               from shop.partner_commissions where order_id = $1";
    text(shop, order, sql).await
}

/// The order's rows of money that went back: kind, amount, type, status.
pub async fn refund_rows(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', kind, refund_amount, refund_type, status), ', ' order by requested_at, refund_amount), '') \
               from shop.refunds where order_id = $1";
    text(shop, order, sql).await
}

/// The ledger of the order's codes, in the order of writing.
pub async fn ledger(shop: &Shop, order: &Placed) -> String {
    text(
        shop,
        order,
        "select coalesce(string_agg(entry, ' ' order by id), '') from shop.code_ledger where order_id = $1",
    )
    .await
}

/// Open alerts of the order.
pub async fn alerts(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(type || ' ' || severity, ', ' order by type), '') from ops.system_notifications \
               where subject = 'order:' || $1::uuid and not is_resolved";
    text(shop, order, sql).await
}

/// Presses a button of the hosted page and waits for the notice's first answer.
pub async fn press(shop: &Shop, order: &Placed, button: &str) -> Value {
    let url = format!("{}/pay/{}/{button}", shop.info.sandbox, order.bill_id);
    Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200)
}

/// A shop with stock, and an order that is paid at the provider, without commission on top.
pub async fn paid(codes: usize) -> (Shop, Placed) {
    let shop = Shop::v1(codes).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "pay?commission=0").await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
    (shop, order)
}

/// The same, before anything of its mail has begun: the notice does not reach the Worker, which would wake the outbox.
pub async fn paid_unmailed(codes: usize) -> (Shop, Placed) {
    let shop = Shop::v1(codes).await;
    faults(&shop.info.sandbox, json!([deaf()])).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "pay?commission=0").await;
    faults(&shop.info.sandbox, json!([])).await;
    assert_eq!(told(&shop, &order).paid().await, "fulfilled");
    // Other tests' runs of the outbox take what is due of all shops.
    let later = "update ops.outbox set next_attempt_at = now() + interval '1 hour' where tenant_id = $1 and status = 'pending'";
    shop.db.execute(later, &[&shop.tenant]).await.unwrap();
    let begun = "select count(*) from ops.outbox where tenant_id = $1 and kind like 'mail.%'";
    assert_eq!(shop.count(begun).await, 0, "a run of the outbox was quicker than this test");
    (shop, order)
}

/// Asks for a refund through PostgREST, in a manager's name: as the admin Worker does, but without waking the jobs.
pub async fn ask(shop: &Shop, order: &Placed, amount: Option<&str>) -> Uuid {
    let p = json!({"order_id": order.order_id, "amount": amount, "reason": "The card is not wanted."});
    let asked = shop.rpc(&shop.staff_token, "refund_order", p).await.expect(200);
    assert_eq!(asked["outcome"], "ok", "{asked}");
    let refunds = asked["order"]["refunds"].as_array().unwrap();
    let open = refunds.iter().find(|refund| refund["status"] == "approved").unwrap();
    open["id"].as_str().unwrap().parse().unwrap()
}

/// Runs the job so many minutes from now.
pub async fn run(shop: &Shop, minutes: u32) -> Value {
    let clock = match minutes {
        0 => None,
        _ => Some(shop.time(&format!("{minutes} minutes")).await),
    };
    shop.job("refunds", clock.as_deref()).await.expect(200)
}

pub async fn refund_status(shop: &Shop, refund: Uuid) -> String {
    shop.db
        .query_one("select status from shop.refunds where id = $1", &[&refund])
        .await
        .unwrap()
        .get(0)
}

/// How often the provider was asked for this refund.
pub async fn calls(shop: &Shop, refund: Uuid) -> usize {
    let recorded = Reply::of(
        shop.http
            .get(format!("{}/calls?route=cardlink.refund", shop.info.sandbox))
            .header("accept", "application/json"),
    )
    .await
    .expect(200);
    let named = format!("order_id={refund}");
    recorded
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["body"].as_str().unwrap().contains(&named))
        .count()
}

/// The refunds the provider has made of an order's payments: amount and status.
pub async fn at_provider(shop: &Shop, order: &Placed) -> String {
    let get = async |path: String| {
        Reply::of(
            shop.http
                .get(format!("{}/cardlink/v1/{path}", shop.info.sandbox))
                .bearer_auth(&shop.info.cardlink.token),
        )
        .await
        .expect(200)
    };
    let mut made = Vec::new();
    for payment in get(format!("bill/payments?id={}", order.bill_id)).await["data"].as_array().unwrap() {
        let shown = get(format!("payment/status?id={}&refunds=1", payment["id"].as_str().unwrap())).await;
        for refund in shown["refunds"].as_array().unwrap() {
            made.push(format!(
                "{} {}",
                refund["amount"].as_str().unwrap(),
                refund["status"].as_str().unwrap()
            ));
        }
    }
    made.join(", ")
}

pub async fn admin_refund(shop: &Shop, token: &str, order: Uuid, body: &Value) -> Reply {
    Reply::of(shop.admin(token, Method::POST, &format!("orders/{order}/refund")).json(body)).await
}

/// Waits, a few seconds at most, for what runs in the background.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// How many codes the buyer sees; looking reveals them.
pub async fn shown_codes(shop: &Shop, order: &Placed) -> usize {
    shop.order(order.order_id, &order.token).await.expect(200)["codes"]
        .as_array()
        .unwrap()
        .len()
}
