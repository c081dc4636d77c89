//! Abandoned checkouts and customers to win back (L-86, L-87) as the documents' own SQL got them wrong (LD-98 to LD-102).

use uuid::Uuid;

use crate::support::{NOW, SALE, SEEN, Sale, Seen, Shop};

const CHECKOUT: Seen = Seen {
    kind: "checkout_start",
    at: "2026-11-10 10:00Z",
    ..SEEN
};

/// A pending order of this session, made a minute after the checkout.
const PENDING: Sale = Sale {
    created_at: Some("2026-11-10 10:01Z"),
    cost: None,
    session: Some("s"),
    ..SALE
};

async fn abandoned(shop: &Shop, minutes: i32) -> Vec<String> {
    shop.sql(
        &format!("analytics.abandoned_checkouts($1, {minutes}, '{NOW}')"),
        "session_id, email, minutes_since",
    )
    .await
}

async fn winback(shop: &Shop) -> Vec<String> {
    shop.sql(
        &format!("analytics.winback_candidates($1, 30, 2, '{NOW}')"),
        "email, total_orders, total_spent",
    )
    .await
}

#[tokio::test]
async fn ld_98_the_address_is_the_orders_and_without_one_there_is_no_row() {
    let shop = Shop::new("UTC").await;
    shop.seen(Seen {
        source: Some("google"),
        campaign: Some("brand"),
        data: Some("{\"product_id\": \"p\"}"),
        ..CHECKOUT
    })
    .await;
    // An order from before the checkout says nothing about it.
    shop.sale(Sale {
        email: "before@example.com",
        created_at: Some("2026-11-10 09:59:59Z"),
        ..PENDING
    })
    .await;
    assert!(abandoned(&shop, 360).await.is_empty(), "the document has a row with a null address");
    let user = Uuid::new_v4();
    for (email, created_at, user) in [
        ("first@example.com", "2026-11-10 10:00Z", None),
        ("last@example.com", "2026-11-10 10:05Z", Some(user)),
    ] {
        shop.sale(Sale {
            email,
            created_at: Some(created_at),
            user,
            ..PENDING
        })
        .await;
    }
    let columns = "session_id, user_id, email, product_data, minutes_since, utm_source, utm_campaign";
    assert_eq!(
        shop.sql(&format!("analytics.abandoned_checkouts($1, 360, '{NOW}')"), columns).await,
        [format!(
            "s | {user} | last@example.com | {{\"product_id\": \"p\"}} | 60 | google | brand"
        )]
    );
}

#[tokio::test]
async fn ld_99_what_was_paid_before_the_checkout_hides_it_not_and_what_was_paid_after_it_does() {
    let shop = Shop::new("UTC").await;
    shop.seen(CHECKOUT).await;
    // A purchase of the same session, days ago.
    shop.sale(Sale {
        paid_at: Some("2026-11-01 10:00Z"),
        session: Some("s"),
        ..SALE
    })
    .await;
    shop.sale(PENDING).await;
    assert_eq!(abandoned(&shop, 360).await, ["s | ann@example.com | 60"]);

    // The same address pays in another session; the same session pays with another address; both under review or refunded since.
    for (email, session, status) in [
        ("ann@example.com", Some("elsewhere"), "manual_review"),
        ("other@example.com", Some("s"), "refunded"),
    ] {
        let shop = Shop::on(shop.ground.clone(), "UTC").await;
        shop.seen(CHECKOUT).await;
        shop.sale(PENDING).await;
        assert_eq!(abandoned(&shop, 360).await.len(), 1);
        shop.sale(Sale {
            email,
            session,
            status,
            created_at: Some("2026-11-10 09:00Z"),
            paid_at: Some("2026-11-10 10:00Z"),
            ..SALE
        })
        .await;
        assert!(abandoned(&shop, 360).await.is_empty(), "{email}");
    }
}

#[tokio::test]
async fn ld_100_the_window_has_both_its_edges_and_can_be_widened() {
    let shop = Shop::new("UTC").await;
    for (session, at) in [
        ("m29", "2026-11-10 10:30:00.001Z"),
        ("m30", "2026-11-10 10:30Z"),
        ("m360", "2026-11-10 05:00Z"),
        ("m361", "2026-11-10 04:59Z"),
    ] {
        shop.seen(Seen {
            session,
            visit: Some(session),
            at,
            ..CHECKOUT
        })
        .await;
        let email = format!("{session}@example.com");
        shop.sale(Sale {
            email: &email,
            session: Some(session),
            created_at: Some(at),
            ..PENDING
        })
        .await;
    }
    assert_eq!(
        abandoned(&shop, 360).await,
        ["m360 | m360@example.com | 360", "m30 | m30@example.com | 30"]
    );
    assert_eq!(abandoned(&shop, 720).await.len(), 3);
    assert_eq!(abandoned(&shop, 31).await, ["m30 | m30@example.com | 30"]);
    for minutes in ["30", "10081", "-1", "null"] {
        let refused = shop
            .as_person(shop.viewer, &format!("get_abandoned_checkouts({minutes})"), "email")
            .await
            .unwrap_err();
        assert_eq!(
            (refused.sqlstate.as_str(), refused.message.as_str()),
            ("22023", "invalid_argument"),
            "{minutes}"
        );
    }
}

#[tokio::test]
async fn a_session_has_one_row_of_its_latest_checkout_and_a_program_none() {
    let shop = Shop::new("UTC").await;
    shop.seen(CHECKOUT).await;
    shop.sale(PENDING).await;
    shop.seen(Seen {
        at: "2026-11-10 09:00Z",
        ..CHECKOUT
    })
    .await;
    shop.seen(Seen {
        at: "2026-11-10 10:59Z",
        bot: Some("Googlebot"),
        ..CHECKOUT
    })
    .await;
    assert_eq!(abandoned(&shop, 360).await, ["s | ann@example.com | 60"]);
    shop.seen(Seen {
        at: "2026-11-10 10:50Z",
        ..CHECKOUT
    })
    .await;
    assert!(abandoned(&shop, 360).await.is_empty(), "ten minutes ago somebody was still at it");
}

#[tokio::test]
async fn ld_101_a_guest_who_later_signs_in_is_one_customer_to_win_back() {
    let shop = Shop::new("UTC").await;
    let user = Uuid::new_v4();
    // Two orders in all, long ago: by address and user one each, and nobody is returned.
    for (user, paid_at) in [(None, "2026-08-01 10:00Z"), (Some(user), "2026-09-01 10:00Z")] {
        shop.sale(Sale {
            user,
            paid_at: Some(paid_at),
            ..SALE
        })
        .await;
    }
    // Two as a guest, long ago, and one signed in yesterday: by address and user the guest is returned.
    for (user, paid_at) in [
        (None, "2026-08-01 10:00Z"),
        (None, "2026-08-02 10:00Z"),
        (Some(user), "2026-11-09 10:00Z"),
    ] {
        shop.sale(Sale {
            email: "bob@example.com",
            user,
            paid_at: Some(paid_at),
            ..SALE
        })
        .await;
    }
    assert_eq!(winback(&shop).await, ["ann@example.com | 2 | 200.00"]);
    let last = shop
        .sql(&format!("analytics.winback_candidates($1, 30, 2, '{NOW}')"), "user_id")
        .await;
    assert_eq!(last, [user.to_string()]);
}

#[tokio::test]
async fn ld_102_whoever_has_unsubscribed_is_on_neither_list() {
    let shop = Shop::new("UTC").await;
    shop.seen(CHECKOUT).await;
    shop.sale(PENDING).await;
    for paid_at in ["2026-08-01 10:00Z", "2026-09-01 10:00Z"] {
        shop.sale(Sale {
            paid_at: Some(paid_at),
            ..SALE
        })
        .await;
    }
    // A lead who has not, and the same address unsubscribed from another shop.
    shop.lead("ann@example.com", None).await;
    let other = Shop::on(shop.ground.clone(), "UTC").await;
    other.lead("ann@example.com", Some("2026-10-01 10:00Z")).await;
    assert_eq!((abandoned(&shop, 360).await.len(), winback(&shop).await.len()), (1, 1));
    shop.execute(
        "update crm.landing_leads set unsubscribed_at = '2026-10-01 10:00Z' where tenant_id = $1",
        &[],
    )
    .await;
    assert_eq!((abandoned(&shop, 360).await.len(), winback(&shop).await.len()), (0, 0));
}

#[tokio::test]
async fn winback_takes_no_negative_days_and_no_orders_below_one() {
    let shop = Shop::new("UTC").await;
    for arguments in ["-1, 2", "30, 0", "null, 2", "30, null"] {
        let refused = shop
            .as_person(shop.viewer, &format!("get_winback_candidates({arguments})"), "email")
            .await
            .unwrap_err();
        assert_eq!(
            (refused.sqlstate.as_str(), refused.message.as_str()),
            ("22023", "invalid_argument"),
            "{arguments}"
        );
    }
    assert!(shop.api("get_winback_candidates(0, 1)", "email").await.is_empty());
}
