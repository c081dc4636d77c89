//! What staff do, in their own names: catalogue, orders under review, alerts.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use lonieve_tests::{Reply, Shop, new_product};
use reqwest::Method;
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<String> {
    page["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_new_product_is_shown_stocked_ordered_and_paid_and_a_new_price_refuses_the_old_cart() {
    let shop = Shop::new().await;
    let created = shop.admin_post(&shop.staff_token, "products", &new_product()).await.expect(200);
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        (&created["basePrice"], &created["currency"], &created["status"]),
        (&json!("90.00"), &json!("USD"), &json!("active"))
    );
    assert_eq!(created["nominals"][1]["price"], "81.00", "100 x 90/100 x (1 - 10/100)");
    assert_eq!(
        (&created["nominals"][0]["available"], &created["nominals"][0]["lowStock"]),
        (&json!(0), &json!(true))
    );

    let listed = shop.get("orders", "/api/products").await.expect(200);
    let shown = listed["products"]
        .as_array()
        .unwrap()
        .iter()
        .find(|product| product["id"] == id)
        .expect("the shop shows it")
        .clone();
    assert_eq!(
        (&shown["nominals"][1]["price"], &shown["nominals"][1]["inStock"]),
        (&json!("81.00"), &json!(false))
    );

    let rows: String = (0..10).map(|_| format!("{},100,{id}\n", lonieve_tests::fresh_code())).collect();
    assert_eq!(
        shop.import(&shop.staff_token, format!("code,nominal,product_id\n{rows}"))
            .await
            .expect(200)["imported"],
        10
    );
    let mut cart = shop.cart();
    (cart["productId"], cart["nominal"], cart["price"]) = (json!(id), json!("100"), json!("81.00"));
    let order = shop.place(&cart).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "81.00", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
    let reserved = shop.place(&cart).await;

    // What staff see of the stock, in both lists.
    let products = shop.admin_get(&shop.viewer_token, "products?status=active").await.expect(200);
    let product = products["products"]
        .as_array()
        .unwrap()
        .iter()
        .find(|product| product["id"] == id)
        .unwrap()
        .clone();
    let stock = shop
        .admin_get(&shop.viewer_token, &format!("codes?product_id={id}&nominal=100"))
        .await
        .expect(200);
    for counts in [&product["nominals"][1], &stock["stock"][0]] {
        assert_eq!(
            [&counts["available"], &counts["reserved"], &counts["sold"]],
            [&json!(8), &json!(1), &json!(1)],
            "{counts}"
        );
        assert_eq!(counts["lowStock"], true, "below ten");
    }
    assert_eq!(stock["stock"].as_array().unwrap().len(), 1);

    // The price changes: the old cart is told the new one, an order already placed keeps its own.
    let patch = shop
        .admin(&shop.staff_token, Method::PATCH, &format!("products/{id}"))
        .json(&json!({"discountPercentage": "0", "description": "New"}));
    assert_eq!(Reply::of(patch).await.expect(200)["nominals"][1]["price"], "90.00");
    assert_eq!(shop.create(&cart).await.refused(409, "price_changed")["price"], "90.00");
    assert_eq!(
        shop.notice(&reserved.bill_id, "PAID", "81.00", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );

    // Off the shelf.
    let patch = shop
        .admin(&shop.staff_token, Method::PATCH, &format!("products/{id}"))
        .json(&json!({"status": "inactive", "description": ""}));
    assert_eq!(Reply::of(patch).await.expect(200)["description"], Value::Null);
    shop.get("orders", &format!("/api/products/{id}"))
        .await
        .refused(404, "product_not_found");

    let audit = shop.audit().await;
    let actions: Vec<&str> = audit.iter().map(|(action, _, _)| action.as_str()).collect();
    assert_eq!(actions, ["product.create", "codes.import", "product.update", "product.update"]);
    assert_eq!(
        audit[2].2,
        json!({"discount_percentage": [10.00, 0.00], "description": [null, "New"]})
    );
    assert_eq!(audit[3].2["status"], json!(["active", "inactive"]));
    assert!(
        audit
            .iter()
            .enumerate()
            .all(|(i, (_, subject, _))| i == 1 || *subject == format!("product:{id}"))
    );
}

#[tokio::test]
async fn an_accepted_mismatch_gives_one_code_and_one_mail() {
    let shop = Shop::with_codes(3).await;
    let order = shop.mismatched().await;
    let path = format!("orders/{}/resolve", order.order_id);
    let body = json!({"action": "deliver", "note": "The bank took its fee."});
    let replies = futures::future::join_all((0..5).map(|_| shop.admin_post(&shop.staff_token, &path, &body))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(409, "order_not_in_review");
    }
    let resolved = replies.iter().find(|reply| reply.status == 200).unwrap().json();
    assert_eq!(
        (&resolved["status"], &resolved["fulfilment"], &resolved["reviewReason"]),
        (&json!("paid"), &json!("delivered"), &Value::Null)
    );
    assert_eq!(
        (&resolved["amount"], &resolved["receivedAmount"]),
        (&json!("37.50"), &json!("40.00"))
    );

    let view = shop.order(order.order_id, &order.token).await.expect(200);
    let code = view["codes"][0]["code"].as_str().unwrap();
    assert_eq!(view["codes"].as_array().unwrap().len(), 1);
    assert_eq!(resolved["items"][0]["codes"][0]["last4"], code[15..]);
    assert!(!resolved.to_string().contains(code));
    let mails = shop.mails(&order.email, 1).await;
    assert!(mails[0]["text"].as_str().unwrap().contains(code));
    shop.job("outbox", None).await.expect(200);
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'sold'")
            .await,
        1
    );

    // The alert the review had opened is closed, by that person; the audit says who and why.
    let (closed, audited) = (
        "select count(*) from ops.system_notifications n join shop.staff_members s on s.user_id = n.resolved_by \
                              where n.tenant_id = $1 and n.type = 'amount_mismatch' and n.is_resolved and s.role = 'manager'",
        "select count(*) from ops.audit_log a join shop.staff_members s on s.user_id = a.actor_id and s.tenant_id = a.tenant_id \
                              where a.tenant_id = $1 and a.action = 'order.deliver' and s.role = 'manager'",
    );
    assert_eq!((shop.count(closed).await, shop.count(audited).await), (1, 1));
    let audit = shop.audit().await.pop().unwrap();
    assert_eq!(
        audit.2,
        json!({"note": "The bank took its fee.", "review_reason": "amount_mismatch"})
    );

    // Sent again: a second mail with the same code, once however often it is pressed while it waits.
    shop.outbox_done().await;
    let again = format!("orders/{}/resend", order.order_id);
    assert_eq!(
        shop.admin_post(&shop.staff_token, &again, &Value::Null).await.expect(200)["emailStatus"],
        "pending"
    );
    let mails = shop.mails(&order.email, 2).await;
    assert!(mails.iter().all(|mail| mail["text"].as_str().unwrap().contains(code)));
    assert_eq!(shop.audit().await.pop().unwrap().0, "order.resend");
    assert_eq!(
        shop.count("select count(*) from ops.outbox where tenant_id = $1 and kind = 'mail.codes'")
            .await,
        2
    );
}

#[tokio::test]
async fn an_order_closed_without_codes_frees_its_reservation_and_stays_closed() {
    let shop = Shop::with_codes(1).await;
    let order = shop.mismatched().await;
    let path = format!("orders/{}/resolve", order.order_id);
    let closed = shop
        .admin_post(&shop.staff_token, &path, &json!({"action": "close", "note": "Money goes back."}))
        .await
        .expect(200);
    assert_eq!(
        (&closed["status"], &closed["fulfilment"], &closed["failureReason"]),
        (&json!("paid"), &json!("none"), &json!("closed_by_staff"))
    );
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        1
    );
    assert!(shop.mailbox(&order.email).await.is_empty());
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
        "already_processed"
    );
    let before = shop.rows().await;
    shop.admin_post(&shop.staff_token, &path, &json!({"action": "deliver", "note": "x"}))
        .await
        .refused(409, "order_not_in_review");
    shop.admin_post(&shop.staff_token, &format!("orders/{}/resend", order.order_id), &Value::Null)
        .await
        .refused(409, "order_not_delivered");
    assert_eq!(shop.rows().await, before);
    assert_eq!(
        shop.db
            .query(
                "select * from ops.verify_ledger() v join shop.gift_codes g on g.id = v.code_id where g.tenant_id = $1",
                &[&shop.tenant]
            )
            .await
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn without_a_code_a_delivery_is_refused_and_changes_nothing() {
    let shop = Shop::with_codes(1).await;
    let order = shop.mismatched().await;
    // Its code is withdrawn, as one that turned out bad; with its row in the ledger, or `ops.verify_ledger` would say so.
    let withdraw = "update shop.gift_codes set status = 'revoked', order_item_id = null where tenant_id = $1 \
                    returning ops.append_ledger($1, id, 'revoked', null, now())::text";
    shop.db.query(withdraw, &[&shop.tenant]).await.unwrap();
    let before = (shop.rows().await, shop.state(order.order_id).await);
    let body = json!({"action": "deliver", "note": "x"});
    shop.admin_post(&shop.staff_token, &format!("orders/{}/resolve", order.order_id), &body)
        .await
        .refused(409, "out_of_stock");
    assert_eq!((shop.rows().await, shop.state(order.order_id).await), before);
    let alerts = shop.admin_get(&shop.viewer_token, "alerts").await.expect(200);
    assert_eq!((&alerts["open"], &alerts["alerts"][0]["isResolved"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn orders_are_found_by_each_filter_and_paged_by_key() {
    let shop = Shop::with_codes(8).await;
    shop.settings(json!({"max_unpaid_share": 100, "max_unpaid_units": 1000})).await;
    let mut placed = Vec::new();
    for quantity in [1, 1, 2, 1, 1] {
        let mut cart = shop.cart();
        cart["quantity"] = json!(quantity);
        placed.push(shop.place(&cart).await);
    }
    shop.notice(&placed[1].bill_id, "PAID", "37.50", "USD").await.expect(200);
    shop.mails(&placed[1].email, 1).await;
    shop.notice(&placed[3].bill_id, "FAILED", "37.50", "USD").await.expect(200);
    // Two orders of one moment, years ago: neither hides the other.
    for order in &placed[3..] {
        shop.db
            .execute(
                "update shop.orders set created_at = '2020-05-04T23:30:00.000001Z' where id = $1",
                &[&order.order_id],
            )
            .await
            .unwrap();
    }
    let find = |query: String| {
        let shop = &shop;
        async move { ids(&shop.admin_get(&shop.viewer_token, &format!("orders?{query}")).await.expect(200)) }
    };
    let id = |index: usize| placed[index].order_id.to_string();

    assert_eq!(find("status=all".into()).await.len(), 5);
    assert_eq!(find("status=paid".into()).await, [id(1)]);
    assert_eq!(find("status=failed".into()).await, [id(3)]);
    assert_eq!(find("status=pending&fulfilment=reserved".into()).await.len(), 3);
    assert_eq!(find("min_amount=75&max_amount=75.00".into()).await, [id(2)]);
    assert_eq!(find(format!("email={}", placed[0].email[..30].to_uppercase())).await, [id(0)]);
    assert_eq!(find("email=%25".into()).await.len(), 0, "no wildcard");
    assert_eq!(
        find("from=2020-05-04&to=2020-05-04".into()).await.len(),
        2,
        "days are days of the shop, the last included"
    );
    assert_eq!(
        find("to=2020-05-04T23:30:00.000001Z".into()).await.len(),
        0,
        "a time is not included"
    );
    shop.db
        .execute("update shop.tenants set time_zone = 'Asia/Tokyo' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    assert_eq!(find("from=2020-05-05&to=2020-05-05".into()).await.len(), 2);

    let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = shop
            .admin_get(&shop.viewer_token, &format!("orders?limit=2&cursor={cursor}"))
            .await
            .expect(200);
        all.extend(ids(&page));
        pages += 1;
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!((pages, all.len()), (3, 5));
    assert_eq!(all[..3], [id(2), id(1), id(0)], "newest first");

    let paid = shop.admin_get(&shop.viewer_token, "orders?status=paid").await.expect(200)["orders"][0].clone();
    assert_eq!(
        (&paid["emailStatus"], &paid["fulfilment"], &paid["amount"]),
        (&json!("sent"), &json!("delivered"), &json!("37.50"))
    );
    assert_eq!(
        (&paid["items"][0]["quantity"], &paid["items"][0]["codes"][0]["status"]),
        (&json!(1), &json!("sold"))
    );
    for wrong in ["status=lost", "from=soon", "min_amount=1e3", "limit=0", "cursor=x"] {
        shop.admin_get(&shop.viewer_token, &format!("orders?{wrong}"))
            .await
            .refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn alerts_come_worst_first_and_are_resolved_once() {
    let shop = Shop::new().await;
    for (kind, severity) in [("low_stock", "warning"), ("overpaid", "info"), ("failed_email", "critical")] {
        let notify = "select ops.notify($1, $2, 'order:' || gen_random_uuid(), $3, 'Title', 'Message', null, now())";
        shop.db.query(notify, &[&shop.tenant, &kind, &severity]).await.unwrap();
    }
    let kinds = |alerts: &Value| {
        alerts["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let alerts = shop.admin_get(&shop.viewer_token, "alerts").await.expect(200);
    assert_eq!(
        (kinds(&alerts), &alerts["open"]),
        (vec!["failed_email".to_owned(), "low_stock".into(), "overpaid".into()], &json!(3))
    );

    let path = format!("alerts/{}/resolve", alerts["alerts"][0]["id"].as_str().unwrap());
    let first = shop.admin_post(&shop.staff_token, &path, &Value::Null).await.expect(200);
    assert_eq!(shop.admin_post(&shop.staff_token, &path, &Value::Null).await.expect(200), first);
    assert_eq!(first["isResolved"], true);
    let alerts = shop.admin_get(&shop.viewer_token, "alerts").await.expect(200);
    assert_eq!(
        (kinds(&alerts), &alerts["open"]),
        (vec!["low_stock".to_owned(), "overpaid".into(), "failed_email".into()], &json!(2))
    );
    assert_eq!(
        kinds(&shop.admin_get(&shop.viewer_token, "alerts?resolved=true").await.expect(200)),
        ["failed_email"]
    );
    assert_eq!(shop.audit().await.len(), 1, "the second click did nothing");
}
