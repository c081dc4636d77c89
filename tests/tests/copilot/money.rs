//! Orders paid through the webhook, and what the copilot then says was earned.

use lonieve_tests::Reply;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ask, ask_as, refund, shop_at_noon, value};

#[tokio::test]
async fn revenue_for_today_is_what_was_paid() {
    let shop = shop_at_noon(5).await;
    let other = shop_at_noon(1).await;
    let (first, second, unpaid, foreign) = (
        shop.place(&shop.cart()).await,
        shop.place(&shop.cart()).await,
        shop.place(&shop.cart()).await,
        other.place(&other.cart()).await,
    );
    assert_eq!(value(&ask(&shop, "revenue today").await), "0.00", "an order alone is no revenue");
    for order in [&first, &second] {
        assert_eq!(
            shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
            "fulfilled"
        );
        assert_eq!(
            shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
            "already_processed"
        );
    }
    shop.notice(&unpaid.bill_id, "FAIL", "37.50", "USD").await.expect(200);
    other.notice(&foreign.bill_id, "PAID", "37.50", "USD").await.expect(200);

    let conversation = Uuid::new_v4();
    let body = json!({"query": "What is our revenue today?", "conversationId": conversation, "somethingElse": 1});
    let answer = ask_as(&shop, &shop.staff_token, &body).await.expect(200);
    assert_eq!(answer["query"], "What is our revenue today?");
    assert_eq!(answer["intent"], "revenue");
    assert_eq!(answer["conversationId"], json!(conversation));
    assert!(answer["responseTime"].as_u64().is_some(), "{answer}");
    let result = &answer["result"];
    assert_eq!(
        (
            &result["type"],
            &result["metric"],
            &result["value"],
            &result["currency"],
            &result["formatted"]
        ),
        (
            &json!("metric"),
            &json!("Revenue"),
            &json!("75.00"),
            &json!("USD"),
            &json!("$75.00")
        )
    );
    let day = result["from"].as_str().unwrap();
    assert_eq!((&result["period"], &result["to"]), (&json!(format!("Today, {day}")), &json!(day)));
    assert_eq!(answer["plan"], json!({"intent": "revenue", "period": {"kind": "today"}}));
    assert_eq!(
        answer["evidence"],
        json!({
            "function": "api.ask_revenue", "parameters": {"period": {"kind": "today"}},
            "rows": [{"revenue": "75.00", "orders": 2, "unclear_orders": 0}],
        })
    );

    // The same through the gateway, the address the page uses.
    let request = shop
        .request(Method::POST, "gateway", "/api/ai/copilot")
        .bearer_auth(&shop.viewer_token);
    let answer = Reply::of(request.json(&json!({"query": "выручка за сегодня"}))).await.expect(200);
    assert_eq!((value(&answer), &answer["result"]["metric"]), ("75.00", &json!("Выручка")));

    // The other intents about the same day. Cost 30.00 and fee 2.9 % of 37.50 + 0.30 = 1.39 for each of two orders.
    assert_eq!(value(&ask(&shop, "profit today").await), "12.22");
    let orders = ask(&shop, "сколько заказов сегодня").await;
    assert_eq!(
        (&orders["result"]["value"], &orders["evidence"]["rows"][0]["placed"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(orders["result"]["formatted"], "2");

    // Money given back today: the revenue stays, the profit does not. A request that is not completed changes neither.
    refund(&shop, first.order_id, "37.50", "completed", &shop.time("0").await).await;
    refund(&shop, second.order_id, "37.50", "pending", &shop.time("0").await).await;
    assert_eq!(value(&ask(&shop, "revenue today").await), "75.00");
    let profit = ask(&shop, "profit today").await;
    assert_eq!((value(&profit), &profit["result"]["formatted"]), ("-25.28", &json!("-$25.28")));
    assert_eq!(profit["evidence"]["rows"][0]["refunds"], "37.50");
    let customers = ask(&shop, "top 2 customers today").await["result"]["rows"].clone();
    assert_eq!(
        (&customers[0]["email"], &customers[0]["net"]),
        (&json!(second.email), &json!("37.50"))
    );
    assert_eq!((&customers[1]["refunded"], &customers[1]["net"]), (&json!("37.50"), &json!("0.00")));

    assert_eq!(value(&ask(&other, "revenue today").await), "37.50", "another shop has its own");
}

/// An order's revenue is what arrived for it, up to what was asked, in the shop's currency.
#[tokio::test]
async fn money_that_does_not_fit_its_order_is_not_counted_as_if_it_did() {
    let shop = shop_at_noon(5).await;
    let mut placed = Vec::new();
    for _ in 0..4 {
        placed.push(shop.place(&shop.cart()).await);
    }
    for (order, amount, currency) in [
        (&placed[0], "37.50", "USD"),
        (&placed[1], "30.00", "USD"),
        (&placed[2], "99.00", "USD"),
        (&placed[3], "37.50", "EUR"),
    ] {
        shop.notice(&order.bill_id, "PAID", amount, currency).await.expect(200);
    }
    // 37.50 + 30.00 + 37.50 (not 99.00) + nothing for the euros, which are named instead.
    let answer = ask(&shop, "revenue today").await;
    assert_eq!(value(&answer), "105.00");
    assert_eq!(
        answer["evidence"]["rows"][0],
        json!({"revenue": "105.00", "orders": 4, "unclear_orders": 1})
    );
    let notes = answer["result"]["notes"].to_string();
    assert!(notes.contains("Not included: 1 paid in another currency"), "{notes}");
    let orders = ask(&shop, "orders today").await;
    assert_eq!(
        orders["evidence"]["rows"][0]["average_order"], "35.00",
        "105.00 over the three that can be added up"
    );

    // Three of the four have no codes yet, so their cost is not known, and neither is the profit of the day.
    let profit = ask(&shop, "profit today").await;
    assert_eq!(
        (&profit["result"]["value"], &profit["result"]["formatted"]),
        (&Value::Null, &json!("Not known"))
    );
    let note = profit["result"]["notes"][0].as_str().unwrap();
    assert!(note.starts_with("The cost of 3 of 4 paid orders is not known"), "{note}");
    let economics = ask(&shop, "unit economics today").await["result"]["rows"].clone();
    for (row, name, known) in [
        (1, "Revenue", true),
        (2, "Cost", false),
        (3, "Gross Profit", false),
        (7, "True Profit", false),
    ] {
        assert_eq!(economics[row]["metric_name"], name);
        assert_eq!(economics[row]["metric_value"].is_string(), known, "{}", economics[row]);
    }
}
