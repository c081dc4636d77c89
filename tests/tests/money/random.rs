//! Random lives of orders, against a model of whole cents: whatever happens in whatever order, rows and columns say the same, and the
//! commission is half up of rate times what the shop keeps.

use lonieve_tests::{Placed, Shop};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::support::{Told, partner, referred, text, told};

const SEEDS: u64 = 40;
const STEPS: usize = 8;
const PRICE: i64 = 3750;

/// What must be, in cents. Shares nothing with the SQL.
#[derive(Debug, Default)]
struct Model {
    /// What came in.
    received: i64,
    given_back: i64,
    sold: bool,
    charged_back: bool,
    closed: bool,
}

impl Model {
    /// What the shop keeps of the price: a surplus goes back first.
    fn kept(&self) -> i64 {
        if !self.sold || self.charged_back || self.closed {
            return 0;
        }
        let surplus = (self.received - PRICE).max(0);
        self.received.min(PRICE) - (self.given_back - surplus).max(0)
    }

    fn left(&self) -> i64 {
        if self.charged_back { 0 } else { self.received - self.given_back }
    }
}

/// Half up of `percent_hundredths` / 10,000.
fn share(cents: i64, percent_hundredths: i64) -> i64 {
    (cents * percent_hundredths + 5_000) / 10_000
}

fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

async fn step(shop: &Shop, order: &Placed, model: &mut Model, random: &mut StdRng, n: usize) {
    let told: Told<'_> = told(shop, order);
    match random.random_range(0..8) {
        0 | 1 => {
            if model.received == 0 {
                let surplus = if random.random_bool(0.3) { random.random_range(1..900) } else { 0 };
                let (status, received) = if surplus > 0 {
                    ("overpaid", PRICE + surplus)
                } else {
                    ("paid", PRICE)
                };
                told.notice(status, "37.50", Some(&money(received))).await;
                (model.received, model.sold) = (received, true);
            } else {
                // Whatever it says now: the money is in.
                told.notice("failed", "37.50", None).await;
            }
        }
        2 if model.received == 0 => {
            let received = random.random_range(1..PRICE);
            told.notice("underpaid", "37.50", Some(&money(received))).await;
            model.received = received;
        }
        3 if model.received > 0 && !model.sold && !model.charged_back && model.left() > 0 => {
            let action = if random.random_bool(0.5) { "deliver" } else { "close" };
            let p = json!({"order_id": order.order_id, "action": action, "note": "Decided."});
            if shop.rpc(&shop.staff_token, "resolve_order", p).await.expect(200)["outcome"] == "ok" {
                model.sold = true;
                model.closed |= action == "close";
            }
        }
        4..=6 if model.left() > 0 => {
            let amount = if random.random_bool(0.2) {
                model.left()
            } else {
                random.random_range(1..=model.left())
            };
            let outcome = told.refunded(&format!("r{n}"), &money(amount)).await;
            assert!(["refunded", "partially_refunded"].contains(&outcome.as_str()), "{outcome}");
            model.given_back += amount;
        }
        7 if model.left() > 0 && random.random_bool(0.4) => {
            assert_eq!(told.charged_back().await, "chargeback");
            model.charged_back = true;
        }
        _ => {}
    }
}

async fn check(shop: &Shop, order: &Placed, model: &Model, rate: i64, trail: &str) {
    // Both sums from the rows, and both columns.
    let sql = "select concat_ws(' ', \
                 coalesce((select sum(base) from shop.partner_commissions c where c.order_id = o.id), 0.00), \
                 coalesce((select sum(amount) from shop.partner_commissions c where c.order_id = o.id), 0.00), coalesce(o.partner_commission, 0.00), \
                 o.transaction_fees = (select coalesce(sum(fee_amount), 0) from shop.transaction_fees f where f.order_id = o.id), \
                 o.true_profit is not distinct from o.total_amount - o.total_cost - o.transaction_fees - o.refund_amount, \
                 o.refund_amount <= o.total_amount) \
               from shop.orders o where o.id = $1";
    let due = money(share(model.kept(), rate));
    assert_eq!(
        text(shop, order, sql).await,
        format!("{} {due} {due} t t t", money(model.kept())),
        "{model:?} {trail}"
    );
}

#[tokio::test]
async fn rows_columns_and_rate_agree_after_every_step() {
    let shop = Shop::v1(SEEDS as usize).await;
    shop.settings(json!({"max_unpaid_units": 100_000, "max_unpaid_share": 100})).await;
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let rate = random.random_range(0..=10_000);
        let partner = partner(&shop, &money(rate)).await;
        let order = referred(&shop, &partner, 50).await;
        let mut model = Model::default();
        for n in 0..STEPS {
            step(&shop, &order, &mut model, &mut random, n).await;
            check(&shop, &order, &model, rate, &format!("seed {seed} step {n} rate {}", money(rate))).await;
        }
    }
}

#[test]
fn the_model_rounds_half_up() {
    // 1 % of 0.50 is half a cent.
    assert_eq!((share(50, 100), share(49, 100), share(3750, 1250)), (1, 0, 469));
    assert_eq!((money(-5).as_str(), money(3750).as_str()), ("-0.05", "37.50"));
}
