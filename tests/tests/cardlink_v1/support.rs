//! The provider's buttons, and notices of the tests' own making.

use lonieve_tests::{Placed, Reply, Shop, md5_signature, stack_v1};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use url::form_urlencoded::Serializer;

pub const NOTICE: &str = "/api/webhooks/cardlink";
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Fault rules and counts belong to the stack, not to a test: one that sets or reads them has the stack for itself.
static STACK: RwLock<()> = RwLock::const_new(());
static PREPARED: OnceCell<()> = OnceCell::const_new();

pub async fn among_others() -> RwLockReadGuard<'static, ()> {
    PREPARED.get_or_init(no_faults).await;
    STACK.read().await
}

/// Whatever becomes of the test, its faults end with it.
pub struct Alone(#[expect(dead_code, reason = "held until the faults are gone")] RwLockWriteGuard<'static, ()>);

pub async fn alone() -> Alone {
    PREPARED.get_or_init(no_faults).await;
    Alone(STACK.write().await)
}

impl Drop for Alone {
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

/// Presses a button of the hosted page (`pay`, `refund?amount=10`, ...) and waits for the notice's first answer.
pub async fn press(shop: &Shop, order: &Placed, button: &str) -> Value {
    let url = format!("{}/pay/{}/{button}", shop.info.sandbox, order.bill_id);
    Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200)
}

/// What the shop answered the notice of a button.
pub fn outcome(pressed: &Value) -> &str {
    let answer = &pressed["webhook"]["answers"][0];
    answer["body"]["outcome"]
        .as_str()
        .unwrap_or_else(|| panic!("no outcome: {pressed}"))
}

/// All answers to a notice that was sent several times, sorted.
pub fn outcomes(pressed: &Value) -> Vec<String> {
    let answers = pressed["webhook"]["answers"].as_array().unwrap();
    let mut outcomes: Vec<String> = answers
        .iter()
        .map(|answer| answer["body"]["outcome"].as_str().unwrap_or("none").to_owned())
        .collect();
    outcomes.sort();
    outcomes
}

/// Posts a form to one of the notice addresses.
pub async fn post(shop: &Shop, path: &str, fields: &[(&str, &str)]) -> Reply {
    let form = Serializer::new(String::new()).extend_pairs(fields).finish();
    Reply::of(shop.request(Method::POST, "cardlink", path).header("content-type", FORM).body(form)).await
}

/// A payment notice with the right signature for these two fields; `more` is signed by nobody.
pub async fn payment_notice(shop: &Shop, out_sum: &str, inv_id: &str, more: &[(&str, &str)]) -> Reply {
    let signature = md5_signature(&[out_sum, inv_id], &shop.info.cardlink.token);
    let signed = [("OutSum", out_sum), ("InvId", inv_id), ("SignatureValue", &signature)];
    post(shop, NOTICE, &[&signed, more].concat()).await
}

pub fn said(reply: &Reply) -> String {
    reply.expect(200)["outcome"].as_str().unwrap().to_owned()
}

/// Fault rules of the sandbox or the proxy, in place of those before. The provider's own repeats come in a week: tests send theirs
/// themselves, and one from an earlier test would be counted in a later.
pub async fn faults(base: &str, rules: Value) {
    let board = json!({"rules": rules, "retry_base_ms": 60_480_000});
    Reply::of(reqwest::Client::new().put(format!("{base}/faults")).json(&board))
        .await
        .expect(200);
}

pub async fn no_faults() {
    for base in [&stack_v1().sandbox, &stack_v1().proxy] {
        faults(base, json!([])).await;
    }
}

pub async fn sold(shop: &Shop) -> i64 {
    shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'sold'")
        .await
}

/// status and fulfilment of an order, with its review reason where it has one.
pub async fn state(shop: &Shop, order: &Placed) -> String {
    let (status, fulfilment, reason) = shop.state(order.order_id).await;
    reason.map_or(format!("{status} {fulfilment}"), |reason| format!("{status} {fulfilment} {reason}"))
}

/// One text from SQL; `$1` is the order.
pub async fn text(shop: &Shop, order: &Placed, sql: &str) -> Option<String> {
    shop.db
        .query_one(sql, &[&order.order_id])
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
        .get(0)
}

/// The ledger of the order's codes, in the order of writing.
pub async fn ledger(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(entry, ' ' order by id), '') from shop.code_ledger where order_id = $1";
    text(shop, order, sql).await.unwrap()
}

/// Open alerts of the order, with how often each came.
pub async fn alerts(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(type || ' ' || severity || ' ' || occurrences, ', ' order by type), '') from ops.system_notifications \
               where subject = 'order:' || $1::uuid and not is_resolved";
    text(shop, order, sql).await.unwrap()
}

pub async fn ledger_is_sound(shop: &Shop) {
    let sql = "select count(*) from ops.verify_ledger() v join shop.gift_codes g on g.id = v.code_id where g.tenant_id = $1";
    assert_eq!(shop.count(sql).await, 0);
}
