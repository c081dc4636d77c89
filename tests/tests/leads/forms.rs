//! What a form may say, what it gets, and what is refused.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Person, at_host, leads, send, send_form, stages, the_lead, with, without};

#[tokio::test]
async fn a_lead_form_is_kept_whole() {
    let (shop, person) = (Shop::new().await, Person::new());
    let mut form = person.form();
    form["source"] = json!("proftest_b");
    form["utm"] = json!({"utm_source": "Google", "utm_campaign": ""});
    form["answers"] = json!({"goal": "job", "hours": 5, "days": ["mon"]});
    form["consent"] = json!({"text": "I agree to be called.", "version": "2026-01"});
    let request = shop.request(Method::POST, "leads", "/api/leads").json(&form);
    let request = request
        .header("user-agent", "Mozilla/5.0 (iPhone) Mobile")
        .header("cookie", "lv_sess=s-1; lv_visitor=v-1")
        .header("cf-connecting-ip", "203.0.113.7");
    let answer = Reply::of(request).await.expect(200);
    assert_eq!(answer["stage"], "proftest_submitted");

    let lead = the_lead(&shop).await;
    let expected = json!({"utm_source": "google", "device_type": "mobile", "session_id": "s-1", "visitor_id": "v-1"});
    assert_eq!(
        (&lead["metadata"], &lead["source"], &lead["amocrm_synced"]),
        (&expected, &json!("proftest_b"), &json!(false))
    );
    let stage = &lead["journey_stages"][0];
    assert_eq!(
        (&stage["stage"], &stage["source"], &stage["metadata"]["answers"]),
        (&json!("proftest_submitted"), &json!("proftest_b"), &form["answers"])
    );

    let sql = "select to_jsonb(c) from crm.consents c where tenant_id = $1";
    let consent: Value = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    for (column, value) in [
        ("action", "given"),
        ("text", "I agree to be called."),
        ("version", "2026-01"),
        ("ip_address", "203.0.113.7"),
    ] {
        assert_eq!(consent[column], value, "{consent}");
    }
    assert_eq!(consent["submission_id"], answer["receiptId"]);
    // The same words again are no news; another version is.
    send(&shop, &form).await.expect(200);
    assert_eq!(shop.count("select count(*) from crm.consents where tenant_id = $1").await, 1);
    form["consent"]["version"] = json!("2026-02");
    send(&shop, &form).await.expect(200);
    assert_eq!(shop.count("select count(*) from crm.consents where tenant_id = $1").await, 2);
}

#[tokio::test]
async fn a_plain_form_leads_to_the_tenants_thank_you_page_and_nowhere_else() {
    let (shop, person) = (Shop::new().await, Person::new());
    let fields = [
        ("name", "Aida"),
        ("email", person.email.as_str()),
        ("source", "twland"),
        ("thank_you_path", "/elsewhere"),
        ("redirect", "https://evil.example"),
        ("next", "//evil.example"),
        ("site_url", "https://evil.example"),
        ("answers[goal]", "job"),
        ("consent[version]", "1"),
    ];
    let reply = send_form(&shop, &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some(format!("{}/thank-you", shop.info.gateway).as_str()))
    );
    shop.settings(json!({"thank_you_path": "/ru/spasibo", "site_url": "https://school.example/"}))
        .await;
    let reply = send_form(&shop, &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("https://school.example/ru/spasibo"))
    );
    let lead = the_lead(&shop).await;
    assert_eq!(lead["journey_stages"][0]["metadata"]["answers"], json!({"goal": "job"}));
    assert_eq!(
        shop.count("select count(*) from crm.consents where tenant_id = $1").await,
        0,
        "the box was not ticked"
    );
}

#[tokio::test]
async fn wrong_lead_forms_are_refused_by_name_and_write_nothing() {
    let (shop, person) = (Shop::new().await, Person::new());
    let before = shop.rows().await;
    for (field, value) in [
        ("name", Value::Null),
        ("name", json!("")),
        ("name", json!(5)),
        ("email", json!("nope")),
        ("email", json!("a@b@c.de")),
        ("phone", json!("12345")),
        ("phone", json!("call me")),
        ("phone", json!("+7 777 123 45 67 ext 5")),
        ("phone", json!("+999 123 456 789")),
        ("phone", json!(87771234567_i64)),
        ("source", Value::Null),
        ("source", json!("unknown_source")),
        ("source", json!("TWLAND")),
        ("stage", json!("paid")),
        ("stage", json!(1)),
        ("answers", json!("text")),
        ("answers", json!({"a": "x".repeat(20_000)})),
        ("answers", json!({"a": "\u{0}"})),
        ("consent", json!("yes")),
        ("utm", json!([])),
    ] {
        let body = send(&shop, &with(&person.form(), field, value.clone()))
            .await
            .refused(400, "invalid_request");
        let fields: Vec<&String> = body["fields"].as_object().unwrap().keys().collect();
        assert_eq!(fields, [field], "{value}");
    }
    let neither = without(&without(&person.form(), "email"), "phone");
    let body = send(&shop, &neither).await.refused(400, "invalid_request");
    assert_eq!(body["fields"].as_object().unwrap().keys().collect::<Vec<_>>(), ["email", "phone"]);

    let post = |content_type: &'static str, body: String| {
        Reply::of(
            shop.request(Method::POST, "leads", "/api/leads")
                .header("content-type", content_type)
                .body(body),
        )
    };
    post("application/json", "{".into()).await.refused(400, "invalid_json");
    post("application/json", "[]".into()).await.refused(400, "invalid_request");
    post("text/plain", person.form().to_string())
        .await
        .refused(415, "unsupported_media_type");
    post("multipart/form-data; boundary=x", "--x--".into())
        .await
        .refused(415, "unsupported_media_type");
    post("application/json", " ".repeat(65 * 1024)).await.refused(413, "body_too_large");
    post("application/x-www-form-urlencoded", "name=Aida&source=twland&phone=5".into())
        .await
        .refused(400, "invalid_request");
    let get = shop.get("leads", "/api/leads").await;
    get.refused(405, "method_not_allowed");
    assert_eq!(get.header("allow"), Some("POST, OPTIONS"));
    let nobody = at_host(&shop, "nobody.test", Method::POST, "/api/leads").json(&person.form());
    Reply::of(nobody).await.refused(404, "unknown_tenant");
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn a_form_whose_hidden_field_is_filled_gets_the_leads_answer_and_is_not_stored() {
    let (shop, person) = (Shop::new().await, Person::new());
    let before = shop.rows().await;
    let spam = with(
        &with(&person.form(), "website", json!("https://spam.example")),
        "stage",
        json!("payment_card"),
    );
    let answer = send(&shop, &spam).await.expect(200);
    assert_eq!(answer["stage"], "payment_card");
    answer["receiptId"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 2);
    let fields = [("name", "x"), ("phone", "87771234567"), ("source", "twland"), ("website", "x")];
    let reply = send_form(&shop, &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some(format!("{}/thank-you", shop.info.gateway).as_str()))
    );
    // It is told the same of its mistakes.
    send(&shop, &with(&spam, "phone", json!("1"))).await.refused(400, "invalid_request");
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn sources_stages_and_country_of_leads_are_the_tenants_own() {
    let (shop, person) = (Shop::new().await, Person::new());
    shop.settings(json!({"lead_sources": ["spring-fair", "webinar_1"], "lead_stages": ["seat_taken"], "phone_country": "GB"}))
        .await;
    send(&shop, &person.form()).await.refused(400, "invalid_request");
    let form = json!({"name": "Ann", "phone": "020 7946 0018", "source": "webinar_1"});
    assert_eq!(send(&shop, &form).await.expect(200)["stage"], "webinar_submitted");
    assert_eq!(
        send(&shop, &with(&form, "source", json!("spring-fair"))).await.expect(200)["stage"],
        "spring-fair_submitted"
    );
    assert_eq!(
        send(&shop, &with(&form, "stage", json!("seat_taken"))).await.expect(200)["stage"],
        "seat_taken"
    );
    send(&shop, &with(&form, "stage", json!("payment_card")))
        .await
        .refused(400, "invalid_request");
    let lead = the_lead(&shop).await;
    assert_eq!(lead["phone_normalized"], "+442079460018");
    assert_eq!(stages(&lead), ["webinar_submitted", "spring-fair_submitted", "seat_taken"]);
}

#[tokio::test]
async fn settings_of_leads_that_cannot_be_meant_are_refused() {
    let shop = Shop::new().await;
    for settings in [
        json!({"phone_country": "kz"}),
        json!({"phone_country": 7}),
        json!({"lead_sources": []}),
        json!({"lead_sources": "twland"}),
        json!({"lead_sources": ["Two Words"]}),
        json!({"lead_stages": [1]}),
        json!({"thank_you_path": "https://evil.example"}),
        json!({"thank_you_path": "//evil.example"}),
        json!({"thank_you_path": "/\\evil.example"}),
        json!({"thank_you_path": "thanks"}),
        json!({"thank_you_path": ""}),
        json!({"max_leads_per_address": "many"}),
        json!({"max_leads_per_address": -1}),
    ] {
        let sql = "update shop.tenants set settings = settings || $2 where id = $1";
        let error = shop.db.execute(sql, &[&shop.tenant, &settings]).await.unwrap_err();
        assert_eq!(
            error.as_db_error().unwrap().constraint(),
            Some("tenants_lead_settings_valid"),
            "{settings}"
        );
    }
    for settings in [
        json!({"phone_country": null}),
        json!({"thank_you_path": "/"}),
        json!({"thank_you_path": "/a/b.html"}),
        json!({"lead_stages": []}),
    ] {
        shop.settings(settings).await;
    }
    assert!(leads(&shop).await.is_empty());
}
