//! v2: one sum, printed in every way, in the body and in the signed text.

use lonieve_tests::Shop;

use crate::attack::{Case, Expected, attack, orders};
use crate::v2_wire::{FORMS, Form, body, genuine, json, members, printed, quoted, sign};

/// Worked out by hand. A sent token verifies where the signed text has it as sent, as JavaScript prints that number, or with two decimals;
/// a text verifies as sent only. What verifies must then be an amount; an exponent is none, whoever signed it.
#[tokio::test]
async fn a_sum_verifies_in_three_printed_forms_and_in_no_other() {
    use Expected::{Accepted, BadSignature};
    const NO_AMOUNT: Expected = Expected::Malformed(Some("amount is missing or no amount"));
    const NO_JSON: Expected = Expected::Malformed(Some("body is not a flat JSON object with each key once"));
    // What the signed text has, for the columns.
    const PRINTED: [&str; 5] = ["37.5", "37.50", "37.500", "3.75e1", "3750"];
    let table: [(&str, [Expected; 5]); 15] = [
        ("37.5", [Accepted, Accepted, BadSignature, BadSignature, BadSignature]),
        ("37.50", [Accepted, Accepted, BadSignature, BadSignature, BadSignature]),
        ("37.500", [Accepted, Accepted, Accepted, BadSignature, BadSignature]),
        (
            "37.5000000000000000000000",
            [NO_AMOUNT, BadSignature, BadSignature, BadSignature, BadSignature],
        ),
        (
            "37.50000000000000000001",
            [NO_AMOUNT, BadSignature, BadSignature, BadSignature, BadSignature],
        ),
        ("3.75e1", [NO_AMOUNT, BadSignature, BadSignature, NO_AMOUNT, BadSignature]),
        ("375E-1", [NO_AMOUNT, BadSignature, BadSignature, BadSignature, BadSignature]),
        ("\"37.5\"", [Accepted, BadSignature, BadSignature, BadSignature, BadSignature]),
        ("\"37.50\"", [BadSignature, Accepted, BadSignature, BadSignature, BadSignature]),
        ("\"37.500\"", [BadSignature, BadSignature, Accepted, BadSignature, BadSignature]),
        ("\"3.75e1\"", [BadSignature, BadSignature, BadSignature, NO_AMOUNT, BadSignature]),
        ("37.5e", [NO_JSON, NO_JSON, NO_JSON, NO_JSON, NO_JSON]),
        ("037.5", [NO_JSON, NO_JSON, NO_JSON, NO_JSON, NO_JSON]),
        ("+37.5", [NO_JSON, NO_JSON, NO_JSON, NO_JSON, NO_JSON]),
        (
            "3750",
            [
                BadSignature,
                BadSignature,
                BadSignature,
                BadSignature,
                Expected::Heard("manual_review"),
            ],
        ),
    ];
    let shop = Shop::new().await;
    let mut placed = orders(&shop, table.len() * PRINTED.len()).await.into_iter();
    let mut cases = Vec::new();
    for (sent, expected) in table {
        for (text, expected) in PRINTED.into_iter().zip(expected) {
            // Another sum under a genuine signature: `refusals_cardlink/outcomes.rs`.
            if matches!(expected, Expected::Heard(_)) {
                continue;
            }
            let order = placed.next().unwrap();
            let form = Form {
                sent,
                printed: text,
                name: "",
            };
            let forged = json(body(&members(&order, form), &quoted(&sign(&shop, &printed(&order, form)))));
            let twin = json(genuine(&shop, &order, FORMS[0]));
            cases.push(Case {
                name: format!("{sent} signed as {text}"),
                order,
                forged,
                expected,
                twin,
                twin_outcome: "fulfilled",
            });
        }
    }
    attack(&shop, cases).await;
}

/// In whichever order the members come, the signature among them, it is one notice.
#[tokio::test]
async fn every_order_of_the_members_is_the_same_notice() {
    let shop = Shop::new().await;
    for form in FORMS {
        let order = orders(&shop, 1).await.remove(0);
        let mut tokens = members(&order, form);
        tokens.push(("signature".into(), quoted(&sign(&shop, &printed(&order, form)))));
        let tokens: Vec<String> = tokens.iter().map(|(name, token)| format!("\"{name}\":{token}")).collect();
        let mut all = Vec::new();
        permutations(tokens, 0, &mut all);
        assert_eq!(all.len(), 120);
        for (index, tokens) in all.iter().enumerate() {
            let reply = json(format!("{{{}}}", tokens.join(","))).post(&shop).await;
            let expected = if index == 0 { "fulfilled" } else { "already_processed" };
            assert_eq!(reply.expect(200)["outcome"], expected, "{tokens:?}");
        }
    }
    assert_eq!(crate::attack::sold(&shop).await, 4);
}

fn permutations(mut items: Vec<String>, from: usize, all: &mut Vec<Vec<String>>) {
    if from == items.len() {
        all.push(items);
        return;
    }
    for index in from..items.len() {
        items.swap(from, index);
        permutations(items.clone(), from + 1, all);
        items.swap(from, index);
    }
}
