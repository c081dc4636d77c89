//! `GET /api/experiments?visitor_id=`
//!
//! 1. Any other method than GET and HEAD: 405 with `Allow`.
//! 2. No `visitor_id`, or one over 128 characters or with control characters: 400 `invalid_request`. Nothing written.
//! 3. The variants are drawn here ([`crate::bucket`]), over the list of running experiments this isolate knows for the host, and go to
//!    `api.assign_experiments`, which stores those of a first visit and answers with what is stored: that stays, whatever is drawn later.
//!    One call; two where the list was not known yet or has changed since.
//! 4. No shop for this host: 404 `unknown_tenant`. Database not reached: 503 with `Retry-After`; a page shows its control then.
//! 5. 200 `{assignments: {key: variant}}`, kept by no cache: the running experiments of the shop and nothing else. A page on another of the
//!    shop's domains may read it (CORS; a simple request, so there is no preflight).
//!
//! That a variant is in the answer does not mean that anybody saw it: the page reports that with an event `x_exposure` and the data
//! `{"experiment": key, "variant": variant}`. Programs are assigned like people, since a wrong guess would show a person another page at
//! every visit; they are left out where exposures are counted.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::{Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::client_info::{self, header_text};
use shared::cors::Cors;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::bucket::{bucket, variant};

const MAX_VISITOR_ID: usize = 128;
/// Calls for one request: the list may change between two of them, but not for long.
const ATTEMPTS: usize = 3;
/// Hosts whose list is kept. With a default tenant anybody can invent hosts, so there must be an end.
const MAX_HOSTS: usize = 200;
// A repeat stores nothing twice: a visitor has one row per experiment.
const ASSIGN_EXPERIMENTS: Rpc = Rpc::idempotent("assign_experiments");

thread_local! {
    /// Data only, and never trusted: the database refuses variants that were drawn over a list that is not today's.
    static LISTS: RefCell<Lists> = RefCell::default();
}

/// Host and host of `Origin`: what the database finds the shop by.
type Hosts = (String, Option<String>);

#[derive(Default)]
struct Lists(BTreeMap<Hosts, List>);

/// The experiments that run, and the tag the database knows this list by.
#[derive(Debug, Clone, PartialEq)]
struct List {
    tag: String,
    experiments: Vec<Experiment>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Experiment {
    key: String,
    shares: Vec<(String, u8)>,
}

#[derive(Serialize)]
struct Assign<'a> {
    host: &'a str,
    origin_host: Option<&'a str>,
    default_tenant: Option<Uuid>,
    origin: Option<&'a str>,
    visitor_id: &'a str,
    tag: Option<&'a str>,
    variants: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Assigned {
    Ok(Answer),
    /// Some of the experiments that run now are not assigned yet.
    Stale(Answer),
    UnknownTenant,
}

#[derive(Deserialize)]
struct Answer {
    assignments: BTreeMap<String, String>,
    own_origin: bool,
    tag: Option<String>,
    experiments: Option<Vec<Experiment>>,
}

#[derive(Serialize)]
struct Assignments {
    assignments: BTreeMap<String, String>,
}

impl Lists {
    fn keep(&mut self, hosts: &Hosts, list: List) {
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(hosts) {
            self.0.clear();
        }
        self.0.insert(hosts.clone(), list);
    }
}

impl List {
    fn draw(&self, visitor: &str) -> BTreeMap<&str, &str> {
        let drawn = |experiment: &Experiment| bucket(&experiment.key, visitor);
        let pairs = self
            .experiments
            .iter()
            .filter_map(|x| Some((x.key.as_str(), variant(&x.shares, drawn(x))?)));
        pairs.collect()
    }
}

pub async fn assignments(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(ApiError::method_not_allowed("GET, HEAD"));
    }
    let visitor_id = visitor_id(request.query.as_deref().unwrap_or_default())?;
    let origin = header_text(&request.headers, header::ORIGIN.as_str(), 300);
    let hosts = (request.host.clone(), client_info::origin_host(&request.headers));
    let mut list = LISTS.with_borrow(|lists| lists.0.get(&hosts).cloned());
    for _ in 0..ATTEMPTS {
        let p = Assign {
            host: &hosts.0,
            origin_host: hosts.1.as_deref(),
            default_tenant: config.default_tenant,
            origin: origin.as_deref(),
            visitor_id: &visitor_id,
            tag: list.as_ref().map(|list| list.tag.as_str()),
            variants: list.as_ref().map(|list| list.draw(&visitor_id)).unwrap_or_default(),
        };
        let (answer, is_complete) = match config.db.call(ASSIGN_EXPERIMENTS, &p).await? {
            Assigned::UnknownTenant => return Err(Code::UnknownTenant.into()),
            Assigned::Ok(answer) => (answer, true),
            Assigned::Stale(answer) => (answer, false),
        };
        if let (Some(tag), Some(experiments)) = (answer.tag, answer.experiments) {
            let fresh = List { tag, experiments };
            LISTS.with_borrow_mut(|lists| lists.keep(&hosts, fresh.clone()));
            list = Some(fresh);
        }
        if is_complete {
            let assignments = answer.assignments;
            return Cors::of_verdict(origin.as_deref(), answer.own_origin).on(edge::json(StatusCode::OK, &Assignments { assignments }));
        }
    }
    Err(ApiError::new(Code::DatabaseUnavailable).detail("the list of experiments changes with every call"))
}

/// Of a repeated parameter the last one counts.
fn visitor_id(query: &str) -> Result<String, ApiError> {
    let given = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "visitor_id");
    let id = given.last().map(|(_, value)| value.into_owned()).unwrap_or_default();
    let problem = if id.is_empty() {
        "is missing"
    } else if id.chars().count() > MAX_VISITOR_ID {
        "must be at most 128 characters"
    } else if id.chars().any(char::is_control) {
        "must not contain control characters"
    } else {
        return Ok(id);
    };
    Err(ApiError::new(Code::InvalidRequest).field("visitor_id", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tag: &str) -> List {
        let shares = [("control".to_owned(), 50), ("b".to_owned(), 50)];
        let experiment = |key: &str| Experiment {
            key: key.into(),
            shares: shares.to_vec(),
        };
        List {
            tag: tag.into(),
            experiments: ["home_hero_v2", "discount_25_vs_30"].map(experiment).to_vec(),
        }
    }

    #[test]
    fn a_visitor_is_drawn_into_each_experiment_by_its_own_bucket() {
        // Buckets 31 and 71, see the vectors of crate::bucket.
        let expected = BTreeMap::from([("home_hero_v2", "control"), ("discount_25_vs_30", "b")]);
        assert_eq!(list("t").draw("v-1"), expected);
    }

    #[test]
    fn the_visitor_is_read_from_the_query() {
        let read = |query: &str| visitor_id(query).map_err(|error| error.response("r").into_body());
        assert_eq!(read("visitor_id=a%3Ab&x=1").unwrap(), "a:b");
        assert_eq!(read("visitor_id=a&visitor_id=b").unwrap(), "b");
        assert_eq!(read(&format!("visitor_id={}", "%D1%8F".repeat(128))).unwrap().chars().count(), 128);
        for (query, problem) in [
            ("", "is missing"),
            ("visitor_id=", "is missing"),
            ("visitorId=a", "is missing"),
            (&format!("visitor_id={}", "x".repeat(129)), "must be at most 128 characters"),
            ("visitor_id=a%00b", "must not contain control characters"),
            ("visitor_id=a%0Ab", "must not contain control characters"),
        ] {
            assert!(read(query).unwrap_err().contains(problem), "{query}");
        }
    }

    #[test]
    fn lists_of_invented_hosts_do_not_pile_up() {
        let mut lists = Lists::default();
        for number in 0..3 * MAX_HOSTS {
            lists.keep(&(format!("h-{number}"), None), list("t"));
            assert!(lists.0.len() <= MAX_HOSTS);
        }
        let last = (format!("h-{}", 3 * MAX_HOSTS - 1), None);
        lists.keep(&last, list("u"));
        assert_eq!(lists.0[&last].tag, "u");
    }
}
