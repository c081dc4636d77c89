//! Routes of the Worker `admin`, all under `/api/admin`. Each flow's contract stands in its own module.
//!
//! | route | least role | module |
//! |---|---|---|
//! | `POST codes/import` | manager | [`crate::import`] |
//! | `GET codes` | viewer | [`crate::products`] |
//! | `POST codes/{id}/replace` | manager | [`crate::replace`] |
//! | `GET products` | viewer | [`crate::products`] |
//! | `POST products`, `PATCH products/{id}` | manager | [`crate::products`] |
//! | `GET orders` | viewer | [`crate::orders`] |
//! | `POST orders/{id}/resend`, `POST orders/{id}/resolve` | manager | [`crate::orders`] |
//! | `POST orders/{id}/refund` | manager | [`crate::refund`] |
//! | `GET alerts` | viewer | [`crate::alerts`] |
//! | `POST alerts/{id}/resolve` | manager | [`crate::alerts`] |
//! | `GET jobs` | viewer | [`crate::jobs`] |
//! | `GET outbox` | viewer | [`crate::outbox`] |
//! | `POST outbox/{id}/replay` | manager | [`crate::outbox`] |
//! | `GET experiments`, `GET experiments/{id}/results` | viewer | [`crate::experiments`] |
//! | `POST experiments`, `PATCH experiments/{id}` | manager | [`crate::experiments`] |
//! | `POST ad-spend/import` | manager | [`crate::ad_spend`] |
//! | `GET reports/{function}` | viewer | [`crate::reports`] |
//!
//! For every route, in this order:
//! 1. No such route: 404 `not_found`. Another method: 405 with `Allow`. Over the limit: 413 (4 MB for the imports, else 64 KB).
//! 2. No bearer token: 401 `unauthorized`. `X-Tenant` that is no UUID: 400.
//! 3. A token that is not valid (any more): 401. Not staff, or too low a role: 403 `forbidden`. Several shops and no `X-Tenant`: 400. Nothing
//!    written. Only who may act learns what else is wrong with the request.
//! 4. The action. It and its row in `ops.audit_log` are one transaction.

use http::{Method, Response};
use shared::edge::Incoming;
use shared::error::{ApiError, Code};

use crate::staff::{Role, Staff};
use crate::{Config, ad_spend, alerts, experiments, import, jobs, orders, outbox, products, refund, replace, reports};

const MAX_BODY: usize = 64 * 1024;

/// Bytes the body of a request to this path may have.
pub fn body_limit(path: &str) -> usize {
    match path.trim_end_matches('/') {
        "/api/admin/codes/import" | "/api/admin/ad-spend/import" => import::MAX_FILE,
        _ => MAX_BODY,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action<'a> {
    ImportCodes,
    ReplaceCode(&'a str),
    Stock,
    Products,
    CreateProduct,
    UpdateProduct(&'a str),
    Orders,
    Resend(&'a str),
    Resolve(&'a str),
    Refund(&'a str),
    Alerts,
    ResolveAlert(&'a str),
    Jobs,
    Outbox,
    Replay(&'a str),
    Experiments,
    CreateExperiment,
    UpdateExperiment(&'a str),
    ExperimentResults(&'a str),
    ImportAdSpend,
    Report(&'a str),
}

impl<'a> Action<'a> {
    fn of(method: &Method, path: &'a str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').skip(2).collect();
        // HEAD goes with GET; the platform drops the body.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        match (parts.as_slice(), method) {
            (["codes", "import"], "POST") => Ok(Self::ImportCodes),
            (["codes", "import"], _) => Err(ApiError::method_not_allowed("POST")),
            (["codes", id, "replace"], "POST") => Ok(Self::ReplaceCode(id)),
            (["codes", _, "replace"], _) => Err(ApiError::method_not_allowed("POST")),
            (["codes"], "GET") => Ok(Self::Stock),
            (["codes"], _) => Err(ApiError::method_not_allowed("GET")),
            (["products"], "GET") => Ok(Self::Products),
            (["products"], "POST") => Ok(Self::CreateProduct),
            (["products"], _) => Err(ApiError::method_not_allowed("GET, POST")),
            (["products", id], "PATCH") => Ok(Self::UpdateProduct(id)),
            (["products", _], _) => Err(ApiError::method_not_allowed("PATCH")),
            (["orders"], "GET") => Ok(Self::Orders),
            (["orders"], _) => Err(ApiError::method_not_allowed("GET")),
            (["orders", id, "resend"], "POST") => Ok(Self::Resend(id)),
            (["orders", id, "resolve"], "POST") => Ok(Self::Resolve(id)),
            (["orders", id, "refund"], "POST") => Ok(Self::Refund(id)),
            (["orders", _, "resend" | "resolve" | "refund"], _) => Err(ApiError::method_not_allowed("POST")),
            (["alerts"], "GET") => Ok(Self::Alerts),
            (["alerts"], _) => Err(ApiError::method_not_allowed("GET")),
            (["alerts", id, "resolve"], "POST") => Ok(Self::ResolveAlert(id)),
            (["alerts", _, "resolve"], _) => Err(ApiError::method_not_allowed("POST")),
            (["jobs"], "GET") => Ok(Self::Jobs),
            (["jobs"], _) => Err(ApiError::method_not_allowed("GET")),
            (["outbox"], "GET") => Ok(Self::Outbox),
            (["outbox"], _) => Err(ApiError::method_not_allowed("GET")),
            (["outbox", id, "replay"], "POST") => Ok(Self::Replay(id)),
            (["outbox", _, "replay"], _) => Err(ApiError::method_not_allowed("POST")),
            (["experiments"], "GET") => Ok(Self::Experiments),
            (["experiments"], "POST") => Ok(Self::CreateExperiment),
            (["experiments"], _) => Err(ApiError::method_not_allowed("GET, POST")),
            (["experiments", id], "PATCH") => Ok(Self::UpdateExperiment(id)),
            (["experiments", _], _) => Err(ApiError::method_not_allowed("PATCH")),
            (["experiments", id, "results"], "GET") => Ok(Self::ExperimentResults(id)),
            (["experiments", _, "results"], _) => Err(ApiError::method_not_allowed("GET")),
            (["ad-spend", "import"], "POST") => Ok(Self::ImportAdSpend),
            (["ad-spend", "import"], _) => Err(ApiError::method_not_allowed("POST")),
            (["reports", function], "GET") => Ok(Self::Report(function)),
            (["reports", _], _) => Err(ApiError::method_not_allowed("GET")),
            _ => Err(Code::NotFound.into()),
        }
    }

    fn min_role(self) -> Role {
        match self {
            Self::Stock
            | Self::Products
            | Self::Orders
            | Self::Alerts
            | Self::Jobs
            | Self::Outbox
            | Self::Experiments
            | Self::ExperimentResults(_)
            | Self::Report(_) => Role::Viewer,
            Self::ImportCodes
            | Self::ReplaceCode(_)
            | Self::CreateProduct
            | Self::UpdateProduct(_)
            | Self::Resend(_)
            | Self::Resolve(_)
            | Self::Refund(_)
            | Self::ResolveAlert(_)
            | Self::Replay(_)
            | Self::CreateExperiment
            | Self::UpdateExperiment(_)
            | Self::ImportAdSpend => Role::Manager,
        }
    }
}

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    let action = Action::of(&request.method, &request.path)?;
    let staff = Staff::of(&config.db, &request)?;
    let answer = run(&config, &request, &staff, action).await;
    if let Err(error) = &answer
        && error.code.status().is_client_error()
        && !matches!(error.code, Code::Unauthorized | Code::Forbidden)
    {
        // What is wrong with the request may have been found before the database was asked who this is.
        staff.require(action.min_role()).await?;
    }
    answer
}

async fn run(config: &Config, request: &Incoming, staff: &Staff, action: Action<'_>) -> Result<Response<String>, ApiError> {
    match action {
        Action::ImportCodes => import::codes(config, request, staff).await,
        Action::ReplaceCode(id) => replace::code(config, request, staff, id).await,
        Action::Stock => products::stock(request, staff).await,
        Action::Products => products::list(request, staff).await,
        Action::CreateProduct => products::create(request, staff).await,
        Action::UpdateProduct(id) => products::update(request, staff, id).await,
        Action::Orders => orders::list(request, staff).await,
        Action::Resend(id) => orders::resend(config, request, staff, id).await,
        Action::Resolve(id) => orders::resolve(config, request, staff, id).await,
        Action::Refund(id) => refund::order(config, request, staff, id).await,
        Action::Alerts => alerts::list(request, staff).await,
        Action::ResolveAlert(id) => alerts::resolve(staff, id).await,
        Action::Jobs => jobs::list(staff).await,
        Action::Outbox => outbox::list(request, staff).await,
        Action::Replay(id) => outbox::replay(config, request, staff, id).await,
        Action::Experiments => experiments::list(request, staff).await,
        Action::CreateExperiment => experiments::create(request, staff).await,
        Action::UpdateExperiment(id) => experiments::update(request, staff, id).await,
        Action::ExperimentResults(id) => experiments::results(staff, id).await,
        Action::ImportAdSpend => ad_spend::import(request, staff).await,
        Action::Report(function) => reports::show(request, staff, function).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_one_action() {
        for (method, path, action) in [
            (Method::POST, "/api/admin/codes/import", Action::ImportCodes),
            (Method::GET, "/api/admin/codes", Action::Stock),
            (Method::POST, "/api/admin/codes/1/replace", Action::ReplaceCode("1")),
            (Method::GET, "/api/admin/products", Action::Products),
            (Method::HEAD, "/api/admin/products", Action::Products),
            (Method::POST, "/api/admin/products", Action::CreateProduct),
            (Method::PATCH, "/api/admin/products/1", Action::UpdateProduct("1")),
            (Method::GET, "/api/admin/orders", Action::Orders),
            (Method::POST, "/api/admin/orders/1/resend", Action::Resend("1")),
            (Method::POST, "/api/admin/orders/1/resolve", Action::Resolve("1")),
            (Method::POST, "/api/admin/orders/1/refund", Action::Refund("1")),
            (Method::GET, "/api/admin/alerts", Action::Alerts),
            (Method::POST, "/api/admin/alerts/1/resolve", Action::ResolveAlert("1")),
            (Method::GET, "/api/admin/jobs", Action::Jobs),
            (Method::GET, "/api/admin/outbox", Action::Outbox),
            (Method::POST, "/api/admin/outbox/1/replay", Action::Replay("1")),
            (Method::GET, "/api/admin/experiments", Action::Experiments),
            (Method::POST, "/api/admin/experiments", Action::CreateExperiment),
            (Method::PATCH, "/api/admin/experiments/1", Action::UpdateExperiment("1")),
            (Method::GET, "/api/admin/experiments/1/results", Action::ExperimentResults("1")),
            (Method::POST, "/api/admin/ad-spend/import", Action::ImportAdSpend),
            (
                Method::GET,
                "/api/admin/reports/get_rfm_segments",
                Action::Report("get_rfm_segments"),
            ),
        ] {
            assert_eq!(Action::of(&method, path).unwrap(), action, "{method} {path}");
        }
    }

    #[test]
    fn other_methods_and_other_paths_are_told_apart() {
        for (method, path, code) in [
            (Method::GET, "/api/admin/codes/import", Code::MethodNotAllowed),
            (Method::DELETE, "/api/admin/products", Code::MethodNotAllowed),
            (Method::PUT, "/api/admin/products/1", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/orders/1/resolve", Code::MethodNotAllowed),
            (Method::POST, "/api/admin/alerts", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/orders/1/refund", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/codes/1/replace", Code::MethodNotAllowed),
            (Method::POST, "/api/admin/codes/1/revoke", Code::NotFound),
            (Method::POST, "/api/admin/jobs", Code::MethodNotAllowed),
            (Method::POST, "/api/admin/outbox", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/outbox/1/replay", Code::MethodNotAllowed),
            (Method::POST, "/api/admin/outbox/1", Code::NotFound),
            (Method::DELETE, "/api/admin/experiments/1", Code::MethodNotAllowed),
            (Method::POST, "/api/admin/experiments/1/results", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/ad-spend/import", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/ad-spend", Code::NotFound),
            (Method::POST, "/api/admin/reports/get_rfm_segments", Code::MethodNotAllowed),
            (Method::GET, "/api/admin/reports", Code::NotFound),
            (Method::GET, "/api/admin/reports/get_rfm_segments/1", Code::NotFound),
            (Method::GET, "/api/admin", Code::NotFound),
        ] {
            assert_eq!(Action::of(&method, path).unwrap_err().code, code, "{method} {path}");
        }
    }

    #[test]
    fn only_the_imports_take_a_large_body() {
        assert_eq!(body_limit("/api/admin/ad-spend/import"), 4 * 1024 * 1024);
        assert_eq!(body_limit("/api/admin/codes/import"), 4 * 1024 * 1024);
        assert_eq!(body_limit("/api/admin/products"), 64 * 1024);
    }
}
