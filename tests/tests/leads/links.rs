//! Short links and unsubscribing.

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Person, at_host, send, stages, the_lead};

const TARGET: &str = "https://school.example/express?utm_source=mail";

/// A shop with one lead; its id.
async fn shop_with_lead() -> (Shop, String) {
    let (shop, person) = (Shop::new().await, Person::new());
    send(&shop, &person.form()).await.expect(200);
    let id = the_lead(&shop).await["id"].as_str().unwrap().to_owned();
    (shop, id)
}

async fn short_link(shop: &Shop, lead: Option<&str>, channel: Option<&str>, stage: Option<&str>) -> String {
    let sql = "select crm.create_short_link($1, $2, $3::text::uuid, $4, $5)";
    shop.db
        .query_one(sql, &[&shop.tenant, &TARGET, &lead, &channel, &stage])
        .await
        .unwrap()
        .get(0)
}

async fn link_row(shop: &Shop, code: &str) -> Value {
    let sql = "select to_jsonb(l) from crm.short_links l where tenant_id = $1 and code = $2";
    shop.db.query_one(sql, &[&shop.tenant, &code]).await.unwrap().get(0)
}

async fn token(shop: &Shop, lead: &str) -> String {
    shop.db
        .query_one("select crm.issue_unsubscribe_token($1::text::uuid)", &[&lead])
        .await
        .unwrap()
        .get(0)
}

async fn plan(shop: &Shop, lead: &str, status: &str) {
    let sql = "insert into crm.scheduled_notifications (tenant_id, lead_id, notification_type, scheduled_for, status, sent_at) \
               values ($1, $2::text::uuid, 'email', now() + interval '1 day', $3, case when $3 = 'sent' then now() end)";
    shop.db.execute(sql, &[&shop.tenant, &lead, &status]).await.unwrap();
}

#[tokio::test]
async fn a_click_is_stamped_on_the_link_and_on_its_lead() {
    let (shop, lead) = shop_with_lead().await;
    let mail = short_link(&shop, Some(&lead), Some("email"), Some("expresscourse_clicked")).await;
    let sms = short_link(&shop, Some(&lead), Some("sms"), None).await;
    assert!(mail.len() <= 10 && mail != sms);

    let path = format!("/l/{mail}");
    let first = shop.get("leads", &path).await;
    assert_eq!(
        (first.status, first.header("location"), first.header("cache-control")),
        (302, Some(TARGET), Some("no-store"))
    );
    let stamped = the_lead(&shop).await;
    let at = stamped["email_clicked_at"].clone();
    assert_eq!(
        (&stamped["email_clicked"], &stamped["sms_clicked"], &stamped["click_count"]),
        (&json!(true), &json!(false), &json!(1))
    );
    assert!(at.is_string() && stamped["sms_clicked_at"].is_null());

    // Thirty more at once, and one by SMS: each counts, the first time stays.
    for reply in join_all((0..30).map(|_| shop.get("leads", &path))).await {
        assert_eq!(reply.status, 302, "{}", reply.text);
    }
    assert_eq!(shop.get("leads", &format!("/l/{sms}")).await.status, 302);
    let lead = the_lead(&shop).await;
    assert_eq!(
        (&lead["click_count"], &lead["sms_clicked"], &lead["email_clicked_at"]),
        (&json!(32), &json!(true), &at)
    );
    assert_eq!(stages(&lead), ["twland_submitted", "expresscourse_clicked"]);
    let row = link_row(&shop, &mail).await;
    assert_eq!((&row["click_count"], &row["first_clicked_at"]), (&json!(31), &at));
    assert!(row["last_clicked_at"].as_str() >= row["first_clicked_at"].as_str());
}

#[tokio::test]
async fn a_link_for_everybody_belongs_to_no_lead_and_looking_is_not_clicking() {
    let (shop, _) = shop_with_lead().await;
    let code = short_link(&shop, None, None, None).await;
    let path = format!("/l/{code}");
    let head = Reply::of(shop.request(Method::HEAD, "leads", &path)).await;
    assert_eq!((head.status, head.header("location")), (302, Some(TARGET)));
    assert_eq!(link_row(&shop, &code).await["click_count"], 0);
    assert_eq!(shop.get("leads", &path).await.status, 302);
    assert_eq!(link_row(&shop, &code).await["click_count"], 1);
    assert_eq!(the_lead(&shop).await["click_count"], 0);
    let post = shop.post("leads", &path, &json!({})).await;
    post.refused(405, "method_not_allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn unknown_links_and_those_of_another_leads_shop_are_not_found() {
    let ((shop, lead), (other, _)) = (shop_with_lead().await, shop_with_lead().await);
    let code = short_link(&shop, Some(&lead), Some("email"), None).await;
    let token = token(&shop, &lead).await;
    for path in [
        "/l/nothing1".to_owned(),
        "/l/ab".to_owned(),
        "/l/a%20b%20c%20d".to_owned(),
        format!("/l/{code}"),
    ] {
        other.get("leads", &path).await.refused(404, "not_found");
    }
    for path in ["/u/nothing-that-was-issued".to_owned(), "/u/x".to_owned(), format!("/u/{token}")] {
        other.get("leads", &path).await.refused(404, "not_found");
        Reply::of(other.request(Method::POST, "leads", &path))
            .await
            .refused(404, "not_found");
    }
    let nobody = at_host(&shop, "nobody.test", Method::GET, &format!("/l/{code}"));
    Reply::of(nobody).await.refused(404, "unknown_tenant");
    let lead = the_lead(&shop).await;
    assert_eq!((&lead["click_count"], &lead["unsubscribed_at"]), (&json!(0), &Value::Null));
    // Two shops may use one code.
    let sql = "insert into crm.short_links (tenant_id, code, target_url) values ($1, $2, 'https://other.example/')";
    other.db.execute(sql, &[&other.tenant, &code]).await.unwrap();
    assert_eq!(
        other.get("leads", &format!("/l/{code}")).await.header("location"),
        Some("https://other.example/")
    );
}

#[tokio::test]
async fn links_of_leads_lead_to_https_only() {
    let shop = Shop::new().await;
    for target in [
        "http://school.example/",
        "javascript:alert(1)",
        "//evil.example",
        "https://a b",
        "https://школа.example/",
        "https://",
        "/local",
    ] {
        let error = shop
            .db
            .query_one("select crm.create_short_link($1, $2, null, null, null)", &[&shop.tenant, &target])
            .await
            .unwrap_err();
        assert_eq!(
            error.as_db_error().unwrap().constraint(),
            Some("short_links_target_https"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_lead_unsubscribes_by_the_button_only_and_once_is_enough() {
    let (shop, lead) = shop_with_lead().await;
    let (token, other) = (token(&shop, &lead).await, token(&shop, &lead).await);
    assert_ne!(token, other, "every message has a link of its own");
    let stored = shop.count("select count(*) from crm.unsubscribe_tokens where tenant_id = $1").await;
    assert_eq!(stored, 2);
    let clear = "select count(*) from crm.unsubscribe_tokens where tenant_id = $1 and strpos(token_sha256, $2) > 0";
    let clear: i64 = shop.db.query_one(clear, &[&shop.tenant, &token]).await.unwrap().get(0);
    assert_eq!(clear, 0, "only hashes are kept");
    for status in ["pending", "pending", "sent"] {
        plan(&shop, &lead, status).await;
    }

    let path = format!("/u/{token}");
    let before = shop.rows().await;
    let page = Reply::of(shop.request(Method::GET, "leads", &path).header("accept-language", "ru-RU")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.text.contains("<form method=\"post\">") && page.text.contains("lang=\"ru\"") && page.text.contains("Test shop"),
        "{}",
        page.text
    );
    assert_eq!(
        (page.header("referrer-policy"), page.header("cache-control")),
        (Some("no-referrer"), Some("no-store"))
    );
    assert_eq!(
        (the_lead(&shop).await["unsubscribed_at"].clone(), shop.rows().await),
        (Value::Null, before),
        "opening the page does nothing"
    );

    // The button, and what a mail program sends by itself.
    let done = Reply::of(shop.request(Method::POST, "leads", &path)).await;
    assert_eq!(done.status, 200);
    assert!(
        done.text.contains("You are unsubscribed") && !done.text.contains("<form"),
        "{}",
        done.text
    );
    let at = the_lead(&shop).await["unsubscribed_at"].clone();
    assert!(at.is_string());
    let one_click = shop
        .request(Method::POST, "leads", &format!("/u/{other}"))
        .form(&[("List-Unsubscribe", "One-Click")]);
    assert_eq!(Reply::of(one_click).await.status, 200);
    assert!(shop.get("leads", &path).await.text.contains("You are unsubscribed"));
    assert_eq!(the_lead(&shop).await["unsubscribed_at"], at);
    assert_eq!(
        shop.count("select count(*) from crm.consents where tenant_id = $1 and action = 'withdrawn'")
            .await,
        1
    );
    assert_eq!(
        shop.count("select count(*) from crm.scheduled_notifications where tenant_id = $1 and status = 'cancelled'")
            .await,
        2
    );
    assert_eq!(
        shop.count("select count(*) from crm.scheduled_notifications where tenant_id = $1 and status = 'sent'")
            .await,
        1
    );
    let put = Reply::of(shop.request(Method::PUT, "leads", &path)).await;
    put.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn a_later_form_does_not_subscribe_an_unsubscribed_lead_again() {
    let (shop, person) = (Shop::new().await, Person::new());
    send(&shop, &person.form()).await.expect(200);
    let lead = the_lead(&shop).await["id"].as_str().unwrap().to_owned();
    let path = format!("/u/{}", token(&shop, &lead).await);
    assert_eq!(Reply::of(shop.request(Method::POST, "leads", &path)).await.status, 200);
    let at = the_lead(&shop).await["unsubscribed_at"].clone();
    let mut form = person.form();
    form["consent"] = json!({"text": "Yes, again.", "version": "1"});
    send(&shop, &form).await.expect(200);
    assert_eq!(the_lead(&shop).await["unsubscribed_at"], at, "anybody can type an address");
    let sql = "select array_agg(action order by id) from crm.consents where tenant_id = $1";
    let actions: Vec<String> = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    assert_eq!(actions, ["withdrawn", "given"], "but it is on record");
}
