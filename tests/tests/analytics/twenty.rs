//! The shop of twenty orders that `by_hand.rs` works out, in Berlin, whose 29 March 2026 has 23 hours and 25 October 25.
//!
//! | # | paid, in Berlin | customer | total | came in | cost | fee | channel |
//! |---|---|---|---|---|---|---|---|
//! | 1 | 28 March 23:59:59.999 | ann | 100.00 | same | 70.00 | 3.20 | google, spring |
//! | 2 | 29 March 00:00 | bob | 50.00 | same | 40.00 | 1.75 | google, spring |
//! | 3 | 29 March 23:59:59 | ann | 30.00 | same | 20.00 | 1.17 | - |
//! | 4 | 30 March 00:00 | cat | 75.00 | same | 60.00 | 2.48 | google |
//! | 5 | 24 October 23:59:59 | dan | 20.00 | same; refunded on the 25th | 15.00 | 0.88 | - |
//! | 6 | 25 October 00:00 | ann | 40.00 | same | 25.00 | 1.46 | facebook, fall |
//! | 7 | 25 October 02:30, summer time | dan | 60.00 | same | 45.00 | 2.04 | facebook, fall |
//! | 8 | 25 October 02:30, an hour later | eve | 80.00 | same | 55.00 | 2.62 | - |
//! | 9 | 25 October 23:59:59 | bob | 10.00 | same | 6.00 | 0.59 | facebook, fall |
//! | 10 | 26 October 00:00 | eve | 90.00 | same | 70.00 | 2.91 | - |
//! | 11 | 1 November 10:00 | fay | 200.00 | 150.00, in review | 120.00 | 6.10 | google, nov |
//! | 12 | 2 November 10:00 | fay | 100.00 | euros, in review | 60.00 | 3.20 | google, nov |
//! | 13 | 3 November 10:00 | gil | 50.00 | no payment | unknown | 1.75 | tiktok |
//! | 14 | 4 November 10:00 | gil | 60.00 | same; refunded on the 5th, never delivered | nothing | 2.04 | tiktok |
//! | 15 | 5 November 10:00 | ann | 120.00 | same; 20.00 refunded on the 6th | 80.00 | 3.78 | - |
//! | 16 | 9 November 10:00 | hal | 45.00 | same; charged back on the 10th | 30.00 | 1.61 | facebook, fall |
//! | 17 | 9 November 10:00 | hal | 55.00 | 70.00 | 35.00 | 1.90 | facebook, fall |
//! | 18 | 9 November 10:00 | bob | 65.00 | same | 40.00 | 2.19 | google, nov |
//! | 19, 20 | created 9 and 8 November, never paid | zed | 999.00, 500.00 | | | | - |
//!
//! Each was created five minutes before it was paid. Ads: 25 October 15.00 facebook/fall and 5.00 mail, 2 November 100.00 google/nov.
//!
//! Seen on 25 October: visits A (mobile, facebook/fall, the whole way; order 7), C (desktop, a bounce), D (from 23:55 into the 26th, where
//! its source is told), G (mobile, the whole way; order 8 was paid before it). B began ten minutes before the day, F has no visit, E is a program.
//! A second shop has the same orders and events at the same moments: nothing of it may show.

use uuid::Uuid;

use crate::support::{SALE, SEEN, Sale, Seen, Shop};

pub struct Twenty {
    pub shop: Shop,
    /// By number, from 1.
    pub orders: Vec<Uuid>,
}

impl Twenty {
    pub fn order(&self, number: usize) -> Uuid {
        self.orders[number - 1]
    }
}

const GOOGLE_NOV: (Option<&str>, Option<&str>) = (Some("google"), Some("nov"));
const SPRING: (Option<&str>, Option<&str>) = (Some("google"), Some("spring"));
const FALL: (Option<&str>, Option<&str>) = (Some("facebook"), Some("fall"));
const DIRECT: (Option<&str>, Option<&str>) = (None, None);

pub async fn twenty() -> Twenty {
    let shop = Shop::new("Europe/Berlin").await;
    let noise = Shop::on(shop.ground.clone(), "Europe/Berlin").await;
    fill(&noise).await;
    let orders = fill(&shop).await;
    Twenty { shop, orders }
}

async fn fill(shop: &Shop) -> Vec<Uuid> {
    let mut orders = Vec::new();
    for (email, paid_at, total, received, cost, fee, (source, campaign), session) in [
        ("ann", "2026-03-28 22:59:59.999Z", "100.00", "USD", "70.00", "3.20", SPRING, "a1"),
        ("bob", "2026-03-28 23:00Z", "50.00", "USD", "40.00", "1.75", SPRING, "a2"),
        ("ann", "2026-03-29 21:59:59Z", "30.00", "USD", "20.00", "1.17", DIRECT, "a3"),
        (
            "cat",
            "2026-03-29 22:00Z",
            "75.00",
            "USD",
            "60.00",
            "2.48",
            (Some("google"), None),
            "a4",
        ),
        ("dan", "2026-10-24 21:59:59Z", "20.00", "USD", "15.00", "0.88", DIRECT, "a5"),
        ("ann", "2026-10-24 22:00Z", "40.00", "USD", "25.00", "1.46", FALL, "a6"),
        ("dan", "2026-10-25 00:30Z", "60.00", "USD", "45.00", "2.04", FALL, "A"),
        ("eve", "2026-10-25 01:30Z", "80.00", "USD", "55.00", "2.62", DIRECT, "G"),
        ("bob", "2026-10-25 22:59:59Z", "10.00", "USD", "6.00", "0.59", FALL, "a9"),
        ("eve", "2026-10-25 23:00Z", "90.00", "USD", "70.00", "2.91", DIRECT, "a10"),
        ("fay", "2026-11-01 09:00Z", "200.00", "150.00", "120.00", "6.10", GOOGLE_NOV, "n11"),
        ("fay", "2026-11-02 09:00Z", "100.00", "EUR", "60.00", "3.20", GOOGLE_NOV, "n12"),
        (
            "gil",
            "2026-11-03 09:00Z",
            "50.00",
            "none",
            "unknown",
            "1.75",
            (Some("tiktok"), None),
            "none",
        ),
        (
            "gil",
            "2026-11-04 09:00Z",
            "60.00",
            "USD",
            "nothing",
            "2.04",
            (Some("tiktok"), None),
            "n14",
        ),
        ("ann", "2026-11-05 09:00Z", "120.00", "USD", "80.00", "3.78", DIRECT, "n15"),
        ("hal", "2026-11-09 09:00Z", "45.00", "USD", "30.00", "1.61", FALL, "n16"),
        ("hal", "2026-11-09 09:00Z", "55.00", "70.00", "35.00", "1.90", FALL, "n17"),
        ("bob", "2026-11-09 09:00Z", "65.00", "USD", "40.00", "2.19", GOOGLE_NOV, "n18"),
    ] {
        let number = orders.len() + 1;
        let email = format!("{email}@example.com");
        let sale = Sale {
            email: &email,
            paid_at: Some(paid_at),
            total,
            received: match received {
                "none" => None,
                "USD" | "EUR" => Some((total, received)),
                other => Some((other, "USD")),
            },
            cost: Some(cost).filter(|cost| !["unknown", "nothing"].contains(cost)),
            fee: Some(fee),
            source,
            campaign,
            session: Some(session).filter(|session| *session != "none"),
            status: match number {
                5 | 14 => "refunded",
                11..=13 => "manual_review",
                15 => "partially_refunded",
                16 => "chargeback",
                _ => "paid",
            },
            // Eve has bought one unit of each brand, the Nimbus later; dan three of Astra in one order, and one Nimbus.
            brand: Some(if [5, 8].contains(&number) { "Astra" } else { "Nimbus" }),
            quantity: if number == 5 { 3 } else { 1 },
            ..SALE
        };
        orders.push(shop.sale(sale).await);
    }
    for (created_at, total, session) in [("2026-11-09 09:00Z", "999.00", None), ("2026-11-08 09:00Z", "500.00", Some("n20"))] {
        let sale = Sale {
            email: "zed@example.com",
            created_at: Some(created_at),
            total,
            cost: None,
            session,
            ..SALE
        };
        orders.push(shop.sale(sale).await);
    }
    shop.refund(orders[4], "20.00", "completed", "2026-10-25 11:00Z").await;
    shop.refund(orders[13], "60.00", "completed", "2026-11-05 11:00Z").await;
    shop.refund(orders[14], "20.00", "completed", "2026-11-06 11:00Z").await;
    shop.refund(orders[15], "45.00", "completed", "2026-11-10 08:00Z").await;
    // Not done (yet): counts nowhere.
    shop.refund(orders[17], "65.00", "approved", "2026-11-09 11:00Z").await;
    shop.spend("2026-10-25", Some("facebook"), Some("fall"), "15.00").await;
    shop.spend("2026-10-25", Some("mail"), None, "5.00").await;
    shop.spend("2026-11-02", Some("google"), Some("nov"), "100.00").await;
    see(shop).await;
    orders
}

async fn see(shop: &Shop) {
    let (a, b, c, d, g) = (
        Seen {
            session: "A",
            visit: Some("A"),
            device: Some("mobile"),
            source: Some("facebook"),
            campaign: Some("fall"),
            ..SEEN
        },
        Seen {
            session: "B",
            visit: Some("B"),
            ..SEEN
        },
        Seen {
            session: "C",
            visit: Some("C"),
            device: Some("desktop"),
            ..SEEN
        },
        Seen {
            session: "D",
            visit: Some("D"),
            ..SEEN
        },
        Seen {
            session: "G",
            visit: Some("G"),
            device: Some("mobile"),
            ..SEEN
        },
    );
    let at = |seen: Seen<'static>, kind: &'static str, at: &'static str| Seen { kind, at, ..seen };
    for seen in [
        Seen {
            page_duration: Some(30),
            scroll: Some(80),
            ..at(a, "page_view", "2026-10-24 22:00Z")
        },
        at(a, "view_product", "2026-10-24 22:01Z"),
        at(a, "add_to_cart", "2026-10-24 22:02Z"),
        at(a, "checkout_start", "2026-10-24 22:03Z"),
        at(a, "payment_success", "2026-10-25 10:00Z"),
        at(b, "page_view", "2026-10-24 21:50Z"),
        Seen {
            source: Some("facebook"),
            ..at(b, "view_product", "2026-10-24 22:10Z")
        },
        at(c, "page_view", "2026-10-25 00:30Z"),
        Seen {
            page_duration: Some(60),
            scroll: Some(50),
            ..at(c, "x_page_leave", "2026-10-25 00:31Z")
        },
        at(d, "page_view", "2026-10-25 22:55Z"),
        Seen {
            source: Some("facebook"),
            campaign: Some("fall"),
            device: Some("tablet"),
            ..at(d, "page_view", "2026-10-25 23:05Z")
        },
        at(g, "page_view", "2026-10-25 09:00Z"),
        // At the same moment is not earlier.
        Seen {
            scroll: Some(25),
            ..at(g, "view_product", "2026-10-25 09:00Z")
        },
        at(g, "add_to_cart", "2026-10-25 09:01Z"),
        at(g, "checkout_start", "2026-10-25 09:02Z"),
        Seen {
            session: "F",
            visit: None,
            ..at(b, "view_product", "2026-10-25 08:59Z")
        },
        Seen {
            session: "F",
            visit: None,
            ..at(b, "page_view", "2026-10-25 09:00Z")
        },
        Seen {
            session: "E",
            visit: Some("E"),
            bot: Some("Googlebot"),
            ..at(b, "page_view", "2026-10-25 12:00Z")
        },
        Seen {
            session: "E",
            visit: Some("E"),
            bot: Some("Googlebot"),
            ..at(b, "checkout_start", "2026-10-25 12:00Z")
        },
    ] {
        shop.seen(seen).await;
    }
}
