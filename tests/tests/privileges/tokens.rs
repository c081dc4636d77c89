//! Which tokens open the door at all.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lonieve_tests::stack;
use serde_json::json;
use stack::jwt::{Claims, Signer};

use crate::{call, error_of};

fn signer() -> Signer {
    Signer::Hs256 {
        secret: stack().jwt_secret.clone(),
    }
}

/// What `api.health` answers to the token: 200, or the refusal's status, code and message.
async fn answer(token: &str) -> (u16, String, String) {
    let reply = call(&reqwest::Client::new(), "health", Some(token), json!({})).await;
    if reply.status == 200 {
        return (200, String::new(), String::new());
    }
    let (code, message) = error_of(&reply);
    (reply.status, code, message)
}

#[tokio::test]
async fn a_token_with_a_known_role_and_a_right_signature_is_accepted() {
    assert_eq!(answer(&signer().mint(&Claims::new("edge_orders", 1)).unwrap()).await.0, 200);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let mut claims = Claims::new("edge_orders", 1);
    claims.exp = claims.iat - 60;
    let expected = (401, "PGRST301".to_owned(), "JWT expired".to_owned());
    assert_eq!(answer(&signer().mint(&claims).unwrap()).await, expected);
}

#[tokio::test]
async fn a_token_signed_with_another_key_is_refused() {
    let other = Signer::Hs256 {
        secret: "another secret of sufficient length".to_owned(),
    };
    let (status, code, message) = answer(&other.mint(&Claims::new("edge_orders", 1)).unwrap()).await;
    assert_eq!((status, code.as_str()), (401, "PGRST301"));
    assert!(message.contains("Signature"), "{message}");
}

#[tokio::test]
async fn a_token_changed_after_it_was_signed_is_refused() {
    let token = signer().mint(&Claims::new("edge_leads", 1)).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(claims.replace("edge_leads", "edge_jobs"));
    let (status, code, _) = answer(&format!("{}.{forged}.{}", parts[0], parts[2])).await;
    assert_eq!((status, code.as_str()), (401, "PGRST301"));
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let token = signer().mint(&Claims::new("edge_orders", 1)).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let (status, code, _) = answer(&format!("{header}.{}.", token.split('.').nth(1).unwrap())).await;
    assert_eq!((status, code.as_str()), (401, "PGRST301"));
}

#[tokio::test]
async fn a_token_of_a_role_that_does_not_exist_is_refused() {
    let (status, code, message) = answer(&signer().mint(&Claims::new("edge_nobody", 1)).unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "22023"), "{message}");
    assert_eq!(message, r#"role "edge_nobody" does not exist"#);
}

#[tokio::test]
async fn a_token_cannot_name_the_owner_or_a_superuser_or_be_the_login_itself() {
    for role in ["lonieve_owner", "postgres"] {
        let expected = (403, "42501".to_owned(), format!("permission denied to set role \"{role}\""));
        assert_eq!(answer(&signer().mint(&Claims::new(role, 1)).unwrap()).await, expected);
    }
    // PostgREST's login inherits nothing from the roles it may become.
    let (status, code, _) = answer(&signer().mint(&Claims::new("authenticator", 1)).unwrap()).await;
    assert_eq!((status, code.as_str()), (403, "42501"));
}
