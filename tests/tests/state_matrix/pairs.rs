//! All the pairs.

use std::sync::Arc;

use futures::future::join_all;
use lonieve_tests::interleaving::Ground;
use lonieve_tests::interleaving::ground::{CARDLINK, Line};
use lonieve_tests::interleaving::till::{Placed, Till};
use serde_json::Value;

use crate::document;
use crate::expected::{self, SAID, Said};
use crate::snapshot;
use crate::states::{ALL, State};

/// Says it, and returns the outcome.
async fn say(till: &Till, placed: &Placed, state: State, said: Said) -> String {
    let notice = |status: &str| ("settle_payment", till.notice(placed, status));
    let paid = |amount: &str, currency: &str| ("settle_payment", till.notice_of(placed, "paid", amount, currency, None));
    let received = |status: &str, received: &str| ("settle_payment", till.notice_of(placed, status, "37.50", "USD", Some(received)));
    let back = |more: Option<i64>| {
        let mut cents = state.given_back().to_vec();
        cents.extend(more.filter(|more| *more > 0));
        ("settle_refund", till.refund(placed, &cents, state.currency()))
    };
    let known: i64 = state.given_back().iter().sum();
    let (function, p): (&str, Value) = match said {
        Said::Paid => paid("37.50", "USD"),
        Said::Less => paid("30.00", "USD"),
        Said::More => paid("40.00", "USD"),
        Said::Foreign => paid("37.50", "EUR"),
        Said::Overpaid => received("overpaid", "45.00"),
        Said::Underpaid => received("underpaid", "20.00"),
        Said::Failed => notice("failed"),
        Said::Expired => notice("expired"),
        Said::Pending => notice("pending"),
        Said::Part if known >= state.came_in() => back(None),
        Said::Part => back(Some(if known > 0 { 500 } else { 1000 })),
        Said::Rest => back(Some(state.came_in() - known)),
        Said::NothingNew => back(None),
        Said::Chargeback => ("settle_chargeback", till.chargeback(placed, true)),
        Said::Claimed => ("settle_chargeback", till.chargeback(placed, false)),
    };
    let answer = till.one.call(CARDLINK, function, &p).await;
    let answer = answer.unwrap_or_else(|refused| panic!("{state:?}, {said:?}: {refused:?}"));
    assert_eq!(answer["order_id"], placed.order.as_str(), "{state:?}, {said:?}");
    answer["outcome"].as_str().unwrap().to_owned()
}

async fn pair(ground: &Arc<Ground>, line: &Arc<Line>, state: State, said: Said) {
    let (till, placed) = state.reach(ground, line).await;
    assert_eq!(snapshot::of(&till, &placed).await, state.looks(), "{state:?} is reached");
    let (others, logs, metrics) = snapshot::rows(&till).await;
    let (outcome, looks) = expected::of(state, said);
    assert_eq!(say(&till, &placed, state, said).await, outcome, "{state:?}, {said:?}");
    assert_eq!(snapshot::of(&till, &placed).await, looks, "{state:?}, {said:?}");
    // The call is logged and measured, and nothing else is anywhere.
    assert_eq!(snapshot::rows(&till).await, (others, logs + 1, metrics + 1), "{state:?}, {said:?}");

    // The same again, a year later: the bill is still found, and nothing moves any more.
    till.world.advance(366 * 24 * 3600);
    let again = say(&till, &placed, state, said).await;
    let settled = [
        "fulfilled",
        "manual_review",
        "refunded",
        "partially_refunded",
        "chargeback",
        "failed",
        "expired",
    ];
    if settled.contains(&outcome) {
        assert_eq!(again, "already_processed", "{state:?}, {said:?} again");
    }
    // By then the bill is over, and `failed` frees a code that was kept for another attempt.
    let looks = if said == Said::Failed { expected::given_up(looks) } else { looks };
    assert_eq!(snapshot::of(&till, &placed).await, looks, "{state:?}, {said:?} again");
    till.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pair_of_state_and_notice_has_the_one_outcome_of_the_document() {
    let ground = Arc::new(Ground::shared().await);
    let cases: Vec<(State, Said)> = ALL.iter().flat_map(|state| SAID.map(|said| (*state, said))).collect();
    assert_eq!(cases.len(), 22 * 14);
    let lines = join_all((0..4).map(|_| ground.line())).await;
    let work = lines.into_iter().map(Arc::new).enumerate().map(|(at, line)| {
        let (ground, cases) = (&ground, &cases);
        async move {
            for (state, said) in cases.iter().skip(at).step_by(4) {
                pair(ground, &line, *state, *said).await;
            }
        }
    });
    join_all(work).await;
    if let Ok(ground) = Arc::try_unwrap(ground) {
        ground.stop().await;
    }
}

/// What the document's cell allows.
fn allowed(cell: &str) -> Vec<String> {
    if cell.starts_with("the money is taken") {
        return vec!["fulfilled".into(), "manual_review".into()];
    }
    let mut words = document::words(cell);
    words.truncate(1);
    words
}

#[test]
fn the_documents_tables_say_what_is_expected_here() {
    let notices = document::table(&["order is", "paid", "overpaid", "underpaid", "failed", "expired", "pending"]);
    let reversals = document::table(&["order is", "a part went back", "all has gone back", "chargeback"]);
    let row = |rows: &[Vec<String>], name: &str| {
        let found: Vec<Vec<String>> = rows.iter().filter(|row| row[0] == name).cloned().collect();
        assert_eq!(found.len(), 1, "the document has no row {name}");
        found[0].clone()
    };
    let mut used = std::collections::BTreeSet::new();
    for state in ALL {
        for said in SAID {
            let (outcome, after) = expected::of(state, said);
            let column = match said {
                Said::Paid | Said::Less | Said::More | Said::Foreign => 1,
                Said::Overpaid => 2,
                Said::Underpaid => 3,
                Said::Failed => 4,
                Said::Expired => 5,
                Said::Pending => 6,
                Said::Part => 7,
                Said::Rest => 8,
                Said::NothingNew => 9,
                Said::Chargeback => 10,
                Said::Claimed => 11,
            };
            let known = !state.given_back().is_empty();
            let (name, mut cell) = match column {
                1..=6 => (state.notice_row(), row(&notices, state.notice_row())[column].clone()),
                7 | 8 => (state.reversal_row(), row(&reversals, state.reversal_row())[column - 6].clone()),
                10 => (state.reversal_row(), row(&reversals, state.reversal_row())[3].clone()),
                9 if matches!(state.reversal_row(), "`refunded`" | "`chargeback`") => {
                    (state.reversal_row(), row(&reversals, state.reversal_row())[1].clone())
                }
                11 if state.reversal_row() == "`chargeback`" => (state.reversal_row(), row(&reversals, state.reversal_row())[3].clone()),
                9 if known => (
                    "any, and the provider knows of nothing new",
                    row(&reversals, "any, and the provider knows of nothing new")[1].clone(),
                ),
                9 => (
                    "any, and the provider knows of nothing at all",
                    row(&reversals, "any, and the provider knows of nothing at all")[1].clone(),
                ),
                _ => (
                    "any, and the provider knows of nothing at all",
                    row(&reversals, "any, and the provider knows of nothing at all")[3].clone(),
                ),
            };
            used.insert(name);
            if cell == "as above" {
                cell = row(&notices, "`paid`, `manual_review` for another reason")[column].clone();
            }
            if cell.starts_with("as `manual_review`") {
                assert!(after.order.ends_with("underpaid"), "{state:?}, {said:?}: {cell}");
                cell = row(&reversals, "`manual_review`")[1].clone();
            }
            assert!(
                allowed(&cell).contains(&outcome.to_owned()),
                "{state:?}, {said:?}: expected {outcome}, the document says {cell}"
            );
            let taken = cell.starts_with("the money is taken");
            assert_eq!(
                taken && cell.ends_with("a warning"),
                taken && after.alerts.contains("overpaid warning"),
                "{state:?}, {said:?}: {cell}"
            );
        }
    }
    // Each row of the document has been asked for, but that of the bill nobody knows, which is no state.
    let named = notices
        .iter()
        .chain(&reversals)
        .map(|row| row[0].as_str())
        .filter(|name| *name != "bill not known");
    assert_eq!(used, named.collect());
}
