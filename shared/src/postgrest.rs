//! The only door to the database: RPC calls to PostgREST through the `postgrest` crate.
//!
//! Every function of schema `api` takes one argument `p jsonb` and answers one JSON document. `execute()` of the crate has no
//! timeout and is `Ok` on every status, so the request is taken with `build()`, gets a timeout, and its answer is mapped by SQLSTATE
//! (`code` of the error body), never by PostgREST's HTTP status: a custom SQLSTATE arrives as 400, a missing function as 404, unique
//! and foreign key violations both as 409.

use std::time::Duration;

use postgrest::Postgrest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::error::{ApiError, Code};
use crate::secret::Secret;

/// Longest wait for the database: the roles' own `statement_timeout` ends a call before this does.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A function of schema `api`, whether calling it twice is the same as calling it once, and how long its answer is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Rpc {
    name: &'static str,
    idempotent: bool,
    limit: Duration,
}

impl Rpc {
    pub const fn idempotent(name: &'static str) -> Self {
        Self {
            name,
            idempotent: true,
            limit: TIMEOUT,
        }
    }

    pub const fn once(name: &'static str) -> Self {
        Self {
            name,
            idempotent: false,
            limit: TIMEOUT,
        }
    }

    /// For a function that sets a `statement_timeout` of its own: waits longer than that.
    pub const fn waiting(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DbError {
    /// Not reached, timed out, no free connection, or a lock not had in time. Try again later.
    Unavailable(String),
    /// The token is not accepted, or lacks the right to call the function.
    Refused(String),
    /// The token of the person who asks is not valid (any more).
    CallerUnknown,
    /// The person who asks may not call this function.
    CallerForbidden,
    /// The person who asks works for several shops and named none.
    TenantRequired,
    /// The function raised, or answered something unexpected: a defect on our side.
    Failed(String),
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(detail) => Self::new(Code::DatabaseUnavailable).detail(detail),
            DbError::Refused(detail) => Self::new(Code::Misconfigured).detail(detail),
            DbError::CallerUnknown => Self::new(Code::Unauthorized),
            DbError::CallerForbidden => Self::new(Code::Forbidden),
            DbError::TenantRequired => Self::new(Code::InvalidRequest).field("X-Tenant", "must name one of the shops you work for"),
            DbError::Failed(detail) => Self::new(Code::InternalError).detail(detail),
        }
    }
}

#[derive(Clone)]
pub struct Db {
    client: Postgrest,
    /// The calls carry the token of the person who asks, not the function's own.
    for_caller: bool,
    calls: Calls,
}

#[derive(Deserialize)]
struct PostgrestError {
    code: Option<String>,
}

#[derive(Serialize)]
struct Argument<'a, P> {
    p: &'a P,
}

impl Db {
    /// `token` is the pre-minted JWT of this function's role; `apikey` what a hosted gateway in front of PostgREST wants.
    /// `None` when one of them cannot be sent as a header.
    pub fn new(url: &str, token: &Secret, apikey: Option<&str>) -> Option<Self> {
        let apikey = apikey.unwrap_or(token.expose());
        let sendable = |text: &str| http::HeaderValue::from_str(text).is_ok();
        if !sendable(token.expose()) || !sendable(apikey) {
            return None;
        }
        let client = Postgrest::new(url.trim_end_matches('/'))
            .schema("api")
            .insert_header("Authorization", format!("Bearer {}", token.expose()))
            .insert_header("apikey", apikey);
        Some(Self {
            client,
            for_caller: false,
            calls: Calls::default(),
        })
    }

    /// The same database, asked in the name of a member of staff: the rights are those of the token's owner. `None` for a text that
    /// cannot be a token.
    pub fn for_caller(&self, token: &str) -> Option<Self> {
        let header = format!("Bearer {token}");
        let sendable = !token.is_empty() && token.len() <= 4096 && token.bytes().all(|b| b.is_ascii_graphic());
        sendable.then(|| Self {
            client: self.client.clone().insert_header("Authorization", header),
            for_caller: true,
            calls: self.calls.clone(),
        })
    }

    /// Says for which of their shops a member of staff asks (header `X-Tenant`, read by `ops.require_staff`).
    pub fn in_tenant(&self, tenant: uuid::Uuid) -> Self {
        let client = self.client.clone().insert_header("X-Tenant", tenant.to_string());
        Self { client, ..self.clone() }
    }

    /// The same database; its calls are counted there.
    pub fn counting(self, calls: Calls) -> Self {
        Self { calls, ..self }
    }

    /// Calls `api.<function>(p)`. A deadlock, serialization failure or lock timeout of an idempotent function is tried once more.
    pub async fn call<P: Serialize, T: DeserializeOwned>(&self, rpc: Rpc, p: &P) -> Result<T, DbError> {
        let body = serde_json::to_string(&Argument { p }).map_err(|e| DbError::Failed(format!("{}: {e}", rpc.name)))?;
        self.send(rpc, body).await
    }

    /// Calls a function that takes no argument.
    pub async fn call_plain<T: DeserializeOwned>(&self, rpc: Rpc) -> Result<T, DbError> {
        self.send(rpc, "{}".to_owned()).await
    }

    async fn send<T: DeserializeOwned>(&self, rpc: Rpc, body: String) -> Result<T, DbError> {
        let mut answer = self.attempt(rpc, body.clone()).await;
        if rpc.idempotent && matches!(&answer, Err(Failure { transient: true, .. })) {
            crate::edge::sleep(jitter()).await;
            answer = self.attempt(rpc, body).await;
        }
        let text = answer.map_err(|failure| failure.error)?;
        serde_json::from_str(&text).map_err(|e| DbError::Failed(format!("{}: unexpected answer: {e}", rpc.name)))
    }

    async fn attempt(&self, rpc: Rpc, body: String) -> Result<String, Failure> {
        let name = rpc.name;
        self.calls.note();
        let request = self.client.rpc(name, body).build();
        let exchange = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        let answer = crate::edge::within(rpc.limit, exchange).await;
        let answer = answer.ok_or_else(|| Failure::unavailable(format!("{name}: PostgREST timeout")))?;
        let (status, text) = answer.map_err(|_| Failure::unavailable(format!("{name}: PostgREST unreachable")))?;
        if (200..300).contains(&status) {
            Ok(text)
        } else {
            Err(classify(name, status, &text, self.for_caller))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Failure {
    error: DbError,
    transient: bool,
}

impl Failure {
    fn unavailable(detail: String) -> Self {
        Self {
            error: DbError::Unavailable(detail),
            transient: false,
        }
    }
}

/// Maps an error answer by its code. Only the code is kept: message and details may quote a row.
fn classify(name: &str, status: u16, body: &str, for_caller: bool) -> Failure {
    let code = serde_json::from_str::<PostgrestError>(body).ok().and_then(|error| error.code);
    // PostgREST's words when its connection to the database ended while the request was under way.
    let cut_off = status == 400 && code.as_deref() == Some("");
    let code = code.unwrap_or_default();
    let detail = format!("{name}: HTTP {status}, code {}", if code.is_empty() { "none" } else { &code });
    let (error, transient) = match code.as_str() {
        // serialization failure, deadlock, lock not available
        "40001" | "40P01" | "55P03" => (DbError::Unavailable(detail), true),
        // statement timeout or cancelled; PostgREST: no database, connection lost, schema cache, pool timeout
        "57014" | "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003" => (DbError::Unavailable(detail), false),
        "42501" if for_caller => (DbError::CallerForbidden, false),
        "LV002" if for_caller => (DbError::TenantRequired, false),
        "PGRST301" | "PGRST302" | "PGRST303" if for_caller => (DbError::CallerUnknown, false),
        // insufficient privilege; PostgREST: JWT secret missing, invalid, anonymous disabled, claims
        // or the schema is not exposed, the function is not there: the set-up is incomplete
        "42501" | "PGRST106" | "PGRST202" | "PGRST300" | "PGRST301" | "PGRST302" | "PGRST303" => (DbError::Refused(detail), false),
        // connection exceptions, insufficient resources, operator intervention, system errors
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => (DbError::Unavailable(detail), false),
        // No code: something in front of PostgREST answered.
        "" if status >= 500 || cut_off => (DbError::Unavailable(detail), false),
        _ => (DbError::Failed(detail), false),
    };
    Failure { error, transient }
}

/// 20 to 147 ms, so that two requests that met once do not meet again.
fn jitter() -> Duration {
    let mut byte = [0u8; 1];
    // Without random bytes the shortest wait serves.
    let _ = getrandom::fill(&mut byte);
    Duration::from_millis(20 + u64::from(byte[0] / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_mapped_by_code_not_by_status() {
        let class = |status, body: &str| classify("f", status, body, false);
        for code in ["40001", "40P01", "55P03"] {
            assert!(class(409, &format!(r#"{{"code":"{code}"}}"#)).transient, "{code}");
        }
        for (status, body) in [
            (500, r#"{"code":"57014"}"#),
            (504, r#"{"code":"PGRST003"}"#),
            (503, r#"{"code":"PGRST001"}"#),
            (503, r#"{"code":"53300"}"#),
            (502, "<html>"),
            (
                400,
                r#"{"code":"","details":"server closed the connection unexpectedly","hint":null,"message":"no connection"}"#,
            ),
        ] {
            let failure = class(status, body);
            assert!(matches!(failure.error, DbError::Unavailable(_)) && !failure.transient, "{body}");
        }
        for (status, body) in [(403, r#"{"code":"42501"}"#), (401, r#"{"code":"PGRST301"}"#)] {
            assert!(matches!(class(status, body).error, DbError::Refused(_)), "{body}");
        }
        for (status, body) in [(400, r#"{"code":"P0001"}"#), (409, r#"{"code":"23505"}"#), (400, "")] {
            assert!(matches!(class(status, body).error, DbError::Failed(_)), "{body}");
        }
    }

    #[test]
    fn a_persons_own_refusals_are_told_apart_from_ours() {
        assert_eq!(classify("f", 403, r#"{"code":"42501"}"#, true).error, DbError::CallerForbidden);
        assert_eq!(classify("f", 400, r#"{"code":"LV002"}"#, true).error, DbError::TenantRequired);
        assert_eq!(classify("f", 401, r#"{"code":"PGRST301"}"#, true).error, DbError::CallerUnknown);
        assert!(matches!(
            classify("f", 504, r#"{"code":"PGRST003"}"#, true).error,
            DbError::Unavailable(_)
        ));
        assert_eq!(
            classify("f", 400, r#"{"code":"LV002","message":"tenant_required"}"#, true).error,
            DbError::TenantRequired
        );
        assert!(matches!(
            classify("f", 400, r#"{"code":"22023","message":"invalid_period"}"#, true).error,
            DbError::Failed(_)
        ));
    }

    #[test]
    fn what_a_row_says_stays_out_of_the_detail() {
        let failure = classify(
            "f",
            409,
            r#"{"code":"23505","details":"Key (email)=(a@example.com) already exists."}"#,
            false,
        );
        assert_eq!(failure.error, DbError::Failed("f: HTTP 409, code 23505".into()));
    }
}
