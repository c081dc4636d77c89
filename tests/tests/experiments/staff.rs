//! What staff may do with an experiment, and when.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{draft, drafted, patch, running};

async fn create(shop: &Shop, body: Value) -> Reply {
    shop.admin_post(&shop.staff_token, "experiments", &body).await
}

#[tokio::test]
async fn a_draft_has_equal_parts_unless_told_otherwise_and_is_audited() {
    let shop = Shop::new().await;
    let body = json!({"key": "k", "name": " Three ", "variants": ["control", "b", "c"]});
    let made = create(&shop, body).await.expect(200);
    assert_eq!(made["shares"], json!([["control", 34], ["b", 33], ["c", 33]]), "{made}");
    assert_eq!(
        [
            &made["name"],
            &made["status"],
            &made["goalMetric"],
            &made["trafficAllocation"],
            &made["startDate"],
            &made["assigned"]
        ],
        [
            &json!("Three"),
            &json!("draft"),
            &json!("conversion_rate"),
            &Value::Null,
            &Value::Null,
            &json!(0)
        ]
    );
    let id = drafted(&shop, "l", &[("a", 90), ("b", 10)]).await;
    let listed = shop.admin_get(&shop.viewer_token, "experiments").await.expect(200);
    let keys: Vec<&Value> = listed["experiments"].as_array().unwrap().iter().map(|x| &x["key"]).collect();
    assert_eq!(keys, [&json!("l"), &json!("k")]);
    patch(&shop, &id, json!({"name": "New", "trafficAllocation": {"a": 20, "b": 80}}))
        .await
        .expect(200);
    let audit = shop.audit().await;
    let actions: Vec<&str> = audit.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(actions, ["experiment.create", "experiment.create", "experiment.update"]);
    assert_eq!(audit[2].1, format!("experiment:{id}"));
    assert_eq!(
        audit[2].2,
        json!({"name": ["A test", "New"], "traffic_allocation": [{"a": 90, "b": 10}, {"a": 20, "b": 80}]})
    );
    let same = patch(&shop, &id, json!({"name": "New"}));
    shop.adds_nothing(same).await.expect(200);
}

#[tokio::test]
async fn an_allocation_that_is_not_a_whole_percent_for_each_variant_is_refused() {
    let shop = Shop::new().await;
    let with = |allocation: Value| json!({"key": "k", "name": "n", "variants": ["a", "b"], "trafficAllocation": allocation});
    for allocation in [
        json!({"a": 90, "c": 50}), // LD-111
        json!({"a": 90, "c": 10}),
        json!({"a": 100}),
        json!({"a": 50, "b": 30, "c": 20}),
        json!({"a": 50, "b": 49}),
        json!({"a": 50.5, "b": 49.5}),
        json!({"a": 150, "b": -50}),
        json!({"a": "50", "b": "50"}),
        json!([50, 50]),
        json!({}),
    ] {
        let refused = shop
            .adds_nothing(create(&shop, with(allocation.clone())))
            .await
            .refused(400, "invalid_request");
        assert_eq!(
            refused["fields"],
            json!({"trafficAllocation": "must be a whole percent for each variant, together 100"}),
            "{allocation}"
        );
    }
    let id = drafted(&shop, "k", &[("a", 0), ("b", 100)]).await;
    for change in [json!({"trafficAllocation": {"a": 50, "c": 50}}), json!({"variants": ["a", "c"]})] {
        let refused = shop.adds_nothing(patch(&shop, &id, change)).await.refused(400, "invalid_request");
        assert!(refused["fields"]["trafficAllocation"].is_string(), "{refused}");
    }
    // Whoever writes past the functions is stopped by the table.
    let sql = "update analytics.experiments set traffic_allocation = '{\"a\": 90, \"c\": 50}' where tenant_id = $1";
    let error = shop.db.execute(sql, &[&shop.tenant]).await.unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().constraint(),
        Some("experiments_traffic_allocation_valid")
    );
}

#[tokio::test]
async fn wrong_and_missing_fields_are_named_and_write_nothing() {
    let shop = Shop::new().await;
    let refused = shop.adds_nothing(create(&shop, json!({}))).await.refused(400, "invalid_request");
    let missing: Vec<&String> = refused["fields"].as_object().unwrap().keys().collect();
    assert_eq!(missing, ["key", "name", "variants"]);
    for (field, value) in [
        ("key", json!("Hero")),
        ("key", json!("a:b")),
        ("key", json!("x".repeat(65))),
        ("variants", json!(["a"])),
        ("variants", json!(["a", "a"])),
        ("variants", json!(["a", "b c"])),
        ("status", json!("running")),
        ("endDate", json!("2026-01-01")),
        ("goalMetric", json!("clicks")),
    ] {
        let mut body = draft("k", &[("a", 50), ("b", 50)]);
        body[field] = value.clone();
        let refused = shop.adds_nothing(create(&shop, body)).await.refused(400, "invalid_request");
        assert!(refused["fields"][field].is_string(), "{field} {value}: {refused}");
    }
    let mut reversed = draft("k", &[("a", 50), ("b", 50)]);
    reversed["startDate"] = json!("2030-01-02T00:00:00Z");
    reversed["endDate"] = json!("2030-01-02T03:00:00+03:00");
    let refused = shop.adds_nothing(create(&shop, reversed)).await.refused(400, "invalid_request");
    assert_eq!(refused["fields"], json!({"endDate": "must be after the start"}));

    drafted(&shop, "k", &[("a", 50), ("b", 50)]).await;
    let again = create(&shop, draft("k", &[("a", 50), ("b", 50)]));
    shop.adds_nothing(again).await.refused(409, "experiment_key_taken");
    // The key of another shop is free here.
    let other = Shop::new().await;
    drafted(&other, "k", &[("a", 50), ("b", 50)]).await;
}

#[tokio::test]
async fn each_state_allows_its_own_steps_and_changes() {
    let shop = Shop::new().await;
    let id = drafted(&shop, "k", &[("a", 50), ("b", 50)]).await;
    let locked = async |change: Value, status: &str| {
        let refused = shop
            .adds_nothing(patch(&shop, &id, change.clone()))
            .await
            .refused(409, "experiment_locked");
        assert_eq!(refused["status"], status, "{change}");
        for name in change.as_object().unwrap().keys() {
            assert!(refused["fields"][name].is_string(), "{change}: {refused}");
        }
    };
    let step = async |status: &str| patch(&shop, &id, json!({"status": status})).await.expect(200);
    locked(json!({"status": "paused"}), "draft").await;
    locked(json!({"status": "completed"}), "draft").await;
    patch(
        &shop,
        &id,
        json!({"variants": ["a", "b", "c"], "trafficAllocation": {"a": 50, "b": 25, "c": 25}, "goalMetric": "aov"}),
    )
    .await
    .expect(200);

    let started = step("running").await;
    assert!(started["startDate"].is_string() && started["endDate"].is_null(), "{started}");
    locked(json!({"status": "draft"}), "running").await;
    locked(
        json!({"trafficAllocation": {"a": 0, "b": 0, "c": 100}, "variants": ["c", "b", "a"], "goalMetric": "revenue"}),
        "running",
    )
    .await;
    locked(json!({"startDate": "2020-01-01T00:00:00Z"}), "running").await;

    step("paused").await;
    locked(json!({"variants": ["a", "b"]}), "paused").await;
    let changed = json!({"trafficAllocation": {"a": 0, "b": 0, "c": 100}, "endDate": "2020-01-01T00:00:00Z"});
    shop.adds_nothing(patch(&shop, &id, changed)).await.refused(400, "invalid_request");
    patch(&shop, &id, json!({"trafficAllocation": {"a": 0, "b": 0, "c": 100}}))
        .await
        .expect(200);
    let resumed = step("running").await;
    assert_eq!(resumed["startDate"], started["startDate"], "it is the same experiment");

    let ended = step("completed").await;
    assert!(ended["endDate"].is_string(), "{ended}");
    for status in ["running", "paused", "draft"] {
        locked(json!({"status": status}), "completed").await;
    }
    locked(json!({"trafficAllocation": {"a": 100, "b": 0, "c": 0}}), "completed").await;
    locked(json!({"endDate": "2035-01-01T00:00:00Z"}), "completed").await;
    patch(&shop, &id, json!({"description": "What we learned"})).await.expect(200);
    let refused = patch(&shop, &id, json!({"key": "other"})).await.refused(400, "invalid_request");
    assert!(refused["fields"]["key"].is_string());
}

#[tokio::test]
async fn an_experiment_whose_end_is_over_does_not_start_again_without_a_later_one() {
    let shop = Shop::new().await;
    let id = running(&shop, "k", &[("a", 50), ("b", 50)]).await;
    patch(&shop, &id, json!({"status": "paused"})).await.expect(200);
    let sql =
        "update analytics.experiments set start_date = now() - interval '2 days', end_date = now() - interval '1 day' where tenant_id = $1";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    let refused = patch(&shop, &id, json!({"status": "running"}))
        .await
        .refused(409, "experiment_locked");
    assert_eq!(refused["fields"], json!({"endDate": "is over: give a later one to run it"}));
    let later = shop.time("1 day").await;
    patch(&shop, &id, json!({"status": "running", "endDate": later})).await.expect(200);
    let unlimited = patch(&shop, &id, json!({"endDate": ""})).await.expect(200);
    assert_eq!(unlimited["endDate"], Value::Null);
}

#[tokio::test]
async fn another_shops_experiment_does_not_exist() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let id = running(&other, "k", &[("a", 50), ("b", 50)]).await;
    let before = other.rows().await;
    for id in [id.as_str(), "nonsense", &Uuid::new_v4().to_string()] {
        patch(&shop, id, json!({"status": "paused"}))
            .await
            .refused(404, "experiment_not_found");
        shop.admin_get(&shop.staff_token, &format!("experiments/{id}/results"))
            .await
            .refused(404, "experiment_not_found");
    }
    assert_eq!(
        shop.admin_get(&shop.staff_token, "experiments").await.expect(200)["experiments"],
        json!([])
    );
    assert_eq!(other.rows().await, before);
}
