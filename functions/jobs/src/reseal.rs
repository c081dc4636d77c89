//! The rotation of the key that seals the codes: what is sealed under another key is sealed anew under `CODE_ACTIVE_KID`.
//!
//! 1. `api.codes_to_reseal` hands out a batch, whatever the codes' state.
//! 2. Each is opened with the key it names and sealed for the same code, product and nominal. One that cannot be opened is reported as
//!    such: the database puts it off, tells the shop, and the others go on.
//! 3. `api.reseal_codes` stores those that are still sealed as they were handed out. A repeat finds them changed and stores nothing.
//!
//! Readers go on meanwhile: they hold both keys. Nothing of a code is logged. Run it until `left` is 0; docs/operations.md has the steps.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::calls::Allowance;
use shared::codes::{CodeKeys, CodeRef};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;

/// Rows that are locked together, for the some milliseconds of one call.
const BATCH: usize = 100;
/// Batches in one run: two calls each stay below the 40 subrequests a run may make.
const ROUNDS: u32 = 15;
const CODES_TO_RESEAL: Rpc = Rpc::idempotent("codes_to_reseal");
const RESEAL_CODES: Rpc = Rpc::idempotent("reseal_codes");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The key the codes are sealed with now.
    pub kid: String,
    pub resealed: usize,
    /// Codes that could not be opened; an alert names them.
    pub unreadable: usize,
    /// Codes not sealed under `kid`, the unreadable ones among them.
    pub left: u64,
    /// There is more that can be sealed.
    pub more: bool,
}

#[derive(Deserialize)]
struct Batch {
    codes: Vec<SealedCode>,
}

#[derive(Deserialize)]
struct SealedCode {
    id: Uuid,
    product_id: Uuid,
    nominal: Amount,
    sealed: String,
    kid: String,
}

/// A code as `api.reseal_codes` takes it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    id: Uuid,
    was: String,
    /// `None`: it could not be opened.
    sealed: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    resealed: usize,
    unreadable: usize,
    left: u64,
}

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let kid = config.code_keys.active().ok_or(Code::Misconfigured)?;
    let mut report = Report {
        kid: kid.to_owned(),
        ..Report::default()
    };
    for _ in 0..ROUNDS.min(allowance.fits(2, 0)) {
        let p = json!({"kid": kid, "limit": BATCH, "now": now});
        let batch: Batch = config.db.call(CODES_TO_RESEAL, &p).await?;
        let full = batch.codes.len() >= BATCH;
        let rows: Vec<Row> = batch.codes.into_iter().map(|code| anew(&config.code_keys, code)).collect();
        // Also with nothing to store: the answer says what is left.
        let p = json!({"kid": kid, "rows": rows, "now": now});
        let stored: Stored = config.db.call(RESEAL_CODES, &p).await?;
        report.resealed += stored.resealed;
        report.unreadable += stored.unreadable;
        report.left = stored.left;
        // A batch of which nothing could be stored is held by somebody: the next run finds it.
        report.more = full && stored.resealed + stored.unreadable > 0;
        if !report.more {
            break;
        }
    }
    Ok(report)
}

fn anew(keys: &CodeKeys, code: SealedCode) -> Row {
    let code_ref = CodeRef {
        code_id: code.id,
        product_id: code.product_id,
        nominal: code.nominal,
    };
    let sealed = keys.reseal(&code_ref, &code.kid, &code.sealed).ok();
    Row {
        id: code.id,
        was: code.sealed,
        sealed: sealed.map(|sealed| sealed.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_said_and_what_can_is_sealed_for_the_same_code() {
        // base64 of 32 zero bytes, and of 32 times 1
        let (old, new) = (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        );
        let before = CodeKeys::parse(&format!(r#"{{"k1":"{old}"}}"#), Some("k1")).unwrap();
        let keys = CodeKeys::parse(&format!(r#"{{"k1":"{old}","k2":"{new}"}}"#), Some("k2")).unwrap();
        let code_ref = CodeRef {
            code_id: Uuid::from_u128(1),
            product_id: Uuid::from_u128(2),
            nominal: "50".parse().unwrap(),
        };
        let sealed = before.seal(&code_ref, "ABCD-1234").unwrap();
        let code = |id: u128, kid: &str| SealedCode {
            id: Uuid::from_u128(id),
            product_id: code_ref.product_id,
            nominal: code_ref.nominal,
            sealed: sealed.text.clone(),
            kid: kid.into(),
        };
        let row = anew(&keys, code(1, "k1"));
        assert_eq!((row.id, row.was.as_str()), (code_ref.code_id, sealed.text.as_str()));
        assert_eq!(keys.open(&code_ref, "k2", &row.sealed.unwrap()).unwrap(), "ABCD-1234");
        assert_eq!(anew(&keys, code(3, "k1")).sealed, None, "another code's text");
        assert_eq!(anew(&keys, code(1, "k0")).sealed, None, "a key nobody holds");
    }
}
