//! The copilot: who may ask, what is answered, and that its numbers are right.
#![expect(clippy::unwrap_used, reason = "tests: a failed step is a failed test")]

mod access;
mod figures;
mod hostile;
mod money;
mod periods;
mod reports;

use std::collections::BTreeSet;

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Posts a question as the owner of this token.
async fn ask_as(shop: &Shop, token: &str, body: &Value) -> Reply {
    Reply::of(
        shop.request(Method::POST, "copilot", "/api/ai/copilot")
            .bearer_auth(token)
            .json(body),
    )
    .await
}

/// A question of the shop's viewer that must be answered, with a number or not.
async fn ask(shop: &Shop, question: &str) -> Value {
    let answer = ask_as(shop, &shop.viewer_token, &json!({ "query": question })).await.expect(200);
    numbers_are_cells(&answer);
    answer
}

/// Every number in the sentences of an answer stands in its rows, its plan or its dates.
#[track_caller]
fn numbers_are_cells(answer: &Value) {
    let result = &answer["result"];
    let notes = result["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap());
    let said: Vec<&str> = notes
        .chain([result["formatted"].as_str().unwrap(), result["period"].as_str().unwrap_or_default()])
        .collect();
    let sources = [
        &answer["evidence"]["rows"],
        &answer["plan"],
        &result["from"],
        &result["to"],
        &result["value"],
    ];
    let known: BTreeSet<String> = sources.iter().flat_map(|source| numbers(&source.to_string())).collect();
    for number in said.iter().flat_map(|text| numbers(text)) {
        assert!(known.contains(&number), "{number} is not a cell: {answer}");
    }
}

/// The numbers of a text, without the signs that group thousands and with a point before the cents.
fn numbers(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let digits_from = |i: usize| chars[i..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut plain = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_digit = i > 0 && chars[i - 1].is_ascii_digit();
        match c {
            ',' if after_digit && digits_from(i + 1) == 2 => plain.push('.'),
            ',' | '\u{a0}' if after_digit && digits_from(i + 1) == 3 => {}
            c => plain.push(*c),
        }
    }
    let parts = plain.split(|c: char| !c.is_ascii_digit() && c != '.');
    parts
        .map(|part| part.trim_matches('.').to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// An order as it could stand in the table; what a test does not name is harmless.
struct Sale {
    email: &'static str,
    /// When the money came in; `None`: it did not.
    paid_at: Option<&'static str>,
    amount: &'static str,
    cost: Option<&'static str>,
    fee: &'static str,
    source: Option<&'static str>,
    campaign: Option<&'static str>,
    product: Uuid,
    quantity: i32,
}

impl Sale {
    /// An unpaid order of one unit that came from nowhere; the rest is the test's to say.
    const fn of(product: Uuid) -> Self {
        Self {
            email: "ann@example.com",
            paid_at: None,
            amount: "100.00",
            cost: None,
            fee: "0.00",
            source: None,
            campaign: None,
            product,
            quantity: 1,
        }
    }

    async fn insert(&self, shop: &Shop, created_at: &str) -> Uuid {
        let id = Uuid::new_v4();
        let delivered = self.paid_at.filter(|_| self.cost.is_some());
        let sql = "insert into shop.orders (id, tenant_id, email, first_name, total_amount, total_cost, status, fulfilment, review_reason, paid_at, \
                     delivered_at, created_at, expires_at, utm_source, utm_campaign) \
                   values ($1, $2, $3, 'Sam', $4::text::numeric, $5::text::numeric, \
                     case when $6::text is null then 'pending' when $7::text is null then 'manual_review' else 'paid' end, \
                     case when $6::text is null then 'reserved' when $7::text is null then 'waiting' else 'delivered' end, \
                     case when $6::text is not null and $7::text is null then 'no_codes_available' end, \
                     $6::text::timestamptz, $7::text::timestamptz, $8::text::timestamptz, $8::text::timestamptz + interval '1 hour', $9, $10)";
        shop.db
            .execute(
                sql,
                &[
                    &id,
                    &shop.tenant,
                    &self.email,
                    &self.amount,
                    &self.cost,
                    &self.paid_at,
                    &delivered,
                    &created_at,
                    &self.source,
                    &self.campaign,
                ],
            )
            .await
            .unwrap();
        let sql = "insert into shop.order_items (tenant_id, order_id, product_id, product_name, product_brand, nominal, price, quantity) \
                   select $1, $2, p.id, p.name, p.brand, 100, $4::text::numeric / $5::integer, $5::integer from shop.products p where p.id = $3";
        shop.db
            .execute(sql, &[&shop.tenant, &id, &self.product, &self.amount, &self.quantity])
            .await
            .unwrap();
        let sql = "insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount) values ($1, $2, 'payment_gateway', $3::text::numeric)";
        shop.db.execute(sql, &[&shop.tenant, &id, &self.fee]).await.unwrap();
        id
    }
}

async fn refund(shop: &Shop, order: Uuid, amount: &str, status: &str, processed_at: &str) {
    let sql = "insert into shop.refunds (tenant_id, order_id, refund_amount, refund_type, status, requested_at, processed_at) \
               values ($1, $2, $3::text::numeric, 'partial', $4, $5::text::timestamptz, $5::text::timestamptz)";
    shop.db
        .execute(sql, &[&shop.tenant, &order, &amount, &status, &processed_at])
        .await
        .unwrap();
}

/// A shop with this many codes and a clock near noon, so that no test about today runs into midnight.
async fn shop_at_noon(codes: usize) -> Shop {
    let shop = Shop::with_codes(codes).await;
    // The signs of these zones are reversed: it is later in Etc/GMT-5 than in UTC.
    let sql = "update shop.tenants set time_zone = 'Etc/GMT' || to_char(extract(hour from now() at time zone 'UTC')::integer - 12, 'SGFM99') where id = $1";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    shop
}

async fn set_time_zone(shop: &Shop, zone: &str) {
    shop.db
        .execute("update shop.tenants set time_zone = $2 where id = $1", &[&shop.tenant, &zone])
        .await
        .unwrap();
}

/// The value of a metric.
fn value(answer: &Value) -> &str {
    answer["result"]["value"].as_str().unwrap_or_else(|| panic!("no value: {answer}"))
}
