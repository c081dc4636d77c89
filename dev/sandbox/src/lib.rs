//! Stand-ins for the outside companies, for one developer's machine and for tests.
//!
//! In scope: both Cardlink contracts (bills, hosted pay page, signed webhooks with retries; under v1 also payments, refunds and
//! chargebacks), mail endpoints of Resend's and Mailgun's shape with one mailbox, Turnstile's check of a token, a switchboard that injects faults,
//! and a record of every call. Out of scope: persistence (a restart forgets everything), TLS, and any check of our own code: the
//! signature here is written independently of the one the Workers verify.
//!
//! Nothing here moves money or sends mail. README.md lists the routes.

pub mod faults;
pub mod server;

mod bills;
mod calls;
mod cardlink;
mod cardlink_v1;
mod clock;
mod mail;
mod mailbox;
mod mailgun;
mod pages;
mod pay;
mod pay_v1;
mod payments;
mod postback;
mod provider;
mod refunds;
mod search;
mod signature;
pub mod turnstile;
mod webhook;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::faults::{Faults, Targets};

/// Names of the routes that fault rules and `GET /calls?route=` know.
pub const ROUTES: &[&str] = &[
    "cardlink.create",
    "cardlink.status",
    "cardlink.payments",
    "cardlink.payment",
    "cardlink.refund",
    "cardlink.refund_status",
    "cardlink.search",
    cardlink::WEBHOOK,
    "mail.send",
    mailgun::SEND,
    "turnstile.verify",
];

/// What the stand-ins must agree on with the system under test.
#[derive(Clone)]
pub struct Config {
    /// Address under which browsers and Workers reach the sandbox, e.g. `http://127.0.0.1:9300`; payment links start with it.
    pub public_url: String,
    /// Bearer token Cardlink's API expects.
    pub cardlink_token: String,
    /// Secret appended before hashing a v2 webhook. (v1 has none: its key is the bearer token.)
    pub cardlink_secret: String,
    /// The shop's id at Cardlink v1.
    pub cardlink_shop_id: String,
    /// Where the shop is. At v1 its Result, Refund and Chargeback URLs are settings of the dashboard, and stand there:
    /// `/api/webhooks/cardlink`, `.../refund`, `.../chargeback`.
    pub shop_url: String,
    /// Key both mail APIs expect: as bearer token (Resend), as the password of `api` (Mailgun).
    pub mail_api_key: String,
}

/// Serves until the listener's task is dropped. Returns an error only when a secret is blank.
pub async fn serve(listener: tokio::net::TcpListener, cfg: Config) -> anyhow::Result<()> {
    for (name, value) in [
        ("cardlink_token", &cfg.cardlink_token),
        ("cardlink_secret", &cfg.cardlink_secret),
        ("mail_api_key", &cfg.mail_api_key),
    ] {
        anyhow::ensure!(!value.trim().is_empty(), "the sandbox needs a {name} that is not blank");
    }
    let app = Arc::new(App::new(cfg));
    tokio::select! {
        served = server::serve_router(listener, router(app.clone())) => served,
        () = webhook::release_when_rules_change(app) => Ok(()),
    }
}

/// Everything the handlers share. All of it lives in memory.
struct App {
    cfg: Config,
    bills: Mutex<bills::Bills>,
    mail: Mutex<mail::Mail>,
    calls: Mutex<calls::Calls>,
    turnstile: Mutex<turnstile::Spent>,
    faults: Arc<Faults>,
    held: Mutex<Vec<webhook::Delivery>>,
    client: Client<HttpConnector, axum::body::Body>,
}

type Shared = Arc<App>;

impl App {
    fn new(mut cfg: Config) -> Self {
        for url in [&mut cfg.public_url, &mut cfg.shop_url] {
            *url = url.trim_end_matches('/').to_owned();
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            cfg,
            bills: Mutex::default(),
            mail: Mutex::default(),
            calls: Mutex::default(),
            turnstile: Mutex::default(),
            faults: Arc::new(Faults::new(Targets::Routes(ROUTES))),
            held: Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }
}

fn router(app: Shared) -> Router {
    let recorded = |route| axum::middleware::from_fn_with_state((app.clone(), route), provider::stand_in);
    Router::new()
        .route(
            "/cardlink/v2/bill/create",
            post(cardlink::create).layer(recorded("cardlink.create")),
        )
        .route("/cardlink/v2/bill/status", get(cardlink::status).layer(recorded("cardlink.status")))
        .route(
            "/cardlink/v1/bill/create",
            post(cardlink_v1::create).layer(recorded("cardlink.create")),
        )
        .route(
            "/cardlink/v1/bill/status",
            get(cardlink_v1::status).layer(recorded("cardlink.status")),
        )
        .route(
            "/cardlink/v1/bill/payments",
            get(cardlink_v1::payments).layer(recorded("cardlink.payments")),
        )
        .route(
            "/cardlink/v1/payment/status",
            get(cardlink_v1::payment).layer(recorded("cardlink.payment")),
        )
        .route(
            "/cardlink/v1/refund/full/create",
            post(refunds::full).layer(recorded("cardlink.refund")),
        )
        .route(
            "/cardlink/v1/refund/partial/create",
            post(refunds::partial).layer(recorded("cardlink.refund")),
        )
        .route(
            "/cardlink/v1/refund/status",
            get(refunds::status).layer(recorded("cardlink.refund_status")),
        )
        .route(
            "/cardlink/v1/refund/search",
            get(refunds::search).layer(recorded("cardlink.refund_status")),
        )
        .route("/cardlink/v1/bill/search", get(search::bills).layer(recorded("cardlink.search")))
        .route(
            "/cardlink/v1/payment/search",
            get(search::payments).layer(recorded("cardlink.search")),
        )
        .route("/mail/emails", post(mail::send).layer(recorded("mail.send")))
        .route("/mailgun/v3/{domain}/messages", post(mailgun::send).layer(recorded(mailgun::SEND)))
        .route(
            "/turnstile/v0/siteverify",
            post(turnstile::verify).layer(recorded("turnstile.verify")),
        )
        .route("/pay/{bill_id}", get(pay::page))
        .route("/pay/{bill_id}/{action}", post(pay::act))
        .route("/", get(pages::index))
        .route("/health", get(pages::health))
        .route("/bills", get(pages::bills))
        .route("/bills/{bill_id}/lie", axum::routing::put(search::lie))
        .route("/mailbox", get(mailbox::list))
        .route("/calls", get(calls::list).delete(calls::clear))
        .with_state(app.clone())
        .merge(faults::routes(app.faults.clone()))
}
