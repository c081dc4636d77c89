//! A code is seen by whom it is meant for and stands nowhere else: in no table, no view, no log, and in no call but its own mail.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;

use lonieve_tests::{Placed, Reply, Shop, dump, fresh_code, logs, places};
use serde_json::{Value, json};
use uuid::Uuid;

async fn pay(shop: &Shop, order: &Placed) -> String {
    let paid = shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200);
    paid["outcome"].as_str().unwrap().to_owned()
}

async fn shown(shop: &Shop, id: Uuid, token: &str) -> Vec<String> {
    let view = shop.order(id, token).await.expect(200);
    let codes = view["codes"].as_array().unwrap().clone();
    codes.iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect()
}

async fn first_code(shop: &Shop, order: Uuid) -> Uuid {
    let sql = "select g.id from shop.gift_codes g join shop.order_items it on it.id = g.order_item_id where it.order_id = $1 and g.status = 'sold'";
    shop.db.query(sql, &[&order]).await.unwrap()[0].get(0)
}

/// Everything that can happen to codes, well and badly. Returns all codes there were, and the answers staff and providers got.
async fn a_shops_life(shop: &Shop) -> (Vec<String>, Vec<String>) {
    let mut answers = Vec::new();
    // In by the sheet: good ones, one twice, one for an unknown product, one that is not for sale.
    let mut codes: Vec<String> = (0..20).map(|_| fresh_code()).collect();
    // One with characters that base64 spells differently for addresses.
    codes.push(format!("~~~?{}", &fresh_code()[4..]));
    let mut sheet = "code,nominal,product_id,cost_price,currency,expires_at\n".to_owned();
    for code in &codes {
        sheet += &format!("{code},50,{},30.00,USD,\n", shop.product);
    }
    let strays = [fresh_code(), fresh_code(), fresh_code()];
    sheet += &format!(
        "{},50,{},,,\n{},50,{},,,\n",
        codes[0].to_lowercase(),
        shop.product,
        strays[0],
        Uuid::new_v4()
    );
    sheet += &format!("{},75,{},,,\n{},50,{},1e9,,\n", strays[1], shop.product, strays[2], shop.product);
    let imported = shop.import(&shop.staff_token, sheet.clone()).await;
    assert_eq!(imported.expect(200)["imported"], 21);
    answers.push(imported.text);
    answers.push(shop.import(&shop.staff_token, sheet.replace("code,", "code\u{0},")).await.text);
    answers.push(shop.import(&shop.viewer_token, sheet.clone()).await.text);
    codes.extend(strays);
    codes.extend(shop.add_codes("50.00", 12).await);

    // Sold, mailed, shown; a repeated notice; a mail whose first attempts fail.
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": order.email, "status": 503, "times": 1}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        assert_eq!(pay(shop, &order).await, "fulfilled");
        shop.job("outbox", None).await.expect(200);
    })
    .await;
    assert_eq!(pay(shop, &order).await, "already_processed");
    assert_eq!(shown(shop, order.order_id, &order.token).await.len(), 1);

    // A gift.
    let mut cart = shop.cart();
    let recipient = format!("friend-{}@example.com", Uuid::new_v4().simple());
    (cart["deliveryType"], cart["recipientEmail"]) = (json!("gift"), json!(recipient));
    let gift = shop.place(&cart).await;
    assert_eq!(pay(shop, &gift).await, "fulfilled");
    let mail = shop.mails(&recipient, 1).await.remove(0);
    let token = mail["text"].as_str().unwrap().split("#t=").nth(1).unwrap();
    assert_eq!(shown(shop, gift.order_id, token.split_whitespace().next().unwrap()).await.len(), 1);
    assert!(shown(shop, gift.order_id, &gift.token).await.is_empty());

    // Replaced, twice, and once too late; mailed again by staff.
    for (id, reason) in [
        (first_code(shop, order.order_id).await, "Refused."),
        (first_code(shop, gift.order_id).await, "Used up."),
    ] {
        for reason in [reason, reason, "Another."] {
            let path = format!("codes/{id}/replace");
            answers.push(shop.admin_post(&shop.staff_token, &path, &json!({"reason": reason})).await.text);
        }
    }
    shop.mails(&recipient, 2).await;
    answers.push(
        shop.admin_post(&shop.staff_token, &format!("orders/{}/resend", gift.order_id), &Value::Null)
            .await
            .text,
    );

    // Failed, expired, mismatched and resolved, refunded, charged back, waiting and served by an import.
    let failed = shop.place(&shop.cart()).await;
    shop.notice(&failed.bill_id, "FAILED", "37.50", "USD").await.expect(200);
    let expired = shop.place(&shop.cart()).await;
    shop.notice(&expired.bill_id, "EXPIRED", "37.50", "USD").await.expect(200);
    let review = shop.mismatched().await;
    let deliver = json!({"action": "deliver", "note": "Accepted."});
    answers.push(
        shop.admin_post(&shop.staff_token, &format!("orders/{}/resolve", review.order_id), &deliver)
            .await
            .text,
    );
    let backs = [shop.place(&shop.cart()).await, shop.place(&shop.cart()).await];
    for back in &backs {
        assert_eq!(pay(shop, back).await, "fulfilled");
        shown(shop, back.order_id, &back.token).await;
    }
    let cardlink = &shop.info.tokens["cardlink"];
    let refund = json!({"source": "cardlink", "provider_api": "v1", "bill_id": backs[0].bill_id, "payment_id": "p", "refund_id": "r",
                        "refunded_amount": "37.50", "currency": "USD", "refunds": [{"id": "r", "amount": "37.50"}]});
    answers.push(shop.rpc(cardlink, "settle_refund", refund).await.text);
    let chargeback = json!({"source": "cardlink", "provider_api": "v1", "bill_id": backs[1].bill_id, "payment_id": "p", "chargeback_id": "c", "confirmed": true});
    answers.push(shop.rpc(cardlink, "settle_chargeback", chargeback).await.text);

    // A mail that can never be sent, a text that is another's, a wrong token; and what staff see of all this.
    let dead = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": dead.email, "status": 422, "body": {"name": "invalid_parameter"}}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        assert_eq!(pay(shop, &dead).await, "fulfilled");
        shop.outbox_done().await;
    })
    .await;
    let swapped = first_code(shop, dead.order_id).await;
    let swap = "update shop.gift_codes set code_sealed = (select o.code_sealed from shop.gift_codes o where o.tenant_id = $2 and o.id <> $1 limit 1) where id = $1";
    shop.db.execute(swap, &[&swapped, &shop.tenant]).await.unwrap();
    let broken = shop.order(dead.order_id, &dead.token).await;
    broken.refused(500, "internal_error");
    answers.push(broken.text);
    answers.push(shop.order(order.order_id, "wrong").await.text);
    shop.job("reseal_codes", None).await.expect(200);
    for path in ["orders", "codes", "products", "alerts"] {
        answers.push(shop.admin_get(&shop.staff_token, path).await.text);
    }
    shop.outbox_done().await;
    (codes, answers)
}

#[tokio::test]
async fn no_code_is_kept_in_clear_in_hex_or_in_base64_wherever_one_looks() {
    let shop = Shop::new().await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let (codes, answers) = a_shops_life(&shop).await;
    assert_eq!(codes.len(), 36);

    // Every table and view, after all that.
    let dumps = dump(&shop).await;
    for known in [
        "shop.gift_codes",
        "shop.code_ledger",
        "ops.outbox",
        "ops.audit_log",
        "ops.webhook_logs",
        "ops.schema_migrations",
    ] {
        let (_, text) = dumps.iter().find(|(relation, _)| relation == known).unwrap();
        assert!(!text.is_empty(), "{known} is among those searched");
    }
    assert!(dumps.iter().any(|(_, text)| text.contains(&shop.tenant.to_string())));
    assert_eq!(places(&dumps, &codes), BTreeSet::new());

    // What every process printed: the Workers, PostgREST, Postgres.
    let logs: Vec<(String, String)> = logs().into_iter().map(|(path, text)| (path.display().to_string(), text)).collect();
    let names = logs.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(" ");
    for part in ["workerd", "postgrest", "postgres"] {
        assert!(names.contains(part), "{part} is not among the logs: {names}");
    }
    assert!(logs.iter().any(|(_, text)| text.contains("/api/admin/codes/import")));
    assert_eq!(places(&logs, &codes), BTreeSet::new());

    // What was answered to staff and to the provider, and what other companies were sent: a code is in its mails only.
    let answers: Vec<(String, String)> = answers
        .into_iter()
        .enumerate()
        .map(|(n, text)| (format!("answer {n}"), text))
        .collect();
    assert_eq!(places(&answers, &codes), BTreeSet::new());
    let calls = Reply::of(shop.http.get(format!("{}/calls", shop.info.sandbox))).await.expect(200);
    let (mut mails, mut others) = (Vec::new(), Vec::new());
    for mut call in calls.as_array().unwrap().iter().cloned() {
        if call["route"] == "mail.send" {
            mails.push((format!("mail {}", mails.len()), call["body"].to_string()));
            call["body"] = Value::Null;
        }
        others.push((format!("call {} {}", others.len(), call["route"]), call.to_string()));
    }
    assert_eq!(places(&others, &codes), BTreeSet::new());
    assert!(places(&mails, &codes).len() >= 8, "the search finds what is there: the mails");

    // And it finds a leak of each form: seven codes, each let out in another.
    let leaks = [
        "$1",
        "lower($1)",
        "replace($1, '-', '')",
        "encode(convert_to('a ' || $1 || '!', 'UTF8'), 'base64')",
        "translate(encode(convert_to('ab ' || lower($1), 'UTF8'), 'base64'), '+/=', '-_')",
        "encode(convert_to($1, 'UTF8'), 'hex')",
        "upper(encode(convert_to($1, 'UTF8'), 'hex'))",
    ];
    shop.db.batch_execute("begin").await.unwrap();
    for (leak, code) in leaks.iter().zip(&codes[14..]) {
        let sql = format!(
            "insert into ops.integration_logs (tenant_id, service_name, action, status, error_message) select $2, 'mail', 'mail.codes', 'failed', 'x' || {}",
            leak.replace("$1", "$1::text")
        );
        shop.db.execute(&sql, &[code, &shop.tenant]).await.unwrap();
    }
    let view = "create view public.everything as select to_jsonb(l) from ops.integration_logs l";
    shop.db.batch_execute(view).await.unwrap();
    let found = places(&dump(&shop).await, &codes);
    shop.db.batch_execute("rollback").await.unwrap();
    let expected: BTreeSet<(String, usize)> = (14..21)
        .flat_map(|n| [("ops.integration_logs".to_owned(), n), ("public.everything".to_owned(), n)])
        .collect();
    assert_eq!(found, expected);
}
