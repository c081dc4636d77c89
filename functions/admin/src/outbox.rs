//! What is to leave the shop: mails, and the ones that were given up.
//!
//! `GET /api/admin/outbox?status=&limit=`: 200 `{dead, messages}`: how many were given up, and messages, latest first; 100 or `limit` (at most
//! 500). `status` is one of `pending`, `done`, `dead`, `replaced`, `cancelled`.
//!
//! `POST /api/admin/outbox/{id}/replay` (no body): a message that was given up is tried again, at once.
//! 1. Not of this shop, or no UUID: 404 `outbox_not_found`. Not given up (any more): 409 `outbox_not_dead`.
//! 2. A mail of an order whose codes were taken back: 409 `order_not_delivered`.
//! 3. 200 with the message. Where an earlier attempt may have reached the provider it keeps its id, so that nothing is sent twice; where none
//!    did, it goes out under a new one, and `replaces` names the old.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::Query;
use crate::staff::Staff;
use crate::wire::Message;
use crate::{Config, wake};

const STAFF_OUTBOX: Rpc = Rpc::idempotent("staff_outbox");
// The second of two finds the row waiting, and is told so.
const REPLAY_OUTBOX: Rpc = Rpc::once("replay_outbox");
const STATUSES: [&str; 5] = ["pending", "done", "dead", "replaced", "cancelled"];

#[derive(Deserialize)]
struct Found {
    dead: u64,
    rows: Vec<Message>,
}

#[derive(Serialize)]
struct Messages {
    dead: u64,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Replayed {
    Ok { row: Box<Message> },
    OutboxNotFound,
    OutboxNotDead,
    OrderNotDelivered,
}

pub async fn list(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut query = Query::of(request);
    let status = query.word("status", &STATUSES);
    let limit = query.limit(500);
    query.problems.check()?;
    let found: Found = staff.call(STAFF_OUTBOX, &json!({"status": status, "limit": limit})).await?;
    edge::json(
        StatusCode::OK,
        &Messages {
            dead: found.dead,
            messages: found.rows,
        },
    )
}

pub async fn replay(config: &Config, request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::OutboxNotFound)?;
    match staff.call(REPLAY_OUTBOX, &json!({"outbox_id": id})).await? {
        Replayed::Ok { row } => {
            wake::jobs(config, request, &["outbox"]);
            edge::json(StatusCode::OK, &row)
        }
        Replayed::OutboxNotFound => Err(Code::OutboxNotFound.into()),
        Replayed::OutboxNotDead => Err(Code::OutboxNotDead.into()),
        Replayed::OrderNotDelivered => Err(Code::OrderNotDelivered.into()),
    }
}
