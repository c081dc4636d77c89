//! Running jobs now instead of at their next tick. A lost call costs a minute, nothing else.

use http::{Method, Request, header};
use shared::edge::{self, Incoming};

use crate::Config;

/// Runs these jobs, one after the other, once the answer is on its way.
pub fn jobs(config: &Config, request: &Incoming, names: &'static [&'static str]) {
    let calls: Vec<worker::Request> = names.iter().filter_map(|name| call(config, &request.request_id, name)).collect();
    let jobs = config.jobs.clone();
    config.context.wait_until(async move {
        for call in calls {
            let _ = jobs.fetch_request(call).await;
        }
    });
}

fn call(config: &Config, request_id: &str, name: &str) -> Option<worker::Request> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://jobs/api/jobs/run/{name}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", config.jobs_secret.expose()))
        .header(edge::REQUEST_ID, request_id)
        .body(worker::Body::empty())
        .ok()?;
    worker::Request::try_from(request).ok()
}
