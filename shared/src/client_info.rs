//! What the request itself tells about its sender: address, device, host, cookies.

use http::{HeaderMap, header};
use serde::Serialize;

/// Kind of device, as `events.device_type` stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Mobile,
    Tablet,
    Desktop,
}

/// Guesses the device from the user agent; `None` without one. Only three classes are needed, so no table of devices is carried.
pub fn device_of(user_agent: Option<&str>) -> Option<Device> {
    let agent = user_agent?;
    let has = |word: &str| agent.contains(word);
    Some(if has("iPad") || has("Tablet") || (has("Android") && !has("Mobile")) {
        Device::Tablet
    } else if has("Mobi") || has("iPhone") {
        Device::Mobile
    } else {
        Device::Desktop
    })
}

/// A header as text, cut to `limit` characters; `None` when absent, empty or not text.
pub fn header_text(headers: &HeaderMap, name: &str, limit: usize) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.chars().take(limit).collect())
}

/// A path as the log names it: its first parts, and nothing behind `/u/` and `/l/`, where a token or a person's link stands.
pub fn logged_route(path: &str, parts: usize) -> String {
    match path.get(..3) {
        Some(personal @ ("/u/" | "/l/")) => format!("{personal}*"),
        _ => path.split('/').take(parts).collect::<Vec<_>>().join("/"),
    }
}

/// The client's address: `CF-Connecting-IP` only, which Cloudflare sets and a client cannot. Self-hosted, the binding
/// `TRUSTED_PROXY` names the header of the proxy in front (of a list, the last entry: the hop that proxy saw itself).
pub fn client_ip(headers: &HeaderMap, trusted_proxy: Option<&str>) -> Option<String> {
    let value = headers.get(trusted_proxy.unwrap_or("cf-connecting-ip"))?.to_str().ok()?;
    // The end of the whole list: what stands before it came from the client, however long it made it.
    let last = value.rsplit(',').next()?.trim();
    // `::ffff:203.0.113.7` is 203.0.113.7: as an IPv6 address it would share its /64 with every other one of that form.
    last.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_canonical().to_string())
}

/// Lower-case host without port. `authority` is a URL's authority or a `Host` header.
pub fn host_name(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

/// Host of the `Origin` header, for cross-site forms and beacons.
pub fn origin_host(headers: &HeaderMap) -> Option<String> {
    let origin = header_text(headers, header::ORIGIN.as_str(), 300)?;
    let authority = origin.split_once("://")?.1;
    Some(host_name(authority))
}

/// One cookie's value.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// The bearer token of `Authorization`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_client_address_comes_from_the_trusted_header_only() {
        let spoofed = headers(&[("x-forwarded-for", "9.9.9.9"), ("cf-connecting-ip", "203.0.113.7")]);
        assert_eq!(client_ip(&spoofed, None).as_deref(), Some("203.0.113.7"));
        assert_eq!(client_ip(&headers(&[("x-forwarded-for", "9.9.9.9")]), None), None);
        let proxied = headers(&[("x-forwarded-for", "9.9.9.9, 203.0.113.7")]);
        assert_eq!(client_ip(&proxied, Some("x-forwarded-for")).as_deref(), Some("203.0.113.7"));
        let mut padded = HeaderMap::new();
        padded.insert(
            "x-forwarded-for",
            format!("{} 203.0.113.7", "9.9.9.9,".repeat(200)).parse().unwrap(),
        );
        assert_eq!(client_ip(&padded, Some("x-forwarded-for")).as_deref(), Some("203.0.113.7"));
        assert_eq!(client_ip(&headers(&[("cf-connecting-ip", "nonsense")]), None), None);
        assert_eq!(
            client_ip(&headers(&[("cf-connecting-ip", "2001:DB8::1")]), None).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(
            client_ip(&headers(&[("cf-connecting-ip", "::ffff:203.0.113.7")]), None).as_deref(),
            Some("203.0.113.7")
        );
    }

    #[test]
    fn the_log_never_names_a_token_of_a_path() {
        assert_eq!(logged_route("/u/secret-token", 5), "/u/*");
        assert_eq!(logged_route("/l/abc", 3), "/l/*");
        assert_eq!(logged_route("/api/orders/1/2/3", 5), "/api/orders/1/2");
        assert_eq!(logged_route("/", 3), "/");
    }

    #[test]
    fn hosts_lose_port_and_case() {
        assert_eq!(host_name("Shop.Example:8787"), "shop.example");
        assert_eq!(host_name("[::1]:80"), "::1");
        assert_eq!(
            origin_host(&headers(&[("origin", "https://Shop.example:444")])).as_deref(),
            Some("shop.example")
        );
        assert_eq!(origin_host(&headers(&[("origin", "null")])), None);
    }

    #[test]
    fn cookies_and_bearers_are_found() {
        let h = headers(&[("cookie", "a=1; lv_sess=s-1; b=2"), ("authorization", "bearer  tok")]);
        assert_eq!(cookie(&h, "lv_sess").as_deref(), Some("s-1"));
        assert_eq!(cookie(&h, "lv"), None);
        assert_eq!(bearer(&h), Some("tok"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic dG9r")])), None);
    }

    #[test]
    fn devices_fall_into_three_classes() {
        for (agent, device) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148",
                Device::Mobile,
            ),
            ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile Safari/537.36", Device::Mobile),
            ("Mozilla/5.0 (Linux; Android 15; SM-X910) Safari/537.36", Device::Tablet),
            ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Mobile/15E148", Device::Tablet),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0 Safari/537.36", Device::Desktop),
        ] {
            assert_eq!(device_of(Some(agent)), Some(device), "{agent}");
        }
        assert_eq!(device_of(None), None);
    }
}
