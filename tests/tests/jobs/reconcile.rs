//! Provider = payments = codes, once a day: nothing on a sound shop, and each planted difference by its name.

use lonieve_tests::{Placed, Reply, Shop};
use serde_json::{Value, json};

use crate::support::{alerts, faults, press, requests, state, turn};

/// The middle of the night this many days on, when the days before are due. RFC 3339.
async fn night(shop: &Shop, days: u32) -> String {
    let sql = "select to_char(date_trunc('day', now() at time zone 'UTC') + $1::text::interval, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    shop.db
        .query_one(sql, &[&format!("{days} days 2 hours 5 minutes")])
        .await
        .unwrap()
        .get(0)
}

/// Runs the job until it has got to its end.
async fn reconcile(shop: &Shop, clock: &str) {
    for _ in 0..60 {
        if shop.job("reconcile", Some(clock)).await.expect(200)["more"] == false {
            return;
        }
    }
    panic!("the reconciliation does not end");
}

/// The report of the shop's first day: status, counts, sums, differences by name.
async fn report(shop: &Shop, names: &[(String, &str)]) -> (String, Value, Value, Vec<String>) {
    let sql = "select status, counts, sums, differences from ops.reconciliation_reports where tenant_id = $1 order by day limit 1";
    let row = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap();
    let differences: Value = row.get(3);
    let mut found: Vec<String> = differences
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let text = format!("{} {}", f["subject"].as_str().unwrap(), f["problem"].as_str().unwrap());
            names.iter().fold(text, |text, (id, name)| text.replace(id.as_str(), name))
        })
        .collect();
    found.sort();
    (row.get(0), row.get(1), row.get(2), found)
}

async fn place(shop: &Shop, names: &mut Vec<(String, &'static str)>, name: &'static str) -> Placed {
    let order = shop.place(&shop.cart()).await;
    names.push((order.order_id.to_string(), name));
    names.push((order.bill_id.clone(), name));
    order
}

/// What the provider says of a bill from now on.
async fn lie(shop: &Shop, order: &Placed, lie: Value) {
    let url = format!("{}/bills/{}/lie", shop.info.sandbox, order.bill_id);
    Reply::of(shop.http.put(url).json(&lie)).await.expect(200);
}

async fn sql(shop: &Shop, statement: &str, order: &Placed) {
    assert!(shop.db.execute(statement, &[&order.order_id]).await.unwrap() > 0, "{statement}");
}

async fn sound_books_agree(shop: Shop, commission: Option<&str>) {
    let mut names = Vec::new();
    for name in ["one", "two"] {
        let order = place(&shop, &mut names, name).await;
        press(&shop, &order, "pay", true).await;
        assert_eq!(state(&shop, &order).await, "paid delivered");
    }
    place(&shop, &mut names, "open").await;
    let failed = place(&shop, &mut names, "failed").await;
    press(&shop, &failed, "fail", true).await;
    // The day is over, but not for two hours yet.
    let early = night(&shop, 1).await.replace("T02:05", "T01:55");
    reconcile(&shop, &early).await;
    assert_eq!(
        shop.count("select count(*) from ops.reconciliation_reports where tenant_id = $1")
            .await,
        0
    );

    let clock = night(&shop, 1).await;
    reconcile(&shop, &clock).await;
    let (status, counts, sums, differences) = report(&shop, &names).await;
    assert_eq!((status.as_str(), differences), ("clean", vec![]));
    assert_eq!(
        counts,
        json!({"provider_bills": 4, "provider_paid": 2, "payments": 4, "payments_paid": 2, "orders_paid": 2, "units_delivered": 2,
               "codes_sold": 2, "orders_waiting": 0, "refunds": 0, "differences": 0})
    );
    // 2 x 37.50; 2 x 1.39.
    let listed = commission.map(|_| "75.00");
    assert_eq!(
        sums,
        json!({"provider_received": listed, "received": "75.00", "revenue": "75.00", "provider_commission": commission, "fees": "2.78",
               "provider_refunded": commission.map(|_| "0.00"), "refunded": "0.00"})
    );
    assert_eq!(alerts(&shop).await, Vec::<String>::new());
    reconcile(&shop, &clock).await;
    let checks = "select checks::bigint from ops.reconciliation_reports where tenant_id = $1";
    assert_eq!(shop.count(checks).await, 1, "a day is looked at once a day");
}

#[tokio::test]
async fn sound_books_agree_under_v1() {
    let _turn = turn().await;
    sound_books_agree(Shop::v1(4).await, Some("2.78")).await;
}

#[tokio::test]
async fn sound_books_agree_under_v2() {
    let _turn = turn().await;
    sound_books_agree(Shop::with_codes(4).await, None).await;
}

#[tokio::test]
async fn each_difference_under_v1_has_its_name_and_money_that_was_missed_is_settled() {
    let _turn = turn().await;
    let shop = Shop::v1(30).await;
    let mut names = Vec::new();
    let missed = place(&shop, &mut names, "missed").await;
    press(&shop, &missed, "pay", false).await;
    let mut paid = Vec::new();
    for name in [
        "open_there",
        "unknown_there",
        "other_price",
        "other_sum",
        "no_code",
        "two_codes",
        "wrong_fee",
        "no_refund",
        "sound",
    ] {
        let order = place(&shop, &mut names, name).await;
        press(&shop, &order, "pay?commission=0", true).await;
        assert_eq!(state(&shop, &order).await, "paid delivered");
        paid.push((name, order));
    }
    let order = |name: &str| &paid.iter().find(|(n, _)| *n == name).unwrap().1;
    lie(&shop, order("open_there"), json!({"status": "NEW"})).await;
    lie(&shop, order("unknown_there"), json!({"hidden": true})).await;
    lie(&shop, order("other_price"), json!({"amount": "35.00"})).await;
    // 40.00 came in there; the fee was booked on less.
    sql(
        &shop,
        "update shop.payments set received_amount = 40 where order_id = $1",
        order("other_sum"),
    )
    .await;
    let codes = "select it.id from shop.order_items it where it.order_id = $1";
    sql(
        &shop,
        &format!("update shop.gift_codes set status = 'available', order_item_id = null where order_item_id in ({codes})"),
        order("no_code"),
    )
    .await;
    let free = "select id from shop.gift_codes where status = 'available' and tenant_id = (select tenant_id from shop.orders where id = $1) order by id desc limit 1";
    sql(
        &shop,
        &format!("update shop.gift_codes set status = 'sold', sold_at = now(), order_item_id = ({codes}) where id = ({free})"),
        order("two_codes"),
    )
    .await;
    sql(
        &shop,
        "update shop.transaction_fees set fee_amount = 1.93 where order_id = $1",
        order("wrong_fee"),
    )
    .await;
    press(&shop, order("no_refund"), "refund?amount=10.00", false).await;
    // A bill of our order that the provider made and we never heard of, and which was paid.
    let form = format!(
        "amount=37.50&shop_id={}&order_id={}&type=normal&currency_in=USD&payer_pays_commission=1&ttl=3600",
        shop.info.cardlink.shop_id,
        order("sound").order_id
    );
    let create = shop
        .http
        .post(format!("{}/cardlink/v1/bill/create", shop.info.sandbox))
        .bearer_auth(&shop.info.cardlink.token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let stray = Placed {
        bill_id: Reply::of(create).await.expect(200)["bill_id"].as_str().unwrap().to_owned(),
        ..order("sound").clone()
    };
    press(&shop, &stray, "pay", false).await;
    names.insert(0, (stray.bill_id.clone(), "stray"));
    // Such a code was never sold to its order.
    let extra: uuid::Uuid = {
        let sql = "select g.id from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id where i.order_id = $1 \
                   and not exists (select from shop.code_ledger l where l.code_id = g.id and l.entry = 'sold')";
        shop.db.query_one(sql, &[&order("two_codes").order_id]).await.unwrap().get(0)
    };
    names.push((extra.to_string(), "extra"));

    reconcile(&shop, &night(&shop, 1).await).await;
    let (status, counts, _, differences) = report(&shop, &names).await;
    let expected = [
        "bill:missed paid at the provider (paid), pending here",
        "bill:no_refund 10.00 was given back at the provider, 0 here",
        "bill:open_there paid here, pending at the provider",
        "bill:other_price asks for 35.00 at the provider, for 37.50 here",
        "bill:other_sum 37.50 came in at the provider, 40.00 here",
        "bill:stray paid at the provider, and no order here has this bill",
        "bill:unknown_there paid here, and the provider does not know it",
        "bill:wrong_fee its fee is 1.93, 2.90 % + 0.30 of 37.50 is 1.39",
        "code:extra it is at order two_codes, which it was never sold to",
        "order:no_code an item says it cost 30.00, its codes cost nobody knows what",
        "order:no_code it is delivered, but has 0 of 1 codes",
        "order:two_codes an item says it cost 30.00, its codes cost 60.00",
        "order:two_codes it has 2 codes for 1 units",
        "order:wrong_fee its fees come to 1.93, it says 1.39",
        "order:wrong_fee its true profit is 5.57, it says 6.11",
    ];
    assert_eq!(differences, expected);
    assert_eq!((status.as_str(), &counts["differences"]), ("differences", &json!(expected.len())));
    let open = alerts(&shop).await;
    let about: Vec<&String> = open.iter().filter(|alert| alert.starts_with("reconciliation")).collect();
    assert_eq!(about.len(), 1, "{open:?}");
    let start = format!(
        "reconciliation | critical | The books of a day do not agree | {} differences on ",
        expected.len()
    );
    assert!(
        about[0].starts_with(&start) && about[0].ends_with("; and more. | 1"),
        "{}",
        about[0]
    );
    assert_eq!(about[0].matches("bill:").count(), 3, "the first three: {}", about[0]);

    // The missed one is settled by itself at the next poll.
    shop.job("poll_bills", Some(&night(&shop, 1).await)).await.expect(200);
    assert_eq!(state(&shop, &missed).await, "paid delivered");

    // Everything is put right; the next night's run closes the alert.
    for (name, order) in &paid {
        if ["open_there", "unknown_there", "other_price"].contains(name) {
            lie(&shop, order, json!({})).await;
        }
    }
    lie(&shop, &stray, json!({"hidden": true})).await;
    sql(
        &shop,
        "update shop.payments set received_amount = 37.50 where order_id = $1",
        order("other_sum"),
    )
    .await;
    let back = "update shop.gift_codes set status = 'sold', order_item_id = (select id from shop.order_items where order_id = $1) \
                where id = (select code_id from shop.code_ledger where order_id = $1 and entry = 'sold' limit 1)";
    sql(&shop, back, order("no_code")).await;
    let off = "update shop.gift_codes g set status = 'available', order_item_id = null, sold_at = null from shop.order_items i \
               where i.id = g.order_item_id and i.order_id = $1 and not exists (select from shop.code_ledger l where l.code_id = g.id and l.entry = 'sold')";
    sql(&shop, off, order("two_codes")).await;
    sql(
        &shop,
        "update shop.transaction_fees set fee_amount = 1.39 where order_id = $1",
        order("wrong_fee"),
    )
    .await;
    press(&shop, order("no_refund"), "refund?amount=1.00", true).await;
    reconcile(&shop, &night(&shop, 2).await).await;
    let (status, counts, sums, differences) = report(&shop, &names).await;
    assert_eq!((status.as_str(), differences), ("clean", vec![]));
    assert_eq!((&counts["provider_paid"], &counts["payments_paid"]), (&json!(10), &json!(10)));
    assert_eq!(
        (&sums["provider_refunded"], &sums["provider_received"]),
        (&json!("11.00"), &json!("375.00"))
    );
    assert_eq!(
        alerts(&shop)
            .await
            .iter()
            .filter(|alert| alert.starts_with("reconciliation"))
            .count(),
        0
    );
}

#[tokio::test]
async fn each_difference_under_v2_has_its_name() {
    let _turn = turn().await;
    let shop = Shop::with_codes(6).await;
    let mut names = Vec::new();
    let missed = place(&shop, &mut names, "missed").await;
    press(&shop, &missed, "pay", false).await;
    let paid = async |name: &'static str, names: &mut Vec<(String, &'static str)>| {
        let order = place(&shop, names, name).await;
        press(&shop, &order, "pay", true).await;
        order
    };
    // A notice that the provider never sent, signed with its secret.
    let forged = place(&shop, &mut names, "open_there").await;
    shop.notice(&forged.bill_id, "PAID", "37.50", "USD").await.expect(200);
    let unknown = paid("unknown_there", &mut names).await;
    lie(&shop, &unknown, json!({"hidden": true})).await;
    let other = paid("other_sum", &mut names).await;
    lie(&shop, &other, json!({"amount": "37.49"})).await;
    paid("sound", &mut names).await;
    reconcile(&shop, &night(&shop, 1).await).await;
    let (status, _, _, differences) = report(&shop, &names).await;
    assert_eq!(status, "differences");
    assert_eq!(
        differences,
        [
            "bill:missed paid at the provider (paid), pending here",
            "bill:open_there paid here, pending at the provider",
            "bill:other_sum 37.49 came in at the provider, 37.50 here",
            "bill:unknown_there paid here, and the provider does not know it",
        ]
    );
    shop.job("poll_bills", Some(&night(&shop, 1).await)).await.expect(200);
    assert_eq!(state(&shop, &missed).await, "paid delivered");
}

#[tokio::test]
async fn a_run_goes_on_where_the_one_before_stopped_and_a_silent_provider_is_asked_again() {
    let _turn = turn().await;
    let shop = Shop::with_codes(15).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let mut names = Vec::new();
    for _ in 0..12 {
        let order = place(&shop, &mut names, "order").await;
        press(&shop, &order, "pay", true).await;
    }
    let clock = night(&shop, 1).await;
    faults(&shop.info.sandbox, json!([{"route": "cardlink.status", "status": 503}])).await;
    shop.job("reconcile", Some(&clock)).await.refused(502, "provider_unavailable");
    faults(&shop.info.sandbox, json!([])).await;
    let runs = async || {
        let sql = "select count(*) from ops.reconciliation_runs where step <> 'done' and provider_api = 'v2'";
        shop.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(runs().await, 1, "it waits for the next try");
    // As much as a tick allows at a time, by two at once.
    requests(&shop).await;
    for _ in 0..200 {
        let (one, two) = tokio::join!(shop.job("reconcile", Some(&clock)), shop.job("reconcile", Some(&clock)));
        assert!(requests(&shop).await <= 80);
        if one.expect(200)["more"] == false && two.expect(200)["more"] == false {
            break;
        }
    }
    assert_eq!(runs().await, 0);
    let (status, counts, _, differences) = report(&shop, &names).await;
    assert_eq!((status.as_str(), differences), ("clean", vec![]));
    assert_eq!((&counts["provider_paid"], &counts["payments_paid"]), (&json!(12), &json!(12)));
    assert_eq!(
        shop.count("select checks::bigint from ops.reconciliation_reports where tenant_id = $1")
            .await,
        1
    );
}

#[tokio::test]
async fn the_provider_s_list_is_read_page_by_page() {
    let _turn = turn().await;
    let shop = Shop::v1(130).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let mut names = Vec::new();
    let mut last = None;
    for _ in 0..105 {
        last = Some(place(&shop, &mut names, "order").await);
    }
    let last = last.unwrap();
    press(&shop, &last, "pay", true).await;
    reconcile(&shop, &night(&shop, 1).await).await;
    let (status, counts, _, differences) = report(&shop, &names).await;
    assert_eq!((status.as_str(), differences), ("clean", vec![]));
    assert_eq!((&counts["provider_bills"], &counts["provider_paid"]), (&json!(105), &json!(1)));
}

#[tokio::test]
async fn a_day_is_the_day_of_the_shop() {
    let _turn = turn().await;
    let shop = Shop::with_codes(2).await;
    let zone = "update shop.tenants set time_zone = 'Pacific/Kiritimati', created_at = created_at - interval '2 days' where id = $1";
    shop.db.execute(zone, &[&shop.tenant]).await.unwrap();
    let mut names = Vec::new();
    let order = place(&shop, &mut names, "order").await;
    press(&shop, &order, "pay", true).await;
    // 10 a.m. UTC is midnight there: what is yesterday in UTC is the first minute of today.
    let moved = "update shop.payments set created_at = date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - interval '14 hours' + interval '1 minute' where order_id = $1";
    sql(&shop, moved, &order).await;
    reconcile(&shop, &night(&shop, 1).await).await;
    let sql = "select day = (now() at time zone 'UTC')::date and status = 'clean' and counts ->> 'provider_paid' = '1' \
               from ops.reconciliation_reports where tenant_id = $1 and counts ->> 'payments' = '1'";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    assert_eq!((rows.len(), rows[0].get::<_, bool>(0)), (1, true), "one day has it, the right one");
}
