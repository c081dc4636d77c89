//! Which function answers which path. Pure.

/// A function behind the gateway, with its service binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Events,
    Orders,
    Cardlink,
    Jobs,
    Leads,
    Copilot,
    Admin,
}

impl Function {
    pub const ALL: [Self; 7] = [
        Self::Events,
        Self::Orders,
        Self::Cardlink,
        Self::Jobs,
        Self::Leads,
        Self::Copilot,
        Self::Admin,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Orders => "orders",
            Self::Cardlink => "cardlink",
            Self::Jobs => "jobs",
            Self::Leads => "leads",
            Self::Copilot => "copilot",
            Self::Admin => "admin",
        }
    }

    pub const fn binding(self) -> &'static str {
        match self {
            Self::Events => "EVENTS",
            Self::Orders => "ORDERS",
            Self::Cardlink => "CARDLINK",
            Self::Jobs => "JOBS",
            Self::Leads => "LEADS",
            Self::Copilot => "COPILOT",
            Self::Admin => "ADMIN",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    To(Function),
    /// The gateway itself is alive.
    Health,
    HealthOf(Function),
    /// A file of the assets directory, by its path there.
    Asset(String),
    NotFound,
}

pub fn route(path: &str) -> Route {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "events"] | ["api", "experiments"] => Route::To(Function::Events),
        ["api", "products", ..] | ["api", "orders", ..] | ["pay", "return", ..] => Route::To(Function::Orders),
        ["api", "webhooks", "cardlink", ..] => Route::To(Function::Cardlink),
        ["api", "webhooks", "mail"] | ["api", "jobs", ..] => Route::To(Function::Jobs),
        ["api", "leads"] | ["l", _] | ["u", _] => Route::To(Function::Leads),
        ["api", "ai", "copilot"] => Route::To(Function::Copilot),
        ["api", "admin", _, ..] => Route::To(Function::Admin),
        ["api", ..] => Route::NotFound,
        ["health"] => Route::Health,
        // One page for every product: its script reads the id from the address.
        ["product", _] => Route::Asset("product.html".into()),
        ["health", name] => Function::ALL
            .into_iter()
            .find(|f| f.name() == *name)
            .map_or(Route::NotFound, Route::HealthOf),
        _ => asset(path),
    }
}

/// `/` is `index.html`, `/pending` is `pending.html`, anything with an ending is itself. Only plain names: no dot files, no `..`.
fn asset(path: &str) -> Route {
    let path = path.trim_start_matches('/');
    let plain = |part: &str| !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if path.is_empty() {
        return Route::Asset("index.html".into());
    }
    if !path.split('/').all(|part| !part.is_empty() && plain(part)) {
        return Route::NotFound;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    Route::Asset(if name.contains('.') { path.into() } else { format!("{path}.html") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_reaches_its_function() {
        for (path, function) in [
            ("/api/events", Function::Events),
            ("/api/products", Function::Orders),
            ("/api/products/1", Function::Orders),
            ("/api/orders/create", Function::Orders),
            ("/pay/return/success", Function::Orders),
            ("/api/webhooks/cardlink", Function::Cardlink),
            ("/api/webhooks/cardlink/refund", Function::Cardlink),
            ("/api/jobs/run/tick", Function::Jobs),
            ("/api/webhooks/mail", Function::Jobs),
            ("/api/leads", Function::Leads),
            ("/l/abc", Function::Leads),
            ("/u/token", Function::Leads),
            ("/api/ai/copilot", Function::Copilot),
            ("/api/admin/orders", Function::Admin),
            ("/api/admin/codes/import", Function::Admin),
        ] {
            assert_eq!(route(path), Route::To(function), "{path}");
        }
        assert_eq!(route("/health"), Route::Health);
        assert_eq!(route("/health/orders"), Route::HealthOf(Function::Orders));
        for path in ["/health/nobody", "/api", "/api/nothing", "/api/webhooks/stripe", "/api/eventsx"] {
            assert_eq!(route(path), Route::NotFound, "{path}");
        }
    }

    #[test]
    fn pages_are_plain_names_only() {
        assert_eq!(route("/"), Route::Asset("index.html".into()));
        assert_eq!(route("/pending"), Route::Asset("pending.html".into()));
        assert_eq!(route("/css/shop.css"), Route::Asset("css/shop.css".into()));
        assert_eq!(
            route("/product/00000000-0000-4000-8000-000000000101"),
            Route::Asset("product.html".into())
        );
        assert_eq!(route("/product"), Route::Asset("product.html".into()));
        for path in [
            "/..",
            "/../secret",
            "/a//b",
            "/.env",
            "/css/.git/config",
            "/%2e%2e/x",
            "/a b",
            "/x/",
        ] {
            assert_eq!(route(path), Route::NotFound, "{path}");
        }
    }
}
