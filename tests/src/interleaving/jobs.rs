//! The jobs' share of a run: what the Worker `jobs` does between its calls, without the Worker.

use serde_json::{Value, json};

use super::ground::{JOBS, Line};
use super::plan::Word;
use super::run::Run;

impl Run<'_> {
    /// As the job does it: list, a last look at each bill, settle what is paid, expire the rest. Returns how many were listed.
    pub(super) async fn expiry(&self, line: &Line, step: &str, may_not_answer: bool) -> usize {
        let now = self.world.now();
        let Some(due) = self.call(line, JOBS, "expirable_orders", json!({"now": now}), None, step).await else {
            return 0;
        };
        let due = due["orders"].as_array().cloned().unwrap_or_default();
        let (mut over, mut unanswered) = (Vec::new(), Vec::new());
        for order in &due {
            let buyer = self.plan.buyers.iter().position(|buyer| order["order_id"] == json!(buyer.order));
            match buyer {
                Some(at) if !order["bill_id"].is_null() => match self.truth(at).word {
                    Some(said) => self.settle(line, JOBS, "poll", step, at, said).await,
                    None if may_not_answer && at % 5 == 4 => unanswered.push(order["order_id"].clone()),
                    None => over.push(order["order_id"].clone()),
                },
                _ => over.push(order["order_id"].clone()),
            }
        }
        let p = json!({"now": now, "order_ids": over, "unanswered": unanswered});
        self.call(line, JOBS, "expire_orders", p, None, step).await;
        due.len()
    }

    /// The job that looks at bills: those of parked notices, or, where it knows more, every bill that is due for a look.
    pub(super) async fn parked(&self, line: &Line, step: &str) {
        let (list, bills) = if self.looks {
            ("due_bills", "bills")
        } else {
            ("parked_bills", "orders")
        };
        let p = json!({"now": self.world.now(), "limit": 50});
        let Some(listed) = self.call(line, JOBS, list, p, None, step).await else {
            return;
        };
        let mut answered = Vec::new();
        for bill in listed[bills].as_array().into_iter().flatten() {
            let buyer = self.plan.buyers.iter().position(|buyer| bill["order_id"] == json!(buyer.order));
            if let Some(at) = buyer {
                let said = self.truth(at).word.unwrap_or((Word::Pending, 0, true));
                self.settle(line, JOBS, "poll", step, at, said).await;
                answered.push(bill["bill_id"].clone());
            }
        }
        if self.looks && !answered.is_empty() {
            let p = json!({"now": self.world.now(), "answered": answered, "unanswered": []});
            self.call(line, JOBS, "finish_looks", p, None, step).await;
        }
    }

    /// Claims, sends and finishes mails; every fourth, counted from `salt`, is to be tried again. Returns how many rows moved.
    pub(super) async fn outbox(&self, line: &Line, step: &str, salt: usize) -> usize {
        let p = json!({"now": self.world.now(), "limit": 20, "lease_s": 60});
        let Some(claimed) = self.call(line, JOBS, "claim_outbox", p, None, step).await else {
            return 0;
        };
        let rows = claimed["rows"].as_array().cloned().unwrap_or_default();
        let fanned_out = claimed["fanned_out"].as_u64().unwrap_or(0) as usize;
        if rows.is_empty() {
            return fanned_out;
        }
        let hash = |row: &Value| format!("{:x}", row["order"].to_string().len());
        let hashes: Vec<Value> = rows
            .iter()
            .map(|row| json!({"id": row["id"], "lease": row["lease"], "payload_hash": hash(row)}))
            .collect();
        let p = json!({"rows": hashes, "now": self.world.now()});
        let Some(begun) = self.call(line, JOBS, "begin_outbox", p, None, step).await else {
            return 0;
        };
        let lease = |id: &Value| {
            rows.iter()
                .find(|row| row["id"] == *id)
                .map_or(Value::Null, |row| row["lease"].clone())
        };
        let sent: Vec<Value> = begun["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| row["outcome"] == "send")
            .enumerate()
            .map(|(n, row)| {
                let mut verdict = match salt != usize::MAX && (n + salt).is_multiple_of(4) {
                    true => json!({"outcome": "retry", "error": "503"}),
                    false => json!({"outcome": "sent", "provider_id": row["id"]}),
                };
                (verdict["id"], verdict["lease"], verdict["duration_ms"]) = (row["id"].clone(), lease(&row["id"]), json!(5));
                verdict
            })
            .collect();
        let moved = sent.len();
        let p = json!({"provider": "resend", "rows": sent, "now": self.world.now()});
        self.call(line, JOBS, "finish_outbox", p, None, step).await;
        fanned_out + moved
    }
}
