//! v1 notices as the sandbox signs them, and a provider that takes money without telling.

use std::sync::Mutex;

use lonieve_tests::{Placed, Reply, Shop, stack_v1};
use serde_json::{Value, json};
use url::form_urlencoded::{Serializer, parse};

use crate::attack::Sent;

pub const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// Fields in the order of sending.
pub type Fields = Vec<(String, String)>;

pub fn fields_of(form: &str) -> Fields {
    parse(form.as_bytes()).into_owned().collect()
}

pub fn encoded(fields: &[(String, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn value<'f>(fields: &'f [(String, String)], name: &str) -> &'f str {
    let found = fields.iter().find(|(n, _)| n == name);
    &found.unwrap_or_else(|| panic!("no {name} in {fields:?}")).1
}

/// These fields with one of them set, which must be there.
pub fn with(fields: &[(String, String)], name: &str, value: &str) -> Fields {
    let mut fields = fields.to_vec();
    fields.iter_mut().find(|(n, _)| n == name).unwrap().1 = value.to_owned();
    fields
}

pub fn without(fields: &[(String, String)], name: &str) -> Fields {
    fields.iter().filter(|(n, _)| n != name).cloned().collect()
}

pub fn renamed(fields: &[(String, String)], name: &str, to: &str) -> Fields {
    let mut fields = fields.to_vec();
    fields.iter_mut().find(|(n, _)| n == name).unwrap().0 = to.to_owned();
    fields
}

pub fn added(fields: &[(String, String)], name: &str, value: &str) -> Fields {
    [fields, &[(name.to_owned(), value.to_owned())]].concat()
}

pub fn form(path: &'static str, body: impl Into<Vec<u8>>) -> Sent {
    Sent {
        path,
        content_type: FORM,
        header: None,
        body: body.into(),
    }
}

/// While one is held, no notice of the sandbox arrives, nor is repeated: what the shop hears it hears from the test.
pub struct Silence;

static SILENT: Mutex<usize> = Mutex::new(0);

/// The provider's own repeats come in a week.
fn board(rules: &Value) {
    let board = json!({"rules": rules, "retry_base_ms": 60_480_000});
    let set = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = reqwest::Client::new().put(format!("{}/faults", stack_v1().sandbox)).json(&board);
            Reply::of(request).await.expect(200);
        });
    });
    set.join().unwrap();
}

impl Silence {
    pub fn begin() -> Self {
        let mut holders = SILENT.lock().unwrap();
        if *holders == 0 {
            board(&json!([{"route": "cardlink.webhook", "drop": true}]));
        }
        *holders += 1;
        Self
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A test that failed while it held the lock has said so already.
        let mut holders = SILENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *holders -= 1;
        if *holders == 0 && !std::thread::panicking() {
            board(&json!([]));
        }
    }
}

/// Presses a button of the hosted page. The answer has the notice that got lost, and what the browser carries to the shop.
pub async fn press(shop: &Shop, order: &Placed, button: &str) -> Value {
    let url = format!("{}/pay/{}/{button}", shop.info.sandbox, order.bill_id);
    Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200)
}

/// The notice of a button, as the provider sends it.
pub async fn notice_of(shop: &Shop, order: &Placed, button: &str) -> Fields {
    let pressed = press(shop, order, button).await;
    assert_eq!(
        pressed["webhook"]["delivered"], false,
        "the notice was meant to get lost: {pressed}"
    );
    fields_of(pressed["webhook"]["body"].as_str().unwrap())
}

pub async fn state(shop: &Shop, order: &Placed) -> String {
    let (status, fulfilment, reason) = shop.state(order.order_id).await;
    [Some(status), Some(fulfilment), reason]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

pub fn said(reply: &Reply) -> String {
    reply.expect(200)["outcome"].as_str().unwrap().to_owned()
}
