//! The one place that reads the wall clock.

use chrono::{DateTime, SecondsFormat, Utc};

#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for wasm, where the system clock panics; the sandbox is a native program"
)]
pub fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// RFC 3339 with milliseconds, as every JSON answer prints a time.
pub fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
