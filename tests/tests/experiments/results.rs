//! What is counted, by hand; and that a planted sample-ratio mismatch is found and a fair spread is not.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{assignments, patch, running, visitors};

async fn exposed(shop: &Shop, visitor: Option<&str>, key: &str, variant: &str) -> Uuid {
    let event = json!({"event_type": "x_exposure", "session_id": format!("s-{}", Uuid::new_v4()), "visitor_id": visitor,
        "data": {"experiment": key, "variant": variant}});
    // Without the name of a browser it would be a program's.
    let request = shop
        .request(Method::POST, "events", "/api/events")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0 Safari/537.36");
    let stored = Reply::of(request.json(&event)).await.expect(200);
    stored["eventId"].as_str().unwrap().parse().unwrap()
}

async fn buys(shop: &Shop, visitor: &str) {
    let mut cart = shop.cart();
    cart["visitorId"] = json!(visitor);
    let order = shop.place(&cart).await;
    shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200);
}

async fn results(shop: &Shop, id: &str) -> Value {
    let path = format!("experiments/{id}/results");
    shop.admin_get(&shop.viewer_token, &path).await.expect(200)
}

#[tokio::test]
async fn a_small_shops_results_are_those_worked_out_by_hand() {
    let (shop, other) = (Shop::with_codes(8).await, Shop::new().await);
    let id = running(&shop, "hero", &[("control", 50), ("b", 50)]).await;
    running(&other, "hero", &[("control", 50), ("b", 50)]).await;
    let [c1, c2, c3] = <[String; 3]>::try_from(visitors("hero", 0..50, 3)).unwrap();
    let [b1, b2, b3] = <[String; 3]>::try_from(visitors("hero", 50..100, 3)).unwrap();
    for visitor in [&c1, &c2, &c3, &b1, &b2, &b3] {
        assignments(&shop, visitor).await;
    }
    // Each card costs 37.50. c1 sees it twice and buys; c2 sees it and buys after the end; c3 buys without having seen it.
    exposed(&shop, Some(&c1), "hero", "control").await;
    exposed(&shop, Some(&c1), "hero", "control").await;
    exposed(&shop, Some(&c2), "hero", "control").await;
    buys(&shop, &c1).await;
    buys(&shop, &c3).await;
    // b1 buys twice; b2 was shown the other variant, and buys; b3 had bought before.
    exposed(&shop, Some(&b1), "hero", "b").await;
    exposed(&shop, Some(&b1), "hero", "control").await;
    buys(&shop, &b1).await;
    buys(&shop, &b1).await;
    exposed(&shop, Some(&b2), "hero", "control").await;
    buys(&shop, &b2).await;
    buys(&shop, &b3).await;
    exposed(&shop, Some(&b3), "hero", "b").await;
    // A stranger, nobody, a program, another experiment, another shop.
    exposed(&shop, Some("stranger"), "hero", "b").await;
    exposed(&shop, None, "hero", "b").await;
    let program = exposed(&shop, Some(&c3), "hero", "control").await;
    shop.db
        .execute("update analytics.events set bot = 'examplebot' where event_id = $1", &[&program])
        .await
        .unwrap();
    exposed(&shop, Some(&c3), "other", "control").await;
    exposed(&other, Some(&c3), "hero", "control").await;

    patch(&shop, &id, json!({"status": "completed"})).await.expect(200);
    buys(&shop, &c2).await;
    exposed(&shop, Some(&c3), "hero", "control").await;

    let found = results(&shop, &id).await;
    let too_early = "Too early to say: control and b each need 100 visitors who saw them, 10 who bought and 10 who did not.";
    let comparison = json!({"verdict": "too_early", "sentence": too_early, "difference": 0.0, "low": null, "high": null, "pValue": null});
    assert_eq!(
        found["variants"],
        json!([
            {"variant": "control", "assigned": 3, "exposed": 2, "converted": 1, "orders": 1, "unclearOrders": 0, "revenue": "37.50",
             "revenuePerVisitor": "18.75", "averageOrderValue": "37.50", "conversionRate": 50.0, "goalValue": "50.00", "comparison": null},
            {"variant": "b", "assigned": 3, "exposed": 2, "converted": 1, "orders": 2, "unclearOrders": 0, "revenue": "75.00",
             "revenuePerVisitor": "37.50", "averageOrderValue": "37.50", "conversionRate": 50.0, "goalValue": "50.00", "comparison": comparison},
        ]),
        "{found:#}"
    );
    assert_eq!(
        [
            &found["contradictingExposures"],
            &found["contradictingVisitors"],
            &found["unassignedExposures"],
            &found["sampleRatioMismatch"]
        ],
        [&json!(2), &json!(2), &json!(1), &Value::Null],
        "{found:#}"
    );
    assert_eq!(
        (&found["until"], &found["currency"]),
        (&found["experiment"]["endDate"], &json!("USD"))
    );
    assert_eq!(found["experiment"]["assigned"], 6);
}

#[tokio::test]
async fn the_goal_decides_which_figure_is_the_goals() {
    let shop = Shop::with_codes(2).await;
    for (goal, value) in [("revenue", "18.75"), ("aov", "37.50"), ("conversion_rate", "50.00")] {
        let key = format!("for_{goal}");
        let mut body = crate::draft(&key, &[("control", 100), ("b", 0)]);
        body["goalMetric"] = json!(goal);
        let made = shop.admin_post(&shop.staff_token, "experiments", &body).await.expect(200);
        let id = made["id"].as_str().unwrap().to_owned();
        patch(&shop, &id, json!({"status": "running"})).await.expect(200);
        let (buyer, visitor) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        for visitor in [&buyer, &visitor] {
            assignments(&shop, visitor).await;
            exposed(&shop, Some(visitor), &key, "control").await;
        }
        shop.add_codes("50.00", 1).await;
        buys(&shop, &buyer).await;
        let found = results(&shop, &id).await;
        assert_eq!(found["variants"][0]["goalValue"], value, "{goal}: {found:#}");
        assert_eq!(found["variants"][1]["goalValue"], Value::Null);
    }
}

/// Visitors with an assignment and an exposure; in each variant the first so many have an order.
async fn plant(shop: &Shop, id: &str, key: &str, groups: &[(&str, i32, i32)]) {
    let id: Uuid = id.parse().unwrap();
    for (variant, count, buyers) in groups {
        let sql = "with who as (select $3 || '-' || gen_random_uuid() as visitor, n from generate_series(1, $4::int) n),
              a as (insert into analytics.experiment_assignments (tenant_id, experiment_id, visitor_id, variant, allocation_number)
                    select $1, $2, visitor, $3, 1 from who),
              e as (insert into analytics.events (event_id, tenant_id, event_type, session_id, visitor_id, data)
                    select gen_random_uuid(), $1, 'x_exposure', visitor, visitor, jsonb_build_object('experiment', $5::text, 'variant', $3::text) from who)
            insert into shop.orders (tenant_id, email, session_id, visitor_id, delivery_type, currency, total_amount, status, paid_at, expires_at)
            select $1, visitor || '@example.com', visitor, visitor, 'myself', 'USD', 40, 'paid', now() + interval '1 millisecond', now() from who where n <= $6";
        shop.db
            .execute(sql, &[&shop.tenant, &id, variant, count, &key, buyers])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_planted_sample_ratio_mismatch_is_found_and_a_fair_spread_is_not() {
    let shop = Shop::new().await;
    let halves = [("control", 50), ("b", 50)];
    let crooked = running(&shop, "crooked", &halves).await;
    plant(&shop, &crooked, "crooked", &[("control", 600, 60), ("b", 400, 90)]).await;
    let fair = running(&shop, "fair", &halves).await;
    plant(&shop, &fair, "fair", &[("control", 505, 50), ("b", 495, 90)]).await;

    let found = results(&shop, &crooked).await;
    assert_eq!(found["sampleRatioMismatch"], true, "{found:#}");
    // (600 - 500)^2 / 500 + (400 - 500)^2 / 500
    assert_eq!(found["sampleRatio"]["chiSquare"], 40.0);
    assert_eq!(found["variants"][1]["comparison"]["verdict"], "not_reliable", "{found:#}");

    let found = results(&shop, &fair).await;
    assert_eq!(found["sampleRatioMismatch"], false, "{found:#}");
    assert_eq!(found["sampleRatio"]["chiSquare"], 0.1);
    let b = &found["variants"][1];
    assert_eq!(
        (&b["conversionRate"], &b["revenue"]),
        (&json!(18.18), &json!("3600.00")),
        "{found:#}"
    );
    assert_eq!(b["comparison"]["verdict"], "higher", "{found:#}");
    assert_eq!(b["comparison"]["difference"], 8.28);
}

#[tokio::test]
async fn a_draft_has_empty_results() {
    let shop = Shop::new().await;
    let id = crate::drafted(&shop, "k", &[("a", 50), ("b", 50)]).await;
    let found = results(&shop, &id).await;
    assert_eq!(found["sampleRatioMismatch"], Value::Null);
    assert_eq!(
        (&found["variants"][1]["exposed"], &found["variants"][1]["conversionRate"]),
        (&json!(0), &Value::Null),
        "{found:#}"
    );
}
