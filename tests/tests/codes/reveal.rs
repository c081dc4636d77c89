//! The first look at a code is written down once, however many look at once.

use futures::future::join_all;
use lonieve_tests::Shop;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{assert_whole, pay, texts};

/// The viewers in the `revealed` rows of this shop.
async fn viewers(shop: &Shop) -> Vec<String> {
    let sql = "select details ->> 'viewer' from shop.code_ledger where tenant_id = $1 and entry = 'revealed'";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn twenty_looks_of_the_buyer_at_once_are_one_row_for_each_code() {
    let shop = Shop::with_codes(3).await;
    let mut cart = shop.cart();
    cart["quantity"] = json!(3);
    let order = shop.place(&cart).await;
    pay(&shop, &order).await;
    shop.outbox_done().await;
    let views = shop
        .adds(
            &[("shop.code_ledger", 3)],
            join_all((0..20).map(|_| shop.order(order.order_id, &order.token))),
        )
        .await;
    let first = texts(&views[0].expect(200));
    assert_eq!(first.len(), 3);
    for view in &views {
        assert_eq!(texts(&view.expect(200)), first, "everybody sees the same");
    }
    assert_eq!(viewers(&shop).await, ["buyer"; 3]);
    shop.adds_nothing(shop.order(order.order_id, &order.token)).await.expect(200);
    assert_whole(&shop).await;
}

#[tokio::test]
async fn of_a_gift_the_recipients_look_counts_and_the_buyers_shows_and_writes_nothing() {
    let shop = Shop::with_codes(1).await;
    let mut cart = shop.cart();
    let recipient = format!("friend-{}@example.com", Uuid::new_v4().simple());
    cart["deliveryType"] = json!("gift");
    cart["recipientEmail"] = json!(recipient);
    let order = shop.place(&cart).await;
    pay(&shop, &order).await;
    let mail = shop.mails(&recipient, 1).await.remove(0);
    shop.outbox_done().await;
    let text = mail["text"].as_str().unwrap();
    let token = text.split("#t=").nth(1).unwrap().split_whitespace().next().unwrap();

    let buyers = join_all((0..20).map(|_| shop.order(order.order_id, &order.token)));
    for view in shop.adds_nothing(buyers).await {
        assert_eq!(view.expect(200)["codes"], json!([]));
    }
    let tokens = [token, &order.token];
    let both = join_all((0..40).map(|n| shop.order(order.order_id, tokens[n % 2])));
    let views = shop.adds(&[("shop.code_ledger", 1)], both).await;
    for (n, view) in views.iter().enumerate() {
        let view: Value = view.expect(200);
        let expected = if n % 2 == 0 { 1 } else { 0 };
        assert_eq!(texts(&view).len(), expected, "{view}");
    }
    assert_eq!(viewers(&shop).await, ["recipient"]);
    assert_whole(&shop).await;
}
