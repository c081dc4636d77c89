//! A shop of a test's own: tenant, host, one product, staff.

use std::collections::BTreeMap;

use rand::Rng;
use rand::distr::Alphanumeric;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use shared::codes::{CodeKeys, CodeRef, fingerprint, last4};
use shared::money::Amount;
use stack::Info;
use stack::jwt::{Claims, Signer};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::{Reply, signed_notice, stack, stack_v1};

/// What `POST /api/orders/create` gave.
#[derive(Debug, Clone)]
pub struct Placed {
    pub order_id: Uuid,
    pub bill_id: String,
    pub payment_url: String,
    pub token: String,
    pub email: String,
    pub amount: String,
}

/// Base price 100 per 100 of face value, 25 % off: a nominal of 50 costs 37.50, one of 100 costs 75.00. No codes until they are added.
pub struct Shop {
    pub info: &'static Info,
    pub db: Client,
    pub http: reqwest::Client,
    pub tenant: Uuid,
    pub host: String,
    pub product: Uuid,
    pub staff_token: String,
    pub viewer_token: String,
}

impl Shop {
    pub async fn new() -> Self {
        Self::on(stack()).await
    }

    /// A shop on the stack that speaks Cardlink v1, with this many free codes of nominal 50.
    pub async fn v1(codes: usize) -> Self {
        let shop = Self::on(stack_v1()).await;
        shop.add_codes("50.00", codes).await;
        shop
    }

    /// A shop on a stack of the test's own.
    pub async fn on(info: &'static Info) -> Self {
        let (db, connection) = tokio_postgres::connect(&info.database_url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let tenant = Uuid::new_v4();
        let host = format!("t-{}.test", tenant.simple());
        let product = Uuid::new_v4();
        let (manager, viewer) = (Uuid::new_v4(), Uuid::new_v4());
        // Room for every test; those of the limits set their own.
        let settings = json!({
            "site_url": info.gateway, "support_email": "support@example.com", "max_unpaid_units": 100_000, "max_unpaid_share": 100,
        });
        db.execute(
            "insert into shop.tenants (id, name, primary_domain, settings) values ($1, 'Test shop', $2, $3)",
            &[&tenant, &host, &settings],
        )
        .await
        .unwrap();
        db.execute(
            "insert into shop.domains (domain, tenant_id, is_primary) values ($1, $2, true)",
            &[&host, &tenant],
        )
        .await
        .unwrap();
        db.execute(
            "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $3, 'manager'), ($2, $3, 'viewer')",
            &[&manager, &viewer, &tenant],
        )
        .await
        .unwrap();
        db.execute(
            "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price, discount_percentage) \
             values ($1, $2, 'Nimbus Card', 'Nimbus', 'USA', '[25, 50, 100]', 100, 25)",
            &[&product, &tenant],
        )
        .await
        .unwrap();
        let signer = Signer::Hs256 {
            secret: info.jwt_secret.clone(),
        };
        let token = |id: Uuid| signer.mint(&Claims::new("authenticated", 1).for_person(&id.to_string())).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            info,
            db,
            http,
            tenant,
            host,
            product,
            staff_token: token(manager),
            viewer_token: token(viewer),
        }
    }

    /// A new connection to the database, where the old one ended with the server.
    pub async fn reconnect(&mut self) {
        let (db, connection) = tokio_postgres::connect(&self.info.database_url, NoTls).await.unwrap();
        tokio::spawn(connection);
        self.db = db;
    }

    /// A shop with this many free codes of nominal 50.
    pub async fn with_codes(count: usize) -> Self {
        let shop = Self::new().await;
        shop.add_codes("50.00", count).await;
        shop
    }

    /// Changes settings of the tenant, such as `{"max_unpaid_units": 1000}`.
    pub async fn settings(&self, settings: Value) {
        self.db
            .execute(
                "update shop.tenants set settings = settings || $2 where id = $1",
                &[&self.tenant, &settings],
            )
            .await
            .unwrap();
    }

    /// Seals and imports fresh codes through `api.import_codes` as staff; returns the codes in clear.
    pub async fn add_codes(&self, nominal: &str, count: usize) -> Vec<String> {
        let codes: Vec<String> = (0..count).map(|_| fresh_code()).collect();
        for (index, chunk) in codes.chunks(500).enumerate() {
            let rows: Vec<Value> = chunk
                .iter()
                .enumerate()
                .map(|(i, code)| self.sealed_row(index * 500 + i + 1, nominal, code))
                .collect();
            let imported = self.rpc(&self.staff_token, "import_codes", json!({"rows": rows})).await.expect(200);
            assert_eq!(imported["imported"], chunk.len(), "{imported}");
        }
        codes
    }

    /// A row of `api.import_codes`.
    pub fn sealed_row(&self, row: usize, nominal: &str, code: &str) -> Value {
        let keys = CodeKeys::parse(&json!(self.info.code_keys).to_string(), Some(&self.info.code_active_kid)).unwrap();
        let nominal: Amount = nominal.parse().unwrap();
        let id = Uuid::new_v4();
        let sealed = keys
            .seal(
                &CodeRef {
                    code_id: id,
                    product_id: self.product,
                    nominal,
                },
                code,
            )
            .unwrap();
        let key = base64_decode(&self.info.code_fingerprint_key);
        json!({
            "row": row, "id": id, "product_id": self.product, "nominal": nominal, "cost_price": "30.00", "currency": "USD", "expires_at": null,
            "sealed": sealed.text, "kid": sealed.kid, "fingerprint": fingerprint(&key, code), "last4": last4(code),
        })
    }

    /// A request to a function, under this shop's host. The path of the function `gateway` reaches all of them.
    pub fn request(&self, method: Method, function: &str, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.info.function(function)))
            .header("host", &self.host)
    }

    pub async fn post(&self, function: &str, path: &str, body: &Value) -> Reply {
        Reply::of(self.request(Method::POST, function, path).json(body)).await
    }

    pub async fn get(&self, function: &str, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, function, path)).await
    }

    /// Calls `api.<function>(p)` through PostgREST itself (not through the counting proxy).
    pub async fn rpc(&self, token: &str, function: &str, p: Value) -> Reply {
        let url = format!("{}/rpc/{function}", self.info.postgrest);
        Reply::of(
            self.http
                .post(url)
                .bearer_auth(token)
                .header("content-profile", "api")
                .json(&json!({"p": p})),
        )
        .await
    }

    /// A cart that this shop accepts, for a buyer of its own.
    pub fn cart(&self) -> Value {
        json!({
            "productId": self.product, "nominal": 50, "email": format!("buyer-{}@example.com", Uuid::new_v4().simple()), "deliveryType": "myself",
        })
    }

    pub async fn create(&self, cart: &Value) -> Reply {
        self.post("orders", "/api/orders/create", cart).await
    }

    /// The same under an idempotency key.
    pub async fn create_once(&self, key: &str, cart: &Value) -> Reply {
        let request = self.request(Method::POST, "orders", "/api/orders/create");
        Reply::of(request.header("idempotency-key", key).json(cart)).await
    }

    /// Places an order that must succeed.
    pub async fn place(&self, cart: &Value) -> Placed {
        let created = self.create(cart).await.expect(200);
        let text = |name: &str| {
            created[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} in {created}"))
                .to_owned()
        };
        Placed {
            order_id: text("orderId").parse().unwrap(),
            bill_id: text("billId"),
            payment_url: text("paymentUrl"),
            token: text("orderToken"),
            email: cart["email"].as_str().unwrap().to_owned(),
            amount: text("amount"),
        }
    }

    /// Posts a v2 notice to the webhook, signed with the stack's secret.
    pub async fn notice(&self, bill_id: &str, status: &str, amount: &str, currency: &str) -> Reply {
        let body = signed_notice(&self.info.cardlink.secret, bill_id, status, amount, currency);
        self.raw_notice(body).await
    }

    pub async fn raw_notice(&self, body: String) -> Reply {
        let request = self
            .request(Method::POST, "cardlink", "/api/webhooks/cardlink")
            .header("content-type", "application/json");
        Reply::of(request.body(body)).await
    }

    /// Runs a job that takes a batch at a time (of all tenants) often enough for a test's own rows.
    pub async fn repeat_job(&self, name: &str, clock: &str, times: usize) {
        for _ in 0..times {
            self.job(name, Some(clock)).await.expect(200);
        }
    }

    /// Ends the reservations of this shop's unpaid orders. Their time is set back instead of the job's clock forward, for that would end those
    /// of every test of the stack, and its last look at a bill could settle another test's order before its notice does.
    pub async fn expire_reservations(&self) {
        let over = "update shop.orders set expires_at = now() - interval '2 hours' where tenant_id = $1 and paid_at is null and fulfilment = 'reserved'";
        self.db.execute(over, &[&self.tenant]).await.unwrap();
        let left = "select count(*) from shop.orders where tenant_id = $1 and paid_at is null and fulfilment = 'reserved'";
        for _ in 0..100 {
            if self.count(left).await == 0 {
                return;
            }
            self.job("expire_orders", None).await.expect(200);
        }
        panic!("the reservations of {} do not end", self.host);
    }

    /// The database's time plus an interval, RFC 3339.
    pub async fn time(&self, offset: &str) -> String {
        let sql = "select to_char((now() + $1::text::interval) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
        self.db.query_one(sql, &[&offset]).await.unwrap().get(0)
    }

    /// The order as the holder of this token sees it.
    pub async fn order(&self, id: Uuid, token: &str) -> Reply {
        Reply::of(self.request(Method::GET, "orders", &format!("/api/orders/{id}")).bearer_auth(token)).await
    }

    /// Runs a job; `clock` (RFC 3339) moves its time.
    pub async fn job(&self, name: &str, clock: Option<&str>) -> Reply {
        let mut request = self
            .request(Method::POST, "jobs", &format!("/api/jobs/run/{name}"))
            .bearer_auth(&self.info.jobs_secret);
        if let Some(clock) = clock {
            request = request.header("x-test-clock", clock);
        }
        Reply::of(request).await
    }

    /// Runs the outbox until the mailbox of this address holds `count` mails; fails after some seconds.
    pub async fn mails(&self, to: &str, count: usize) -> Vec<Value> {
        for _ in 0..60 {
            let mails = self.mailbox(to).await;
            if mails.len() >= count {
                return mails;
            }
            self.job("outbox", None).await.expect(200);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("fewer than {count} mails; outbox: {:?}", self.outbox().await)
    }

    pub async fn mailbox(&self, to: &str) -> Vec<Value> {
        let url = format!("{}/mailbox", self.info.sandbox);
        let reply = Reply::of(self.http.get(url).query(&[("to", to)]).header("accept", "application/json")).await;
        reply.expect(200).as_array().unwrap().clone()
    }

    /// Kind and status of this tenant's outbox rows.
    pub async fn outbox(&self) -> Vec<(String, String)> {
        let rows = self
            .db
            .query(
                "select kind, status from ops.outbox where tenant_id = $1 order by seq, created_at, finished_at",
                &[&self.tenant],
            )
            .await
            .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// One number from SQL; `$1` is the tenant.
    pub async fn count(&self, sql: &str) -> i64 {
        self.db
            .query_one(sql, &[&self.tenant])
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
            .get(0)
    }

    /// status, fulfilment and review reason of an order.
    pub async fn state(&self, order_id: Uuid) -> (String, String, Option<String>) {
        let sql = "select status, fulfilment, review_reason from shop.orders where id = $1";
        let row = self.db.query_one(sql, &[&order_id]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    /// Rows of this tenant per table, for every table that has a `tenant_id`; tables without any are left out. So is the digest of the
    /// ledger's days: when a job closes a day it does so for all tenants at once.
    pub async fn rows(&self) -> BTreeMap<String, i64> {
        let tables = "select format('%I.%I', table_schema, table_name) from information_schema.columns \
                      where column_name = 'tenant_id' and table_schema in ('shop', 'analytics', 'crm', 'ai', 'ops') \
                      and table_name <> 'ledger_day_tenants'";
        let tables: Vec<String> = self.db.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let each = tables
            .iter()
            .map(|table| format!("select '{table}', count(*) from {table} where tenant_id = $1"));
        let sql = each.collect::<Vec<_>>().join(" union all ");
        let rows = self.db.query(&sql, &[&self.tenant]).await.unwrap();
        let counts = rows.iter().map(|row| (row.get(0), row.get(1)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// A random code in the usual form, XXXX-XXXX-XXXX-XXXX.
pub fn fresh_code() -> String {
    let letters: Vec<char> = rand::rng()
        .sample_iter(&Alphanumeric)
        .take(16)
        .map(|b| char::from(b).to_ascii_uppercase())
        .collect();
    letters
        .chunks(4)
        .map(|four| four.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-")
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
