//! `POST /api/admin/ad-spend/import`: `text/csv`, or `multipart/form-data` with the file in the part `file`
//!
//! 1. Over 4 MB: 413. Another content type: 415. Who may not import (below manager) is told so before the file is looked at.
//! 2. No sheet of costs (see [`crate::spend_sheet`]): 400 `invalid_request`; over 10,000 rows: 413. Nothing written.
//! 3. One call of `api.import_ad_spend`, one transaction: the rows that can be read go in, also beside others that cannot. A day, source,
//!    campaign and creative that is there already is corrected; what the file does not say stays.
//! 4. 200 `{batchId, imported, updated, unchanged, skipped, errors}`: new rows, corrected rows, rows that stood there like that, and a
//!    verdict for each row that was not taken. The same file sent again changes nothing: all of it is `unchanged`.
//! 5. Database away: 503. Nothing is in, or all of it where only the answer was lost; the file is simply sent again.

use http::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::client_info::header_text;
use shared::edge::{self, Incoming};
use shared::error::ApiError;
use shared::postgrest::Rpc;

use crate::spend_sheet::{self, Row, Skipped};
use crate::staff::{Role, Staff};
use crate::{table, upload};

// A repeat finds every row as it left it.
const IMPORT_AD_SPEND: Rpc = Rpc::idempotent("import_ad_spend");

#[derive(Serialize)]
struct Batch<'a> {
    batch_id: &'a str,
    rows: &'a [Row],
}

#[derive(Deserialize)]
struct Imported {
    imported: usize,
    updated: usize,
    unchanged: usize,
    errors: Vec<Skipped>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_id: String,
    imported: usize,
    updated: usize,
    unchanged: usize,
    skipped: usize,
    errors: Vec<Skipped>,
}

pub async fn import(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    staff.require(Role::Manager).await?;
    let content_type = header_text(&request.headers, header::CONTENT_TYPE.as_str(), 200).unwrap_or_default();
    let file = upload::file(&request.content_type(), &content_type, &request.body)?;
    let sheet = spend_sheet::read(file, request.now).map_err(table::refused)?;
    let batch_id = format!("ad_spend_{}", request.now.timestamp_millis());
    let batch = Batch {
        batch_id: &batch_id,
        rows: &sheet.rows,
    };
    let written: Imported = staff.call(IMPORT_AD_SPEND, &batch).await?;
    let mut errors = [sheet.skipped, written.errors].concat();
    errors.sort_by_key(|skipped| skipped.row);
    edge::json(
        StatusCode::OK,
        &Answer {
            batch_id,
            imported: written.imported,
            updated: written.updated,
            unchanged: written.unchanged,
            skipped: errors.len(),
            errors,
        },
    )
}
