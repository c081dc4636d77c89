//! `POST /api/admin/ad-spend/import`: what comes in, what is corrected, what is refused, and that reports count it.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "ad-spend/import";

async fn upload(shop: &Shop, token: &str, csv: impl Into<reqwest::Body>) -> Reply {
    let request = shop.admin(token, Method::POST, PATH).header("content-type", "text/csv");
    Reply::of(request.body(csv)).await
}

async fn import(shop: &Shop, csv: &str) -> Value {
    upload(shop, &shop.staff_token, csv.to_owned()).await.expect(200)
}

#[track_caller]
fn counts(answer: &Value, imported: u64, updated: u64, unchanged: u64, errors: Value) {
    let found = ["imported", "updated", "unchanged", "skipped"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!(
        found,
        [imported, updated, unchanged, errors.as_array().unwrap().len() as u64],
        "{answer}"
    );
    assert_eq!(answer["errors"], errors, "{answer}");
    assert!(answer["batchId"].as_str().unwrap().starts_with("ad_spend_"), "{answer}");
}

/// Every row of the shop, one line each.
async fn rows(shop: &Shop) -> Vec<String> {
    let sql = "select concat_ws('|', date, utm_source, coalesce(utm_campaign, '-'), coalesce(utm_content, '-'), spend, currency, \
               coalesce(clicks::text, '-'), coalesce(impressions::text, '-'), coalesce(notes, '-')) \
               from analytics.ad_spend where tenant_id = $1 order by 1";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_sheet_comes_in_once_and_a_later_one_corrects_it() {
    let shop = Shop::new().await;
    let sheet = "Date,UTM_Source,utm_campaign,utm_content,spend,clicks,impressions,currency,notes\r\n\
        2026-03-01,Google,Spring,,12.5,10,1000,usd,\"first, day\"\r\n\
        2026-03-01,Google,,,3,,,,\r\n\
        2026-03-02,facebook,Spring,Video_1,0.10,,,USD,\r\n";
    counts(&import(&shop, sheet).await, 3, 0, 0, json!([]));
    let first = [
        "2026-03-01|google|-|-|3.00|USD|-|-|-",
        "2026-03-01|google|spring|-|12.50|USD|10|1000|first, day",
        "2026-03-02|facebook|spring|video_1|0.10|USD|-|-|-",
    ];
    assert_eq!(rows(&shop).await, first);
    // The same file, and the same in another spelling, column order and without some columns.
    counts(&import(&shop, sheet).await, 0, 0, 3, json!([]));
    let other = "spend,utm_campaign,utm_source,date\n12.50,SPRING,google,2026-03-01\n";
    counts(&import(&shop, other).await, 0, 0, 1, json!([]));
    assert_eq!(rows(&shop).await, first);
    // A corrected day: what the file does not say stays.
    let corrected =
        "date,utm_source,utm_campaign,spend,clicks\n2026-03-01,google,spring,13.00,\n2026-03-01,google,,3.00,7\n2026-03-03,google,,1,1\n";
    counts(&import(&shop, corrected).await, 1, 2, 0, json!([]));
    let after = rows(&shop).await;
    assert_eq!(after[0], "2026-03-01|google|-|-|3.00|USD|7|-|-");
    assert_eq!(after[1], "2026-03-01|google|spring|-|13.00|USD|10|1000|first, day");
    let audit = shop.audit().await;
    assert_eq!(audit.len(), 4);
    assert!(
        audit
            .iter()
            .all(|(action, subject, _)| action == "ad_spend.import" && subject.starts_with("batch:ad_spend_"))
    );
    assert_eq!(
        audit[3].2,
        json!({"rows": 3, "imported": 1, "updated": 2, "unchanged": 0, "skipped": 0})
    );
}

#[tokio::test]
async fn rows_that_cannot_be_taken_are_reported_and_their_neighbours_are_in() {
    let shop = Shop::new().await;
    let sheet = "date,utm_source,spend,currency,utm_campaign\n\
        2026-03-01,google,1.00,,a\n\
        2026-03-01,google,2.00,EUR,a\n\
        2026-03-01,GOOGLE,3.00,,A\n\
        03/01/2026,google,4.00,,\n\
        2026-03-01,,5.00,,\n\
        2026-03-01,google,\"1,000.00\",,\n\
        2026-03-01,google,6.00\n\
        2999-01-01,google,7.00,,\n\
        2026-03-01,=cmd|' /C calc'!A0,8.00,,\n";
    let errors = json!([
        {"row": 2, "reason": "currency_mismatch"}, {"row": 3, "reason": "repeated_row"}, {"row": 4, "reason": "invalid_date"},
        {"row": 5, "reason": "missing_utm_source"}, {"row": 6, "reason": "invalid_spend"}, {"row": 7, "reason": "wrong_number_of_fields"},
        {"row": 8, "reason": "date_in_future"},
    ]);
    counts(&import(&shop, sheet).await, 2, 0, 0, errors);
    assert_eq!(
        rows(&shop).await,
        [
            "2026-03-01|=cmd|' /c calc'!a0|-|-|8.00|USD|-|-|-",
            "2026-03-01|google|a|-|1.00|USD|-|-|-"
        ]
    );
}

#[tokio::test]
async fn what_is_no_such_sheet_is_refused_and_writes_nothing() {
    let shop = Shop::new().await;
    let head = "date,utm_source,spend\n";
    for (csv, problem) in [
        (Vec::new(), "has no column date, utm_source, spend"),
        (head.into(), "has no rows"),
        (b"date,spend\n2026-03-01,1\n".to_vec(), "has no column utm_source"),
        (b"date,utm_source,spend,tenant_id\n".to_vec(), "column 4 has another name than"),
        (b"2026-03-01,google,1\n".to_vec(), "column 1 has another name than"),
        (b"\xff\xfed\0a\0t\0e\0".to_vec(), "must be UTF-8"),
        (b"PK\x03\x04\x14\x00".to_vec(), "column 1 has another name than"),
    ] {
        let sent = upload(&shop, &shop.staff_token, csv.clone());
        let refused = shop.adds_nothing(sent).await.refused(400, "invalid_request");
        let said = refused["fields"]["file"].as_str().unwrap();
        assert!(said.contains(problem), "{csv:?}: {said}");
    }
    let rows = |count: usize| format!("{head}{}", "2026-03-01,google,1\n".repeat(count));
    let refused = shop
        .adds_nothing(upload(&shop, &shop.staff_token, rows(10_001)))
        .await
        .refused(413, "body_too_large");
    assert_eq!(refused["fields"], json!({"file": "must have at most 10000 rows"}));
    shop.announces_too_much(PATH, 4 * 1024 * 1024 + 1).await;
    for content_type in [None, Some("application/json"), Some("application/vnd.ms-excel")] {
        let mut request = shop.admin(&shop.staff_token, Method::POST, PATH).body(rows(1));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        shop.adds_nothing(Reply::of(request)).await.refused(415, "unsupported_media_type");
    }
    shop.adds_nothing(upload(&shop, &shop.viewer_token, rows(1)))
        .await
        .refused(403, "forbidden");
    shop.adds_nothing(upload(&shop, &shop.viewer_token, "nonsense"))
        .await
        .refused(403, "forbidden");
    shop.adds_nothing(upload(&shop, "nonsense", rows(1)))
        .await
        .refused(401, "unauthorized");
    shop.admin_get(&shop.staff_token, PATH).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn a_form_with_the_file_and_a_full_sheet_are_taken_in_one_call() {
    let shop = Shop::new().await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\ndate,utm_source,spend\r\n2026-03-01,google,1\r\n--x--\r\n";
    let request = shop
        .admin(&shop.staff_token, Method::POST, PATH)
        .header("content-type", "multipart/form-data; boundary=x");
    counts(&Reply::of(request.body(form)).await.expect(200), 1, 0, 0, json!([]));
    let full: String = (0..10_000).map(|n| format!("2026-03-02,google,0.01,{n}\n")).collect();
    let sheet = format!("date,utm_source,spend,utm_content\n{full}");
    counts(&import(&shop, &sheet).await, 10_000, 0, 0, json!([]));
    counts(&import(&shop, &sheet).await, 0, 0, 10_000, json!([]));
    let sql = "select count(*) from analytics.ad_spend where tenant_id = $1 having sum(spend) = 101.00";
    assert_eq!(shop.count(sql).await, 10_001);
}

/// Overlapping files in opposite order, several times at once: nobody waits for another crosswise, and each row is there once.
#[tokio::test]
async fn overlapping_files_at_once_leave_each_row_once() {
    let shop = Shop::new().await;
    let lines: Vec<String> = (0..300).map(|n| format!("2026-03-02,s{n},{n}.50\n")).collect();
    let forward = format!("date,utm_source,spend\n{}", lines.concat());
    let backward = format!(
        "date,utm_source,spend\n{}",
        lines.iter().rev().map(String::as_str).collect::<String>()
    );
    let answers = join_all((0..8).map(|n| import(&shop, if n % 2 == 0 { &forward } else { &backward }))).await;
    let sum = |name: &str| answers.iter().map(|answer| answer[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("imported"), sum("updated"), sum("unchanged")), (300, 0, 7 * 300));
    assert_eq!(rows(&shop).await.len(), 300);
}

#[tokio::test]
async fn reports_count_a_shops_own_spend_under_its_channel_also_where_nothing_was_sold() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let order = "insert into shop.orders (tenant_id, email, total_amount, total_cost, status, fulfilment, paid_at, delivered_at, expires_at, utm_source) \
                 values ($1, 'a@example.com', 100, 40, 'paid', 'delivered', '2026-03-02T10:00:00Z', '2026-03-02T10:00:00Z', '2026-03-02T11:00:00Z', 'google')";
    shop.db.execute(order, &[&shop.tenant]).await.unwrap();
    import(
        &shop,
        "date,utm_source,spend\n2026-03-01,Google,9\n2026-03-02,Google,20\n2026-03-02,TikTok,5\n2026-03-03,Google,7\n",
    )
    .await;
    import(&other, "date,utm_source,spend\n2026-03-02,google,1000\n").await;
    // LD-85: days are whole and the end is excluded; 9 and 7 lie outside. LD-82: TikTok sold nothing and is shown. LD-83: the other
    // shop's 1000 are not.
    let url = format!("{}/rpc/get_channel_stats_financial", shop.info.postgrest);
    let request = shop.http.post(url).bearer_auth(&shop.viewer_token).header("content-profile", "api");
    let period = json!({"start_date": "2026-03-02T00:00:00Z", "end_date": "2026-03-03T00:00:00Z"});
    let found = Reply::of(request.json(&period)).await.expect(200);
    let spend: Vec<(String, f64, Value)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["utm_source"].as_str().unwrap().to_owned(),
                row["ad_spend"].as_f64().unwrap(),
                row["roi_percentage"].clone(),
            )
        })
        .collect();
    // ROI: (100 - 40 - 20) / 20.
    assert_eq!(
        spend,
        [("google".into(), 20.0, json!(200.0)), ("tiktok".into(), 5.0, json!(-100.0))],
        "{found}"
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_the_file_can_be_sent_again() {
    let shop = Shop::new().await;
    let sheet = "date,utm_source,spend,notes\n2026-03-01,google,1,".to_owned() + &shop.host + "\n";
    let rule = json!([{"rpc": "import_ad_spend", "match": shop.host, "drop": true}]);
    let sent = shop.under_faults(&shop.info.proxy, rule, upload(&shop, &shop.staff_token, sheet.clone()));
    shop.adds_nothing(sent).await.refused(503, "database_unavailable");
    // Done, but the answer was lost.
    let rule = json!([{"rpc": "import_ad_spend", "match": shop.host, "drop_after": true}]);
    let sent = shop.under_faults(&shop.info.proxy, rule, upload(&shop, &shop.staff_token, sheet.clone()));
    sent.await.refused(503, "database_unavailable");
    counts(&import(&shop, &sheet).await, 0, 0, 1, json!([]));
}
