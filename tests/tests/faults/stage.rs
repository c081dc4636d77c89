//! A stack of a test's own, with one shop in it, and its switchboards and clock.

use std::sync::Arc;
use std::time::Duration;

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use stack::{CardlinkApi, Config, Info, Runtime, Stack};

/// The provider's schedule, compressed: repeats after 0.05, 0.5, 5 and 50 s instead of 10 s to 28 h.
const RETRY_BASE_MS: u64 = 5;

pub struct Stage {
    pub stack: Stack,
    pub shop: Shop,
    /// Every code of the shop, in clear.
    pub codes: Vec<String>,
}

impl Stage {
    /// `durable`: what the database has committed outlives its process.
    pub async fn start(cardlink: CardlinkApi, durable: bool, codes: usize) -> Self {
        let root = stack::layout::workspace_root().unwrap();
        let config = Config {
            test_clock: true,
            cardlink,
            durable,
            ..Config::ephemeral(root, Runtime::Workerd)
        };
        let stack = Stack::start(config, Arc::new(|_| {})).await.unwrap();
        // A shop lives as long as its program.
        let info: &'static Info = Box::leak(Box::new(stack.info().clone()));
        let shop = Shop::on(info).await;
        shop.settings(json!({"max_unpaid_units": 100_000, "max_unpaid_share": 100})).await;
        let codes = shop.add_codes("50.00", codes).await;
        let stage = Self { stack, shop, codes };
        stage.faults(&[], &[]).await;
        stage
    }

    pub async fn end(self) {
        self.stack.stop().await.unwrap();
    }

    /// Fault rules of the proxy and of the sandbox, in place of those before.
    pub async fn faults(&self, proxy: &[Value], sandbox: &[Value]) {
        for (board, rules) in [(&self.shop.info.proxy, proxy), (&self.shop.info.sandbox, sandbox)] {
            let rules = json!({"rules": rules, "retry_base_ms": RETRY_BASE_MS});
            Reply::of(self.shop.http.put(format!("{board}/faults")).json(&rules))
                .await
                .expect(200);
        }
    }

    /// How often each rule has applied: the proxy's, then the sandbox's.
    pub async fn hits(&self) -> Vec<i64> {
        let (proxy, sandbox) = (&self.shop.info.proxy, &self.shop.info.sandbox);
        [self.shop.fault_hits(proxy).await, self.shop.fault_hits(sandbox).await].concat()
    }

    /// Runs jobs at a time from now, whatever comes of them.
    pub async fn try_jobs(&self, names: &[&str], after: &str) {
        let clock = self.shop.time(after).await;
        for name in names {
            self.shop.job(name, Some(&clock)).await;
        }
    }

    /// The faults are over: lets time pass, in steps in which every lease, back-off and reservation ends, until there is nothing left
    /// to do.
    pub async fn recover(&self) {
        self.faults(&[], &[]).await;
        for minutes in [0, 4, 8, 12, 20, 40, 75, 80, 90, 150, 220, 290, 360, 430, 500] {
            let clock = self.shop.time(&format!("{minutes} minutes")).await;
            for name in ["poll_bills", "fulfil_waiting", "expire_orders", "outbox"] {
                // A run takes a batch.
                for _ in 0..20 {
                    let report = self.shop.job(name, Some(&clock)).await.expect(200);
                    let done = ["polled", "fulfilled", "expired", "found_paid", "sent"];
                    if done.iter().all(|count| report[count].as_u64().unwrap_or(0) == 0) {
                        break;
                    }
                }
            }
            if minutes >= 75 && self.open().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not recovered after hours: outbox {:?}", self.shop.outbox().await);
    }

    /// Orders that are still waiting for their end, and mails to be sent.
    async fn open(&self) -> i64 {
        let sql = "select (select count(*) from ops.outbox where tenant_id = $1 and status = 'pending') \
                   + (select count(*) from shop.orders where tenant_id = $1 and (status = 'pending' or paid_at is null and fulfilment = 'reserved'))";
        self.shop.count(sql).await
    }
}
