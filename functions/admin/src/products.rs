//! The catalogue and its stock.
//!
//! `GET /api/admin/products?status=`: 200 `{products}`, of every status, with price and stock per face value.
//! `GET /api/admin/codes?product_id=&nominal=&low_stock=`: 200 `{stock}`, counts only.
//! `POST /api/admin/products`, `PATCH /api/admin/products/{id}`:
//! 1. Not `application/json`: 415. Not JSON: 400 `invalid_json`. Wrong or missing fields: 400, each named. Nothing written.
//! 2. `currency` is only compared with the shop's: 409 `currency_mismatch` with `currency`.
//! 3. PATCH: only the fields given change; null equals absent, a blank text empties an optional field. Another shop's product, or no
//!    UUID: 404 `product_not_found`. To take a product off the shelf, set `status` to `inactive`; products are never deleted.
//! 4. 200 with the product as it is now. A cart that still names the old price gets 409 `price_changed` from then on.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::{Fields, Query, string, typed};
use crate::staff::Staff;
use crate::wire::{Product, StockOfProduct};

const STAFF_PRODUCTS: Rpc = Rpc::idempotent("staff_products");
const STAFF_STOCK: Rpc = Rpc::idempotent("staff_stock");
// Not repeated: each call is another product.
const CREATE_PRODUCT: Rpc = Rpc::once("create_product");
const UPDATE_PRODUCT: Rpc = Rpc::idempotent("update_product");
const STATUSES: [&str; 3] = ["active", "inactive", "out_of_stock"];
/// Largest face value and base price: twenty units of the dearest card still fit an order's amount.
const MAX_VALUE: &str = "100000";
const MAX_NOMINALS: usize = 50;

/// The fields of a product that staff set; those not given stay as they are.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Edit {
    name: Option<String>,
    brand: Option<String>,
    region: Option<String>,
    category: Option<String>,
    description: Option<String>,
    image_url: Option<String>,
    nominals: Option<Vec<Amount>>,
    base_price: Option<Amount>,
    discount_percentage: Option<Amount>,
    currency: Option<String>,
    status: Option<String>,
    delivery_time: Option<String>,
    terms_conditions: Option<String>,
    features: Option<Vec<String>>,
    sort_order: Option<i32>,
}

#[derive(Serialize)]
struct EditOf<'a> {
    product_id: Uuid,
    #[serde(flatten)]
    edit: &'a Edit,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Edited {
    Ok { product: Box<Product> },
    ProductNotFound,
    CurrencyMismatch { currency: String },
}

#[derive(Serialize, Deserialize)]
struct Products {
    products: Vec<Product>,
}

#[derive(Serialize, Deserialize)]
struct Stocks {
    stock: Vec<StockOfProduct>,
}

pub async fn list(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut query = Query::of(request);
    let status = query.word("status", &STATUSES);
    query.problems.check()?;
    let products: Products = staff.call(STAFF_PRODUCTS, &json!({"status": status})).await?;
    edge::json(StatusCode::OK, &products)
}

pub async fn stock(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut query = Query::of(request);
    let product_id = query.value("product_id", "must be a UUID", |text| text.parse::<Uuid>().ok());
    let nominal = query.amount("nominal");
    let low_stock = query.word("low_stock", &["true", "false"]);
    query.problems.check()?;
    let stock: Stocks = staff
        .call(
            STAFF_STOCK,
            &json!({"product_id": product_id, "nominal": nominal, "low_stock": low_stock}),
        )
        .await?;
    edge::json(StatusCode::OK, &stock)
}

pub async fn create(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut fields = Fields::of(request)?;
    fields.require(&["name", "brand", "region", "nominals", "basePrice"]);
    let edit = edit(&mut fields);
    fields.problems.check()?;
    answer(staff.call(CREATE_PRODUCT, &edit).await?)
}

pub async fn update(request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let product_id: Uuid = id.parse().map_err(|_| Code::ProductNotFound)?;
    let mut fields = Fields::of(request)?;
    let edit = edit(&mut fields);
    if edit == Edit::default() {
        fields.problems.add("body", "must name something to change");
    }
    fields.problems.check()?;
    answer(staff.call(UPDATE_PRODUCT, &EditOf { product_id, edit: &edit }).await?)
}

fn answer(edited: Edited) -> Result<Response<String>, ApiError> {
    match edited {
        Edited::Ok { product } => edge::json(StatusCode::OK, &product),
        Edited::ProductNotFound => Err(Code::ProductNotFound.into()),
        Edited::CurrencyMismatch { currency } => Err(ApiError::new(Code::CurrencyMismatch).with("currency", currency)),
    }
}

fn edit(f: &mut Fields) -> Edit {
    let most: Amount = MAX_VALUE.parse().unwrap_or(Amount::ZERO);
    let sellable = |amount: Amount| !amount.is_zero() && amount <= most;
    Edit {
        name: f.name("name", 200),
        brand: f.name("brand", 100),
        region: f.word("region", &["USA", "EUR", "Global"]),
        category: f.word("category", &["", "Gaming", "Shopping", "Entertainment"]),
        description: f.text("description", 5000),
        image_url: f.value("imageUrl", "must be an https address or a path such as /cards/one.png", |raw| {
            string(raw).map(|url| url.trim().to_owned()).filter(|url| is_image(url))
        }),
        nominals: f.value("nominals", "must be 1 to 50 different amounts from 0.01 to 100000", |raw| {
            nominals(raw).filter(|list| list.iter().all(|nominal| sellable(*nominal)))
        }),
        base_price: f.amount(
            "basePrice",
            "must be the price per 100 of face value, from 0.01 to 100000",
            sellable,
        ),
        discount_percentage: f.amount("discountPercentage", "must be a percentage from 0 to 100", |percent| {
            "100".parse().is_ok_and(|all: Amount| percent <= all)
        }),
        currency: f.value("currency", "must be three letters such as USD", |raw| {
            string(raw)
                .map(|c| c.to_ascii_uppercase())
                .filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase()))
        }),
        status: f.word("status", &STATUSES),
        delivery_time: f.word("deliveryTime", &["instant", "1-24h"]),
        terms_conditions: f.text("termsConditions", 20_000),
        features: f.value("features", "must be at most 50 texts of at most 200 characters", |raw| {
            typed::<Vec<String>>(raw)
                .filter(|list| list.len() <= 50 && list.iter().all(|text| text.chars().count() <= 200 && !text.contains('\0')))
        }),
        sort_order: f.value("sortOrder", "must be a whole number", typed::<i32>),
    }
}

/// Blank (no picture), a path of this site, or https: the pages put it into `src`.
fn is_image(url: &str) -> bool {
    let plain = url.len() <= 2000 && !url.chars().any(|c| c.is_whitespace() || c.is_control() || "\"'<>\\".contains(c));
    plain && (url.is_empty() || url.starts_with("https://") || (url.starts_with('/') && !url.starts_with("//")))
}

fn nominals(raw: &str) -> Option<Vec<Amount>> {
    let tokens: Vec<Box<serde_json::value::RawValue>> = typed(raw)?;
    let mut amounts = tokens
        .iter()
        .map(|token| Amount::from_json_token(token.get()).ok())
        .collect::<Option<Vec<_>>>()?;
    amounts.sort();
    let given = amounts.len();
    amounts.dedup();
    (amounts.len() == given && (1..=MAX_NOMINALS).contains(&given)).then_some(amounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Edit, String> {
        let mut fields = Fields::parse(body.as_bytes()).map_err(|error| error.response("r").into_body())?;
        let edit = edit(&mut fields);
        fields.problems.check().map_err(|error| error.response("r").into_body())?;
        Ok(edit)
    }

    #[test]
    fn the_fields_given_are_read_and_no_others() {
        let edit =
            read(r#"{"name": " Nimbus ", "nominals": ["100", 25, 50.5], "basePrice": "97.50", "category": "", "brand": null, "x": 1}"#)
                .unwrap();
        let amounts = ["25", "50.5", "100"].map(|text| text.parse().unwrap());
        let expected = Edit {
            name: Some("Nimbus".into()),
            nominals: Some(amounts.into()),
            base_price: "97.5".parse().ok(),
            category: Some(String::new()),
            ..Edit::default()
        };
        assert_eq!(edit, expected);
        assert_eq!(read("{}").unwrap(), Edit::default());
    }

    #[test]
    fn wrong_fields_are_named() {
        for (field, body) in [
            ("name", r#"{"name": "  "}"#),
            ("region", r#"{"region": "Mars"}"#),
            ("nominals", r#"{"nominals": []}"#),
            ("nominals", r#"{"nominals": [50, "50.00"]}"#),
            ("nominals", r#"{"nominals": [0]}"#),
            ("nominals", r#"{"nominals": [1e2]}"#),
            ("nominals", r#"{"nominals": [100001]}"#),
            ("nominals", r#"{"nominals": "50"}"#),
            ("basePrice", r#"{"basePrice": 0}"#),
            ("basePrice", r#"{"basePrice": "75,50"}"#),
            ("discountPercentage", r#"{"discountPercentage": 100.01}"#),
            ("discountPercentage", r#"{"discountPercentage": -1}"#),
            ("currency", r#"{"currency": "dollar"}"#),
            ("status", r#"{"status": "gone"}"#),
            ("deliveryTime", r#"{"deliveryTime": "never"}"#),
            ("imageUrl", r#"{"imageUrl": "javascript:alert(1)"}"#),
            ("imageUrl", r#"{"imageUrl": "//elsewhere.example/x.png"}"#),
            ("features", r#"{"features": "many"}"#),
            ("sortOrder", r#"{"sortOrder": 1.5}"#),
        ] {
            let refused = read(body).unwrap_err();
            assert!(refused.contains(&format!("\"fields\":{{\"{field}\":")), "{body}: {refused}");
        }
        for good in [
            r#"{"discountPercentage": 100}"#,
            r#"{"discountPercentage": 0}"#,
            r#"{"imageUrl": "/cards/one.png"}"#,
            r#"{"imageUrl": ""}"#,
        ] {
            read(good).unwrap();
        }
    }
}
