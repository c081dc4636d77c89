//! A code that turned out bad.
//!
//! `POST /api/admin/codes/{id}/replace` `{reason}`
//! 1. Not of this shop, or no UUID: 404 `code_not_found`. No reason, or a longer one than 500 characters: 400.
//! 2. Out of circulation already, by a refund or for another reason: 409 `code_already_revoked`.
//! 3. Somebody has it (reserved or sold) and no other of its kind is free: 409 `out_of_stock`; nothing changed.
//! 4. 200 `{orderId, code, replacement}`, of each code id, last four characters and state. `replacement` is null where the code was free. A
//!    sold code's replacement is mailed to whoever got the first. The same request again: the same answer, nothing more is done.
//!
//! No code passes through here, neither sealed nor open.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::Fields;
use crate::staff::Staff;
use crate::wire::CodeOfOrder;
use crate::{Config, wake};

// A repeat with the same reason finds it done.
const REPLACE_CODE: Rpc = Rpc::idempotent("replace_code");

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Acted {
    Ok(Box<Replaced>),
    CodeNotFound,
    CodeAlreadyRevoked,
    OutOfStock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct Replaced {
    order_id: Option<Uuid>,
    code: CodeOfOrder,
    replacement: Option<CodeOfOrder>,
}

pub async fn code(config: &Config, request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::CodeNotFound)?;
    let mut fields = Fields::of(request)?;
    fields.require(&["reason"]);
    let reason = fields.name("reason", 500);
    fields.problems.check()?;
    match staff.call(REPLACE_CODE, &json!({"code_id": id, "reason": reason})).await? {
        Acted::Ok(replaced) => {
            wake::jobs(config, request, &["outbox"]);
            edge::json(StatusCode::OK, &replaced)
        }
        Acted::CodeNotFound => Err(Code::CodeNotFound.into()),
        Acted::CodeAlreadyRevoked => Err(Code::CodeAlreadyRevoked.into()),
        Acted::OutOfStock => Err(Code::OutOfStock.into()),
    }
}
