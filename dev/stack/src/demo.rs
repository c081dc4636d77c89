//! The demo shop: one tenant with six products and sealed gift codes, so that a fresh clone has something to sell.
//!
//! Everything is loaded in one transaction and every start runs it again: rows that exist are left as they are, so a developer's own
//! changes stay, and codes are made only for a nominal that never had any, so a sold-out shelf stays sold out. Only the site's
//! address follows the stack at each start.
//!
//! It has four weeks of visits and advertising before today, and no orders ([`history`]).
//!
//! The codes go in through `api.import_codes` under the claims of the demo's own staff admin, the way staff imports them.

mod catalogue;
mod history;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::codes::{CodeKeys, CodeRef, fingerprint, last4};
use shared::money::Amount;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use catalogue::{Nominal, PRODUCTS, Product};

pub const TENANT_ID: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_000000000001);
/// Staff with the role `admin`.
pub const ADMIN_ID: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_0000000000a1);
/// Staff with the role `viewer`.
pub const VIEWER_ID: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_0000000000a2);
/// Can sign in, works for nobody.
pub const CUSTOMER_ID: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_0000000000a3);

const HOST: &str = "127.0.0.1";
const CURRENCY: &str = "USD";
/// Any fixed number: the advisory lock that lets two loads at once take turns ("demo" in ASCII).
const LOCK: i64 = 0x64_65_6d_6f;
/// Most rows `api.import_codes` takes in one call.
const MAX_IMPORT: usize = 1000;

/// What the stack knows and the demo needs: where the shop is, and the keys that seal its codes.
pub struct DemoInput {
    pub site_url: String,
    /// `CODE_KEYS`: JSON `{kid: base64 of 32 bytes}`.
    pub code_keys: String,
    /// `CODE_ACTIVE_KID`.
    pub code_active_kid: String,
    /// `CODE_FINGERPRINT_KEY`: base64 of 32 bytes.
    pub code_fingerprint_key: String,
}

/// The `demo` part of `stack.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DemoInfo {
    pub tenant_id: Uuid,
    pub host: String,
    pub products: Vec<DemoProduct>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DemoProduct {
    pub id: Uuid,
    /// Face values with two decimals. Of the last product's, the second has five codes and the third none.
    pub nominals: Vec<String>,
}

/// Loads what is missing. `client` must be able to become `authenticated` and to write to `shop` (the superuser of a local stack).
pub async fn load(client: &mut Client, input: &DemoInput) -> Result<DemoInfo> {
    let sealer = Sealer::new(input)?;
    let transaction = client.transaction().await?;
    transaction.execute("select pg_catalog.pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    load_tenant(&transaction, &input.site_url)
        .await
        .context("cannot load the demo tenant")?;
    load_people(&transaction).await.context("cannot load the demo staff")?;
    for (product, order) in PRODUCTS.iter().zip(1..) {
        load_product(&transaction, product, order)
            .await
            .with_context(|| format!("cannot load the product {}", product.name))?;
    }
    let this_year = transaction.query_one("select extract(year from now())::integer", &[]).await?.get(0);
    let rows = sealer.rows_for(&empty_shelves(&transaction).await?, this_year)?;
    import(&transaction, &rows).await.context("cannot import the demo codes")?;
    history::load(&transaction).await.context("cannot load the demo visits")?;
    transaction.commit().await?;
    Ok(DemoInfo {
        tenant_id: TENANT_ID,
        host: HOST.to_owned(),
        products: PRODUCTS.iter().map(DemoProduct::from).collect(),
    })
}

impl From<&Product> for DemoProduct {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id(),
            nominals: product.nominals.iter().map(|nominal| format!("{}.00", nominal.value)).collect(),
        }
    }
}

async fn load_tenant(transaction: &Transaction<'_>, site_url: &str) -> Result<()> {
    let theme = json!({
        "colors": { "primary": "#D4AF37", "background": "#0A0A0A" },
        "texts": { "hero_title": "Gift cards, delivered in a minute" },
    });
    let settings = json!({ "site_url": site_url, "support_email": "support@lonieve.example" });
    let insert = "
        insert into shop.tenants (id, name, primary_domain, currency, theme_overrides, settings)
        values ($1, 'Lonieve Gift demo', $2, $3, $4, $5)
        on conflict (id) do update set settings = tenants.settings || jsonb_build_object('site_url', excluded.settings -> 'site_url')";
    transaction
        .execute(insert, &[&TENANT_ID, &HOST, &CURRENCY, &theme, &settings])
        .await?;
    let insert = "
        insert into shop.domains (domain, tenant_id, is_primary, ssl_enabled) values ($1, $2, true, false), ('localhost', $2, false, false)
        on conflict (domain) do nothing";
    transaction.execute(insert, &[&HOST, &TENANT_ID]).await?;
    let count = "select count(*) from shop.domains where tenant_id = $1 and domain in ($2, 'localhost') and status = 'active'";
    let domains: i64 = transaction.query_one(count, &[&TENANT_ID, &HOST]).await?.get(0);
    ensure!(
        domains == 2,
        "127.0.0.1 or localhost is taken by another tenant in shop.domains, or was made inactive there"
    );
    Ok(())
}

async fn load_people(transaction: &Transaction<'_>) -> Result<()> {
    let insert = "
        insert into shop.staff_members (user_id, tenant_id, role) values ($1, $3, 'admin'), ($2, $3, 'viewer')
        on conflict (user_id, tenant_id) do update set role = excluded.role where staff_members.role <> excluded.role";
    transaction.execute(insert, &[&ADMIN_ID, &VIEWER_ID, &TENANT_ID]).await?;
    // Only where auth.users is ours: Supabase's has other rules and other columns.
    let ours = "
        select exists (
          select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where n.nspname = 'auth' and c.relname = 'users' and pg_catalog.pg_get_userbyid(c.relowner) = 'lonieve_owner')";
    if transaction.query_one(ours, &[]).await?.get(0) {
        let insert = "
            insert into auth.users (id, email)
            values ($1, 'admin@lonieve.example'), ($2, 'viewer@lonieve.example'), ($3, 'customer@lonieve.example')
            on conflict do nothing";
        transaction.execute(insert, &[&ADMIN_ID, &VIEWER_ID, &CUSTOMER_ID]).await?;
    }
    Ok(())
}

async fn load_product(transaction: &Transaction<'_>, product: &Product, sort_order: i32) -> Result<()> {
    let insert = "
        insert into shop.products (id, tenant_id, name, brand, region, category, description, nominals, base_price, discount_percentage,
                                   currency, terms_conditions, features, sort_order)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10::text::numeric, $11, $12, $13, $14)
        on conflict (id) do nothing";
    let nominals: Value = product.nominals.iter().map(|nominal| nominal.value).collect();
    let features = json!(product.features);
    transaction
        .execute(
            insert,
            &[
                &product.id(),
                &TENANT_ID,
                &product.name,
                &product.brand,
                &product.region,
                &product.category,
                &product.description,
                &nominals,
                &product.base_price,
                &product.discount,
                &CURRENCY,
                &product.terms,
                &features,
                &sort_order,
            ],
        )
        .await?;
    Ok(())
}

type Shelf = (&'static Product, &'static Nominal);

/// The nominals of the catalogue that never had a code, sold ones included.
async fn empty_shelves(transaction: &Transaction<'_>) -> Result<Vec<Shelf>> {
    let stocked = "select distinct product_id, nominal::text from shop.gift_codes where tenant_id = $1";
    let stocked = transaction.query(stocked, &[&TENANT_ID]).await?;
    let stocked: Vec<(Uuid, String)> = stocked.iter().map(|row| (row.get(0), row.get(1))).collect();
    let all = PRODUCTS
        .iter()
        .flat_map(|product| product.nominals.iter().map(move |nominal| (product, nominal)));
    let empty = all.filter(|(product, nominal)| !stocked.contains(&(product.id(), format!("{}.00", nominal.value))));
    Ok(empty.collect())
}

struct Sealer {
    keys: CodeKeys,
    fingerprint_key: Vec<u8>,
}

impl Sealer {
    fn new(input: &DemoInput) -> Result<Self> {
        let keys = CodeKeys::parse(&input.code_keys, Some(&input.code_active_kid)).context("the keys of the gift codes are not usable")?;
        let fingerprint_key = STANDARD
            .decode(input.code_fingerprint_key.trim())
            .context("CODE_FINGERPRINT_KEY is not base64")?;
        ensure!(
            fingerprint_key.len() == 32,
            "CODE_FINGERPRINT_KEY must be 32 bytes, it has {}",
            fingerprint_key.len()
        );
        Ok(Self { keys, fingerprint_key })
    }

    fn rows_for(&self, shelves: &[Shelf], this_year: i32) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for (product, nominal) in shelves {
            for index in 0..nominal.codes {
                rows.push(self.row(rows.len() + 1, product, nominal, expires_at(index, this_year))?);
            }
        }
        Ok(rows)
    }

    /// One row of `api.import_codes`.
    fn row(&self, number: usize, product: &Product, nominal: &Nominal, expires_at: Option<String>) -> Result<Value> {
        let code = random_code();
        let value: Amount = nominal
            .value
            .to_string()
            .parse()
            .context("a nominal of the catalogue is no amount")?;
        let code_ref = CodeRef {
            code_id: Uuid::new_v4(),
            product_id: product.id(),
            nominal: value,
        };
        let sealed = self.keys.seal(&code_ref, &code).context("cannot seal a demo code")?;
        Ok(json!({
            "row": number,
            "id": code_ref.code_id,
            "product_id": code_ref.product_id,
            "nominal": value,
            "cost_price": cents(nominal.value * product.cost_percent),
            "currency": CURRENCY,
            "expires_at": expires_at,
            "sealed": sealed.text,
            "kid": sealed.kid,
            "fingerprint": fingerprint(&self.fingerprint_key, &code),
            "last4": last4(&code),
        }))
    }
}

/// Like the codes on real cards: four groups of four, without the letters and digits that look alike. 80 random bits.
fn random_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut rng = rand::rng();
    let mut group = || -> String { (0..4).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect() };
    [group(), group(), group(), group()].join("-")
}

fn cents(amount: u32) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

/// Two of three codes expire, on different days two to four years from now: "soonest expiry first" has something to choose from.
fn expires_at(index: usize, this_year: i32) -> Option<String> {
    let year = this_year + 2 + i32::from(index.is_multiple_of(2));
    (!index.is_multiple_of(3)).then(|| format!("{year}-{:02}-{:02}T00:00:00Z", 1 + index % 12, 1 + index % 28))
}

async fn import(transaction: &Transaction<'_>, rows: &[Value]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let claims = json!({ "role": "authenticated", "sub": ADMIN_ID }).to_string();
    transaction
        .execute("select pg_catalog.set_config('request.jwt.claims', $1, true)", &[&claims])
        .await?;
    transaction.batch_execute("set local role authenticated").await?;
    for rows in rows.chunks(MAX_IMPORT) {
        let p = json!({ "batch_id": "demo", "rows": rows });
        let result: Value = transaction.query_one("select api.import_codes($1)", &[&p]).await?.get(0);
        let imported = result["imported"].as_u64().and_then(|count| usize::try_from(count).ok());
        if imported != Some(rows.len()) {
            bail!(
                "api.import_codes refused {} of {} rows, the first with {}",
                result["skipped"],
                rows.len(),
                result["errors"][0]
            );
        }
    }
    transaction.batch_execute("set local role none").await?;
    transaction
        .execute("select pg_catalog.set_config('request.jwt.claims', '', true)", &[])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sealer() -> Sealer {
        let key = STANDARD.encode([7u8; 32]);
        Sealer::new(&DemoInput {
            site_url: "http://127.0.0.1:8787".to_owned(),
            code_keys: format!(r#"{{"k1":"{key}"}}"#),
            code_active_kid: "k1".to_owned(),
            code_fingerprint_key: key,
        })
        .unwrap()
    }

    #[test]
    fn the_catalogue_has_full_shelves_a_nearly_empty_one_and_an_empty_one() {
        let codes: Vec<usize> = PRODUCTS
            .iter()
            .flat_map(|product| product.nominals.iter().map(|nominal| nominal.codes))
            .collect();
        assert!(codes.iter().filter(|count| **count >= 200).count() >= 2);
        assert_eq!(codes.iter().filter(|count| **count == 5).count(), 1);
        assert_eq!(codes.iter().filter(|count| **count == 0).count(), 1);
        let last = DemoProduct::from(&PRODUCTS[5]);
        assert_eq!(
            (last.id.to_string().as_str(), last.nominals.len()),
            ("00000000-0000-4000-8000-000000000106", 3)
        );
        assert_eq!((PRODUCTS[5].nominals[1].codes, PRODUCTS[5].nominals[2].codes), (5, 0));
    }

    #[test]
    fn a_row_opens_to_a_fresh_code_whose_last_four_it_names() {
        let sealer = sealer();
        let rows = sealer.rows_for(&[(&PRODUCTS[0], &PRODUCTS[0].nominals[1])], 2030).unwrap();
        assert_eq!(rows.len(), 240);
        let mut seen = BTreeSet::new();
        for row in &rows {
            let code_ref = CodeRef {
                code_id: row["id"].as_str().unwrap().parse().unwrap(),
                product_id: PRODUCTS[0].id(),
                nominal: row["nominal"].as_str().unwrap().parse().unwrap(),
            };
            let code = sealer.keys.open(&code_ref, "k1", row["sealed"].as_str().unwrap()).unwrap();
            assert_eq!((code.len(), &code[15..]), (19, row["last4"].as_str().unwrap()));
            assert!(seen.insert(row["fingerprint"].to_string()));
        }
        assert_eq!(
            (&rows[0]["cost_price"], &rows[0]["row"], &rows[0]["expires_at"]),
            (&json!("33.00"), &json!(1), &Value::Null)
        );
        assert_eq!(
            (&rows[1]["expires_at"], &rows[2]["expires_at"]),
            (&json!("2032-02-02T00:00:00Z"), &json!("2033-03-03T00:00:00Z"))
        );
    }

    #[test]
    fn keys_that_cannot_seal_are_refused_with_a_reason() {
        let key = STANDARD.encode([7u8; 32]);
        let input = |kid: &str, fingerprint: &str| DemoInput {
            site_url: String::new(),
            code_keys: format!(r#"{{"k1":"{key}"}}"#),
            code_active_kid: kid.to_owned(),
            code_fingerprint_key: fingerprint.to_owned(),
        };
        for (input, words) in [
            (input("k2", &key), "keys of the gift codes"),
            (input("k1", "c2hvcnQ="), "must be 32 bytes"),
        ] {
            let refusal = Sealer::new(&input).err().unwrap().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
