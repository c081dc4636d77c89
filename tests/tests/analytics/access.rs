//! Who may call the reports, whose rows they give, and that they only read (LD-76, LD-77, LD-106).

use lonieve_tests::interleaving::ground::Who;
use uuid::Uuid;

use crate::support::{SALE, SEEN, Sale, Seen, Shop};

/// Every function of docs/analytics.md with a column of its rows.
const REPORTS: [(&str, &str); 12] = [
    ("get_funnel_stats()", "step_name"),
    ("get_channel_stats_financial()", "utm_source"),
    ("get_unit_economics()", "metric_name"),
    ("get_ltv_by_cohort()", "cohort_month"),
    ("detect_anomalies()", "insight_type"),
    ("get_rfm_segments()", "customer_email"),
    ("get_abandoned_checkouts()", "email"),
    ("get_winback_candidates()", "email"),
    ("get_behavior_stats()", "device_type"),
    ("get_system_health()", "metric_name"),
    ("get_daily_metrics()", "date"),
    ("get_data_quality()", "check_name"),
];

#[tokio::test]
async fn ld_77_only_staff_gets_an_answer() {
    let shop = Shop::new("UTC").await;
    let stranger = Uuid::new_v4();
    for (report, column) in REPORTS {
        assert!(shop.as_person(shop.viewer, report, column).await.is_ok(), "{report}");
        let refused = shop.as_person(stranger, report, column).await.unwrap_err();
        assert_eq!(
            (refused.sqlstate.as_str(), refused.message.as_str()),
            ("42501", "not_staff"),
            "{report}"
        );
        for role in ["anon", "edge_jobs", "edge_admin", "edge_copilot", "edge_orders"] {
            let refused = shop.line.rows(Who::Worker(role), report, &[column]).await.unwrap_err();
            assert_eq!(refused.sqlstate, "42501", "{role}: {report}");
            assert!(
                refused.message.starts_with("permission denied"),
                "{role}: {report}: {}",
                refused.message
            );
        }
    }
    // Whoever works for two shops must say for which.
    let other = Shop::on(shop.ground.clone(), "UTC").await;
    let sql = "insert into shop.staff_members (user_id, tenant_id, role) values ($2::text::uuid, $1, 'viewer')";
    other.execute(sql, &[Some(&shop.viewer.to_string())]).await;
    let refused = shop.as_person(shop.viewer, "get_rfm_segments()", "segment").await.unwrap_err();
    assert_eq!(refused.sqlstate, "LV002");
}

/// Everything a report could show, as of now, in one shop; the staff of another one gets none of it.
#[tokio::test]
async fn another_shops_rows_show_in_no_report() {
    let full = Shop::new("UTC").await;
    let empty = Shop::on(full.ground.clone(), "UTC").await;
    let moments = "(select to_char(now() - make_interval(hours => h), 'YYYY-MM-DD HH24:MI:SS\"Z\"') as at from unnest(array[1, 26, 1440]) h where $1::uuid is not null)";
    let moments = full.sql(moments, "at").await;
    for at in &moments {
        full.seen(Seen {
            kind: "checkout_start",
            at,
            ..SEEN
        })
        .await;
        for email in ["ann@example.com", "bob@example.com"] {
            full.sale(Sale {
                email,
                paid_at: Some(at),
                ..SALE
            })
            .await;
        }
    }
    for total in ["10.00", "20.00"] {
        full.sale(Sale {
            email: "old@example.com",
            paid_at: Some(&moments[2]),
            total,
            ..SALE
        })
        .await;
    }
    full.sale(Sale {
        email: "zed@example.com",
        created_at: Some(&moments[0]),
        session: Some("s"),
        ..SALE
    })
    .await;
    full.ground
        .admin
        .execute("refresh materialized view concurrently analytics.daily_metrics", &[])
        .await
        .unwrap();
    for (report, column) in REPORTS {
        let always = match report {
            "get_funnel_stats()" => 5,
            "get_unit_economics()" => 12,
            "get_system_health()" => 4,
            "get_data_quality()" => 7,
            _ => 0,
        };
        assert_eq!(empty.api(report, column).await.len(), always, "{report}");
        if always == 0 {
            assert!(!full.api(report, column).await.is_empty(), "{report} shows the shop its own rows");
        }
    }
    assert_eq!(empty.api("get_funnel_stats()", "unique_sessions").await, ["0"; 5]);
    assert_eq!(
        empty.api("get_data_quality()", "checked").await,
        ["0", "0", "0", "0", "0", "14", "100"]
    );
    assert_eq!(empty.api("get_unit_economics()", "metric_value").await[..8], ["0"; 8]);
}

#[tokio::test]
async fn ld_106_every_report_is_stable_runs_as_its_owner_and_knows_its_search_path() {
    let shop = Shop::new("UTC").await;
    let names: Vec<String> = REPORTS.iter().map(|(report, _)| report.trim_end_matches("()").to_owned()).collect();
    let sql = "select p.proname::text from pg_catalog.pg_proc p where p.pronamespace = 'api'::regnamespace and p.proname = any ($1) \
               and p.provolatile = 's' and p.prosecdef and p.proconfig @> array['search_path=\"\"'] and p.proowner = 'lonieve_owner'::regrole";
    assert_eq!(shop.ground.admin.query(sql, &[&names]).await.unwrap().len(), REPORTS.len());
    // PostgREST runs them in a read-only transaction: they answer there.
    for (report, column) in REPORTS {
        let begin = format!(
            "begin read only; set local role authenticated; \
             select pg_catalog.set_config('request.jwt.claims', '{{\"role\": \"authenticated\", \"sub\": \"{}\"}}', true)",
            shop.viewer
        );
        shop.ground.admin.batch_execute(&begin).await.unwrap();
        shop.ground
            .admin
            .batch_execute(&format!("select r.{column} from api.{report} r"))
            .await
            .unwrap_or_else(|e| panic!("{report}: {e:?}"));
        shop.ground.admin.batch_execute("rollback").await.unwrap();
    }
}
