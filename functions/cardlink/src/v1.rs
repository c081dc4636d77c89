//! The v1 notices: forms whose `SignatureValue` is the upper-case hex MD5 of a few of their fields and the API token, joined by `:`.
//!
//! | notice | goes to | signed |
//! |---|---|---|
//! | payment | Result URL | `OutSum:InvId:token` |
//! | refund | Refund URL | `Amount:Currency:BillId:PaymentId:Id:token` |
//! | chargeback | Chargeback URL | `BillId:PaymentId:Id:token` |
//!
//! The strings are hashed exactly as they come out of the form; a number is never reparsed. `Status` is signed nowhere, and the payer's
//! browser carries a signature of the payment formula to the success **and** the fail page: whoever fails to pay can post a "paid" notice
//! that verifies. So a [`Verified`] notice says what it is about, and nothing else; see [`crate::confirm`].

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use shared::secret::{Secret, constant_time_eq};
use url::form_urlencoded;

use crate::v2::Refusal;

/// Most fields a notice may have. The provider sends up to twenty.
const MAX_FIELDS: usize = 50;
/// Longest signed field, in bytes.
const MAX_SIGNED: usize = 255;
const SIGNATURE: &str = "SignatureValue";
/// What is kept with the log row. Not among them: the payer's name, address, phone and card, and whatever else may come.
const LOGGED: [&str; 16] = [
    "InvId",
    "OutSum",
    "Commission",
    "TrsId",
    "Status",
    "CurrencyIn",
    "AccountType",
    "BalanceAmount",
    "BalanceCurrency",
    "ErrorCode",
    "ErrorMessage",
    "Id",
    "Amount",
    "Currency",
    "BillId",
    "PaymentId",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Payment,
    Refund,
    Chargeback,
}

impl Kind {
    /// As `api.find_bill` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Chargeback => "chargeback",
        }
    }

    /// The signed fields, in the order of the formula.
    const fn signed(self) -> &'static [&'static str] {
        match self {
            Self::Payment => &["OutSum", "InvId"],
            Self::Refund => &["Amount", "Currency", "BillId", "PaymentId", "Id"],
            Self::Chargeback => &["BillId", "PaymentId", "Id"],
        }
    }

    /// The signed field that says what the notice is about: our order, or the provider's bill.
    const fn reference(self) -> &'static str {
        match self {
            Self::Payment => "InvId",
            Self::Refund | Self::Chargeback => "BillId",
        }
    }
}

/// A notice whose signature has been checked; it can be made by [`verify`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    kind: Kind,
    fields: BTreeMap<String, String>,
}

impl Verified {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// InvId of a payment notice, BillId of the others.
    pub fn reference(&self) -> &str {
        self.field(self.kind.reference())
    }

    /// A field, or the empty text. Only those of [`Kind::signed`] are the provider's for certain.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The fields worth a log row, cut to a bearable length. U+0000 cannot be stored.
    pub fn logged(&self) -> BTreeMap<&'static str, String> {
        let short = |text: &str| text.chars().take(200).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
        LOGGED
            .into_iter()
            .filter_map(|name| Some((name, short(self.fields.get(name)?))))
            .collect()
    }
}

/// During moderation the provider may call an address with nothing at all.
pub fn is_empty_call(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}

/// Checks the signature over the form-decoded strings.
pub fn verify(kind: Kind, token: &Secret, body: &[u8]) -> Result<Verified, Refusal> {
    let fields = read(body)?;
    let mut signed = Vec::new();
    for name in kind.signed() {
        let value = fields.get(*name).filter(|value| (1..=MAX_SIGNED).contains(&value.len()));
        signed.push(
            value
                .ok_or(Refusal::Malformed("a signed field is missing, empty or too long"))?
                .as_str(),
        );
    }
    // What is not UTF-8 has been replaced by the decoder: the string hashed would not be the string sent.
    if signed.iter().any(|value| value.contains('\u{fffd}')) {
        return Err(Refusal::Malformed("a signed field is not UTF-8"));
    }
    if signed.iter().any(|value| value.contains('\0')) {
        return Err(Refusal::Malformed("a signed field holds U+0000"));
    }
    // With the separator inside a field, two different notices could hash alike. Only the last one may hold it.
    if signed.iter().rev().skip(1).any(|value| value.contains(':')) {
        return Err(Refusal::Malformed("a signed field holds a colon"));
    }
    let expected = signature(&signed, token);
    let given = fields.get(SIGNATURE).map(|given| given.to_ascii_uppercase()).unwrap_or_default();
    if constant_time_eq(expected.as_bytes(), given.as_bytes()) {
        Ok(Verified { kind, fields })
    } else {
        Err(Refusal::InvalidSignature)
    }
}

/// Upper-case hex MD5 of the parts and the token, joined by `:`.
fn signature(parts: &[&str], token: &Secret) -> String {
    let text = [parts, &[token.expose()]].concat().join(":");
    hex::encode_upper(Md5::digest(text))
}

fn read(body: &[u8]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if fields.len() >= MAX_FIELDS || fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(Refusal::Malformed("a field comes twice, or there are too many"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "test-cardlink-token";
    const PAYMENT: &str = "Status=SUCCESS&InvId=ord_1001&Commission=0.00&CurrencyIn=USD&OutSum=75.00&TrsId=BILL-1&SignatureValue=654DBB48B40B07D4523B19363AB28833";
    const REFUND: &str = "Id=REF-1&Amount=10.99&Currency=USD&Status=SUCCESS&InvId=ord_1001&BillId=BILL-1&PaymentId=PAY-1&SignatureValue=9F95607265FC311D12876C90F7C351A5";
    const CHARGEBACK: &str =
        "Id=CB-1&Status=SUCCESS&InvId=ord_1001&BillId=BILL-1&PaymentId=PAY-1&SignatureValue=5268D3D1C9872DB6CDC762548E2651E4";

    fn token(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn check(kind: Kind, body: &str) -> Result<Verified, Refusal> {
        verify(kind, &token(TOKEN), body.as_bytes())
    }

    fn payment(out_sum: &str, inv_id: &str, signature: &str) -> Result<Verified, Refusal> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("OutSum", out_sum),
                ("InvId", inv_id),
                ("Status", "SUCCESS"),
                ("SignatureValue", signature),
            ])
            .finish();
        check(Kind::Payment, &body)
    }

    /// The vectors of the provider's reference and those computed for the project, by the text that is hashed.
    #[test]
    fn the_published_and_the_computed_digests_are_reproduced() {
        for (parts, key, digest) in [
            (
                &["380.55", "payment-19238465"][..],
                "72|oBCB7Z3SmUm1gvkpEdRcSR2q1ERHpG4vD3DNBmuT",
                "DC32D403CE6BD2E54D4D213278DB286C",
            ),
            (&["75.00", "ord_1001"], TOKEN, "654DBB48B40B07D4523B19363AB28833"),
            (&["18.54", "Order 123"], TOKEN, "435805623AAC4E7CFA49EBB215A900FF"),
            (&["18.54", "Заказ 123"], TOKEN, "B65F52FBD2D2AA048631657C46AB1DCF"),
            (
                &["10.99", "USD", "BILL-1", "PAY-1", "REF-1"],
                TOKEN,
                "9F95607265FC311D12876C90F7C351A5",
            ),
            (&["BILL-1", "PAY-1", "CB-1"], TOKEN, "5268D3D1C9872DB6CDC762548E2651E4"),
            // Payouts are not taken here; the formula is the same.
            (&["1500.00", "PO-1"], TOKEN, "188B742E946022EF490E85621C26CDD6"),
        ] {
            assert_eq!(signature(parts, &token(key)), digest, "{parts:?}");
        }
    }

    #[test]
    fn notices_verify_on_the_strings_that_come_out_of_the_form() {
        assert_eq!(
            payment("75.00", "ord_1001", "654DBB48B40B07D4523B19363AB28833")
                .unwrap()
                .reference(),
            "ord_1001"
        );
        assert_eq!(
            payment("18.54", "Order 123", "435805623AAC4E7CFA49EBB215A900FF")
                .unwrap()
                .reference(),
            "Order 123"
        );
        assert_eq!(
            payment("18.54", "Заказ 123", "B65F52FBD2D2AA048631657C46AB1DCF")
                .unwrap()
                .reference(),
            "Заказ 123"
        );
        let published = "OutSum=380.55&InvId=payment-19238465&SignatureValue=DC32D403CE6BD2E54D4D213278DB286C";
        assert!(
            verify(
                Kind::Payment,
                &token("72|oBCB7Z3SmUm1gvkpEdRcSR2q1ERHpG4vD3DNBmuT"),
                published.as_bytes()
            )
            .is_ok()
        );
        // The space as `+` and as `%20` is the same string.
        assert!(
            check(
                Kind::Payment,
                "OutSum=18.54&InvId=Order%20123&SignatureValue=435805623AAC4E7CFA49EBB215A900FF"
            )
            .is_ok()
        );
        assert_eq!(check(Kind::Payment, PAYMENT).unwrap().field("TrsId"), "BILL-1");
        assert_eq!(check(Kind::Refund, REFUND).unwrap().reference(), "BILL-1");
        assert_eq!(check(Kind::Chargeback, CHARGEBACK).unwrap().field("PaymentId"), "PAY-1");
    }

    #[test]
    fn the_case_of_the_signature_does_not_matter() {
        assert!(payment("75.00", "ord_1001", "654dbb48b40b07d4523b19363ab28833").is_ok());
    }

    #[test]
    fn other_digests_do_not_verify() {
        for (out_sum, inv_id, digest) in [
            // A number printed in another way is another string.
            ("75.00", "ord_1001", "28549474F10C9FC46AAE6C8E094F2C06"),
            ("75.00", "ord_1001", "D31D4A0C5A994E8F452AE61773FBC0C4"),
            ("75", "ord_1001", "654DBB48B40B07D4523B19363AB28833"),
            ("75.0", "ord_1001", "654DBB48B40B07D4523B19363AB28833"),
            ("75.00", "ord_1002", "654DBB48B40B07D4523B19363AB28833"),
            ("75.00", "ord_1001", "654DBB48B40B07D4523B19363AB2883"),
            ("75.00", "ord_1001", " 654DBB48B40B07D4523B19363AB28833"),
            ("75.00", "ord_1001", ""),
            // Printed in the provider's reference, but made with no printed token; the last is not even hex.
            ("380.55", "payment-19238465", "5A41374P24C9"),
        ] {
            assert_eq!(
                payment(out_sum, inv_id, digest),
                Err(Refusal::InvalidSignature),
                "{out_sum} {inv_id} {digest}"
            );
        }
        assert_eq!(
            verify(Kind::Payment, &token("another"), PAYMENT.as_bytes()),
            Err(Refusal::InvalidSignature)
        );
        assert_eq!(check(Kind::Payment, "OutSum=75.00&InvId=ord_1001"), Err(Refusal::InvalidSignature));
    }

    #[test]
    fn a_notice_of_one_kind_is_none_of_another() {
        assert_eq!(check(Kind::Chargeback, REFUND), Err(Refusal::InvalidSignature));
        assert!(matches!(check(Kind::Refund, CHARGEBACK), Err(Refusal::Malformed(_))));
        assert!(matches!(check(Kind::Payment, REFUND), Err(Refusal::Malformed(_))));
        // The text hashed for a chargeback, cut at another colon.
        assert!(
            check(
                Kind::Payment,
                "OutSum=BILL-1&InvId=PAY-1:CB-1&SignatureValue=5268D3D1C9872DB6CDC762548E2651E4"
            )
            .is_ok(),
            "an unknown order"
        );
        let cut = "BillId=10.99:USD:BILL-1&PaymentId=PAY-1&Id=REF-1&SignatureValue=9F95607265FC311D12876C90F7C351A5";
        assert!(matches!(check(Kind::Chargeback, cut), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn unsigned_fields_can_be_anything_and_verify_all_the_same() {
        let signed = "OutSum=75.00&InvId=ord_1001&SignatureValue=654DBB48B40B07D4523B19363AB28833";
        for unsigned in [
            "",
            "&Status=FAIL",
            "&Status=OVERPAID&CurrencyIn=RUB",
            "&Commission=-5&TrsId=other&custom=x",
            // A payer can write anything into the comment; a notice of real money must not be lost over it.
            "&PayerComment=%CF%F0%E8&PayerName=%EF%BF%BD",
        ] {
            assert!(check(Kind::Payment, &format!("{signed}{unsigned}")).is_ok(), "{unsigned}");
        }
    }

    #[test]
    fn what_is_no_form_or_lacks_a_signed_field_is_malformed() {
        for body in [
            "=",
            "{}",
            "OutSum=75.00&SignatureValue=x",
            "InvId=ord_1001&SignatureValue=x",
            "OutSum=&InvId=ord_1001&SignatureValue=x",
            "OutSum=75.00&InvId=a%00&SignatureValue=x",
            "OutSum=75.00&InvId=a&InvId=b&SignatureValue=x",
            "OutSum=75.00&InvId=%FF&SignatureValue=x",
            "OutSum=7:5&InvId=a&SignatureValue=x",
            &format!("OutSum=75.00&InvId={}&SignatureValue=x", "a".repeat(256)),
            &format!("{PAYMENT}{}", (0..60).map(|i| format!("&k{i}=1")).collect::<String>()),
        ] {
            assert!(matches!(check(Kind::Payment, body), Err(Refusal::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn an_empty_call_is_recognised() {
        assert!(is_empty_call(b"") && is_empty_call(b" \r\n"));
        assert!(!is_empty_call(b"=") && !is_empty_call(b"a"));
    }

    #[test]
    fn the_log_copy_holds_no_signature_and_nobodys_address() {
        let body = format!("{PAYMENT}&PayerEmail=a%40example.com&PayerPhone=1&AccountNumber=4111**1111&custom=%00&ErrorMessage=%00x");
        let logged = check(Kind::Payment, &body).unwrap().logged();
        assert_eq!(
            logged.keys().copied().collect::<Vec<_>>(),
            ["Commission", "CurrencyIn", "ErrorMessage", "InvId", "OutSum", "Status", "TrsId"]
        );
        assert_eq!(logged["ErrorMessage"], "\u{fffd}x");
    }

    proptest! {
        #[test]
        fn any_altered_signed_string_is_noticed(out_sum in "[0-9]{1,4}(\\.[0-9]{1,2})?", inv_id in "[a-zA-Z0-9_ -]{1,40}") {
            prop_assume!((out_sum.as_str(), inv_id.as_str()) != ("75.00", "ord_1001"));
            prop_assert_eq!(payment(&out_sum, &inv_id, "654DBB48B40B07D4523B19363AB28833"), Err(Refusal::InvalidSignature));
        }

        #[test]
        fn any_bytes_are_verified_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for kind in [Kind::Payment, Kind::Refund, Kind::Chargeback] {
                prop_assert!(verify(kind, &token(TOKEN), &body).is_err());
            }
        }
    }
}
