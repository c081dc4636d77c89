//! Carries a plan out: eight lines at once, then the jobs until nothing is left to do.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::check::{self, Verdict};
use super::ground::{CARDLINK, Ground, JOBS, Line, ORDERS, Refused, Who};
use super::plan::{Act, LINES, Plan, Word};
use super::world::{Stock, World, money};

/// What the provider knows of a bill.
#[derive(Debug, Clone, Copy, Default)]
pub struct Truth {
    /// The word with money in it, cents more or less than asked for, right currency.
    pub word: Option<(Word, i64, bool)>,
    pub refunds: usize,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub step: String,
    pub buyer: Option<usize>,
    pub function: &'static str,
    pub p: Value,
    pub answer: Result<Value, Refused>,
}

impl Answer {
    pub fn outcome(&self) -> &str {
        self.answer
            .as_ref()
            .ok()
            .and_then(|answer| answer["outcome"].as_str())
            .unwrap_or("")
    }
}

pub struct Run<'a> {
    pub ground: &'a Ground,
    pub world: World,
    pub plan: &'a Plan,
    pub truth: Mutex<Vec<Truth>>,
    pub answers: Mutex<Vec<Answer>>,
    /// What may be there or not: `api.replace_code`, `api.refund_order`, `api.due_bills`.
    replaces: bool,
    refunds: bool,
    pub(super) looks: bool,
}

/// Errors that mean "try again": a lock or statement that took too long, a serialisation failure, a deadlock. They are counted.
const AGAIN: [&str; 4] = ["55P03", "57014", "40001", "40P01"];

/// Plays one plan on the ground's lines and checks every promise: while some orders may still be paid, when all is over, and when codes
/// for all who wait have come.
pub async fn play(ground: &Ground, lines: &[Line], plan: &Plan) -> Verdict {
    let plan = &plan.afresh();
    let run = Run {
        ground,
        world: World::new(ground, &lines[0], &plan.shape).await,
        plan,
        truth: Mutex::new(vec![Truth::default(); plan.buyers.len()]),
        answers: Mutex::default(),
        replaces: ground.has_function("api.replace_code").await,
        refunds: ground.has_function("api.refund_order").await,
        looks: ground.has_function("api.due_bills").await,
    };
    run.all_lines(lines).await;
    run.fulfil_all(&lines[0], "after").await;
    let mut verdict = check::promises(&run, false).await;
    run.finish(&lines[0]).await;
    verdict.add(check::promises(&run, true).await);
    run.restock(&lines[0]).await;
    verdict.add(check::promises(&run, true).await);
    verdict.add(check::answers(&run, lines));
    verdict.finish(&run);
    verdict
}

impl Run<'_> {
    async fn all_lines(&self, lines: &[Line]) {
        let steps = &self.plan.steps;
        let (ended, ends): (Vec<_>, Vec<_>) = steps.iter().map(|_| watch::channel(false)).unzip();
        let one_line = async |line: usize| {
            for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.line == line) {
                if let Some(after) = step.after {
                    let mut end = ends[after].clone();
                    // The sender lives as long as this function.
                    let _ = end.wait_for(|ended| *ended).await;
                }
                if step.pause_us > 0 {
                    tokio::time::sleep(Duration::from_micros(step.pause_us)).await;
                }
                self.act(&lines[line], &at.to_string(), &step.act).await;
                let _ = ended[at].send(true);
            }
        };
        futures::future::join_all((0..LINES).map(one_line)).await;
    }

    /// Until `fulfil_waiting` says that it delivered nothing.
    async fn fulfil_all(&self, line: &Line, step: &str) {
        for _ in 0..50 {
            let p = json!({"now": self.world.now()});
            let Some(answer) = self.call(line, JOBS, "fulfil_waiting", p, None, step).await else {
                return;
            };
            if answer["fulfilled"] == 0 {
                return;
            }
        }
    }

    /// Time passes until every bill is over, and the jobs do all that is due.
    async fn finish(&self, line: &Line) {
        self.world.advance(9000);
        for _ in 0..20 {
            if self.expiry(line, "end", false).await == 0 {
                break;
            }
        }
        self.parked(line, "end").await;
        self.fulfil_all(line, "end").await;
        for _ in 0..60 {
            if self.outbox(line, "end", usize::MAX).await == 0 {
                let open = "select count(*) from ops.outbox where tenant_id = $1 and status = 'pending'";
                if self.ground.count(open, self.world.tenant).await == 0 {
                    break;
                }
                self.world.advance(4600);
            }
        }
    }

    /// Codes come for everybody who still waits.
    async fn restock(&self, line: &Line) {
        let sql = "select i.product_id, i.nominal::text, sum(i.quantity) from shop.orders o join shop.order_items i on i.order_id = o.id \
                   where o.tenant_id = $1 and o.fulfilment = 'waiting' group by 1, 2";
        let missing = self.ground.admin.query(sql, &[&self.world.tenant]).await.unwrap();
        let codes: Vec<Stock> = missing
            .iter()
            .flat_map(|row| {
                let (product, nominal, units): (Uuid, String, i64) = (row.get(0), row.get(1), row.get(2));
                let card = self
                    .world
                    .cards
                    .iter()
                    .position(|card| card.product == product && money(card.nominal) == nominal)
                    .unwrap();
                (0..units).map(move |_| Stock {
                    id: Uuid::new_v4(),
                    card,
                    fingerprint: Uuid::new_v4(),
                    cost: Some(3000),
                    expires: None,
                })
            })
            .collect();
        let p = self.world.import(&codes, "restock");
        self.call(line, Who::Person(self.world.manager), "import_codes", p, None, "restock")
            .await;
        self.fulfil_all(line, "restock").await;
        while self.outbox(line, "restock", usize::MAX).await > 0 {}
    }

    pub async fn call(&self, line: &Line, who: Who, function: &'static str, p: Value, buyer: Option<usize>, step: &str) -> Option<Value> {
        for _ in 0..10 {
            let answer = line.call(who, function, &p).await;
            let again = answer.as_ref().is_err_and(|refused| AGAIN.contains(&refused.sqlstate.as_str()));
            let value = answer.clone().ok();
            self.answers.lock().unwrap().push(Answer {
                step: step.to_owned(),
                buyer,
                function,
                p: p.clone(),
                answer,
            });
            if !again {
                return value;
            }
        }
        None
    }

    pub(super) fn truth(&self, buyer: usize) -> Truth {
        self.truth.lock().unwrap()[buyer]
    }

    async fn act(&self, line: &Line, step: &str, act: &Act) {
        let now = self.world.now();
        let staff = Who::Person(self.world.manager);
        match act {
            Act::Create(at) => {
                let buyer = &self.plan.buyers[*at];
                let card = &self.world.cards[buyer.card];
                let p = json!({
                    "host": self.world.host, "order_id": buyer.order, "product_id": card.product, "nominal": money(card.nominal),
                    "quantity": buyer.quantity, "email": format!("{}@example.com", buyer.bill), "delivery_type": if buyer.gift { "gift" } else { "myself" },
                    "recipient_email": buyer.gift.then(|| format!("friend-{}@example.com", buyer.bill)),
                    "ref": buyer.partner.then_some(&self.world.partner_link), "now": now,
                });
                self.call(line, ORDERS, "create_order", p, Some(*at), step).await;
            }
            Act::Attach(at) => {
                let buyer = &self.plan.buyers[*at];
                let p = json!({"order_id": buyer.order, "bill_id": buyer.bill, "payment_url": "https://pay.example/1", "now": now});
                self.call(line, ORDERS, "attach_bill", p, Some(*at), step).await;
            }
            Act::FailOrder(at, link_not_shown) => {
                let p = json!({"order_id": self.plan.buyers[*at].order, "reason": "provider_unavailable", "link_not_shown": link_not_shown, "now": now});
                self.call(line, ORDERS, "fail_order", p, Some(*at), step).await;
            }
            Act::Notice(at, word, more, right) => self.notice(line, step, *at, (*word, *more, *right)).await,
            Act::Look(at, word) => {
                let said = (*word, 0, true);
                self.now_true(*at, said);
                self.settle(line, JOBS, "poll", step, *at, said).await;
            }
            Act::Refund(at, upto) => self.refund(line, step, *at, *upto).await,
            Act::Chargeback(at, confirmed) => {
                if *confirmed {
                    self.now_true(*at, (Word::Paid, 0, true));
                }
                let bill = &self.plan.buyers[*at].bill;
                if self.find(line, step, "chargeback", bill, *at).await {
                    let p = json!({
                        "source": "cardlink", "provider_api": "v1", "bill_id": bill, "payment_id": format!("p-{bill}"), "chargeback_id": format!("c-{bill}"),
                        "confirmed": confirmed, "raw_status": "SUCCESS", "headers": {}, "body": {}, "elapsed_ms": 1, "now": now,
                    });
                    self.call(line, CARDLINK, "settle_chargeback", p, Some(*at), step).await;
                }
            }
            Act::Expiry => {
                self.expiry(line, step, true).await;
            }
            Act::ExpireThis(at) => {
                let p = json!({"order_ids": [self.plan.buyers[*at].order], "now": now});
                self.call(line, JOBS, "expire_orders", p, Some(*at), step).await;
            }
            Act::Parked => self.parked(line, step).await,
            Act::Fulfil => {
                self.call(line, JOBS, "fulfil_waiting", json!({"now": now}), None, step).await;
            }
            Act::Import(codes) => {
                let p = self.world.import(codes, step);
                self.call(line, staff, "import_codes", p, None, step).await;
            }
            Act::Resolve(at, action) => {
                let p = json!({"order_id": self.plan.buyers[*at].order, "action": action, "note": "Decided.", "now": now});
                self.call(line, staff, "resolve_order", p, Some(*at), step).await;
            }
            Act::Resend(at) => {
                let p = json!({"order_id": self.plan.buyers[*at].order, "now": now});
                self.call(line, staff, "resend_order", p, Some(*at), step).await;
            }
            Act::Show(at) => {
                let viewer = if self.plan.buyers[*at].gift { "recipient" } else { "buyer" };
                let p = json!({"order_id": self.plan.buyers[*at].order, "viewer": viewer, "now": now});
                self.call(line, ORDERS, "get_order", p, Some(*at), step).await;
            }
            Act::Outbox => {
                self.outbox(line, step, step.len()).await;
            }
            Act::Replace(at) if self.replaces => {
                let sql = "select g.id from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id \
                           where i.order_id = $1 and g.status = 'sold' order by g.id limit 1";
                let sold = self.ground.admin.query_opt(sql, &[&self.plan.buyers[*at].order]).await.unwrap();
                if let Some(row) = sold {
                    let p = json!({"code_id": row.get::<_, Uuid>(0), "reason": "The buyer says it does not work.", "now": now});
                    self.call(line, staff, "replace_code", p, Some(*at), step).await;
                }
            }
            Act::StaffRefund(at, amount) if self.refunds => {
                let mut p = json!({"order_id": self.plan.buyers[*at].order, "reason": "The buyer asked for it.", "now": now});
                if let Some(amount) = amount {
                    p["amount"] = json!(money(*amount));
                }
                self.call(line, staff, "refund_order", p, Some(*at), step).await;
            }
            Act::Replace(_) | Act::StaffRefund(..) => {}
            Act::Advance(seconds) => self.world.advance(*seconds),
        }
    }

    fn now_true(&self, at: usize, said: (Word, i64, bool)) {
        let mut truth = self.truth.lock().unwrap();
        // What came in stays; an underpaid bill can become a paid one.
        let known = truth[at].word.map(|(word, ..)| word);
        if said.0.has_money() && (known.is_none() || (known == Some(Word::Underpaid) && said.0 == Word::Paid)) {
            truth[at].word = Some(said);
        }
    }

    /// v2: the notice's word is settled. v1: it only makes us ask; what the provider knows is settled.
    async fn notice(&self, line: &Line, step: &str, at: usize, said: (Word, i64, bool)) {
        self.now_true(at, said);
        let buyer = &self.plan.buyers[at];
        if !buyer.v1 {
            self.settle(line, CARDLINK, "webhook", step, at, said).await;
        } else if self.find(line, step, "payment", &buyer.order.to_string(), at).await {
            let said = self.truth(at).word.unwrap_or(said);
            self.settle(line, CARDLINK, "webhook", step, at, said).await;
        }
    }

    async fn find(&self, line: &Line, step: &str, kind: &str, reference: &str, at: usize) -> bool {
        let p = json!({
            "source": "cardlink", "kind": kind, "ref": reference, "raw_status": "SUCCESS", "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        });
        let found = self.call(line, CARDLINK, "find_bill", p, Some(at), step).await;
        found.is_some_and(|found| found["outcome"] == "found")
    }

    pub(super) async fn settle(&self, line: &Line, who: Who, origin: &str, step: &str, at: usize, (word, more, right): (Word, i64, bool)) {
        let buyer = &self.plan.buyers[at];
        let received = matches!(word, Word::Overpaid | Word::Underpaid).then(|| money(buyer.received));
        let currency = if right { "USD" } else { "EUR" };
        let p = json!({
            "source": "cardlink", "provider_api": if buyer.v1 { "v1" } else { "v2" }, "origin": origin, "bill_id": buyer.bill, "status": word.name(),
            "raw_status": word.name().to_uppercase(), "amount": money(buyer.total + more), "received": received, "currency": currency,
            "signature_form": "raw", "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        });
        self.call(line, who, "settle_payment", p, Some(at), step).await;
    }

    /// The provider is asked about the payment, and says how much of it has gone back by now.
    async fn refund(&self, line: &Line, step: &str, at: usize, upto: usize) {
        self.now_true(at, (Word::Paid, 0, true));
        let done = {
            let mut truth = self.truth.lock().unwrap();
            truth[at].refunds = truth[at].refunds.max(upto);
            truth[at].refunds
        };
        let buyer = &self.plan.buyers[at];
        let bill = &buyer.bill;
        if !self.find(line, step, "refund", bill, at).await {
            return;
        }
        let done = &buyer.refunds[..done];
        let listed: Vec<Value> = done
            .iter()
            .enumerate()
            .map(|(n, cents)| json!({"id": format!("r{n}-{bill}"), "amount": money(*cents)}))
            .collect();
        let currency = if self.truth(at).word.is_none_or(|(.., right)| right) {
            "USD"
        } else {
            "EUR"
        };
        let p = json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": bill, "payment_id": format!("p-{bill}"), "refund_id": format!("r{}-{bill}", upto - 1),
            "refunded_amount": money(done.iter().sum()), "refunds": if buyer.listed { listed } else { Vec::new() }, "currency": currency,
            "raw_status": "SUCCESS", "headers": {}, "body": {}, "elapsed_ms": 1, "now": self.world.now(),
        });
        self.call(line, CARDLINK, "settle_refund", p, Some(at), step).await;
    }
}
