//! Whether the promises were kept: what the rows say (`promises.sql`), and what the calls answered.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_postgres::types::ToSql;

use super::ground::{Ground, Line};
use super::plan::{Act, Word};
use super::run::{Answer, Run};
use super::world::money;

/// Each promise: the word under which a breach is reported, and the sentence.
pub const PROMISES: &[(&str, &str)] = &[
    ("sold_once", "a code is sold at most once, and no unit has two"),
    ("ledger", "the ledger explains every code, step by step, and its chains are whole"),
    (
        "delivered",
        "each paid unit has exactly one code, or its order waits with an open alert, or a person closed it",
    ),
    ("waiting", "no order waits while there are free codes for it"),
    (
        "reserved",
        "codes are reserved for live unpaid orders and for orders under review only",
    ),
    ("finished", "an order whose money went back holds no code"),
    ("states", "status, fulfilment and payment fit together"),
    ("price", "what is asked for is the price worked out by hand"),
    ("fees", "one fee a payment, to the cent"),
    ("totals", "cost, profit and fees of an order are the sums of its rows"),
    ("refunds", "what went back is what the provider said, and the order says so too"),
    (
        "outbox",
        "one order.paid for each paid order, one order.delivered for each delivery, one mail for each addressee",
    ),
    ("alerts", "an alert is open exactly while its order needs a person"),
    ("heard", "money that was reported is in, and no order is paid without it"),
    ("notices", "no notice of a known bill stays parked, and none could not be settled"),
    (
        "answers",
        "every answer is a documented one, and a payment is answered `fulfilled` once",
    ),
    ("errors", "no deadlock and no error, also none inside a batch"),
    ("retries", "no call waits until it must be tried again"),
    ("verify", "the product's own checks (ops.verify_*) find nothing"),
];

/// Documented outcomes.
const OUTCOMES: &[(&str, &[&str])] = &[
    ("create_order", &["created", "out_of_stock"]),
    // `order_closed`: the order had ended meanwhile; the bill is tied all the same.
    ("attach_bill", &["attached", "order_closed", "order_not_found"]),
    ("fail_order", &["failed", "ignored"]),
    ("find_bill", &["found", "payment_not_found"]),
    (
        "settle_payment",
        &[
            "fulfilled",
            "already_processed",
            "ignored",
            "manual_review",
            "failed",
            "expired",
            "noop",
            "payment_not_found",
        ],
    ),
    ("settle_refund", &["refunded", "partially_refunded", "already_processed", "ignored"]),
    ("settle_chargeback", &["chargeback", "already_processed", "ignored"]),
    ("import_codes", &["ok"]),
    (
        "resolve_order",
        &["ok", "order_not_found", "order_not_in_review", "refund_pending", "out_of_stock"],
    ),
    ("replace_code", &["ok", "code_not_found", "code_already_revoked", "out_of_stock"]),
    (
        "refund_order",
        &["ok", "order_not_found", "order_not_refundable", "refund_too_large"],
    ),
    ("resend_order", &["ok", "order_not_found", "order_not_delivered"]),
    ("get_order", &["ok", "not_found"]),
];

#[derive(Debug, Default)]
pub struct Verdict {
    pub breaches: BTreeMap<String, Vec<String>>,
    pub calls: usize,
    pub retries: usize,
    /// For the report of a failure.
    pub story: String,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.breaches.is_empty()
    }

    pub fn add(&mut self, other: Self) {
        for (promise, mut what) in other.breaches {
            self.breaches.entry(promise).or_default().append(&mut what);
        }
        self.calls += other.calls;
        self.retries += other.retries;
    }

    fn breach(&mut self, promise: &str, what: impl Into<String>) {
        self.breaches.entry(promise.to_owned()).or_default().push(what.into());
    }

    /// Keeps the whole story where something is wrong.
    pub fn finish(&mut self, run: &Run<'_>) {
        if !self.is_good() {
            self.story = format!("{}\n", run.plan.describe());
            for answer in run.answers.lock().unwrap().iter() {
                let buyer = answer.buyer.map_or(String::new(), |buyer| format!(" buyer {buyer}"));
                let said = match &answer.answer {
                    Ok(said) => said["outcome"].as_str().map_or_else(|| said.to_string(), str::to_owned),
                    Err(refused) => format!("{refused:?}"),
                };
                let status = answer.p["status"].as_str().unwrap_or("");
                self.story
                    .push_str(&format!("{:>5}{buyer} {} {status}: {said:.200}\n", answer.step, answer.function));
            }
        }
    }
}

/// What is known of each order from outside the database.
fn facts(run: &Run<'_>) -> Value {
    let (truth, answers) = (run.truth.lock().unwrap(), run.answers.lock().unwrap());
    let facts = run.plan.buyers.iter().enumerate().map(|(at, buyer)| {
        let mine = || answers.iter().filter(move |answer| answer.buyer == Some(at));
        let said = |function: &str, outcome: &str| mine().any(|answer| answer.function == function && answer.outcome() == outcome);
        // The Worker settles refunds it can place; each answer but `ignored` has booked them.
        let refunded = mine()
            .filter(|answer| answer.function == "settle_refund" && !["", "ignored", "payment_not_found"].contains(&answer.outcome()))
            .filter_map(|answer| answer.p["refunded_amount"].as_str()?.replace('.', "").parse::<i64>().ok())
            .max();
        let acts = || run.plan.steps.iter().map(|step| &step.act);
        let plain = !acts().any(|act| match act {
            Act::Notice(who, word, more, right) => *who == at && (matches!(word, Word::Overpaid | Word::Underpaid) || *more != 0 || !right),
            Act::Refund(who, _) | Act::Chargeback(who, _) | Act::StaffRefund(who, _) | Act::Resolve(who, _) => *who == at,
            _ => false,
        });
        json!({
            "id": buyer.order, "bill": buyer.bill, "total": money(buyer.total), "quantity": buyer.quantity, "created": said("create_order", "created"),
            "attached": said("attach_bill", "attached") || said("attach_bill", "order_closed"), "money": truth[at].word.is_some(), "plain": plain, "refunded": refunded.map(money),
            "charged": said("settle_chargeback", "chargeback"), "foreign": said("settle_refund", "ignored"),
        })
    });
    Value::Array(facts.collect())
}

/// Asks the rows. `is_over`: nothing is live any more.
pub async fn promises(run: &Run<'_>, is_over: bool) -> Verdict {
    let now = run.world.now();
    let facts = facts(run);
    let parameters: [&(dyn ToSql + Sync); 4] = [&run.world.tenant, &facts, &now, &is_over];
    let rows = run.ground.admin.query(include_str!("promises.sql"), &parameters).await.unwrap();
    let mut verdict = Verdict::default();
    for row in rows {
        verdict.breach(row.get(0), row.get::<_, String>(1));
    }
    verdict
}

/// Looks through the answers, and at what the server warned of.
pub fn answers(run: &Run<'_>, lines: &[Line]) -> Verdict {
    let mut verdict = Verdict::default();
    let answers = run.answers.lock().unwrap();
    verdict.calls = answers.len();
    for answer in answers.iter() {
        match &answer.answer {
            Err(refused) if ["55P03", "57014", "40001"].contains(&refused.sqlstate.as_str()) => verdict.retries += 1,
            Err(refused) => verdict.breach("errors", format!("step {} {}: {refused:?}", answer.step, answer.function)),
            Ok(said) => {
                let documented = OUTCOMES.iter().find(|(function, _)| *function == answer.function);
                if documented.is_some_and(|(_, outcomes)| !outcomes.contains(&answer.outcome())) {
                    verdict.breach("answers", format!("step {} {}: {said}", answer.step, answer.function));
                }
            }
        }
    }
    for at in 0..run.plan.buyers.len() {
        let fulfilled = |answer: &&Answer| answer.buyer == Some(at) && answer.outcome() == "fulfilled";
        if answers.iter().filter(fulfilled).count() > 1 {
            verdict.breach("answers", format!("buyer {at}: fulfilled more than once"));
        }
    }
    for warning in lines.iter().flat_map(Line::warnings) {
        verdict.breach("errors", warning);
    }
    verdict
}

/// The product's own checks, those there are: every `ops.verify_*` that can be called without an argument. A row is a fault.
pub async fn own_checks(ground: &Ground) -> Verdict {
    let mut verdict = Verdict::default();
    let sql = "select p.proname::text from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
               where n.nspname = 'ops' and p.proname like 'verify\\_%' and p.proretset and p.pronargs = p.pronargdefaults order by 1";
    let functions: Vec<String> = ground.admin.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(functions.iter().any(|name| name == "verify_ledger"), "{functions:?}");
    for function in functions {
        let faults = format!("select to_jsonb(v)::text from ops.{function}() v limit 20");
        for row in ground.admin.query(&faults, &[]).await.unwrap() {
            verdict.breach("verify", format!("{function}: {}", row.get::<_, String>(0)));
        }
    }
    verdict
}
