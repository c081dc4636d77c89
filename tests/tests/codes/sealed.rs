//! A sealed text opens in its own row only: moved to another, it is nobody's code, neither on the page nor in a mail.

use lonieve_tests::{Placed, Shop};
use uuid::Uuid;

use crate::{codes_of, pay, shown};

/// What is moved, and the statement that moves it. `$1` and `$2` are the orders' codes.
const MOVES: [(&str, &str); 3] = [
    (
        "the texts of two codes",
        "update shop.gift_codes g set code_sealed = o.code_sealed from shop.gift_codes o where g.id in ($1, $2) and o.id in ($1, $2) and g.id <> o.id",
    ),
    ("the face value", "update shop.gift_codes set nominal = 100 where id in ($1, $2)"),
    (
        "the product",
        "update shop.gift_codes g set product_id = (select r.id from shop.products r where r.tenant_id = g.tenant_id and r.id <> g.product_id) \
         where g.id in ($1, $2)",
    ),
];

async fn two_products() -> Shop {
    let shop = Shop::with_codes(2).await;
    let sql = "insert into shop.products (tenant_id, name, brand, region, nominals, base_price, discount_percentage) values ($1, 'Other Card', 'Other', 'USA', '[50]', 100, 25)";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    shop
}

async fn move_codes(shop: &Shop, orders: &[Placed; 2], status: &str, sql: &str) {
    let mut ids: Vec<Uuid> = Vec::new();
    for order in orders {
        ids.push(codes_of(shop, order.order_id, status).await[0].0);
    }
    assert_eq!(shop.db.execute(sql, &[&ids[0], &ids[1]]).await.unwrap(), 2);
}

#[tokio::test]
async fn on_the_order_page_it_is_an_error_of_ours_and_never_anothers_code() {
    // The job that seals codes anew would find these and open an alert.
    let _turn = crate::rotation::TURN.lock().await;
    for (what, sql) in MOVES {
        let shop = two_products().await;
        let orders = [shop.place(&shop.cart()).await, shop.place(&shop.cart()).await];
        let mut codes = Vec::new();
        for order in &orders {
            pay(&shop, order).await;
            codes.extend(shown(&shop, order).await);
        }
        shop.outbox_done().await;
        move_codes(&shop, &orders, "sold", sql).await;
        for order in &orders {
            let reply = shop.adds_nothing(shop.order(order.order_id, &order.token)).await;
            reply.refused(500, "internal_error");
            assert!(codes.iter().all(|code| !reply.text.contains(&code[..4])), "{what}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn in_a_mail_it_is_a_dead_letter_with_an_alert_and_nothing_is_sent() {
    for (what, sql) in MOVES {
        let shop = two_products().await;
        let orders = [shop.place(&shop.cart()).await, shop.place(&shop.cart()).await];
        // Before they are paid for: the mail of a sale leaves at once.
        move_codes(&shop, &orders, "reserved", sql).await;
        for order in &orders {
            pay(&shop, order).await;
        }
        shop.outbox_done().await;
        for order in &orders {
            assert_eq!(shop.mailbox(&order.email).await.len(), 0, "{what}");
        }
        let dead = "select count(*) from ops.outbox where tenant_id = $1 and kind = 'mail.codes' and status = 'dead'";
        let alerts =
            "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'failed_email' and severity = 'critical'";
        assert_eq!((shop.count(dead).await, shop.count(alerts).await), (2, 2), "{what}");
    }
}
