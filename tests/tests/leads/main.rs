//! Landing forms, short links and unsubscribing: who is one person, what is refused, what is kept.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod forms;
mod guard;
mod links;
mod people;
mod phones;

use lonieve_tests::{Reply, Shop};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

/// Contact data nobody else in the database has: an address, and the last seven digits of a Kazakh mobile number.
struct Person {
    email: String,
    digits: String,
}

impl Person {
    fn new() -> Self {
        let id = Uuid::new_v4();
        let digits = format!("{:07}", id.as_u128() % 10_000_000);
        Self {
            email: format!("lead-{}@example.com", id.simple()),
            digits,
        }
    }

    fn e164(&self) -> String {
        format!("+7777{}", self.digits)
    }

    /// One number as people type it.
    fn phones(&self) -> [String; 8] {
        let (a, b, c) = (&self.digits[..3], &self.digits[3..5], &self.digits[5..]);
        [
            format!("+7777{a}{b}{c}"),
            format!("8777{a}{b}{c}"),
            format!("+7 (777) {a}-{b}-{c}"),
            format!("8-777-{a}-{b}-{c}"),
            format!("7777{a}{b}{c}"),
            format!("777 {a} {b} {c}"),
            format!("00 7 777 {a} {b}{c}"),
            format!("8\u{a0}(777)\u{a0}{a}\u{2011}{b}\u{2011}{c}"),
        ]
    }

    fn emails(&self) -> [String; 3] {
        [
            self.email.clone(),
            self.email.to_uppercase(),
            format!("  {}  ", self.email.replacen("lead", "Lead", 1)),
        ]
    }

    fn form(&self) -> Value {
        json!({"name": "Aida", "email": self.email, "phone": self.e164(), "source": "twland"})
    }
}

/// A request under another host than the shop's.
fn at_host(shop: &Shop, host: &str, method: Method, path: &str) -> RequestBuilder {
    shop.http
        .request(method, format!("{}{path}", shop.info.function("leads")))
        .header("host", host)
}

async fn send(shop: &Shop, form: &Value) -> Reply {
    shop.post("leads", "/api/leads", form).await
}

/// Sends the same as an HTML form without script would.
async fn send_form(shop: &Shop, fields: &[(&str, &str)]) -> Reply {
    Reply::of(shop.request(Method::POST, "leads", "/api/leads").form(fields)).await
}

fn without(form: &Value, field: &str) -> Value {
    let mut form = form.clone();
    form.as_object_mut().unwrap().remove(field);
    form
}

fn with(form: &Value, field: &str, value: Value) -> Value {
    let mut form = form.clone();
    form[field] = value;
    form
}

/// The tenant's leads as the view shows them, oldest first.
async fn leads(shop: &Shop) -> Vec<Value> {
    let sql = "select to_jsonb(l) from crm.leads_with_journey l where tenant_id = $1 order by created_at, id";
    shop.db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The only lead there is.
async fn the_lead(shop: &Shop) -> Value {
    let mut leads = leads(shop).await;
    assert_eq!(leads.len(), 1, "{leads:#?}");
    leads.remove(0)
}

fn stages(lead: &Value) -> Vec<&str> {
    lead["journey_stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect()
}
