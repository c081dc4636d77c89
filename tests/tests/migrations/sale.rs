//! A sale from import to mail in SQL alone, each step as the role that does it. PL/pgSQL is checked only when it runs, so this is what
//! shows that the functions work on another version.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::reports::reports;

pub struct Caller<'a> {
    db: &'a Client,
    host: String,
    /// The functions called so far.
    called: Mutex<BTreeSet<String>>,
}

impl Caller<'_> {
    /// Calls `api.<function>(p)` as PostgREST does.
    pub async fn call(&self, role: &str, function: &str, p: Value) -> Value {
        self.called.lock().unwrap().insert(function.to_owned());
        self.db.batch_execute(&format!("begin; set local role {role}")).await.unwrap();
        let result = match function {
            "health" => self.db.query_one("select api.health()", &[]).await,
            _ => self.db.query_one(&format!("select api.{function}($1)"), &[&p]).await,
        };
        let answer = result.unwrap_or_else(|error| panic!("{function}({p}) as {role}: {error:?}")).get(0);
        self.db.batch_execute("commit").await.unwrap();
        answer
    }

    /// Calls a function with the documents' named parameters, all at their defaults.
    pub async fn rows(&self, role: &str, function: &str) {
        self.called.lock().unwrap().insert(function.to_owned());
        self.db.batch_execute(&format!("begin; set local role {role}")).await.unwrap();
        let result = self.db.query(&format!("select * from api.{function}()"), &[]).await;
        result.unwrap_or_else(|error| panic!("{function}() as {role}: {error:?}"));
        self.db.batch_execute("commit").await.unwrap();
    }

    /// The same, for an answer with this outcome.
    async fn outcome(&self, role: &str, function: &str, p: Value, outcome: &str) -> Value {
        let answer = self.call(role, function, p).await;
        assert_eq!(answer["outcome"], outcome, "{function}: {answer}");
        answer
    }

    async fn order(&self, product: Uuid, bill: Option<&str>) -> String {
        let cart = json!({"host": self.host, "product_id": product, "nominal": "50.00", "quantity": 1, "email": "buyer@example.com", "utm": {"utm_source": "Mail"}});
        let created = self.outcome("edge_orders", "create_order", cart, "created").await;
        let id = created["order_id"].as_str().unwrap().to_owned();
        if let Some(bill) = bill {
            let p = json!({"order_id": id, "bill_id": bill, "payment_url": "https://pay.example/1"});
            self.outcome("edge_orders", "attach_bill", p, "attached").await;
        }
        id
    }
}

/// The manager of the new shop is the signed-in user of this session from here on.
async fn shop(db: &Client, host: &str) -> Uuid {
    let (tenant, product, manager) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    db.execute(
        "insert into shop.tenants (id, name, primary_domain) values ($1, 'Test shop', $2)",
        &[&tenant, &host],
    )
    .await
    .unwrap();
    db.execute(
        "insert into shop.domains (domain, tenant_id, is_primary) values ($1, $2, true)",
        &[&host, &tenant],
    )
    .await
    .unwrap();
    db.execute(
        "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'manager')",
        &[&manager, &tenant],
    )
    .await
    .unwrap();
    let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price, discount_percentage) \
               values ($1, $2, 'Nimbus Card', 'Nimbus', 'USA', '[50]', 100, 25)";
    db.execute(sql, &[&product, &tenant]).await.unwrap();
    let claims = json!({"sub": manager}).to_string();
    db.execute("select set_config('request.jwt.claims', $1, false)", &[&claims])
        .await
        .unwrap();
    product
}

fn code(row: usize, product: Uuid) -> Value {
    json!({"row": row, "id": Uuid::new_v4(), "product_id": product, "nominal": "50.00", "cost_price": "30.00", "currency": "USD",
           "sealed": "A".repeat(60), "kid": "k1", "fingerprint": format!("{row:064x}"), "last4": format!("{row:04}")})
}

fn notice(bill: &str, status: &str) -> Value {
    json!({"source": "cardlink", "provider_api": "v2", "bill_id": bill, "status": status, "raw_status": status, "amount": "37.50", "currency": "USD",
           "signature_form": "raw", "origin": "webhook", "headers": {}, "body": {}, "elapsed_ms": 3})
}

/// What a manager does: looks, edits the catalogue, mails again, and decides about a payment of another amount.
async fn staff(caller: &Caller<'_>, product: Uuid, paid: &str) {
    let act = |function: &'static str, p: Value| caller.outcome("authenticated", function, p, "ok");
    assert_eq!(act("check_staff", json!({"min_role": "manager"})).await["role"], "manager");
    let new =
        json!({"name": "Stratus Card", "brand": "Stratus", "region": "Global", "nominals": ["20.00", "100.00"], "base_price": "90.00"});
    let created = act("create_product", new).await;
    let edit = json!({"product_id": created["product"]["id"], "discount_percentage": "10.00", "nominals": ["100.00"]});
    assert_eq!(act("update_product", edit).await["product"]["nominals"][0]["price"], "81.00");
    assert_eq!(
        act("staff_products", json!({"status": "active"})).await["products"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    act("import_codes", json!({"rows": [code(3, product)]})).await;
    let order = caller.order(product, Some("bill-4")).await;
    let mut other = notice("bill-4", "paid");
    other["amount"] = json!("40.00");
    caller.outcome("edge_cardlink", "settle_payment", other, "manual_review").await;
    let alerts = act("staff_alerts", json!({"resolved": "false"})).await;
    act("resolve_alert", json!({"alert_id": alerts["alerts"][0]["id"]})).await;
    let decision = json!({"order_id": order, "action": "deliver", "note": "Accepted."});
    assert_eq!(act("resolve_order", decision).await["order"]["fulfilment"], "delivered");
    act("resend_order", json!({"order_id": paid})).await;
    assert_eq!(
        act("staff_outbox", json!({"status": "done"})).await["rows"][0]["delivery"],
        "delivered"
    );
    let waiting = act("staff_outbox", json!({"status": "pending"})).await["rows"][0]["id"].clone();
    caller
        .outcome("authenticated", "replay_outbox", json!({"outbox_id": waiting}), "outbox_not_dead")
        .await;

    let filter = json!({"status": "paid", "from": "2020-01-01", "to": "2999-12-31", "email": "Buyer@", "min_amount": "37.50", "limit": 1});
    let page = act("staff_orders", filter.clone()).await;
    let mut next = filter;
    (next["after_us"], next["after_id"]) = (page["next"]["us"].clone(), page["next"]["id"].clone());
    let second = act("staff_orders", next).await;
    assert_ne!(page["orders"][0]["id"], second["orders"][0]["id"], "{page} {second}");
    let stock = act("staff_stock", json!({"product_id": product})).await;
    assert_eq!(
        (&stock["stock"][0]["sold"], &stock["stock"][0]["low_stock"]),
        (&json!(3), &json!(true)),
        "{stock}"
    );
}

pub async fn works(db: &Client) {
    let host = format!("t-{}.test", Uuid::new_v4().simple());
    let product = shop(db, &host).await;
    let caller = Caller {
        db,
        host: host.clone(),
        called: Mutex::default(),
    };

    assert_eq!(caller.call("edge_events", "health", json!({})).await["ok"], true);
    let events = json!({"host": host, "context": {"country": "DE"}, "events": [{"event_id": Uuid::new_v4(), "event_type": "page_view", "session_id": "s"}]});
    assert_eq!(
        caller.outcome("edge_events", "ingest_events", events, "ok").await["results"][0]["status"],
        "stored"
    );
    let message =
        |host: &str| json!({"host": host, "events": [{"event_id": Uuid::new_v4(), "event_type": "page_view", "session_id": "s"}]});
    let queued = json!({"messages": [{"id": "m-1", "body": message(&host)}, {"id": "m-2", "body": message("nobody.test")}]});
    caller.outcome("edge_events", "ingest_event_batches", queued, "ok").await;
    let given_up = json!({"messages": [{"id": "m-3", "body": message(&host)}]});
    caller.outcome("edge_events", "park_events", given_up, "ok").await;
    assert_eq!(caller.call("edge_jobs", "replay_events", json!({})).await["replayed"], 1);
    let batch = json!({"rows": [code(1, product), code(2, product)]});
    assert_eq!(caller.outcome("authenticated", "import_codes", batch, "ok").await["imported"], 2);
    let listed = caller.outcome("edge_orders", "list_products", json!({"host": host}), "ok").await;
    assert_eq!(
        listed["products"][0]["nominals"],
        json!([{"nominal": "50.00", "price": "37.50", "in_stock": true}])
    );
    caller
        .outcome("edge_orders", "get_product", json!({"host": host, "product_id": product}), "ok")
        .await;

    // One is paid and mailed.
    let paid = caller.order(product, Some("bill-1")).await;
    caller
        .outcome("edge_cardlink", "settle_payment", notice("bill-1", "paid"), "fulfilled")
        .await;
    caller
        .outcome("edge_jobs", "settle_payment", notice("bill-1", "paid"), "already_processed")
        .await;
    let order = caller
        .outcome("edge_orders", "get_order", json!({"order_id": paid, "viewer": "buyer"}), "ok")
        .await;
    assert_eq!(order["order"]["codes"].as_array().map(Vec::len), Some(1), "{order}");
    let claimed = caller.call("edge_jobs", "claim_outbox", json!({"limit": 20, "lease_s": 60})).await;
    let (id, kind, lease) = (&claimed["rows"][0]["id"], &claimed["rows"][0]["kind"], &claimed["rows"][0]["lease"]);
    assert_eq!(kind, "mail.codes", "{claimed}");
    let begun = caller
        .call(
            "edge_jobs",
            "begin_outbox",
            json!({"rows": [{"id": id, "lease": lease, "payload_hash": "h"}]}),
        )
        .await;
    assert_eq!(begun["rows"][0]["outcome"], "send", "{begun}");
    let verdict = |outcome: &str| {
        let row = json!({"id": id, "lease": lease, "outcome": outcome, "provider_id": "m1", "duration_ms": 20, "error": "HTTP 422"});
        json!({"provider": "resend", "rows": [row]})
    };
    assert_eq!(caller.call("edge_jobs", "finish_outbox", verdict("sent")).await["sent"], 1);
    assert_eq!(caller.call("edge_jobs", "finish_outbox", verdict("dead")).await["stale"], 1);
    let event = json!({"provider": "resend", "event_id": "e1", "fingerprint": "f", "type": "delivered", "provider_id": "m1"});
    caller.outcome("edge_jobs", "record_mail_event", event.clone(), "recorded").await;
    caller.outcome("edge_jobs", "record_mail_event", event, "duplicate").await;

    // One expires and is paid late, when the last code is reserved for another; that one expires too, and frees it.
    let late = caller.order(product, Some("bill-2")).await;
    let now: String = db
        .query_one("select to_json(now() + interval '3 hours') #>> '{}'", &[])
        .await
        .unwrap()
        .get(0);
    let expirable = caller.call("edge_jobs", "expirable_orders", json!({"now": now})).await;
    assert_eq!(expirable["orders"][0]["order_id"], *late, "{expirable}");
    assert_eq!(
        caller
            .call("edge_jobs", "expire_orders", json!({"now": now, "order_ids": [late]}))
            .await["expired"],
        1
    );
    let dropped = caller.order(product, None).await;
    caller
        .outcome(
            "edge_orders",
            "fail_order",
            json!({"order_id": dropped, "reason": "provider_unavailable"}),
            "failed",
        )
        .await;
    let waiting = caller.order(product, Some("bill-3")).await;
    caller
        .outcome("edge_cardlink", "settle_payment", notice("bill-2", "paid"), "manual_review")
        .await;
    caller
        .outcome("edge_cardlink", "settle_payment", notice("bill-3", "failed"), "failed")
        .await;
    assert_eq!(
        caller.call("edge_admin", "fulfil_waiting", json!({})).await["fulfilled"],
        0,
        "the bill that failed can still be paid: its code stays reserved"
    );
    assert_eq!(
        caller
            .call("edge_jobs", "expire_orders", json!({"now": now, "order_ids": [waiting]}))
            .await["expired"],
        1
    );
    assert_eq!(
        caller.call("edge_admin", "fulfil_waiting", json!({})).await["fulfilled"],
        1,
        "the code that came free serves the one who waits"
    );

    caller
        .outcome("edge_cardlink", "settle_payment", notice("unheard-of", "paid"), "payment_not_found")
        .await;
    caller
        .outcome(
            "edge_cardlink",
            "record_rejected_webhook",
            json!({"source": "cardlink", "reason": "invalid_signature"}),
            "ok",
        )
        .await;
    let failure = json!({"source": "cardlink", "bill_id": "bill-1", "error": "PGRST003", "status": "paid"});
    caller.outcome("edge_cardlink", "log_webhook_failure", failure, "ok").await;
    staff(&caller, product, &paid).await;
    let faults = db.query("select problem from ops.verify_ledger()", &[]).await.unwrap();
    assert!(faults.is_empty(), "the ledger is whole");

    given_back(&caller, &paid).await;
    others(&caller).await;
    care(&caller, product, &paid).await;
    experiment(&caller).await;

    let all = db
        .query("select proname::text from pg_proc where pronamespace = 'api'::regnamespace", &[])
        .await
        .unwrap();
    let all: BTreeSet<String> = all.iter().map(|row| row.get(0)).collect();
    assert_eq!(*caller.called.lock().unwrap(), all, "a function of api is not part of this sale");
}

/// Staff give a part of the money back, and the provider does it; the counters follow.
async fn given_back(caller: &Caller<'_>, order: &str) {
    let wanted = json!({"order_id": order, "amount": "7.50", "reason": "Goodwill."});
    let asked = caller.outcome("authenticated", "refund_order", wanted, "ok").await;
    assert_eq!(asked["order"]["refundable_amount"], "30.00", "{asked}");
    let claimed = caller.call("edge_jobs", "claim_refunds", json!({"limit": 1, "lease_s": 60})).await;
    let mut p =
        json!({"refund_id": claimed["rows"][0]["refund_id"], "lease": claimed["rows"][0]["lease"], "payment_id": "pay-1", "seen": []});
    caller.outcome("edge_jobs", "begin_refund", p.clone(), "call").await;
    (p["outcome"], p["provider_refund_id"]) = (json!("completed"), json!("refund-1"));
    p["refunds"] = json!([{"id": "refund-1", "amount": "7.50"}]);
    caller.outcome("edge_jobs", "finish_refund", p, "partially_refunded").await;
    let folded = caller.outcome("edge_jobs", "fold_counters", json!({}), "ok").await;
    assert_eq!((&folded["purchase_rows"], &folded["left"]), (&json!(1), &json!(0)), "{folded}");
}

/// An experiment from the draft to its results, and what the advertising for it cost.
async fn experiment(caller: &Caller<'_>) {
    let draft = json!({"key": "hero", "name": "New hero", "variants": ["control", "b"]});
    let made = caller.outcome("authenticated", "create_experiment", draft, "ok").await;
    let id = &made["experiment"]["id"];
    let start = json!({"experiment_id": id, "status": "running"});
    caller.outcome("authenticated", "update_experiment", start, "ok").await;
    let mut p = json!({"host": caller.host, "visitor_id": "v", "variants": {"hero": "b"}});
    p["tag"] = caller.outcome("edge_events", "assign_experiments", p.clone(), "stale").await["tag"].clone();
    let assigned = caller.outcome("edge_events", "assign_experiments", p, "ok").await;
    assert_eq!(assigned["assignments"], json!({"hero": "b"}));
    let listed = caller.outcome("authenticated", "staff_experiments", json!({}), "ok").await;
    assert_eq!(listed["experiments"][0]["assigned"], 1, "{listed}");
    let found = caller
        .outcome("authenticated", "experiment_results", json!({"experiment_id": id}), "ok")
        .await;
    assert_eq!(found["variants"][1]["assigned"], 1, "{found}");
    let spent = json!({"rows": [{"row": 1, "date": "2026-03-01", "utm_source": "Mail", "spend": "5.00"}]});
    assert_eq!(caller.outcome("authenticated", "import_ad_spend", spent, "ok").await["imported"], 1);
}

/// A bad code is replaced, all are sealed anew, and the ledger's day is closed and checked.
async fn care(caller: &Caller<'_>, product: Uuid, paid: &str) {
    caller
        .outcome("authenticated", "import_codes", json!({"rows": [code(4, product)]}), "ok")
        .await;
    let order = caller
        .outcome("edge_orders", "get_order", json!({"order_id": paid, "viewer": "buyer"}), "ok")
        .await;
    let bad = json!({"code_id": order["order"]["codes"][0]["id"], "reason": "The buyer's shop refuses it."});
    let replaced = caller.outcome("authenticated", "replace_code", bad.clone(), "ok").await;
    assert_eq!(
        (&replaced["code"]["status"], &replaced["replacement"]["last4"]),
        (&json!("revoked"), &json!("0004")),
        "{replaced}"
    );
    assert_eq!(caller.outcome("authenticated", "replace_code", bad, "ok").await, replaced);

    let batch = caller.call("edge_jobs", "codes_to_reseal", json!({"kid": "k2", "limit": 3})).await;
    let mut rows: Vec<Value> = batch["codes"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 3);
    for row in &mut rows {
        *row = json!({"id": row["id"], "was": row["sealed"], "sealed": "B".repeat(60)});
    }
    rows[1]["was"] = json!("C".repeat(60));
    rows[2]["sealed"] = Value::Null;
    let stored = caller
        .outcome("edge_jobs", "reseal_codes", json!({"kid": "k2", "rows": rows}), "ok")
        .await;
    let counts = ["resealed", "changed", "unreadable"].map(|name| stored[name].as_i64());
    assert_eq!(counts, [Some(1); 3], "{stored}");

    let tomorrow: String = caller
        .db
        .query_one("select to_json(now() + interval '1 day 1 hour') #>> '{}'", &[])
        .await
        .unwrap()
        .get(0);
    let mut outcomes = Vec::new();
    for _ in 0..50 {
        let closed = caller.call("edge_jobs", "close_ledger_days", json!({"now": tomorrow})).await;
        outcomes.push(closed["outcome"].as_str().unwrap().to_owned());
        match closed["outcome"].as_str() {
            Some("nothing_due") => break,
            // Another test's transaction on the same server.
            Some("settling") => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            _ => {}
        }
    }
    outcomes.dedup();
    assert_eq!(outcomes, ["settling", "closed", "nothing_due"]);
    let checked = caller.outcome("edge_jobs", "check_ledger", json!({}), "ok").await;
    assert_eq!((&checked["faults"], &checked["done"]), (&json!(0), &json!(true)), "{checked}");
}

/// The schedule, and the jobs that are not part of the sale.
async fn jobs(caller: &Caller<'_>) {
    let claimed = caller.call("edge_jobs", "claim_jobs", json!({"budget": 38})).await;
    let finish = json!({"token": claimed["jobs"][0]["token"], "status": "success", "result": {}, "duration_ms": 1});
    caller.outcome("edge_jobs", "finish_job", finish.clone(), "finished").await;
    caller.outcome("edge_jobs", "finish_job", finish, "stale").await;
    let by_hand = json!({"name": "outbox", "status": "failed", "error": "e"});
    caller.outcome("edge_jobs", "finish_job", by_hand, "logged").await;
    let later: String = caller
        .db
        .query_one("select to_json(now() + interval '3 days') #>> '{}'", &[])
        .await
        .unwrap()
        .get(0);
    let due = caller.call("edge_jobs", "due_bills", json!({"limit": 5, "now": later})).await;
    let looks = json!({"unanswered": [due["bills"][0]["bill_id"]], "now": later});
    caller.outcome("edge_jobs", "finish_looks", looks, "ok").await;
    assert_eq!(caller.call("edge_jobs", "check_stock", json!({"now": later})).await["failed"], 0);
    caller.call("edge_jobs", "check_pending_payments", json!({"now": later})).await;
    for api in ["v1", "v2"] {
        let mut told = caller
            .call("edge_jobs", "begin_reconciliation", json!({"now": later, "api": api, "limit": 10}))
            .await;
        for _ in 0..20 {
            let bills: Vec<Value> = told["bills"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|bill| json!({"bill_id": bill["bill_id"], "status": "paid", "amount": "37.50", "currency": "USD"}))
                .collect();
            told["bills"] = json!(bills);
            told["now"] = json!(later);
            told["limit"] = json!(10);
            told = caller.call("edge_jobs", "continue_reconciliation", told).await;
        }
        assert_eq!(told["step"], "done", "{told}");
    }
    caller.call("edge_jobs", "purge", json!({"now": later})).await;
    let shown = caller.outcome("authenticated", "staff_jobs", json!({}), "ok").await;
    assert_eq!(shown["reports"].as_array().map(Vec::is_empty), Some(false), "{shown}");
}

/// What is no part of a sale runs too: early notices and reversals, the forms of the landing pages, and the
/// questions of the staff.
async fn others(caller: &Caller<'_>) {
    let nobody =
        json!({"host": "nobody.test", "origin": "https://nobody.test", "token": "t", "code": "c", "submission_id": Uuid::new_v4()});
    let early = json!({"source": "cardlink", "kind": "payment", "ref": Uuid::new_v4(), "raw_status": "SUCCESS"});
    caller.outcome("edge_cardlink", "find_bill", early, "payment_not_found").await;
    let reversal = json!({"source": "cardlink", "bill_id": "unheard-of", "payment_id": "p", "refund_id": "r", "chargeback_id": "c"});
    for function in ["settle_refund", "settle_chargeback"] {
        caller
            .outcome("edge_cardlink", function, reversal.clone(), "payment_not_found")
            .await;
    }
    assert_eq!(
        caller.call("edge_jobs", "purge_idempotency", json!({"limit": 5})).await["deleted"],
        0
    );
    jobs(caller).await;
    for function in ["capture_lead", "check_origin", "follow_link", "unsubscribe"] {
        caller.call("edge_leads", function, nobody.clone()).await;
    }
    reports(caller).await;
}
