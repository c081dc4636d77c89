//! A small shop: tenant, products, codes, a manager, a partner; and its clock.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ground::{Ground, Line, Who};

/// A face value of a product, and what a unit costs, worked out here and not by the product's own function. Amounts are in cents.
#[derive(Debug, Clone)]
pub struct Card {
    pub product: Uuid,
    pub nominal: i64,
    pub price: i64,
}

/// base_price is per 100 of face value; half a cent goes up.
pub fn unit_price(nominal: i64, base: i64, discount_percent: i64) -> i64 {
    let (whole, parts) = (
        i128::from(nominal) * i128::from(base) * i128::from(100 - discount_percent),
        1_000_000,
    );
    i64::try_from((whole + parts / 2) / parts).unwrap()
}

/// "37.50"
pub fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A code as `api.import_codes` takes it.
#[derive(Debug, Clone)]
pub struct Stock {
    pub id: Uuid,
    pub card: usize,
    /// Two rows of one fingerprint are the same code.
    pub fingerprint: Uuid,
    pub cost: Option<i64>,
    /// Minutes from the world's beginning.
    pub expires: Option<i64>,
}

/// What a world is made of, before it is in a database.
#[derive(Debug, Clone)]
pub struct Shape {
    /// base price, discount in percent, face values in cents
    pub products: Vec<(i64, i64, Vec<i64>)>,
    pub settings: Value,
    pub codes: Vec<Stock>,
}

impl Shape {
    /// Every face value of every product, in order.
    pub fn cards(&self) -> Vec<(usize, i64, i64)> {
        let products = self.products.iter().enumerate();
        products
            .flat_map(|(at, (base, discount, nominals))| {
                let price = |nominal: &i64| unit_price(*nominal, *base, *discount);
                nominals
                    .iter()
                    .map(move |nominal| (at, *nominal, price(nominal)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

pub struct World {
    pub tenant: Uuid,
    pub host: String,
    pub manager: Uuid,
    pub partner_link: String,
    pub cards: Vec<Card>,
    begin: DateTime<Utc>,
    ahead_s: AtomicI64,
}

impl World {
    pub async fn new(ground: &Ground, line: &Line, shape: &Shape) -> Self {
        let db = &ground.admin;
        let tenant = Uuid::new_v4();
        let host = format!("t-{}.test", tenant.simple());
        let (manager, partner) = (Uuid::new_v4(), Uuid::new_v4());
        let partner_link = format!("ref-{}", tenant.simple());
        let products: Vec<Uuid> = shape.products.iter().map(|_| Uuid::new_v4()).collect();
        let insert = "insert into shop.tenants (id, name, primary_domain, settings) values ($1, 'World', $2, $3)";
        db.execute(insert, &[&tenant, &host, &shape.settings]).await.unwrap();
        let insert = "insert into shop.domains (domain, tenant_id, is_primary) values ($1, $2, true)";
        db.execute(insert, &[&host, &tenant]).await.unwrap();
        let insert = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'manager')";
        db.execute(insert, &[&manager, &tenant]).await.unwrap();
        let insert = "insert into shop.partner_accounts (id, tenant_id, partner_name, partner_email, api_secret_hash, commission_rate) \
                      values ($1, $2, 'Partner', 'partner@example.com', repeat('0', 64), 7.5)";
        db.execute(insert, &[&partner, &tenant]).await.unwrap();
        let insert = "insert into shop.affiliate_links (tenant_id, partner_id, link_code) values ($1, $2, $3)";
        db.execute(insert, &[&tenant, &partner, &partner_link]).await.unwrap();
        for (id, (base, discount, nominals)) in products.iter().zip(&shape.products) {
            let nominals = json!(nominals.iter().map(|cents| cents / 100).collect::<Vec<_>>());
            let insert = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price, discount_percentage) \
                          values ($1, $2, 'Nimbus Card', 'Nimbus', 'USA', $3, $4::text::numeric, $5::text::numeric)";
            db.execute(insert, &[id, &tenant, &nominals, &money(*base), &discount.to_string()])
                .await
                .unwrap();
        }
        let cards = shape.cards().into_iter().map(|(at, nominal, price)| Card {
            product: products[at],
            nominal,
            price,
        });
        let world = Self {
            tenant,
            host,
            manager,
            partner_link,
            cards: cards.collect(),
            begin: db.query_one("select now()", &[]).await.unwrap().get(0),
            ahead_s: AtomicI64::new(0),
        };
        if !shape.codes.is_empty() {
            let p = world.import(&shape.codes, "first");
            let answer = line.outcome(Who::Person(manager), "import_codes", p, "ok").await;
            assert_eq!(answer["imported"], shape.codes.len(), "{answer}");
        }
        world
    }

    /// The world's time. Functions that take no `p.now` use the database's.
    pub fn now(&self) -> String {
        self.at(self.ahead_s.load(Ordering::SeqCst))
    }

    pub fn at(&self, seconds: i64) -> String {
        (self.begin + chrono::TimeDelta::seconds(seconds)).to_rfc3339()
    }

    pub fn advance(&self, seconds: i64) {
        self.ahead_s.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The document for `api.import_codes`.
    pub fn import(&self, codes: &[Stock], batch: &str) -> Value {
        let rows: Vec<Value> = codes
            .iter()
            .enumerate()
            .map(|(at, code)| {
                let card = &self.cards[code.card];
                json!({
                    "row": at + 1, "id": code.id, "product_id": card.product, "nominal": money(card.nominal), "cost_price": code.cost.map(money),
                    "currency": "USD", "expires_at": code.expires.map(|minutes| self.at(minutes * 60)), "sealed": "A".repeat(60), "kid": "k1",
                    "fingerprint": code.fingerprint.simple().to_string().repeat(2), "last4": "1234",
                })
            })
            .collect();
        json!({"batch_id": batch, "rows": rows, "now": self.now()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_the_contract() {
        assert_eq!(unit_price(5000, 10_000, 25), 3750);
        assert_eq!(unit_price(10_000, 10_000, 25), 7500);
        // 25 * 0.9733 * 0.87 = 21.169275, and 50 * 0.9990 * 0.85 = 42.4575, which is half a cent away from nothing
        assert_eq!((unit_price(2500, 9733, 13), unit_price(5000, 9990, 15)), (2117, 4246));
        assert_eq!((money(3750), money(5), money(100)), ("37.50".into(), "0.05".into(), "1.00".into()));
    }
}
