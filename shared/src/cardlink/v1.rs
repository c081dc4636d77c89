//! v1, the provider's public API: forms in, JSON out, bearer token.
//!
//! What its documents leave open is read generously: `success` comes as a string or a boolean, an amount as a string or a number, and
//! a member that cannot be read is none rather than an error, so that a person decides about it instead of a retry. Status words stay
//! text: a new one must not make an answer unreadable.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::{Bill, BillStatus};
use crate::money::Amount;

/// `POST {base}/bill/create`. Result, refund and chargeback addresses are settings of the provider's dashboard, not fields.
#[derive(Debug)]
pub struct CreateBill<'a> {
    pub amount: Amount,
    pub shop_id: &'a str,
    /// Ours; it comes back as `InvId`.
    pub order_id: Uuid,
    pub name: &'a str,
    pub description: &'a str,
    pub currency: &'a str,
    pub payer_pays_commission: bool,
    /// Seconds until the bill expires.
    pub ttl: u32,
    pub success_url: &'a str,
    pub fail_url: &'a str,
    /// `en` or `ru`.
    pub locale: &'a str,
    pub payer_email: &'a str,
}

impl CreateBill<'_> {
    /// The form body. A `normal` bill takes one payment.
    pub fn form(&self) -> String {
        Serializer::new(String::new())
            .append_pair("amount", &self.amount.to_string())
            .append_pair("shop_id", self.shop_id)
            .append_pair("order_id", &self.order_id.to_string())
            .append_pair("name", self.name)
            .append_pair("description", self.description)
            .append_pair("type", "normal")
            .append_pair("currency_in", self.currency)
            .append_pair("payer_pays_commission", if self.payer_pays_commission { "1" } else { "0" })
            .append_pair("ttl", &self.ttl.to_string())
            .append_pair("success_url", self.success_url)
            .append_pair("fail_url", self.fail_url)
            .append_pair("locale", self.locale)
            .append_pair("payer_email", self.payer_email)
            .finish()
    }
}

/// Answer of `bill/create`.
#[derive(Debug, Deserialize)]
pub struct Created {
    #[serde(default, deserialize_with = "lenient")]
    success: Option<Flag>,
    bill_id: String,
    /// The page to redirect to; `link_url` beside it is the one with the QR code.
    link_page_url: String,
}

impl Created {
    /// `None` when the provider says that it made no bill.
    pub fn into_bill(self) -> Option<Bill> {
        let bill = Bill {
            bill_id: self.bill_id,
            payment_url: self.link_page_url,
            expires_at: None,
        };
        self.success.is_none_or(|Flag(success)| success).then_some(bill)
    }
}

/// Answer of `GET {base}/bill/status?id=`. `amount` is what was asked for, whatever was paid and whoever pays the commission.
#[derive(Debug, Deserialize)]
pub struct BillState {
    pub id: String,
    #[serde(default, deserialize_with = "lenient_text")]
    pub order_id: Option<String>,
    pub status: String,
    #[serde(default, deserialize_with = "lenient_amount")]
    pub amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub currency_in: Option<String>,
    /// False once a `normal` bill is paid or its `ttl` is over. There is no status word for the latter.
    #[serde(default, deserialize_with = "lenient")]
    pub active: Option<Flag>,
    /// `YYYY-MM-DD HH:MM:SS`.
    #[serde(default, deserialize_with = "lenient_text")]
    pub created_at: Option<String>,
}

/// A page of `GET {base}/bill/search` or `/payment/search`.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    #[serde(default = "none", deserialize_with = "lenient")]
    meta: Option<Meta>,
    #[serde(default = "none", deserialize_with = "lenient")]
    links: Option<Links>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "lenient_text")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Links {
    #[serde(default, deserialize_with = "lenient_text")]
    next: Option<String>,
}

/// `#[serde(default)]` alone would ask the type of the rows for a default.
fn none<T>() -> Option<T> {
    None
}

impl<T> Page<T> {
    /// Where the next page begins; `None` on the last. Named in `meta`, else in the address of the next page.
    pub fn next_cursor(&self) -> Option<String> {
        let named = self.meta.as_ref().and_then(|meta| meta.next_cursor.clone());
        let in_link = || {
            let (_, query) = self.links.as_ref()?.next.as_deref()?.split_once('?')?;
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find_map(|(name, value)| (name == "cursor").then(|| value.into_owned()))
        };
        named.or_else(in_link).filter(|cursor| !cursor.is_empty())
    }
}

/// Answer of `GET {base}/bill/payments?id=`. A bill of our kind has a handful of payments at most, so the first page is all of them.
#[derive(Debug, Deserialize)]
pub struct Payments {
    pub data: Vec<Payment>,
}

impl Payments {
    /// What came in: the payments that brought money, without the commission where the payer bears it. `None` where one's amount
    /// cannot be read: a sum that leaves something out would look right.
    pub fn received(&self, payer_pays_commission: bool) -> Option<Amount> {
        let mut sum = Amount::ZERO;
        for payment in self.data.iter().filter(|payment| BillStatus::from_v1(&payment.status).has_money()) {
            let commission = if payer_pays_commission { payment.commission? } else { Amount::ZERO };
            sum = sum.checked_add(payment.amount?.saturating_sub(commission))?;
        }
        Some(sum)
    }
}

/// One payment, also the answer of `GET {base}/payment/status?id=&refunds=1&chargeback=1`.
#[derive(Debug, Deserialize)]
pub struct Payment {
    pub id: String,
    #[serde(default, deserialize_with = "lenient_text")]
    pub bill_id: Option<String>,
    pub status: String,
    #[serde(default, deserialize_with = "lenient_amount")]
    pub amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient_amount")]
    pub commission: Option<Amount>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub currency_in: Option<String>,
    /// What has been given back of it so far.
    #[serde(default, deserialize_with = "lenient_amount")]
    pub refunded_amount: Option<Amount>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub refunds: Vec<Reversal>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub chargeback: Vec<Reversal>,
}

/// A refund or a chargeback of a payment; status `NEW`, `PROCESS`, `SUCCESS` or `FAIL`.
#[derive(Debug, Deserialize)]
pub struct Reversal {
    pub id: String,
    pub status: String,
    #[serde(default, deserialize_with = "lenient_amount")]
    pub amount: Option<Amount>,
    /// Ours, where the provider repeats it; its documents do not say.
    #[serde(default, deserialize_with = "lenient_text")]
    pub order_id: Option<String>,
    /// The payment it belongs to.
    #[serde(default, deserialize_with = "lenient_text")]
    pub entity_id: Option<String>,
}

impl Reversal {
    pub fn is_done(&self) -> bool {
        self.status == "SUCCESS"
    }
}

/// A refusal: `{"success":false,"message"}`, or Laravel's `{"message","errors":{field:[text]}}`.
#[derive(Debug, Deserialize)]
pub struct Refused {
    #[serde(default, deserialize_with = "lenient_text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    errors: Option<std::collections::BTreeMap<String, Box<RawValue>>>,
}

impl Refused {
    /// What may be logged of it: the provider's own code and the names of the fields. Its sentences may quote what was sent.
    pub fn summary(&self) -> String {
        let plain = |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
        let code = self
            .message
            .as_deref()
            .filter(|message| message.starts_with("api:error.") && plain(message));
        let fields = self
            .errors
            .iter()
            .flat_map(|errors| errors.keys().map(String::as_str))
            .filter(|field| plain(field))
            .take(10);
        code.into_iter().chain(fields).collect::<Vec<_>>().join(" ")
    }
}

/// `true`, `"true"` or `1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(matches!(
            token.get().trim_matches('"').to_ascii_lowercase().as_str(),
            "true" | "1"
        )))
    }
}

/// A member that is missing, null or of another shape is none.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let token = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(token.and_then(|token| serde_json::from_str(token.get()).ok()))
}

fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    lenient(deserializer)
}

fn lenient_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    let token = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(token.and_then(|token| Amount::from_json_token(token.get()).ok()))
}

/// The documents do not say whether it is one object or a list.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Reversal>, D::Error> {
    let Some(token) = Option::<Box<RawValue>>::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    let many = serde_json::from_str::<Vec<Reversal>>(token.get()).ok();
    Ok(many
        .or_else(|| serde_json::from_str(token.get()).ok().map(|one| vec![one]))
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
    }

    fn money(text: &str) -> Option<Amount> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_bill_is_asked_for_as_a_form() {
        let bill = CreateBill {
            amount: "37.5".parse().unwrap(),
            shop_id: "G1vrEyX0LR",
            order_id: Uuid::from_u128(7),
            name: "Nimbus & Co, 50 ₽",
            description: "Order",
            currency: "USD",
            payer_pays_commission: true,
            ttl: 3600,
            success_url: "https://shop.example/pay/return/success?orderId=7",
            fail_url: "https://shop.example/pay/return/fail",
            locale: "en",
            payer_email: "a+b@example.com",
        };
        assert_eq!(
            bill.form(),
            "amount=37.50&shop_id=G1vrEyX0LR&order_id=00000000-0000-0000-0000-000000000007&name=Nimbus+%26+Co%2C+50+%E2%82%BD&description=Order\
             &type=normal&currency_in=USD&payer_pays_commission=1&ttl=3600\
             &success_url=https%3A%2F%2Fshop.example%2Fpay%2Freturn%2Fsuccess%3ForderId%3D7&fail_url=https%3A%2F%2Fshop.example%2Fpay%2Freturn%2Ffail\
             &locale=en&payer_email=a%2Bb%40example.com"
        );
    }

    #[test]
    fn the_next_page_is_named_in_meta_or_in_a_link_and_not_after_the_last() {
        let page = |rest: &str| read::<Page<BillState>>(&format!(r#"{{"data":[{{"id":"b","status":"NEW"}}]{rest}}}"#));
        assert_eq!(page(r#","meta":{"next_cursor":"ab"}"#).next_cursor().as_deref(), Some("ab"));
        let link = page(r#","meta":{},"links":{"next":"https://pay.example/bill/search?per_page=1&cursor=a%3Db"}"#);
        assert_eq!((link.next_cursor().as_deref(), link.data.len()), (Some("a=b"), 1));
        for last in [
            "",
            r#","meta":{"next_cursor":null},"links":{"next":null}"#,
            r#","meta":[],"links":7"#,
        ] {
            assert_eq!(page(last).next_cursor(), None, "{last}");
        }
    }

    #[test]
    fn success_is_read_as_a_string_and_as_a_boolean() {
        let bill = |success: &str| {
            let json = format!(
                r#"{{{success}"link_url":"https://pay.example/q","link_page_url":"https://pay.example/t","bill_id":"3P1p2rgW7Y"}}"#
            );
            read::<Created>(&json)
                .into_bill()
                .map(|bill| (bill.bill_id, bill.payment_url, bill.expires_at))
        };
        let made = Some(("3P1p2rgW7Y".to_owned(), "https://pay.example/t".to_owned(), None));
        for success in [r#""success":"true","#, r#""success":true,"#, ""] {
            assert_eq!(bill(success), made, "{success}");
        }
        for success in [r#""success":"false","#, r#""success":false,"#] {
            assert_eq!(bill(success), None, "{success}");
        }
    }

    #[test]
    fn a_published_status_answer_is_read() {
        let state: BillState = read(
            r#"{"id":"LXZv3R7Q5B","order_id":"order-285394168","status":"NEW","type":"MULTI","amount":100.05,"currency_in":"RUB",
                "created_at":"2020-11-11 14:46:20","ttl":600,"success":true}"#,
        );
        assert_eq!(
            (state.id.as_str(), state.order_id.as_deref(), state.status.as_str()),
            ("LXZv3R7Q5B", Some("order-285394168"), "NEW")
        );
        assert_eq!(
            (state.amount, state.currency_in.as_deref(), state.active),
            (money("100.05"), Some("RUB"), None)
        );
    }

    #[test]
    fn what_cannot_be_read_is_none_and_no_error() {
        let state: BillState = read(r#"{"id":"b","status":"SUCCESS","amount":1e2,"currency_in":643,"order_id":null,"active":[]}"#);
        assert_eq!(
            (state.amount, state.currency_in, state.order_id, state.active),
            (None, None, None, Some(Flag(false)))
        );
        assert!(
            serde_json::from_str::<BillState>(r#"{"id":"b"}"#).is_err(),
            "without a status there is no answer"
        );
    }

    #[test]
    fn what_came_in_is_the_sum_of_the_payments_that_brought_money() {
        let payments: Payments = read(
            r#"{"data":[{"id":"p1","bill_id":"b","status":"FAIL","amount":"37.50"},
                        {"id":"p2","bill_id":"b","status":"SUCCESS","amount":37.5,"commission":"1.40"},
                        {"id":"p3","bill_id":"b","status":"SUCCESS","amount":5,"commission":0.4}],"links":{},"meta":{}}"#,
        );
        assert_eq!(payments.received(false), money("42.50"));
        assert_eq!(payments.received(true), money("40.70"));
        let unreadable: Payments = read(r#"{"data":[{"id":"p","status":"SUCCESS","amount":"many"}]}"#);
        assert_eq!(unreadable.received(false), None);
    }

    #[test]
    fn refunds_and_a_chargeback_come_alone_in_a_list_or_not_at_all() {
        let payment = |more: &str| {
            read::<Payment>(&format!(
                r#"{{"id":"p","bill_id":"b","status":"SUCCESS","refunded_amount":"5.00"{more}}}"#
            ))
        };
        let listed =
            payment(r#","refunds":[{"id":"r1","status":"SUCCESS","amount":5},{"id":"r2","status":"NEW","amount":1}],"chargeback":null"#);
        assert_eq!(
            listed
                .refunds
                .iter()
                .filter(|r| r.is_done())
                .map(|r| r.id.as_str())
                .collect::<Vec<_>>(),
            ["r1"]
        );
        assert_eq!((listed.refunds[0].amount, listed.chargeback.len()), (money("5.00"), 0));
        let alone = payment(r#","chargeback":{"id":"c1","status":"SUCCESS"}"#);
        assert!(alone.chargeback[0].is_done() && alone.refunds.is_empty());
        assert!(payment(r#","chargeback":false"#).chargeback.is_empty());
    }

    #[test]
    fn a_refusal_is_logged_without_what_it_quotes() {
        let laravel: Refused = read(
            r#"{"message":"The payer email a@example.com is wrong.","errors":{"payer_email":["a@example.com is no address"],"ttl":["too long"],"a@b.c":[]}}"#,
        );
        assert_eq!(laravel.summary(), "payer_email ttl");
        assert_eq!(
            read::<Refused>(r#"{"success":false,"message":"api:error.shop_not_found"}"#).summary(),
            "api:error.shop_not_found"
        );
        assert_eq!(read::<Refused>(r#"{"message":"Unauthenticated."}"#).summary(), "");
    }
}
