//! What v1 sends to the shop: forms with PascalCase names, signed with upper-case hex MD5 over a few fields and the API token.
//!
//! | | signed |
//! |---|---|
//! | payment notice, and what the browser carries to the success or fail page | `OutSum:InvId:token` |
//! | refund notice | `Amount:Currency:BillId:PaymentId:Id:token` |
//! | chargeback notice | `BillId:PaymentId:Id:token` |

use md5::{Digest, Md5};
use url::form_urlencoded::Serializer;

use crate::bills::Bill;
use crate::payments::{Payment, Reversal};
use crate::signature::amount_text;

pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const SIGNATURE: &str = "SignatureValue";

pub fn sign(parts: &[&str], token: &str) -> String {
    hex::encode_upper(Md5::digest(format!("{}:{token}", parts.join(":"))))
}

/// The fields the payer's browser posts to the success or fail page. No status: the page's address says it, and anybody can open it.
pub fn carried(bill: &Bill, payment: &Payment, token: &str) -> Vec<(&'static str, String)> {
    let (out_sum, (_, currency)) = (amount_text(payment.amount), bill.reported());
    let signature = sign(&[&out_sum, &bill.request.order_id], token);
    vec![
        ("InvId", bill.request.order_id.clone()),
        ("OutSum", out_sum),
        ("CurrencyIn", currency.to_owned()),
        (SIGNATURE, signature),
    ]
}

pub fn payment(bill: &Bill, payment: &Payment, status: &str, token: &str) -> String {
    let (out_sum, (_, currency)) = (amount_text(payment.amount), bill.reported());
    let mut form = Serializer::new(String::new());
    form.append_pair("Status", status)
        .append_pair("InvId", &bill.request.order_id)
        .append_pair("Commission", &amount_text(payment.commission))
        .append_pair("CurrencyIn", currency)
        .append_pair("OutSum", &out_sum)
        .append_pair("TrsId", &bill.id)
        .append_pair("AccountType", "BANK_CARD")
        .append_pair("AccountNumber", "411111******1111");
    if !payment.succeeded {
        form.append_pair("ErrorCode", "5").append_pair("ErrorMessage", "Insufficient funds");
    }
    form.append_pair(SIGNATURE, &sign(&[&out_sum, &bill.request.order_id], token))
        .finish()
}

pub fn refund(bill: &Bill, payment_id: &str, refund: &Reversal, token: &str) -> String {
    let (amount, (_, currency)) = (amount_text(refund.amount), bill.reported());
    Serializer::new(String::new())
        .append_pair("Id", &refund.id)
        .append_pair("Amount", &amount)
        .append_pair("Currency", currency)
        .append_pair("Status", refund.state.name())
        .append_pair("InvId", &bill.request.order_id)
        .append_pair("BillId", &bill.id)
        .append_pair("PaymentId", payment_id)
        .append_pair(SIGNATURE, &sign(&[&amount, currency, &bill.id, payment_id, &refund.id], token))
        .finish()
}

pub fn chargeback(bill: &Bill, payment_id: &str, chargeback: &Reversal, token: &str) -> String {
    Serializer::new(String::new())
        .append_pair("Id", &chargeback.id)
        .append_pair("Status", "SUCCESS")
        .append_pair("InvId", &bill.request.order_id)
        .append_pair("BillId", &bill.id)
        .append_pair("PaymentId", payment_id)
        .append_pair(SIGNATURE, &sign(&[&bill.id, payment_id, &chargeback.id], token))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_published_digest_and_the_computed_ones_reproduce() {
        for (parts, token, digest) in [
            (
                &["380.55", "payment-19238465"][..],
                "72|oBCB7Z3SmUm1gvkpEdRcSR2q1ERHpG4vD3DNBmuT",
                "DC32D403CE6BD2E54D4D213278DB286C",
            ),
            (&["75.00", "ord_1001"], "test-cardlink-token", "654DBB48B40B07D4523B19363AB28833"),
            (
                &["10.99", "USD", "BILL-1", "PAY-1", "REF-1"],
                "test-cardlink-token",
                "9F95607265FC311D12876C90F7C351A5",
            ),
            (
                &["BILL-1", "PAY-1", "CB-1"],
                "test-cardlink-token",
                "5268D3D1C9872DB6CDC762548E2651E4",
            ),
        ] {
            assert_eq!(sign(parts, token), digest);
        }
    }
}
