//! Which code leaves the shelf: soonest expiry first, none without an end before one with, none whose end is within the shop's margin.
//! Compared with the plainest model there is, a sorted list, over random stocks and orders.

use std::collections::BTreeMap;

use lonieve_tests::Shop;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::codes_of;

/// The moment all of it happens at, and the microsecond it ends at, of each code; `i64::MAX`: never.
const NOW: &str = "2026-06-01T12:00:00Z";
const DAY: i64 = 86_400_000_000;

struct Model {
    margin_days: i64,
    free: BTreeMap<Uuid, i64>,
}

impl Model {
    /// The next `count` codes to leave the shelf, or none where there are too few.
    fn take(&mut self, count: usize) -> Option<Vec<Uuid>> {
        let mut sellable: Vec<(i64, Uuid)> = self
            .free
            .iter()
            .filter(|(_, end)| **end > self.margin_days * DAY)
            .map(|(id, end)| (*end, *id))
            .collect();
        sellable.sort();
        if sellable.len() < count {
            return None;
        }
        let mut ids: Vec<Uuid> = sellable[..count].iter().map(|(_, id)| *id).collect();
        ids.iter().for_each(|id| {
            self.free.remove(id);
        });
        ids.sort();
        Some(ids)
    }
}

#[tokio::test]
async fn random_stocks_leave_the_shelf_as_the_model_says() {
    let shop = Shop::new().await;
    shop.settings(json!({"max_unpaid_units": 100_000, "max_unpaid_share": 100})).await;
    let orders_token = shop.info.tokens["orders"].clone();
    for seed in 0..30 {
        let mut random = StdRng::seed_from_u64(seed);
        // What an earlier seed left is taken off the shelf.
        let clear = "update shop.gift_codes set status = 'revoked' where tenant_id = $1 and status = 'available' \
                     returning ops.append_ledger(tenant_id, id, 'revoked', null, now())::text";
        shop.db.query(clear, &[&shop.tenant]).await.unwrap();
        let margin_days = random.random_range(0..4);
        shop.settings(json!({"code_expiry_margin_days": margin_days})).await;
        let count = random.random_range(1..14);
        shop.add_codes("50.00", count).await;
        let mut model = Model {
            margin_days,
            free: BTreeMap::new(),
        };
        let sql = "select id from shop.gift_codes where tenant_id = $1 and status = 'available'";
        for row in shop.db.query(sql, &[&shop.tenant]).await.unwrap() {
            let id: Uuid = row.get(0);
            let end = match random.random_range(0..6) {
                0 => i64::MAX,
                // The very edge of the margin, and a microsecond to either side of it.
                1 => margin_days * DAY + random.random_range(-1..=1),
                // Ties, and days in the past.
                _ => random.random_range(-2..8) * DAY,
            };
            let set = "update shop.gift_codes set imported_at = $2::text::timestamptz, \
                       expires_at = case when $3::bigint < 9223372036854775807 then $2::text::timestamptz + $3 * interval '1 microsecond' end where id = $1";
            shop.db.execute(set, &[&id, &NOW, &end]).await.unwrap();
            model.free.insert(id, end);
        }
        for _ in 0..6 {
            let quantity: usize = random.random_range(1..4);
            let p = json!({"host": shop.host, "product_id": shop.product, "nominal": "50.00", "quantity": quantity, "email": "buyer@example.com", "now": NOW});
            let created: Value = shop.rpc(&orders_token, "create_order", p).await.expect(200);
            let Some(expected) = model.take(quantity) else {
                assert_eq!(created["outcome"], "out_of_stock", "seed {seed}: {created}");
                continue;
            };
            assert_eq!(created["outcome"], "created", "seed {seed}: {created}");
            let order: Uuid = created["order_id"].as_str().unwrap().parse().unwrap();
            let ids = async || -> Vec<Uuid> { codes_of(&shop, order, "reserved").await.into_iter().map(|(id, _)| id).collect() };
            let mut taken = ids().await;
            taken.sort();
            assert_eq!(taken, expected, "seed {seed}");
            // Some come back, and are first in line again.
            if random.random_bool(0.3) {
                let sql = "select id, coalesce((extract(epoch from expires_at - $2::text::timestamptz) * 1000000)::bigint, 9223372036854775807) \
                           from shop.gift_codes where id = any($1)";
                let back = shop.db.query(sql, &[&taken, &NOW]).await.unwrap();
                let p = json!({"order_id": order, "reason": "provider_unavailable", "now": NOW});
                shop.rpc(&orders_token, "fail_order", p).await.expect(200);
                assert!(ids().await.is_empty(), "seed {seed}: released");
                model
                    .free
                    .extend(back.iter().map(|row| (row.get::<_, Uuid>(0), row.get::<_, i64>(1))));
            }
        }
    }
}
