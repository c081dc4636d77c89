//! At most so many requests of one client in a minute, where the binding `EVENTS_LIMIT` is: counted by Cloudflare, for each of its places.
//!
//! The client is its address, an IPv6 one as its /64, for which somebody has as many addresses as he likes. Behind one address there may be a whole
//! school, so the limit is for floods, not for people.

use std::net::IpAddr;

use shared::client_info;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};
use worker::RateLimiter;

/// The period that functions/events/wrangler.toml gives the limit.
const PERIOD_S: u32 = 60;

pub struct Limit(pub RateLimiter);

impl Limit {
    /// 429 `too_many_requests` for a client over the limit. Clients whose address is not known are not limited, and if the limiter fails nobody is:
    /// rather a flood than lost events.
    pub async fn check(&self, request: &Incoming, trusted_proxy: Option<&str>) -> Result<(), ApiError> {
        let Some(client) = client_info::client_ip(&request.headers, trusted_proxy).as_deref().and_then(network) else {
            return Ok(());
        };
        match self.0.limit(client).await {
            Ok(outcome) if !outcome.success => Err(ApiError::new(Code::TooManyRequests).retry_after(PERIOD_S)),
            _ => Ok(()),
        }
    }
}

fn network(ip: &str) -> Option<String> {
    Some(match ip.parse().ok()? {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        assert_eq!(network("203.0.113.7").as_deref(), Some("203.0.113.7"));
        assert_eq!(network("2001:db8::1").as_deref(), Some("2001:db8:0:0::/64"));
        assert_eq!(network("2001:db8::ffff:1"), network("2001:db8::1"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8::1"));
        assert_eq!(network("nonsense"), None);
    }
}
