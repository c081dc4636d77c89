//! `POST /api/admin/codes/import`: `text/csv`, or `multipart/form-data` with the file in the part `file`
//!
//! 1. Over 4 MB: 413. Another content type: 415. Who may not import (below manager) is told so before the file is looked at.
//! 2. No sheet of codes (see [`crate::sheet`]): 400 `invalid_request`; over 10,000 rows: 413. Nothing written.
//! 3. Each code is sealed here under a fresh id and goes to `api.import_codes`, five hundred a call; the calls of one file follow each other.
//!    A call whose answer is lost is repeated with the same ids, which imports nothing twice.
//! 4. 200 `{batchId, imported, skipped, errors}`: a verdict for each row that was not imported, by row number and last characters. All
//!    rows may have been skipped: the same file sent again is 200 with `imported` 0 and `duplicate_code` for every row.
//! 5. Database away in the middle: 503 with `batchId` and `imported` so far. What is in stays in; the file is simply sent again.
//! 6. Where something came in, waiting orders are delivered and mailed at once.
//!
//! No code is in an answer or a log line.

use std::time::Duration;

use http::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::client_info::header_text;
use shared::codes::{CodeRef, fingerprint};
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::{DbError, Rpc};
use uuid::Uuid;

use crate::sheet::{self, Row, Skipped};
use crate::staff::{Role, Staff};
use crate::{Config, table, upload, wake};

pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// Rows per call: half of what `api.import_codes` takes, so that a slow database stays far from its statement timeout, and a full file needs
/// fewer calls than a Worker may make on any plan.
const CHUNK: usize = 500;
/// How often a call is made whose outcome is unknown.
const ATTEMPTS: u32 = 3;
// A repeat with the same ids changes nothing.
const IMPORT_CODES: Rpc = Rpc::idempotent("import_codes");

/// A row as `api.import_codes` takes it.
#[derive(Serialize)]
struct SealedRow {
    row: usize,
    id: Uuid,
    product_id: Uuid,
    nominal: Amount,
    cost_price: Option<Amount>,
    currency: Option<String>,
    expires_at: Option<String>,
    sealed: String,
    kid: String,
    fingerprint: String,
    last4: Option<String>,
}

#[derive(Serialize)]
struct Batch<'a> {
    batch_id: &'a str,
    rows: &'a [SealedRow],
}

#[derive(Deserialize)]
struct Imported {
    imported: usize,
    errors: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    row: usize,
    last4: Option<String>,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_id: String,
    imported: usize,
    skipped: usize,
    errors: Vec<Skipped>,
}

pub async fn codes(config: &Config, request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    staff.require(Role::Manager).await?;
    let content_type = header_text(&request.headers, header::CONTENT_TYPE.as_str(), 200).unwrap_or_default();
    let file = upload::file(&request.content_type(), &content_type, &request.body)?;
    let sheet = sheet::read(file, request.now).map_err(table::refused)?;
    let batch_id = format!("import_{}", request.now.timestamp_millis());
    let (mut imported, mut errors) = (0, sheet.skipped);
    let mut failure = None;
    for chunk in sheet.rows.chunks(CHUNK) {
        match import(config, staff, &batch_id, chunk).await {
            Ok(answer) => {
                imported += answer.imported;
                errors.extend(answer.errors.into_iter().map(|v| Skipped {
                    row: v.row,
                    last4: v.last4,
                    reason: v.reason,
                }));
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if imported > 0 {
        wake::jobs(config, request, &["fulfil_waiting", "outbox"]);
    }
    if let Some(error) = failure {
        return Err(error.with("batchId", batch_id).with("imported", imported));
    }
    errors.sort_by_key(|skipped| skipped.row);
    edge::json(
        StatusCode::OK,
        &Answer {
            batch_id,
            imported,
            skipped: errors.len(),
            errors,
        },
    )
}

async fn import(config: &Config, staff: &Staff, batch_id: &str, rows: &[Row]) -> Result<Imported, ApiError> {
    let rows = rows.iter().map(|row| seal(config, row)).collect::<Result<Vec<_>, _>>()?;
    let mut attempt = 1;
    loop {
        match staff.call(IMPORT_CODES, &Batch { batch_id, rows: &rows }).await {
            Err(DbError::Unavailable(_)) if attempt < ATTEMPTS => {
                edge::sleep(Duration::from_millis(150 << attempt)).await;
                attempt += 1;
            }
            answer => return Ok(answer?),
        }
    }
}

fn seal(config: &Config, row: &Row) -> Result<SealedRow, ApiError> {
    let code_ref = CodeRef {
        code_id: edge::random_uuid(),
        product_id: row.product_id,
        nominal: row.nominal,
    };
    let sealed = config.code_keys.seal(&code_ref, &row.code);
    let sealed = sealed.map_err(|problem| ApiError::new(Code::InternalError).detail(format_args!("row {}: {problem}", row.number)))?;
    Ok(SealedRow {
        row: row.number,
        id: code_ref.code_id,
        product_id: row.product_id,
        nominal: row.nominal,
        cost_price: row.cost_price,
        currency: row.currency.clone(),
        expires_at: row.expires_at.map(|end| end.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        sealed: sealed.text,
        kid: sealed.kid,
        fingerprint: fingerprint(&config.fingerprint_key, &row.code),
        last4: sheet::shown(&row.code),
    })
}
