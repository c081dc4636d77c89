//! Who is one person.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use lonieve_tests::Shop;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{Person, leads, send, send_form, stages, the_lead, with, without};

/// Stages a form may name, and the three that sources give by themselves.
const STAGES: [&str; 7] = [
    "twland_submitted",
    "proftest_submitted",
    "expresscourse_clicked",
    "expresscourse_submitted",
    "payment_kaspi",
    "payment_card",
    "payment_manager",
];

/// 200 forms at once: every spelling of the phone and the e-mail, every stage, JSON and plain forms. `contacts` says which of phone and
/// e-mail the n-th form has.
async fn two_hundred(shop: &Shop, person: &Person, gate: Option<Client>, contacts: impl Fn(usize) -> (bool, bool)) {
    let (phones, emails) = (person.phones(), person.emails());
    let posts = (0..200).map(|n| {
        let (has_phone, has_email) = contacts(n);
        let phone = if has_phone {
            phones[n % phones.len()].clone()
        } else {
            String::new()
        };
        let email = if has_email {
            emails[n % emails.len()].clone()
        } else {
            String::new()
        };
        async move {
            let stage = STAGES[n % STAGES.len()];
            if n % 5 == 0 {
                let fields = [
                    ("name", "Aida"),
                    ("email", email.as_str()),
                    ("phone", &phone),
                    ("source", "proftest_a"),
                    ("stage", stage),
                ];
                let reply = send_form(shop, &fields).await;
                assert_eq!(reply.status, 303, "{}", reply.text);
                return None;
            }
            let body = send(
                shop,
                &json!({"name": "Aida", "email": email, "phone": phone, "source": "proftest_a", "stage": stage}),
            )
            .await
            .expect(200);
            assert_eq!(body["stage"], stage);
            Some(body["receiptId"].as_str().unwrap().to_owned())
        }
    });
    let (answers, ()) = tokio::join!(join_all(posts), release_when_many_wait(gate));
    let receipts: BTreeSet<String> = answers.into_iter().flatten().collect();
    assert_eq!(receipts.len(), 160, "every answer has a receipt of its own");
    let count = "select count(*) from crm.lead_submissions where tenant_id = $1 and id::text = any($2)";
    let stored: i64 = shop
        .db
        .query_one(count, &[&shop.tenant, &receipts.iter().collect::<Vec<_>>()])
        .await
        .unwrap()
        .get(0);
    assert_eq!(stored, 160, "every receipt is a stored form");
}

/// Holds the row of the tenant, which a new lead refers to: whoever inserts a lead stops right there, after looking for one. Without it
/// the first form would be stored before the second is looked at, and nothing would be at once.
async fn closed_gate(shop: &Shop) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(&shop.info.database_url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("begin").await.unwrap();
    client
        .query("select from shop.tenants where id = $1 for update", &[&shop.tenant])
        .await
        .unwrap();
    Some(client)
}

/// Opens the gate as soon as the database's own view shows that many calls stand at it. They wait for 2 s at most.
async fn release_when_many_wait(gate: Option<Client>) {
    let Some(gate) = gate else { return };
    let sql =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%capture_lead%' and pid <> pg_backend_pid()";
    let mut waiting: i64 = 0;
    for _ in 0..90 {
        // Inside a transaction the view is a snapshot, unless it is asked for a new one.
        gate.batch_execute("select pg_stat_clear_snapshot()").await.unwrap();
        waiting = gate.query_one(sql, &[]).await.unwrap().get(0);
        if waiting >= 8 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.batch_execute("commit").await.unwrap();
    assert!(waiting >= 8, "only {waiting} calls were at work at once");
}

async fn assert_one_lead_with_everything(shop: &Shop, person: &Person, forms: i64) {
    let lead = the_lead(shop).await;
    assert_eq!(
        (&lead["phone_normalized"], &lead["email"], &lead["needs_review"]),
        (&json!(person.e164()), &json!(person.email), &json!(false))
    );
    assert_eq!(stages(&lead).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(STAGES));
    assert_eq!(stages(&lead).len(), STAGES.len(), "each stage once");
    assert_eq!(
        shop.count("select count(*) from crm.lead_submissions where tenant_id = $1").await,
        forms
    );
    assert_eq!(shop.count("select count(*) from crm.lead_links where tenant_id = $1").await, 0);
}

#[tokio::test]
async fn two_hundred_forms_of_one_person_at_once_are_one_lead_with_all_stages() {
    let (shop, person) = (Shop::new().await, Person::new());
    // Every form has the phone; every third has no e-mail.
    two_hundred(&shop, &person, closed_gate(&shop).await, |n| (true, n % 3 != 0)).await;
    assert_one_lead_with_everything(&shop, &person, 200).await;
}

#[tokio::test]
async fn two_hundred_forms_that_share_the_e_mail_are_one_lead_too() {
    let (shop, person) = (Shop::new().await, Person::new());
    two_hundred(&shop, &person, closed_gate(&shop).await, |n| (n % 3 != 0, true)).await;
    assert_one_lead_with_everything(&shop, &person, 200).await;
}

#[tokio::test]
async fn once_a_lead_has_both_forms_with_either_find_it() {
    let (shop, person) = (Shop::new().await, Person::new());
    send(&shop, &person.form()).await.expect(200);
    two_hundred(&shop, &person, None, |n| (n % 3 != 0, n % 3 != 1)).await;
    assert_one_lead_with_everything(&shop, &person, 201).await;
}

#[tokio::test]
async fn forms_that_share_nothing_at_first_make_at_most_two_leads_and_link_them() {
    let (shop, person) = (Shop::new().await, Person::new());
    // A phone alone and an e-mail alone are strangers until a form names both; nothing is merged then, so two leads may stay.
    two_hundred(&shop, &person, closed_gate(&shop).await, |n| (n % 3 != 0, n % 3 != 1)).await;
    let leads = leads(&shop).await;
    let reached: BTreeSet<&str> = leads.iter().flat_map(stages).collect();
    assert_eq!(reached, BTreeSet::from(STAGES));
    let links = shop.count("select count(*) from crm.lead_links where tenant_id = $1").await;
    match leads.len() {
        1 => assert_eq!((links, &leads[0]["needs_review"]), (0, &json!(false))),
        2 => {
            assert_eq!(links, 1);
            assert!(leads.iter().all(|lead| lead["needs_review"] == true), "{leads:#?}");
        }
        more => panic!("{more} leads of one person"),
    }
}

#[tokio::test]
async fn a_lead_of_the_phone_and_one_of_the_e_mail_are_linked_and_flagged_never_merged() {
    let (shop, person) = (Shop::new().await, Person::new());
    let full = person.form();
    send(&shop, &with(&without(&full, "email"), "name", json!("By phone")))
        .await
        .expect(200);
    send(&shop, &with(&without(&full, "phone"), "name", json!("By mail")))
        .await
        .expect(200);
    let before = leads(&shop).await;
    assert_eq!(before.len(), 2);
    assert!(before.iter().all(|lead| lead["needs_review"] == false));

    let conflict = with(&full, "stage", json!("payment_card"));
    let answer = send(&shop, &conflict).await.expect(200);
    assert_eq!(
        answer.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["receiptId", "stage"],
        "the conflict does not show"
    );

    let after = leads(&shop).await;
    assert_eq!(after.len(), 2, "never merged");
    for (was, is) in before.iter().zip(&after) {
        for column in ["id", "name", "email", "phone", "phone_normalized", "source", "metadata"] {
            assert_eq!(was[column], is[column], "{column} is left as it was");
        }
        assert_eq!(is["needs_review"], true);
    }
    // Phone first: the form is booked on the phone's lead.
    assert_eq!(
        (stages(&after[0]), stages(&after[1])),
        (vec!["twland_submitted", "payment_card"], vec!["twland_submitted"])
    );
    let link =
        "select lead_id::text, other_lead_id::text, submission_id::text, resolved_at is null from crm.lead_links where tenant_id = $1";
    let row = shop.db.query_one(link, &[&shop.tenant]).await.unwrap();
    let link: (String, String, String, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(
        link,
        (text(&after[0]["id"]), text(&after[1]["id"]), text(&answer["receiptId"]), true)
    );

    // Again, many times at once: still one link. And what staff has decided stays decided.
    for reply in join_all((0..20).map(|_| send(&shop, &conflict))).await {
        reply.expect(200);
    }
    assert_eq!(shop.count("select count(*) from crm.lead_links where tenant_id = $1").await, 1);
    for sql in [
        "update crm.lead_links set resolved_at = now() where tenant_id = $1",
        "update crm.landing_leads set needs_review = false where tenant_id = $1",
    ] {
        shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    }
    send(&shop, &conflict).await.expect(200);
    assert!(leads(&shop).await.iter().all(|lead| lead["needs_review"] == false));
}

#[tokio::test]
async fn a_form_fills_in_what_a_lead_lacks_and_overwrites_nothing() {
    let (shop, person, other) = (Shop::new().await, Person::new(), Person::new());
    send(
        &shop,
        &with(&without(&person.form(), "email"), "utm", json!({"utm_source": "First"})),
    )
    .await
    .expect(200);
    send(&shop, &with(&person.form(), "source", json!("proftest_b"))).await.expect(200);
    // Somebody who knows the phone number gives another name and address.
    let foreign =
        json!({"name": "Mallory", "email": other.email, "phone": person.phones()[3], "source": "twland", "utm": {"utm_source": "second"}});
    let receipt = send(&shop, &foreign).await.expect(200)["receiptId"].as_str().unwrap().to_owned();

    let lead = the_lead(&shop).await;
    assert_eq!(
        (&lead["name"], &lead["email"], &lead["source"]),
        (&json!("Aida"), &json!(person.email), &json!("twland"))
    );
    assert_eq!(lead["metadata"]["utm_source"], "first", "{lead}");
    // What was written differs and is not lost.
    let sql = "select to_jsonb(s) from crm.lead_submissions s where id::text = $1";
    let kept: Value = shop.db.query_one(sql, &[&receipt]).await.unwrap().get(0);
    assert_eq!(
        (&kept["name"], &kept["email"], &kept["phone"]),
        (&foreign["name"], &foreign["email"], &foreign["phone"])
    );
    assert_eq!(kept["lead_id"], lead["id"]);
}

#[tokio::test]
async fn the_answer_never_says_whether_the_lead_was_known() {
    let (shop, person) = (Shop::new().await, Person::new());
    let first = send(&shop, &person.form()).await;
    let second = send(&shop, &person.form()).await;
    let (a, b) = (first.expect(200), second.expect(200));
    assert_eq!(a["stage"], b["stage"]);
    assert_ne!(a["receiptId"], b["receiptId"]);
    assert_eq!(a.as_object().unwrap().len(), 2, "{a}");
    let names = |reply: &lonieve_tests::Reply| reply.headers.keys().map(|name| name.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names(&first), names(&second));
}

#[tokio::test]
async fn two_shops_know_one_person_each_for_themselves_as_leads() {
    let (one, two, person) = (Shop::new().await, Shop::new().await, Person::new());
    let form = person.form();
    for reply in join_all([&one, &two, &one, &two].map(|shop| send(shop, &form))).await {
        reply.expect(200);
    }
    let (a, b) = (the_lead(&one).await, the_lead(&two).await);
    assert_ne!(a["id"], b["id"]);
    assert_eq!(
        (a["phone_normalized"].clone(), stages(&a)),
        (b["phone_normalized"].clone(), stages(&b))
    );
    // A row of one tenant cannot hang on a lead of the other.
    let sql = "insert into crm.lead_journey (tenant_id, lead_id, stage) values ($1, $2::text::uuid, 'x')";
    let error = one.db.execute(sql, &[&one.tenant, &b["id"].as_str().unwrap()]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("lead_journey_lead_fkey"));
}

#[tokio::test]
async fn a_writer_without_the_locks_cannot_make_a_second_lead() {
    let (shop, person) = (Shop::new().await, Person::new());
    send(&shop, &person.form()).await.expect(200);
    let insert = "insert into crm.landing_leads (tenant_id, name, source, email, phone, phone_normalized) values ($1, 'x', 'x', $2::text, $3::text, $3::text)";
    for (email, phone, constraint) in [
        (Some(person.email.as_str()), None, "landing_leads_tenant_email_key"),
        (None, Some(person.e164()), "landing_leads_tenant_phone_key"),
        (None, None, "landing_leads_reachable"),
    ] {
        let error = shop.db.execute(insert, &[&shop.tenant, &email, &phone]).await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().constraint(), Some(constraint));
    }
}
