//! Who is asking. The database decides what they may do; here is only what it needs to know them.

use serde::{Deserialize, Serialize};
use shared::client_info::{self, header_text};
use shared::edge::Incoming;
use shared::error::{ApiError, Code};
use shared::postgrest::{Db, DbError, Rpc};
use uuid::Uuid;

const CHECK_STAFF: Rpc = Rpc::idempotent("check_staff");

/// The least role an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Manager,
}

/// The database in the name of the person whose token came with the request. Holding one proves nothing yet: the database has not been
/// asked.
pub struct Staff {
    db: Db,
}

#[derive(Serialize)]
struct Check {
    min_role: Role,
}

/// Answer of `api.check_staff`; that there is one is all that counts here.
#[derive(Deserialize)]
struct Checked {}

impl Staff {
    /// 401 without something that could be a token; 400 for an `X-Tenant` that is no id.
    pub fn of(db: &Db, request: &Incoming) -> Result<Self, ApiError> {
        let token = client_info::bearer(&request.headers).ok_or(Code::Unauthorized)?;
        let db = db.for_caller(token).ok_or(Code::Unauthorized)?;
        match header_text(&request.headers, "x-tenant", 100) {
            None => Ok(Self { db }),
            Some(text) => match text.parse::<Uuid>() {
                Ok(tenant) => Ok(Self { db: db.in_tenant(tenant) }),
                Err(_) => Err(ApiError::new(Code::InvalidRequest).field("X-Tenant", "must be the id of a shop")),
            },
        }
    }

    /// 401 for a token that is not valid (any more), 403 for who is not staff or has too low a role.
    pub async fn require(&self, min_role: Role) -> Result<(), ApiError> {
        let Checked {} = self.call(CHECK_STAFF, &Check { min_role }).await?;
        Ok(())
    }

    pub async fn call<P: Serialize, T: serde::de::DeserializeOwned>(&self, rpc: Rpc, p: &P) -> Result<T, DbError> {
        self.db.call(rpc, p).await
    }
}
