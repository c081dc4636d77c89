//! Shoppers who do what shoppers do when something fails: try again.

use std::time::Duration;

use lonieve_tests::{Placed, Reply, Shop};
use serde_json::Value;

/// An order whose buyer saw the payment page, and what the provider heard when the bill was paid.
#[derive(Clone)]
pub struct Purchase {
    pub order: Placed,
    pub units: u64,
    pub paid: bool,
    /// The answers to the first post of the notice; none where it was held back.
    pub answers: Vec<Value>,
}

impl Purchase {
    /// The shop has told the provider that the order is delivered.
    pub fn is_acknowledged(&self) -> bool {
        self.answers.iter().any(|answer| answer["body"]["outcome"] == "fulfilled")
    }
}

/// Orders until an order is made, and asserts that every refusal on the way is one that invites to try again.
pub async fn order(shop: &Shop, units: u64) -> Placed {
    let mut cart = shop.cart();
    cart["quantity"] = units.into();
    for _ in 0..60 {
        let reply = shop.create(&cart).await;
        if reply.status == 200 {
            let created = reply.json();
            let text = |name: &str| created[name].as_str().unwrap().to_owned();
            return Placed {
                order_id: text("orderId").parse().unwrap(),
                bill_id: text("billId"),
                payment_url: text("paymentUrl"),
                token: text("orderToken"),
                email: cart["email"].as_str().unwrap().to_owned(),
                amount: text("amount"),
            };
        }
        let expected = match reply.status {
            503 => ["database_unavailable"].as_slice(),
            502 | 504 => &["provider_unavailable"],
            // What the database cannot explain, an odd answer of a part that is going down among it.
            500 => &["internal_error"],
            status => panic!("{status}: {}", reply.text),
        };
        let code = reply.json()["code"].as_str().unwrap().to_owned();
        reply.refused(reply.status, &code);
        assert!(expected.contains(&code.as_str()), "{}", reply.text);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no order within twelve seconds")
}

/// Pays on the hosted page and waits for the first answer to the notice.
pub async fn pay(shop: &Shop, order: &Placed) -> Vec<Value> {
    let url = format!("{}/pay/{}/pay", shop.info.sandbox, order.bill_id);
    let pressed = Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200);
    pressed["webhook"]["answers"].as_array().unwrap().clone()
}

pub async fn purchase(shop: &Shop, units: u64) -> Purchase {
    let order = order(shop, units).await;
    let answers = pay(shop, &order).await;
    Purchase {
        order,
        units,
        paid: true,
        answers,
    }
}
