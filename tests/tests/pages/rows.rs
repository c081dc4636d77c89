//! What the database must hold after a case, read as superuser.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::time::Duration;

use lonieve_tests::stack;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::tracked;

/// Types that only the server writes; they stand among the browser's own.
const SERVER_TYPES: [&str; 3] = ["payment_redirect", "payment_success", "code_sent"];

pub async fn check(case: &str, facts: &Value) {
    let (db, connection) = tokio_postgres::connect(&stack().database_url, NoTls).await.unwrap();
    tokio::spawn(connection);
    match case {
        "a_visit_with_utm_ends_with_the_codes_on_the_success_page" => walk(&db, facts).await,
        "a_gift_shows_its_code_to_the_recipient_only" => gift(&db, facts).await,
        "a_failed_payment_is_said_and_can_be_tried_again" => two_returns(&db, facts).await,
        "a_price_that_changed_is_shown_before_anything_is_ordered"
        | "a_repeat_after_a_lost_answer_goes_on_with_the_order_that_was_made" => one_order(&db, facts).await,
        "with_global_privacy_control_nothing_is_kept_or_sent" => nobody(&db, facts).await,
        "the_landing_form_leaves_a_lead" => lead(&db, facts).await,
        "the_landing_form_works_without_script" => assert_eq!(leads(&db, facts).await.len(), 1),
        "the_copilot_names_the_revenue_that_was_paid" => revenue(&db, facts).await,
        "a_bad_code_is_replaced_at_the_desk" => replaced(&db, facts).await,
        "an_order_under_review_is_resolved_at_the_desk" => resolved(&db, facts).await,
        _ => {}
    }
    tracked::check(&db, facts).await;
}

fn text<'a>(facts: &'a Value, name: &str) -> &'a str {
    facts[name].as_str().unwrap_or_else(|| panic!("the case told no {name}: {facts}"))
}

fn order_id(facts: &Value) -> Uuid {
    text(facts, "orderId").parse().unwrap()
}

/// One row of SQL as JSON.
async fn row(db: &Client, sql: &str, id: Uuid) -> Value {
    db.query_one(&format!("select to_jsonb(r) from ({sql}) r"), &[&id])
        .await
        .unwrap()
        .get(0)
}

/// The browser's events of a session in their order, but for those about leaving a page: type, url, data. Waits for the last one, which is sent while the page goes away.
async fn events(db: &Client, facts: &Value, last: &str) -> Vec<(String, String, Value)> {
    let sql = "select event_type, coalesce(url, ''), coalesce(data, '{}') from analytics.events where session_id = $1 order by created_at, received_at";
    let mut found = Vec::new();
    for _ in 0..50 {
        let rows = db.query(sql, &[&text(facts, "session")]).await.unwrap();
        let all = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
        found = all
            .filter(|(kind, ..): &(String, String, Value)| !SERVER_TYPES.contains(&kind.as_str()) && kind != "x_page_leave")
            .collect();
        if found.last().is_some_and(|(kind, ..)| kind == last) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last} did not come last: {found:#?}")
}

async fn walk(db: &Client, facts: &Value) {
    let id = order_id(facts);
    let sql = "select status, fulfilment, total_amount::text, utm_source, utm_medium, utm_campaign, utm_content, session_id, visitor_id, email, \
               email_status from shop.orders where id = $1";
    let order = row(db, sql, id).await;
    let expected = json!({
        "status": "paid", "fulfilment": "delivered", "total_amount": "75.00", "utm_source": "newsletter", "utm_medium": "email",
        "utm_campaign": "autumn", "utm_content": null, "session_id": facts["session"], "visitor_id": facts["visitor"], "email": facts["email"],
        "email_status": "sent",
    });
    assert_eq!(order, expected);

    let events = events(db, facts, "payment_return").await;
    let kinds: Vec<&str> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
    let expected = [
        "page_view",
        "view_catalog",
        "page_view",
        "view_product",
        "configurator_change",
        "add_to_cart",
        "page_view",
        "checkout_start",
        "checkout_submit",
        "page_view",
        "page_view",
        "payment_return",
    ];
    assert_eq!(kinds, expected);
    let product = "00000000-0000-4000-8000-000000000101";
    let data = |kind: &str| &events.iter().find(|(found, ..)| found == kind).unwrap().2;
    assert_eq!(data("view_catalog"), &json!({"filters": {}}));
    assert_eq!(
        data("view_product"),
        &json!({"product_id": product, "brand": "Nimbus Games", "nominal": "50.00"})
    );
    let change = data("configurator_change");
    assert_eq!(
        (&change["product_id"], &change["nominal"], &change["delivery_type"]),
        (&json!(product), &json!("50.00"), &json!("myself"))
    );
    assert_eq!(data("payment_return"), &json!({"order_id": id, "status": "paid"}));
    let paths: Vec<&str> = events
        .iter()
        .filter(|(kind, ..)| kind == "page_view")
        .map(|(_, url, _)| url.split('?').next().unwrap())
        .collect();
    assert_eq!(paths, ["/", &format!("/product/{product}"), "/checkout", "/pending", "/success"]);
    let sql = "select count(distinct visit_id)::int as visits, count(distinct visitor_id)::int as visitors, \
               bool_and(utm_campaign = 'autumn') as campaign from analytics.events where session_id = (select session_id from shop.orders where id = $1)";
    assert_eq!(row(db, sql, id).await, json!({"visits": 1, "visitors": 1, "campaign": true}));
}

async fn gift(db: &Client, facts: &Value) {
    let sql = "select delivery_type, recipient_email, gift_message, status from shop.orders where id = $1";
    let expected = json!({"delivery_type": "gift", "recipient_email": facts["recipient"], "gift_message": "Happy birthday!\nYours, Sam", "status": "paid"});
    assert_eq!(row(db, sql, order_id(facts)).await, expected);
}

/// Back from the payment page twice: first without, then with the money.
async fn two_returns(db: &Client, facts: &Value) {
    let events = events(db, facts, "payment_return").await;
    let statuses: Vec<&Value> = events
        .iter()
        .filter(|(kind, ..)| kind == "payment_return")
        .map(|(.., data)| &data["status"])
        .collect();
    assert_eq!(statuses, ["failed", "paid"]);
}

/// The refused price left nothing; the accepted one is one order.
async fn one_order(db: &Client, facts: &Value) {
    let sql = "select count(*)::int as orders, max(total_amount)::text as amount from shop.orders where email = (select email from shop.orders where id = $1)";
    assert_eq!(row(db, sql, order_id(facts)).await, json!({"orders": 1, "amount": "75.00"}));
}

async fn nobody(db: &Client, facts: &Value) {
    let sql = "select session_id, visitor_id, utm_source from shop.orders where id = $1";
    assert_eq!(
        row(db, sql, order_id(facts)).await,
        json!({"session_id": null, "visitor_id": null, "utm_source": null})
    );
}

/// One code is dead and one is sold, and the audit says why.
async fn replaced(db: &Client, facts: &Value) {
    let sql = "select string_agg(g.status, ' ' order by g.status) as codes, max(a.details ->> 'note') as note, count(distinct a.id)::int as audits \
               from shop.gift_codes g join shop.order_items it on it.id = g.order_item_id \
               left join ops.audit_log a on a.subject = 'code:' || g.id where it.order_id = $1";
    let expected = json!({"codes": "revoked sold", "note": "The store refuses it.", "audits": 1});
    assert_eq!(row(db, sql, order_id(facts)).await, expected);
}

async fn resolved(db: &Client, facts: &Value) {
    let sql = "select status, fulfilment, review_reason from shop.orders where id = $1";
    let expected = json!({"status": "paid", "fulfilment": "delivered", "review_reason": null});
    assert_eq!(row(db, sql, order_id(facts)).await, expected);
}

/// The leads of an e-mail address; a `Value` of whatever columns the table has.
async fn leads(db: &Client, facts: &Value) -> Vec<Value> {
    let rows = db
        .query(
            "select to_jsonb(l) from crm.landing_leads l where l.email = $1",
            &[&text(facts, "email")],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn lead(db: &Client, facts: &Value) {
    let leads = leads(db, facts).await;
    let [lead] = &leads[..] else { panic!("one lead, not {leads:?}") };
    assert_eq!(lead["name"], "Alex Doe");
    // The number as it was typed is beside it; only this form is compared.
    assert_eq!(
        lead["phone_normalized"].as_str().unwrap().trim_start_matches('+'),
        "12025550147",
        "{lead}"
    );
    let all = lead.to_string();
    assert!(
        all.contains("\"utm_source\":\"telegram\"") && all.contains("\"utm_campaign\":\"teams\""),
        "{lead}"
    );
}

/// Revenue counts by the day the money came in, in the shop's time zone.
async fn revenue(db: &Client, facts: &Value) {
    let sql = "select coalesce(sum(o.total_amount), 0)::numeric(12,2)::text from shop.orders o join shop.tenants t on t.id = o.tenant_id \
               where o.tenant_id = $1 and (o.paid_at at time zone t.time_zone)::date = (now() at time zone t.time_zone)::date";
    let paid: String = db.query_one(sql, &[&stack().demo.tenant_id]).await.unwrap().get(0);
    assert_eq!(text(facts, "revenue"), paid);
}
