//! The ids that advertising networks put into the address of the page they send a person to. Kept, because a sale is reported back to the
//! network under them.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// Parameters of the address, and so the members of `click_ids`.
pub const PARAMETERS: [&str; 10] = [
    "gclid",     // Google Ads
    "gbraid",    // Google Ads, from apps
    "wbraid",    // Google Ads, from the web to apps
    "dclid",     // Google Display
    "fbclid",    // Meta
    "yclid",     // Yandex
    "ttclid",    // TikTok
    "msclkid",   // Microsoft
    "twclid",    // X
    "li_fat_id", // LinkedIn
];
/// Longest id that is kept; the networks' own are about a hundred characters.
const MAX: usize = 255;

pub type ClickIds = BTreeMap<&'static str, String>;

/// The ids in a path or absolute address. The first of a name counts; what cannot be an id (empty, too long, not visible ASCII) is left out.
pub fn of(address: &str) -> ClickIds {
    let mut ids = ClickIds::new();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(name) = PARAMETERS.into_iter().find(|known| *known == name) else {
            continue;
        };
        if (1..=MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
            ids.entry(name).or_insert_with(|| value.into_owned());
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_its_parameter() {
        let query: Vec<String> = PARAMETERS.iter().map(|name| format!("{name}=id-of-{name}")).collect();
        let ids = of(&format!("https://shop.example/p?utm_source=x&{}#gclid=late", query.join("&")));
        assert_eq!(ids.len(), PARAMETERS.len());
        assert!(ids.iter().all(|(name, id)| *id == format!("id-of-{name}")), "{ids:?}");
    }

    #[test]
    fn what_cannot_be_an_id_is_left_out() {
        let long = "x".repeat(MAX + 1);
        for address in [
            "/",
            "/p?",
            "/p#gclid=1",
            "/gclid=1",
            "/p?gclid=",
            "/p?GCLID=1",
            "/p?xgclid=1",
            "/p?gclid=%00",
            "/p?gclid=a%20b",
            "/p?gclid=%D1%8F",
            &format!("/p?gclid={long}"),
        ] {
            assert!(of(address).is_empty(), "{address}");
        }
        assert_eq!(of(&format!("/p?gclid={}", &long[1..]))["gclid"].len(), MAX);
        assert_eq!(of("/p?gclid=&gclid=first&gclid=second")["gclid"], "first");
        assert_eq!(of("/p?yclid=a%2Db&x=%")["yclid"], "a-b");
    }

    /// The table takes 4 KB of them.
    #[test]
    fn all_at_their_longest_fit_the_table() {
        let ids: ClickIds = PARAMETERS.iter().map(|name| (*name, "x".repeat(MAX))).collect();
        assert!(serde_json::to_string(&ids).unwrap().len() + PARAMETERS.len() * 2 < 4096);
    }
}
