use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// Words that would tell a stranger how the system is built or why it broke.
const INTERNALS: [&str; 11] = [
    "postgres",
    "pgrst",
    "sql",
    "rpc",
    "jwt",
    "edge_",
    "lonieve_",
    "gift_codes",
    "order_items",
    "127.0.0.1",
    "panicked",
];

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("no answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.expect("the answer broke off"),
        }
    }

    /// An answer as it came over the wire, to a request that closes the connection.
    pub(crate) fn parse(wire: &str) -> Self {
        let (head, body) = wire
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not an HTTP answer: {wire:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HeaderMap = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
        Self {
            status,
            headers,
            text: if chunked { unchunked(body) } else { body.to_owned() },
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("HTTP {} with a body that is not JSON ({e}): {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Asserts a refusal in the project's one form: status, code, a sentence, a request id, `Retry-After` where it belongs, kept by no
    /// cache; and that it says nothing of what is behind it.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{}", self.text);
        assert!(
            body["error"].as_str().is_some_and(|sentence| sentence.ends_with('.')),
            "{}",
            self.text
        );
        assert!(body["requestId"].as_str().is_some_and(|id| !id.is_empty()), "{}", self.text);
        if [429, 503].contains(&status) {
            assert!(self.header("retry-after").is_some(), "{status} without Retry-After");
        }
        assert_eq!(self.header("x-request-id"), body["requestId"].as_str(), "{}", self.text);
        assert_eq!(
            (self.header("content-type"), self.header("cache-control")),
            (Some("application/json"), Some("no-store"))
        );
        for word in INTERNALS {
            assert!(!self.text.to_lowercase().contains(word), "{word}: {}", self.text);
        }
        body
    }
}

/// The content of a chunked body of ASCII text.
fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|e| panic!("chunk size {size:?}: {e}"));
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}
