//! What the database refuses, whoever asks.

use std::collections::BTreeSet;

use lonieve_tests::interleaving::Ground;
use lonieve_tests::interleaving::till::Till;
use tokio_postgres::error::SqlState;

use crate::document;

/// column of the document, subject in the table, and all states
const SUBJECTS: [(&str, &str, &[&str]); 4] = [
    (
        "`orders.status`",
        "status",
        &[
            "pending",
            "paid",
            "manual_review",
            "failed",
            "expired",
            "partially_refunded",
            "refunded",
            "chargeback",
        ],
    ),
    (
        "`orders.fulfilment`",
        "fulfilment",
        &["none", "reserved", "waiting", "delivered", "revoked"],
    ),
    (
        "`payments.status`",
        "payment",
        &["pending", "paid", "failed", "expired", "refunded", "chargeback"],
    ),
    ("`gift_codes.status`", "code", &["available", "reserved", "sold", "revoked"]),
];

/// (subject, from, to), as the document says.
fn documented() -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for row in document::table(&["what", "from", "may become"]) {
        let (_, subject, states) = SUBJECTS.iter().find(|(name, ..)| *name == row[0]).unwrap();
        let from = document::words(&row[1]).remove(0);
        for to in document::words(&row[2]) {
            assert!(states.contains(&to.as_str()) && states.contains(&from.as_str()), "{row:?}");
            assert!(all.insert(((*subject).to_owned(), from.clone(), to)), "{row:?} twice");
        }
    }
    all
}

#[tokio::test]
async fn the_document_and_the_database_list_the_same_changes_and_states() {
    let ground = Ground::new().await;
    let rows = ground
        .admin
        .query("select subject, from_state, to_state from shop.order_transitions", &[])
        .await
        .unwrap();
    let listed: BTreeSet<(String, String, String)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(listed, documented());

    let rows = ground
        .admin
        .query("select status, fulfilment from shop.order_states", &[])
        .await
        .unwrap();
    let listed: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let rows = document::table(&["status", "fulfilment"]);
    let documented: BTreeSet<(String, String)> = rows
        .iter()
        .flat_map(|row| {
            let status = document::words(&row[0]).remove(0);
            document::words(&row[1])
                .into_iter()
                .map(move |fulfilment| (status.clone(), fulfilment))
        })
        .collect();
    assert_eq!(listed, documented);
    ground.stop().await;
}

#[test]
fn the_diagram_draws_the_changes_of_status() {
    let drawn: BTreeSet<(String, String)> = document::arrows().into_iter().collect();
    let listed = documented()
        .into_iter()
        .filter(|(subject, ..)| subject == "status")
        .map(|(_, from, to)| (from, to));
    assert_eq!(drawn, listed.collect());
}

#[tokio::test]
async fn every_change_that_is_not_listed_is_refused_and_every_listed_one_is_not() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    let db = &till.ground.admin;
    let documented = documented();
    let (mut refused, mut accepted) = (0, 0);
    for (_, subject, states) in SUBJECTS {
        let (table, column, row) = match subject {
            "payment" => ("shop.payments", "status", "order_id = $1"),
            "code" => (
                "shop.gift_codes",
                "status",
                "order_item_id in (select id from shop.order_items where order_id = $1)",
            ),
            _ => ("shop.orders", subject, "id = $1"),
        };
        for from in states {
            for to in states.iter().filter(|to| *to != from) {
                // The first state is put there with the triggers off, the change is made as the owner of the functions.
                db.batch_execute("begin; set local session_replication_role = replica")
                    .await
                    .unwrap();
                let constraints = "alter table shop.orders drop constraint orders_money_in_has_paid_at, drop constraint orders_review_has_reason, \
                                   drop constraint orders_delivered_is_paid; alter table shop.payments drop constraint payments_paid_is_processed; \
                                   alter table shop.gift_codes drop constraint gift_codes_available_is_free, drop constraint gift_codes_sold_has_time";
                db.batch_execute(constraints).await.unwrap();
                db.execute(&format!("update {table} set {column} = '{from}' where {row}"), &[&placed.id])
                    .await
                    .unwrap();
                db.batch_execute("set local session_replication_role = origin; set local role lonieve_owner")
                    .await
                    .unwrap();
                let changed = db
                    .execute(&format!("update {table} set {column} = '{to}' where {row}"), &[&placed.id])
                    .await;
                db.batch_execute("rollback").await.unwrap();
                if documented.contains(&(subject.to_owned(), (*from).to_owned(), (*to).to_owned())) {
                    assert_eq!(changed.unwrap(), 1, "{subject} from {from} to {to}");
                    accepted += 1;
                } else {
                    let error = changed.expect_err(&format!("{subject} from {from} to {to}"));
                    assert_eq!(
                        error.code().map(SqlState::code),
                        Some("LV010"),
                        "{subject} from {from} to {to}: {error}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((accepted, accepted + refused), (documented.len(), 8 * 7 + 5 * 4 + 6 * 5 + 4 * 3));
    till.close().await;
}

#[tokio::test]
async fn states_that_do_not_go_together_are_refused_when_the_transaction_ends() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    let db = &till.ground.admin;
    // Listed changes one by one, and yet nothing that can stand.
    db.batch_execute("begin; set local role lonieve_owner").await.unwrap();
    db.execute("update shop.orders set status = 'expired' where id = $1", &[&placed.id])
        .await
        .unwrap();
    let error = db.batch_execute("commit").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(
        (error.code(), error.constraint()),
        (&SqlState::FOREIGN_KEY_VIOLATION, Some("orders_state_known"))
    );
    assert_eq!(till.state(&placed).await, "pending reserved");
    // Money in, and not paid; paid, and no money in.
    for wrong in ["paid_at = now()", "status = 'paid'"] {
        let error = db
            .execute(&format!("update shop.orders set {wrong} where id = $1"), &[&placed.id])
            .await
            .unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.code(), error.constraint()),
            (&SqlState::CHECK_VIOLATION, Some("orders_money_in_has_paid_at")),
            "{wrong}"
        );
    }
    till.close().await;
}
