//! The demo shop's history, which the staff's charts show on the first evening.

use lonieve_tests::{Shop, stack};

#[tokio::test]
async fn the_demo_shop_has_four_weeks_of_visits_and_advertising_and_no_made_up_order() {
    let shop = Shop::new().await;
    let demo = stack().demo.tenant_id;
    let sql = "select count(distinct (e.created_at at time zone t.time_zone)::date), max((e.created_at at time zone t.time_zone)::date) < (now() at time zone t.time_zone)::date, \
                 count(distinct e.event_type), count(distinct e.visit_id) from analytics.events e join shop.tenants t on t.id = e.tenant_id \
               where e.tenant_id = $1 and e.session_id like 'demo-%' group by t.time_zone";
    let row = shop.db.query_one(sql, &[&demo]).await.unwrap();
    let (days, is_past, types, visits): (i64, bool, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    assert!((27..=28).contains(&days), "{days} days");
    assert!(is_past && types == 4 && visits > 500, "{is_past} {types} {visits}");
    let of_demo = async |sql: &str| -> i64 { shop.db.query_one(sql, &[&demo]).await.unwrap().get(0) };
    assert_eq!(
        of_demo("select count(distinct date) from analytics.ad_spend where tenant_id = $1").await,
        28
    );
    assert_eq!(
        of_demo("select count(*) from shop.orders where tenant_id = $1 and session_id like 'demo-%'").await,
        0
    );
}
