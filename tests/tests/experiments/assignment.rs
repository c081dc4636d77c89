//! `GET /api/experiments`: drawn at the edge, stored once, then stable.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use lonieve_tests::Shop;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ask, assignments, bucket, patch, running, stored, visitors};

const HALVES: [(&str, u8); 2] = [("control", 50), ("b", 50)];

#[tokio::test]
async fn fifty_requests_of_one_visitor_at_once_make_one_assignment() {
    let shop = Shop::new().await;
    running(&shop, "hero", &HALVES).await;
    let visitor = Uuid::new_v4().to_string();
    let asked = stream::iter(0..50).map(|_| assignments(&shop, &visitor)).buffer_unordered(50);
    let answers: BTreeSet<String> = asked.map(|answer| answer.to_string()).collect().await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(stored(&shop).await, 1);
    assert_eq!(assignments(&shop, &visitor).await.to_string(), *answers.first().unwrap());
}

/// 90 % of 2,000 is 1,800, give or take five standard deviations of sqrt(2000 * 0.9 * 0.1) = 13.4. That 10,000 visitors fall into halves is
/// a unit test of the bucket; here it is that every one of them gets what the document's formula says.
#[tokio::test]
async fn visitors_fall_into_variants_by_the_documented_bucket_and_in_the_allocated_shares() {
    let shop = Shop::new().await;
    running(&shop, "discount_25_vs_30", &[("p25", 90), ("p30", 10)]).await;
    let asked = stream::iter(0..2000).map(|number| {
        let (shop, visitor) = (&shop, format!("{number}-{}", shop.tenant));
        async move {
            let expected = if bucket("discount_25_vs_30", &visitor) < 90 { "p25" } else { "p30" };
            let answer = assignments(shop, &visitor).await;
            assert_eq!(answer, json!({"discount_25_vs_30": expected}), "{visitor}");
        }
    });
    asked.buffer_unordered(16).collect::<Vec<_>>().await;
    let sql = "select count(*) from analytics.experiment_assignments where tenant_id = $1 and variant = 'p25'";
    let p25 = shop.count(sql).await;
    assert!((1733..=1867).contains(&p25), "{p25} of 2,000 in the variant with 90 %");
    assert_eq!(stored(&shop).await, 2000);
}

/// LD-111: with `hash(visitor) % 100` the halves of all experiments are the same people. Of 400, a quarter (100) is in both second
/// halves; five standard deviations are 5 * sqrt(400 * 0.25 * 0.75) = 43.
#[tokio::test]
async fn two_experiments_divide_their_visitors_independently() {
    let shop = Shop::new().await;
    running(&shop, "one", &HALVES).await;
    running(&shop, "two", &HALVES).await;
    let asked = stream::iter(0..400).map(|_| async { assignments(&shop, &Uuid::new_v4().to_string()).await });
    let answers: Vec<Value> = asked.buffer_unordered(16).collect().await;
    let mut combinations: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        *combinations.entry(format!("{} {}", answer["one"], answer["two"])).or_default() += 1;
    }
    assert_eq!(combinations.len(), 4, "{combinations:?}");
    assert!(combinations.values().all(|count| (57..=143).contains(count)), "{combinations:?}");
}

#[tokio::test]
async fn a_changed_allocation_moves_nobody_and_holds_for_who_comes_later() {
    let shop = Shop::new().await;
    let id = running(&shop, "hero", &HALVES).await;
    let before = [visitors("hero", 0..50, 5), visitors("hero", 50..100, 5)].concat();
    for visitor in &before {
        assignments(&shop, visitor).await;
    }
    patch(&shop, &id, json!({"status": "paused"})).await.expect(200);
    let all_to_b = json!({"trafficAllocation": {"control": 0, "b": 100}, "status": "running"});
    patch(&shop, &id, all_to_b).await.expect(200);
    for (place, visitor) in before.iter().enumerate() {
        let expected = if place < 5 { "control" } else { "b" };
        assert_eq!(assignments(&shop, visitor).await, json!({"hero": expected}), "{visitor}");
    }
    for visitor in visitors("hero", 0..50, 5) {
        assert_eq!(assignments(&shop, &visitor).await, json!({"hero": "b"}), "{visitor}");
    }
    let sql = "select count(*) from analytics.experiment_assignments where tenant_id = $1 and allocation_number = 2";
    assert_eq!((stored(&shop).await, shop.count(sql).await), (15, 5));
}

#[tokio::test]
async fn only_what_runs_now_is_in_the_answer_and_assigns() {
    let shop = Shop::new().await;
    let id = running(&shop, "hero", &HALVES).await;
    let [old, new] = [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()];
    let assigned = assignments(&shop, &old).await;
    assert_eq!(assigned.as_object().unwrap().len(), 1);
    let nobody = async || {
        assert_eq!(assignments(&shop, &old).await, json!({}));
        shop.adds_nothing(async {
            assert_eq!(assignments(&shop, &new).await, json!({}));
        })
        .await;
    };
    let set = async |dates: &str| {
        let sql = format!("update analytics.experiments set {dates} where tenant_id = $1");
        assert_eq!(shop.db.execute(&sql, &[&shop.tenant]).await.unwrap(), 1);
    };
    // Each time the Worker still has the list with the experiment in it.
    patch(&shop, &id, json!({"status": "paused"})).await.expect(200);
    nobody().await;
    patch(&shop, &id, json!({"status": "running"})).await.expect(200);
    assert_eq!(assignments(&shop, &old).await, assigned, "the assignment has waited");
    set("start_date = now() + interval '1 hour'").await;
    nobody().await;
    set("start_date = now() - interval '2 hours', end_date = now() - interval '1 hour'").await;
    nobody().await;
    set("end_date = now() + interval '1 hour'").await;
    assert_eq!(assignments(&shop, &old).await, assigned);
    patch(&shop, &id, json!({"status": "completed"})).await.expect(200);
    nobody().await;
}

#[tokio::test]
async fn two_shops_with_the_same_key_do_not_meet() {
    let (one, two) = (Shop::new().await, Shop::new().await);
    running(&one, "hero", &[("control", 0), ("b", 100)]).await;
    running(&two, "hero", &[("control", 100), ("b", 0)]).await;
    let visitor = Uuid::new_v4().to_string();
    for _ in 0..2 {
        assert_eq!(assignments(&one, &visitor).await, json!({"hero": "b"}));
        assert_eq!(assignments(&two, &visitor).await, json!({"hero": "control"}));
    }
    assert_eq!((stored(&one).await, stored(&two).await), (1, 1));
    let without = Shop::new().await;
    without
        .adds_nothing(async {
            assert_eq!(assignments(&without, &visitor).await, json!({}));
        })
        .await;
}

#[tokio::test]
async fn a_page_on_another_domain_of_the_shop_may_read_its_variants_and_nobody_elses_page_may() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    running(&shop, "hero", &HALVES).await;
    let landing = format!("landing-{}.test", shop.tenant.simple());
    let sql = "insert into shop.domains (domain, tenant_id) values ($1, $2)";
    shop.db.execute(sql, &[&landing, &shop.tenant]).await.unwrap();
    let from = async |origin: &str| {
        let request = shop
            .request(reqwest::Method::GET, "events", "/api/experiments?visitor_id=v")
            .header("origin", origin);
        let reply = lonieve_tests::Reply::of(request).await;
        reply.expect(200);
        assert_eq!(reply.header("vary"), Some("Origin"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    let own = format!("https://{landing}");
    assert_eq!(from(&own).await, Some(own));
    for foreign in [
        format!("http://{landing}"),
        format!("https://{landing}:8443"),
        format!("https://{}", other.host),
        format!("https://x.{landing}"),
        "null".to_owned(),
    ] {
        assert_eq!(from(&foreign).await, None, "{foreign}");
    }
    assert_eq!(ask(&shop, "v").await.header("access-control-allow-origin"), None);
}
