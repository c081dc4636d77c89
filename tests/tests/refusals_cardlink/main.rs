//! What the webhook of Cardlink v2 refuses, what it answers to notices that cannot move the money, and the rows of each.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod notice;
mod outcomes;
mod unprocessed;

use sha2::{Digest, Sha256};

/// A notice of these members, each a JSON token, signed over the text of each token in the order of their names.
pub fn signed(secret: &str, members: &[(&str, &str)]) -> String {
    let mut sorted = members.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted
        .iter()
        .map(|(name, token)| format!("{name}={}", token.trim_matches('"')))
        .collect();
    let signature = hex::encode(Sha256::digest(pairs.join("&") + secret));
    body(members, &format!("\"{signature}\""))
}

/// A notice of these members with this token as its signature.
pub fn body(members: &[(&str, &str)], signature: &str) -> String {
    let members: String = members.iter().map(|(name, token)| format!("\"{name}\":{token},")).collect();
    format!("{{{members}\"signature\":{signature}}}")
}

/// The signature of a notice, as a JSON token.
pub fn signature_of(notice: &str) -> String {
    serde_json::from_str::<serde_json::Value>(notice).unwrap()["signature"].to_string()
}
