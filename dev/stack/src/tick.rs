//! What Cloudflare's cron does in production: runs the jobs again and again.

use std::time::Duration;

/// Posts `/api/jobs/run/tick` every `period`, until dropped. A failed tick is left to the next one; the Workers' own log has the reason.
pub async fn every(period: Duration, gateway: String, jobs_secret: String, http: reqwest::Client) {
    let url = format!("{gateway}/api/jobs/run/tick");
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let _ = http
            .post(&url)
            .bearer_auth(&jobs_secret)
            .timeout(Duration::from_secs(60))
            .send()
            .await;
    }
}
