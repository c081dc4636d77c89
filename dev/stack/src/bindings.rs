//! The values of each function's bindings in a local stack. In production the secrets among them are set with
//! `wrangler secret put` (docs/security.md has the table).

use std::collections::BTreeMap;

use crate::{CardlinkApi, functions::GATEWAY, keys::Keys};

/// The shop's id at Cardlink v1, as the sandbox knows it.
pub const SHOP_ID: &str = "demo-shop";

/// Where the other parts of the stack are reached.
pub struct Addresses {
    pub proxy: String,
    pub sandbox: String,
    /// Which contract the sandbox is asked to speak.
    pub cardlink: CardlinkApi,
}

/// The text bindings of one function. `token` is its PostgREST token.
pub fn of(
    function: &str,
    keys: &Keys,
    addresses: &Addresses,
    token: &str,
    apikey: &str,
    test_clock: bool,
) -> BTreeMap<&'static str, String> {
    let mut vars = BTreeMap::new();
    if function == GATEWAY {
        return vars;
    }
    vars.insert("POSTGREST_URL", addresses.proxy.clone());
    vars.insert("POSTGREST_TOKEN", token.to_owned());
    vars.insert("POSTGREST_APIKEY", apikey.to_owned());
    if matches!(function, "orders" | "jobs") {
        vars.insert("ORDER_TOKEN_KEY", keys.order_token_key.clone());
        vars.insert("CODE_KEYS", keys.code_keys_json());
    }
    // Under v1 the notices are confirmed with the provider, and its token is their key.
    let calls_cardlink = matches!(function, "orders" | "jobs") || (function == "cardlink" && addresses.cardlink == CardlinkApi::V1);
    if calls_cardlink {
        vars.insert(
            "CARDLINK_URL",
            format!("{}/cardlink/{}", addresses.sandbox, addresses.cardlink.name()),
        );
        vars.insert("CARDLINK_TOKEN", keys.cardlink_token.clone());
        if addresses.cardlink == CardlinkApi::V1 {
            // The harder case: the sum a notice names is then never the price.
            vars.insert("CARDLINK_PAYER_PAYS_COMMISSION", "1".to_owned());
        }
    }
    // admin asks nothing of Cardlink; it must know whether the contract has refunds.
    if calls_cardlink || matches!(function, "cardlink" | "admin") {
        vars.insert("CARDLINK_API", addresses.cardlink.name().to_owned());
    }
    if matches!(function, "orders" | "jobs") && addresses.cardlink == CardlinkApi::V1 {
        vars.insert("CARDLINK_SHOP_ID", SHOP_ID.to_owned());
    }
    if matches!(function, "jobs" | "cardlink" | "admin") {
        vars.insert("JOBS_SECRET", keys.jobs_secret.clone());
    }
    if function == "cardlink" && addresses.cardlink == CardlinkApi::V2 {
        vars.insert("CARDLINK_SECRET", keys.cardlink_secret.clone());
    }
    if function == "admin" {
        vars.insert("CODE_KEYS", keys.code_keys_json());
        vars.insert("CODE_FINGERPRINT_KEY", keys.code_fingerprint_key.clone());
    }
    if matches!(function, "admin" | "jobs") {
        vars.insert("CODE_ACTIVE_KID", keys.code_active_kid.clone());
    }
    if function == "jobs" {
        vars.insert("MAIL_PROVIDER", "resend".to_owned());
        vars.insert("MAIL_URL", format!("{}/mail", addresses.sandbox));
        vars.insert("MAIL_API_KEY", keys.mail_api_key.clone());
        vars.insert("MAIL_WEBHOOK_SECRET", keys.mail_webhook_secret.clone());
        vars.insert("MAIL_FROM", "Demo shop <orders@shop.example>".to_owned());
        if test_clock {
            vars.insert("TEST_CLOCK", "1".to_owned());
        }
    }
    vars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_function(function: &str, test_clock: bool) -> BTreeMap<&'static str, String> {
        under(CardlinkApi::V2, function, test_clock)
    }

    fn under(cardlink: CardlinkApi, function: &str, test_clock: bool) -> BTreeMap<&'static str, String> {
        let keys: Keys = serde_json::from_str("{}").unwrap();
        let addresses = Addresses {
            proxy: "http://proxy".into(),
            sandbox: "http://sandbox".into(),
            cardlink,
        };
        of(function, &keys, &addresses, "token", "apikey", test_clock)
    }

    #[test]
    fn each_contract_has_its_address_and_its_secrets() {
        let (old, new) = (under(CardlinkApi::V1, "cardlink", false), under(CardlinkApi::V2, "cardlink", false));
        assert_eq!(
            (old["CARDLINK_API"].as_str(), old["CARDLINK_URL"].as_str()),
            ("v1", "http://sandbox/cardlink/v1")
        );
        assert!(old.contains_key("CARDLINK_TOKEN") && !old.contains_key("CARDLINK_SECRET"));
        assert!(new["CARDLINK_API"] == "v2" && new.contains_key("CARDLINK_SECRET") && !new.contains_key("CARDLINK_TOKEN"));
        assert_eq!(under(CardlinkApi::V1, "orders", false)["CARDLINK_SHOP_ID"], SHOP_ID);
        assert!(!under(CardlinkApi::V2, "orders", false).contains_key("CARDLINK_SHOP_ID"));
        assert!(
            under(CardlinkApi::V1, "events", false)
                .keys()
                .all(|name| !name.starts_with("CARDLINK"))
        );
    }

    #[test]
    fn a_function_gets_only_the_secrets_it_works_with() {
        assert!(of_function("gateway", true).is_empty());
        let events: Vec<_> = of_function("events", true).into_keys().collect();
        assert_eq!(events, ["POSTGREST_APIKEY", "POSTGREST_TOKEN", "POSTGREST_URL"]);
        let cardlink = of_function("cardlink", true);
        assert!(cardlink.contains_key("CARDLINK_SECRET") && !cardlink.contains_key("CODE_KEYS"));
        let orders = of_function("orders", true);
        assert!(orders.contains_key("CODE_KEYS") && !orders.contains_key("CARDLINK_SECRET") && !orders.contains_key("JOBS_SECRET"));
    }

    #[test]
    fn the_test_clock_is_bound_in_test_stacks_only() {
        assert_eq!(of_function("jobs", true).get("TEST_CLOCK").map(String::as_str), Some("1"));
        assert_eq!(of_function("jobs", false).get("TEST_CLOCK"), None);
    }
}
