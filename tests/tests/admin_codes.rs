//! Codes come in by the sheet, sealed before they reach the database, and are seen nowhere on their way.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::{Duration, Instant};

use lonieve_tests::{Reply, Shop, dump, logs};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

const HEADER: &str = "code,nominal,product_id,cost_price,currency,expires_at";

/// A sheet with these rows under its header.
fn sheet(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn row(shop: &Shop, code: &str, nominal: &str) -> String {
    format!("{code},{nominal},{},30.00,USD,", shop.product)
}

fn fresh(count: usize) -> Vec<String> {
    (0..count).map(|_| lonieve_tests::fresh_code()).collect()
}

/// The verdicts as (row, reason), in the order of the answer.
fn verdicts(answer: &Value) -> Vec<(u64, String)> {
    let errors = answer["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|e| (e["row"].as_u64().unwrap(), e["reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn ten_thousand_rows_come_in_with_a_verdict_for_each_that_did_not() {
    let shop = Shop::new().await;
    // What a seller would see first: the same code twice, a code that is in stock, a wrong amount, a product that is not theirs.
    let stocked = shop.add_codes("50.00", 1).await.remove(0);
    let codes = fresh(9_990);
    let mut rows: Vec<String> = codes.iter().map(|code| row(&shop, code, "50")).collect();
    let respelt = codes[4].to_lowercase().replace('-', " ");
    let stranger = uuid::Uuid::new_v4();
    let bad = [
        (row(&shop, &codes[3], "50"), "duplicate_code"),
        (row(&shop, &respelt, "50"), "duplicate_code"),
        (row(&shop, &stocked, "50"), "duplicate_code"),
        (
            row(&shop, "BADA-AAAA-AAAA-NOML", "50,5").replace("50,5", "\"50,5\""),
            "invalid_nominal",
        ),
        (row(&shop, "BADA-AAAA-AAAA-NOFF", "75"), "nominal_not_offered"),
        (format!("BADA-AAAA-AAAA-PROD,50,{stranger},,,"), "product_not_found"),
        (format!("BADA-AAAA-AAAA-CURR,50,{},,EUR,", shop.product), "currency_mismatch"),
        (format!("BADA-AAAA-AAAA-COST,50,{},free,,", shop.product), "invalid_cost_price"),
        (format!("BADA-AAAA-AAAA-EXPD,50,{},,,2020-01-01", shop.product), "expired"),
        (format!(",50,{},,,", shop.product), "missing_code"),
    ];
    rows.extend(bad.iter().map(|(row, _)| row.clone()));
    let csv = sheet(&rows);

    let begun = Instant::now();
    let reply = shop.import(&shop.staff_token, csv.clone()).await;
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    println!("10,000 rows in {:?}", begun.elapsed());
    let answer = reply.expect(200);
    assert_eq!((&answer["imported"], &answer["skipped"]), (&json!(9_990), &json!(10)), "{answer}");
    let expected: Vec<(u64, String)> = bad
        .iter()
        .zip(9_991..)
        .map(|((_, reason), row)| (row, (*reason).to_owned()))
        .collect();
    assert_eq!(verdicts(&answer), expected);
    assert_eq!(answer["errors"][0]["last4"], codes[3][15..]);
    assert_eq!(answer["errors"][3]["last4"], "NOML");
    assert_eq!(answer["errors"][9]["last4"], Value::Null);
    let batch = answer["batchId"].as_str().unwrap();
    assert!(batch.starts_with("import_"), "{batch}");
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        9_991
    );
    assert_eq!(
        shop.count("select count(*) from shop.code_ledger where tenant_id = $1 and entry = 'imported'")
            .await,
        9_991
    );

    // Each call's audit row counts its own part; none was written for the rows that never left the Worker.
    let audit: Vec<_> = shop
        .audit()
        .await
        .into_iter()
        .filter(|(_, subject, _)| *subject == format!("batch:{batch}"))
        .collect();
    assert_eq!(
        audit
            .iter()
            .map(|(_, _, details)| details["imported"].as_i64().unwrap())
            .sum::<i64>(),
        9_990
    );
    assert_eq!(
        audit.iter().map(|(_, _, details)| details["rows"].as_i64().unwrap()).sum::<i64>(),
        9_996
    );

    // The same file again brings nothing in.
    let again = shop.import(&shop.staff_token, csv).await;
    let answer = again.expect(200);
    assert_eq!((&answer["imported"], &answer["skipped"]), (&json!(0), &json!(10_000)));
    assert_eq!(
        verdicts(&answer).iter().filter(|(_, reason)| reason == "duplicate_code").count(),
        9_993
    );
    assert_eq!(shop.count("select count(*) from shop.gift_codes where tenant_id = $1").await, 9_991);

    // No code anywhere in clear: not in the answers, not in a table, not in a log.
    let samples = [&codes[0], &codes[3], &codes[5_000], &codes[9_989], &stocked];
    let spellings: Vec<String> = samples
        .iter()
        .flat_map(|code| [code.to_string(), code.replace('-', ""), code.to_lowercase()])
        .collect();
    let dumps = dump(&shop).await;
    assert!(
        dumps.iter().any(|(table, text)| table == "shop.gift_codes" && text.contains(batch)),
        "the codes' own rows are among those searched"
    );
    for (table, text) in dumps {
        assert!(!spellings.iter().any(|code| text.contains(code)), "a code is in {table}");
    }
    let logs = logs();
    assert!(
        logs.iter().any(|(_, text)| text.contains("/api/admin/codes/import")),
        "the Workers' log is among those searched"
    );
    for (path, text) in logs {
        assert!(!spellings.iter().any(|code| text.contains(code)), "a code is in {}", path.display());
    }
    for text in [&reply.text, &again.text] {
        assert!(!spellings.iter().any(|code| text.contains(code)));
    }
}

#[tokio::test]
async fn an_imported_code_is_sold_and_opens_with_its_own_cost_and_end() {
    let shop = Shop::new().await;
    let code = lonieve_tests::fresh_code();
    let csv = format!(
        "NOMINAL,Code,product_id,expires_at,cost_price\r\n50,{code},{},2999-12-31,31.50\r\n",
        shop.product
    );
    assert_eq!(shop.import(&shop.staff_token, csv).await.expect(200)["imported"], 1);
    let stored = shop
        .db
        .query_one(
            "select cost_price::text, expires_at::text, currency, code_last4 from shop.gift_codes where tenant_id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    assert_eq!(stored.get::<_, &str>(0), "31.50");
    assert!(stored.get::<_, &str>(1).starts_with("2999-12-31 00:00:00"));
    assert_eq!((stored.get::<_, &str>(2), stored.get::<_, &str>(3)), ("USD", &code[15..]));

    let order = shop.place(&shop.cart()).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
    assert_eq!(shop.order(order.order_id, &order.token).await.expect(200)["codes"][0]["code"], code);
}

#[tokio::test]
async fn a_form_is_taken_as_well_and_an_order_that_waits_is_delivered_at_once() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    shop.expire_reservations().await;
    let other = shop.place(&shop.cart()).await;
    shop.notice(&other.bill_id, "PAID", &other.amount, "USD").await.expect(200);
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200)["outcome"],
        "manual_review"
    );

    let code = lonieve_tests::fresh_code();
    let csv = sheet(&[row(&shop, &code, "50")]).replace('\n', "\r\n");
    let body = format!(
        "--b0\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx\r\n--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"codes.csv\"\r\nContent-Type: text/csv\r\n\r\n{csv}\r\n--b0--\r\n"
    );
    let form = shop
        .admin(&shop.staff_token, Method::POST, "codes/import")
        .header(CONTENT_TYPE, "multipart/form-data; boundary=b0")
        .body(body);
    assert_eq!(Reply::of(form).await.expect(200)["imported"], 1);
    // Nobody runs a job here: the import has woken them.
    for _ in 0..100 {
        if shop.state(order.order_id).await.1 == "delivered" && shop.mailbox(&order.email).await.len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shop.state(order.order_id).await, ("paid".into(), "delivered".into(), None));
    assert_eq!(shop.order(order.order_id, &order.token).await.expect(200)["codes"][0]["code"], code);
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_sheet_of_codes_is_refused_and_writes_nothing() {
    let shop = Shop::new().await;
    let token = shop.staff_token.clone();
    let before = shop.rows().await;
    let post = |content_type: &str, body: Vec<u8>| {
        Reply::of(
            shop.admin(&token, Method::POST, "codes/import")
                .header(CONTENT_TYPE, content_type)
                .body(body),
        )
    };
    let line = row(&shop, "ABCD-1234", "50");
    let too_many = sheet(&vec![line.clone(); 10_001]);

    let refused = Reply::of(shop.admin(&token, Method::GET, "codes/import")).await;
    refused.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("POST"));
    post("application/json", b"{}".to_vec())
        .await
        .refused(415, "unsupported_media_type");
    shop.announces_too_much("codes/import", 4 * 1024 * 1024 + 1).await;
    post("text/csv", too_many.into_bytes()).await.refused(413, "body_too_large");
    post("multipart/form-data; boundary=b", b"--b--".to_vec())
        .await
        .refused(400, "invalid_request");
    for body in [
        "",
        "code,nominal,product_id\n",
        "code,nominal\nABCD-1234,50\n",
        &line,
        &format!("{HEADER},serial\n{line},1\n"),
    ] {
        let answer = post("text/csv", body.into()).await.refused(400, "invalid_request");
        assert!(
            answer["fields"]["file"].is_string() && !answer.to_string().contains("ABCD"),
            "{answer}"
        );
    }
    post("text/csv", b"code,nominal,product_id\n\xff\xfe".to_vec())
        .await
        .refused(400, "invalid_request");
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn an_import_of_another_shop_finds_none_of_its_products() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let before = other.rows().await;
    let answer = shop
        .import(&shop.staff_token, sheet(&[row(&other, "ABCD-EFGH-1234", "50")]))
        .await
        .expect(200);
    assert_eq!(
        (&answer["imported"], verdicts(&answer)),
        (&json!(0), vec![(1, "product_not_found".to_owned())])
    );
    assert_eq!(other.rows().await, before);
}

#[tokio::test]
async fn three_uploads_of_one_file_at_once_import_each_code_once() {
    let shop = Shop::new().await;
    let mut rows: Vec<String> = fresh(1_200).iter().map(|code| row(&shop, code, "50")).collect();
    let first = sheet(&rows);
    rows.reverse();
    let second = sheet(&rows);
    rows.rotate_left(700);
    let uploads = [first, second, sheet(&rows)].map(|csv| shop.import(&shop.staff_token, csv));
    let answers: Vec<Value> = futures::future::join_all(uploads)
        .await
        .iter()
        .map(|reply| reply.expect(200))
        .collect();
    assert_eq!(
        answers.iter().map(|answer| answer["imported"].as_u64().unwrap()).sum::<u64>(),
        1_200
    );
    assert_eq!(answers.iter().map(|answer| answer["skipped"].as_u64().unwrap()).sum::<u64>(), 2_400);
    assert_eq!(shop.count("select count(*) from shop.gift_codes where tenant_id = $1").await, 1_200);
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_a_broken_import_is_simply_sent_again() {
    let shop = Shop::new().await;
    // Rows from the 501st on are another product's, so that a rule can mean the second call alone.
    let product = shop
        .admin_post(&shop.staff_token, "products", &lonieve_tests::new_product())
        .await
        .expect(200)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = || {
        let mut rows: Vec<String> = fresh(500).iter().map(|code| row(&shop, code, "50")).collect();
        rows.extend(fresh(100).iter().map(|code| format!("{code},20,{product},,,")));
        sheet(&rows)
    };
    let rules = |fault: Value| {
        let mut rule = fault;
        (rule["rpc"], rule["match"]) = (json!("import_codes"), json!(product));
        json!([rule])
    };
    let proxy = &shop.info.proxy;

    let lost = rules(json!({"drop_after": true, "times": 1}));
    let reply = shop.under_faults(proxy, lost, shop.import(&shop.staff_token, file())).await;
    let answer = reply.expect(200);
    assert_eq!(
        (&answer["imported"], &answer["errors"]),
        (&json!(600), &json!([])),
        "what came in under a lost answer counts as come in"
    );

    let csv = file();
    let away = rules(json!({"status": 503}));
    let reply = shop.under_faults(proxy, away, shop.import(&shop.staff_token, csv.clone())).await;
    let broken = reply.refused(503, "database_unavailable");
    assert_eq!(broken["imported"], "500");
    assert!(broken["batchId"].as_str().unwrap().starts_with("import_"));
    let answer = shop.import(&shop.staff_token, csv).await.expect(200);
    assert_eq!((&answer["imported"], &answer["skipped"]), (&json!(100), &json!(500)));
    assert_eq!(shop.count("select count(*) from shop.gift_codes where tenant_id = $1").await, 1_200);
    assert_eq!(
        shop.audit()
            .await
            .iter()
            .map(|(_, _, details)| details["imported"].as_i64().unwrap_or(0))
            .sum::<i64>(),
        1_200
    );
}
